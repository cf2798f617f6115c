"""The reader without a model: sentences to calls, and pairs that are not true found out."""

from __future__ import annotations

import random
import re
from types import SimpleNamespace
from typing import Any

import pytest

from querywright.api.call import Call, parse
from querywright.api.definition import API, load
from querywright.pairs import round_trip
from querywright.pairs.draw import Drawer
from querywright.pairs.make import TemplateTeacher
from querywright.pairs.reader import confident, read, reading
from querywright.pairs.typed_draw import TypedDrawer
from querywright.rows import Row, refusal_row, row

WRITTEN = [  # sentences of our own, with the calls that they ask for
    ("Find all human genes with symbol CDK2", "/v3/query?q=symbol:CDK2&species=human"),
    ("which mouse genes are on chromosome X?", "/v3/query?q=genomic_pos.chr:X&species=mouse"),
    ("gene 1017", "/v3/gene/1017"),
    ("What is the symbol and name of gene 1017?", "/v3/gene/1017?fields=symbol,name"),
    ("genes in chr1:1000-2000 (hg19)", "/v3/query?q=hg19.chr1:1000-2000"),
    ("show pseudogenes in rats, only the first five", "/v3/query?q=type_of_gene:pseudo&species=rat&size=5"),
    ("genes whose symbol starts with BRC, sorted by name descending", "/v3/query?q=symbol:BRC*&sort=-name"),
    ('genes that mention "insulin receptor" in the summary', '/v3/query?q=summary:"insulin receptor"'),
    ("genes with symbol CDK2 or CDK4", "/v3/query?q=symbol:CDK2 OR symbol:CDK4"),
    ("genes with symbol CDK2 but without a PDB structure", "/v3/query?q=symbol:CDK2 AND NOT _exists_:pdb"),
    ("BRCA1 in humans and mice", "/v3/query?q=BRCA1&species=human,mouse"),
    ("genes with a start position between 1,000 and 2,000", "/v3/query?q=genomic_pos.start:[1000 TO 2000]"),
    ("how many human genes are there per gene type?", "/v3/query?q=*&species=human&facets=type_of_gene"),
]
QUAKES = [
    (
        "earthquakes of at least magnitude 5 since 2020-01-01",
        "/fdsnws/event/1/query?starttime=2020-01-01&minmagnitude=5",
    ),
    ("how many quakes deeper than 300 km?", "/fdsnws/event/1/count?mindepth=300"),
    (
        "within 100 km of 35.7, 139.7: earthquakes",
        "/fdsnws/event/1/query?latitude=35.7&longitude=139.7&maxradiuskm=100",
    ),
]


@pytest.fixture(scope="module")
def mygene() -> API:
    return load("mygene")


@pytest.fixture(scope="module")
def earthquakes() -> API:
    return load("earthquakes")


def _said(api: API, n: int, seed: int) -> list[tuple[str, Call]]:
    """Freshly drawn calls with a sentence each."""
    rng = random.Random(seed)
    drawer = TypedDrawer(api, rng, [], []) if api.query_language == "none" else Drawer(api, rng, [])
    teacher = TemplateTeacher(api, rng)
    found: list[tuple[str, Call]] = []
    while len(found) < n:
        call = drawer.call()
        if parse(api, call.text).text == call.text:
            found += [(s, call) for s in teacher.instructions(call, 1)]
    return found


@pytest.mark.parametrize(("sentence", "path"), WRITTEN)
def test_written_sentences(mygene: API, sentence: str, path: str) -> None:
    calls = read(mygene, sentence)
    assert [c.canonical for c in calls[:1]] == [parse(mygene, path).canonical]


@pytest.mark.parametrize(("sentence", "path"), QUAKES)
def test_written_sentences_without_a_query_language(earthquakes: API, sentence: str, path: str) -> None:
    calls = read(earthquakes, sentence)
    assert [c.canonical for c in calls[:1]] == [parse(earthquakes, path).canonical]


@pytest.mark.parametrize(("name", "floor"), [("mygene", 0.8), ("earthquakes", 0.75)])
def test_most_drawn_sentences_are_read_as_their_calls(name: str, floor: float) -> None:
    api = load(name)
    said = _said(api, 120, seed=23)
    same = sum(bool(c := read(api, s)) and c[0].canonical == call.canonical for s, call in said)
    assert same >= floor * len(said)


