"""A model as a config of conversations names it, and how such configs are checked: every mistake at once."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from querywright.engines.keys import SECRET, key_of, named
from querywright.errors import QuerywrightError, did_you_mean

Provider = Literal["local", "openai", "openai-compatible", "querywright"]


class Strict(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class LLM(Strict):
    """A model.

    Attributes:
        provider: `local`: on this machine; `openai-compatible`: a server (`url`); `openai`: OpenAI's own;
            `querywright`: the query assistant, which answers with a call to an API.
        name: local: `base` for the packaged model, a GGUF file, a checkpoint's or an adapter's folder. Of a server: its
            name for the model. querywright: a shipped API's name or a definition file.
        label: its name in what is written; by default the name (of a path the last part).
        url: of an openai-compatible server, up to and including the version.
        api_key: `env:NAME`; by default `QUERYWRIGHT_SERVER_KEY`, for openai `OPENAI_API_KEY`.
        adapter: local, querywright: a PEFT adapter for a checkpoint folder.
        system: the system message that a responder gets; none by default.
        temperature: 0 for the most likely text; 0.7 by default, of the query assistant 0.
        max_tokens: of one answer.
        sample_weight: of `eval_llms`: how often it answers, relative to the others; 0 never.
        price_in, price_out: money for a million tokens; by default what `prices.yaml` says.
        threads, slots: local: threads of the engine; prompts that llama.cpp works on at once, one by default.
        model, strategy, decoding: querywright: see `querywright ask`; by default the tuned model under the grammar.
    """

    provider: Provider
    name: str = Field(min_length=1)
    label: str = Field(default="", max_length=200)
    url: str = ""
    api_key: str = Field(default="", repr=False)
    adapter: str = ""
    system: str = ""
    temperature: float = Field(default=0.7, ge=0, le=2)
    max_tokens: int = Field(default=256, ge=1, le=32768)
    sample_weight: float = Field(default=1.0, ge=0, le=1e6)
    price_in: float | None = Field(default=None, ge=0)
    price_out: float | None = Field(default=None, ge=0)
    threads: int | None = Field(default=None, ge=1, le=1024)
    slots: int | None = Field(default=None, ge=1, le=64)
    model: str = ""
    strategy: str = ""
    decoding: str = ""

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("provider") == "querywright":
            return {"temperature": 0.0, **data}
        return data

    @field_validator("api_key")
    @classmethod
    def _named(cls, value: str) -> str:
        return named(value)

    @model_validator(mode="after")
    def _fits(self) -> LLM:
        wrong = [*self._wrong()]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _wrong(self) -> Iterator[str]:
        """What does not fit together."""
        if not self.known_as.strip() or not self.known_as.isprintable():
            yield "give it a `label` of characters that can be printed"
        if self.provider == "openai-compatible" and not re.fullmatch(r"https?://[^/\s]+(/\S*)?", self.url):
            yield "an openai-compatible server needs a `url`, such as http://127.0.0.1:8080/v1"
        if re.search("[@?#]", self.url):
            yield f"an address ends with the version and holds no key and no password; `api_key`: {SECRET}"
        if self.provider != "openai-compatible" and self.url:
            yield f"`url` is for openai-compatible servers, not for {self.provider}"
        own = {"local": "adapter threads slots", "querywright": "adapter model strategy decoding"}
        wrong = [
            key for key in ("adapter", "threads", "slots", "model", "strategy", "decoding")
            if getattr(self, key) and key not in own.get(self.provider, "").split()
        ]  # fmt: skip
        if wrong:
            yield f"{', '.join(wrong)}: nothing that the provider {self.provider} takes"

    @property
    def known_as(self) -> str:
        """The label."""
        return self.label or self.name.rstrip("/").rpartition("/")[2]

    @property
    def place(self) -> dict[str, str]:
        """Which model it is, whatever it is asked with: entries of the same place share an engine."""
        keys = ("provider", "name", "url", "adapter", "model", "strategy", "decoding")
        return {key: value for key in keys if (value := getattr(self, key))}

    def key(self) -> str | None:
        """The key out of the environment, None for the default one.

        Raises:
            QuerywrightError: the variable is not set.
        """
        return key_of(self.api_key, self.known_as)

    def public(self) -> dict[str, Any]:
        """As plain values, without the key and what is as by default."""
        return self.model_dump(exclude_defaults=True, exclude={"api_key"})


def entry_name(entry: Mapping[str, Any]) -> str:
    """What a document's `weights` are under: a model's name, with its adapter and the query assistant's model."""
    return "+".join(str(entry[key]) for key in ("name", "model", "adapter") if entry.get(key))


