"""`schema import` of BioThings lists and Elasticsearch indexes: facts, merging, names, and what a person wrote."""

from __future__ import annotations

import copy
import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from querywright.api.call import CallError, parse
from querywright.api.definition import API, load
from querywright.api.grammar import build
from querywright.artefacts import data_dir
from querywright.cli.schema import app
from querywright.errors import QuerywrightError
from querywright.schema.import_schema import Options, import_schema
from querywright.schema.sources import detect, read_source
from querywright.schema.write import read_rows

REAL = Path(__file__).parents[3] / "shared" / "data" / "schema"

LIST: dict[str, Any] = {
    "symbol": {"type": "keyword", "index": True, "searched_by_default": True},
    "summary": {"type": "text", "index": True, "searched_by_default": True},
    "ids": {"type": "object", "index": True},
    "ids.acc": {"type": "text", "index": True, "analyzer": "string_lowercase"},
    "ids.old-name": {"type": "keyword", "index": True},
    "score++": {"type": "float", "index": True},
    "note": {"type": "text", "index": False},
    "has space": {"type": "keyword", "index": True},
    "a/b": {"type": "keyword", "index": True},
    "title": {"type": "text", "fields": {"raw": {"type": "keyword", "normalizer": "lowercase"}}},
}
INDEX: dict[str, Any] = {
    "my_index": {
        "aliases": {},
        "mappings": {
            "dynamic": "strict",
            "_meta": {"biothing_type": "thing"},
            "properties": {
                "all": {"type": "text"},
                "code": {"type": "keyword", "copy_to": "all"},
                "code_lower": {"type": "keyword", "normalizer": "low", "copy_to": ["all"]},
                "words": {"type": "text", "copy_to": ["all"], "fields": {"raw": {"type": "keyword"}}},
                "one_token": {"type": "text", "analyzer": "whole_lower"},
                "whole": {"type": "text", "analyzer": "keyword"},
                "english": {"type": "text", "analyzer": "english"},
                "path": {"type": "text", "analyzer": "tree"},
                "n": {"type": "short"},
                "u": {"type": "unsigned_long"},
                "when": {"type": "date_nanos"},
                "flag": {"type": "boolean"},
                "hidden": {"type": "keyword", "index": False},
                "off": {"type": "object", "enabled": False, "properties": {"in": {"type": "keyword"}}},
                "rows": {
                    "type": "nested",
                    "properties": {"n": {"type": "integer"}, "by": {"properties": {"id": {"type": "ip"}}}},
                },
                "place": {"type": "geo_point"},
                "vector": {"type": "dense_vector", "dims": 3},
                "other": {"type": "alias", "path": "code"},
                "lost": {"type": "alias", "path": "nowhere"},
                "full": {"type": "text"},
                "first": {"type": "text", "copy_to": "full"},
                "last": {"type": "text", "copy_to": "full"},
            },
        },
        "settings": {
            "index": {
                "max_result_window": "50000",
                "analysis": {
                    "normalizer": {"low": {"type": "custom", "filter": ["lowercase"]}},
                    "analyzer": {
                        "whole_lower": {"tokenizer": "keyword", "filter": "my_lower"},
                        "tree": {"type": "custom", "tokenizer": "by_dot", "filter": "lowercase"},
                    },
                    "filter": {"my_lower": {"type": "lowercase"}},
                    "tokenizer": {"by_dot": {"type": "path_hierarchy", "delimiter": "."}},
                },
            }
        },
    }
}


def put(path: Path, value: Any) -> str:
    path.write_text(json.dumps(value), encoding="utf-8")
    return str(path)


def imported(tmp_path: Path, *sources: Any, **options: Any) -> API:
    files = [put(tmp_path / f"source{i}.json", s) for i, s in enumerate(sources)]
    import_schema(files, tmp_path / "api", Options(name="things", base_url="https://things.example", **options))
    return load.__wrapped__(str(tmp_path / "api"))  # past the cache: the same folder is imported again


def facts(api: API, name: str) -> tuple[str, bool, bool, str]:
    field = api.fields[name]
    return field.type, field.indexed, field.default_search, field.analysis


def test_a_biothings_list_gives_types_and_how_values_are_compared(tmp_path: Path) -> None:
    api = imported(tmp_path, LIST)
    assert facts(api, "symbol") == ("keyword", True, True, "lower")
    assert facts(api, "summary") == ("text", True, True, "text")
    assert facts(api, "ids.acc") == ("text", True, False, "lower")
    assert facts(api, "score++") == ("float", True, False, "number")
    assert facts(api, "note") == ("text", False, False, "text")
    assert facts(api, "title.raw") == ("keyword", True, False, "lower")


