"""Rated rows: a prompt, what several models answered, and what judges gave each answer.

The one form that judges of every kind write and that pairs are chosen from, a JSONL row a prompt::

    {"prompt_hash": "0f3c…", "text": "BRCA1 in mice", "turns": [], "path": "/v3/query?q=symbol:BRCA1&species=mouse",
     "responses": [{"model": "tuned", "sample": 0, "response": "/v3/query?q=BRCA1",
                    "ratings": {"helpfulness": 2.0, "honesty": null, "execution": 2.0}, "rating": 2.0,
                    "tie": -17.0, "why": {"execution": "finds other records"}}]}

`ratings` are on one scale, LOW (worst) to HIGH, so that judges can be put together: the four aspects as a model judges
them, and `execution` (see `levels`). None says that a judge was asked and gave none. `rating` is the mean of those that
are there, None where there is none. `tie` orders answers of the same rating, the larger first; a judge that has nothing
to say of these leaves it out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from querywright.artefacts import read_jsonl, write_jsonl
from querywright.errors import QuerywrightError

Row = dict[str, Any]
LOW, HIGH = 1.0, 5.0
EXECUTION = "execution"
REFERENCE = "reference"
"""The model name of the answer that the row came with."""

RATED = "rated"
ROWS_PER_SHARD = 500
_DIGITS = 6


def mean(ratings: Mapping[str, float | None]) -> float | None:
    """The mean of the ratings that are there, rounded so that sums of floats do not break ties; None of none."""
    known = [value for value in ratings.values() if value is not None]
    return round(math.fsum(known) / len(known), _DIGITS) if known else None


def rated(response: Row, ratings: Mapping[str, float | None], *, why: Mapping[str, str] | None = None) -> Row:
    """A response with more ratings, by judge or aspect; those that it has of others stay.

    Raises:
        ValueError: a rating is outside LOW to HIGH.
    """
    for name, value in ratings.items():
        if value is not None and not LOW <= value <= HIGH:
            raise ValueError(f"a rating of {name} is {value}, not {LOW:g} to {HIGH:g}")
    both = {**(response.get("ratings") or {}), **ratings}
    reasons = {**(response.get("why") or {}), **(why or {})}
    return {**response, "ratings": both, "rating": mean(both), **({"why": reasons} if reasons else {})}


def order(response: Row) -> tuple[float, float]:
    """What answers to one prompt are ordered by, the better one larger: the rating, then `tie`.

    Equal orders are a tie: neither is chosen over the other. Ask only of a response whose rating is not None.
    """
    return float(response["rating"]), float(response.get("tie") or 0.0)


def key(response: Row) -> tuple[str, int]:
    """What a response is known by among those to its prompt: the model's name and the number of the sample."""
    return str(response["model"]), int(response.get("sample") or 0)


def together(rows: Iterable[Row], others: Iterable[Row]) -> Iterator[Row]:
    """Rows with the ratings of other judges added: answers are the same by prompt, model, sample and text.

    Answers that only one side knows (such as the reference) keep the ratings that they have; a prompt that only one
    side knows passes as it is.
    """
    known = {str(row["prompt_hash"]): row for row in others}
    for row in rows:
        other = known.pop(str(row["prompt_hash"]), None)
        yield row if other is None else _joined(row, other)
    yield from known.values()


def _joined(row: Row, other: Row) -> Row:
    theirs = {(key(r), r["response"]): r for r in other["responses"]}
    responses = []
    for response in row["responses"]:
        found = theirs.pop((key(response), response["response"]), None)
        if found is not None:
            tie = {"tie": found["tie"]} if "tie" in found and "tie" not in response else {}
            response = {**rated(response, found.get("ratings") or {}, why=found.get("why")), **tie}
        responses.append(response)
    return {**other, **row, "responses": [*responses, *theirs.values()]}


def write_rated(folder: Path, rows: Iterable[Row], per_shard: int = ROWS_PER_SHARD) -> list[str]:
    """Write rows to `folder/rated/00000.jsonl` and on; returns the files, relative to `folder`. Shards that an earlier
    and longer run left behind are removed."""
    names: list[str] = []
    shard: list[Row] = []

    def put() -> None:
        name = f"{RATED}/{len(names):05d}.jsonl"
        write_jsonl(folder / name, shard)
        names.append(name)
        shard.clear()

    for row in rows:
        shard.append(row)
        if len(shard) == per_shard:
            put()
    if shard or not names:
        put()
    for path in (folder / RATED).glob("*.jsonl"):
        if f"{RATED}/{path.name}" not in names:
            path.unlink()
    return names


def read_rated(folder: Path | str) -> Iterator[Row]:
    """The rated rows of a folder that holds `rated/`, or of a folder or file of such rows.

    Raises:
        QuerywrightError: there are none, or a row is not of this form (file and row are named).
    """
    folder = Path(folder)
    inside = folder / RATED if (folder / RATED).is_dir() else folder
    paths = [inside] if inside.is_file() else sorted(inside.glob("*.jsonl"))
    if not paths:
        raise QuerywrightError(
            f"no rated rows in {folder}", hint="querywright preferences execute or parse writes DIR/rated/*.jsonl"
        )
    for path in paths:
        for number, row in enumerate(read_jsonl(path), 1):
            if reason := wrong(row):
                raise QuerywrightError(
                    f"{path}, row {number}: {reason}", hint="querywright preferences execute or parse writes such rows"
                )
            yield row


def wrong(row: Row) -> str:
    """What is wrong with a rated row; empty where nothing is."""
    if not _name(row.get("prompt_hash")) or not isinstance(row.get("text"), str):
        return "no rated row: it has no prompt_hash or no text"
    responses = row.get("responses")
    if not isinstance(responses, list):
        return "its responses are no list"
    return next((reason for reason in map(_wrong, responses) if reason), "")


def _wrong(response: Any) -> str:
    """What is wrong with a response."""
    if not isinstance(response, dict) or not _name(response.get("model")):
        return "a response has no model"
    name, sample, why = response["model"][:40], response.get("sample", 0), response.get("why")
    if not isinstance(response.get("response"), str):
        return f"the response of {name} has no text"
    if not isinstance(sample, int) or isinstance(sample, bool):
        return f"the sample of {name} is no number"
    if not isinstance(response.get("ratings"), dict) or not (why is None or isinstance(why, dict)):
        return f"the response of {name} has no ratings, or reasons that are none"
    values = [*response["ratings"].values(), response.get("rating")]
    if not all(value is None or (_number(value) and LOW <= value <= HIGH) for value in values):
        return f"a rating of {name} is no number from {LOW:g} to {HIGH:g}"
    if response.get("tie") is not None and not _number(response["tie"]):
        return f"the tie of {name} is no number"
    return ""


def _name(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
