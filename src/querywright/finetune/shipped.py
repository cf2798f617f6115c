"""Which model answers for an API: one trained here, or a shipped adapter, merged into the base on first use."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from querywright.api.nearest import FIELDS
from querywright.artefacts import MANIFEST, content_id, data_dir, sha256, write_manifest
from querywright.errors import QuerywrightError
from querywright.finetune.base import packaged_gguf
from querywright.finetune.lora import WEIGHTS, deltas, read_adapter
from querywright.finetune.to_gguf import write_gguf
from querywright.progress import say
from querywright.rows import system_line

GGUF = "model-{kind}.gguf"
KINDS = ("q8_0", "q4_k_m", "f16")  # the one to use first
NAMES = tuple(GGUF.format(kind=kind) for kind in KINDS)
BEST = NAMES[0]
GENERAL = "general"


def prompt_id() -> str:
    """What a tuned model's prompt looks like, as a hash: a model trained for another one would answer badly."""
    return content_id(system_line("API", [f"FIELD {i}" for i in range(FIELDS)]))


def names_for(api: Any) -> list[str]:
    """Under which names a model for an API (a name or a definition) may stand: its own; then, for any API with a query
    language, the general one's, which reads the nearest fields off its prompt."""
    general = getattr(api, "query_language", "none") == "lucene"
    return [str(getattr(api, "name", api)), *([GENERAL] if general else [])]


def shipped_adapter(name: str) -> Path | None:
    """The folder of an adapter that comes with Querywright, None if there is none of this name."""
    folder = data_dir() / "adapters" / name
    return folder if (folder / WEIGHTS).is_file() else None


def ensure_model(api: Any, workspace: Path) -> Path:
    """The GGUF to answer with for an API (a name or a definition).

    The first of: what was trained in its workspace; the shipped adapter of its own; what was trained as the general
    model in the folder beside it (`work/general`); the shipped general adapter. A shipped adapter is merged into the
    base on first use, which takes about half a minute, the general one once for all APIs.

    Raises:
        QuerywrightError: there is none, or the one that comes first was trained here for another prompt.
    """
    names = names_for(api)
    for name in names:
        home = Path(workspace) if name == names[0] else Path(os.path.normpath(Path(workspace, "..", name)))
        folder = home / "model"
        made, path = _made(folder)
        if path is not None and made.get("source") == "run":
            if made.get("prompt") != prompt_id():
                raise QuerywrightError(
                    f"{path} was trained for another prompt than this version of Querywright asks with",
                    hint="train it again (querywright pairs split, finetune, export), or move the folder away",
                )
            say(f"model: {path}, trained here")
            return path
        if adapter := shipped_adapter(name):
            return _merged_once(adapter, name, folder, made if path is not None else {})
    raise QuerywrightError(
        f"no tuned model for {names[0]}: none was exported to {Path(workspace) / 'model'} and none is shipped",
        hint="train one (querywright finetune, querywright export), or name a file with --model",
    )


def _merged_once(adapter: Path, name: str, folder: Path, made: dict[str, Any]) -> Path:
    """The GGUF of a shipped adapter in `folder`; written unless it was made of just these."""
    base, path = packaged_gguf(), folder / BEST
    config = {"source": "shipped", "api": name, "adapter_sha256": sha256(adapter / WEIGHTS), "base": base.name}
    if made != config:
        say(f"model: merging the shipped adapter ({name}) into {base.name} (once, about half a minute)")
        folder.mkdir(parents=True, exist_ok=True)
        write_gguf(base, deltas(*read_adapter(adapter)), {"q8_0": path}, f"SmolLM2-135M {name}")
        write_manifest(folder, config, [BEST])
    return path


def _made(folder: Path) -> tuple[dict[str, Any], Path | None]:
    """What a model folder was made from, and its GGUF to use: the first of :data:`KINDS` that is there, if whole."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        config, files = dict(manifest["config"]), dict(manifest["files"])
    except (OSError, ValueError, TypeError, KeyError):  # none, or damaged: as if there were none
        return {}, None
    name = next((name for name in NAMES if name in files), BEST)
    path = folder / name
    return config, path if path.is_file() and files.get(name) == sha256(path) else None
