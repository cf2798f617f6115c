"""A path or an address to an engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from querywright.engines.base import Engine, EngineError


def is_address(model: Path | str) -> bool:
    """Whether `model` is a server's address, not a file or folder."""
    return str(model).startswith(("http://", "https://"))


def open_engine(
    model: Path | str,
    *,
    adapter: Path | str | None = None,
    threads: int | None = None,
    isolated: bool = False,
    tries: int = 3,
    slots: int | None = None,
    hang_s: float = 60.0,
    key: str | None = None,
) -> Engine:
    """Open the model that `model` names.

    Args:
        model: a GGUF file (llama.cpp), a checkpoint folder (transformers), `outlines:FOLDER`, an adapter's folder, or
            the address of an OpenAI-compatible server with `#NAME` behind it where it serves several models.
        adapter: a PEFT adapter for a checkpoint folder.
        threads: for llama.cpp and torch; derived and announced by default.
        isolated: run it in a process of its own, so that a crash fails what is in it and not this process.
        tries: how often a server that is busy or gone for a moment is asked before a request fails.
        slots: how many requests it is to work on at once; 1 by default, of a server 8. llama.cpp and servers can do
            several; the engine's `capacity` says what it came to.
        hang_s: seconds of silence after which a process of its own is taken for dead; a prompt has to be read, or a
            batch of texts weighed, within it.
        key: of a server; the environment's by default (see `server`).

    Raises:
        EngineError: there is no such model, or it can't be read.
    """
    name = str(model)
    if isolated and not is_address(name):
        from querywright.engines.child import ChildEngine

        beside = str(adapter) if adapter else None
        return ChildEngine(name, adapter=beside, threads=threads, slots=slots, hang_s=hang_s)
    if is_address(name):
        from querywright.engines.server import ServerEngine

        url, _, served = name.partition("#")
        return ServerEngine(url, model=served, tries=tries, capacity=slots or 8, key=key)
    if name.startswith("outlines:"):
        from querywright.engines.through_outlines import OutlinesEngine

        return OutlinesEngine(name.removeprefix("outlines:"), adapter=adapter, threads=threads)
    path = Path(name)
    if path.is_dir():
        return _folder(path, adapter, threads, slots)
    if not path.exists():
        raise EngineError(f"no model at {path}", hint="--model takes a GGUF file, a checkpoint or a URL")
    return _llama(path, threads, slots)


def _llama(path: Path, threads: int | None, slots: int | None) -> Engine:
    from querywright.engines.llama import LlamaEngine

    return LlamaEngine(path, threads=threads, slots=slots or 1)


def _folder(path: Path, adapter: Path | str | None, threads: int | None, slots: int | None) -> Engine:
    if not (path / "config.json").is_file() and (path / "adapter_config.json").is_file():
        config: dict[str, Any] = json.loads((path / "adapter_config.json").read_text(encoding="utf-8"))
        base = Path(str(config.get("base_model_name_or_path", "")))
        if not base.is_dir():
            raise EngineError(
                f"{path} is an adapter whose base {base} is not here",
                hint="the merged checkpoint or GGUF file that `querywright export` writes beside it",
            )
        path, adapter = base, path
    if not (path / "config.json").is_file():
        ggufs = sorted(path.glob("*.gguf"))
        if len(ggufs) != 1:
            raise EngineError(f"{path} holds no model (no config.json, {len(ggufs)} GGUF files)", hint="name the file")
        return _llama(ggufs[0], threads, slots)
    from querywright.engines.hf import TransformersEngine

    return TransformersEngine(path, adapter=adapter, threads=threads)
