"""Refining: steps in order, each once; what leaves is kept with step and reason; a run that breaks off goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from querywright.api.call import parse
from querywright.api.definition import API
from querywright.artefacts import read_jsonl, write_jsonl
from querywright.cli.pairs import app
from querywright.errors import QuerywrightError
from querywright.pairs.refine import STEPS, Options, refine
from querywright.rows import refusal_row, row
from tests.protocol import Chat, Fault, serve


def pair(api: API, sentence: str, path: str) -> dict[str, Any]:
    return row(parse(api, path), sentence, "drawn")


@pytest.fixture
def source(mygene: API, tmp_path: Path) -> Path:
    rows = [
        pair(mygene, "find the gene with symbol CDK2 in human", "/v3/query?q=symbol:CDK2&species=human"),
        pair(mygene, "Find the gene with symbol CDK2 in human.", "/v3/query?q=symbol:CDK2&species=human"),
        pair(mygene, "find the gene with symbol TP53 in mouse", "/v3/query?q=symbol:TP53&species=human"),
        pair(
            mygene, "find the gene with symbol BRCA1 in mouse, top 5", "/v3/query?q=symbol:BRCA1&species=mouse&size=5"
        ),
        refusal_row("mygene", "good morning to you", "chat"),
    ]
    write_jsonl(tmp_path / "pairs.jsonl", rows)
    return tmp_path / "pairs.jsonl"


def test_steps_run_in_order_and_what_leaves_says_why(mygene: API, source: Path, tmp_path: Path) -> None:
    out, rejects, page = tmp_path / "out.jsonl", tmp_path / "rejects.jsonl", tmp_path / "report.html"
    command = ["refine", str(source), "--api", "mygene", "--out", str(out), "--rejects", str(rejects)]
    done = CliRunner().invoke(app, [*command, "--report", str(page)])
    assert done.exit_code == 0, done.output
    gone = read_jsonl(rejects)
    assert [(r["step"], r["reason"]) for r in gone] == [("round_trip", "differs"), ("classic", "duplicate")]
    assert gone[0]["read_as"] == "/v3/query?q=symbol:TP53&species=mouse"
    left = [r["instruction"] for r in read_jsonl(out)]
    assert left == [read_jsonl(source)[i]["instruction"] for i in (0, 3, 4)]
    text = page.read_text()
    assert "TP53" in text
    assert "<script" not in text


def test_what_is_done_is_not_done_again(
    mygene: API, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    for name, step in list(STEPS.items()):
        monkeypatch.setitem(STEPS, name, lambda *a, name=name, step=step: (ran.append(name), step(*a))[1])
    out = tmp_path / "out.jsonl"

    def run(**options: Any) -> list[str]:
        ran.clear()
        refine(source, out, options=Options(api=mygene, **options))
        return list(ran)

    assert run() == ["round_trip", "classic", "near"]
    first = out.read_bytes()
    assert run() == []
    assert out.read_bytes() == first
    assert run(limit=4000) == ["classic"]  # it leaves the same rows, so what follows stands
    (tmp_path / "out.jsonl.steps" / "1-round_trip" / "kept.jsonl").write_text("{}")
    assert run(limit=4000) == ["round_trip"]
    write_jsonl(source, read_jsonl(source)[:1])
    assert run() == ["round_trip", "classic", "near"]


def test_a_broken_off_run_goes_on_with_the_step_that_failed(
    mygene: API, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.jsonl"
    with monkeypatch.context() as patch:
        patch.setitem(STEPS, "near", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            refine(source, out, options=Options(api=mygene))
    assert not out.exists()
    found = refine(source, out, options=Options(api=mygene))
    assert [s["reused"] for s in found["steps"]] == [True, True, False]
    assert out.exists()


@pytest.mark.parametrize(
    ("steps", "says"),
    [(["classik"], "did you mean 'classic'"), ([], "no steps"), (["near", "near"], "twice"), (["signal"], "judge")],
)
def test_wrong_steps_are_said_before_anything_runs(source: Path, tmp_path: Path, steps: list[str], says: str) -> None:
    with pytest.raises(QuerywrightError, match=says):
        refine(source, tmp_path / "out.jsonl", steps=steps, options=Options())
    assert not (tmp_path / "out.jsonl.steps").exists()


def test_reasons_for_which_a_row_stays(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    command = ["refine", str(source), "--api", "mygene", "--out", str(out), "--steps", "round_trip"]
    assert CliRunner().invoke(app, [*command, "--keep", "unread,differs"]).exit_code == 0
    assert read_jsonl(out) == read_jsonl(source)
    wrong = CliRunner().invoke(app, [*command, "--keep", "difers"])
    assert wrong.exit_code != 0
    assert "did you mean 'differs'" in str(wrong.exception)


def test_calls_can_not_be_read_back_without_their_api(source: Path, tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="5 rows hold calls") as caught:
        refine(source, tmp_path / "out.jsonl", options=Options())
    assert "--api" in caught.value.hint


EVENTS = [
    {"id": str(i), "system": "Who answers?", "instruction": text, "answer": str(i % 3)}
    for i, text in enumerate(["the server is down", "who orders lunch", "hello", "The server is down!"])
]


def test_rows_of_conversations_need_no_api(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "e.jsonl", [*EVENTS, {**EVENTS[0], "id": "9"}])
    found = refine(
        tmp_path / "e.jsonl", tmp_path / "out.jsonl", steps=["round_trip", "fluff", "near"], options=Options()
    )
    assert [s["after"] for s in found["steps"]] == [5, 5, 5]
    assert found["steps"][0]["findings"]["passed"] == 5


def test_signal_goes_on_row_by_row_after_a_kill(tmp_path: Path) -> None:
    labels = [
        {"instruction": f"{'ask' if i % 2 else 'hello'} {i}", "signal": "yes" if i % 2 else "no"} for i in range(30)
    ]
    write_jsonl(tmp_path / "labels.jsonl", labels)
    write_jsonl(tmp_path / "e.jsonl", [*EVENTS, {"id": "8", "system": "s", "instruction": "bye", "answer": "nil"}])
    chat = Chat(lambda body: json.dumps({"signal": "no" if body["messages"][-1]["content"] == "hello" else "yes"}))
    with serve(chat) as service:
        given = {"judge": f"{service.url}#small", "labels": tmp_path / "labels.jsonl"}
        service.faults = [None, None, Fault(401), Fault(401)]  # with a schema, and without
        with pytest.raises(QuerywrightError, match="2 of 4 rows are judged"):
            refine(tmp_path / "e.jsonl", tmp_path / "o.jsonl", steps=["signal"], options=Options(**given))
        found = refine(tmp_path / "e.jsonl", tmp_path / "o.jsonl", steps=["signal"], options=Options(**given))
        assert len(chat.bodies) == 4
        assert found["steps"][0]["findings"]["no"] == 1
        assert [r["answer"] for r in read_jsonl(tmp_path / "o.jsonl")] == ["0", "1", "nil", "0", "nil"]
        given["weak"] = "drop"
        refine(tmp_path / "e.jsonl", tmp_path / "o.jsonl", steps=["signal"], options=Options(**given))
        assert len(chat.bodies) == 4
    assert [r["id"] for r in read_jsonl(tmp_path / "o.jsonl")] == ["0", "1", "3", "8"]


def test_fluff_is_read_with_the_reader(mygene: API, tmp_path: Path) -> None:
    symbols = ("CDK2", "TP53", "BRCA1", "EGFR", "INS", "MYC", "KRAS", "APOE", "TNF", "VEGFA")
    rows = [
        pair(mygene, f"please find the gene with symbol {s} in {where}", f"/v3/query?q=symbol:{s}&species={where}")
        for s in symbols
        for where in ("human", "mouse")
    ]
    write_jsonl(tmp_path / "p.jsonl", rows)
    found = refine(tmp_path / "p.jsonl", tmp_path / "o.jsonl", steps=["fluff"], options=Options(api=mygene))
    fluff = [p["text"] for p in found["steps"][0]["findings"]["fluff"]]
    assert "please" in " ".join(fluff)
    left = read_jsonl(tmp_path / "o.jsonl")
    assert not any("please" in r["instruction"].lower() for r in left)
    assert [r["canonical"] for r in left] == [r["canonical"] for r in rows]
    assert all(r["path"].split("species=")[1] in r["instruction"] for r in left)
