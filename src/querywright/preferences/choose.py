"""Rated responses to preference rows: the best response is chosen, a worse one of the same prompt rejected.

A rated row is a prompt row with `responses`, each of which has a `rating` (None where nobody rated it); see `rated`.
What comes out is what `finetune.preferences` and TRL's `DPOTrainer` read (its conversational form with a prompt of its
own)::

    {"prompt": [{"role": "system", ...}, {"role": "user", ...}], "chosen": [{"role": "assistant", ...}],
     "rejected": [{"role": "assistant", ...}], "prompt_hash": "...", "chosen_model": "...", "rejected_model": "...",
     "chosen_rating": 4.5, "rejected_rating": 2.0, "ratings": {"chosen": {...}, "rejected": {...}}, **metadata}

Source: best of four against one of the rest, as Ultrafeedback was binarised (Tunstall et al. 2023, Zephyr) and as
Tulu 3 does it (Lambert et al. 2024).
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from querywright import protected
from querywright.engines.base import Message
from querywright.errors import QuerywrightError, did_you_mean
from querywright.preferences.prompts import chat_of
from querywright.preferences.rated import key, mean, order
from querywright.rows import turns_of

Row = dict[str, Any]
SAMPLE, ALL = "sample", "all"

REASONS = {
    "unrated": "with fewer than two rated responses",
    "alike": "whose rated responses all have the same text",
    "tied": "whose responses are all rated alike (or nearer than the margin)",
    "cut_off": "whose best response was cut off, with nothing worse than the next",
    "protected": "with a protected sentence",
}
"""Why a prompt gives no preference row, as a report says it (`12 prompts with …`)."""

_READ = {"text", "system", "turns", "prompt_hash", "responses"}  # of a rated row; the rest is metadata
_WRITTEN = {"prompt", "chosen", "rejected", "ratings"}
_WRITTEN |= {f"{side}_{what}" for side in ("chosen", "rejected") for what in ("model", "rating")}
_TRAINERS = {"messages", "completion", "label", "image", "images", "tools", "chat_template_kwargs"}  # TRL acts on these


@dataclass
class Choice:
    """What was chosen.

    Attributes:
        rows: the preference rows, in the order of the prompts.
        prompts: how many prompts there were.
        left_out: prompts that gave no row, by reason (see `REASONS`).
        empty: responses without text, which are neither chosen nor rejected.
        merged: responses with the same text as another of their prompt: they count once, with the mean rating.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    prompts: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    empty: int = 0
    merged: int = 0

    def report(self) -> dict[str, Any]:
        """Counts for a report file."""
        wins = Counter(row["chosen_model"] for row in self.rows)
        losses = Counter(row["rejected_model"] for row in self.rows)
        return {
            "prompts": self.prompts, "rows": len(self.rows), "left_out": dict(sorted(self.left_out.items())),
            "empty_responses": self.empty, "same_text_responses": self.merged,
            "chosen": dict(wins.most_common()), "rejected": dict(losses.most_common()),
        }  # fmt: skip

    def told(self) -> Iterator[str]:
        """The counts in a few lines."""
        yield f"{_n(len(self.rows), 'preference row')} from {_n(self.prompts, 'prompt')}"
        for reason, n in sorted(self.left_out.items()):
            yield f"left out: {_n(n, 'prompt')} {REASONS[reason]}"
        if self.empty:
            yield f"neither chosen nor rejected: {_n(self.empty, 'response')} without text"
        if self.merged:
            yield f"counted once, with the mean rating: {_n(self.merged, 'response')} with the text of another"


