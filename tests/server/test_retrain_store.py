"""`feedback retrain --store`: which feedback is exported before a candidate is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from querywright.cli import feedback, feedback_retrain
from querywright.errors import QuerywrightError


def test_the_store_that_is_named_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr("server.flywheel.frozen.test_set", lambda api, home: tmp_path)
    monkeypatch.setattr(feedback, "export", lambda **words: asked.append(words))
    found = feedback_retrain._pairs("mygene", tmp_path, None, "sqlite:///elsewhere.db")
    assert asked == [
        {"api": "mygene", "out": tmp_path / "feedback", "workspace": tmp_path, "store": "sqlite:///elsewhere.db"}
    ]
    assert found == tmp_path / "feedback"  # a folder where nothing was written, as here
    (tmp_path / "feedback").mkdir()
    assert feedback_retrain._pairs("mygene", tmp_path, None) == tmp_path / "feedback" / "pairs.jsonl"
    assert asked[1]["store"] == ""


def test_a_file_and_a_store_are_two_sources(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="--store is what to export"):
        feedback_retrain._pairs("mygene", tmp_path, tmp_path / "pairs.jsonl", "x.db")