def _changed(sentence: str, rng: random.Random) -> list[str]:
    """The sentence with one value changed or gone, another species, or a clause less."""
    words = list(re.finditer(r"\S+", sentence))
    out: list[str] = []
    numbers = [w for w in words if re.search(r"\d", w[0])]
    if numbers:
        w = rng.choice(numbers)
        before, after = sentence[: w.start()], sentence[w.end() :]
        out.append(before + re.sub(r"\d", lambda m: str((int(m[0]) + 3) % 9 + 1), w[0], count=1) + after)
        out.append(before + after)
    for one, other in (("human", "dog"), ("mouse", "rat"), ("rat", "pig"), ("zebrafish", "horse")):
        if re.search(rf"\b{one}\b", sentence):
            out.append(re.sub(rf"\b{one}\b", other, sentence))
    clauses = [m.span() for m in re.finditer(r", [^,]+(?=,|$)", sentence)]
    if clauses:
        start, end = rng.choice(clauses)
        if not re.match(r", (please|thanks|if possible|not just|no limit|use dotted|for me)", sentence[start:end]):
            out.append(sentence[:start] + sentence[end:])
    return out


@pytest.mark.parametrize("name", ["mygene", "earthquakes"])
def test_false_pairs_leave(name: str) -> None:
    """A sentence that was read as its call is not, once a value, a species or a clause is another or gone."""
    api, rng = load(name), random.Random(5)
    wrong = accepted = 0
    for sentence, call in _said(api, 100, seed=31):
        if round_trip.verdict(api, row(call, sentence, "drawn"))[0]:
            continue
        for changed in _changed(sentence, rng):
            wrong += 1
            accepted += not round_trip.verdict(api, row(call, changed, "drawn"))[0]
    assert wrong > 60
    assert accepted <= 0.05 * wrong


def test_reasons_are_kept(mygene: API) -> None:
    call = parse(mygene, "/v3/query?q=symbol:CDK2&species=human")
    rows = [
        row(call, "human genes with symbol CDK2", "drawn"),
        row(call, "human genes with symbol CDK4", "drawn"),
        row(call, "the weather of yesterday, quite nice wasn't it", "drawn"),
        refusal_row("mygene", "mouse genes with symbol CDK9", "topic"),
        refusal_row("mygene", "hello, how are you?", "chat"),
    ]
    kept, rejected = round_trip.check(mygene, rows)
    assert [r["instruction"] for r in kept] == ["human genes with symbol CDK2", "hello, how are you?"]
    reasons = {r["instruction"]: r["reason"] for r in rejected}
    assert reasons["human genes with symbol CDK4"] == "differs"
    assert reasons["mouse genes with symbol CDK9"] == "answerable"
    assert reasons["the weather of yesterday, quite nice wasn't it"] in ("differs", "unread")
    report = round_trip.report(kept, rejected)
    assert (report["kept"], sum(report["reasons"].values())) == (2, 3)


def test_one_sentence_for_two_calls_leaves_twice(mygene: API) -> None:
    rows = [
        row(parse(mygene, f"/v3/query?q={q}"), s, "drawn")
        for q, s in (("symbol:CDK2", "Get CDK2."), ("name:CDK2", "get cdk2"), ("CDK7", "get CDK7"))
    ]
    kept, rejected = round_trip.check(mygene, rows)
    assert [r["instruction"] for r in kept] == ["get CDK7"]
    assert {r["reason"] for r in rejected} == {"ambiguous"}


def test_an_engine_reads_in_the_same_place(mygene: API) -> None:
    call = parse(mygene, "/v3/query?q=symbol:CDK2")
    rows: list[Row] = [row(call, "cdk two", "drawn"), row(call, "nothing", "drawn")]
    ask = {"cdk two": "/v3/query?q=symbol:cdk2", "nothing": "nil topic"}
    kept, rejected = round_trip.check(
        mygene, rows, reader=round_trip.engine_reader(mygene, lambda r: ask[r["instruction"]])
    )
    assert [r["instruction"] for r in kept] == ["cdk two"]
    assert [r["reason"] for r in rejected] == ["unread"]
    assert len(round_trip.check(mygene, rows, reader=lambda r: [], keep=("unread",))[0]) == 2