def clash(llms: Iterable[LLM]) -> str:
    """What two entries say differently of the same model, which is opened once; empty where they agree."""
    seen: dict[str, LLM] = {}
    for llm in llms:
        first = seen.setdefault(repr(llm.place), llm)
        if first.price_in is first.price_out is None:  # one that names no price has the other's
            seen[repr(llm.place)] = llm
        said = {"api_key": True, "price_in": _priced(first, llm), "price_out": _priced(first, llm)}
        for key, counts in said.items():
            if counts and getattr(first, key) != getattr(llm, key):
                return f"{first.known_as!r} and {llm.known_as!r} are the same model: give both the same `{key}`"
    return ""


def _priced(*llms: LLM) -> bool:
    return all(llm.price_in is not None or llm.price_out is not None for llm in llms)


M = TypeVar("M", bound=BaseModel)


def checked(
    kind: type[M], raw: Mapping[str, Any], where: str, parts: Mapping[str, type[BaseModel]] | None = None,
    spare: Mapping[str, Any] | None = None,
) -> M:  # fmt: skip
    """Validate a table that was read.

    Args:
        where: begins the message; a file's name.
        parts: the kinds of the tables in it by their key, for the names of keys.
        spare: values that stand in for wrong ones by their key, so that what does not fit together is found as well.

    Raises:
        QuerywrightError: names all mistakes, with the nearest known keys. Values of keys are never shown.
    """
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        found = error.errors()
    tried: Any = copy.deepcopy(dict(raw))
    for whole in (False, True):  # what belongs together is looked at only where each part is right
        for item in found:
            _mend(tried, item, whole, spare or {})
        try:
            kind.model_validate(tried)
            break
        except ValidationError as error:
            known = {item["loc"] for item in found}  # what was taken out is not missing
            found += [item for item in error.errors() if item["type"] != "missing" or item["loc"] not in known]
    lines = [*dict.fromkeys(_reason(item, kind, parts or {}) for item in found)]
    plural = "s" * (len(lines) > 1)
    raise QuerywrightError(
        "\n  ".join([f"{where}: {len(lines)} mistake{plural}", *lines]), hint="correct them; see docs/conversations.md"
    )


def _mend(table: dict[str, Any], item: Any, whole: bool, spare: Mapping[str, Any]) -> None:
    """Take a wrong value out of a table; with `whole` all that stands under its outermost key."""
    if not item["loc"]:
        return
    top, *path = item["loc"]
    if whole or (not path and top in spare):
        table.pop(top, None)
        table.update({top: spare[top]} if top in spare else {})
        return
    inner: Any = table
    for step in (top, *path[:-1]):
        try:
            inner = inner[step]
        except (KeyError, IndexError, TypeError):
            return
    last = path[-1] if path else top
    if isinstance(inner, dict) and last != "provider":  # what else is right depends on that
        inner.pop(last, None)


def _reason(item: Any, kind: type[BaseModel], parts: Mapping[str, type[BaseModel]]) -> str:
    loc = [str(part) for part in item["loc"] if not str(part).startswith(("list[", "function-", "str"))]
    flat = len(loc) > 1 and loc[0] in ("user_llm", "persona_llm")  # user_llm_name in the file
    key, last = ("_" if flat else ".").join(loc), loc[-1] if loc else ""
    if item["type"] == "extra_forbidden":
        known = list((parts.get(loc[0], kind) if len(loc) > 1 else kind).model_fields)
        near = did_you_mean(last, known) or f"; known are {', '.join(known)}"
        return f"{key}: unknown key{near}"
    if item["type"] == "missing":
        return f"{key}: is missing"
    if item["type"] == "literal_error" and last == "provider":
        known = list(get_args(Provider))
        return f"{key}: {item['input']!r} is none of {', '.join(known)}{did_you_mean(str(item['input']), known)}"
    if item["type"] == "value_error":
        said = item["msg"].removeprefix("Value error, ")
        return f"{key}: {said}" if key else said
    value = item["input"]  # of a table or a list, a key may be in it
    seen = "" if "key" in last or isinstance(value, dict | list | tuple) else f", not {str(value)[:60]!r}"
    return f"{key}: {item['msg'].replace('valid tuple', 'list')}{seen}"
