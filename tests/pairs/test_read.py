"""Rows that have not the shape of a pair are named at the door, by every command, and nothing is written."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from querywright.api.definition import load
from querywright.artefacts import alone, apart, read_jsonl, write_jsonl
from querywright.errors import QuerywrightError
from querywright.pairs.check import problem
from querywright.pairs.classic import check
from querywright.pairs.leaks import read_parts
from querywright.pairs.make import kept_calls
from querywright.pairs.overview import overview
from querywright.pairs.read import fault, read_pairs
from querywright.pairs.refine import Options, refine
from querywright.pairs.split import split

WHOLE: dict[str, Any] = {
    "id": "1", "api": "mygene", "instruction": "genes named CDK2", "path": "/v3/query?q=symbol:CDK2",
    "canonical": "/v3/query?q=symbol:CDK2", "signature": "s", "source": "drawn", "weight": 1.0,
}  # fmt: skip
WRONG: list[dict[str, Any]] = [
    *({key: value} for key in WHOLE if key != "weight" for value in (5, ["a"], {"a": 1})),
    *({"turns": turns} for turns in ("hi", {"role": "user"}, [1], [{"content": "x"}], [{"role": "user"}])),
    {"turns": [{"role": "user", "content": 4}]},
    {"turns": [{"role": "system", "content": "x"}]},
    *({"weight": weight} for weight in ("many", -1, float("nan"), float("inf"), True, [1])),
    {"instruction": "half \ud800"},
]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_misshapen_row_is_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    bad = {**WHOLE, **wrong}
    assert fault(bad)
    assert problem(load("mygene"), bad)
    assert [r["reason"] for r in check([bad])[1]] == ["columns"]
    path = tmp_path / "pairs.jsonl"
    write_jsonl(path, [WHOLE, bad])
    with pytest.raises(QuerywrightError, match="row 2 is no pair") as error:
        read_pairs(path)
    assert "pairs import" in error.value.hint


@pytest.mark.parametrize("gone", ["instruction", "path", "canonical", "api"])
def test_a_row_that_lacks_a_key_is_named(gone: str) -> None:
    assert fault({key: value for key, value in WHOLE.items() if key != gone})
    assert not fault(WHOLE)
    assert not fault({"api": "events", "system": "s", "instruction": "x", "answer": "3", "path": ""})
    assert not fault({"api": "mygene", "instruction": "hi", "refusal": "chat", "path": "", "turns": []})
    assert fault({"api": "mygene", "instruction": "hi", "refusal": "because"})


def test_a_row_without_an_id_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    write_jsonl(path, [{k: v for k, v in WHOLE.items() if k != "id"}, {**WHOLE, "id": "mine"}])
    first, second = read_pairs(path)
    assert len(first["id"]) == 12
    assert second["id"] == "mine"


COMMANDS: dict[str, Callable[[Path, Path], object]] = {
    "refine": lambda source, out: refine(source, out / "x.jsonl", options=Options(load("mygene"))),
    "split": lambda source, out: split(source, out, valid=0.1, test=0.1, seed=1),
    "report": lambda source, out: overview(source, load("mygene")),
    "leaks": lambda source, out: read_parts(source.parent),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_written_where_a_row_is_no_pair(tmp_path: Path, command: str) -> None:
    source, out = tmp_path / "train.jsonl", tmp_path / "out"
    write_jsonl(source, [{**WHOLE, "turns": 3}])
    write_jsonl(tmp_path / "test.jsonl", [WHOLE])
    with pytest.raises(QuerywrightError, match="row 1 is no pair"):
        COMMANDS[command](source, out)
    assert not out.exists()


@pytest.mark.parametrize(
    "line", ['{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", '{"a": ' + "9" * 5000 + "}", "{", "[1]", '"x"']
)
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(QuerywrightError, match=":2: not a JSON"):
        read_jsonl(path)


def test_marks_and_line_ends_of_other_editors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(WHOLE).encode() + b"\r\n\r\n" + json.dumps(WHOLE).encode() + b"\r\n")
    assert read_pairs(path) == [WHOLE, WHOLE]


def test_half_a_character_comes_back_as_it_was(tmp_path: Path) -> None:
    row = {"instruction": "half \ud800, and whole: \u00e9"}
    write_jsonl(tmp_path / "rows.jsonl", [row])
    assert read_jsonl(tmp_path / "rows.jsonl") == [row]


def test_no_file_is_written_over_another(tmp_path: Path) -> None:
    source = tmp_path / "pairs.jsonl"
    apart(source, out=tmp_path / "out.jsonl", rejects=None, report=tmp_path / "r.html")
    with pytest.raises(QuerywrightError, match=r"--out .* is the source"):
        apart(source, out=tmp_path / "x" / ".." / "pairs.jsonl")
    with pytest.raises(QuerywrightError, match=r"--rejects .* is --out too"):
        apart(source, out=tmp_path / "a", rejects=tmp_path / "a")


def test_two_runs_do_not_mix_their_files(tmp_path: Path) -> None:
    """Under one manifest would stand the files of one run and the settings of the other."""
    source = tmp_path / "pairs.jsonl"
    write_jsonl(source, [WHOLE])
    with alone(tmp_path / "kept.jsonl.steps"), pytest.raises(QuerywrightError, match="another run works in"):
        refine(source, tmp_path / "kept.jsonl", steps=["near"], options=Options())
    assert not (tmp_path / "kept.jsonl").exists()
    refine(source, tmp_path / "kept.jsonl", steps=["near"], options=Options())
    assert read_jsonl(tmp_path / "kept.jsonl") == [WHOLE]


@pytest.mark.parametrize("row", [{"a": 1}, {"path": "/v3/query", "signature": ["x"]}, {"path": 5, "signature": "x"}])
def test_a_row_that_is_no_kept_call_is_named(tmp_path: Path, row: dict[str, Any]) -> None:
    write_jsonl(tmp_path / "calls.jsonl", [row])
    with pytest.raises(QuerywrightError, match="row 1 is no kept call"):
        kept_calls(load("mygene"), tmp_path / "calls.jsonl", 5, random.Random(1))
