"""Splits: no query on two sides, whole shapes unseen, conversations that show nothing that is held out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from querywright.api.call import parse
from querywright.api.definition import API, load
from querywright.artefacts import read_jsonl, write_jsonl
from querywright.errors import QuerywrightError
from querywright.pairs.split import LEFT_OUT, PARTS, SIDES, UNSEEN, part_of, split
from querywright.rows import Row, refusal_row, row

FIELDS = ("symbol", "name", "alias", "entrezgene", "type_of_gene", "uniprot.Swiss-Prot", "HGNC", "ensembl.gene")


def rows_of(api: API, n: int) -> list[Row]:
    """Rows of many shapes: field × parameter, several queries of each, two sentences for each."""
    made = []
    for i in range(n):
        field, size = FIELDS[i % len(FIELDS)], ("", "&size=5", "&species=human", "&fields=symbol", "&from=3")[i % 5]
        call = parse(api, f"/v3/query?q={field}:w{i}{size}")
        made += [row(call, f"{word} {field} w{i} {size}", "log", weight=1 + i % 3) for word in ("find", "show")]
    return made


def cut(source: list[Row], out: Path, **options: Any) -> dict[str, list[Row]]:
    write_jsonl(out / "pairs.jsonl", source)
    split(out / "pairs.jsonl", out / "split", **{"valid": 0.15, "test": 0.15, "seed": 5, "unseen": 0.2, **options})
    return {
        side: read_jsonl(out / "split" / f"{side}.jsonl")
        for side in SIDES
        if (out / "split" / f"{side}.jsonl").exists()
    }


def test_no_query_stands_on_two_sides_and_no_unseen_shape_elsewhere(mygene: API, tmp_path: Path) -> None:
    found = cut(
        [*rows_of(mygene, 400), *(refusal_row("mygene", f"tell me a joke {i}", "chat") for i in range(60))], tmp_path
    )
    queries = {side: {r["canonical"] for r in rows} for side, rows in found.items()}
    for one in SIDES:
        assert found[one], f"{one} is empty"
        for other in SIDES:
            assert one == other or not queries[one] & queries[other]
    shapes = {side: {r["signature"] for r in rows if not r.get("refusal")} for side, rows in found.items()}
    assert not shapes[UNSEEN] & (shapes["train"] | shapes["valid"] | shapes["test"])
    assert not any(r.get("refusal") for r in found[UNSEEN])
    assert {bool(r.get("refusal")) for r in found["test"]} == {True, False}
    assert sum(map(len, found.values())) == 860


def test_a_split_without_unseen_shapes_leaves_none_of_an_earlier_one(mygene: API, tmp_path: Path) -> None:
    assert UNSEEN in cut(rows_of(mygene, 200), tmp_path)
    found = cut(rows_of(mygene, 200), tmp_path, unseen=0.0)
    assert UNSEEN not in found
    assert not list((tmp_path / "split").glob(f"{UNSEEN}*"))
    assert sum(map(len, found.values())) == 400


def test_by_signature_keeps_shapes_together(mygene: API, tmp_path: Path) -> None:
    found = cut(rows_of(mygene, 400), tmp_path, by="signature", unseen=0.0)
    assert UNSEEN not in found
    shapes = [{r["signature"] for r in found[part]} for part in PARTS]
    assert not shapes[0] & shapes[1]
    assert not shapes[0] & shapes[2]
    assert not shapes[1] & shapes[2]


def test_a_row_stays_on_its_side_when_rows_are_added(mygene: API, tmp_path: Path) -> None:
    few, more = cut(rows_of(mygene, 300), tmp_path / "a"), cut(rows_of(mygene, 400), tmp_path / "b")
    for side in SIDES:
        assert {r["id"] for r in few[side]} <= {r["id"] for r in more[side]}


def test_a_common_shape_is_never_held_out(mygene: API, tmp_path: Path) -> None:
    common = [row(parse(mygene, f"/v3/gene/{i}"), f"gene {i}", "log") for i in range(1000, 1100)]
    heavy = row(parse(mygene, "/v3/query?q=cdk2&facets=taxid"), "cdk2 by species", "log", weight=500)
    for seed in range(8):
        found = cut([*rows_of(mygene, 200), *common, heavy], tmp_path / str(seed), seed=seed, unseen=0.1)
        shapes = {r["signature"] for r in found[UNSEEN]}
        assert common[0]["signature"] not in shapes
        assert heavy["signature"] not in shapes


def test_sizes_are_told_in_rows_and_in_traffic(mygene: API, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = cut(rows_of(mygene, 400), tmp_path)
    manifest = json.loads((tmp_path / "split" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["rows"] == {side: len(rows) for side, rows in found.items()}
    assert manifest["traffic"] == {side: sum(r["weight"] for r in rows) for side, rows in found.items()}
    assert {f"{side}{kind}" for side in SIDES for kind in (".jsonl", ".chat.jsonl")} | {LEFT_OUT} == set(
        manifest["files"]
    )
    assert "of traffic" in capsys.readouterr().err


def talk(api: API, before: str, after: str) -> Row:
    turns = [{"role": "user", "content": f"say {before}"}, {"role": "assistant", "content": before}]
    return row(parse(api, after), f"now {after}", "turns", turns=turns)


def test_what_is_trained_on_shows_no_held_out_query(mygene: API, tmp_path: Path) -> None:
    single = rows_of(mygene, 300)
    paths = sorted({r["path"] for r in single})
    talks = [talk(mygene, one, other) for one, other in zip(paths, paths[7:], strict=False)]
    talks.append({**talks[0], "id": "x", "turns": [talks[0]["turns"][0], {"role": "assistant", "content": "so much"}]})
    found = cut([*single, *talks], tmp_path)
    side_of = {r["canonical"]: side for side, rows in found.items() for r in rows}
    left_out = read_jsonl(tmp_path / "split" / LEFT_OUT)
    begun_known = 0
    for side, rows in found.items():
        for r in rows:
            for m in r.get("turns", ())[1:]:
                earlier = (
                    side_of.get(parse(mygene, m["content"]).canonical, side) if m["content"] != "so much" else side
                )
                assert SIDES.index(earlier) <= SIDES.index(side)
                begun_known += SIDES.index(earlier) < SIDES.index(side)
    assert begun_known  # a held-out conversation may begin with a known query
    assert left_out
    assert {r["reason"] for r in left_out} == {"turn_held_out"}
    assert sum(map(len, found.values())) + len(left_out) == len(single) + len(talks)


def test_a_refused_turn_that_is_held_out_is_not_trained_on(mygene: API, tmp_path: Path) -> None:
    asked = [f"find the gene {i}" for i in range(60)]
    refused = [refusal_row("mygene", s, "missing") for s in asked]
    talks = [
        row(parse(mygene, f"/v3/gene/{i}"), f"the id is {i}", "turns",
            turns=[{"role": "user", "content": s}, {"role": "assistant", "content": "nil missing"}])
        for i, s in enumerate(asked, 1)
    ]  # fmt: skip
    found = cut([*refused, *talks], tmp_path, unseen=0.0, valid=0.2, test=0.2)
    shown = {r["turns"][0]["content"] for r in found["train"] if r.get("turns")}
    asked_later = {r["instruction"] for r in [*found["valid"], *found["test"]] if r.get("refusal")}
    assert shown
    assert asked_later
    assert not shown & asked_later


def test_conversations_of_an_unknown_api_need_its_definition(mygene: API, tmp_path: Path) -> None:
    row_ = {**talk(mygene, "/v3/gene/1", "/v3/gene/2"), "api": "../../else/where"}
    with pytest.raises(QuerywrightError, match="can't be read") as error:
        cut([row_], tmp_path)
    assert "--api" in error.value.hint


@pytest.mark.parametrize(
    "wrong", [{"valid": 0.6, "test": 0.4}, {"unseen": 1.0}, {"valid": -0.1}, {"by": "instruction"}]
)
def test_shares_and_kinds_that_make_no_sense(mygene: API, tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(QuerywrightError):
        cut(rows_of(mygene, 20), tmp_path, **wrong)


def test_the_side_is_a_hash_of_the_query() -> None:
    sides = [part_of(f"/q={i}", 0.1, 0.2, 1) for i in range(4000)]
    assert 0.17 < sides.count("test") / 4000 < 0.23
    assert 0.07 < sides.count("valid") / 4000 < 0.13


def test_a_split_is_made_again_when_the_words_of_an_api_change(tmp_path: Path) -> None:
    """The prompt's fields are found by people's words for them: in training they have to be those of use."""
    api = load("mychem")
    calls = [parse(api, f"/v1/query?q=chembl.pref_name:A{i}") for i in range(20)]
    rows = [row(call, f"drug {i} by its ChEMBL name", "test") for i, call in enumerate(calls)]
    write_jsonl(tmp_path / "p.jsonl", rows)
    split(tmp_path / "p.jsonl", tmp_path / "out", valid=0.1, test=0.1, seed=1, api=api)
    before = (tmp_path / "out" / "train.jsonl").stat().st_mtime_ns
    split(tmp_path / "p.jsonl", tmp_path / "out", valid=0.1, test=0.1, seed=1, api=api)
    assert (tmp_path / "out" / "train.jsonl").stat().st_mtime_ns == before
    field = api.fields["drugbank.name"].model_copy(update={"synonyms": ("ChEMBL name",)})
    other = api.model_copy(update={"fields": {**api.fields, field.name: field}})
    split(tmp_path / "p.jsonl", tmp_path / "out", valid=0.1, test=0.1, seed=1, api=other)
    assert (tmp_path / "out" / "train.jsonl").stat().st_mtime_ns > before
