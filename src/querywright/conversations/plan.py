"""Who talks with whom, about what, and how long: all of it drawn from the seed, before anything is asked."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from querywright.artefacts import content_id, read_jsonl
from querywright.conversations.config import Config, Persona
from querywright.conversations.document import SIDES
from querywright.errors import QuerywrightError
from querywright.protected import refuse

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """One conversation before it is held.

    Attributes:
        number: its place, from 0.
        topic, opening: empty for none.
        orders: for each turn the labels of those who may answer: the first two do, the others stand in for them.
        picks: for each turn which response the talk goes on with.
        seed: of the whole run.
    """

    number: int
    persona: Persona | None
    topic: str
    opening: str
    orders: tuple[tuple[str, ...], ...]
    picks: tuple[int, ...]
    seed: int

    def seed_for(self, *place: object) -> int:
        """A seed of 28 bits for one answer: no two places of a run share one."""
        return int(content_id("/".join(map(str, (self.seed, self.number, *place))), 7), 16)


def plans(config: Config, n: int, personas: Sequence[Persona], openings: Sequence[str]) -> list[Plan]:
    """The first `n` conversations; those of a smaller `n` are the same.

    Args:
        personas: dealt out evenly, in an order drawn from the seed; none where users are nobody in particular.
    """
    who, first = _shuffled(personas, config.seed, "personas"), _shuffled(openings, config.seed, "openings")
    return [_plan(config, number, who, first) for number in range(n)]


def _plan(config: Config, number: int, who: Sequence[Persona], first: Sequence[str]) -> Plan:
    rng = random.Random(f"{config.seed}/{number}")
    turns = rng.randint(config.num_turns_min, config.num_turns_max)
    topic = config.topics[number % len(config.topics)] if config.topics else ""
    orders = [_order(config, rng)] * turns if config.responders_per == "conversation" else []
    orders = orders or [_order(config, rng) for _ in range(turns)]
    picks = tuple(rng.randrange(SIDES) for _ in range(turns))
    persona = who[number % len(who)] if who else None
    return Plan(number, persona, topic, first[number % len(first)] if first else "", tuple(orders), picks, config.seed)


def _order(config: Config, rng: random.Random) -> tuple[str, ...]:
    """All who may answer, drawn one after the other by weight; which of the first two is on which side is even."""
    # the largest of log(u) / weight first: Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006
    keys = {m.known_as: math.log(1 - rng.random()) / m.sample_weight for m in config.eval_llms if m.sample_weight > 0}
    drawn = sorted(keys, key=lambda label: keys[label], reverse=True)
    pair = drawn[:SIDES]
    rng.shuffle(pair)
    return (*pair, *drawn[SIDES:])


def openings_of(config: Config) -> list[str]:
    """The first sentences that the config's file gives, each once.

    Raises:
        QuerywrightError: a row has none, or one is protected.
    """
    if not config.openings:
        return []
    rows = read_jsonl(Path(config.openings))
    found: dict[str, None] = {}
    for number, row in enumerate(rows, 1):
        text = row.get("text", row.get("instruction"))
        if not isinstance(text, str) or not text.strip():
            raise QuerywrightError(
                f"{config.openings}: row {number} has no `text` and no `instruction`", hint="a sentence in each row"
            )
        found[text.strip().encode("utf-8", "replace").decode()] = None
    if not found:
        raise QuerywrightError(f"{config.openings} holds no rows", hint="leave `openings` out, or fill it")
    refuse([{"instruction": text} for text in found], config.openings, "synthetic data")
    return list(found)


def _shuffled(items: Sequence[T], seed: int, what: str) -> list[T]:
    return random.Random(f"{seed}/{what}").sample(list(items), len(items))
