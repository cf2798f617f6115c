"""Corrections → pairs, and choices → preferences: what people repaired becomes training data.

Feedback comes from anybody who can ask, so nothing is believed as it stands: a call is read anew (the API may have
changed) and run; one client's word counts once a question and for `per_client` rows in all; where clients contradict
each other most of them have to agree; and nothing of a test set, of persons or of protected sentences comes in. Every
row that is left out is counted under the reason (`REASONS`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from querywright.api.call import Call, CallError, parse
from querywright.api.definition import API
from querywright.api.refusal import refused
from querywright.pairs.near import plain
from querywright.progress import track
from querywright.rows import Row, answer, chat, row
from server.flywheel.sieve import Sieve
from server.keep.entries import Answer, Correction, Preference

CORRECTION, LIKED = "correction", "liked"
REASONS = {
    "invalid": "are no call to the API (any more)",
    "replaced": "were replaced by a later one of the same client",
    "damaged": "have text that nobody types or that is too long, or come after what is no call",
    "personal": "hold personal data",
    "protected": "are protected sentences",
    "held_out": "ask what a test or validation set asks",
    "known": "have a sentence of the training set",
    "failed": "do not run",
    "no_hits": "find nothing (--allow-empty takes them)",
    "contradicted": "are contradicted by as many other clients, or more",
    "repeated": "are the same as another client's",
    "over_limit": "are too many of one client (--per-client)",
    "same": "have two answers that mean the same",
}
"""Why a row is left out, in words that go on after a number."""


@dataclass(frozen=True)
class Wish:
    """What a client says that the call of a question is. `wrong`: what the model had written."""

    row: Row
    client: str
    time: str
    wrong: str
    read_too: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """That a client likes a row's answer better than another text."""

    row: Row
    client: str
    time: str
    rejected: str

    @property
    def read_too(self) -> tuple[str, ...]:
        """What else a model would read than the row."""
        return (self.rejected,)


@dataclass(frozen=True)
class Learnt:
    """What came of it: rows oldest first, and how many were left out for which reason."""

    pairs: list[Row]
    preferences: list[dict[str, Any]]
    left_out: dict[str, int]
    preferences_left_out: dict[str, int]


def learn(
    api: API,
    corrections: Iterable[Correction],
    choices: Iterable[Preference] = (),
    liked: Iterable[Answer] = (),
    *,
    sieve: Sieve,
    per_client: int = 20,
) -> Learnt:
    """Pairs and preferences of what people said.

    Args:
        choices: made side by side.
        liked: answers that are taken for right since somebody said so.
        sieve: what a row has to pass by itself.
        per_client: rows of each kind that one client may give; 0 is any number.
    """
    left: Counter[str] = Counter()
    wishes = [_wish(api, a, a.path, a.client, a.time, LIKED) for a in liked if a.rating == 1]
    wishes += [_wish(api, c.of, c.path, c.client, c.time, CORRECTION) for c in sorted(corrections, key=_time)]
    kept = _settled(
        wishes, sieve, per_client, left, question=lambda w: plain(w.row), meaning=lambda w: w.row["canonical"]
    )
    other: Counter[str] = Counter()
    preferred: list[Choice | str] = [_against(api, wish) for wish in kept if wish.row["source"] == CORRECTION]
    preferred += [_choice(api, p) for p in sorted(choices, key=_time)]
    pleased = _settled(
        preferred, sieve, per_client, other,
        question=lambda c: (plain(c.row), *sorted((c.row["canonical"], _meaning(api, c.rejected)))),
        meaning=lambda c: c.row["canonical"],
    )  # fmt: skip
    return Learnt(
        [wish.row for wish in kept],
        [_preferred(api, choice) for choice in pleased],
        dict(sorted(left.items())),
        dict(sorted(other.items())),
    )


T = TypeVar("T", Wish, Choice)


