"""`querywright questions eval` as people run it, against a server that has faults and takes no JSON schemas."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.evaluate.doors import CHUNKS, ROWS
from tests.protocol import Chat, Fault, serve

KEY = "not-to-be-seen-anywhere"


def said(body: dict[str, Any]) -> str:
    text = body["messages"][-1]["content"]
    if "Which grade" in text:
        parts = dict(re.findall(r"=== (\w+) \w+ begins\n(.*)\n", text))
        return f"Grade: {5 if parts['ANSWER'] == parts['REFERENCE'] else 1}"
    number = re.findall(r"door (\d+)\?", text)[0]
    found = re.search(rf"Door {number} of the house is (\w+)", text)
    return found[1] if found else "I can't know that."


def run(folder: Path, *args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "querywright", "questions", "eval", *map(str, args)], cwd=folder, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "DOOR_KEY": KEY}, capture_output=True, timeout=240,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "house.json").write_text(json.dumps([chunk.text for chunk in CHUNKS]))
    return tmp_path


def catalogue(folder: Path, url: str) -> Path:
    models = {name: {"model": f"{url}#{name}", "api_key": "env:DOOR_KEY"} for name in ("small", "large")}
    (folder / "models.yaml").write_text(yaml.safe_dump({"models": models}))
    return folder / "models.yaml"


def test_a_server_with_faults_is_asked_to_the_end(folder: Path) -> None:
    room = Chat(said, models=("small", "large"), key=KEY)
    args = ("rows.jsonl", "--documents", "house.json", "--models", "small", "--strategies", "closed,window",
            "--judge", "large", "judge.controls=2", "text_scores={}", "--json")  # fmt: skip
    with serve(room, faults=[None, Fault(status=503, retry_after="0"), None, Fault(drop="before")]) as service:
        first = run(folder, *args, "--catalogue", catalogue(folder, service.url))
    assert first.returncode == 0, first.stderr
    assert len(room.bodies) == 18 + 2 * (18 + 2), "each question once, each grade once an order"
    found = json.loads(first.stdout)
    scores = {cell["name"]: cell["scores"] for cell in found["cells"]}
    assert (scores["small · closed"]["f1"]["mean"], scores["small · window"]["f1"]["mean"]) == (0, 1)
    assert scores["small · window"]["judge"]["mean"] == 1
    assert (found["judge"]["name"], found["judge"]["judged_too"], found["judge"]["unread"]) == ("large", [], 0)
    assert found["cells"][0]["cost"]["total"] is None, "nobody said a price"
    out = folder / "eval" / "questions"
    every = "".join(path.read_text("utf-8", "replace") for path in out.rglob("*") if path.is_file())
    for secret in (KEY, "DOOR_KEY"):
        assert secret not in every
        assert secret not in first.stderr
    seen = "".join((out / name).read_text() for name in ("scores.json", "report.html", "responses_questions.jsonl"))
    assert "127.0.0.1" not in seen, "what is shown to others names no machine"


def test_mistakes_have_a_next_step(folder: Path) -> None:
    places = catalogue(folder, "http://127.0.0.1:9/v1")
    for args, told in (
        (("absent.jsonl",), "could not read absent.jsonl"),
        (("rows.jsonl", "--models", "smal", "--catalogue", places), "did you mean 'small'"),
        (("rows.jsonl", "stratgies=rag"), "did you mean 'strategies'"),
        (("rows.jsonl", "--strategies", "rag"), "nothing can be asked: rag: there are no documents"),
        (("rows.jsonl", "--documents", "absent.json"), "absent.json"),
        (("rows.jsonl", "--models", "small", "--catalogue", places, "--strategies", "closed", "--limit", "1"),
         "small.closed: 1 in a row got no answer"),
    ):
        done = run(folder, *args)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
        assert told in done.stderr
        assert "try: " in done.stderr
