"""Round trip: a pair stays only if its sentence determines its call.

An independent reading of the sentence (the reader without a model, or an engine) has to give a call that is the same by
meaning, or finds the same records. What leaves keeps the reason and what was read instead:

    differs     the sentence is read as another call
    ambiguous   it may be read as this call, but another reading is likelier; or it stands for two calls in the set
    unread      no call can be read in it
    answerable  a refusal whose sentence is wholly read as a call
    broken      the row's call can't be parsed

Of a conversation the reader without a model reads the first sentence, as asking for the first call: what follows names
a change to a call (`pairs.turns` has replayed its own; of others' conversations `pairs verify` looks at the values). A
model reads the last sentence, with all that was said before it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from typing import Any

from querywright.api.call import Call, CallError, parse
from querywright.api.definition import API, load
from querywright.api.executors import Executor
from querywright.api.refusal import refused
from querywright.errors import QuerywrightError
from querywright.pairs.reader import confident, reading
from querywright.progress import say, track
from querywright.rows import Row

REASONS = ("differs", "ambiguous", "unread", "answerable", "broken")
Reader = Callable[[Row], Sequence[Call]]  # the calls that a row's sentence may ask for, the likeliest first
_BATCH = 64  # rows a worker takes at a time


def check(
    api: API,
    rows: Sequence[Row],
    reader: Reader | None = None,
    executor: Executor | None = None,
    workers: int = 1,
    keep: Collection[str] = (),
) -> tuple[list[Row], list[Row]]:
    """Rows whose sentence determines their answer, and the others, each with a `reason`.

    `reader` gives the calls of a row (without it the reader without a model, in `workers` processes); with an
    `executor` a row whose reading finds the same records stays as well. Rows that hold no call of an API (`answer`)
    stay as they are, and so do rows whose reason is in `keep`.
    """
    kept, rejected = collisions(rows)
    todo = [r for r in kept if not r.get("answer")]
    verdicts = dict(zip(map(id, todo), _verdicts(api, todo, reader, workers), strict=True))
    kept, out = [], rejected
    for r in rows_in_order(rows, rejected):
        reason, told = verdicts.get(id(r), ("", ""))
        wanted = r if reader else opening(r)
        if (
            reason in ("differs", "ambiguous")
            and executor is not None
            and same_hits(api, executor, wanted["path"], told)
        ):
            reason = ""
        if not reason or reason in keep:
            kept.append(r)
        else:
            out.append({**r, "reason": reason, **({"read_as": told} if told else {})})
    return kept, out


def rows_in_order(rows: Iterable[Row], rejected: Sequence[Row]) -> Iterator[Row]:
    """Rows that were not rejected yet."""
    gone = {(r["id"], r["instruction"]) for r in rejected}
    return (r for r in rows if (r["id"], r["instruction"]) not in gone)


# --- one sentence, two calls -----------------------------------------------------------------------------------------
def collisions(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Rows whose sentence stands for one answer in the whole set, and those of sentences that stand for several."""
    answers: dict[str, set[str]] = {}
    for r in rows:
        answers.setdefault(masked(r), set()).add(_answer(r))
    kept, rejected = [], []
    for r in rows:
        others = answers[masked(r)] - {_answer(r)}
        if others:
            rejected.append({**r, "reason": "ambiguous", "read_as": min(others)})
        else:
            kept.append(r)
    return kept, rejected


def _answer(r: Row) -> str:
    return str(r.get("refusal") or r.get("answer") or r["canonical"])


def masked(r: Row) -> str:
    """What is said in a row, without letter case and punctuation at words' edges; wildcards stay."""
    said = " \n ".join([*(t["content"] for t in r.get("turns", ())), r["instruction"]])
    words = (re.sub(r"^[\"'(\[“‘]+|[\"')\]”’.,;:!]+$", "", w) for w in said.lower().split())
    return " ".join(w for w in words if w and w != "-").removesuffix("?")


