"""Pairs to train, valid and test, by canonical query: no query stands on two sides. And to what trainers read.

A hash of the query decides its side, so that it stays there when pairs are added; instructions never decide. With
`by="signature"` all queries of one shape go together.

`test_unseen` is a second test: whole shapes, chosen by hash, that stand nowhere else. A shape that has
more than that share of the pairs or of the traffic by itself is not taken out: what users need most has to be learnt.
Refusals have no shape.

A conversation stands on the side of its last call, the one that is learnt or asked. Its earlier calls are read by a
model too, and trained on. So a row is left out, with a reason, if an earlier call belongs to a side that is held out
further (train < valid < test < test_unseen): what is trained on never shows a held-out query, while a held-out
conversation may begin with a known one.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from querywright.api.call import CallError, parse
from querywright.api.definition import API, load, shipped
from querywright.api.identity import definition_id
from querywright.api.nearest import FIELDS
from querywright.api.refusal import refused
from querywright.artefacts import alone, is_done, read_jsonl, sha256, write_jsonl, write_manifest
from querywright.errors import QuerywrightError
from querywright.pairs.prompted import searched, with_fields
from querywright.pairs.read import read_pairs
from querywright.pairs.vary import varied
from querywright.progress import say
from querywright.protected import refuse
from querywright.rows import Row, answer, chat

PARTS = ("train", "valid", "test")
UNSEEN = "test_unseen"
SIDES = (*PARTS, UNSEEN)
LEFT_OUT = "left_out.jsonl"
BY = ("canonical", "signature")


def share(text: str) -> float:
    """A number in [0, 1) that a text has, evenly spread over texts."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


def part_of(canonical: str, valid: float, test: float, seed: int) -> str:
    """The side of a canonical query: a hash decides, so that it stays the same when pairs are added."""
    at = share(f"{seed}:{canonical}")
    return "test" if at < test else "valid" if at < test + valid else "train"


def split(
    source: Path,
    out: Path,
    *,
    valid: float,
    test: float,
    seed: int,
    by: str = "canonical",
    unseen: float = 0.0,
    api: API | None = None,
    vary: float = 0.0,
) -> dict[str, int]:
    """Write each side's rows, and the same as chat messages, into `out`.

    Args:
        valid: share of the queries (of the shapes, by signature); `test` likewise.
        by: `canonical` or `signature`.
        unseen: share of the shapes that go to `test_unseen`; none is written for 0, as here by default (the command
            `pairs split` takes 0.03).
        api: whose fields the prompt shows, and who reads the calls of earlier turns; by default the shipped API that a
            row names.
        vary: share of the training rows whose chat is that of an API that does not exist (see `vary`), so that a model
            reads names off its prompt instead of learning them.

    Returns:
        Rows on each side.

    Raises:
        QuerywrightError: shares that leave nothing to train on, a side without rows, or a protected sentence.
    """
    if by not in BY:
        raise QuerywrightError(f"unknown --by {by!r}", hint=f"one of {', '.join(BY)}")
    if min(valid, test, unseen) < 0 or valid + test >= 1 or unseen >= 1:
        raise QuerywrightError(
            f"shares of {valid} valid, {test} test and {unseen} unseen leave nothing to train on", hint="e.g. 0.03 each"
        )
    rows = read_pairs(source)
    refuse(rows, source)
    config = {"stage": "pairs split", "pairs": sha256(source), "valid": valid, "test": test, "seed": seed}
    config |= {"fields": FIELDS, "searched": searched(rows, api), **({"vary": vary} if vary else {})}
    config |= {"by": by, "unseen": unseen, **({"definition": definition_id(api)} if api else {})}
    sides = SIDES if unseen else PARTS
    if is_done(out, config):
        say(f"split: {out} is whole, nothing to do")
        return {part: len(read_jsonl(out / f"{part}.jsonl")) for part in sides}
    held = held_out(rows, unseen, seed)
    parts: dict[str, list[Row]] = {part: [] for part in sides}
    left_out: list[Row] = []

    def side(key: str, signature: str) -> str:
        if signature in held:
            return UNSEEN
        return part_of(signature if by == "signature" and signature else key, valid, test, seed)

    reader = _Reader(api)
    for r in rows:
        own = side(*_key(r))
        further = [s for s in (side(*key) for key in _earlier(r, reader)) if SIDES.index(s) > SIDES.index(own)]
        if further:
            left_out.append(
                {**r, "reason": "turn_held_out", "detail": f"an earlier call stands in {max(further, key=SIDES.index)}"}
            )
        else:
            parts[own].append(r)
    empty = [part for part in PARTS if not parts[part]]
    if empty:
        raise QuerywrightError(
            f"{len(rows)} pairs leave {' and '.join(empty)} empty", hint="make more pairs, or larger shares"
        )
    with alone(out):
        for part in SIDES:
            if part not in sides:  # of an earlier split into the same folder
                (out / f"{part}.jsonl").unlink(missing_ok=True)
                (out / f"{part}.chat.jsonl").unlink(missing_ok=True)
                continue
            prompted = list(with_fields(parts[part], api))
            write_jsonl(out / f"{part}.jsonl", prompted)
            told = list(_varied(prompted, vary, seed, api)) if part == "train" else prompted
            write_jsonl(out / f"{part}.chat.jsonl", map(chat, told))
        write_jsonl(out / LEFT_OUT, left_out)
        sizes = {part: len(parts[part]) for part in sides}
        traffic = {part: round(sum(map(_weight, parts[part])), 6) for part in sides}
        files = [f"{p}{kind}" for p in sides for kind in (".jsonl", ".chat.jsonl")]
        write_manifest(
            out, config, [*files, LEFT_OUT],
            rows=sizes, traffic=traffic, left_out=len(left_out), shapes_held_out=len(held),
        )  # fmt: skip
    say(_told(sizes, traffic, by, len(held), len(left_out)))
    return sizes


