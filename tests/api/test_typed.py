"""Calls with plain typed parameters: one spelling of each value, what is refused, and the expressions for writing."""

from __future__ import annotations

import random
import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from querywright.api.call import CallError, parse
from querywright.api.definition import API, Param, load
from querywright.api.explain import explain
from querywright.api.values import DATE, alternatives, numbers, printed, read_value, value_regex, whole_numbers
from querywright.errors import QuerywrightError

FERRIES = Path(__file__).with_name("ferries.yaml")
DEFINITION = FERRIES.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def ferries() -> API:
    return load(str(FERRIES))


SAME = [
    ("/search?from=2026-05-01", "/search?since=2026-05-01T00:00:00Z&format=json"),
    ("/search?from=2026-05-01", "/search?size=20&order=TIME&from=2026-05-01"),
    ("/search?from=2026-05-01T06:30:00", "/search?from=2026-05-01T08:30%2B02:00"),
    ("/search?from=2026-05-01T06:30:00", "/search?from=2026-05-01 06:30:00"),
    ("/search?from=2026-05-01&length=12", "/search?from=2026-05-01&length=12.0"),
    ("/search?from=2026-05-01&length=12.5", "/search?from=2026-05-01&length=1.25e1"),
    ("/search?from=2026-05-01&kind=high speed", "/search?kind=HIGH%20SPEED&from=2026-05-01"),
    ("/search?from=2026-05-01&decks=3,1", "/search?from=2026-05-01&decks=1&decks=3,3"),
    ("/search?from=2026-05-01&ports=Oslo&ports=Bergen", "/search?ports=Bergen&ports=Oslo&from=2026-05-01"),
    ("/search?from=2026-05-01&cars=true", "/search?from=2026-05-01&cars=1"),
    ("/fleet/no/ships/ab12/log", "https://example.org//fleet/NO/ships/ab12/log/"),
]


@pytest.mark.parametrize(("x", "y"), SAME)
def test_same(ferries: API, x: str, y: str) -> None:
    assert parse(ferries, x).canonical == parse(ferries, y).canonical


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        ("/search", "missing_parameter", "needs a value for from"),
        ("/search?from=2026-02-30", "bad_value", "takes a date such as"),
        ("/search?from=yesterday", "bad_value", "takes a date such as"),
        ("/search?from=2026-05-01&length=0.4", "bad_value", "below the minimum 0.5"),
        ("/search?from=2026-05-01&length=NaN", "bad_value", "takes a number"),
        ("/search?from=2026-05-01&length=1e99", "bad_value", "at most 15 digits"),
        ("/search?from=2026-05-01&length=1_0", "bad_value", "takes a number"),
        ("/fleet/no/ships/%2e%2e/log", "bad_value", "only dots"),
        ("/search?from=2026-05-01&size=2.5", "bad_value", "takes a whole number"),
        ("/search?from=2026-05-01&size=0", "bad_value", "below the minimum 1"),
        ("/search?from=2026-05-01&kind=highspeed", "bad_value", "did you mean 'high speed'"),
        ("/search?from=2026-05-01&cars=maybe", "bad_value", "takes true or false"),
        ("/search?from=2026-05-01&price=3", "unknown_parameter", "unknown parameter 'price'"),
        ("/search?from=2026-05-01&since=2026-05-02", "repeated_parameter", "given twice"),
        ("/fleet/no/ships/AB/log", "bad_value", "does not have the form"),
        ("/fleet/dk/ships/ab12/log", "bad_value", "takes one of no, se"),
        ("/fleet/no/ships", "unknown_endpoint", "unknown endpoint"),
    ],
)
def test_refused_with_a_reason(ferries: API, path: str, code: str, reason: str) -> None:
    with pytest.raises(CallError) as error:
        parse(ferries, path)
    assert error.value.code == code
    assert reason in str(error.value)