def _n(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def choose(
    rows: Iterable[Row],
    *,
    rejected: str = SAMPLE,
    seed: int = 0,
    margin: float = 0.0,
    render: Callable[[Row], list[Message]] = chat_of,
) -> Choice:
    """Preference rows of rated rows.

    The best rated response is chosen (of several that are equally good, one by `seed`); a response is rejected only if
    it is worse: rated lower, or alike and of the lower `tie` (see `rated.order`). What is drawn depends on the seed and
    the prompt alone, so the same prompt gives the same row whatever the order and whatever stands beside it. A response
    that was cut off (`finish` is `length`) is never chosen: it would teach not to end; it may be rejected.

    Args:
        rows: rated rows.
        rejected: `sample` (one of the lower rated, by `seed`) or `all` (a row for each of them).
        seed: for what is drawn.
        margin: the least difference of the ratings of chosen and rejected; at 0 any difference is enough.
        render: the prompt's messages; where an API's model is tuned, those that it is asked with.

    Raises:
        QuerywrightError: no such choice of `rejected`, a margin below 0, or turns that are no chat messages.
    """
    if rejected not in (SAMPLE, ALL):
        raise QuerywrightError(f"--rejected {rejected!r}{did_you_mean(rejected, [SAMPLE, ALL])}", hint="sample, or all")
    if not (math.isfinite(margin) and margin >= 0):
        raise QuerywrightError(f"--margin {margin} is no least difference of ratings", hint="0 or more, such as 0.5")
    known, choice = protected.hashes(), Choice()
    for row in rows:
        choice.prompts += 1
        turns = turns_of(row, f"prompt {row['prompt_hash']}")
        if protected.holds({"instruction": row["text"], "turns": turns}, known):
            choice.left_out["protected"] += 1
            continue
        found = _pairs(row, choice, rejected, margin, random.Random(f"{seed}:{row['prompt_hash']}"))
        if isinstance(found, str):
            choice.left_out[found] += 1
            continue
        prompt = render(row)
        choice.rows += [_row(row, prompt, best, worse) for best, worse in found]
    return choice


def _pairs(
    row: Row, choice: Choice, rejected: str, margin: float, chance: random.Random
) -> list[tuple[Row, Row]] | str:
    """The pairs of a prompt, better response first; or the reason why there are none."""
    with_text = [r for r in row["responses"] if r["response"].strip()]
    choice.empty += len(row["responses"]) - len(with_text)
    rated = [r for r in with_text if r.get("rating") is not None]
    if len(rated) < 2:
        return "unrated"
    texts = _by_text(rated)
    choice.merged += len(rated) - len(texts)
    if len(texts) < 2:
        return "alike"
    whole = [r for r in texts if r.get("finish") != "length"]
    if not whole:
        return "cut_off"
    top = max(map(order, whole))
    best = chance.choice([r for r in whole if order(r) == top])
    worse = [r for r in texts if order(r) < top and best["rating"] - r["rating"] >= margin]
    if not worse:
        return "tied" if top == max(map(order, texts)) else "cut_off"
    return [(best, r) for r in (worse if rejected == ALL else [chance.choice(worse)])]


def _by_text(responses: list[Row]) -> list[Row]:
    """Responses of different texts, in a settled order; those of the same text are one, with the mean of their
    ratings: two ratings of the same words differ by chance only."""
    same: dict[str, list[Row]] = {}
    for response in sorted(responses, key=lambda r: (r["response"], *key(r))):
        same.setdefault(" ".join(response["response"].split()), []).append(response)
    return [group[0] if len(group) == 1 else _merged(group) for group in same.values()]


def _merged(group: list[Row]) -> Row:
    aspects = {aspect: None for r in group for aspect in r["ratings"]}
    ratings = {aspect: _mean(r["ratings"].get(aspect) for r in group) for aspect in aspects}
    return {**group[0], "rating": _mean(r["rating"] for r in group), "ratings": ratings}


def _mean(values: Iterable[float | None]) -> float | None:
    return mean({str(n): value for n, value in enumerate(values)})


def _row(row: Row, prompt: list[Message], best: Row, worse: Row) -> dict[str, Any]:
    """A preference row. Metadata stay beside it; under `metadata` where their names mean something else there."""
    extra = {k: v for k, v in row.items() if k not in _READ}
    clashing = {k: v for k, v in extra.items() if k in _WRITTEN | _TRAINERS}
    beside = {k: v for k, v in extra.items() if k not in clashing}
    return {
        "prompt": prompt,
        "chosen": [{"role": "assistant", "content": best["response"]}],
        "rejected": [{"role": "assistant", "content": worse["response"]}],
        "prompt_hash": row["prompt_hash"],
        "chosen_model": best["model"], "rejected_model": worse["model"],
        "chosen_rating": float(best["rating"]), "rejected_rating": float(worse["rating"]),
        "ratings": {"chosen": _floats(best["ratings"]), "rejected": _floats(worse["ratings"])},
        **beside, **({"metadata": clashing} if clashing else {}),
    }  # fmt: skip


def _floats(ratings: dict[str, float | None]) -> dict[str, float | None]:
    """Ratings of one type: data set libraries take a column's type from its first rows."""
    return {aspect: None if value is None else float(value) for aspect, value in ratings.items()}
