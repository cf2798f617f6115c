"""Models as an export leaves them, without a training: their GGUF is a word."""

from __future__ import annotations

from pathlib import Path

from querywright.artefacts import sha256, write_manifest
from querywright.finetune.lora import WEIGHTS
from querywright.finetune.shipped import BEST, prompt_id
from tests.finetune.tiny import small_adapter


def made(folder: Path, word: str = "", value: float = 1.0) -> Path:
    """A model folder whose GGUF holds `word`; returns the GGUF."""
    adapter = small_adapter(folder / "adapter", value)
    (folder / BEST).write_text(word or folder.name, encoding="utf-8")
    config = {"source": "run", "prompt": prompt_id(), "adapter_sha256": sha256(adapter / WEIGHTS)}
    write_manifest(folder, config, [BEST, f"adapter/{WEIGHTS}"])
    return folder / BEST