def _conversation(mygene: API, *said: tuple[str, str]) -> Row:
    """A row of sentences and answers in turn."""
    turns = [{"role": role, "content": text} for pair in said for role, text in zip(ROLES, pair, strict=True)]
    return row(parse(mygene, said[-1][1]), said[-1][0], "drawn", turns=turns[:-2])


ROLES = ("user", "assistant")
CDK2, CDK4, IN_MICE = "/v3/query?q=symbol:CDK2", "/v3/query?q=symbol:CDK4", "/v3/query?q=symbol:CDK2&species=mouse"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([("genes with symbol CDK2", CDK2), ("only in mice", IN_MICE)], ""),
        ([("genes with symbol CDK4", CDK2), ("only in mice", IN_MICE)], "differs"),
        ([("how are you?", "nil chat"), ("genes with symbol CDK2", CDK2), ("only in mice", IN_MICE)], ""),
        ([("how are you?", "nil chat"), ("genes with symbol CDK4", CDK2), ("only in mice", IN_MICE)], "differs"),
        ([("how are you?", "nil chat"), ("genes with symbol CDK2", CDK2)], ""),
        ([("how are you?", "nil chat"), ("genes with symbol CDK4", CDK2)], "differs"),
        ([("genes with symbol CDK2", "/v3/nothing"), ("only in mice", IN_MICE)], "broken"),
    ],
)
def test_of_a_conversation_the_first_request_is_read_back(
    mygene: API, said: list[tuple[str, str]], reason: str
) -> None:
    assert round_trip.verdict(mygene, _conversation(mygene, *said))[0] == reason


def test_a_conversation_that_ends_in_no_call_is_broken(mygene: API) -> None:
    r = _conversation(mygene, ("genes with symbol CDK2", CDK2), ("only in mice", IN_MICE))
    assert round_trip.verdict(mygene, {**r, "path": "/v3/nothing"})[0] == "broken"


def test_a_model_reads_the_last_sentence_of_a_conversation(mygene: API) -> None:
    r = _conversation(mygene, ("genes with symbol CDK2", CDK2), ("only in mice", IN_MICE))
    heard: list[Row] = []
    for answer, reason in ((IN_MICE, ""), (CDK2, "differs")):
        reader = round_trip.engine_reader(mygene, lambda row, answer=answer: (heard.append(row), answer)[1])  # type: ignore[misc]
        assert round_trip.verdict(mygene, r, reader)[0] == reason
    assert [turn["content"] for turn in heard[0]["turns"]] == ["genes with symbol CDK2", CDK2]


def test_the_same_hits_are_those_of_what_was_read(mygene: API) -> None:
    """Of a conversation the first call's hits are compared with its reading's, not the last call's."""

    class Same:
        def __init__(self) -> None:
            self.ran: list[str] = []

        def run(self, call: Call) -> Any:
            self.ran.append(call.text)
            return SimpleNamespace(total=1, ids=["1"])

    r, executor = _conversation(mygene, ("genes with symbol CDK4", CDK2), ("only in mice", IN_MICE)), Same()
    kept, _ = round_trip.check(mygene, [r], executor=executor)  # type: ignore[arg-type]
    assert kept == [r]
    assert executor.ran == [CDK2, CDK4]


def test_talk_is_no_request(mygene: API) -> None:
    for sentence in ("hello, how are you?", "thanks a lot!", "tell me a joke about the weather in London"):
        assert not confident(mygene, sentence)
    assert reading(mygene, "").why


def test_a_pasted_book_is_not_read(mygene: API) -> None:
    """A line of a log, or of a user, may be a megabyte: it is unread, at once."""
    assert "more than" in round_trip.reading(mygene, "gene " * 100_000).why
    assert "more than" in round_trip.reading(mygene, "gene, " * 200).why
    # as long as a server reads: seven seconds of a core, with the place at the model held all the while
    assert "more than" in round_trip.reading(mygene, ("name or symbol or " * 60)[:1000]).why
    round_trip.reading(mygene, "(" * 2000 + "a" + ")" * 2000)  # no deeper than brackets are meant