def _varied(rows: list[Row], share_of: float, seed: int, api: API | None) -> Iterator[Row]:
    """The rows, a share of them under other names."""
    rng, known = random.Random(seed), shipped()
    for r in rows:
        own = None if api is None or (r["api"] != api.name and r["api"] in known) else api  # as in `with_fields`
        yield (varied(r, rng, own) if rng.random() < share_of else None) or r


def _told(sizes: dict[str, int], traffic: dict[str, float], by: str, held: int, left_out: int) -> str:
    all_of_it = sum(traffic.values()) or 1.0
    text = ", ".join(f"{n} {part} ({100 * traffic[part] / all_of_it:.1f} % of traffic)" for part, n in sizes.items())
    text = f"split: {text}; by {'canonical query' if by == 'canonical' else by}"
    text += f"; {held} shapes stand in {UNSEEN} only" if UNSEEN in sizes else ""
    return text + (f"; {left_out} conversations left out: an earlier call is held out" if left_out else "")


def held_out(rows: Sequence[Row], unseen: float, seed: int) -> set[str]:
    """The shapes that stand in `test_unseen` only."""
    counts: Counter[str] = Counter()
    traffic: defaultdict[str, float] = defaultdict(float)
    for r in rows:
        _, signature = _key(r)
        if signature:
            counts[signature] += 1
            traffic[signature] += _weight(r)
    most = max(unseen, 1 / max(1, len(rows)))  # of a few pairs, one pair may go
    most_rows, most_traffic = most * len(rows), most * sum(map(_weight, rows))
    return {
        s
        for s, n in counts.items()
        if share(f"{seed}:unseen:{s}") < unseen and n <= most_rows and traffic[s] <= most_traffic
    }


def _weight(r: Row) -> float:
    return float(r.get("weight") or 1.0)


def _key(r: Row) -> tuple[str, str]:
    """What a row is split by: its canonical form and its shape; a refusal, or a row without a call, has no shape."""
    called = not r.get("refusal") and r.get("path")
    return str(r.get("canonical") or r.get("id") or answer(r)), str(r.get("signature") or "") if called else ""


class _Reader:
    """Canonical form and shape of the calls in earlier turns; each text is read once."""

    def __init__(self, api: API | None) -> None:
        self._given = api
        self._apis: dict[str, API] = {}
        self._seen: dict[tuple[str, str], tuple[str, str]] = {}

    def __call__(self, name: str, text: str) -> tuple[str, str]:
        """A text that is no call stands for itself."""
        key = (name, text)
        if key not in self._seen:
            try:
                call = parse(self._given or self._api(name), text)
                self._seen[key] = (call.canonical, call.signature)
            except CallError:
                self._seen[key] = (text, "")
        return self._seen[key]

    def _api(self, name: str) -> API:
        if name not in shipped():  # a row's word is no path to read a definition from
            raise QuerywrightError(f"conversations of the API {name!r}: its calls can't be read", hint="--api FILE")
        if name not in self._apis:
            self._apis[name] = load(name)
        return self._apis[name]


def _earlier(r: Row, reader: _Reader) -> Iterator[tuple[str, str]]:
    """The same of the calls in a row's earlier turns; of a refusal among them as `rows.refusal_row` has it."""
    turns = r.get("turns") or ()
    before = ""
    for message in turns:
        text = message["content"]
        if message["role"] == "assistant" and refused(text):
            yield f"{text}: {' '.join(before.lower().split())}", ""
        elif message["role"] == "assistant" and (r.get("path") or r.get("refusal")):
            yield reader(str(r.get("api", "")), text)
        before = text


def verify(problem_of: Callable[[Row], Any], rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Rows that are true pairs, and the others with their reason."""
    good: list[Row] = []
    bad: list[Row] = []
    for r in rows:
        reason = problem_of(r)
        (bad if reason else good).append({**r, "reason": reason} if reason else r)
    return good, bad
