"""An adapter alone, merged into its base: what a second training (DPO) starts from."""

from __future__ import annotations

from pathlib import Path

from querywright.artefacts import alone, is_done, replacing, sha256, write_manifest
from querywright.errors import QuerywrightError
from querywright.finetune.base import DEFAULT_FOLDER, ensure_base, is_packaged
from querywright.finetune.family import DOWNLOAD, family
from querywright.finetune.lora import CONFIG, WEIGHTS, deltas, read_adapter
from querywright.finetune.merge import merge, shards
from querywright.finetune.record import base_facts
from querywright.finetune.shipped import shipped_adapter
from querywright.progress import say

CHECKPOINT = "checkpoint"


def adapter_folder(name: str) -> Path | None:
    """The folder of an adapter: a path that holds one, or the name of one that is shipped; None for anything else."""
    folder = Path(name)
    return folder if (folder / WEIGHTS).is_file() and (folder / CONFIG).is_file() else shipped_adapter(name)


def merge_adapter(adapter: Path, out: Path, base: Path = DEFAULT_FOLDER) -> Path:
    """Write base and adapter as one checkpoint to `out/checkpoint`, a second time only if something changed. The
    adapter stays beside it, in `out/adapter`.

    Args:
        adapter: folder in PEFT's layout.
        base: folder of the checkpoint that it was trained on; the packaged one is made if it is not there.

    Returns:
        The checkpoint's folder, for `checkpointer.checkpoint_dir` of a config.

    Raises:
        QuerywrightError: no such base, or the adapter does not fit it.
    """
    if is_packaged(base):
        base = ensure_base(base)
    elif not (base / "config.json").is_file():
        raise QuerywrightError(f"no base checkpoint in {base}", hint=f"--base FOLDER; {DOWNLOAD}")
    config = {"adapter_sha256": sha256(adapter / WEIGHTS), "base": base_facts(base).get("sha256"), "source": "merge"}
    folder = out / CHECKPOINT
    with alone(out):
        if is_done(out, config):
            say(f"merge: {folder} is whole")
            return folder
        say(f"merge: {adapter} into {base}, to {folder}")
        merge(base, deltas(*read_adapter(adapter)), folder, family(base))
        kept = [f"adapter/{name}" for name in (CONFIG, WEIGHTS)]  # what is trained on top is exported with it
        if adapter.resolve() != (out / "adapter").resolve():
            for name in kept:
                with replacing(out / name, "wb") as copy:
                    copy.write((adapter / Path(name).name).read_bytes())
        names = [*kept, *(f"{CHECKPOINT}/{name}" for name in ("config.json", *shards(folder)))]
        write_manifest(out, config, names, base_folder=str(base))
    return folder
