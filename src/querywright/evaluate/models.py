"""A model of a sweep: which engines its files are for, and which cells can't be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from querywright.errors import QuerywrightError

Strategy = Literal["zero_shot", "icl", "icl_nearest", "rag", "rag_docs", "rag_icl", "tuned"]
Decoding = Literal["free", "regex", "grammar", "grounded", "gbnf"]
EngineName = Literal["llama", "hf", "outlines", "server"]
Samples = Annotated[int, Field(ge=1, le=32)]
_KINDS = {
    "llama": "a GGUF file", "hf": "a checkpoint folder", "outlines": "a checkpoint folder",
    "server": "a server's address",
}  # fmt: skip


class Absent(QuerywrightError):
    """A part of a sweep that is not here: its model, or its pairs. The other parts can go on without it."""


class Strict(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def one_or_more(value: Any) -> Any:
    """A list's value as people give it, each once: one, several with commas between them, or a list."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if isinstance(value, list | tuple):  # twice the same would be twice the sentences
        return [one for i, one in enumerate(value) if one not in value[:i]]
    return [value] if isinstance(value, int) else value


class Model(Strict):
    """One model of the sweep; what is set here stands instead of the sweep's own lists.

    Attributes:
        path: a GGUF file, a checkpoint or adapter folder, a server's address (`URL#NAME`), `base` for the base model as
            it is packaged, or `tuned` for the GGUF file that `querywright ask` takes; or one of these for each engine
            (`{llama: x.gguf, hf: checkpoint}`). `{api}` in it is the API's name.
        apis: those that it is asked for, where they are not all of the sweep's.
        strategies, decodings, n, engines: the cells of this model, where they differ from the sweep's.
        limit: the number of pairs for each of its cells, where it differs.
        max_tokens: the same; a base model that does not know when to stop is cut earlier.
    """

    path: str | dict[EngineName, str]
    apis: tuple[str, ...] | None = None
    strategies: tuple[Strategy, ...] | None = None
    decodings: tuple[Decoding, ...] | None = None
    n: tuple[Samples, ...] | None = None
    engines: tuple[EngineName, ...] | None = None
    limit: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=8, le=2048)

    @field_validator("apis", "strategies", "decodings", "n", "engines", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return one_or_more(value)

    @model_validator(mode="after")
    def _possible(self) -> Model:
        """Each path is of its engine's kind; engines that are named for this model have a path."""
        by_engine = self.path if isinstance(self.path, dict) else dict.fromkeys(self.engines or (), self.path)
        wrong = [reason for engine, path in by_engine.items() if (reason := unfit(engine, path))]
        wrong += [f"no path for the engine {engine}" for engine in self.engines or () if engine not in by_engine]
        if not self.path or (isinstance(self.path, dict) and not all(self.path.values())):
            wrong.append("no path")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def path_for(self, engine: str) -> str:
        """What an engine opens; empty where it has nothing to."""
        if isinstance(self.path, dict):
            return self.path.get(engine, "")  # type: ignore[call-overload,no-any-return]
        return "" if unfit(engine, self.path) else self.path

    def engines_of(self, asked: tuple[str, ...] | None) -> list[tuple[str, bool]]:
        """(engine, whether cells are named after it): those asked for; else those that its path implies."""
        if self.engines or asked:
            return [(engine, True) for engine in self.engines or asked or ()]
        if isinstance(self.path, dict):
            return [(engine, len(self.path) > 1) for engine in self.path]
        return [(implied(self.path), False)]


def implied(path: str) -> str:
    """The engine that a path stands for: the one that `engines.open` takes for it."""
    if path.startswith(("http://", "https://")):
        return "server"
    if path.startswith("outlines:"):
        return "outlines"
    if path in ("base", "tuned") or path.endswith(".gguf") or Path(path).is_file():
        return "llama"
    folder = Path(path)
    checkpoint = any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))
    return "llama" if not checkpoint and any(folder.glob("*.gguf")) else "hf"


def unfit(engine: str, path: str) -> str:
    """Why an engine can't open a path, empty where it can: `hf takes a checkpoint folder, not model.gguf`."""
    known = implied(path)
    if engine == known or (path == "base" and engine != "server"):
        return ""
    folders = ("hf", "outlines")
    if engine != "server" and known == "hf" and not Path(path).exists():
        return ""  # a folder to come may hold either; whether it does is seen when it is opened
    if engine in folders and (known in folders or (Path(path) / "merged").is_dir()):
        return ""  # what `querywright export` writes has a GGUF file and a checkpoint
    return f"{engine} takes {_KINDS[engine]}, not {path}"


def opened(engine: str, path: str) -> str:
    """The path as `engines.open.open_engine` takes it: of a folder that an export wrote, the file or folder meant."""
    folder = Path(path)
    if engine in ("hf", "outlines"):
        folder = Path(path.removeprefix("outlines:"))
        if not (folder / "config.json").is_file() and (folder / "merged" / "config.json").is_file():
            folder = folder / "merged"
        return f"outlines:{folder}" if engine == "outlines" else str(folder)
    if engine == "llama" and folder.is_dir() and (folder / "model-q8_0.gguf").is_file():
        return str(folder / "model-q8_0.gguf")
    return path


def impossible(engine: str, decoding: str) -> str:
    """Why an engine can't decode so, empty where it can."""
    if decoding == "gbnf" and engine in ("hf", "outlines"):
        return f"{engine} reads no gbnf: llama.cpp and its server do"
    return ""
