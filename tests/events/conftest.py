"""A generated workspace, and a tokenizer that keeps numbers whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data" / "samples"


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 conversations as `workspace.jsonl` and `slack/`, and `truth.jsonl`."""
    folder = tmp_path_factory.mktemp("workspace")
    made = [sys.executable, str(SAMPLES / "make_workspace.py"), "make", "--out", str(folder), "--conversations", "120"]
    subprocess.run(made, check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture(scope="session")
def whole_numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level tokenizer, as GPT-2's, that has seen the numbers below 60 with a space before them, and `nil`."""
    tokenizers: Any = pytest.importorskip("tokenizers")
    from tokenizers import decoders, models, pre_tokenizers, trainers

    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=2000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    made.train_from_iterator([f"a {n}" for n in range(60)] * 40 + ["so nil"] * 40, trainer)
    path = tmp_path_factory.mktemp("numbers") / "tokenizer.json"
    made.save(str(path))
    return path


@pytest.fixture
def lines(tmp_path: Path) -> Callable[..., Path]:
    """Write events (dicts, or raw lines) as a JSON lines file."""

    def write(*events: dict[str, Any] | str) -> Path:
        path = tmp_path / "log.jsonl"
        path.write_text("".join((e if isinstance(e, str) else json.dumps(e)) + "\n" for e in events), encoding="utf-8")
        return path

    return write
