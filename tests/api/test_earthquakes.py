"""The Earthquake Catalog: a shipped API of plain typed parameters, imported from its OpenAPI file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from querywright.api.call import CallError, parse, same
from querywright.api.definition import API, load
from querywright.api.executors import EmbeddedExecutor
from querywright.api.grammar import build
from querywright.artefacts import data_dir
from querywright.schema.import_schema import Options, import_schema

QUERY, COUNT = "/fdsnws/event/1/query", "/fdsnws/event/1/count"


@pytest.fixture(scope="module")
def quakes() -> API:
    return load("earthquakes")


def test_the_shipped_definition_is_what_its_openapi_file_says(tmp_path: Path, quakes: API) -> None:
    folder = tmp_path / "earthquakes"
    shutil.copytree(data_dir() / "apis" / "earthquakes", folder)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    import_schema([str(folder / "openapi.yaml")], folder, Options(name="earthquakes", update=True, remove=True))
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_every_parameter_and_field_is_described(quakes: API) -> None:
    for name, param in quakes.params.items():
        assert param.description, name
        assert param.synonyms, name
        assert param.examples or param.kind == "boolean", name
    for name, field in quakes.fields.items():
        assert field.description, name
        assert field.synonyms, name
    for name, param in quakes.params.items():
        assert not param.field or param.field in quakes.fields, name


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        (f"{QUERY}?format=geojson&starttime=2014-01-01&endtime=2014-01-02", "?starttime=2014-01-01&endtime=2014-01-02"),
        (
            f"{QUERY}?endtime=2014-01-02T00:00:00Z&minmagnitude=5.0&limit=10&offset=1",
            "?endtime=2014-01-02&minmagnitude=5&limit=10",
        ),
        (f"{QUERY}?orderby=time&eventtype=Quarry%20Blast", "?eventtype=quarry%20blast"),
        (f"{QUERY}?minlongitude=-124.50&mindepth=-3", "?mindepth=-3&minlongitude=-124.5"),
        (f"{QUERY}?eventid=us7000m9g4&includesuperseded=true", "?eventid=us7000m9g4&includesuperseded=true"),
        (f"https://earthquake.usgs.gov{COUNT}?alertlevel=RED", "?alertlevel=red"),
    ],
)
def test_calls_have_one_form(quakes: API, path: str, canonical: str) -> None:
    call = parse(quakes, path)
    assert call.canonical.partition("?")[1] + call.canonical.partition("?")[2] == canonical
    assert same(call, parse(quakes, call.path))


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"{QUERY}?minmagnitude=strong", "bad_value"),
        (f"{QUERY}?minlatitude=95", "bad_value"),
        (f"{QUERY}?limit=20001", "bad_value"),
        (f"{QUERY}?starttime=yesterday", "bad_value"),
        (f"{QUERY}?starttime=2023-02-30", "bad_value"),
        (f"{QUERY}?eventtype=earthquakes", "bad_value"),
        (f"{QUERY}?magnitude=5", "unknown_parameter"),
        ("/fdsnws/event/1/find?minmagnitude=4", "unknown_endpoint"),
    ],
)
def test_what_is_no_call_has_a_reason(quakes: API, path: str, code: str) -> None:
    with pytest.raises(CallError) as caught:
        parse(quakes, path)
    assert caught.value.code == code


def test_the_grammar_writes_only_calls(quakes: API) -> None:
    from lark import Lark

    parser = Lark(build(quakes), parser="lalr", start="start", lexer="contextual", maybe_placeholders=False)
    for tail in (
        "",
        "?starttime=2024-02-29&minmagnitude=4.5&orderby=magnitude&limit=5",
        "?minlatitude=-90&maxlatitude=12.25",
    ):
        parser.parse(QUERY + tail)
        assert parse(quakes, QUERY + tail)
    for tail in ("?starttime=2024-02-30", "?minmagnitude=4.5&starttime=2024-01-01", "?minlatitude=-91", "?limit=0"):
        with pytest.raises(Exception, match=r".+"):
            parser.parse(QUERY + tail)


def event(number: int, **values: Any) -> dict[str, Any]:
    """A made-up event, flat as in the service's CSV answer."""
    base = {
        "id": f"xx{number:08d}",
        "time": f"2024-01-{number:02d}T06:00:00",
        "updated": "2024-03-01T00:00:00",
        "latitude": 35.0 + number,
        "longitude": 139.0,
        "depth": 10.0 * number,
        "mag": 3.0 + number / 2,
        "magType": "mww",
        "place": f"{number} km N of Nowhere",
        "type": "earthquake",
        "status": "reviewed",
        "sig": 100 * number,
    }
    return {**base, **values}


@pytest.fixture(scope="module")
def service(quakes: API, tmp_path_factory: pytest.TempPathFactory) -> EmbeddedExecutor:
    folder = tmp_path_factory.mktemp("quakes")
    events = [event(n) for n in range(1, 7)]
    events.append(event(7, type="quarry blast", magType="ml", mag=1.5, status="automatic", depth=-0.5))
    events.append(event(8, alert="orange", felt=250, types="dyfi,origin,shakemap", longitude=-70.5))
    path = folder / "events.jsonl"
    path.write_text("".join(json.dumps(e) + "\n" for e in events), encoding="utf-8")
    return EmbeddedExecutor(quakes, path, folder)


@pytest.mark.parametrize(
    ("tail", "events"),
    [
        ("?orderby=time-asc", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("?starttime=2024-01-03&endtime=2024-01-05T23:59:59", [5, 4, 3]),
        ("?minmagnitude=5.5&orderby=magnitude", [8, 6, 5]),
        ("?maxmagnitude=3.5", [7, 1]),
        ("?maxdepth=0", [7]),
        ("?eventtype=quarry blast", [7]),
        ("?magnitudetype=ml", [7]),
        ("?reviewstatus=automatic", [7]),
        ("?alertlevel=orange", [8]),
        ("?minfelt=100", [8]),
        ("?producttype=shakemap", [8]),
        ("?maxlongitude=0", [8]),
        ("?minsig=300&maxsig=500&orderby=time-asc", [3, 4, 5]),
        ("?eventid=xx00000003", [3]),
        ("?latitude=36&longitude=139&maxradiuskm=150&orderby=time-asc", [1, 2]),
        ("?orderby=magnitude-asc&limit=2", [7, 1]),
        ("?orderby=time-asc&limit=2&offset=3", [3, 4]),
    ],
)
def test_the_embedded_service_answers(quakes: API, service: EmbeddedExecutor, tail: str, events: list[int]) -> None:
    hits = service.run(parse(quakes, QUERY + tail))
    assert [int(i[2:]) for i in hits.ids] == events
