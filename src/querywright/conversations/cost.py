"""What conversations would cost, before anything is sent.

Who answers when and how long each talk is stands in the plan; only the lengths of what is said are guessed, or taken
from a pilot: a small run with the same models. `most` is what it comes to where every text is as long as it may be and
every user's message has to be asked for again; answers that a server charged for and then lost are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from querywright.conversations import personas as made_up
from querywright.conversations.cast import price
from querywright.conversations.config import Config, Persona
from querywright.conversations.document import SIDES, read
from querywright.conversations.llm import LLM
from querywright.conversations.plan import Plan, openings_of, plans
from querywright.conversations.talk import TRIES
from querywright.conversations.turns import user_chat
from querywright.engines.budget import BYTES_A_TOKEN, tokens_of
from querywright.engines.prices import price_of
from querywright.errors import QuerywrightError

USER_TOKENS, RESPONSE_TOKENS, PERSONA_TOKENS = 30, 200, 80  # where there is no pilot
_ASSISTANT_TOKENS = 250  # of the query assistant's own prompt: its line and the nearest fields
_FRAME = 6  # tokens around a message
_SOMEBODY = Persona(persona="x" * 140, interests="x" * 70, style="x" * 30)  # stands for one that is not written yet


@dataclass
class Lengths:
    """How long texts are, in tokens; `tries` is how often a user's message is asked for until it can be used."""

    user: float = USER_TOKENS
    tries: float = 1.0
    responses: dict[str, float] = field(default_factory=dict)

    def of(self, llm: LLM) -> float:
        """Of a responder's answer."""
        return min(self.responses.get(llm.known_as, RESPONSE_TOKENS), llm.max_tokens)


@dataclass
class Sum:
    """What one model is asked in all."""

    calls: float = 0.0
    tokens_in: float = 0.0
    tokens_out: float = 0.0

    def add(self, calls: float, tokens_in: float, tokens_out: float) -> None:
        """Count `calls` prompts of so many tokens each in."""
        self.calls += calls
        self.tokens_in += calls * tokens_in
        self.tokens_out += calls * tokens_out


def estimate(config: Config, n: int, pilot: Path | None = None) -> dict[str, Any]:
    """Tokens and money of `n` conversations, for each model and in all.

    Args:
        pilot: a file of conversations, whose lengths are taken.

    Raises:
        QuerywrightError: the pilot can't be read or has other models, or the config's openings can't be.
    """
    lengths = measured(config, pilot) if pilot else Lengths(min(USER_TOKENS, config.user_llm.max_tokens))
    somebody = list(config.personas) + [_SOMEBODY] * config.generate_num_personas if config.use_personas else []
    planned = plans(config, n, somebody, openings_of(config))
    likely, most = _Sums(config), _Sums(config)
    for plan in planned:
        likely.talk(plan, lengths.user, lengths.tries, lengths.of)
        most.talk(plan, config.user_llm.max_tokens, TRIES, lambda llm: llm.max_tokens)
    if config.use_personas and config.persona_llm:
        writes, wanted = config.persona_llm, config.generate_num_personas
        asked = sum(tokens_of(made_up.prompt(config, writes, slot, 0).messages) for slot in range(min(wanted, 50)))
        each, limit = asked / max(1, min(wanted, 50)), min(writes.max_tokens, made_up.MAX_TOKENS)
        likely.personas.add(wanted, each, min(PERSONA_TOKENS, limit))
        most.personas.add(wanted * made_up.ROUNDS, each, limit)
    rows = [_row(role, llm, a, b) for (role, llm, a), (_, _, b) in zip(likely.rows(), most.rows(), strict=True)]
    keys = (
        "calls",
        "tokens_in",
        "tokens_out",
        "money",
        "most_calls",
        "most_tokens_in",
        "most_tokens_out",
        "most_money",
    )
    return {
        "conversations": n,
        "turns": sum(len(plan.orders) for plan in planned),
        "lengths": {"user": round(lengths.user, 1), "tries": round(lengths.tries, 2),
                    "responses": {m.known_as: round(lengths.of(m), 1) for m in config.eval_llms}},
        "pilot": str(pilot) if pilot else None,
        "models": rows,
        "total": {key: round(sum(row[key] or 0 for row in rows), 6) for key in keys},
        "without_price": [row["model"] for row in rows if row["money"] is None],
    }  # fmt: skip


