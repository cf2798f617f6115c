"""A log to rows: split by conversation and time, labels, prompts without ids, through the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from querywright.artefacts import read_jsonl
from querywright.errors import QuerywrightError
from querywright.events.build import Options, build
from querywright.events.examples import Settings
from querywright.events.message import seconds
from querywright.rows import chat

PARTS = ("train", "valid", "test")
HOUR = 3600.0


@pytest.fixture(scope="module")
def made(workspace: Path, smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("events")
    command = [sys.executable, "-m", "querywright", "events", "build", str(workspace / "workspace.jsonl")]
    more = ["--out", str(out), "--tokenizer", str(smollm2), "--window", "4", "--valid", "0.2", "--test", "0.2"]
    done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "of 10 integers that are one token" in done.stderr
    assert "more people than labels" in done.stderr or "fewer answers than needed" in done.stderr
    again = subprocess.run([*command, *more], capture_output=True, text=True, timeout=300)
    assert "nothing to do" in again.stderr
    return out


def test_rows_are_pairs(made: Path) -> None:
    labels = json.loads((made / "labels.json").read_text(encoding="utf-8"))
    known = {p["label"] for p in labels["people"]}
    assert labels["nil"]["tokens"][0] not in {p["token"] for p in labels["people"]}
    for part in PARTS:
        rows = read_jsonl(made / f"{part}.jsonl")
        assert read_jsonl(made / f"{part}.chat.jsonl") == [chat(r) for r in rows]
        for r in rows:
            assert r["answer"] in known or r["answer"] == "nil"
            assert ("weak" in r) == (r["answer"] == "nil")
            assert r["answer"] != r["author"]
            assert 1 <= len(r["instruction"].split("\n\n")) == len(r["speakers"]) <= 4
            assert not re.search(r"U0[A-Z0-9]{6}|https?:|```|<[@#!]|:\w+:", r["instruction"])
            assert chat(r)["messages"][-1]["content"] == r["answer"]
    report = json.loads((made / "report.json").read_text(encoding="utf-8"))
    assert report["read"]["left out"]["line that is no JSON"] == 1
    train = read_jsonl(made / "train.jsonl")
    nil = Counter(r["weak"] for r in train if "weak" in r)
    assert nil == {k[5:]: v for k, v in report["parts"]["train"].items() if k.startswith("nil: ")}
    assert nil["nobody answered"] > 5


def test_sides_share_nothing_and_follow_each_other(made: Path) -> None:
    parts = {part: read_jsonl(made / f"{part}.jsonl") for part in PARTS}
    report = json.loads((made / "report.json").read_text(encoding="utf-8"))
    for key in ("canonical", "message", "id"):
        held = [{r[key] for r in rows} for rows in parts.values()]
        assert not held[0] & held[1]
        assert not held[0] & held[2]
        assert not held[1] & held[2]
    for earlier, later in (("train", "valid"), ("valid", "test")):
        cut = seconds(report["cuts"][later])
        assert cut is not None
        # an answer may come up to four hours after the moment: that too lies before the cut
        assert max(seconds(r["moment"]) or 0 for r in parts[earlier]) + 4 * HOUR <= cut + 1
        assert min(seconds(r["moment"]) or 0 for r in parts[later]) >= cut
        assert report["parts"][earlier]["over the cut"] > 0


def test_what_comes_after_the_cut_has_no_say_in_train(
    made: Path, workspace: Path, smollm2: Path, tmp_path: Path
) -> None:
    """Other people answer everything after the cut: labels and training rows stay."""
    report = json.loads((made / "report.json").read_text(encoding="utf-8"))
    cut = seconds(report["cuts"]["valid"])
    assert cut is not None
    changed = []
    for line in (workspace / "workspace.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
            late = isinstance(event, dict) and event.get("time", 0) >= cut + 1
        except ValueError:
            late = False
        if late and event["type"] == "message":
            line = json.dumps({**event, "user": f"W{len(changed) % 3}", "text": "something else entirely"})
        elif late:
            continue
        changed.append(line)
    (tmp_path / "log.jsonl").write_text("\n".join(changed), encoding="utf-8")
    options = Options(Settings(window=4 * HOUR), valid=0.2, test=0.2)
    build(tmp_path / "log.jsonl", tmp_path / "out", str(smollm2), options)
    for name in ("train.jsonl", "labels.json"):
        assert (tmp_path / "out" / name).read_bytes() == (made / name).read_bytes()


def test_same_log_same_bytes_and_no_names(workspace: Path, made: Path, smollm2: Path, tmp_path: Path) -> None:
    options = {"valid": 0.2, "test": 0.2}
    settings = Settings(window=4 * HOUR)
    build(workspace / "slack", tmp_path / "a", str(smollm2), Options(settings, **options))  # type: ignore[arg-type]
    build(workspace / "slack", tmp_path / "b", str(smollm2), Options(settings, **options, names=True))  # type: ignore[arg-type]
    assert (tmp_path / "a" / "train.jsonl").read_bytes() == (tmp_path / "b" / "train.jsonl").read_bytes()
    given = json.loads((made / "labels.json").read_text(encoding="utf-8"))["people"]
    assert json.loads((tmp_path / "a" / "labels.json").read_text(encoding="utf-8"))["people"] == given
    assert all("name" in p for p in json.loads((tmp_path / "b" / "labels.json").read_text(encoding="utf-8"))["people"])
    names = [u["real_name"] for u in json.loads((workspace / "slack" / "users.json").read_text()) if "real_name" in u]
    everything = "".join(p.read_text(encoding="utf-8") for p in (tmp_path / "a").iterdir())
    assert not [name for name in names if name in everything]


def test_answers_as_completions_and_sets(workspace: Path, whole_numbers: Path, tmp_path: Path) -> None:
    options = Options(
        Settings(last=2, window=4 * HOUR, answer="set"),
        style="completion",
        valid=0.2,
        test=0.2,
        speakers=True,
        at_least=1,
    )
    report = build(workspace / "workspace.jsonl", tmp_path, str(whole_numbers), options)
    assert report["labels"]["given"] == 12
    rows = read_jsonl(tmp_path / "train.jsonl")
    assert any(" " in r["answer"] for r in rows)
    assert any("11" in r["answer"].split() for r in rows)
    for r in rows:
        assert [m.partition(": ")[0] for m in r["instruction"].split("\n\n")] == r["speakers"]


def test_long_prompts_lose_their_oldest_words(lines: Callable[..., Path], smollm2: Path, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    for day in range(12):
        at = day * 86_400.0
        long = " ".join(f"word{i}" for i in range(300))
        for i, (user, text) in enumerate(
            [("A", long), ("B", "some short words"), ("A", "thank you so much"), ("B", long)]
        ):
            events.append({"channel": "c", "user": user, "time": at + 60 * i + 1e9, "text": text})
    options = Options(Settings(window=HOUR), max_tokens=50, at_least=1, valid=0.2, test=0.2)
    report = build(lines(*events), tmp_path / "out", str(smollm2), options)
    rows = read_jsonl(tmp_path / "out" / "train.jsonl")
    assert report["parts"]["train"]["prompts shortened"] > 0
    assert {len(r["instruction"].split("\n\n")) for r in rows} == {1, 2}
    assert rows[0]["instruction"].startswith("word0 word1")
    assert len(rows[0]["instruction"]) < 150
    assert rows[2]["instruction"] == "some short words\n\nthank you so much"


def test_mistakes_end_in_a_sentence(
    lines: Callable[..., Path], smollm2: Path, whole_numbers: Path, tmp_path: Path
) -> None:
    few = [{"channel": "c", "user": "AB"[i % 2], "time": 1e9 + i * 5e5, "text": "words to read"} for i in range(3)]
    with pytest.raises(QuerywrightError, match="too few for train"):
        build(lines(*few), tmp_path / "a", str(smollm2), Options())
    many = [{"channel": "c", "user": "ABC"[i % 3], "time": 1e9 + i * 5e5, "text": "words to read"} for i in range(50)]
    with pytest.raises(QuerywrightError, match="nobody answers 5 times"):
        build(lines(*many), tmp_path / "b", str(smollm2), Options())
    assert not (tmp_path / "b" / "manifest.json").exists()
    with pytest.raises(QuerywrightError, match="no integer is one token in a completion"):
        build(lines(*many), tmp_path / "c", str(smollm2), Options(style="completion"))