def test_forms(ferries: API) -> None:
    call = parse(
        ferries, "/search?ports=New%20Port&ports=A%26B&from=2026-05-01&length=7&kind=car&note=x%2Fy+%3D&cars=0"
    )
    assert call.text == ("/search?from=2026-05-01&length=7&kind=car&ports=New Port&ports=A%26B&cars=false&note=x/y =")
    assert parse(ferries, call.path) == call
    assert call.signature == "/search?from=<date>&length=<n>&kind=car&ports=<text>&cars=false&note=<text>"
    slashed = parse(ferries, "/fleet/se/ships/ab12/log?cars=yes")
    assert slashed.text == "/fleet/se/ships/ab12/log?cars=true"
    assert explain(parse(ferries, "/search?from=2026-05-01&until=2026-06-01"))[-1].startswith("until: ")


@given(st.integers(-3000, 3000), st.integers(-3000, 3000), st.integers(-4000, 4000))
def test_whole_numbers_are_those_between(a: int, b: int, n: int) -> None:
    low, high = sorted((a, b))
    assert bool(re.fullmatch(whole_numbers(low, high), str(n))) == (low <= n <= high)


@given(st.decimals(-90, 90, places=1), st.decimals(-90, 90, places=1), st.integers(0, 2**32))
def test_numbers_stay_within_their_bounds(a: Decimal, b: Decimal, seed: int) -> None:
    low, high = sorted((float(a), float(b)))
    rng, regex = random.Random(seed), re.compile(numbers(low, high))
    param = Param(kind="number", min=low, max=high)
    for _ in range(20):
        text = f"{rng.uniform(-95, 95):.{rng.randint(0, 6)}f}"
        if regex.fullmatch(text):
            assert low <= float(str(read_value("n", param, [text]))) <= high
    for whole in range(int(low) + 1, int(high)):
        assert regex.fullmatch(str(whole))


@given(st.dates(min_value=__import__("datetime").date(1600, 1, 1), max_value=__import__("datetime").date(2999, 12, 31)))
def test_every_day_can_be_written(day: object) -> None:
    assert re.fullmatch(DATE, str(day))
    assert read_value("day", Param(kind="date"), [str(day)]) == str(day)


def test_days_that_are_none_cannot_be_written() -> None:
    for text in (
        "2023-02-29",
        "1900-02-29",
        "2100-02-29",
        "2024-04-31",
        "2024-13-01",
        "2024-00-10",
        "2024-01-01T24:00:00",
    ):
        assert not re.fullmatch(DATE, text), text


@given(st.sets(st.text("ab.", min_size=1, max_size=6), min_size=1, max_size=8), st.text("ab.", max_size=7))
def test_alternatives_take_the_longest_word(words: set[str], text: str) -> None:
    found = re.match(alternatives(words), text)
    longest = max((w for w in words if text.startswith(w)), key=len, default=None)
    assert (found[0] if found else None) == longest


@pytest.mark.parametrize(
    ("pattern", "own"),
    [
        ("^[a-z]{2}\\d+$", True),
        ("abc", False),
        ("^\\w+$", False),
        ("^[^&]+$", False),
        ("^a*$", False),
    ],
)
def test_only_plain_patterns_become_terminals(pattern: str, own: bool) -> None:
    assert (
        value_regex(Param(kind="text", pattern=pattern), "text") == f"({pattern[1:-1]})".replace("\\d", "[0-9]")
    ) == own


def test_numbers_have_one_spelling() -> None:
    assert [printed(v) for v in (0.00001, 12, -0.5, 1234567.25, True)] == [
        "0.00001",
        "12",
        "-0.5",
        "1234567.25",
        "true",
    ]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (("[flag, code, cars]", "[code, cars]"), "'flag' stands in its path but not in its params"),
        (("required: [from]", "required: [form]"), "no parameter 'form'"),
        (('values: ["no", se]', "aliases: [f]"), "an enum needs its values"),
        (("kind: text}", "kind: query}"), "needs query_language: lucene"),
        (("'^[a-z0-9]{4,10}$'", "'^[a-z'"), "can't be used: missing ]"),
        (("'^[a-z0-9]{4,10}$'", "'^(?=a)b$'"), "can't be used: invalid perl operator"),
    ],
)
def test_a_definition_that_contradicts_itself(tmp_path: Path, edit: tuple[str, str], reason: str) -> None:
    assert edit[0] in DEFINITION
    (tmp_path / "api.yaml").write_text(DEFINITION.replace(*edit))
    with pytest.raises(QuerywrightError) as error:
        load(str(tmp_path / "api.yaml"))
    assert reason in str(error.value)


