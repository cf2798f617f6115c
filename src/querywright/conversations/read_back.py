"""Conversations as files: whole again, as prompts for several models, or judged turns as rated answers.

So conversations feed the other stages: the users' sentences are prompts of `querywright preferences respond`, and of a
turn that judges agree on, one answer is preferred to the other.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from querywright import protected
from querywright.artefacts import replacing
from querywright.conversations import tables
from querywright.conversations.document import VERSION, Conversation, history
from querywright.conversations.judgements import judgements

Row = dict[str, Any]
BEST, EVEN, WORST = 5.0, 3.0, 1.0
"""Ratings of the preferred answer, of both where a judge sees no difference, of the other: the ends and the middle of
the scale that rated rows have."""

ALL, FIRST = "all", "first"


def write_document(path: Path, sources: Sequence[tables.Source], conversations: Iterable[Conversation]) -> int:
    """Write conversations as `synthesize` does, one at a time in memory; returns how many.

    Args:
        sources: where they come from: of several, `config` is `{"several": [...]}`, and a label that means another
            model in each has the others under `also`.
    """
    heads = [tables.head_of(source) for source in sources]
    config = heads[0]["config"] if len(heads) == 1 else {"several": [head["config"] for head in heads]}
    more = {key: value for key in ("models", "user", "weights") if (value := _merged(heads, key)) or key == "models"}
    head = {"version": VERSION, "config": config, **more}
    n = 0
    with replacing(path) as out:
        out.write(json.dumps(head, indent=2, ensure_ascii=False)[:-2] + ',\n  "conversations": [')
        for n, one in enumerate(conversations, 1):
            lines = json.dumps(one, indent=2, ensure_ascii=False).replace("\n", "\n    ")
            out.write(("," if n > 1 else "") + "\n    " + lines)
        out.write("\n  ]\n}\n")
    return n


def _merged(heads: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
    """The tables under a key as one; see `write_document`."""
    if key == "user":
        whole: dict[str, Any] = _several([head[key] for head in heads if head.get(key)])
        return whole
    found: dict[str, list[Any]] = {}
    for head in heads:
        for label, value in head.get(key, {}).items():
            found.setdefault(label, []).append(value)
    return {label: _several(values) for label, values in found.items()}


def _several(values: Sequence[Any]) -> Any:
    distinct = [value for n, value in enumerate(values) if value not in values[:n]]
    first = distinct[0] if distinct else {}
    return {**first, "also": distinct[1:]} if len(distinct) > 1 and isinstance(first, dict) else first


def prompts(
    conversations: Iterable[Conversation], left_out: Counter[str], *, turns: str = ALL, system: str = ""
) -> Iterator[Row]:
    """What users said as prompt rows: `text`, the `turns` before it, an `id`, and where it comes from.

    Args:
        left_out: counts what gives no prompt, by reason.
        turns: `all`, or only the `first` of each conversation.
        system: the system message that they are asked with.
    """
    known, seen = protected.hashes(), set[str]()
    for one in conversations:
        for place, turn in enumerate(one["turns"][: 1 if turns == FIRST else None]):
            row = _prompt(one, place, system)
            key = json.dumps([row["turns"], row["text"]])
            if not turn["user"].strip():
                left_out["empty"] += 1
            elif protected.holds({"instruction": row["text"], "turns": row["turns"]}, known):
                left_out["protected"] += 1
            elif key in seen:
                left_out["asked_before"] += 1
            else:
                seen.add(key)
                yield row


def rated(conversations: Iterable[Conversation], *, system: str = "") -> Iterator[Row]:
    """The turns that were judged as rated rows (without a `prompt_hash`): of each judge that agreed with itself in both
    orders, the preferred answer has BEST and the other WORST, or both EVEN; of one that did not, neither has any."""
    for one in conversations:
        for place, turn in enumerate(one["turns"]):
            judged = judgements(turn)
            if not judged or not turn["user"].strip():
                continue
            answers = [
                {"model": r["model"], "sample": _sample(turn, side), "response": r["text"],
                 **({"finish": r["finish"]} if r.get("finish") else {}), **_rating(judged, side)}
                for side, r in enumerate(turn["responses"])
            ]  # fmt: skip
            yield {**_prompt(one, place, system), "responses": answers}


def _prompt(one: Conversation, place: int, system: str) -> Row:
    row: Row = {"id": f"{one['id']}-{place}", "text": one["turns"][place]["user"], "turns": history(one, place)}
    more = {"system": system, "persona": one.get("persona")}
    return row | {key: value for key, value in more.items() if value} | {"conversation": one["id"], "turn": place}


def _sample(turn: Mapping[str, Any], side: int) -> int:
    """0, but for a second answer of the same model."""
    return sum(r["model"] == turn["responses"][side]["model"] for r in turn["responses"][:side])


def _rating(judged: Sequence[Mapping[str, Any]], side: int) -> Row:
    by_judge: dict[str, list[float]] = {}
    for one in judged:
        given = by_judge.setdefault(f"judge:{one['judge']}", [])
        if one.get("agreed") is True and one.get("preferred") in (0, 1, "tie"):
            given.append(EVEN if one["preferred"] == "tie" else BEST if one["preferred"] == side else WORST)
    ratings = {judge: sum(given) / len(given) if given else None for judge, given in by_judge.items()}
    there = [value for value in ratings.values() if value is not None]
    return {"ratings": ratings, "rating": sum(there) / len(there) if there else None}
