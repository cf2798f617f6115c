"""What answers cost: tokens, and money where a price is known. A limit holds before anything is sent, not after."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from querywright.engines.base import Message
from querywright.errors import QuerywrightError

BYTES_A_TOKEN = 3.5
"""Of English with JSON and paths in it, over the tokenizers that are common: see `tests/engines/test_sender.py`."""
_FEWEST_BYTES = 2.0  # no tokenizer in use needs more tokens for such text: a limit reckons with it
_FRAME = 6  # tokens around each message


class BudgetReached(QuerywrightError):
    """The next prompt could cost more than what is left."""


def tokens_of(messages: Sequence[Message], bytes_a_token: float = BYTES_A_TOKEN) -> int:
    """About how many tokens a chat has."""
    return sum(math.ceil(len(m["content"].encode()) / bytes_a_token) + _FRAME for m in messages)


def most_tokens(about: int) -> int:
    """The most that `tokens_of` may stand for: text of another language, or of signs, needs more of them."""
    return math.ceil(about * BYTES_A_TOKEN / _FEWEST_BYTES)


@dataclass
class Budget:
    """Counts what was spent and holds the limits. Any thread may use it.

    Attributes:
        price_in, price_out: of a million tokens, in any currency.
        money, tokens: the limits, None for none.
        tokens_in, tokens_out: spent so far, earlier runs included.
    """

    price_in: float = 0.0
    price_out: float = 0.0
    money: float | None = None
    tokens: int | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    _held: list[tuple[int, int]] = field(default_factory=list)
    _guard: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        """Refuse a limit that nothing is ever above."""
        if self.money is not None and math.isnan(self.money):
            raise QuerywrightError("the budget is no number", hint="--budget 5")

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """The price of so many tokens."""
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6

    @property
    def spent(self) -> float:
        """Money spent so far."""
        return self.cost(self.tokens_in, self.tokens_out)

    def hold(self, messages: Sequence[Message], max_tokens: int) -> tuple[int, int]:
        """Set aside the most that a prompt can cost; give it back to `settle`.

        Where only what is under way stands against it, this waits: it will cost less than what was set aside for it.

        Raises:
            BudgetReached: it might cost more than what is left.
        """
        most = (tokens_of(messages, _FEWEST_BYTES), max_tokens)
        with self._guard:
            while reached := self._reached(most):
                if not self._under_way():
                    raise reached
                self._guard.wait()
            self._held.append(most)
        return most

    def _under_way(self) -> bool:
        return bool(self._held)

    def _reached(self, most: tuple[int, int]) -> BudgetReached | None:
        ins = self.tokens_in + sum(i for i, _ in self._held) + most[0]
        outs = self.tokens_out + sum(o for _, o in self._held) + most[1]
        return self._over(self.cost(ins, outs), ins + outs)

    def _over(self, money: float, tokens: int) -> BudgetReached | None:
        if self.money is not None and money > self.money:
            return BudgetReached(f"the budget of {self.money:g} does not allow another prompt", hint="--budget")
        if self.tokens is not None and tokens > self.tokens:
            return BudgetReached(f"{self.tokens:,} tokens do not allow another prompt", hint="--max-tokens-total")
        return None

    def settle(self, held: tuple[int, int], tokens_in: int, tokens_out: int) -> None:
        """What a prompt cost in the end."""
        with self._guard:
            self._held.remove(held)
            self.tokens_in += tokens_in
            self.tokens_out += tokens_out
            self._guard.notify_all()

    def __str__(self) -> str:
        text = f"{self.tokens_in:,} tokens in, {self.tokens_out:,} out"
        return text + (f", {self.spent:.4f} spent" if self.price_in or self.price_out else "")


def ended(left: int, what: str, folder: object) -> QuerywrightError:
    """What is said where a limit came before the end: so many prompts or rows were not asked."""
    return QuerywrightError(
        f"the budget ended before all was asked: {left} {what} are left; what was answered is in {folder}",
        hint="a larger --budget or --max-tokens-total; then run the same command again to go on",
    )


@dataclass
class Purse:
    """One limit over several models, each of which has its own prices.

    Attributes:
        money, tokens: the limits, None for none.
    """

    money: float | None = None
    tokens: int | None = None
    parts: list[Budget] = field(default_factory=list)
    _guard: threading.Condition = field(default_factory=threading.Condition)

    def part(self, price_in: float = 0.0, price_out: float = 0.0) -> Budget:
        """The budget of another model: what it spends is missing for the others."""
        made = _Part(price_in, price_out, self.money, self.tokens, _guard=self._guard, _parts=self.parts)
        self.parts.append(made)
        return made

    @property
    def spent(self) -> float:
        """Money spent so far, by all."""
        return sum(part.spent for part in self.parts)

    def __str__(self) -> str:
        text = f"{sum(p.tokens_in for p in self.parts):,} tokens in, {sum(p.tokens_out for p in self.parts):,} out"
        priced = any(p.price_in or p.price_out for p in self.parts)
        return text + (f", {self.spent:.4f} spent" if priced else "")


@dataclass
class _Part(Budget):
    """A model's part of a `Purse`."""

    _parts: list[Budget] = field(default_factory=list)

    def _under_way(self) -> bool:
        return any(part._held for part in self._parts)

    def _reached(self, most: tuple[int, int]) -> BudgetReached | None:
        money, tokens = self.cost(*most), sum(most)
        for part in self._parts:
            ins = part.tokens_in + sum(i for i, _ in part._held)
            outs = part.tokens_out + sum(o for _, o in part._held)
            money, tokens = money + part.cost(ins, outs), tokens + ins + outs
        return self._over(money, tokens)
