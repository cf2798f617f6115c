"""What leaves training: adapter, merged checkpoint, GGUF, Modelfile, model card; and the way back from an adapter."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from querywright.api.nearest import FIELDS
from querywright.artefacts import MANIFEST, content_id, data_dir, is_done, sha256, write_manifest, write_text
from querywright.errors import QuerywrightError
from querywright.finetune.base import DEFAULT_FOLDER, MODEL_ID, ensure_base, packaged_gguf
from querywright.finetune.card import card, modelfile
from querywright.finetune.lora import CONFIG, WEIGHTS, deltas, read_adapter, write_adapter
from querywright.finetune.to_gguf import write_gguf
from querywright.progress import say
from querywright.rows import system_line

GGUF = "model-{kind}.gguf"
BEST = GGUF.format(kind="q8_0")
GENERAL = "general"
WHAT = {
    f"adapter/{WEIGHTS}": "the LoRA adapter in PEFT's layout, 16 bit",
    "merged/model.safetensors": "base and adapter as one checkpoint, 32 bit",
    GGUF.format(kind="f16"): "for llama.cpp, 16 bit",
    BEST: "for llama.cpp, 8 bit: the file to use",
    "Modelfile": "for `ollama create`",
}


def finished_run(folder: Path) -> tuple[dict[str, Any], Path]:
    """The manifest of a training run's folder, and the folder of its adapter.

    Raises:
        QuerywrightError: no finished run there.
    """
    try:
        run = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        going = (folder / "resume.safetensors").is_file()
        raise QuerywrightError(
            f"no finished training run in {folder}" + (": it was stopped half-way" if going else ""),
            hint="querywright finetune CONFIG" + (" goes on" if going else ""),
        ) from error
    epochs = sorted(folder.glob("epoch_*"), key=lambda path: int(path.name.split("_")[1]))
    for candidate in (folder / "adapter", *reversed(epochs)):
        if (candidate / WEIGHTS).is_file():
            return run, candidate
    raise QuerywrightError(f"{folder} holds no adapter", hint="train it again: querywright finetune CONFIG")


def export(
    run_folder: Path,
    out: Path,
    api: str,
    *,
    base: Path = DEFAULT_FOLDER,
    merged: bool = True,
    scores: Sequence[Path] = (),
    definition: str = "",
) -> Path:
    """Make everything that a finished run is used through; returns the GGUF to use. Takes about a minute.

    Args:
        run_folder: ``output_dir`` of the training.
        out: gets ``adapter/``, ``merged/``, two GGUF files, ``Modelfile``, ``README.md`` and last the manifest.
        base: folder of the base checkpoint, made if it is not there.
        merged: whether the merged checkpoint (540 MB) is wanted.
        scores: ``scores.json`` of the evaluations that the card shows.
        definition: id of the API's definition (``api.identity``), by which ``schema diff --model`` judges.

    Raises:
        QuerywrightError: no finished run.
    """
    run, source = finished_run(run_folder)
    measured = [json.loads(path.read_text(encoding="utf-8")) for path in scores]
    hashes = [sha256(path) for path in scores]
    config = {"source": "run", "api": api, "adapter_sha256": sha256(source / WEIGHTS), "merged": merged}
    config |= {"prompt": prompt_id(), **({"definition": definition} if definition else {})}
    if not is_done(out, {**config, "scores_sha256": hashes}):
        (out / MANIFEST).unlink(missing_ok=True)
        say(f"export: adapter of {run_folder} to {out}")
        write_adapter(source, out / "adapter", MODEL_ID)
        added = deltas(*read_adapter(out / "adapter"))
        if merged:
            merge(ensure_base(base), added, out / "merged")
        targets = {kind: out / GGUF.format(kind=kind) for kind in ("f16", "q8_0")}
        write_gguf(packaged_gguf(), added, targets, f"SmolLM2-135M {api}")
        write_text(out / "Modelfile", modelfile(BEST, api))
        files = {name: what for name, what in WHAT.items() if (out / name).is_file()}
        write_text(out / "README.md", card(api, run, measured, files))
        write_text(out / "adapter" / "README.md", card(api, run, measured, {WEIGHTS: WHAT[f"adapter/{WEIGHTS}"]}))
        names = [*files, f"adapter/{CONFIG}", "adapter/README.md", "README.md"]
        write_manifest(out, {**config, "scores_sha256": hashes}, names, run=run)
    size = (out / "adapter" / WEIGHTS).stat().st_size / 1e6
    say(f"adapter {size:.1f} MB, model card {out / 'README.md'}; try: querywright ask --api {api} --model {out / BEST}")
    return out / BEST


def prompt_id() -> str:
    """What a tuned model's prompt looks like, as a hash: a model trained for another one would answer badly."""
    return content_id(system_line("API", [f"FIELD {i}" for i in range(FIELDS)]))


def merge(base: Path, added: dict[str, Any], out: Path) -> None:
    """Base checkpoint plus an adapter's deltas as one checkpoint in ``out``, float32, nothing of the adapter beside it.

    (torchtune's own merged folder holds ``adapter_config.json`` too; transformers then adds the adapter again.)
    """
    from safetensors.numpy import load_file, save_file

    weights = load_file(base / "model.safetensors")
    stray = set(added) - set(weights)
    if stray:
        raise QuerywrightError(f"the adapter does not fit {base}: {sorted(stray)[:3]}", hint="train it on this base")
    for name, delta in added.items():
        weights[name] = weights[name] + delta
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        for path in base.iterdir():
            if path.suffix in (".json", ".jinja") and path.name != MANIFEST:
                shutil.copy2(path, part / path.name)
        save_file(weights, part / "model.safetensors", metadata={"format": "pt"})
        shutil.rmtree(out, ignore_errors=True)
        os.replace(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


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
        made, whole = _made(folder)
        if whole and made.get("source") == "run":
            if made.get("prompt") != prompt_id():
                raise QuerywrightError(
                    f"{folder / BEST} was trained for another prompt than this version of Querywright asks with",
                    hint="train it again (querywright pairs split, finetune, export), or move the folder away",
                )
            say(f"model: {folder / BEST}, trained here")
            return folder / BEST
        if adapter := shipped_adapter(name):
            return _merged_once(adapter, name, folder, made if whole else {})
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


def _made(folder: Path) -> tuple[dict[str, Any], bool]:
    """What a model folder was made from, and whether its GGUF is whole."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        config, files = dict(manifest["config"]), dict(manifest["files"])
    except (OSError, ValueError, TypeError, KeyError):  # none, or damaged: as if there were none
        return {}, False
    path = folder / BEST
    return config, path.is_file() and files.get(BEST) == sha256(path)
