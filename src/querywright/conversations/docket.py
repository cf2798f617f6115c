"""The turns of conversations that are to be judged, each with its judges; and what is not, with reasons."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from querywright.conversations import document, verdict
from querywright.conversations.document import Conversation
from querywright.conversations.judgements import judgements
from querywright.conversations.judges import Bench, Config
from querywright.conversations.llm import LLM
from querywright.engines.base import Message
from querywright.engines.budget import tokens_of

ORDERS = (False, True)  # whether the responses are swapped


@dataclass
class Task:
    """A turn to judge.

    Attributes:
        judges: who is asked, and who stands in.
        tokens: of one question, about.
        judgement: what came of it, None so far.
    """

    conversation: Conversation
    place: int
    judges: Sequence[LLM]
    tokens: int
    judgement: dict[str, Any] | None = None


@dataclass
class Work:
    """What is to be judged, and what is not, with reasons."""

    tasks: list[Task] = field(default_factory=list)
    conversations: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def plan(config: Config, bench: Bench, conversations: Sequence[Conversation], limit: int | None = None) -> Work:
    """The turns to judge, each with its judges."""
    work = Work()
    for one in conversations:
        if limit is not None and work.conversations >= limit:
            work.left_out["over_limit"] += len(one["turns"])
            continue
        found: list[Task] = []
        sizes = [tokens_of(messages(config, one, place, False)) for place in range(len(one["turns"]))]
        judges = bench.order({**one, "id": document.conversation_id(one)}, sum(sizes))
        for place, turn in enumerate(one["turns"]):
            if len({" ".join(response["text"].split()) for response in turn["responses"]}) == 1:
                work.left_out["alike"] += 1
            elif not judges:
                work.left_out["no_judge"] += 1
            elif _judged(config, turn, judges):
                work.left_out["judged_before"] += 1
            else:
                found.append(Task(one, place, judges, sizes[place]))
        work.tasks += found
        work.conversations += bool(found)
    return work


def _judged(config: Config, turn: Mapping[str, Any], judges: Sequence[LLM]) -> bool:
    """Whether one of the judges has said already what it would be asked."""
    keys = [(llm.known_as, config.settings(llm)) for llm in judges]
    return any((j["judge"], j.get("settings")) in keys for j in judgements(turn))


def messages(config: Config, one: Conversation, place: int, swapped: bool) -> list[Message]:
    """What a judge is asked about a turn."""
    return verdict.messages(
        one, place, swapped, criteria=config.criteria, reasons=config.reasons, most_chars=config.most_chars
    )


def estimate(config: Config, bench: Bench, work: Work) -> dict[str, Any]:
    """What is going to be asked of whom, in tokens and money; `money` counts judges with a price only."""
    judges: dict[str, dict[str, Any]] = {}
    for task in work.tasks:
        llm = task.judges[0]
        found = judges.setdefault(
            llm.known_as, {"turns": 0, "questions": 0, "tokens_in": 0, "most_tokens_out": 0, "most_money": 0.0}
        )
        cost = bench.cost(llm, task.tokens)
        more = {"turns": 1, "questions": len(ORDERS), "tokens_in": len(ORDERS) * task.tokens}
        more["most_tokens_out"] = len(ORDERS) * llm.max_tokens
        for key, value in more.items():
            found[key] += value
        found["most_money"] = None if cost == math.inf else round(found["most_money"] + len(ORDERS) * cost, 6)
    return {
        "conversations": work.conversations, "turns": len(work.tasks), "choice_strategy": config.choice_strategy,
        "judges": judges, "left_out": {reason: n for reason, n in sorted(work.left_out.items()) if n},
    }  # fmt: skip


def announced(found: Mapping[str, Any]) -> str:
    """An estimate in one sentence."""
    judges = found["judges"].values()
    who = ", ".join(f"{name} ({one['turns']} turns)" for name, one in found["judges"].items())
    ins, outs = (sum(one[key] for one in judges) for key in ("tokens_in", "most_tokens_out"))
    money = sum(one["most_money"] or 0.0 for one in judges)
    unpriced = [name for name, one in found["judges"].items() if one["most_money"] is None]
    return (
        f"judging {found['turns']} turns of {found['conversations']} conversations in both orders, "
        f"{found['choice_strategy']}: {who}; about {ins:,} tokens in, at most {outs:,} out"
        + (f", at most {money:.4f}" if money else "")
        + (f"; no price is known for {', '.join(unpriced)}" if unpriced else "")
    )
