"""A catalogue of models (YAML), by name, and which of them a run takes: what answers prompts, writes questions, judges.

    models:
      warm: {model: base, temperature: 0.8, samples: 2}
      hosted: {model: "https://api.example.com/v1#name", api_key: "env:EXAMPLE_KEY", concurrency: 32}

Keys are never in a catalogue: `env:NAME` names the variable of the environment that holds one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from querywright.artefacts import data_dir
from querywright.engines.keys import bare, named
from querywright.engines.open import is_address
from querywright.errors import QuerywrightError, did_you_mean

NAME = re.compile(r"[\w+-][\w.+-]*")
_HINT = "a catalogue is models: {NAME: {model: base, temperature: 0.8, samples: 2}}"


class Entry(BaseModel):
    """One model of a catalogue, and how it is asked.

    Attributes:
        model: `base` (the packaged SmolLM2), `tuned` (what answers for the API), a GGUF file, a checkpoint or adapter
            folder, or a server's address, `URL#NAME`.
        adapter: a PEFT adapter for a checkpoint folder.
        system: a system message for prompts without one of their own.
        samples: answers to each prompt.
        strategy, decoding: how an API's sentence is put to it and what it may write; see `querywright ask`.
        concurrency: requests that a server has at once; the batch size where it is not given.
        slots: requests that llama.cpp works on at once.
        threads: of a local model.
        api_key: of a server, as `env:NAME`; QUERYWRIGHT_SERVER_KEY by default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: str = Field(min_length=1)
    adapter: str | None = None
    system: str = ""
    temperature: float = Field(default=0.0, ge=0, le=2)
    seed: int = Field(default=0, ge=0)
    samples: int = Field(default=1, ge=1, le=64)
    max_tokens: int = Field(default=512, ge=1, le=32768)
    strategy: str | None = None
    decoding: str | None = None
    concurrency: int | None = Field(default=None, ge=1, le=1024)
    slots: int | None = Field(default=None, ge=1, le=64)
    threads: int | None = Field(default=None, ge=1)
    api_key: str | None = None

    @field_validator("api_key")
    @classmethod
    def _not_here(cls, value: str | None) -> str | None:
        return None if value is None else named(value)

    @field_validator("model")
    @classmethod
    def _no_password(cls, value: str) -> str:
        if is_address(value) and not bare(value):
            raise ValueError("an address holds no key and no password: api_key: env:NAME, or QUERYWRIGHT_SERVER_KEY")
        return value

    @model_validator(mode="after")
    def _sampled(self) -> Entry:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(f"{self.samples} samples at temperature 0 are the same text: a temperature, or samples: 1")
        return self


def public(entry: Entry) -> dict[str, Any]:
    """An entry without what is one machine's own: the name of a key's variable, folders, addresses; of a server what it
    calls the model."""
    told = entry.model_dump(exclude_none=True, exclude={"api_key"})
    for key in ("model", "adapter"):
        if value := told.get(key):
            told[key] = value.partition("#")[2] or "server" if is_address(value) else Path(value).name
    return told


def default_catalogue(api: bool) -> Path:
    """The shipped catalogue: of an API's sentences its tuned model in several ways, else the packaged base model."""
    return data_dir() / "preferences" / ("models_api.yaml" if api else "models.yaml")


def read_catalogue(path: Path | str) -> dict[str, Entry]:
    """The models of a catalogue, by name.

    Raises:
        QuerywrightError: no such file, no YAML, or mistakes in it; all of them are named.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise QuerywrightError(f"could not read {path}: {error.strerror}", hint=_HINT) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise QuerywrightError(f"{path} is no YAML: {' '.join(str(error).split())[:300]}", hint=_HINT) from error
    models = raw.get("models") if isinstance(raw, dict) else None
    if not isinstance(models, dict) or not models:
        raise QuerywrightError(f"{path} names no models", hint=_HINT)
    odd = [f"{key}: unknown key{did_you_mean(str(key), ['models'])}" for key in raw if key != "models"]
    found: dict[str, Entry] = {}
    folded: dict[str, str] = {}
    for name, value in models.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            odd.append(f"{name!r}: a model's name becomes a folder's: letters, digits, . _ + -")
            continue
        if (other := folded.setdefault(name.lower(), name)) != name:
            odd.append(f"{name}: differs from {other} in case only, and not all disks tell folders apart so")
        try:
            found[name] = Entry.model_validate({"model": value} if isinstance(value, str) else value)
        except ValidationError as error:
            odd += [_reason(name, item) for item in error.errors()]
    if odd:
        raise QuerywrightError("\n  ".join([f"{path}: {len(odd)} mistake{'s' * (len(odd) > 1)}", *odd]), hint=_HINT)
    return found


def choose(known: Sequence[str], only: Sequence[str], without: Sequence[str]) -> list[str]:
    """Names of a catalogue, in its order: all, or `only` these, and not those `without`.

    Raises:
        QuerywrightError: an unknown name, or nothing is left.
    """
    for name in (*only, *without):
        if name not in known:
            near = did_you_mean(name, [*known])
            raise QuerywrightError(f"no model {name!r}{near}", hint=f"known: {', '.join(known)}")
    chosen = [name for name in known if (not only or name in only) and name not in without]
    if not chosen:
        raise QuerywrightError("no model is left", hint=f"-x leaves out; known: {', '.join(known)}")
    return chosen


def _reason(name: str, item: Any) -> str:
    key = ".".join([name, *(str(part) for part in item["loc"])])
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key{did_you_mean(str(item['loc'][-1]), [*Entry.model_fields])}"
    if item["type"] == "missing":
        return f"{key}: is missing"
    if item["type"] == "value_error":
        return f"{key}: {item['msg'].removeprefix('Value error, ')}"
    shown = "" if "key" in key.rpartition(".")[2] else f", not {str(item['input'])[:60]!r}"
    return f"{key}: {item['msg']}{shown}"
