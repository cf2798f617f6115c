"""An evaluation's config: a YAML file, `key=value` on top of it, every mistake reported at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from querywright.engines.catalogue import NAME
from querywright.errors import QuerywrightError, did_you_mean
from querywright.evaluate.models import Decoding, EngineName, Model, Samples, Strategy, Strict, one_or_more

T = TypeVar("T")
DIMENSIONS = {"strategies": Strategy, "decodings": Decoding, "engines": EngineName}


def named(models: dict[str, T]) -> dict[str, T]:
    """Models by name, where each name can be a file's.

    Raises:
        ValueError: those that can't.
    """
    wrong = [name for name in models if not NAME.fullmatch(name)]
    if wrong:
        raise ValueError(f"{', '.join(map(repr, wrong))}: a model's name becomes a file's: letters, digits, . _ + -")
    return models


def part_of_names(text: str) -> str:
    """A sweep's name, which becomes a part of files' names.

    Raises:
        ValueError: it can't.
    """
    if not re.fullmatch(r"[\w+-][\w.+ -]*", text):
        raise ValueError(f"{text!r} becomes a part of files' names: letters, digits, . _ -")
    return text


class TextScores(Strict):
    """Scores of the answers' texts, to compare with published work; see `text_scores`.

    Attributes:
        meteor: whether METEOR is computed.
        bertscore: the folder of an encoder as transformers saves it; empty for no BERTScore.
        layer: whose output BERTScore compares; the last one by default.
    """

    meteor: bool = False
    bertscore: str = ""
    layer: int | None = None


class Config(Strict):
    """A sweep: every model with every strategy, decoding, number of samples and engine, over the same pairs.

    Attributes:
        api: a shipped API's name or a definition file; or a list of these: each sentence is asked under its own API's
            definition, and `{api}` in `pairs`, `examples`, `records` and models' paths is the API's name.
        name: of the outputs (`responses_<name>.jsonl`); the config file's name unless given.
        limit: pairs for each cell, drawn with `seed`; a smaller limit is a part of a larger one. None takes all.
        limits: a smaller number for the cells of a strategy, decoding, engine or n, such as `{rag: 10, n5: 20}`.
        decodings: `free` text; under a `regex` of the API's calls; under its `grammar`; `grounded`: besides, values
            only from the sentence; `gbnf`: llama.cpp's own grammars.
        engines: `llama` (llama.cpp), `hf` (transformers), `outlines`, `server`; by default the one that each model's
            path is for. Models that have nothing for an engine are passed over.
        pairs: one file of all APIs, or with `{api}` in its name one for each.
        examples: pairs that the strategies with `icl` in their names show; never those that are asked.
        n: answers for each sentence, sampled at `temperature`, of which a vote by meaning takes one; 1 takes the most
            likely answer.
        refuse: whether grammars let the model refuse (`nil CODE`); by default in the tuned strategy, whose models are
            taught to.
        records: what the embedded executor searches: a records file, or empty for the definition's own.
        execute: whether calls are run, for the score of equal hits.
        text_scores: `{meteor: true, bertscore: FOLDER}`; none unless given.
        out: folder of everything written, `work/<api>/eval/<name>` unless given. What several APIs have together goes
            to `work/eval/<name>`; where `out` is given, to it, and what is an API's own to a folder below it.
    """

    api: str | tuple[str, ...]
    models: dict[str, Model] = Field(min_length=1)
    name: str = "sweep"
    strategies: tuple[Strategy, ...] = ("tuned",)
    decodings: tuple[Decoding, ...] = ("free", "grammar")
    engines: tuple[EngineName, ...] | None = None
    pairs: str = ""
    examples: str = ""
    limit: int | None = Field(default=None, ge=1)
    limits: dict[str, int] = Field(default_factory=dict)
    n: tuple[Samples, ...] = (1,)
    temperature: float = Field(default=0.7, gt=0, le=2)
    max_tokens: int = Field(default=200, ge=8, le=2048)
    threads: int | None = Field(default=None, ge=1)
    refuse: bool | None = None
    records: str = ""
    execute: bool = True
    text_scores: TextScores = TextScores()
    seed: int = 0
    out: str = ""

    @field_validator("models", mode="before")
    @classmethod
    def _paths(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: {"path": model} if isinstance(model, str) else model for name, model in value.items()}

    @field_validator("models")
    @classmethod
    def _names(cls, value: dict[str, Model]) -> dict[str, Model]:
        wrong = [name for name in value if not re.fullmatch(r"[\w+-][\w.+-]*", name)]
        if wrong:
            raise ValueError(f"{', '.join(map(repr, wrong))}: a model's name becomes a file's: letters, digits, . _ -")
        return value

    @field_validator("name")
    @classmethod
    def _file_name(cls, value: str) -> str:
        return part_of_names(value)

    @field_validator("strategies", "decodings", "engines", "n", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return one_or_more(value)

    @field_validator("api")
    @classmethod
    def _some(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(value, tuple) and (not value or len(set(map(label, value))) < len(value)):
            raise ValueError("each API once, and at least one")
        return value[0] if isinstance(value, tuple) and len(value) == 1 else value

    @field_validator("limits")
    @classmethod
    def _known(cls, value: dict[str, int]) -> dict[str, int]:
        names = [name for kind in DIMENSIONS.values() for name in get_args(kind)]
        wrong = [
            f"{k!r} is no strategy, decoding, engine or n (n5){did_you_mean(k, names)}"
            for k in value
            if k not in names and not re.fullmatch("n[0-9]+", k)
        ]
        wrong += [f"{k}: {v} is no number of pairs" for k, v in value.items() if v < 1]
        if wrong:
            raise ValueError("; ".join(wrong))
        return value

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("api"), str | list | tuple):
            apis = [data["api"]] if isinstance(data["api"], str) else [*data["api"]]
            several = len(apis) != 1
            work = "work/{api}" if several else f"work/{label(str(apis[0]))}"
            data = {**data}
            data["pairs"] = data.get("pairs") or f"{work}/pairs/test.jsonl"
            data["examples"] = data.get("examples") or f"{work}/pairs/train.jsonl"
            data["out"] = data.get("out") or f"{'work' if several else work}/eval/{data.get('name', 'sweep')}"
        return data

    @model_validator(mode="after")
    def _asked(self) -> Config:
        for name, model in self.models.items():
            strange = [api for api in model.apis or () if api not in self.apis]
            if strange:
                raise ValueError(f"models.{name}.apis: {', '.join(strange)} is none of {', '.join(self.apis)}")
        idle = [api for api in self.apis if all(api not in (m.apis or (api,)) for m in self.models.values())]
        if idle:
            raise ValueError(f"no model is asked for {', '.join(idle)}")
        return self

    @property
    def apis(self) -> tuple[str, ...]:
        """The APIs, of which there may be one."""
        return (self.api,) if isinstance(self.api, str) else self.api

    def of(self, api: str) -> Config:
        """The part of a sweep of several APIs that is one's: a sweep of its own, in a folder of its own."""
        data = self.model_dump(exclude_none=True)
        data["api"] = api
        for key in ("pairs", "examples", "records"):
            data[key] = data[key].replace("{api}", label(api))
        for name, model in list(data["models"].items()):
            if api not in model.pop("apis", (api,)):
                del data["models"][name]
            elif isinstance(model["path"], dict):
                model["path"] = {k: path.replace("{api}", label(api)) for k, path in model["path"].items()}
            else:
                model["path"] = model["path"].replace("{api}", label(api))
        if self.out == f"work/eval/{self.name}":  # where nobody named a folder, an API's own scores lie with its model
            data["out"] = f"work/{label(api)}/eval/{self.name}"
        elif not isinstance(self.api, str):
            data["out"] = f"{self.out}/{label(api)}"
        return check(data, f"{self.name} for {api}")

    def refuses(self, strategy: str) -> bool:
        """Whether the model may refuse under a strategy."""
        return strategy == "tuned" if self.refuse is None else self.refuse


