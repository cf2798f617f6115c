"""The shipped documentation names only what its API has, in passages that fit a prompt."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from querywright.api.call import parse
from querywright.api.definition import API, load, shipped
from querywright.api.docs import MOST, docs_file, passages


@pytest.mark.parametrize("name", shipped())
def test_what_the_documentation_names_exists(name: str) -> None:
    api = load(name)
    found = passages(api)
    assert len(found) >= 8
    assert len({p.heading for p in found}) == len(found), "each section is one passage"
    texts = " ".join(p.text for p in found)
    code = re.findall(r"`([^`]+)`", texts)
    assert len(code) > 20
    for text in code:
        assert known(api, text), text


def known(api: API, text: str) -> bool:
    """Whether a piece of code is an endpoint, a parameter, a field, a query or parameters of a call."""
    path = text.partition("?")[0].replace("/ID", "/{id}")
    if text.startswith("/"):
        return path in {e.path for e in api.endpoints.values()}
    if text in api.params or api.resolve(text) or api.leaves(text):
        return True
    if text in ("AND", "OR", "NOT", "*", "?", "field:value", "field:*", "NOT field:*", "hg19.", "mm9.", "id", "term"):
        return True
    if api.query_language == "none":
        return bool(parse(api, f"/fdsnws/event/1/query?{text}"))
    query = next(e.path for e in api.endpoints.values() if "q" in e.params)
    names = re.match(r"(\w+)=", text)
    call = text if names and names[1] == "q" else f"q=*&{text}" if names and names[1] in api.params else f"q={text}"
    return bool(parse(api, f"{query}?{call}"))


def test_sections_are_cut_between_paragraphs(tmp_path: Path, mygene: API) -> None:
    text = "# T\n\nintroduction\n\n## One\n\nshort\n\n### Two\n\n" + "a" * 500 + "\n\n" + "b" * 500 + "\n\n## Empty\n"
    (tmp_path / "docs.md").write_text(text)
    api = mygene.model_copy(update={"folder": str(tmp_path)})
    assert [(p.heading, p.text[:5], len(p.text)) for p in passages(api)] == [
        ("One", "short", 5), ("Two", "aaaaa", 500), ("Two", "bbbbb", 500),
    ]  # fmt: skip
    assert MOST < 1000
    none = mygene.model_copy(update={"folder": str(tmp_path / "none")})
    assert docs_file(none) is None
    assert passages(none) == []