# --- reading ---------------------------------------------------------------------------------------------------------
def verdict(api: API, r: Row, reader: Reader | None = None) -> tuple[str, str]:
    """Why a row goes (the empty string if it stays), and the call that its sentence was read as."""
    if r.get("refusal"):
        calls = reader(r) if reader else confident(api, r["instruction"], r.get("turns", ()))
        return ("answerable", calls[0].text) if calls else ("", "")
    first = opening(r)
    try:
        wanted, begun = parse(api, r["path"]).canonical, parse(api, first["path"]).canonical
    except CallError:
        return "broken", ""
    if reader:
        found = reader(r)
    else:
        found, wanted = reading(api, first["instruction"]).calls, begun
    if not found:
        return "unread", ""
    if found[0].canonical == wanted:
        return "", ""
    return ("ambiguous" if any(c.canonical == wanted for c in found[1:]) else "differs"), found[0].text


def opening(r: Row) -> Row:
    """The first sentence of a conversation that a call answers, and that call; a row without turns is its own."""
    turns = r.get("turns") or ()
    for said, told in pairwise(turns):
        if (said["role"], told["role"]) == ("user", "assistant") and refused(told["content"]) is None:
            return {"instruction": said["content"], "path": told["content"]}
    return r


def engine_reader(api: API, ask: Callable[[Row], str]) -> Reader:
    """A reader that asks a model: `ask` writes a call for a row's sentence, such as a tuned model in its chat."""

    def calls(r: Row) -> list[Call]:
        text = ask(r)
        if refused(text) is not None:
            return []
        try:
            return [parse(api, text)]
        except CallError:
            return []

    return calls


def same_hits(api: API, executor: Executor, one: str, other: str) -> bool:
    """Whether two calls find the same records, and some: the same total and the same ids on the first page."""
    try:
        first, second = (executor.run(parse(api, path)) for path in (one, other))
    except QuerywrightError:
        return False
    return first.total > 0 and first.total == second.total and first.ids == second.ids


def _verdicts(api: API, rows: Sequence[Row], reader: Reader | None, workers: int) -> list[tuple[str, str]]:
    what = "reading back"
    if reader is not None or workers < 2 or len(rows) < 4 * _BATCH or not api.folder:
        return [verdict(api, r, reader) for r in track(rows, what)]
    batches = [rows[i : i + _BATCH] for i in range(0, len(rows), _BATCH)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        done = pool.map(_batch, [api.folder] * len(batches), batches)
        return [v for batch in track(done, f"{what} ({_BATCH} at a time)", len(batches)) for v in batch]


def _batch(folder: str, rows: Sequence[Row]) -> list[tuple[str, str]]:
    api = load(folder)
    return [verdict(api, r) for r in rows]


# --- report ----------------------------------------------------------------------------------------------------------
def report(kept: Sequence[Row], rejected: Sequence[Row], examples: int = 10) -> dict[str, Any]:
    """What a round trip did: rows by reason, shares by teacher, persona and signature, and examples of every reason."""
    reasons = Counter(str(r["reason"]) for r in rejected)
    return {
        "kept": len(kept),
        "rejected": len(rejected),
        "reasons": dict(reasons.most_common()),
        **{f"by_{key}": _shares(kept, rejected, key) for key in ("teacher", "persona", "source", "signature")},
        "examples": {
            reason: [
                {"instruction": r["instruction"], "path": r["path"], "read_as": r.get("read_as", "")}
                for r in rejected
                if r["reason"] == reason
            ][:examples]
            for reason in reasons
        },
    }


def _shares(kept: Sequence[Row], rejected: Sequence[Row], key: str, most: int = 40) -> dict[str, dict[str, Any]]:
    """How many rows of each kind there were and which share stayed; the kinds with the most rejections first."""
    stay = Counter(str(r.get(key, "")) for r in kept)
    gone = Counter(str(r.get(key, "")) for r in rejected)
    names = sorted(set(stay) | set(gone), key=lambda n: (-gone[n], n))[:most]
    return {n or "(none)": {"rows": stay[n] + gone[n], "kept": round(stay[n] / (stay[n] + gone[n]), 4)} for n in names}


def told(kept: Sequence[Row], rejected: Sequence[Row]) -> None:
    """One line of what happened."""
    reasons = Counter(str(r["reason"]) for r in rejected)
    share = len(kept) / max(len(kept) + len(rejected), 1)
    said = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common())
    say(f"round trip: {len(kept)} of {len(kept) + len(rejected)} pairs stay ({share:.1%}){'; ' + said if said else ''}")