def label(api: str) -> str:
    """An API's name as a folder's: of a definition file, the folder that it lies in."""
    path = Path(api)
    return path.parent.name if path.stem == "api" else path.stem


def load(path: Path | str, overrides: Iterable[str] = ()) -> Config:
    """Read a config file and lay `key=value` (dotted keys, YAML values) over it.

    Raises:
        QuerywrightError: no such file, no YAML, or mistakes in it; all of them are named, with the nearest known key.
    """
    return check(read(path, overrides), str(path))


def read(
    path: Path | str, overrides: Iterable[str] = (), *, short: str = "path", example: str = "mygene_quick.yaml"
) -> dict[str, Any]:
    """A config file as it is written, `key=value` laid over it; its name where it says none.

    Args:
        short: the key of a model that is given as a text alone.
        example: of `eval_configs/`, for messages.

    Raises:
        QuerywrightError: no such file, no YAML, or an override that is none.
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
        raise QuerywrightError(f"{path} holds no keys", hint=f"see eval_configs/{example}")
    raw.setdefault("name", path.stem)
    for text in overrides:
        _override(raw, text, short)
    return raw


def _override(raw: dict[str, Any], text: str, short: str = "path") -> None:
    """Lay one `key=value` over a config that was read; see `read`."""
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
            at[parent] = {short: at[parent]}  # models.tuned.limit=5 where models.tuned is a path
        at = at.setdefault(parent, {})
        if not isinstance(at, dict):
            raise QuerywrightError(f"{key!r}: {parent!r} holds no keys", hint="leave the part after it out")
    if isinstance(at.get(last), dict) and isinstance(parsed, str):
        parsed = {**at[last], short: parsed}  # models.tuned=path keeps its other settings
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
    # a path of several engines is one of two forms: their names are no keys of ours
    loc = [str(part) for part in item["loc"] if not str(part).startswith(("dict[", "tuple[", "function-"))]
    key = ".".join(loc)
    if item["type"] == "extra_forbidden":
        inside = len(loc) == {"models": 3, "text_scores": 2}.get(loc[0])
        kinds: dict[str, type[Strict]] = {"text_scores": TextScores, "models": Model}
        known = list((kinds[loc[0]] if inside else Config).model_fields)
        near = did_you_mean(loc[-1], known) or f"; known are {', '.join(known)}"
        return f"{key}: unknown key{near}"
    if item["type"] == "missing":
        return f"{key}: is missing"
    if item["type"] == "literal_error":
        known = list(get_args(next((kind for name, kind in DIMENSIONS.items() if name in loc), EngineName)))
        return f"{key}: {item['input']!r} is none of {', '.join(known)}{did_you_mean(str(item['input']), known)}"
    if item["type"] == "value_error":
        return f"{key}: {item['msg'].removeprefix('Value error, ')}"
    return f"{key}: {item['msg']}, not {str(item['input'])[:60]!r}"


def select(raw: Config, flags: Mapping[str, str | None]) -> Config:
    """Narrow a sweep to some of its values.

    What is narrowed is a sweep of its own, written beside the whole one.

    Args:
        flags: api, model (a name in the sweep, or the path of another), strategy, decoding, n, engine; several values
            of one with commas between them. None takes what the config says.
    """
    given = {name: value.split(",") for name, value in flags.items() if value}
    data = raw.model_dump(exclude_none=True)
    chosen = [Path(one).stem if name in ("model", "api") else ("n" * (name == "n")) + one
              for name, values in given.items() for one in values]  # fmt: skip
    for key in ("name", "out"):
        data[key] = "-".join([data[key], *chosen])
    if "api" in given:
        _known(given["api"], raw.apis, "API")
        data["api"] = given["api"]
        for name, spec in list(data["models"].items()):
            if "apis" in spec:
                spec["apis"] = [api for api in spec["apis"] if api in given["api"]]
                if not spec["apis"]:
                    del data["models"][name]
    if "model" in given:
        known = data["models"]
        new = [m for m in given["model"] if "://" in m or Path(m).exists() or m == "base"]
        _known([m for m in given["model"] if m not in new], known, "model", ", and no such path")
        data["models"] = {m if m in known else Path(m).stem: known.get(m, {"path": m}) for m in given["model"]}
    for name, key in (("strategy", "strategies"), ("decoding", "decodings"), ("engine", "engines"), ("n", "n")):
        if name in given:
            data[key] = given[name]
            for spec in data["models"].values():
                spec.pop(key, None)
    return check(data, "after the flags")


def _known(given: Iterable[str], known: Iterable[str], what: str, beside: str = "") -> None:
    for one in given:
        if one not in known:
            raise QuerywrightError(
                f"no {what} {one!r} in this sweep{beside}{did_you_mean(one, list(known))}",
                hint=f"known: {', '.join(known)}",
            )
