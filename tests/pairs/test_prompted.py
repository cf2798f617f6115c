"""What the tuned prompt shows in training is what it shows in use; and rows of APIs that do not exist."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from querywright.api.call import parse
from querywright.api.definition import load
from querywright.api.nearest import FIELDS
from querywright.artefacts import write_jsonl
from querywright.cli.pairs import app
from querywright.errors import QuerywrightError
from querywright.generate.prompts import strategy
from querywright.pairs.make import make
from querywright.pairs.prompted import with_fields
from querywright.pairs.split import split
from querywright.pairs.vary import other_name, varied
from querywright.rows import Row, chat, row

SENTENCE = "drugs with the ChEMBL name ASPIRIN, give me their molecular weight"
CALL = "/v1/query?q=chembl.pref_name:ASPIRIN&fields=pubchem.molecular_weight"


def pair(sentence: str = SENTENCE, call: str = CALL) -> Row:
    return next(with_fields([row(parse(load("mychem"), call), sentence, "test")]))


def test_training_and_use_show_the_same_prompt() -> None:
    asked = strategy("tuned", load("mychem"))(SENTENCE)
    assert chat(pair())["messages"][:-1] == asked
    assert len(asked[0]["content"].splitlines()) == 1 + FIELDS


def test_an_api_that_is_not_shipped_needs_its_definition() -> None:
    stranger = {**pair(), "api": "theirs"}
    with pytest.raises(QuerywrightError, match="not shipped") as caught:
        list(with_fields([stranger]))
    assert "--api" in caught.value.hint
    assert next(with_fields([stranger], load("mychem")))["fields"] == pair()["fields"]
    assert next(with_fields([pair()], load("mygene")))["fields"] == pair()["fields"], "a shipped one keeps its own"


def test_a_split_writes_the_prompt(tmp_path: Path) -> None:
    make(load("mydisease"), tmp_path / "made", calls=None, most=0, draw=60, per_call=1, seed=3, refusals=6, records=[])
    for vary in (0.0, 0.5):
        split(tmp_path / "made" / "pairs.jsonl", tmp_path / f"{vary}", valid=0.1, test=0.1, seed=1, vary=vary)
    plain, other = (
        [json.loads(line)["messages"] for line in (tmp_path / f"{v}" / "train.chat.jsonl").open()] for v in (0.0, 0.5)
    )
    assert all(len(messages[0]["content"].splitlines()) == 1 + FIELDS for messages in (*plain, *other))
    changed = [(a, b) for a, b in zip(plain, other, strict=True) if a != b]
    assert 0.2 * len(plain) < len(changed) < 0.8 * len(plain)
    assert all(a[1] == b[1] for a, b in changed)  # what was asked stays
    assert (tmp_path / "0.0" / "test.chat.jsonl").read_text() == (tmp_path / "0.5" / "test.chat.jsonl").read_text()


def test_other_names_are_consistent() -> None:
    rng = random.Random(5)
    for _ in range(50):
        new = varied(pair(), rng)
        assert new is not None
        shown = new["system"].splitlines()[1:]
        assert len(set(shown)) == FIELDS
        found = re.fullmatch(r"/v1/query\?q=([\w.]+):ASPIRIN&fields=([\w.]+)", new["path"])
        assert found
        assert set(found.groups()) <= set(shown)  # what the answer names is what the prompt shows
    record = varied(pair("compound CHEMBL25", "/v1/chem/CHEMBL25"), rng)
    assert record is not None
    assert re.fullmatch(r"/v1/[a-z]+/CHEMBL25", record["path"])
    assert "/v1/chem/" not in record["path"]


def test_a_value_that_looks_like_a_field_stays() -> None:
    rng = random.Random(1)
    for call, kept in (("q=name", "q=name"), ("q=chembl.pref_name:unii", ":unii"), ("q=unii.unii:chebi", ":chebi")):
        for _ in range(20):
            told = {**pair("search", f"/v1/query?{call}"), "fields": ["name", "chembl.pref_name", "unii.unii", "unii"]}
            new = varied(told, rng)
            assert new is not None
            assert new["path"].endswith(kept)


def test_rows_that_keep_their_names() -> None:
    rng = random.Random(2)
    assert varied({**pair(), "turns": [{"role": "user", "content": "x"}]}, rng) is None
    assert varied(pair("chembl.pref_name ASPIRIN"), rng) is None  # the sentence has the very name


def test_other_names_have_words_of_the_synonym() -> None:
    rng = random.Random(3)
    for _ in range(100):
        name = other_name("clinical significance", rng)
        assert re.fullmatch(r"[A-Za-z0-9_.]+", name)
        assert "significance" in name.lower()


def test_unknown_file_leaves_no_half_split(tmp_path: Path) -> None:
    rows = [{**pair(), "api": "theirs", "id": str(i), "canonical": str(i)} for i in range(40)]
    write_jsonl(tmp_path / "p.jsonl", rows)
    with pytest.raises(QuerywrightError):
        split(tmp_path / "p.jsonl", tmp_path / "out", valid=0.2, test=0.2, seed=1)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_commands_for_an_api_that_is_not_shipped(tmp_path: Path) -> None:
    definition = str(Path(__file__).parent / "minerals" / "api.yaml")
    api = load(definition)
    calls = [f"/v1/query?q={name}:x{i}" for i in range(8) for name in list(api.fields)[:3]]
    write_jsonl(tmp_path / "p.jsonl", [row(parse(api, call), f"wanted: {call[12:]}", "test") for call in calls])
    splitting = ["split", str(tmp_path / "p.jsonl"), "--out", str(tmp_path / "s"), "--valid", "0.2", "--test", "0.2"]
    told = ["--unseen", "0", "--vary", "1", "--api", definition]
    assert CliRunner().invoke(app, [*splitting, *told], catch_exceptions=False).exit_code == 0
    shown = [json.loads(line)["messages"][0]["content"] for line in (tmp_path / "s" / "train.chat.jsonl").open()]
    assert all(len(text.splitlines()) == 1 + min(FIELDS, len(api.fields)) for text in shown)
    exporting = ["export", str(tmp_path / "p.jsonl"), "--out", str(tmp_path / "out.jsonl")]
    refused = CliRunner().invoke(app, exporting)
    assert isinstance(refused.exception, QuerywrightError)
    assert "--api" in refused.exception.hint
    assert CliRunner().invoke(app, [*exporting, "--api", definition], catch_exceptions=False).exit_code == 0
    asked = [json.loads(line)["messages"] for line in (tmp_path / "out.jsonl").open()]
    assert [m[:-1] for m in asked] == [strategy("tuned", api)(m[1]["content"]) for m in asked]
