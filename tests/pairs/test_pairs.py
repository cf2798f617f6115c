"""Pairs: what the teacher says holds what the call holds; drawn calls are calls; splits do not leak."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from querywright.api.call import parse
from querywright.api.definition import API
from querywright.artefacts import read_jsonl
from querywright.errors import QuerywrightError
from querywright.pairs.check import problem
from querywright.pairs.clauses import Unsayable
from querywright.pairs.draw import Drawer
from querywright.pairs.make import TemplateTeacher, make
from querywright.pairs.say import Speaker
from querywright.pairs.split import PARTS, split
from querywright.rows import row

RECORDS = [
    {"_id": "1017", "symbol": "CDK2", "name": "cyclin dependent kinase 2", "entrezgene": "1017", "alias": ["p33"]},
    {"_id": "7157", "symbol": "TP53", "name": "tumor protein p53", "entrezgene": "7157", "alias": ["P53", "LFS1"]},
]


def test_drawn_calls_are_calls_in_their_own_words(mygene: API) -> None:
    drawer = Drawer(mygene, random.Random(1), RECORDS)
    for _ in range(800):
        call = drawer.call()
        again = parse(mygene, call.text)
        assert again.text == call.text
        assert again.canonical == call.canonical


def test_every_literal_of_a_call_is_said(mygene: API) -> None:
    drawer = Drawer(mygene, random.Random(2), RECORDS)
    teacher = TemplateTeacher(mygene, random.Random(3))
    calls = [drawer.call() for _ in range(1000)]
    said = [(call, sentence) for call in calls for sentence in teacher.instructions(call, 1)]
    reasons = [problem(mygene, row(call, sentence, "drawn")) for call, sentence in said]
    assert len(said) >= 990
    assert set(reasons) == {""}


def test_a_sentence_without_the_literal_is_found_out(mygene: API) -> None:
    call = parse(mygene, "/v3/query?q=symbol:CDK2&size=5")
    assert problem(mygene, row(call, "find the gene with symbol CDK2, top 5", "x")) == ""
    assert problem(mygene, row(call, "find the gene with symbol CDK3, top 5", "x")) == "literal_missing"
    assert problem(mygene, {"instruction": "x", "path": "/v3/query?q=nofield:1"}) == "unknown_field"


def test_common_shapes_have_hundreds_of_phrasings(mygene: API) -> None:
    teacher = TemplateTeacher(mygene, random.Random(4))
    call = parse(mygene, "/v3/query?q=symbol:CDK2&species=human&fields=uniprot")
    assert len(teacher.instructions(call, 400)) >= 390


@pytest.mark.parametrize(
    "path",
    ["/v3/query?q=symbol:CDK2~1", "/v3/query?q=a OR b AND c", "/v3/query?scroll_id=xyz", "/v3/query?q=a&userfilter=b"],
)
def test_what_has_no_words_is_left_out(mygene: API, path: str) -> None:
    call = parse(mygene, path)
    with pytest.raises(Unsayable):
        Speaker(mygene, random.Random(0)).say(call)
    assert TemplateTeacher(mygene, random.Random(0)).instructions(call, 3) == []


def test_make_is_the_same_twice_and_skips_what_is_whole(mygene: API, tmp_path: Path) -> None:
    calls = tmp_path / "calls.jsonl"
    paths = ["/v3/query?q=symbol:CDK2&species=human", "/v3/gene/1017?fields=symbol", "/v3/query?q=_exists_:pdb"]
    rows = [{"path": p, "signature": parse(mygene, p).signature, "weight": 2.0} for p in paths]
    calls.write_text("".join(json.dumps(r) + "\n" for r in rows))
    for out in ("a", "b"):
        make(mygene, tmp_path / out, calls=calls, most=9, draw=120, per_call=4, seed=5, records=RECORDS)
    first = tmp_path / "a" / "pairs.jsonl"
    assert first.read_bytes() == (tmp_path / "b" / "pairs.jsonl").read_bytes()
    made = read_jsonl(first)
    assert sum(r["source"] == "log" for r in made) == 12
    assert sum(r["source"] == "drawn" for r in made) == 120
    before = first.stat().st_mtime_ns
    make(mygene, tmp_path / "a", calls=calls, most=9, draw=120, per_call=4, seed=5, records=RECORDS)
    assert first.stat().st_mtime_ns == before


def test_no_query_stands_on_two_sides(mygene: API, tmp_path: Path) -> None:
    make(mygene, tmp_path / "made", calls=None, most=0, draw=400, per_call=1, seed=6, records=RECORDS, refusals=0)
    split(tmp_path / "made" / "pairs.jsonl", tmp_path / "split", valid=0.1, test=0.1, seed=1)
    sides = {part: {r["canonical"] for r in read_jsonl(tmp_path / "split" / f"{part}.jsonl")} for part in PARTS}
    assert sum(len(side) for side in sides.values()) == len(set().union(*sides.values()))
    assert sum(len(read_jsonl(tmp_path / "split" / f"{part}.jsonl")) for part in PARTS) == 400
    chat = read_jsonl(tmp_path / "split" / "train.chat.jsonl")[0]["messages"]
    assert [m["role"] for m in chat] == ["system", "user", "assistant"]
    assert chat[0]["content"].splitlines()[0] == "Write the mygene call."  # the nearest fields follow


def test_too_few_pairs_to_split_is_said(mygene: API, tmp_path: Path) -> None:
    make(mygene, tmp_path / "made", calls=None, most=0, draw=3, per_call=1, seed=6, records=RECORDS)
    with pytest.raises(QuerywrightError, match="empty"):
        split(tmp_path / "made" / "pairs.jsonl", tmp_path / "split", valid=0.1, test=0.1, seed=1)
