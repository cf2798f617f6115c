"""One conversation, turn by turn: the user says something, two models answer, the talk goes on with one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from querywright.conversations.document import SIDES, Conversation, conversation_id, history
from querywright.conversations.llm import LLM
from querywright.conversations.plan import Plan
from querywright.conversations.turns import usable, user_chat, utterance
from querywright.engines.base import Completion, Message
from querywright.engines.fence import inert_lines
from querywright.engines.sender import Prompt

TRIES = 3  # of a user's message that can't be used
Ask = Callable[[LLM, Prompt], list[Completion]]
"""A model's answer to a prompt; empty where it can't be answered."""


class Missing(Exception):
    """An answer that a replay would need is not there."""


def talk(
    plan: Plan, user: LLM, models: Mapping[str, LLM], ask: Ask, pool: Executor | None = None
) -> Conversation | None:
    """Hold a conversation; None where there was no first turn.

    Args:
        pool: asks both models of a turn at the same time; one after the other without it.

    Raises:
        Missing: `ask` replays, and does not have an answer.
        QuerywrightError: a model is gone, or the budget reached.
    """
    found: dict[str, Any] = {
        "id": "",
        "number": plan.number,
        "persona": plan.persona.model_dump() if plan.persona else None,
        "user": user.known_as,
        "ended": "done",
        "turns": [],
    }
    if plan.topic:
        found["topic"] = plan.topic
    for number, (order, pick) in enumerate(zip(plan.orders, plan.picks, strict=True)):
        before = history(found, number)
        tries = 0
        said = plan.opening if not number else ""
        if not said:
            said, tries = _said(plan, number, user, before, ask)
        if not said:
            found["ended"] = "user"
            break
        messages = _inert([*before, {"role": "user", "content": said}])
        responses = _responses(plan, number, [models[label] for label in order], messages, ask, pool)
        if responses is None:
            found["ended"] = "responders"
            break
        if not responses[pick]["text"].strip():  # a talk does not go on with nothing
            pick = 1 - pick
        found["turns"].append({"user": said, "tries": tries, "responses": responses, "picked": pick})
    if not found["turns"]:
        return None
    return {**found, "id": conversation_id(found)}


def _inert(messages: Sequence[Message]) -> list[Message]:
    """A chat in which no message ends its place: what one model wrote goes to another one."""
    return [{**message, "content": inert_lines(message["content"])} for message in messages]


def _said(plan: Plan, number: int, user: LLM, before: Sequence[Message], ask: Ask) -> tuple[str, int]:
    """A message that can be used, empty for none, and how many were asked for."""
    chat = user_chat(_inert(before), plan.persona, plan.topic)
    for tried in range(TRIES):
        # at temperature 0 the same text would come again
        temperature = user.temperature if not tried else max(user.temperature, 0.7)
        prompt = Prompt(chat, None, user.max_tokens, temperature, plan.seed_for(number, "user", tried))
        for done in ask(user, prompt)[:1]:
            text = utterance(done.text, done.finish)
            if usable(text, before):
                return text, tried + 1
    return "", TRIES


def _responses(
    plan: Plan, number: int, order: Sequence[LLM], messages: list[Message], ask: Ask, pool: Executor | None
) -> list[dict[str, Any]] | None:
    """Two answers, on their sides; None where fewer than two models have one, or both have nothing to say."""

    def one(llm: LLM) -> dict[str, Any] | None:
        system = [{"role": "system", "content": llm.system}] if llm.system else []
        prompt = Prompt(
            [*system, *messages], None, llm.max_tokens, llm.temperature, plan.seed_for(number, llm.known_as)
        )
        for done in ask(llm, prompt)[:1]:
            return {
                "model": llm.known_as,
                "text": done.text.encode("utf-8", "replace").decode(),  # half a surrogate pair can't be sent on
                "tokens_in": done.tokens_in,
                "tokens_out": done.tokens_out,
                "ms": round(done.ms, 1),
                "finish": done.finish,
            }
        return None

    found = list(pool.map(one, order[:SIDES]) if pool else map(one, order[:SIDES]))
    others = iter(order[SIDES:])
    for side in range(SIDES):
        while found[side] is None and (stands_in := next(others, None)) is not None:
            found[side] = one(stands_in)
    whole = [response for response in found if response is not None]
    return whole if len(whole) == SIDES and any(r["text"].strip() for r in whole) else None
