"""The report: figures that add up, a page that needs nothing else and runs nothing, a card that the hub can read."""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from querywright.api.call import parse
from querywright.api.definition import API
from querywright.artefacts import write_jsonl
from querywright.errors import QuerywrightError
from querywright.pairs.card import size_category
from querywright.pairs.overview import lengths, overview, phrases
from querywright.pairs.report import write
from querywright.pairs.split import split
from querywright.rows import Row, refusal_row, row

NASTY = '<script>alert("x")</script> & <img src=//evil.example/a.png onerror=x> | `a` ```'


def some(api: API) -> list[Row]:
    fields = ("symbol", "name", "alias")
    rows = [
        row(
            parse(api, f"/v3/query?q={fields[i % 3]}:w{i}"),
            f"please tell me all {fields[i % 3]} w{i}",
            "log",
            1 + i % 2,
        )
        for i in range(90)
    ]
    turns = [{"role": "user", "content": NASTY}, {"role": "assistant", "content": "/v3/gene/1"}]
    return [
        *rows,
        row(parse(api, "/v3/gene/2"), f"now 2 {NASTY}", "turns", turns=turns, persona="p", teacher="templates"),
        *(refusal_row("mygene", f"a joke about {i}", "chat") for i in range(10)),
    ]


class Page(HTMLParser):
    """Collects what a page loads and runs, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [f"{k}={v}" for k, v in attrs if k in ("src", "href", "srcset") or k.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def report(mygene: API, tmp_path: Path) -> dict[str, Any]:
    write_jsonl(tmp_path / "pairs.jsonl", some(mygene))
    rejects = [{"instruction": NASTY, "path": "/v3/x", "reason": "unknown_field", "detail": "<b>"}, {"prompt": "p"}]
    write_jsonl(tmp_path / "rejects.jsonl", rejects)
    split(tmp_path / "pairs.jsonl", tmp_path / "split", valid=0.1, test=0.1, seed=3, unseen=0.0)
    found = overview(tmp_path / "split", mygene, rejects=[tmp_path / "rejects.jsonl"])
    write(found, tmp_path / "split", tmp_path / "split", "cc0-1.0")
    write(found, tmp_path / "elsewhere", tmp_path / "split")
    return found


def test_the_figures_add_up(report: dict[str, Any]) -> None:
    assert (report["rows"], report["calls"], report["conversations"]) == (101, 91, 1)
    assert report["refusals"] == {"chat": 10}
    assert report["sources"] == {"log": 90, "refusal": 10, "turns": 1}
    assert report["traffic"] == 90 + 45 + 11
    for key in ("rows", "traffic", "calls", "conversations"):
        assert sum(part[key] for part in report["sides"].values()) == report[key]
    assert sum(n for _, n in report["words"]["histogram"]) == 101
    assert report["coverage"]["searched"]["covered"] == 3
    assert {one["reason"]: one["rows"] for one in report["rejects"]} == {"unknown_field": 1, "no reason given": 1}
    assert {s["signature"]: s["rows"] for s in report["shapes"]}["nil chat"] == 10


def test_the_page_needs_and_runs_nothing(report: dict[str, Any], tmp_path: Path) -> None:
    page = Page((tmp_path / "split" / "report.html").read_text(encoding="utf-8"))
    assert not {"script", "img", "iframe", "link", "object"} & set(page.tags)
    assert not page.links
    assert NASTY in page.text  # as text
    assert page.text.count("unknown_field") == 1
    assert "svg" in page.tags
    assert json.loads((tmp_path / "split" / "report.json").read_text(encoding="utf-8")) == report


def test_the_card_is_one(report: dict[str, Any], tmp_path: Path) -> None:
    _, head, body = (tmp_path / "split" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    known = yaml.safe_load(head)
    assert known["license"] == "cc0-1.0"
    assert known["size_categories"] == ["n<1K"]
    files = known["configs"][0]["data_files"]
    assert [f["path"] for f in files] == ["train.jsonl", "valid.jsonl", "test.jsonl"]
    assert all((tmp_path / "split" / f["path"]).is_file() for f in files)
    assert report["files"]["train.jsonl"]["sha256"] in body
    assert "never occur" in body
    assert "<script" not in body.split("```json")[0]
    elsewhere = (tmp_path / "elsewhere" / "README.md").read_text(encoding="utf-8")
    assert "configs:" not in elsewhere.split("---")[1]
    assert [size_category(n) for n in (999, 1000, 20_000)] == ["n<1K", "1K<n<10K", "10K<n<100K"]


def test_phrases_are_the_longest_that_are_as_common() -> None:
    sentences = ["please tell me of a", "please tell me of b", "please tell me now", "tell me of c"]
    found = {p["phrase"]: p["rows"] for p in phrases(sentences)}
    assert found["tell me"] == 4
    assert found["please tell me"] == 3
    assert "please tell" not in found
    assert found["tell me of"] == 3


def test_lengths() -> None:
    found = lengths([1, 2, 3, 100])
    assert (found["median"], found["longest"]) == (2.5, 100)
    assert sum(n for _, n in found["histogram"]) == 4
    assert lengths([0])["histogram"] == [[0, 1]]


def test_the_command(mygene: API, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "pairs.jsonl", some(mygene))
    command = [sys.executable, "-m", "querywright", "pairs", "report", str(tmp_path / "pairs.jsonl"), "--api", "mygene"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 101
    with pytest.raises(QuerywrightError, match="no pairs for"):
        overview(tmp_path / "pairs.jsonl", mygene.model_copy(update={"name": "other"}))