def test_an_index_gives_analysis_from_its_settings(tmp_path: Path) -> None:
    api = imported(tmp_path, INDEX)
    assert facts(api, "code") == ("keyword", True, True, "exact")
    assert facts(api, "code_lower") == ("keyword", True, True, "lower")
    assert facts(api, "words") == ("text", True, True, "text")
    assert facts(api, "words.raw") == ("keyword", True, False, "exact")
    assert facts(api, "one_token")[3] == "lower"
    assert facts(api, "whole")[3] == "exact"
    assert facts(api, "english")[3] == facts(api, "path")[3] == "text"
    assert [facts(api, n)[0] for n in ("n", "u", "when", "rows.by.id")] == ["integer", "long", "date", "keyword"]
    assert facts(api, "flag")[3] == "exact"
    assert not api.fields["hidden"].indexed
    assert not api.fields["off.in"].indexed
    assert facts(api, "rows") == ("object", True, False, "object")
    assert "rows.by" in api.fields
    assert not api.fields["place"].indexed  # returned, but no query string finds a place
    assert api.resolve("other") == "code"
    assert "lost" not in api.field_aliases
    assert "all" not in api.fields  # what un-fielded searches look in is no field
    assert facts(api, "full") == ("text", True, False, "text")  # a target of copy_to that is searched by its name
    assert api.noun == "thing"
    assert api.params["from"].max == 50_000


@pytest.mark.parametrize("shape", ["create", "mapping", "typed", "bare", "old"])
def test_every_shape_of_a_mapping_is_read(tmp_path: Path, shape: str) -> None:
    mapping: dict[str, Any] = {"properties": {"a": {"type": "keyword"}}}
    shapes: dict[str, Any] = {
        "create": {"settings": {"analysis": {}}, "mappings": mapping},
        "mapping": {"i1": {"mappings": mapping}, "i2": {"mappings": {"properties": {"b": {"type": "long"}}}}},
        "typed": {"i1": {"mappings": {"doc": mapping}}},
        "bare": mapping,
        "old": {"mappings": {"properties": {"a": {"type": "string", "index": "not_analyzed"}}}},
    }
    api = imported(tmp_path, shapes[shape])
    assert facts(api, "a") == ("keyword", True, True, "exact")
    assert ("b" in api.fields) == (shape == "mapping")


def test_default_field_of_the_settings_decides_the_default_search(tmp_path: Path) -> None:
    mapping = {"properties": {n: {"type": "text"} for n in ("title", "body", "meta")}}
    api = imported(tmp_path, {"mappings": mapping, "settings": {"index.query.default_field": ["title^3", "bo*"]}})
    assert [n for n, f in api.fields.items() if f.default_search] == ["body", "title"]


def test_a_later_source_wins_and_an_earlier_one_fills_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = {"code": {"type": "text", "index": True}, "words": {"type": "text", "index": True}}
    api = imported(tmp_path, listed, INDEX)
    assert facts(api, "code") == ("keyword", True, True, "exact")
    said = capsys.readouterr().err
    assert "sources disagree (text and then keyword; 1): code" in said
    assert "full" not in api.fields  # a copy that the service does not name is the index's own business
    (tmp_path / "again").mkdir()
    other = imported(tmp_path / "again", INDEX, listed)
    assert facts(other, "code") == ("text", True, False, "text")


def test_only_listed_leaves_out_what_no_list_names(tmp_path: Path) -> None:
    listed = {"code": {"type": "keyword"}, "words": {"type": "text"}}
    api = imported(tmp_path, INDEX, listed, only_listed=True, keep=("rows",))
    assert set(api.fields) == {"code", "words", "rows", "rows.n", "rows.by", "rows.by.id"}
    assert api.fields["code"].analysis == "exact"  # the list says keyword; only the mapping knows its normalizer


def test_names_that_no_request_can_hold_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    api = imported(tmp_path, {**LIST, "Symbol": {"type": "keyword"}})
    said = capsys.readouterr().err
    assert "has space" not in api.fields
    assert "'has space'" in said
    assert not api.fields["a/b"].indexed
    assert "can't be written in a query" in said
    assert "Symbol / symbol" in said
    assert api.resolve("Symbol") == "Symbol"
    assert parse(api, "/v1/query?q=score%2B%2B:>3").text == "/v1/query?q=score%2B%2B:{3 TO *]"


def test_the_definition_reads_calls_and_compiles_at_once(tmp_path: Path) -> None:
    api = imported(tmp_path, INDEX, item_path="/v1/thing/{id}")
    call = parse(api, "/v1/query?q=code:A1 AND n:[1 TO 5]&fields=words&size=20")
    assert parse(api, call.path).canonical == call.canonical
    assert parse(api, "/v1/thing/abc?fields=code").id == "abc"
    with pytest.raises(CallError, match="unknown field"):
        parse(api, "/v1/query?q=nothing:1")
    assert "query_call" in build(api)


