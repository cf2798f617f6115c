"""The parts of an API's definition: fields, parameters, endpoints, ids, intervals."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from querywright.api.patterns import compiled


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", ignored_types=(cached_property,))


def is_name(text: str) -> bool:
    """Whether a text can be a field's name, a line of a prompt."""
    return bool(text.strip()) and text.isprintable()


def _regular(expression: str) -> None:
    try:
        re.compile(expression)
    except re.error as error:
        raise ValueError(f"{expression[:60]!r} is no regular expression: {error}") from None


class SchemaField(Strict):
    """One field of the API's records. `analysis` decides letter case and whether a phrase has order."""

    name: str
    type: Literal["keyword", "text", "integer", "long", "float", "double", "byte", "boolean", "date", "object"]
    indexed: bool = True
    default_search: bool = False
    analysis: Literal["exact", "lower", "text", "number", "object"] = "lower"
    description: str = ""
    synonyms: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    shape: str = ""
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _sound(self) -> SchemaField:
        """A name is a line of a prompt, a shape can be read."""
        if not is_name(self.name):
            raise ValueError(f"{self.name[:60]!r} is no name of a field")
        _regular(self.shape)
        return self


Kind = Literal["query", "vocabulary", "fields", "sort", "integer", "boolean", "text", "number", "date", "enum", "list"]
Compare = Literal["eq", "ge", "le", "gt", "lt", "contains", "in"]


class Param(Strict):
    """One parameter: its kind, its other names, its default (left out of the canonical form) and its bounds.

    The kinds `query`, `fields`, `sort` and `vocabulary` belong to APIs that search fields; the others are plain typed
    values. A `list` holds several `items`, after a comma or, where it `explode`s, with the name repeated. A date
    without a time is a whole day, or, where it is a `moment`, its midnight.
    """

    kind: Kind
    aliases: tuple[str, ...] = ()
    default: Any = None
    min: int | float | None = None
    max: int | float | None = None
    vocabulary: str = ""
    numeric: bool = False
    all: str = ""
    indexed: bool = False
    field: str = ""
    in_query: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    items: Literal["enum", "integer", "number", "text", "date"] = "text"
    explode: bool = False
    pattern: str = ""
    moment: bool = False
    compare: Compare = "eq"
    role: Literal["", "limit", "offset", "page", "sort", "order", "fields"] = ""
    description: str = ""
    synonyms: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _whole(self) -> Param:
        """A kind has what it needs."""
        if "enum" in (self.kind, self.items if self.kind == "list" else "") and not self.values:
            raise ValueError("an enum needs its values")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"its minimum {self.min} is above its maximum {self.max}")
        if self.pattern:
            try:
                compiled(self.pattern)
            except ValueError as error:
                raise ValueError(f"pattern {self.pattern[:60]!r} can't be used: {error}") from None
        return self

    @cached_property
    def spelling(self) -> dict[str, str]:
        """The values of an enum in lower case, to the definition's spelling."""
        return {v.lower(): v for v in reversed(self.values)}


class Endpoint(Strict):
    """One path; `{id}` in it stands for a record's id, any other `{name}` for the parameter of that name.

    `required` names parameters that have to be given; an entry `a|b` asks for one of the two. `aliases` are other paths
    that answer the same.
    """

    path: str
    params: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    description: str = ""

    @cached_property
    def in_path(self) -> tuple[str, ...]:
        """Names of the parameters that stand in the path, in its order."""
        return tuple(name for name in re.findall(r"\{([^{}]+)\}", self.path) if name != "id")

    @cached_property
    def needs(self) -> tuple[tuple[str, ...], ...]:
        """The required parameters: one of each group."""
        return tuple(tuple(entry.split("|")) for entry in self.required)

    @cached_property
    def optional(self) -> bool:
        """Whether a call needs nothing behind the path."""
        return not self.required


class IdShape(Strict):
    """How a record's id may be written: a shape, the field it is looked up in, and names that people put before it.

    `CHEBI:57966`, `chebi:CHEBI:57966` and `chebi.id:CHEBI:57966` are the same id. `case`: how it is
    spelt where its letters have no case. `write`: the part of the shape that is worth writing, where that is simpler.
    """

    shape: str
    write: str = ""
    field: str = ""
    scopes: tuple[str, ...] = ()
    case: Literal["", "upper", "lower"] = ""
    example: str = ""
    slips: tuple[tuple[str, str], ...] = ()

    @model_validator(mode="after")
    def _regular(self) -> IdShape:
        """Its expressions can be read."""
        for expression in (self.shape, self.write, *(pattern for pattern, _ in self.slips)):
            _regular(expression)
        return self

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """The shape, compiled."""
        return re.compile(self.shape, re.IGNORECASE if self.case else 0)

    def read(self, text: str) -> str | None:
        """A text as an id of this shape, in its one spelling; None where it is none."""
        for pattern, by in self.slips:
            text = re.sub(pattern, by, text)
        return self.spelt(text) if self.regex.fullmatch(text) else None

    def spelt(self, text: str) -> str:
        """An id of this shape in its one spelling."""
        return text.upper() if self.case == "upper" else text.lower() if self.case == "lower" else text


class Intervals(Strict):
    """Which object field an interval such as `hg19.chr1:1-1000` searches, by assembly.

    `positions`: whether `chr1:1000` is one base. `prefixed`: whether an assembly may stand before the chromosome.
    `chromosome`: the chromosome's field where it is not FIELD.chr.
    """

    model_config = ConfigDict(extra="allow")
    default: str
    default_species: str = ""
    of_default_species: tuple[str, ...] = ()
    positions: bool = False
    prefixed: bool = True
    chromosome: str = ""

    def field(self, assembly: str | None) -> str | None:
        """The object field with `.chr`, `.start` and `.end` for an assembly, or None if there is none."""
        return self.default if assembly is None else (self.model_extra or {}).get(assembly)


class Ranking(Strict):
    """What the embedded service puts first: weights of fields in un-fielded searches, of records by a field's value."""

    fields: dict[str, float] = Field(default_factory=dict)
    records: dict[str, dict[int | str, float]] = Field(default_factory=dict)
