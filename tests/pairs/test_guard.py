"""A development set from outside gets nowhere near training: refused by hash, at every door."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from querywright.api.call import parse
from querywright.api.definition import API
from querywright.artefacts import read_jsonl, write_jsonl
from querywright.errors import QuerywrightError
from querywright.pairs import make as maker
from querywright.pairs.formats import export
from querywright.pairs.guard import guard
from querywright.pairs.imports import imports
from querywright.pairs.split import split
from querywright.protected import VARIABLE, digest, hashes, holds, plain, protect, refuse, shipped
from querywright.rows import Row, chat, row

SECRET = "Which mouse genes are called Brca1?"


@pytest.fixture
def protected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of hashes that holds one sentence."""
    source = tmp_path / "people.txt"
    source.write_text(SECRET + "\n", encoding="utf-8")
    path = tmp_path / "hashes.txt"
    guard([source], path)
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def pairs(api: API, *sentences: str) -> list[Row]:
    call = parse(api, "/v3/query?q=symbol:Brca1&species=mouse")
    return [row(call, sentence, "x") for sentence in sentences]


def test_only_hashes_are_written(protected: Path) -> None:
    lines = protected.read_text(encoding="utf-8").splitlines()
    assert digest(SECRET) in lines
    assert not any(word in protected.read_text(encoding="utf-8").lower() for word in ("mouse", "brca1"))
    assert guard([protected.with_name("people.txt")], protected) == 0  # nothing new


def test_the_shipped_file_holds_hashes_and_nothing_else() -> None:
    found = hashes()
    assert len(found) >= 100
    assert all(len(line) == 64 for line in found)
    assert all(line.startswith("#") or line in found for line in shipped().read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize(
    "sentence",
    [
        SECRET,
        "which mouse genes are called brca1",
        "  WHICH mouse genes\tare called Brca1 ?! ",
        "“Which mouse genes are called Brca1.”",
    ],
)
def test_spelling_at_the_surface_does_not_help(sentence: str, mygene: API, protected: Path) -> None:
    assert all(map(holds, pairs(mygene, sentence)))


def test_another_sentence_is_no_secret(mygene: API, protected: Path) -> None:
    assert not any(map(holds, pairs(mygene, "Which mouse genes are called Brca2?", "mouse genes are called Brca1")))
    assert plain("Is it A, or B?") == "is it a, or b"


def test_a_turn_of_a_conversation_is_found_too(mygene: API, protected: Path) -> None:
    first = {"role": "user", "content": SECRET}
    talk = row(
        parse(mygene, "/v3/gene/1017"), "and 1017?", "x", turns=[first, {"role": "assistant", "content": "/v3/gene/1"}]
    )
    assert holds(talk)
    assert holds(chat(talk))


def test_import_split_and_export_refuse(mygene: API, protected: Path, tmp_path: Path) -> None:
    source = tmp_path / "pairs.jsonl"
    write_jsonl(source, pairs(mygene, "mouse genes with the symbol Brca1", SECRET))
    doors = (
        lambda: imports(source, mygene),
        lambda: split(source, tmp_path / "split", valid=0.1, test=0.1, seed=1),
        lambda: export(read_jsonl(source), tmp_path / "chat.jsonl", source=source),
    )
    for door in doors:
        with pytest.raises(QuerywrightError, match="1 row with a protected sentence") as refused:
            door()
        assert "pairs.jsonl" in str(refused.value)
        assert "(row 2)" in str(refused.value)
        assert "Brca1" not in str(refused.value)
    assert not (tmp_path / "chat.jsonl").exists()


def test_import_names_the_rows_of_the_file(mygene: API, protected: Path, tmp_path: Path) -> None:
    """What is rejected or repeated before them counts."""
    first = {"instruction": "mouse genes with the symbol Brca1", "path": "/v3/gene/1017"}
    no_call = {"instruction": "nothing", "path": "/nowhere"}
    late = {"instruction": SECRET, "path": "/v3/gene/1017"}
    write_jsonl(tmp_path / "theirs.jsonl", [first, no_call, first, late, {**late, "path": "/v3/gene/1018"}])
    with pytest.raises(QuerywrightError, match=r"2 rows with a protected sentence \(rows 4, 5\)"):
        imports(tmp_path / "theirs.jsonl", mygene)


def test_training_rows_and_examples_refuse(mygene: API, protected: Path, tmp_path: Path) -> None:
    from querywright.finetune.chat_rows import read_rows
    from querywright.generate.prompts import strategy

    rows = pairs(mygene, "mouse genes with the symbol Brca1", SECRET)
    write_jsonl(tmp_path / "train.chat.jsonl", map(chat, rows))
    write_jsonl(tmp_path / "train.jsonl", rows)
    with pytest.raises(QuerywrightError, match="no training data"):
        read_rows(tmp_path / "train.chat.jsonl")
    with pytest.raises(QuerywrightError, match="no source of examples"):
        strategy("icl", mygene, examples=tmp_path / "train.jsonl")


def test_what_is_made_leaves_them_out(mygene: API, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"calls": None, "most": 0, "draw": 40, "per_call": 1, "seed": 3, "records": []}
    maker.make(mygene, tmp_path / "one", **options)  # type: ignore[arg-type]
    before = read_jsonl(tmp_path / "one" / "pairs.jsonl")
    unlucky = random.Random(1).choice(before)["instruction"]
    (tmp_path / "people.txt").write_text(unlucky.upper(), encoding="utf-8")
    guard([tmp_path / "people.txt"], tmp_path / "hashes.txt")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "hashes.txt"))
    maker.make(mygene, tmp_path / "two", **options)  # type: ignore[arg-type]
    after = read_jsonl(tmp_path / "two" / "pairs.jsonl")
    assert after == [r for r in before if r["instruction"] != unlucky]


def test_the_command_ends_with_2(mygene: API, protected: Path, tmp_path: Path) -> None:
    source = tmp_path / "pairs.jsonl"
    write_jsonl(source, pairs(mygene, SECRET))
    command = [sys.executable, "-m", "querywright", "pairs", "import", str(source), "--api", "mygene", "--out"]
    done = subprocess.run([*command, str(tmp_path / "out.jsonl")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_file_of_hashes_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "h.txt").write_text("a sentence\n", encoding="utf-8")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "h.txt"))
    with pytest.raises(QuerywrightError, match="no SHA-256"):
        hashes()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone.txt"))
    with pytest.raises(QuerywrightError, match="could not read"):
        hashes()


@pytest.mark.parametrize(
    "told",
    ["({})", "- {}", "[{}].", "\u200b{}", "{}\u00ad", "\u2066{}\u2069", "\u00a0{}\u2009", "* {}!", "\u201c{}\u201d"],
)
def test_a_sentence_is_known_in_brackets_and_with_signs_that_cannot_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    into = tmp_path / "mine.txt"
    protect(["show me every zebrafish kinase"], into)
    monkeypatch.setenv(VARIABLE, str(into))
    with pytest.raises(QuerywrightError, match="protected"):
        refuse([{"instruction": told.format("Show me every zebrafish kinase")}], "rows")
    refuse([{"instruction": told.format("Show me every zebrafish gene")}], "rows")


def test_a_file_of_hashes_that_is_no_text_is_said(tmp_path: Path) -> None:
    into = tmp_path / "mine.txt"
    into.write_bytes(bytes(range(200, 256)))
    with pytest.raises(QuerywrightError, match="no text"):
        protect(["a sentence"], into)
