"""One GGUF file of a finished run, where an export with its card and its check against an API is not what is wanted."""

from __future__ import annotations

import json
from pathlib import Path

from querywright.artefacts import alone, is_done, sha256, write_manifest
from querywright.errors import QuerywrightError
from querywright.finetune.base import is_packaged, packaged_gguf
from querywright.finetune.beside import quantise
from querywright.finetune.export import finished_run
from querywright.finetune.family import family
from querywright.finetune.hf_to_gguf import write_hf_gguf
from querywright.finetune.lora import WEIGHTS, deltas, read_adapter
from querywright.finetune.merge import stop_ids
from querywright.finetune.to_gguf import write_gguf
from querywright.progress import say


def one_gguf(run_folder: Path, target: Path, name: str) -> Path:
    """Write base and adapter of a run as one 8-bit file, a second time only if the adapter changed.

    Args:
        target: the file; its folder is for it alone, as it gets the manifest.
        name: what the model calls itself in the file.

    Raises:
        QuerywrightError: no finished run there, or its base is gone.
    """
    run, adapter = finished_run(run_folder)
    settings = (run.get("config") or {}).get("settings") or {}
    base = Path((settings.get("checkpointer") or {}).get("checkpoint_dir") or "")
    if not (base / "config.json").is_file():
        raise QuerywrightError(f"the base that {run_folder} was trained on is gone: {base}", hint="train it again")
    config = {"adapter_sha256": sha256(adapter / WEIGHTS), "base": (run.get("base") or {}).get("sha256"), "name": name}
    with alone(target.parent):
        if is_done(target.parent, json.loads(json.dumps(config))):
            return target
        say(f"writing {target}")
        kind, added = family(base), deltas(*read_adapter(adapter))
        stop_ids(base, kind)
        if is_packaged(base):
            write_gguf(packaged_gguf(), added, {"q8_0": target}, name, template=kind.template)
        else:
            half = target.with_name(f".{target.name}.f16.part")
            try:
                write_hf_gguf(base, added, half, name, kind)
                quantise(half, target, "q8_0")
            finally:
                half.unlink(missing_ok=True)
        write_manifest(target.parent, config, [target.name])
    return target
