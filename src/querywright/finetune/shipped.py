"""Which model answers for an API: one promoted here, one trained here, or a shipped adapter, merged on first use."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.api.nearest import FIELDS
from querywright.artefacts import MANIFEST, content_id, data_dir, sha256, write_manifest
from querywright.errors import QuerywrightError
from querywright.finetune.base import packaged_gguf
from querywright.finetune.family import SMOLLM2
from querywright.finetune.lora import WEIGHTS, deltas, read_adapter
from querywright.finetune.promoted import folder_of, read_promoted
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


@dataclass(frozen=True)
class Standing:
    """The model that answers for an API.

    Attributes:
        path: its GGUF.
        adapter: the folder of its adapter, from which a training can go on.
        id: of a promoted model its folder's name; of the others, where they come from and their adapter's hash.
    """

    path: Path
    adapter: Path
    id: str


def located(model: str, api: Any = None, workspace: Path | None = None) -> str:
    """The path or address of a model as catalogues name it: `base` is the packaged one, `tuned` what answers
    for an API (a definition) in its workspace, `work/API` by default; anything else is a path or an address itself.

    Raises:
        QuerywrightError: the packaged model is not installed, `tuned` without an API, or see :func:`standing`.
    """
    if model == "base":
        return str(packaged_gguf())
    if model == "tuned":
        if api is None:
            raise QuerywrightError("`tuned` is the model of an API", hint="--api NAME, or another model")
        return str(ensure_model(api, workspace or Path("work") / api.name))
    return model


def ensure_model(api: Any, workspace: Path) -> Path:
    """The GGUF to answer with for an API (a name or a definition); see :func:`standing`."""
    return standing(api, workspace).path


def standing(api: Any, workspace: Path) -> Standing:
    """The model that answers for an API (a name or a definition).

    The first of: what `querywright feedback` promoted in its workspace; what was trained there; the shipped adapter of
    its own; what was trained as the general model in the folder beside it (`work/general`); the shipped general
    adapter. A shipped adapter is merged into the base on first use, which takes about half a minute, the general one
    once for all APIs. A promoted model that is not whole is passed over, and that is said.

    Raises:
        QuerywrightError: there is none, or the one that comes first was trained here for another prompt.
    """
    if found := _promoted(Path(workspace)):
        return found
    names = names_for(api)
    for name in names:
        home = Path(workspace) if name == names[0] else Path(os.path.normpath(Path(workspace, "..", name)))
        folder = home / "model"
        made, path = _made(folder)
        if path is not None and made.get("source") == "run":
            _check_prompt(
                made, path, "train it again (querywright pairs split, finetune, export), or move the folder away"
            )
            say(f"model: {path}, trained here")
            return Standing(path, folder / "adapter", f"trained-{str(made.get('adapter_sha256'))[:12]}")
        if adapter := shipped_adapter(name):
            path = _merged_once(adapter, name, folder, made if path is not None else {})
            return Standing(path, adapter, f"shipped-{sha256(adapter / WEIGHTS)[:12]}")
    raise QuerywrightError(
        f"no tuned model for {names[0]}: none was exported to {Path(workspace) / 'model'} and none is shipped",
        hint="train one (querywright finetune, querywright export), or name a file with --model",
    )


def _promoted(workspace: Path) -> Standing | None:
    """The promoted model of a workspace, None where there is none that is whole."""
    try:
        current = read_promoted(workspace)["current"]
    except QuerywrightError as error:
        say(f"warning: {error}; the model that stood before answers ({error.hint})")
        return None
    if current is None:
        return None
    folder = folder_of(workspace, current["id"])
    made, path = _intact(folder)
    if path is None:
        say(
            f"warning: the promoted model {folder} is missing or damaged; the model that stood before it answers "
            "(querywright feedback rollback settles that, querywright feedback retrain makes a new one)"
        )
        return None
    _check_prompt(made, path, "querywright feedback rollback, or querywright feedback retrain makes a new one")
    say(f"model: {path}, promoted {current.get('at', '')}".rstrip())
    return Standing(path, folder / "adapter", current["id"])


def _check_prompt(made: dict[str, Any], path: Path, hint: str) -> None:
    if made.get("prompt") != prompt_id():
        raise QuerywrightError(
            f"{path} was trained for another prompt than this version of Querywright asks with", hint=hint
        )


def whole(folder: Path) -> bool:
    """Whether a folder holds a model as an export leaves it, unchanged since, for the prompt of this version."""
    made, path = _intact(folder)
    return path is not None and made.get("prompt") == prompt_id()


def _intact(folder: Path) -> tuple[dict[str, Any], Path | None]:
    """As `_made`, of an exported model; its adapter, from which the next training goes on, has to be whole as well."""
    made, path = _made(folder)
    name = f"adapter/{WEIGHTS}"
    if path is None or made.get("source") != "run" or not (folder / name).is_file():
        return made, None
    files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    return made, path if files.get(name) == sha256(folder / name) else None


def _merged_once(adapter: Path, name: str, folder: Path, made: dict[str, Any]) -> Path:
    """The GGUF of a shipped adapter in `folder`; written unless it was made of just these."""
    base, path = packaged_gguf(), folder / BEST
    config = {"source": "shipped", "api": name, "adapter_sha256": sha256(adapter / WEIGHTS), "base": base.name}
    if made != config:
        say(f"model: merging the shipped adapter ({name}) into {base.name} (once, about half a minute)")
        folder.mkdir(parents=True, exist_ok=True)
        write_gguf(
            base, deltas(*read_adapter(adapter)), {"q8_0": path}, f"SmolLM2-135M {name}", template=SMOLLM2.template
        )
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
