"""An API's definition: endpoints, parameters, vocabularies (`api.yaml`) and fields (`fields.csv`)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from querywright.api.parts import Endpoint as Endpoint
from querywright.api.parts import IdShape as IdShape
from querywright.api.parts import Intervals as Intervals
from querywright.api.parts import Param as Param
from querywright.api.parts import Ranking as Ranking
from querywright.api.parts import SchemaField as SchemaField
from querywright.api.parts import Strict
from querywright.artefacts import data_dir
from querywright.errors import QuerywrightError, did_you_mean


class API(Strict):
    """A target API. Immutable after loading; see `load`."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$")  # it becomes the name of files
    title: str
    about: str = ""
    base_url: str
    query_language: Literal["lucene", "none"] = "lucene"
    noun: str = "record"
    default_operator: Literal["AND", "OR"] = "AND"
    meta_fields: tuple[str, ...] = ()
    field_aliases: dict[str, str] = Field(default_factory=dict)
    value_prefixes: dict[str, str] = Field(default_factory=dict)
    stored_prefixes: dict[str, str] = Field(default_factory=dict)
    ids: tuple[IdShape, ...] = ()
    id_refused: str = ""
    intervals: Intervals | None = None
    leading_wildcard: bool = True
    ranking: Ranking = Field(default_factory=Ranking)
    records: str = ""
    vocabularies: dict[str, dict[str, int | str]] = Field(default_factory=dict)
    version_prefixes: tuple[str, ...] = ("",)
    endpoints: dict[str, Endpoint]
    params: dict[str, Param]
    ignored_params: tuple[str, ...] = ()
    unwritten: tuple[str, ...] = ()
    sent: dict[str, str] = Field(default_factory=dict)
    fields: dict[str, SchemaField] = Field(default_factory=dict)
    folder: str = Field(default="", exclude=True)

    @model_validator(mode="after")
    def _consistent(self) -> API:
        """Every name that a definition uses is defined in it."""
        wrong = [
            f"endpoint {name}: no parameter {p!r}"
            for name, e in self.endpoints.items()
            for p in (*e.params, *(n for group in e.needs for n in group))
            if p not in self.params
        ]
        wrong += [
            f"endpoint {name}: {p!r} stands in its path but not in its params"
            for name, e in self.endpoints.items()
            for p in e.in_path
            if p not in e.params
        ]
        wrong += [
            f"parameter {name}: no vocabulary {p.vocabulary!r}"
            for name, p in self.params.items()
            if p.kind == "vocabulary" and p.vocabulary not in self.vocabularies
        ]
        if self.query_language == "none":
            wrong += [
                f"parameter {name}: the kind {p.kind} needs query_language: lucene"
                for name, p in self.params.items()
                if p.kind in ("query", "fields", "sort")
            ]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def __hash__(self) -> int:  # a definition is loaded once and compared by identity, so that it can key caches
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    @cached_property
    def param_names(self) -> dict[str, str]:
        """Every spelling of a parameter, to its canonical name."""
        return {spelling: name for name, p in self.params.items() for spelling in (name, *p.aliases)}

    @cached_property
    def lifting(self) -> tuple[str, ...]:
        """Parameters that say the same as a search in a field, as `species=human` and `taxid:9606`."""
        return tuple(name for name, param in self.params.items() if param.in_query)

    @cached_property
    def route_names(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Of each group of `routes`: the endpoint's name, and what stands between braces in its path, in order."""
        return {f"r{i}": (name, tuple(re.findall(r"\{([^{}]+)\}", path))) for i, (name, path) in enumerate(self._paths)}

    @cached_property
    def routes(self) -> re.Pattern[str]:
        """All paths as one regular expression: the named group at its end tells which matched; see `route_names`."""
        options = []
        for i, (_, path) in enumerate(self._paths):
            pieces = re.split(r"(\{[^{}]+\})", path)
            body = "".join(
                "(.+)" if p == "{id}" else "([^/]+)" if p.startswith("{") else re.escape(p) for p in pieces if p
            )
            options.append(f"{body}(?P<r{i}>)$")
        return re.compile("|".join(options))

    @cached_property
    def ids_in_text(self) -> re.Pattern[str] | None:
        """Ids that hold a colon, as bare words of a query: `chr1:g.35367G>A`, `DOID:0060208`."""
        shapes = [entry.shape for entry in self.ids if ":" in entry.shape and not entry.shape.startswith("(?")]
        body = "|".join(f"(?:{shape})" for shape in shapes)
        return re.compile(rf'(?<![\w:.\\"-])(?:{body})(?![\w:.\\"-])') if shapes else None

    @cached_property
    def _paths(self) -> list[tuple[str, str]]:
        """(endpoint, path) of every path that is read, in all versions; those without a placeholder first."""
        current = self.version_prefixes[0]
        found = [
            (name, prefix + path[len(current) :] if path.startswith(current) else path)
            for name, endpoint in self.endpoints.items()
            for path in (endpoint.path, *endpoint.aliases)
            for prefix in self.version_prefixes
        ]
        # an id may hold a slash: a path that ends with one is tried after those that say more
        return sorted(dict.fromkeys(found), key=lambda f: (f[1].endswith("{id}"), "{id}" in f[1], f[1].count("{")))

    @cached_property
    def late_param(self) -> re.Pattern[str]:
        """`&name=value` at the end of a decoded value, for every known name."""
        known = "|".join(map(re.escape, sorted(self.param_names, key=len, reverse=True)))
        return re.compile(rf'&({known})[=:]([^&"]*)$')

    @cached_property
    def _field_names(self) -> dict[str, str]:
        known = {name.lower(): name for name in reversed((*self.fields, *self.meta_fields))}
        known.update({name.lower(): name for name in self.meta_fields})
        return {**{a.lower(): t for a, t in self.field_aliases.items()}, **known}

    @cached_property
    def _children(self) -> dict[str, tuple[str, ...]]:
        parents: dict[str, list[str]] = {}
        for name, field in self.fields.items():
            if field.type != "object":
                parts = name.split(".")
                for i in range(1, len(parts)):
                    parents.setdefault(".".join(parts[:i]), []).append(name)
        return {parent: tuple(leaves) for parent, leaves in parents.items()}

    def resolve(self, name: str) -> str | None:
        """The canonical spelling of a field name (letter case and old names aside), or None if it is unknown."""
        return name if name in self.fields else self._field_names.get(name.lower())

    def leaves(self, name: str, indexed: bool = True) -> tuple[str, ...]:
        """The leaf fields that searching `name` means: itself, or what lies below an object."""
        key = (name, indexed)
        found = self._known_leaves.get(key)
        if found is None:
            found = self._known_leaves[key] = self._leaves(name, indexed)
        return found

    def _leaves(self, name: str, indexed: bool) -> tuple[str, ...]:
        if name in self.meta_fields:
            return (name,)
        field = self.fields.get(name)
        own = (name,) if field is not None and field.type != "object" else ()
        leaves = own + self._children.get(name, ())
        return tuple(f for f in leaves if self.fields[f].indexed) if indexed else leaves

    @cached_property
    def _known_leaves(self) -> dict[tuple[str, bool], tuple[str, ...]]:
        return {}

    def analysis(self, name: str | None) -> str:
        """How the values of a field are compared: exact, lower, text or number. None is a search of all fields."""
        if name is None:
            return "text"
        found = self._known_analyses.get(name)
        if found is None:
            found = self._known_analyses[name] = self._analysis(name)
        return found

    def _analysis(self, name: str) -> str:
        field = self.fields.get(name)
        if field is None:
            return "exact" if name == "_id" else "lower"
        if field.type != "object":
            return field.analysis
        kinds = {self.fields[leaf].analysis for leaf in self.leaves(name)}
        return "exact" if "exact" in kinds else "text" if "text" in kinds else "lower"

    @cached_property
    def _known_analyses(self) -> dict[str, str]:
        return {}

    @cached_property
    def value_words(self) -> dict[str, dict[str, int | str]]:
        """The vocabularies whose words stand for values of a field, by field."""
        return {p.field: self.vocabularies[p.vocabulary] for p in self.params.values() if p.field and p.vocabulary}

    def word_for(self, param: Param, value: str) -> str:
        """A vocabulary's word for a value (`9606` is `human`), or the value itself."""
        return next((k for k, v in self.vocabularies[param.vocabulary].items() if str(v) == value), value)

    def defaults(self, name: str) -> tuple[str, ...]:
        """What a parameter of several values has where it is not given."""
        param = self.params.get(name)
        return tuple(param.default or ()) if param else ()

    def lifted(self, name: str) -> bool:
        """Whether a search in this field is the same as a parameter, as `taxid:9606` is `species=human`."""
        return any(param.field == name and param.in_query for param in self.params.values())

    def unknown_field(self, name: str) -> str:
        """A reason that a person understands."""
        near = did_you_mean(name, [*self.fields, *self.field_aliases])
        first = sorted({field.partition(".")[0] for field in self.fields})
        if not near and 1 < len(first) <= 30:
            near = f"; names of fields begin with {', '.join(first)}"
        return f"unknown field {name[:60]!r}{near}"


def shipped() -> list[str]:
    """Names of the APIs whose definitions come with this package."""
    return sorted(p.parent.name for p in (data_dir() / "apis").glob("*/api.yaml"))


def _split(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split("|") if part.strip())


def read_fields(path: Path) -> dict[str, SchemaField]:
    """Read `fields.csv`; cells of synonyms and examples hold several values with `|` between them."""
    fields: dict[str, SchemaField] = {}
    for number, row in _table(path, {"name", "type"}):
        values: dict[str, Any] = {k: v for k, v in row.items() if v}
        for many in ("synonyms", "examples"):
            values[many] = _split(row.get(many) or "")
        try:
            field = SchemaField.model_validate(values)
        except ValidationError as error:
            raise QuerywrightError(f"{path}:{number}: {_first(error)}", hint="correct this row") from error
        fields[field.name] = field
    return fields


def _table(path: Path, needed: set[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row) of a table, as people's programs write it: with or without a byte order mark.

    Raises:
        QuerywrightError: it is no UTF-8, not separated by commas, or a row has more cells than the first.
    """
    hint = "save it as CSV with commas, in UTF-8"
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = needed - set(reader.fieldnames or ())
            if missing:
                raise QuerywrightError(f"{path}:1: no column {', '.join(sorted(missing))}", hint=hint)
            for row in reader:
                if None in row:
                    where = f"{path}:{reader.line_num}"
                    raise QuerywrightError(f"{where}: more cells than columns", hint="correct this row")
                yield reader.line_num, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise QuerywrightError(f"{path} can't be read: {error}", hint=hint) from error


def _first(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])


@lru_cache(maxsize=16)
def load(name_or_path: str) -> API:
    """Load a shipped API by name, or a definition file (`api.yaml` with `fields.csv` beside it).

    Raises:
        QuerywrightError: no such definition, or one with unknown keys or wrong values (all of them are named).
    """
    path = Path(name_or_path)
    if not (path.suffix in {".yaml", ".yml"} or path.exists()):
        path = data_dir() / "apis" / name_or_path / "api.yaml"
    if path.is_dir():
        path = path / "api.yaml"
    if not path.is_file():
        raise QuerywrightError(
            f"no API {name_or_path!r}{did_you_mean(name_or_path, shipped())}",
            hint=f"--api takes one of {', '.join(shipped())}, or a definition file (api.yaml)",
        )
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        foreign = {"openapi", "swagger", "mappings"} & raw.keys() if isinstance(raw, dict) else set()
        if foreign and not raw.get("endpoints"):
            raise QuerywrightError(
                f"{path} is an API's own schema ({min(foreign)}), no definition",
                hint=f"querywright schema import {path} --name NAME --out FOLDER, and then --api FOLDER",
            )
        raw = {**raw, "params": _described(raw.get("params") or {}, path.with_name("params.csv"))}
        api = API.model_validate({**raw, "fields": {}, "folder": str(path.parent)})
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, AttributeError) as error:
        raise QuerywrightError(
            f"{path} is no YAML definition: {error}", hint="see data/apis/mygene/api.yaml"
        ) from error
    except ValidationError as error:
        raise QuerywrightError(f"{path}: {_first(error)}", hint="see data/apis/mygene/api.yaml") from error
    table = path.with_name("fields.csv")
    if not table.is_file():
        if api.query_language == "none":
            return api
        raise QuerywrightError(f"{table} is missing", hint="querywright schema import SOURCE writes it")
    return api.model_copy(update={"fields": read_fields(table)})


def _described(params: dict[str, Any], table: Path) -> dict[str, Any]:
    """The parameters with what `params.csv` says of them: descriptions, synonyms, examples, weights."""
    if not table.is_file():
        return params
    for number, row in _table(table, {"name"}):
        name = row["name"] or ""
        if name not in params:
            near = did_you_mean(name, [*params])
            raise QuerywrightError(f"{table}:{number}: no parameter {name!r}{near}", hint="correct this row")
        told: dict[str, Any] = {k: v for k, v in row.items() if k != "name" and v}
        told |= {k: _split(told[k]) for k in ("synonyms", "examples") if k in told}
        try:
            Param.model_validate({**params[name], **told})
        except ValidationError as error:
            raise QuerywrightError(f"{table}:{number}: {_first(error)}", hint="correct this row") from error
        params = {**params, name: {**params[name], **told}}
    return params
