"""What a model's tokens cost, from `data/prices.yaml`. A model on this machine has no price for a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from querywright.artefacts import data_dir
from querywright.engines.open import is_address
from querywright.errors import QuerywrightError


@dataclass(frozen=True)
class Price:
    """Money for a million tokens in and out, in the table's currency; `as_of` is the day the price was looked up."""

    tokens_in: float = 0.0
    tokens_out: float = 0.0
    as_of: str = ""
    local: bool = False

    def cost(self, tokens_in: float, tokens_out: float) -> float:
        """The price of so many tokens."""
        return (tokens_in * self.tokens_in + tokens_out * self.tokens_out) / 1e6


def price_of(model: str) -> Price | None:
    """A model's price; zero for one on this machine, None for a server's that is not in the table.

    Args:
        model: a path, or the address of a server with `#NAME` behind it.

    Raises:
        QuerywrightError: the table's entry lacks something.
    """
    if not is_address(model):
        return Price(local=True)
    table: Mapping[str, Any] = yaml.safe_load((data_dir() / "prices.yaml").read_text(encoding="utf-8")) or {}
    entry = (table.get("models") or {}).get(model.rpartition("#")[2])
    if not entry:
        return None
    try:
        return Price(float(entry["in"]), float(entry["out"]), str(entry["as_of"]))
    except (KeyError, TypeError, ValueError) as error:
        raise QuerywrightError(
            f"the price of {model.rpartition('#')[2]!r} in prices.yaml is not whole",
            hint="{in: 0.15, out: 0.60, as_of: DATE}",
        ) from error
