"""An API of typed parameters over local records: what each parameter filters, how hits are ordered, what is refused."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from querywright.api.call import CallError, parse
from querywright.api.definition import API, load, shipped
from querywright.api.executors import EmbeddedExecutor, HttpExecutor, open_records
from querywright.api.filters import reading, span
from querywright.api.problems import ServiceError
from querywright.api.rows import Rows, answer, in_memory
from querywright.errors import QuerywrightError

DEFINITION: dict[str, Any] = {
    "name": "ships",
    "title": "Ships",
    "base_url": "https://ships.example",
    "query_language": "none",
    "noun": "ship",
    "version_prefixes": ["/v1", ""],
    "endpoints": {
        "ships": {
            "path": "/v1/ships",
            "params": [
                *(
                    "q",
                    "kind",
                    "flags",
                    "tags",
                    "built",
                    "min_tons",
                    "max_tons",
                    "length",
                    "launched_after",
                    "launched",
                ),
                *("sunk", "name", "owner_country", "page", "limit", "offset", "sort", "order"),
            ],
        },
        "ship": {"path": "/v1/ships/{id}", "params": []},
        "harbour": {"path": "/v1/harbours/{harbour}/ships", "params": ["harbour", "kind", "limit"]},
        "voyage": {"path": "/v1/voyages/{voyageId}", "params": ["voyageId"]},
    },
    "params": {
        "q": {"kind": "text"},
        "kind": {"kind": "enum", "values": ["Brig", "Full Rigger", "Steamer"], "field": "kind"},
        "flags": {
            "kind": "list",
            "items": "enum",
            "values": ["no", "se", "gb", "NL"],
            "field": "flag",
            "compare": "in",
        },
        "tags": {"kind": "list", "items": "text", "explode": True, "field": "tags", "compare": "contains"},
        "built": {"kind": "integer", "field": "built.year"},
        "min_tons": {"kind": "number", "field": "tons", "compare": "ge"},
        "max_tons": {"kind": "number", "field": "tons", "compare": "le"},
        "length": {"kind": "number", "field": "length", "compare": "lt"},
        "launched_after": {"kind": "date", "field": "launched", "compare": "gt"},
        "launched": {"kind": "date", "field": "launched"},
        "sunk": {"kind": "boolean", "field": "sunk"},
        "name": {"kind": "text", "field": "name", "compare": "contains"},
        "owner_country": {"kind": "text", "field": "owners.country"},
        "limit": {"kind": "integer", "role": "limit", "default": 3, "min": 0, "max": 50},
        "offset": {"kind": "integer", "role": "offset", "min": 0},
        "page": {"kind": "integer", "min": 1},
        "sort": {"kind": "enum", "values": ["name", "-tons", "launched:desc", "relevance"], "role": "sort"},
        "order": {"kind": "enum", "values": ["asc", "desc"]},
        "harbour": {"kind": "text", "field": "harbour"},
        "voyageId": {"kind": "text"},
    },
}
FIELDS = """name,type,indexed,default_search,analysis
name,text,true,true,text
kind,keyword,true,true,lower
flag,keyword,true,false,lower
tags,keyword,true,false,lower
built.year,integer,true,false,number
tons,float,true,false,number
length,float,true,false,number
launched,date,true,false,lower
sunk,boolean,true,false,lower
owners.country,keyword,true,false,exact
owners.name,text,true,false,text
harbour,keyword,true,false,exact
"""
SHIPS: list[dict[str, Any]] = [
    {"_id": "a1", "name": "Sørlandet", "kind": "Full Rigger", "flag": "no", "tags": ["school", "sail"], "tons": 499.0,
     "built": {"year": 1927, "yard": "Høivold"}, "launched": "1927-06-23", "sunk": False, "length": 64.15,
     "owners": [{"name": "Sørlandet Foundation", "country": "Norway"}], "harbour": "Kristiansand"},
    {"_id": "a2", "name": "Statsraad Lehmkuhl", "kind": "Full Rigger", "flag": "no", "tags": ["sail"], "tons": 1516,
     "built": {"year": 1914}, "launched": "1914-01-14T12:00:00+02:00", "sunk": False, "length": 98,
     "owners": [{"country": "Norway"}, {"country": "Germany"}], "harbour": "Bergen"},
    {"_id": "a3", "name": "Vasa", "kind": "brig", "flag": "SE", "tons": "1210", "launched": "1627", "sunk": True,
     "tags": ["sail", "museum"], "owners": [{"country": "Sweden"}], "harbour": "Stockholm"},
    {"_id": "a4", "name": "Great Britain", "kind": "Steamer", "flag": "gb", "tons": 3674, "launched": "1843-07-19",
     "sunk": False, "tags": "museum", "built": {"year": 1843}, "length": 98.15, "harbour": "Bristol"},
    {"_id": "A5", "name": "Nameless", "flag": "nl", "harbour": "Den Helder/2"},
]  # fmt: skip


@pytest.fixture(scope="module")
def ships(tmp_path_factory: pytest.TempPathFactory) -> API:
    folder = tmp_path_factory.mktemp("ships")
    (folder / "api.yaml").write_text(yaml.safe_dump(DEFINITION), encoding="utf-8")
    (folder / "fields.csv").write_text(FIELDS, encoding="utf-8")
    return load(str(folder))


@pytest.fixture(scope="module")
def rows(ships: API) -> Rows:
    return in_memory(ships, SHIPS)


def ids(rows: Rows, path: str) -> list[str]:
    body = answer(rows, parse(rows.api, path))
    return [hit["_id"] for hit in body["hits"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("kind=full%20rigger", "a1 a2"),
        ("kind=Brig", "a3"),  # letter case of the record aside
        ("flags=no,se", "a1 a2 a3"),
        ("flags=nl", "A5"),
        ("tags=sail&tags=museum", "a3"),
        ("tags=museum", "a3 a4"),
        ("built=1927", "a1"),
        ("min_tons=1210", "a2 a3 a4"),  # a number that is written as a text is one
        ("min_tons=1210.5&max_tons=2000", "a2"),
        ("max_tons=499", "a1"),
        ("length=98", "a1"),
        ("launched=1914-01-14", "a2"),
        ("launched=1627-03-03", "a3"),  # somewhen in that year
        ("launched_after=1843-07-18", "a1 a2 a4"),
        ("launched_after=1843-07-19", "a1 a2"),
        ("launched_after=1914-01-14T09:59:59", "a1 a2"),
        ("launched_after=1914-01-14T10:00:00", "a1"),
        ("sunk=true", "a3"),
        ("sunk=false", "a1 a2 a4"),
        ("name=great%20bri", "a4"),
        ("name=SØR", "a1"),
        ("name=ritain", ""),  # words, from their beginning
        ("owner_country=Norway", "a1 a2"),
        ("owner_country=germany", "a2"),
        ("q=foundation", "a1"),
        ("q=museum 1843", "a4"),
        ("kind=Steamer&flags=no", ""),
    ],
)
def test_filters(rows: Rows, query: str, expected: str) -> None:
    path = f"/v1/ships?limit=50&{query}"
    assert ids(rows, path) == expected.split()
    assert answer(rows, parse(rows.api, path))["total"] == len(expected.split())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "a1 a2 a3"),  # the default limit
        ("limit=2&offset=1", "a2 a3"),
        ("limit=2&page=2", "a3 a4"),
        ("page=2", "a4 A5"),
        ("limit=0", ""),
        ("sort=name&limit=50", "a4 A5 a2 a1 a3"),
        ("sort=name&order=desc&limit=2", "a3 a1"),
        ("sort=-tons&limit=50", "a4 a2 a3 a1 A5"),  # without a value: last
        ("sort=launched:desc&limit=2", "a1 a2"),
        ("sort=relevance&limit=1", "a1"),
    ],
)
def test_pages_and_order(rows: Rows, query: str, expected: str) -> None:
    if "-tons" in query:
        rows = in_memory(rows.api, [{**s, "tons": float(s["tons"])} if "tons" in s else s for s in SHIPS])
    assert ids(rows, f"/v1/ships?{query}") == expected.split()


def test_records_by_id_and_parameters_in_the_path(rows: Rows, ships: API) -> None:
    assert answer(rows, parse(ships, "/v1/ships/a3")) == SHIPS[2]
    assert answer(rows, parse(ships, "/ships/a5"))["name"] == "Nameless"
    assert answer(rows, parse(ships, "/v1/voyages/A1"))["name"] == "Sørlandet"  # it ends the path: an id
    assert ids(rows, "/v1/harbours/bergen/ships") == ["a2"]
    assert ids(rows, "/v1/harbours/Den%20Helder%2F2/ships") == ["A5"]
    assert ids(rows, "/v1/harbours/Oslo/ships") == []
    for path in ("/v1/ships/zz", "/v1/voyages/zz"):
        with pytest.raises(ServiceError, match="no ship has this id") as missing:
            answer(rows, parse(ships, path))
        assert missing.value.status == 404


def test_types_keep_records_of_several_endpoints_apart(ships: API) -> None:
    rows = in_memory(
        ships, [*({**s, "_type": "ship"} for s in SHIPS), {"_id": "v7", "_type": "voyage", "kind": "Brig"}]
    )
    assert answer(rows, parse(ships, "/v1/ships?limit=50"))["total"] == 5
    assert ids(rows, "/v1/ships?kind=Brig") == ["a3"]
    assert answer(rows, parse(ships, "/v1/voyages/v7"))["kind"] == "Brig"
    with pytest.raises(ServiceError):
        answer(rows, parse(ships, "/v1/ships/v7"))


def test_defaults_of_the_service_filter_too(ships: API) -> None:
    raw = {
        **DEFINITION,
        "params": {**DEFINITION["params"], "kind": {**DEFINITION["params"]["kind"], "default": "Brig"}},
    }
    raw["params"]["sunk"] = {"kind": "boolean", "field": "sunk", "default": False}
    rows = in_memory(API.model_validate(raw), SHIPS)
    assert ids(rows, "/v1/ships") == ids(rows, "/v1/ships?kind=Brig&sunk=false") == ["a3"]
    assert ids(rows, "/v1/ships?kind=Steamer") == ["a4"]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("year", "integer", ("built.year", "eq")),
        ("harbours", "text", ("harbour", "eq")),
        ("min_tons", "number", ("tons", "ge")),
        ("tonsMax", "number", ("tons", "le")),
        ("launched_before", "date", ("launched", "le")),
        ("launched[gte]", "date", ("launched", "ge")),
        ("since_launched", "date", ("launched", "ge")),
        ("search", "text", ("", "contains")),
        ("built_year", "integer", ("built.year", "eq")),
        ("min_weight", "number", None),
        ("format", "text", None),
    ],
)
def test_names_say_the_field_where_the_definition_does_not(
    ships: API, name: str, kind: str, expected: tuple[str, str] | None
) -> None:
    api = API.model_validate(
        {**DEFINITION, "endpoints": {"e": {"path": "/e", "params": [name]}}, "params": {name: {"kind": kind}}}
    )
    found = reading(api, api.endpoints["e"], name, ships.fields)
    assert (found and (found.field, found.compare)) == expected


def test_dates_cover_what_they_say() -> None:
    assert span("2024") == ("2024-01-01-00-00-00", "2024-12-31-23-59-59")
    assert span(2024) == span("2024")
    assert span("2024-05-01T10:20:30.5Z") == span("2024-05-01T12:20:30+02:00") == ("2024-05-01-10-20-30",) * 2
    assert span("soon") is None
    assert span("12345") is None
    assert span(1704093009) == span(1704093009000) == span("2024-01-01T07:10:09")
    assert span(10**30) is None


def naive(record: dict[str, Any], name: str, value: Any) -> bool:
    """The conditions again, for parameters that need no thought."""
    if name == "kind":
        return str(record.get("kind", "")).lower() == value.lower()
    if name == "flags":
        return str(record.get("flag")).lower() in [v.lower() for v in value]
    if name in ("min_tons", "max_tons"):
        tons = record.get("tons")
        return tons is not None and (tons >= value if name == "min_tons" else tons <= value)
    return name not in ("built",) or record.get("built", {}).get("year") == value


def test_totals_are_those_of_a_scan(ships: API) -> None:
    rng = random.Random(3)
    records = [
        {"_id": str(n), "flag": rng.choice(["no", "SE", "gb"]), "built": {"year": rng.randint(1900, 1905)}}
        | rng.choice([{}, {"kind": rng.choice(["Brig", "steamer"])}])
        | rng.choice([{}, {"tons": rng.randint(1, 40) / 4}])
        for n in range(400)
    ]
    rows, sizes = in_memory(ships, records), set()
    for _ in range(150):
        asked = {
            "kind": rng.choice(["Brig", "Steamer"]),
            "flags": rng.sample(["no", "se", "gb"], rng.randint(1, 2)),
            "min_tons": rng.randint(1, 40) / 4,
            "max_tons": rng.randint(1, 40) / 4,
            "built": rng.randint(1900, 1905),
        }
        asked = {name: asked[name] for name in rng.sample(sorted(asked), rng.randint(1, 3))}
        query = "&".join(f"{n}={','.join(v) if isinstance(v, list) else v}" for n, v in asked.items())
        wanted = sum(all(naive(r, n, v) for n, v in asked.items()) for r in records)
        assert answer(rows, parse(ships, f"/v1/ships?limit=0&{query}"))["total"] == wanted, query
        sizes.add(wanted)
    assert len(sizes) > 30


ODD = [
    None,
    True,
    "",
    "x",
    "2024-13-40",
    "9" * 400,
    10**400,
    -1e308,
    [],
    {},
    [[1, "a"], None],
    {"year": []},
    "nan",
    "ß",
]


def test_odd_records_and_calls_raise_nothing(ships: API) -> None:
    rng = random.Random(11)
    fields = [
        "name",
        "kind",
        "flag",
        "tags",
        "built",
        "tons",
        "length",
        "launched",
        "sunk",
        "owners",
        "_type",
        "a.b",
        "",
    ]
    records = [{"_id": f"r{n}", **{f: rng.choice(ODD) for f in rng.sample(fields, 6)}} for n in range(60)]
    rows, ran = in_memory(ships, records), 0
    texts = {"kind": ["Brig"], "flags": ["no,gb"], "sort": ["name", "-tons", "launched:desc"], "order": ["desc"]}
    texts |= {"launched": ["2024-05-01"], "launched_after": ["0999-01-01T01:00:00"], "sunk": ["true", "false"]}
    texts |= {name: ["x", "(", "\\", "1.5"] for name in ("q", "name", "tags", "owner_country")}
    for _ in range(300):
        names = rng.sample(ships.endpoints["ships"].params, 3)
        query = "&".join(f"{n}={rng.choice(texts.get(n, ['3', '40']))}" for n in names)
        body = answer(rows, parse(ships, f"/v1/ships?{query}"))
        assert len(body["hits"]) <= body["total"]
        ran += body["total"] > 0
    assert ran > 15


QUAKES = [
    {
        "id": "qw1",
        "time": "2024-01-01T07:10:09",
        "mag": 7.5,
        "latitude": 37.5,
        "longitude": 137.2,
        "type": "earthquake",
    },
    {"id": "qw2", "time": 1704110400000, "mag": 5.1, "latitude": 37.0, "longitude": 137.0, "types": ["dyfi", "origin"]},
    {
        "id": "qw3",
        "time": "2023-02-06T01:17:34",
        "mag": 7.8,
        "latitude": 37.2,
        "longitude": 37.0,
        "types": ",cap,dyfi,",
    },
    {"id": "qw4", "time": "2023-05-01", "mag": 2, "latitude": "0", "longitude": 179.9, "type": "quarry blast"},
    {"id": "qw5", "time": "2022-05-01", "alert": "red"},
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "qw2 qw1 qw4 qw3 qw5"),  # the latest first
        ("orderby=time-asc", "qw5 qw3 qw4 qw1 qw2"),
        ("orderby=magnitude&minmagnitude=5", "qw3 qw1 qw2"),
        ("orderby=magnitude-asc&minmagnitude=5", "qw2 qw1 qw3"),
        ("starttime=2023-05-01&endtime=2024-01-01T08:00:00", "qw1 qw4"),
        ("starttime=2024-01-01T12:00:00", "qw2"),
        ("eventtype=quarry blast", "qw4"),
        ("producttype=dyfi", "qw2 qw3"),
        ("alertlevel=red", "qw5"),
        ("latitude=37.5&longitude=137.2&maxradiuskm=10", "qw1"),
        ("latitude=37.5&longitude=137.2&maxradiuskm=100", "qw2 qw1"),
        ("latitude=37.5&longitude=137.2&maxradius=1", "qw2 qw1"),
        ("latitude=0&longitude=-179.9&maxradius=1", "qw4"),  # over the date line
        ("minlatitude=37.1&maxlongitude=100", "qw3"),
        ("limit=2&offset=2", "qw1 qw4"),  # the first is 1
        ("eventid=QW4", "qw4"),
    ],
)
def test_an_api_that_is_imported(query: str, expected: str, tmp_path: Path) -> None:
    if "earthquakes" not in shipped():
        pytest.skip("not shipped")
    file = tmp_path / "quakes.jsonl"
    file.write_text("\n".join(map(json.dumps, QUAKES)))
    rows = open_records(load("earthquakes"), file)
    assert isinstance(rows, Rows)
    assert ids(rows, f"/fdsnws/event/1/query?{query}") == expected.split()


# --- through the service --------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def url(ships: API, rows: Rows) -> Any:
    pytest.importorskip("uvicorn")
    from querywright.api.service import serving

    with serving(ships, rows) as address:
        yield address


def test_service_answers_as_the_executor_does(ships: API, rows: Rows, url: str) -> None:
    here, there = EmbeddedExecutor(ships, index=rows), HttpExecutor(ships, url)
    for path in (
        "/v1/ships?kind=Full%20Rigger&limit=1",
        "/v1/ships?tags=sail&tags=museum",
        "/v1/ships/a3",
        "/v1/ships/zz",
        "/v1/voyages/zz",
        "/v1/harbours/Den%20Helder%2F2/ships",
        "/v1/ships?q=S%C3%B8rlandet&sort=-tons",
    ):
        call = parse(ships, path)
        a, b = here.run(call), there.run(call)
        assert (a.total, a.ids, a.rows) == (b.total, b.ids, b.rows)


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/v1/ships?kind=Canoe", 400, "kind takes one of Brig, Full Rigger, Steamer"),
        ("/v1/ships?min_tons=heavy", 400, "takes a number"),
        ("/v1/ships?launched=1914-02-30", 400, "takes a date"),
        ("/v1/ships?limit=51", 400, "above the maximum 50"),
        ("/v1/ships?mast=3", 400, "unknown parameter 'mast'"),
        ("/v1/boats", 404, "unknown endpoint"),
        ("/v1/ships/zz", 404, "no ship has this id"),
    ],
)
def test_refusals(url: str, path: str, status: int, reason: str) -> None:
    import httpx

    response = httpx.get(url + path)
    assert response.status_code == status
    assert reason in response.json()["error"]
    assert response.json()["success"] is False


def test_status_page_and_other_methods(url: str) -> None:
    import httpx

    assert httpx.get(url).json()["total"] == len(SHIPS)
    assert httpx.post(url + "/v1/ships", json={}).status_code == 405


def test_records_come_from_files(ships: API, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ships.jsonl.gz"
    own = [{k: v for k, v in s.items() if k != "_id"} | {"id": n} for n, s in enumerate(SHIPS)]
    file.write_bytes(gzip.compress("\n".join(map(json.dumps, own)).encode()))
    executor = EmbeddedExecutor(ships, file, tmp_path)
    hits = executor.run(parse(ships, "/v1/ships?kind=Brig"))
    assert (hits.total, hits.ids) == (1, ("2",))
    assert list(tmp_path.iterdir()) == [file]  # nothing is written beside it
    assert "no field is known" not in capsys.readouterr().err
    file.write_bytes(gzip.compress(b'{"name": "x"}\n'))
    with pytest.raises(QuerywrightError, match=r"ships\.jsonl\.gz:1: a record needs an _id"):
        open_records(ships, file)
    with pytest.raises(QuerywrightError, match="names no records"):
        open_records(ships)


def test_bad_parameters_have_a_reason(ships: API) -> None:
    with pytest.raises(CallError, match="did you mean 'Steamer'"):
        parse(ships, "/v1/ships?kind=Steamr")
