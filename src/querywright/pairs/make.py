"""Calls to pairs: kept calls from a log, and calls drawn from the schema, each said by a teacher."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from querywright.api.call import Call, CallError, parse
from querywright.api.definition import API
from querywright.api.identity import definition_id
from querywright.artefacts import alone, is_done, read_jsonl, sha256, write_json, write_jsonl, write_manifest
from querywright.errors import QuerywrightError
from querywright.pairs.check import report
from querywright.pairs.clauses import Unsayable
from querywright.pairs.draw import Drawer
from querywright.pairs.narrow import NoChoice
from querywright.pairs.personas import Persona, who
from querywright.pairs.read import misshapen
from querywright.pairs.refusals import draw_refusals
from querywright.pairs.say import Speaker
from querywright.pairs.turns import converse
from querywright.pairs.typed_draw import TypedDrawer
from querywright.pairs.typed_say import TypedSpeaker
from querywright.progress import say, track
from querywright.protected import allowed
from querywright.rows import Row, row

_DEFINED_BY = ("api.yaml", "fields.csv", "params.csv", "lexicon.yaml")
_MOST_OF_ONE = 40  # sentences for one drawn call: an endpoint without parameters has no other
_REFUSALS = 0.06  # of the number of pairs
_PATIENCE = 3000  # drawn calls in a row without a new sentence: then a small API has no more to say


class Teacher(Protocol):
    """Writes instructions for calls: templates, a local LLM, or a server."""

    def instructions(self, call: Call, n: int) -> list[str]:
        """Up to `n` different sentences that ask for `call`; none where the teacher has no words for it."""


class TemplateTeacher:
    """The teacher without an LLM: see `say.Speaker`, and `typed_say.TypedSpeaker` for APIs without a query."""

    def __init__(self, api: API, rng: random.Random, style: str = "broad", personas: Sequence[Persona] = ()) -> None:
        """`personas`: who asks; without any, people in general."""
        self.name = "narrow" if style == "narrow" else "templates"
        self.personas, self.rng, self.voice = personas, rng, ""
        rng = NoChoice() if style == "narrow" else rng
        self.speaker = TypedSpeaker(api, rng) if api.query_language == "none" else Speaker(api, rng)

    def turn_to(self, call: Call) -> None:
        """Chooses who asks for a call."""
        if self.personas:
            persona = who(self.personas, call, self.rng)
            self.speaker.style, self.voice = persona.style, persona.name

    def instructions(self, call: Call, n: int) -> list[str]:
        """Up to `n` different sentences, all by one persona where there are some (`voice`)."""
        self.turn_to(call)
        found: dict[str, None] = {}
        for _ in range(3 * n):
            try:
                found[self.speaker.say(call)] = None
            except Unsayable:
                return list(found)
            if len(found) == n:
                break
        return list(found)


def kept_calls(api: API, path: Path, most: int, rng: random.Random) -> list[tuple[Call, float]]:
    """Read `calls.jsonl` of the logs stage: at most `most` calls, each with the weight of its traffic.

    Signatures are dealt out in turn, in random order, so that a rare shape counts as much as a frequent one.
    """
    by_signature: dict[str, list[Row]] = {}
    for number, r in enumerate(read_jsonl(path), 1):
        if not (r.get("signature") and r.get("path")) or misshapen({"instruction": "", **r}):
            raise QuerywrightError(f"{path}: row {number} is no kept call", hint="querywright logs build makes such")
        by_signature.setdefault(r["signature"], []).append(r)
    hands = list(by_signature.values())
    rng.shuffle(hands)
    for hand in hands:
        rng.shuffle(hand)
    dealt = [r for turn in range(max(map(len, hands), default=0)) for hand in hands for r in hand[turn : turn + 1]]
    return [(parse(api, r["path"]), float(r.get("weight", 1.0))) for r in dealt[:most]]


def pairs(
    api: API, teacher: Teacher, kept: Sequence[tuple[Call, float]], drawn: Iterable[Call], n_drawn: int, per_call: int
) -> Iterator[Row]:
    """Yield pairs: `per_call` sentences for each kept call, one for each of `n_drawn` drawn ones; no sentence twice."""
    seen: set[str] = set()
    for call, weight in kept:
        for sentence in teacher.instructions(call, per_call):
            if sentence.lower() not in seen:
                seen.add(sentence.lower())
                yield row(call, sentence, "log", weight, teacher=_name(teacher), persona=_voice(teacher))
    made = idle = 0
    said: Counter[str] = Counter()
    for call in drawn:
        if made >= n_drawn or idle >= _PATIENCE:
            return
        idle += 1
        if said[call.canonical] >= _MOST_OF_ONE:
            continue
        for sentence in teacher.instructions(call, 1):
            if sentence.lower() not in seen:
                seen.add(sentence.lower())
                made, idle = made + 1, 0
                said[call.canonical] += 1
                yield row(call, sentence, "drawn", teacher=_name(teacher), persona=_voice(teacher))


def _name(teacher: Teacher) -> str:
    """Who worded a sentence."""
    return str(getattr(teacher, "name", ""))


def _voice(teacher: Teacher) -> str:
    """As whom a teacher worded it."""
    return str(getattr(teacher, "voice", ""))


def talks(api: API, teacher: TemplateTeacher, calls: Iterator[Call], rng: random.Random, n: int) -> Iterator[Row]:
    """Yield `n` conversations whose final calls are drawn (fewer where an API is small)."""
    seen: set[str] = set()
    idle = 0
    while n > 0 and idle < _PATIENCE:
        call, idle = next(calls), idle + 1
        teacher.turn_to(call)
        found = converse(teacher.speaker, call, lambda: next(calls))
        made = found.row(persona=teacher.voice, teacher=teacher.name) if found else None
        if made and made["id"] not in seen:
            seen.add(made["id"])
            n, idle = n - 1, 0
            yield made


def sound(calls: Iterable[Call]) -> Iterator[Call]:
    """Only calls that are read back as they were written: a drawn value may break a rule of its parameter."""
    for call in calls:
        try:
            again = parse(call.api, call.text)
        except CallError:
            continue
        if again.text == call.text:
            yield call


def make(
    api: API,
    out: Path,
    *,
    calls: Path | None,
    most: int,
    draw: int,
    per_call: int,
    seed: int,
    records: list[dict[str, Any]],
    refusals: int | None = None,
    style: str = "broad",
    personas: Sequence[Persona] = (),
    conversations: int = 0,
) -> int:
    """Write `pairs.jsonl` into `out`; returns the number of pairs. What a whole manifest covers is not made again.

    Args:
        personas: who asks; the rows name them.
        conversations: conversations of two to four turns, beside the pairs.
        refusals: sentences that no call answers, beside the pairs; None makes 6 % of the pairs' number.
    """
    config = {
        "stage": "pairs make",
        "api": api.name,
        "calls": sha256(calls) if calls else None,
        "most": most,
        "draw": draw,
        "per_call": per_call,
        "seed": seed,
        "style": style,
        "personas": [asdict(p) for p in personas],
        "conversations": conversations,
        "records": len(records),
        "refusals": refusals,
        "definition": definition_id(api),
        "tables": {name: sha256(path) for name in _DEFINED_BY if (path := Path(api.folder) / name).is_file()},
    }
    if is_done(out, config):
        say(f"pairs: {out} is whole, nothing to do")
        return len(read_jsonl(out / "pairs.jsonl"))
    rng = random.Random(seed)
    kept = kept_calls(api, calls, most, rng) if calls else []
    drawer = TypedDrawer(api, rng, records, kept) if api.query_language == "none" else Drawer(api, rng, records)
    teacher, drawn = TemplateTeacher(api, rng, style, personas), sound(iter(drawer.call, None))
    rows = chain(pairs(api, teacher, kept, drawn, draw, per_call), talks(api, teacher, drawn, rng, conversations))
    written = list(track(rows, "writing pairs", total=len(kept) * per_call + draw + conversations))
    done = list(allowed(written))
    if len(done) < len(written):
        say(f"pairs: {len(written) - len(done)} protected sentences left out")
    done += _refusals(api, done, refusals, rng)
    with alone(out):
        n = write_jsonl(out / "pairs.jsonl", done)
        facts = report(api, done)
        write_json(out / "report.json", facts)
        write_manifest(out, config, ["pairs.jsonl", "report.json"], rows=n)
    kinds = f"{facts['calls']} calls and {facts['signatures']} signatures"
    say(f"pairs: {n} ({facts['sources']}) for {kinds}; {covered(facts)}")
    return n


def _refusals(api: API, done: Sequence[Row], n: int | None, rng: random.Random) -> list[Row]:
    """Refusals beside the pairs; none whose sentence has an answer among them."""
    answered = {r["instruction"].lower().rstrip(".?! ") for r in done}
    drawn = draw_refusals(api, round(_REFUSALS * len(done)) if n is None else n, rng)
    return [r for r in drawn if r["instruction"].lower().rstrip(".?! ") not in answered]


def covered(facts: Row) -> str:
    """What pairs cover, in one clause."""
    if "fields_all" not in facts:
        text = f"of {facts['parameters_all']} parameters {facts['parameters_used']} occur"
        return text + f", of {facts['enum_values_all']} enum values {facts['enum_values_used']}"
    text = f"of {facts['fields_all']} fields {facts['fields_searched']} are searched"
    return text + f", {facts['fields_returned']} returned"