def _settled(
    said: Sequence[T | str],
    sieve: Sieve,
    per_client: int,
    left: Counter[str],
    *,
    question: Callable[[T], Any],
    meaning: Callable[[T], str],
) -> list[T]:
    """What may be learnt of what was said, oldest first. Of one client what stands later in `said` counts; a text in
    place of a saying is the reason why it is none."""
    last: dict[Any, T] = {}
    for one in (s for s in said if not isinstance(s, str)):
        left["replaced"] += (one.client, question(one)) in last
        last[one.client, question(one)] = one
    left.update(s for s in said if isinstance(s, str))
    passed = []
    for one in track(list(last.values()), "checking feedback"):
        reason = sieve.reason(one.row, *one.read_too)
        left[reason] += 1
        if not reason:
            passed.append(one)
    agreed = _agreed(passed, left, question, meaning)
    kept = _within(agreed, per_client, left)
    for reason in [reason for reason, n in left.items() if not n or not reason]:
        del left[reason]
    return sorted(kept, key=lambda s: (s.time, s.row["id"]))


def _agreed(
    said: Sequence[T], left: Counter[str], question: Callable[[T], Any], meaning: Callable[[T], str]
) -> list[list[T]]:
    """Of each question what more clients say than anything else, once from each of them."""
    by_question: dict[Any, dict[str, list[T]]] = defaultdict(lambda: defaultdict(list))
    for one in sorted(said, key=_time):
        by_question[question(one)][meaning(one)].append(one)
    agreed = []
    for meanings in by_question.values():
        first, *others = sorted(meanings.values(), key=len, reverse=True)
        wins = not others or len(first) > len(others[0])
        left["contradicted"] += sum(map(len, others)) + (0 if wins else len(first))
        if wins:
            left["repeated"] += len(first) - 1
            agreed.append(first)
    return agreed


def _within(agreed: Sequence[list[T]], per_client: int, left: Counter[str]) -> list[T]:
    """At most `per_client` of each client, the newest; what several say counts for the one who has the fewest."""
    given: Counter[str] = Counter()
    kept = []
    for same in sorted(agreed, key=lambda s: (s[-1].time, s[-1].row["id"]), reverse=True):
        one = min(same, key=lambda s: (given[s.client], s.client))
        if per_client and given[one.client] >= per_client:
            left["over_limit"] += 1
            continue
        given[one.client] += 1
        kept.append(one)
    return kept


def _time(said: Wish | Choice | Correction | Preference) -> str:
    return said.time


def _wish(api: API, asked: Answer, path: str, client: str, time: str, source: str) -> Wish | str:
    call = _read(api, path)
    return Wish(_row(asked, call, source, time), client, time, asked.path) if call else "invalid"


def _against(api: API, wish: Wish) -> Choice | str:
    """A correction, liked better than what it corrects."""
    if not wish.wrong.strip() or _meaning(api, wish.wrong) == wish.row["canonical"]:
        return "same"
    return Choice(wish.row, wish.client, wish.time, wish.wrong)


def _choice(api: API, made: Preference) -> Choice | str:
    """A choice between two answers; the chosen one has to be a call."""
    call = _read(api, made.chosen.path)
    if call is None or not made.rejected.path.strip():
        return "invalid"
    if _meaning(api, made.rejected.path) == call.canonical:
        return "same"
    return Choice(_row(made.chosen, call, "choice", made.time), made.client, made.time, made.rejected.path)


def _row(asked: Answer, call: Call, source: str, time: str) -> Row:
    """A pair; `at` is when it was said."""
    made = row(call, " ".join(asked.question.split()), source, turns=asked.turns)
    return {**made, "at": time}


def _read(api: API, path: str) -> Call | None:
    try:
        return parse(api, path)
    except (CallError, RecursionError):
        return None


def _meaning(api: API, text: str) -> str:
    """What an answer means: a call's canonical form, or the text itself."""
    call = _read(api, text)
    return call.canonical if call else f"nil {code}" if (code := refused(text)) else text.strip()


def _preferred(api: API, choice: Choice) -> dict[str, Any]:
    """A row as `finetune.preferences` reads it, prompted as a tuned model is asked."""
    from querywright.pairs.prompted import with_fields

    *prompt, _ = chat(next(iter(with_fields([choice.row], api))))["messages"]
    said = [[{"role": "assistant", "content": text}] for text in (answer(choice.row), choice.rejected)]
    return {"prompt": prompt, "chosen": said[0], "rejected": said[1]}
