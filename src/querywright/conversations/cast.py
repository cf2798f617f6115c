"""The models of a run, opened: one engine for each place, whoever asks it; one file of answers for each; one budget."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from querywright.artefacts import content_id, weights_sha256
from querywright.conversations.llm import LLM
from querywright.conversations.talk import Missing
from querywright.engines.base import Completion, Engine
from querywright.engines.budget import Purse
from querywright.engines.host import OPENAI, key_for
from querywright.engines.ledger import Ledger
from querywright.engines.open import is_address
from querywright.engines.prices import price_of
from querywright.engines.sender import Prompt, Sender, completions_of, open_many
from querywright.errors import QuerywrightError
from querywright.progress import say


@dataclass(frozen=True)
class Openers:
    """What this room can't open itself.

    Attributes:
        path: a local model's name to its path (`base` is the packaged model).
        assistant: the query assistant of an entry, behind the seam of engines.
        assistants_model: the model that it asks: a path, or a server's address; empty where nobody knows.
        wait: how to sleep between tries; a test's own takes no time.
        around: put around each engine that was opened.
    """

    path: Callable[[str], str] = str
    assistant: Callable[[LLM], Engine] | None = None
    assistants_model: Callable[[LLM], str] = lambda llm: ""
    wait: Callable[[float], None] = time.sleep
    around: Callable[[Engine], Engine] | None = None


@dataclass
class Cast:
    """Open models. `ask` may be called from any thread.

    Attributes:
        senders: by place, see `LLM.place`.
        names: their entries' labels, by the same.
        weights: what local models are, as hashes, by the same.
    """

    senders: dict[str, Sender]
    purse: Purse
    names: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)

    def sender(self, llm: LLM) -> Sender:
        """What sends to a model."""
        return self.senders[place_of(llm)]

    def ask(self, llm: LLM, prompt: Prompt) -> list[Completion]:
        """A model's answer, from its ledger where it is there; empty where it can't be answered. See `Sender`."""
        return self.sender(llm).completions(prompt)

    def replay(self, llm: LLM, prompt: Prompt) -> list[Completion]:
        """The same, but nothing is sent.

        Raises:
            Missing: the ledger does not have it.
        """
        sender = self.sender(llm)
        known = completions_of(sender.ledger.rows.get(sender.key(prompt)))
        if not known:  # or a damaged line, which is asked again
            raise Missing
        return known

    def usage(self) -> dict[str, dict[str, Any]]:
        """What each model's answers have cost in all; entries of the same place count together."""
        return {
            self.names[place]: {
                "answers": len(sender.ledger.rows), "lost": len(sender.ledger.lost), "failed": sender.failed,
                "tokens_in": sender.budget.tokens_in, "tokens_out": sender.budget.tokens_out,
                "money": round(sender.budget.spent, 6),
            }
            for place, sender in self.senders.items()
        }  # fmt: skip

    def close(self) -> None:
        """Close all engines and files."""
        for sender in self.senders.values():
            sender.close()


def place_of(llm: LLM) -> str:
    """Which model it is, as a text."""
    return json.dumps(llm.place, sort_keys=True)


def price(llm: LLM) -> tuple[float, float] | None:
    """Money for a million tokens in and out; None where nobody says.

    Raises:
        QuerywrightError: the table of prices is damaged.
    """
    if llm.price_in is not None or llm.price_out is not None:
        return llm.price_in or 0.0, llm.price_out or 0.0
    if llm.provider == "querywright" and not llm.model.startswith(("http://", "https://")):
        return 0.0, 0.0
    served = {"openai": f"{OPENAI}#{llm.name}", "openai-compatible": f"{llm.url}#{llm.name}", "querywright": llm.model}
    known = price_of(served.get(llm.provider, llm.name))
    return None if known is None else (known.tokens_in, known.tokens_out)


def open_cast(llms: Iterable[LLM], folder: Path, openers: Openers, purse: Purse, connections: int) -> Cast:
    """Open every model once, in the order in which mistakes are cheap to find.

    Args:
        folder: where the files of answers lie.
        connections: requests that a server may have at once.

    Raises:
        QuerywrightError: a key or a model is missing, or a limit in money stands beside a model without a price.
    """
    entries: dict[str, list[LLM]] = {}
    for llm in llms:
        entries.setdefault(place_of(llm), []).append(llm)
    places = {place: same[0] for place, same in entries.items()}
    keys = {place: _key(llm) for place, llm in places.items()}
    prices = {place: next(filter(None, map(price, same)), None) for place, same in entries.items()}
    unpriced = [llm.known_as for place, llm in places.items() if prices[place] is None]
    if purse.money is not None and unpriced:
        raise QuerywrightError(
            f"--budget is money, and {', '.join(unpriced)} has no price",
            hint="price_in and price_out for a million tokens in its entry, or --max-tokens-total",
        )
    paths = {place: _path(llm, openers) for place, llm in places.items() if llm.provider == "local"}
    asked = {p: openers.assistants_model(llm) for p, llm in places.items() if llm.provider == "querywright"}
    here = paths | {place: path for place, path in asked.items() if path and not is_address(path)}
    weights = {place: str(weights_sha256(path))[:16] for place, path in here.items()}
    names = {place: ", ".join(dict.fromkeys(llm.known_as for llm in same)) for place, same in entries.items()}
    cast = Cast({}, purse, names, weights)
    try:
        for place, llm in places.items():
            engines = _engines(llm, paths.get(place, ""), keys[place], openers, connections)
            engines = [openers.around(engine) for engine in engines] if openers.around else engines
            known = content_id(place + weights.get(place, ""), 8)
            ledger = Ledger(folder / f"{_file_name(llm.name)}-{known}.jsonl")
            cast.senders[place] = Sender(engines, ledger, purse.part(*(prices[place] or (0.0, 0.0))), openers.wait)
    except BaseException:
        cast.close()
        raise
    return cast


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name.rpartition("/")[2])[:100]


def _key(llm: LLM) -> str | None:
    if llm.provider == "openai" and not llm.api_key:
        return key_for(OPENAI)
    return llm.key()


def _path(llm: LLM, openers: Openers) -> str:
    path = openers.path(llm.name)
    if not Path(path.removeprefix("outlines:")).exists():
        raise QuerywrightError(
            f"{llm.known_as}: no model at {path}", hint="`name` is base, a GGUF file or a checkpoint's folder"
        )
    return path


def _engines(llm: LLM, path: str, key: str | None, openers: Openers, connections: int) -> list[Engine]:
    """As many as may be asked at once. Every failed try is the sender's to count."""
    if llm.provider == "local":
        return open_many(path, adapter=llm.adapter or None, threads=llm.threads, slots=llm.slots)
    if llm.provider == "querywright":
        if openers.assistant is None:
            raise QuerywrightError(
                f"{llm.known_as}: no query assistant here", hint="querywright conversations synthesize"
            )
        say(f"opening the query assistant for {llm.name}")
        return [openers.assistant(llm)]
    from querywright.engines.server import ServerEngine

    url = OPENAI if llm.provider == "openai" else llm.url
    return [ServerEngine(url, model=llm.name, tries=1, key=key)] * connections


def told(usage: Mapping[str, Mapping[str, Any]]) -> str:
    """What models' answers cost, in one line."""
    return "; ".join(f"{name}: {u['answers']} answers, {u['tokens_in']:,} + {u['tokens_out']:,} tokens"
                     for name, u in usage.items())  # fmt: skip