def test_what_is_always_sent_is_no_part_of_the_call(tmp_path: Path) -> None:
    (tmp_path / "api.yaml").write_text(DEFINITION + "sent: {format: json}\n")
    call = parse(load(str(tmp_path / "api.yaml")), "/search?from=2026-05-01")
    assert call.request == "/search?from=2026-05-01&format=json"
    assert call.path == call.canonical == "/search?from=2026-05-01"


def test_a_pattern_that_python_would_never_finish_is_searched_at_once(tmp_path: Path) -> None:
    hostile = DEFINITION.replace("'^[a-z0-9]{4,10}$'", "'^(\\w+\\s?)*$'")
    (tmp_path / "api.yaml").write_text(hostile)
    with pytest.raises(CallError, match="does not have the form"):
        parse(load(str(tmp_path / "api.yaml")), "/fleet/no/ships/" + "a" * 5000 + "!/log")


def test_a_value_is_never_taken_for_a_place_in_the_path() -> None:
    nest = API.model_validate(
        {
            "name": "nest",
            "title": "Nest",
            "base_url": "https://example.org",
            "query_language": "none",
            "endpoints": {"item": {"path": "/a/{x}/b/{y}", "params": ["x", "y"]}},
            "params": {"x": {"kind": "text"}, "y": {"kind": "text"}},
        }
    )
    tricky = parse(nest, "/a/%7By%7D/b/2")
    assert tricky.canonical != parse(nest, "/a/2/b/2").canonical
    assert parse(nest, tricky.canonical) == tricky


def test_enum_values_that_differ_in_case_stay_two() -> None:
    param = Param(kind="enum", values=("A", "a", "Both"))
    assert [read_value("e", param, [v]) for v in ("A", "a", "BOTH")] == ["A", "a", "Both"]


@pytest.mark.parametrize("text", ["0.12345678901234567", "1e20", "1234567890.1234567"])
def test_numbers_that_a_double_would_change_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="takes at most 15 digits"):
        read_value("n", Param(kind="number"), [text])


def test_an_ampersand_in_a_text_is_a_part_of_it(ferries: API) -> None:
    call = parse(ferries, "/search?from=2026-05-01&note=A%26size=3%26cars=1")
    assert call.get("note") == "A&size=3&cars=1"
    assert parse(ferries, call.canonical) == call


def test_midnight_is_a_time_of_its_own_where_a_date_is_a_whole_day() -> None:
    day, moment = Param(kind="date"), Param(kind="date", moment=True)
    assert read_value("d", day, ["2024-05-01T00:00:00Z"]) == "2024-05-01T00:00:00"
    assert read_value("d", moment, ["2024-05-01T00:00:00Z"]) == read_value("d", day, ["2024-05-01"]) == "2024-05-01"
    assert re.fullmatch(DATE, "2000-02-29")


@pytest.mark.parametrize(
    "edit",
    [("name: ferries", "name: ../up"), ("min: 0.5, max: 400", "min: 401, max: 400"), ("name: ferries", "name: a/b")],
)
def test_a_definition_that_would_write_elsewhere_or_holds_nothing(tmp_path: Path, edit: tuple[str, str]) -> None:
    (tmp_path / "api.yaml").write_text(DEFINITION.replace(*edit))
    with pytest.raises(QuerywrightError):
        load(str(tmp_path / "api.yaml"))