def measured(config: Config, pilot: Path) -> Lengths:
    """The lengths in a file of conversations.

    Raises:
        QuerywrightError: it is none, or a model of the config did not answer in it.
    """
    turns = [turn for conversation in read(pilot)["conversations"] for turn in conversation["turns"]]
    if not turns:
        raise QuerywrightError(f"{pilot} holds no turns", hint="a pilot is a small run with the same config")
    spoken: dict[str, list[int]] = {}
    for response in (r for turn in turns for r in turn["responses"]):
        spoken.setdefault(response["model"], []).append(_tokens(response))
    absent = [m.known_as for m in config.eval_llms if m.sample_weight > 0 and m.known_as not in spoken]
    if absent:
        raise QuerywrightError(
            f"{', '.join(absent)} did not answer in {pilot}", hint="a pilot of a few more conversations, or none"
        )
    written = [turn for turn in turns if turn.get("tries", 1)] or turns
    said = [len(turn["user"].encode("utf-8", "replace")) / BYTES_A_TOKEN for turn in written]
    tries = [_count(turn, "tries") or 1 for turn in written]
    return Lengths(
        sum(said) / len(said), sum(tries) / len(tries), {label: sum(v) / len(v) for label, v in spoken.items()}
    )


def told(found: Mapping[str, Any]) -> str:
    """An estimate in one sentence."""
    t, none = found["total"], found["without_price"]
    text = (
        f"estimate: {found['conversations']:,} conversations, {found['turns']:,} turns, about {t['calls']:,.0f} "
        f"answers, {t['tokens_in']:,.0f} tokens in and {t['tokens_out']:,.0f} out, money {t['money']:.4f}; at most "
        f"{t['most_tokens_in']:,.0f} and {t['most_tokens_out']:,.0f}, money {t['most_money']:.4f}"
    )
    return text + (f"; no price is known for {', '.join(none)}: price_in and price_out in its entry" if none else "")


class _Sums:
    """What every model is asked."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.models = config.models()
        self.personas, self.user = Sum(), Sum()
        self.responders = {label: Sum() for label, llm in self.models.items() if llm.sample_weight > 0}

    def talk(self, plan: Plan, user: float, tries: float, length: Any) -> None:
        """Count a conversation in."""
        before = 0.0  # tokens of what was said so far
        start = tokens_of(user_chat([], plan.persona, plan.topic))
        for number, (order, pick) in enumerate(zip(plan.orders, plan.picks, strict=True)):
            if plan.opening and not number:
                said = float(tokens_of([{"role": "user", "content": plan.opening}]))
            else:
                said = user + _FRAME
                self.user.add(tries, start + before, user)
            for label in order[:SIDES]:
                llm = self.models[label]
                own = tokens_of([{"role": "system", "content": llm.system}]) if llm.system else 0
                own += _ASSISTANT_TOKENS if llm.provider == "querywright" else 0
                self.responders[label].add(1, own + before + said, length(llm))
            before += said + length(self.models[order[pick]]) + _FRAME

    def rows(self) -> list[tuple[str, LLM, Sum]]:
        """The role, the model and its sum."""
        rows = [("user", self.config.user_llm, self.user)]
        if self.config.use_personas and self.config.persona_llm and self.config.generate_num_personas:
            rows.insert(0, ("personas", self.config.persona_llm, self.personas))
        return [*rows, *(("responder", self.models[label], total) for label, total in self.responders.items())]


def _row(role: str, llm: LLM, likely: Sum, most: Sum) -> dict[str, Any]:
    known = price(llm)
    row: dict[str, Any] = {"role": role, "model": llm.known_as, "provider": llm.provider}
    row |= {"price_in": known[0] if known else None, "price_out": known[1] if known else None, "as_of": _as_of(llm)}
    for prefix, total in (("", likely), ("most_", most)):
        row |= {f"{prefix}{key}": round(getattr(total, key)) for key in ("calls", "tokens_in", "tokens_out")}
        money = (total.tokens_in * known[0] + total.tokens_out * known[1]) / 1e6 if known else None
        row[f"{prefix}money"] = None if money is None else round(money, 6)
    return row


def _as_of(llm: LLM) -> str | None:
    """The day of a price that came out of the table."""
    if llm.price_in is not None or llm.price_out is not None or llm.provider not in ("openai", "openai-compatible"):
        return None
    entry = price_of(f"https://server#{llm.name}")
    return entry.as_of if entry else None


def _tokens(response: Mapping[str, Any]) -> int:
    return _count(response, "tokens_out") or int(len(response["text"].encode("utf-8", "replace")) / BYTES_A_TOKEN)


def _count(table: Mapping[str, Any], key: str) -> int:
    """A number that a file gives; 0 for what is none."""
    value = table.get(key)
    return int(value) if isinstance(value, int | float) and 0 < value < 1e12 else 0
