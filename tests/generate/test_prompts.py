"""What each strategy shows, in its order: the constant part first, the nearest last, the sentence at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest

from querywright.api.definition import API, load
from querywright.errors import QuerywrightError
from querywright.evaluate.models import Strategy
from querywright.generate import prompts


class Hit(NamedTuple):
    item: Any
    score: float = 1.0


class Words:
    """A retriever by shared words, so that no model is needed."""

    def __init__(self, items: list[Any], texts: list[str], folder: Any = None) -> None:
        self.items = [(set(text.lower().split()), item) for item, text in zip(items, texts, strict=True)]

    def nearest(self, text: str, k: int) -> list[Hit]:
        asked = set(text.lower().split())
        ranked = sorted(self.items, key=lambda pair: -len(asked & pair[0]))
        return [Hit(item) for _, item in ranked[:k]]


@pytest.fixture(autouse=True)
def by_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "FaissRetriever", Words)

    def fields(api: API, folder: Any = None) -> Words:
        known = list(api.fields.values())
        return Words(known, [f"{f.name} {f.description}" for f in known])

    monkeypatch.setattr(prompts, "fields", fields)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    rows = [{"instruction": f"Example {i} about mouse genes", "path": f"/v3/query?q=e{i}"} for i in range(20)]
    rows += [{"instruction": "How many pathways has it", "path": "/v3/query?q=near"}]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


SENTENCE = "Show all hits, how many pathways"


@pytest.mark.parametrize("name", prompts.STRATEGIES)
@pytest.mark.parametrize("api_name", ["mygene", "earthquakes"])
def test_the_sentence_stands_last_and_the_constant_part_first(api_name: str, name: str, examples: Path) -> None:
    build = prompts.strategy(name, load(api_name), examples=examples)
    one, other = build(SENTENCE), build("Something else")
    assert one[-1]["role"] == "user"
    assert one[-1]["content"].endswith(SENTENCE)
    if name != "tuned":
        assert one[0] == other[0] == {"role": "system", "content": prompts.explain(load(api_name))}
    assert [m["role"] for m in one[1:]] == ["user", "assistant"] * ((len(one) - 2) // 2) + ["user"]
    shown = len(one) // 2 - 1
    assert shown == (prompts.EXAMPLES if "icl" in name else 0)


def test_documentation_is_shown_with_the_fields(mygene: API) -> None:
    content = prompts.strategy("rag_docs", mygene)("returns every hit in batches, whatever their number")[-1]["content"]
    assert content.startswith("From the documentation:\n")
    assert "All hits: fetch_all: `fetch_all=true` returns every hit" in content
    docs, _, rest = content.partition("\n\nFields that may be meant:\n- ")
    assert len(docs.split("\n")) >= 1 + prompts.NEAREST_PASSAGES
    assert rest.endswith("\n\nRequest: returns every hit in batches, whatever their number")


def test_examples_and_fields_together_with_the_nearest_example_last(mygene: API, examples: Path) -> None:
    messages = prompts.strategy("rag_icl", mygene, examples=examples)(SENTENCE)
    assert messages[-2]["content"] == "/v3/query?q=near"
    assert messages[-1]["content"].startswith("Fields that may be meant:\n- ")


def test_an_api_without_documentation_says_so(mygene: API, tmp_path: Path) -> None:
    bare = mygene.model_copy(update={"folder": str(tmp_path)})
    with pytest.raises(QuerywrightError, match="mygene has none") as caught:
        prompts.strategy("rag_docs", bare)
    assert "docs.md" in caught.value.hint


def test_the_sweep_knows_the_same_strategies() -> None:
    assert set(get_args(Strategy)) == set(prompts.STRATEGIES)
