"""`schema diff`: what changed, what it breaks, and how that is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from querywright.api.definition import API, load
from querywright.api.identity import definition_id
from querywright.artefacts import read_jsonl, sha256, write_jsonl
from querywright.cli.schema import app
from querywright.errors import QuerywrightError
from querywright.schema.broken_grammar import sample
from querywright.schema.compare import compare
from querywright.schema.diff import Change, diff
from querywright.schema.import_schema import Options, import_schema

OLD: dict[str, dict[str, Any]] = {
    "symbol": {"type": "keyword", "searched_by_default": True},
    "name": {"type": "text", "searched_by_default": True},
    "pos": {"type": "object"},
    "pos.start": {"type": "long"},
    "pos.end": {"type": "long"},
    "xrefs": {"type": "object"},
    "xrefs.omim_id": {"type": "keyword"},
    "score": {"type": "integer"},
    "note": {"type": "keyword"},
}
PAIRS = [
    ("the gene CDK2", "/v1/query?q=symbol:CDK2"),
    ("OMIM 1234", "/v1/query?q=xrefs.omim_id:1234"),
    ("symbols with an OMIM number", "/v1/query?q=_exists_:xrefs.omim_id&fields=symbol"),
    ("a note that says x", "/v1/query?q=note:x&size=5"),
    ("notes of CDK2", "/v1/query?q=symbol:CDK2&fields=note"),
    ("score above 5", "/v1/query?q=score:>5"),
    ("anything about kinases", "/v1/query?q=kinase"),
    ("one that never was", "/v1/query?q=nothing:1"),
]

Make = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """Folders of definitions: `made("new", symbol={...}, note=None)` differs from OLD in these fields."""

    def make(name: str, edit: tuple[str, str] = ("", ""), **changes: dict[str, Any] | None) -> Path:
        fields = {n.replace("__", "."): f for n, f in {**OLD, **changes}.items() if f is not None}
        source = tmp_path / f"{name}.json"
        source.write_text(json.dumps(fields), encoding="utf-8")
        import_schema([str(source)], tmp_path / name, Options(name="genes", base_url="https://genes.example"))
        yaml = tmp_path / name / "api.yaml"
        text = yaml.read_text(encoding="utf-8")
        assert edit[0] in text
        yaml.write_text(text.replace(*edit, 1) if edit[0] else text, encoding="utf-8")
        return tmp_path / name

    return make


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    write_jsonl(path, [{"instruction": i, "path": p} for i, p in PAIRS])
    return path


def changes(old: Path, new: Path) -> dict[tuple[str, str], Change]:
    return {(c.name, c.what): c for c in diff(load(str(old)), load(str(new)))}


def test_a_definition_does_not_differ_from_itself(made: Make, mygene: API) -> None:
    old = made("old")
    assert not changes(old, made("same"))
    assert not diff(mygene, mygene)
    assert not compare(str(old), str(old))["breaks"]
    assert definition_id(load(str(old))) == definition_id(load(str(made("again"))))


def test_fields_added_removed_and_changed(made: Make) -> None:
    new = made(
        "new",
        note=None,
        fresh={"type": "boolean"},
        symbol={"type": "text", "searched_by_default": True},
        score={"type": "integer", "index": False},
    )
    found = changes(made("old"), new)
    assert found["note", "removed"].breaks
    assert not found["fresh", "added"].breaks
    assert not found["symbol", "type"].breaks  # how words are compared is told by the analysis
    assert found["symbol", "analysis"].breaks
    assert found["symbol", "analysis"].note == "a value is several words now"
    assert found["score", "indexed"].breaks
    back = changes(new, made("old2"))
    assert not back["score", "indexed"].breaks
    assert not back["note", "added"].breaks


def test_numbers_of_another_size_break_nothing(made: Make) -> None:
    found = changes(made("old"), made("new", score={"type": "long"}))
    assert [c.breaks for c in found.values()] == [False]


def test_renames_are_guessed_by_leaf_and_by_likeness(made: Make) -> None:
    new = made(
        "new",
        **{
            "xrefs.omim_id": None,
            "xrefs.omim": {"type": "keyword"},
            "pos": None,
            "pos.start": None,
            "pos.end": None,
            "genomic_pos": {"type": "object"},
            "genomic_pos.start": {"type": "long"},
            "genomic_pos.end": {"type": "long"},
        },
    )
    found = changes(made("old"), new)
    renamed = {name: c.new for (name, what), c in found.items() if what == "renamed"}
    assert renamed["xrefs.omim_id"] == "xrefs.omim"
    assert renamed["pos.start"] == "genomic_pos.start"
    assert renamed["pos.end"] == "genomic_pos.end"
    assert "guess" in found["xrefs.omim_id", "renamed"].note
    assert not [key for key in found if key[1] == "added" and key[0] in renamed.values()]


def test_two_names_that_fit_alike_are_no_guess(made: Make) -> None:
    new = made("new", score=None, score_a={"type": "integer"}, score_b={"type": "integer"})
    found = changes(made("old"), new)
    assert ("score", "removed") in found
    assert {n for n, what in found if what == "added"} == {"score_a", "score_b"}


def test_a_name_that_is_still_read_breaks_nothing(made: Make) -> None:
    edit = ("version_prefixes:", "field_aliases: {note: name}\nversion_prefixes:")
    found = changes(made("old"), made("new", edit, note=None))
    assert found["note", "renamed"].new == "name"
    assert not found["note", "renamed"].breaks


@pytest.mark.parametrize(
    ("edit", "key", "breaks"),
    [
        (("default: 10, min: 0, max: 1000", "default: 20, min: 0, max: 1000"), ("size", "default"), True),
        (("min: 0, max: 1000}", "min: 0, max: 500}"), ("size", "max"), True),
        (("min: 0, max: 1000}", "min: 0, max: 5000}"), ("size", "max"), False),
        (("min: 0, max: 1000}", "min: 1, max: 1000}"), ("size", "min"), True),
        (("aliases: [limit], ", ""), ("size", "aliases removed"), True),
        (("/v1/record/{id}", "/v1/thing/{id}"), ("record", "path"), True),
        (("params: [fields, dotfield]", "params: [fields]"), ("record", "parameters removed"), True),
        (("noun: record", "noun: gene"), None, False),
        (("default_operator: AND", "default_operator: OR"), ("default_operator", "changed"), True),
    ],
)
def test_parameters_and_endpoints(made: Make, edit: tuple[str, str], key: tuple[str, str] | None, breaks: bool) -> None:
    found = changes(made("old"), made("new", edit))
    assert list(found) == ([key] if key else [])
    assert [c.breaks for c in found.values()] == ([breaks] if key else [])


def test_pairs_that_are_refused_or_mean_something_else(made: Make, pairs: Path, tmp_path: Path) -> None:
    new = made(
        "new",
        **{"xrefs.omim_id": None, "xrefs.omim": {"type": "keyword"}},
        note={"type": "text", "searched_by_default": True},
    )
    told = compare(str(made("old")), str(new), pairs, tmp_path / "broken.jsonl")
    assert told["breaks"]
    assert told["pairs"]["rows"] == len(PAIRS)
    assert told["pairs"]["status"] == {"same": 3, "refused": 2, "other answer": 2, "already refused": 1}
    assert told["pairs"]["by_field"] == {"xrefs.omim_id": 2, "note": 1, "(no field)": 1}
    rows = {r["instruction"]: r for r in read_jsonl(tmp_path / "broken.jsonl")}
    assert rows["OMIM 1234"]["status"] == "refused"
    assert rows["OMIM 1234"]["suggestion"] == "/v1/query?q=xrefs.omim:1234"
    assert "unknown field 'xrefs.omim_id'" in rows["OMIM 1234"]["reason"]
    assert rows["a note that says x"]["status"] == "other answer"
    assert "notes of CDK2" not in rows  # it only shows the field
    assert rows["anything about kinases"]["touches"] == ["(no field)"]


def test_a_default_that_changes_touches_the_calls_that_rely_on_it(made: Make, pairs: Path) -> None:
    new = made("new", ("default: 10, min: 0, max: 1000", "default: 20, min: 0, max: 1000"))
    status = compare(str(made("old")), str(new), pairs)["pairs"]["status"]
    assert status == {"other answer": 6, "same": 1, "already refused": 1}


def test_the_grammar_tells_what_it_no_longer_accepts(made: Make) -> None:
    told = compare(str(made("old")), str(made("new", note=None, score={"type": "integer", "index": False})))["grammar"]
    assert told["terminals"]["NAME"] == {"what": "changed", "words_removed": 2, "words_added": 0}
    refused = [r["path"] for r in told["refused"]]
    assert "/v1/query?q=_exists_:note" in refused
    assert "/v1/query?q=_exists_:score" in refused
    assert "/v1/query?q=*&fields=score" not in refused  # it is still returned


def test_models_are_judged_by_what_they_were_trained_on(made: Make, pairs: Path, tmp_path: Path) -> None:
    old, new = made("old"), made("new", note=None)

    def advice(**manifest: Any) -> tuple[str, str]:
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        (folder / "manifest.json").write_text(json.dumps({"config": manifest}), encoding="utf-8")
        (folder / "model.gguf").write_bytes(b"")
        model = compare(str(old), str(new), pairs, models=(folder / "model.gguf",))["models"][0]
        return model["trained_on"], model["advice"]

    a, b = definition_id(load(str(old))), definition_id(load(str(new)))
    assert a != b
    trained, what = advice(api="genes", run={"definition": a, "data_sha256": sha256(pairs)})
    assert trained == "the old definition"
    assert what.startswith("train again")
    assert "25.0%" in what  # 2 of 8 rows
    assert advice(api="genes", definition=b)[1] == "keep it"
    assert "not the rows" in advice(definition=a, data_sha256="0" * 64)[0]
    assert advice(api="others")[1] == "not concerned"
    with pytest.raises(QuerywrightError, match="no model at"):
        compare(str(old), str(new), models=(tmp_path / "none",))


def test_a_new_source_is_compared_as_an_update_of_the_old_definition(made: Make, tmp_path: Path) -> None:
    old = made("old", ("noun: record", "noun: gene"))
    before = {p.name: p.read_bytes() for p in old.iterdir()}
    source = tmp_path / "newer.json"
    source.write_text(json.dumps({n: f for n, f in OLD.items() if n != "note"}), encoding="utf-8")
    told = compare(str(old), str(source))
    assert [(c["name"], c["what"]) for c in told["changes"]] == [("note", "removed")]
    assert {p.name: p.read_bytes() for p in old.iterdir()} == before


def test_typed_parameters(tmp_path: Path) -> None:
    def definition(name: str, params: str, required: str = "") -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "api.yaml").write_text(
            "name: typed\ntitle: typed\nbase_url: https://x.example\nquery_language: none\n"
            f"endpoints: {{find: {{path: /find, params: [colour, n, when]{required}}}}}\nparams:\n{params}",
            encoding="utf-8",
        )
        return str(folder)

    when = "  when: {kind: date}\n"
    old = definition("a", "  colour: {kind: enum, values: [red, Green]}\n  n: {kind: integer, min: 0, max: 9}\n" + when)
    new = definition(
        "b",
        "  colour: {kind: enum, values: [green, blue]}\n  n: {kind: number, min: 0, max: 5}\n" + when,
        ", required: [when]",
    )
    told = compare(old, new)
    found = {(c["name"], c["what"]): c["breaks"] for c in told["changes"]}
    assert found == {
        ("colour", "values removed"): True,
        ("colour", "values added"): False,
        ("n", "kind"): True,
        ("n", "max"): True,
        ("find", "required"): True,
    }
    assert "/find?colour=red" in [r["path"] for r in told["grammar"]["refused"]]
    for param in load(old).params.values():
        assert sample(param)


def test_the_command_exits_with_1_where_something_breaks(made: Make, pairs: Path) -> None:
    old, same, new = made("old"), made("same"), made("new", note=None)
    run = CliRunner()
    nothing = run.invoke(app, ["diff", str(old), str(same), "--pairs", str(pairs)])
    assert (nothing.exit_code, "no difference" in nothing.output) == (0, True)
    broken = run.invoke(app, ["diff", str(old), str(new), "--pairs", str(pairs)])
    assert broken.exit_code == 1
    assert "field: removed: note" in broken.output
    assert "pairs: 8 rows" in broken.output
    assert run.invoke(app, ["diff", str(new), str(old)]).exit_code == 0  # more is no breakage
    told = json.loads(run.invoke(app, ["diff", str(old), str(new), "--json"]).output)
    assert told["breaks"] is True
