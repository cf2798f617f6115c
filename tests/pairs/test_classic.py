"""The classic preparation tool's checks, on prompt/completion rows and on ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from querywright.artefacts import read_jsonl, write_jsonl
from querywright.cli.pairs import app
from querywright.errors import QuerywrightError
from querywright.pairs.classic import check
from querywright.pairs.formats import SEPARATOR, STOP
from querywright.pairs.length import counter, limit_of
from querywright.pairs.noise import cleaned, spoilt

PORTS = ("Oslo", "Bergen", "Turku", "Kiel", "Visby")


def prompts(prompt: str = "ferries to {}", completion: str = "/f?to={}") -> list[dict[str, Any]]:
    return [{"prompt": prompt.format(p), "completion": completion.format(p.lower())} for p in PORTS]


def pair(sentence: str, call: str = "/f?to=oslo", **more: Any) -> dict[str, Any]:
    return {"id": "1", "api": "ferries", "instruction": sentence, "path": call, "canonical": call, **more}


def names(rows: list[dict[str, Any]], **options: Any) -> dict[str, tuple[int, int]]:
    return {f.check: (f.rows, f.fixed) for f in check(rows, **options)[2] if f.check != "few"}


def test_bare_prompts_get_separator_space_and_stop() -> None:
    kept, rejected, found = check(prompts())
    assert rejected == []
    assert {f.check: f.fixed for f in found if f.fixed} == {"separator": 5, "space": 5, "stop": 5}
    assert kept[0] == {"prompt": f"ferries to Oslo{SEPARATOR}", "completion": f" /f?to=oslo{STOP}"}
    assert names(kept) == {}


def test_what_is_right_is_left_as_it_is() -> None:
    rows = prompts("ferries to {}\n\n===\n\n", " /f?to={} END")
    assert check(rows)[0] == rows
    assert names(rows) == {}
    own = prompts("ferries to {} =>>", " /f?to={}\n")
    assert check(own)[0] == own


def test_a_separator_that_stands_elsewhere_too_is_none() -> None:
    rows = prompts("ferries -> to {} ->", " /f?to={}\n")
    kept, _, _ = check(rows)
    assert names(rows)["separator"] == (5, 5)
    assert all(r["prompt"].endswith(SEPARATOR) for r in kept)
    some = [*prompts("ferries to {}" + SEPARATOR, " /f?to={}\n"), {"prompt": "boats", "completion": " /b\n"}]
    assert names(some)["separator"] == (1, 1)


def test_a_word_all_prompts_end_with_is_no_separator() -> None:
    assert names(prompts("show {} ferries", " /f?to={}\n"))["separator"] == (5, 5)


def test_two_spaces_are_one_too_many() -> None:
    rows = prompts("ferries to {}" + SEPARATOR, "  /f?to={}\n")
    assert names(rows) == {"space": (5, 5)}
    assert check(rows)[0][0]["completion"] == " /f?to=oslo\n"


def test_common_beginnings_are_told() -> None:
    rows = prompts("Translate to a call: {}" + SEPARATOR, " /f?to={}\n")
    assert names(rows) == {"prompt_prefix": (5, 0)}


def test_rows_without_sentence_or_answer_leave() -> None:
    rows = [pair("ferries to Oslo"), pair("   "), {"id": "2", "instruction": "x"}, {"prompt": "only"}]
    kept, rejected, _ = check(rows)
    assert [r["instruction"] for r in kept] == ["ferries to Oslo"]
    assert [r["reason"] for r in rejected] == ["empty", "columns", "columns"]


def test_repeated_rows_leave_and_contradictions_too() -> None:
    rows = [pair("ferries to Oslo"), pair("Ferries to  oslo."), pair("boats"), pair("boats", "/b")]
    kept, rejected, found = check(rows)
    assert len(kept) == 1
    assert {r["reason"] for r in rejected} == {"duplicate", "ambiguous"}
    assert {f.check: f.rows for f in found}["ambiguous"] == 2
    assert len(check(prompts() + prompts())[0]) == 5


NOISY = {
    "Boote nach MalmÃ¶": "Boote nach Malmö",
    "it\u200bs  <b>ferries</b>\x07 &amp; boats": "its ferries & boats",
    "a < b and c > d": "a < b and c > d",
    "cafe\u0301 boats": "café boats",
    "São Paulo, Ângela": "São Paulo, Ângela",
    "donâ€™t": "don’t",
}


@pytest.mark.parametrize("text", NOISY)
def test_noise_is_taken_out(text: str) -> None:
    assert cleaned(text)[0] == NOISY[text]


def test_what_the_answer_holds_is_no_noise() -> None:
    assert cleaned("boats named <b>", keep="/f?q=<b>")[0] == "boats named <b>"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lost \ufffd letters", "replacement"), ("!!! ??? ... ### a", "punctuation"), ("Ã‚ boats", "mojibake"),
        ("see " + "aGVsbG8gd29ybGQ0" * 8, "blob"), ("ACGT" * 40, ""), ("chr7:123-456?", ""), ("GO:0001", ""),
    ],
)  # fmt: skip
def test_what_is_no_text_is_told(text: str, why: str) -> None:
    assert spoilt(text) == why


def test_noise_is_mended_in_rows_and_turns() -> None:
    rows = [pair("only\x00 today", turns=[{"role": "user", "content": "ferries to <i>Oslo</i>"}])]
    kept, _, found = check(rows)
    assert (kept[0]["instruction"], kept[0]["turns"][0]["content"]) == ("only today", "ferries to Oslo")
    assert [(f.check, f.fixed) for f in found if f.check == "noise"] == [("noise", 1)]
    assert kept[0]["id"] != "1"
    assert check(rows, fix=False)[0] == rows


def test_long_rows_leave_once_tokens_are_counted() -> None:
    rows = [pair("ferries to Oslo"), pair("boats" + " boats" * 199, "/b")]
    assert names(rows, limit=300) == {"too_long": (1, 0)}  # bytes only bound the tokens: told, not left out
    kept, rejected, _ = check(rows, limit=300, count=lambda text: len(text.split()))
    assert (len(kept), rejected) == (2, [])
    kept, rejected, _ = check(rows, limit=150, count=lambda text: len(text.split()))
    assert [r["reason"] for r in rejected] == ["too_long"]


def test_a_tokenizer_file_counts(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = {"ferries": 0, "to": 1, "[UNK]": 2}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    assert counter(str(tmp_path))("ferries to Oslo") == 3
    with pytest.raises(QuerywrightError, match="no tokenizer at"):
        counter(str(tmp_path / "none.json"))
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(QuerywrightError, match="is no tokenizer"):
        counter(str(tmp_path / "bad.json"))


def test_limits_are_by_model() -> None:
    assert limit_of("gpt-4o-mini") == 65_536
    with pytest.raises(QuerywrightError, match="did you mean 'gpt-4o'"):
        limit_of("gtp-4o")


def test_shouting_is_told_and_codes_are_not() -> None:
    assert names([pair("SHOW ALL THE FERRIES NOW")]) == {"upper_case": (1, 0)}
    assert names([pair("show TP53 and BRCA1 in MGI")]) == {}


def test_the_command_tells_and_mends(tmp_path: Path) -> None:
    source, out = tmp_path / "p.jsonl", tmp_path / "out.jsonl"
    write_jsonl(source, prompts())
    told = CliRunner().invoke(app, ["check", str(source)])
    assert told.exit_code == 1
    assert {f["check"] for f in json.loads(told.stdout)["findings"]} == {"few", "separator", "space", "stop"}
    assert CliRunner().invoke(app, ["check", str(source), "--fix", "--out", str(out)]).exit_code == 0
    assert read_jsonl(out) == check(prompts())[0]
    assert read_jsonl(source) == prompts()