def test_a_folder_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    imported(tmp_path, LIST)
    with pytest.raises(QuerywrightError, match="holds a definition") as caught:
        imported(tmp_path, LIST)
    assert "--update" in caught.value.hint


def test_an_update_takes_facts_and_keeps_what_a_person_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(tmp_path, LIST)
    folder = tmp_path / "api"
    rows = read_rows(folder / "fields.csv")
    for row in rows:
        if row["name"] == "symbol":
            row |= {
                "description": "Short name, with a comma.",
                "synonyms": "sign|mark",
                "examples": "A1",
                "weight": "7",
            }
    with open(folder / "fields.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    text = (folder / "api.yaml").read_text(encoding="utf-8")
    own = text.replace("noun: record", "noun: stone  # what we call it").replace("max: 1000}", "max: 250}", 1)
    (folder / "api.yaml").write_text(own, encoding="utf-8")
    changed = {**LIST, "symbol": {"type": "text", "index": True, "searched_by_default": True}, "new": {"type": "long"}}
    del changed["note"]
    capsys.readouterr()
    api = imported(tmp_path, changed, update=True)
    said = capsys.readouterr().err
    field = api.fields["symbol"]
    assert (field.type, field.description, field.synonyms) == ("text", "Short name, with a comma.", ("sign", "mark"))
    assert (field.examples, field.weight) == (("A1",), 7)
    assert api.fields["new"].type == "long"
    assert "note" in api.fields  # gone from the source, kept until --remove
    assert "type was keyword, is text: symbol" in said
    assert "new fields (1): new" in said
    assert "fields that are no longer in the source, kept" in said
    assert (folder / "api.yaml").read_text(encoding="utf-8") == own
    assert "note" not in imported(tmp_path, changed, update=True, remove=True).fields


def test_a_renamed_field_keeps_its_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(tmp_path, LIST)
    path = tmp_path / "api" / "fields.csv"
    text = path.read_text(encoding="utf-8")
    assert "ids.old-name,keyword,true,false,lower,," in text
    path.write_text(
        text.replace("ids.old-name,keyword,true,false,lower,,", "ids.old-name,keyword,true,false,lower,Once.,")
    )
    renamed = {**LIST, "ids.old_name": LIST["ids.old-name"]}
    del renamed["ids.old-name"]
    capsys.readouterr()
    api = imported(tmp_path, renamed, update=True, remove=True)
    assert api.fields["ids.old_name"].description == "Once."
    assert "ids.old-name -> ids.old_name" in capsys.readouterr().err


def test_an_update_without_changes_changes_no_byte(tmp_path: Path) -> None:
    imported(tmp_path, INDEX)
    before = {p.name: p.read_bytes() for p in (tmp_path / "api").iterdir()}
    imported(tmp_path, INDEX, update=True)
    assert {p.name: p.read_bytes() for p in (tmp_path / "api").iterdir()} == before


def test_nothing_is_written_where_the_result_is_no_definition(tmp_path: Path) -> None:
    folder = tmp_path / "api"
    imported(tmp_path, LIST)
    (folder / "api.yaml").write_text("name: things\nnoun: [1\n", encoding="utf-8")
    before = (folder / "fields.csv").read_bytes()
    with pytest.raises(QuerywrightError):
        imported(tmp_path, {"only": {"type": "long"}}, update=True, remove=True)
    assert (folder / "fields.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "holds a list"),
        ("{}", "no schema known here; it is empty"),
        ('{"a": 1}', "no schema known here"),
        ("a: [", "neither JSON nor YAML"),
        ('{"swagger": "2.0"}', "Swagger 2.0"),
    ],
)
def test_what_is_no_schema_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(app, ["import", str(path), "--name", "x", "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, QuerywrightError)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["ftp://host/x.json", "file:///etc/passwd", "http:///x", "/no/such/file.json"])
def test_only_files_and_web_addresses_are_read(where: str) -> None:
    with pytest.raises(QuerywrightError):
        read_source(where)


def test_a_source_behind_an_address_is_read_and_a_redirect_elsewhere_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(LIST).encode()
            goes = {
                "/away": "http://other.example/fields",
                "/port": f"http://127.0.0.1:{self.server.server_port + 1}/fields",  # type: ignore[attr-defined]
                "/moved": "/v1/metadata/fields?x=1",
                "/round": "/round",
            }
            self.send_response(302 if self.path in goes else 404 if self.path == "/none" else 200)
            if self.path in goes:
                self.send_header("Location", goes[self.path])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        source = read_source(f"{url}/v1/metadata/fields?secret=1")
        assert source.kind == "biothings"
        assert "secret" not in source.name
        with pytest.raises(QuerywrightError, match=r"redirects to http://other\.example"):
            read_source(f"{url}/away")
        for path, reason in (("port", "redirects to"), ("round", "redirects to"), ("none", "it answers 404")):
            with pytest.raises(QuerywrightError, match=reason):
                read_source(f"{url}/{path}")
        assert read_source(f"{url}/moved").kind == "biothings"
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # proxies of the environment are not asked
        assert read_source(f"{url}/v1/metadata/fields").kind == "biothings"
        monkeypatch.setattr("querywright.schema.sources.MOST_BYTES", 100)
        with pytest.raises(QuerywrightError, match="more than 100 bytes"):
            read_source(f"{url}/v1/metadata/fields")
    finally:
        server.shutdown()


JUNK: list[Any] = [None, True, -1, 1e300, float("nan"), "", "x", "#/components/schemas/Pet", [], [1], ["a", None], {}]
JUNK += [{"type": "object"}, {"$ref": "#/components/schemas/Event"}, {"$ref": 7}, "a|b", "a,b", "\x00", "é"]
NAMES = ["a b", "-x", "", "q", "é", "size", "a.b", ".", "..", "$ref", "type", "properties", "a|b"]


def damage(document: Any, rng: random.Random) -> Any:
    """A document with a few of its values replaced, taken out or renamed."""
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            places.append((value, key))
            if isinstance(inner, dict | list):
                walk(inner)

    walk(document)
    for holder, key in rng.sample(places, min(len(places), rng.randint(1, 4))):
        chance = rng.random()
        if chance < 0.6 or isinstance(holder, list):
            holder[key] = rng.choice(JUNK)
        elif chance < 0.75:
            holder.pop(key, None)
        else:
            holder[rng.choice(NAMES)] = holder.pop(key, None)
    return document


@pytest.mark.parametrize("kind", ["biothings", "elasticsearch", "openapi"])
def test_a_damaged_source_is_read_or_told_about(tmp_path: Path, kind: str) -> None:
    path = data_dir() / "apis" / "earthquakes" / "openapi.yaml"
    sound = {"biothings": LIST, "elasticsearch": INDEX, "openapi": read_source(str(path)).data}[kind]
    good = 0
    for seed in range(24):
        folder = tmp_path / str(seed)
        folder.mkdir()
        damaged = damage(copy.deepcopy(sound), random.Random(seed))
        try:
            api = imported(folder, damaged)
        except QuerywrightError:
            continue
        good += 1
        assert api.endpoints
    assert good > 8


def test_kinds_are_told_apart() -> None:
    assert detect(LIST) == "biothings"
    assert detect(INDEX) == "elasticsearch"
    assert detect({"openapi": "3.1.0", "paths": {}}) == "openapi"
    assert detect({"properties": 3}) == ""


@pytest.mark.skipif(not REAL.is_dir(), reason="the real schemas are not beside the project")
class TestRealSchemas:
    """Against the lists and the indexes of four services."""

    def test_mygene_gives_the_shipped_facts(self, tmp_path: Path, mygene: API) -> None:
        sources = [str(REAL / "es_index" / "mygene_index.json"), str(REAL / "mygene_fields.json")]
        import_schema(sources, tmp_path / "a", Options(name="mygene", only_listed=True))
        fields = load(str(tmp_path / "a")).fields
        assert set(fields) == set(mygene.fields)
        differ = {
            (name, key, getattr(field, key), getattr(mygene.fields[name], key))
            for name, field in fields.items()
            for key in ("type", "indexed", "default_search", "analysis")
            if getattr(field, key) != getattr(mygene.fields[name], key)
        }
        # the index holds a strand in one byte; the shipped table calls it an integer
        assert {d[1:] for d in differ} <= {("type", "byte", "integer")}

    @pytest.mark.parametrize(
        ("api", "least"), [("mygene", 355), ("myvariant", 1615), ("mychem", 1081), ("mydisease", 264)]
    )
    def test_lists_and_indexes_become_whole_definitions(self, tmp_path: Path, api: str, least: int) -> None:
        sources = [str(p) for p in sorted((REAL / "es_index").glob(f"{api}_*.json"))]
        import_schema([*sources, str(REAL / f"{api}_fields.json")], tmp_path / api, Options(name=api))
        definition = load(str(tmp_path / api))
        listed = json.loads((REAL / f"{api}_fields.json").read_text(encoding="utf-8"))
        assert len(set(definition.fields) & set(listed)) == least
        names = [n for n, f in definition.fields.items() if definition.leaves(n)]
        for name in names[:: max(1, len(names) // 60)]:
            written = name.replace("+", "%2B")
            assert parse(definition, f"/v1/query?q=_exists_:{written}&fields={written}").query is not None
