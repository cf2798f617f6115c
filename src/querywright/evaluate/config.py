"""An evaluation's config: a YAML file, `key=value` on top of it, every mistake reported at once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from querywright.errors import QuerywrightError, did_you_mean

Strategy = Literal["zero_shot", "icl", "icl_nearest", "rag", "tuned"]
Decoding = Literal["free", "grammar", "grounded", "gbnf"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Model(_Strict):
    """One model of the sweep; what is set here stands instead of the sweep's own lists.

    Attributes:
        path: a GGUF file, a checkpoint or adapter folder, a server's address, or `base` for the base model as it is
            packaged.
        strategies, decodings: the cells of this model, where they differ from the sweep's.
        limit: the number of pairs for each of its cells, where it differs.
        max_tokens: the same; a base model that does not know when to stop is cut earlier.
    """

    path: str
    strategies: tuple[Strategy, ...] | None = None
    decodings: tuple[Decoding, ...] | None = None
    limit: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=8, le=2048)


class Config(_Strict):
    """A sweep: every model with every strategy and decoding, over the same pairs.

    Attributes:
        name: of the outputs (`responses_<name>.jsonl`); the config file's name unless given.
        limit: pairs for each cell, drawn with `seed`; a smaller limit is a part of a larger one. None takes all.
        limits: a smaller number for the cells of a strategy or decoding, such as `{rag: 10}`.
        decodings: `free` text; under the API's `grammar`; `grounded`: besides, values only from the sentence; `gbnf`:
            llama.cpp's own grammars.
        examples: pairs that the strategies `icl` and `icl_nearest` show; never those that are asked.
        n: answers for each sentence, sampled at `temperature`, of which a vote by meaning takes one; 1 takes the most
            likely answer.
        refuse: whether grammars let the model refuse (`nil CODE`); by default in the tuned strategy, whose models are
            taught to.
        records: what the embedded executor searches: a records file, or empty for the definition's own.
        execute: whether calls are run, for the score of equal hits.
        out: folder of everything written, `work/<api>/eval/<name>` unless given.
    """

    api: str
    models: dict[str, Model] = Field(min_length=1)
    name: str = "sweep"
    strategies: tuple[Strategy, ...] = ("tuned",)
    decodings: tuple[Decoding, ...] = ("free", "grammar")
    pairs: str = ""
    examples: str = ""
    limit: int | None = Field(default=None, ge=1)
    limits: dict[str, int] = Field(default_factory=dict)
    n: int = Field(default=1, ge=1, le=32)
    temperature: float = Field(default=0.7, gt=0, le=2)
    max_tokens: int = Field(default=200, ge=8, le=2048)
    threads: int | None = Field(default=None, ge=1)
    refuse: bool | None = None
    records: str = ""
    execute: bool = True
    seed: int = 0
    out: str = ""

    @field_validator("models", mode="before")
    @classmethod
    def _paths(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: {"path": model} if isinstance(model, str) else model for name, model in value.items()}

    @field_validator("strategies", "decodings", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("limits")
    @classmethod
    def _known(cls, value: dict[str, int]) -> dict[str, int]:
        names = [*get_args(Strategy), *get_args(Decoding)]
        wrong = [f"{k!r} is no strategy or decoding{did_you_mean(k, names)}" for k in value if k not in names]
        wrong += [f"{k}: {v} is no number of pairs" for k, v in value.items() if v < 1]
        if wrong:
            raise ValueError("; ".join(wrong))
        return value

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("api"), str):
            path = Path(data["api"])
            work = f"work/{path.parent.name if path.stem == 'api' else path.stem}"
            data = {**data}
            data["pairs"] = data.get("pairs") or f"{work}/pairs/test.jsonl"
            data["examples"] = data.get("examples") or f"{work}/pairs/train.jsonl"
            data["out"] = data.get("out") or f"{work}/eval/{data.get('name', 'sweep')}"
        return data

    def refuses(self, strategy: str) -> bool:
        """Whether the model may refuse under a strategy."""
        return strategy == "tuned" if self.refuse is None else self.refuse


def load(path: Path | str, overrides: Iterable[str] = ()) -> Config:
    """Read a config file and lay `key=value` (dotted keys, YAML values) over it.

    Raises:
        QuerywrightError: no such file, no YAML, or mistakes in it; all of them are named, with the nearest known key.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        near = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise QuerywrightError(
            f"could not read {path}: {error.strerror}{did_you_mean(path.name, near)}",
            hint=f"there is {', '.join(near)}" if near else "eval_configs/ holds examples",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise QuerywrightError(f"{path} is no YAML: {reason}", hint="eval_configs/ holds examples") from error
    if not isinstance(raw, dict):
        raise QuerywrightError(f"{path} holds no keys", hint="see eval_configs/mygene_quick.yaml")
    raw.setdefault("name", path.stem)
    for text in overrides:
        _override(raw, text)
    return check(raw, str(path))


def _override(raw: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise QuerywrightError(f"{text!r} is no key=value", hint="for example limit=20 or models.tuned=model.gguf")
    try:
        parsed = yaml.safe_load(value) if value else ""
    except yaml.YAMLError as error:
        raise QuerywrightError(f"the value in {text!r} is no YAML", hint="lists are written [a, b]") from error
    *parents, last = key.split(".")
    at = raw
    for parent in parents:
        if isinstance(at.get(parent), str):
            at[parent] = {"path": at[parent]}  # models.tuned.limit=5 where models.tuned is a path
        at = at.setdefault(parent, {})
        if not isinstance(at, dict):
            raise QuerywrightError(f"{key!r}: {parent!r} holds no keys", hint="leave the part after it out")
    if isinstance(at.get(last), dict) and isinstance(parsed, str):
        parsed = {**at[last], "path": parsed}  # models.tuned=path keeps its other settings
    at[last] = parsed


def check(raw: dict[str, Any], where: str) -> Config:
    """Validate a config that was read; `where` begins every message."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        lines = [_reason(item) for item in error.errors()]
        raise QuerywrightError(
            "\n  ".join([f"{where}: {len(lines)} mistake{'s' * (len(lines) > 1)}", *lines]),
            hint="correct them; eval_configs/mygene_quick.yaml shows every key",
        ) from error


def _reason(item: Any) -> str:
    loc = [str(part) for part in item["loc"]]
    key = ".".join(loc)
    if item["type"] == "extra_forbidden":
        inside = loc[0] == "models" and len(loc) == 3
        known = list((Model if inside else Config).model_fields)
        near = did_you_mean(loc[-1], known) or f"; known are {', '.join(known)}"
        return f"{key}: unknown key{near}"
    if item["type"] == "missing":
        return f"{key}: is missing"
    if item["type"] == "literal_error":
        known = list(get_args(Strategy if "strategies" in loc else Decoding))
        return f"{key}: {item['input']!r} is none of {', '.join(known)}{did_you_mean(str(item['input']), known)}"
    if item["type"] == "value_error":
        return f"{key}: {item['msg'].removeprefix('Value error, ')}"
    return f"{key}: {item['msg']}, not {str(item['input'])[:60]!r}"


def select(
    raw: Config, *, model: str | None = None, strategy: str | None = None, decoding: str | None = None
) -> Config:
    """Narrow a sweep to one model (a name of it, or the path of another), strategy or decoding.

    What is narrowed is a sweep of its own, written beside the whole one.
    """
    data = raw.model_dump(exclude_none=True)
    chosen = [Path(model).stem if model else "", strategy or "", decoding or ""]
    for key in ("name", "out"):
        data[key] = "-".join([data[key], *filter(None, chosen)])
    if model is not None:
        known = data["models"]
        if model not in known and "://" not in model and not Path(model).exists() and model != "base":
            raise QuerywrightError(
                f"no model {model!r} in this sweep, and no such path{did_you_mean(model, list(known))}",
                hint=f"known: {', '.join(known)}",
            )
        data["models"] = {model: known[model]} if model in known else {Path(model).stem: {"path": model}}
    for key, value in (("strategies", strategy), ("decodings", decoding)):
        if value is not None:
            data[key] = [value]
            for spec in data["models"].values():
                spec.pop(key, None)
    return check(data, "after the flags")
