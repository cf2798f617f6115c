"""The turns of conversations that are to be judged, each with its judges; and what is not, with reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from querywright.conversations import document, verdict
from querywright.conversations.cast import price
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
            elif _judged(config, turn, judges[0]):
                work.left_out["judged_before"] += 1
            else:
                found.append(Task(one, place, judges, sizes[place]))
        work.tasks += found
        work.conversations += bool(found)
    return work


def _judged(config: Config, turn: Mapping[str, Any], llm: LLM) -> bool:
    key = (llm.known_as, config.settings(llm))
    return any((j["judge"], j.get("settings")) == key for j in judgements(turn))


def messages(config: Config, one: Conversation, place: int, swapped: bool) -> list[Message]:
    """What a judge is asked about a turn."""
    return verdict.messages(
        one, place, swapped, criteria=config.criteria, reasons=config.reasons, most_chars=config.most_chars
    )


def announced(config: Config, work: Work, llms: Sequence[LLM]) -> str:
    """What is going to be asked, and what it costs, in one sentence."""
    first = Counter(task.judges[0].known_as for task in work.tasks)
    who = ", ".join(f"{name} ({n})" for name, n in first.most_common())
    ins = len(ORDERS) * sum(task.tokens for task in work.tasks)
    outs = len(ORDERS) * sum(task.judges[0].max_tokens for task in work.tasks)
    prices = {llm.known_as: price(llm) for llm in llms}
    money = sum(
        len(ORDERS) * (task.tokens * p[0] + task.judges[0].max_tokens * p[1]) / 1e6
        for task in work.tasks if (p := prices[task.judges[0].known_as]) is not None
    )  # fmt: skip
    return (
        f"judging {len(work.tasks)} turns of {work.conversations} conversations in both orders, judges: {who} "
        f"({config.choice_strategy}); about {ins:,} tokens in, at most {outs:,} out"
        + (f", {money:.4f}" if money else "") + f"; {config.concurrency} at a time"
    )  # fmt: skip
