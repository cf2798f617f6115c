"""The scoring notebook runs on what a sweep wrote, and says the same as its text twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from querywright.api.definition import API
from querywright.evaluate import report, score, suite, sweep
from querywright.evaluate.config import Config

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "score.ipynb"
nbformat = pytest.importorskip("nbformat", reason="notebooks need the dev extra")


def test_the_notebook_runs(
    api: API, config: Config, recorded: Any, executor: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nbclient = pytest.importorskip("nbclient", reason="notebooks need the dev extra")
    rows = sweep.run(config, suite.load(api, config.pairs), {"fake": recorded().source()})
    report.write(config, score.score(api, rows, executor))
    monkeypatch.setenv("QUERYWRIGHT_EVAL", config.out)
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(o.get("text", "") for cell in book.cells for o in cell.get("outputs", []))
    assert "40 [" in printed, "same by meaning, with its interval"
    assert "wrong field" in printed
    assert any("image/svg+xml" in o.get("data", {}) for cell in book.cells for o in cell.get("outputs", []))


def test_the_notebook_and_its_text_twin_agree() -> None:
    jupytext = pytest.importorskip("jupytext", reason="notebooks need the dev extra")
    book, text = nbformat.read(NOTEBOOK, as_version=4), jupytext.read(NOTEBOOK.with_suffix(".py"))
    assert [(c.cell_type, c.source) for c in book.cells] == [(c.cell_type, c.source) for c in text.cells]
    assert not any(cell.get("outputs") for cell in book.cells), "stored without outputs"
