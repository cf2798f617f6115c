"""The base checkpoint, made once for all tests, and rows to train on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torchtune", reason="training is an extra: pip install 'querywright[train]'")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def base() -> Path:
    """SmolLM2 as a checkpoint, in the checkout's work folder so that the next run finds it."""
    from querywright.finetune.base import ensure_base

    return ensure_base(ROOT / "work" / "base" / "smollm2-135m")


@pytest.fixture(scope="session")
def rows() -> list[list[dict[str, str]]]:
    """Narrow conversations of several lengths: a few steps are enough for the loss to fall."""
    organs = ("leaf", "root", "stem", "petal of a rose", "seed", "bark of an old oak tree", "bud", "thorn")
    return [
        [
            {"role": "system", "content": "Write the herbarium call."},
            {"role": "user", "content": f"show {n} sheets with a {organ}{', newest first' if n % 2 else ''}"},
            {"role": "assistant", "content": f"/sheets?part={organ.split()[0]}&size={n}"},
        ]
        for n in range(1, 7)
        for organ in organs
    ]


@pytest.fixture
def workspace(tmp_path: Path, rows: list[list[dict[str, str]]]) -> Path:
    """A workspace that holds the rows as chat JSONL."""
    path = tmp_path / "herbarium" / "pairs" / "train.chat.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows), encoding="utf-8")
    return tmp_path / "herbarium"


@pytest.fixture
def querywright(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """A function that runs a command line as the entry point does, in this process, which has the libraries loaded
    already; returns the exit code and what went to standard error, its child's words too."""
    from querywright.cli import main

    def run(*words: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["querywright", *map(str, words)])
        monkeypatch.chdir(ROOT)
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capfd.readouterr().err

    return run


@pytest.fixture
def tune(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that runs torchtune's own command line, in this process as well."""
    from torchtune._cli.tune import main

    def run(*words: object) -> None:
        monkeypatch.setattr("sys.argv", ["tune", *map(str, words)])
        monkeypatch.chdir(ROOT)
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, ended.value.code

    return run
