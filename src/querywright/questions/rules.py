"""The writer without a model: plain questions about records with fields, whose answers stand in a line of their own.

"What is the taxid of CDK2?" A record is called by a field that tells it from all others of the document: its symbol,
name, title or id, or else its first field with words whose values all differ ("the record with the species Larix
decidua"). One that nothing tells apart is not asked about. Texts have no fields: of them there is nothing to ask.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from querywright.artefacts import content_id
from querywright.errors import QuerywrightError
from querywright.questions.chunks import Chunk, shown
from querywright.questions.drafts import Draft, Task

NAMES = ("symbol", "name", "title", "label", "heading", "_id", "id", "key", "code")
PROPER = NAMES[:5]  # a record is called by these alone
LONGEST_NAME = 60  # characters of another field that a record is called by
LONGEST = 160  # characters of a value that is asked for
_ACRONYMS = frozenset(("id", "ids", "url", "uri", "dna", "rna", "iso", "doi", "isbn", "ip", "api", "gps", "cas", "ec"))
_UNITS = {
    "kg": "kilograms", "mg": "milligrams", "km": "kilometres", "cm": "centimetres", "mm": "millimetres", "m": "metres",
    "ms": "milliseconds", "sec": "seconds", "seconds": "seconds", "minutes": "minutes", "hours": "hours",
    "days": "days", "years": "years", "usd": "US dollars", "eur": "euros", "celsius": "degrees Celsius",
    "percent": "percent", "pct": "percent", "bytes": "bytes",
}  # fmt: skip
_DONE = re.compile(
    r"(\w+ed|built|made|born|sent|held|begun|given|taken|written|found|seen|sold|done)(?: (?:at|on|date|time|year))",
    re.I,
)
_COUNTED = re.compile(r"(?:number of|num|n|count of) (\w[\w ]*)|(\w[\w ]*?) (?:count|total)")


@dataclass(frozen=True)
class Fact:
    """A field of a record, and where its line stands in the chunk's text."""

    name: str
    value: Any
    start: int
    end: int

    @property
    def said(self) -> str:
        """The value as the text has it."""
        return shown(self.value)


class RulesWriter:
    """Writes questions from fields. See `drafts.Writer`."""

    small = False

    def write(self, tasks: Iterable[Task]) -> Iterator[list[Draft]]:
        """See `drafts.Writer.write`. All tasks are read first: what a record is called depends on the others.

        Raises:
            QuerywrightError: no chunk has fields.
        """
        tasks = list(tasks)
        chunks = {chunk.number: chunk for task in tasks for chunk in task.chunks}
        facts = {number: facts_of(chunk) for number, chunk in chunks.items()}
        if not any(facts.values()):
            raise QuerywrightError(
                "rules ask for the fields of records, and these chunks are texts with no fields",
                hint="a model that reads texts: --model base, a path or URL#NAME; of the service: one of its models",
            )
        called = _called(facts)
        for task in tasks:
            yield _deal(task, facts, called)

    def about(self) -> dict[str, Any]:
        """See `drafts.Writer.about`."""
        return {"writer": "rules", "version": 2}

    def close(self) -> None:
        """See `drafts.Writer.close`."""


def facts_of(chunk: Chunk) -> list[Fact]:
    """The fields of a chunk whose text was made of them, with the places of their lines."""
    found: list[Fact] = []
    at = 0
    for name, value in (chunk.fields or {}).items() if chunk.written else ():
        line = f"{name}: {shown(value)}"
        found.append(Fact(name, value, at, at + len(line)))
        at += len(line) + 1
    return found


def _called(facts: dict[int, list[Fact]]) -> dict[int, Fact]:
    """The fact that each record is called by: the first of `NAMES` that no other record has, case aside, or else the
    first field with words that has another value in each record that has it."""
    fields: dict[str, dict[int, Fact]] = {}
    for number, listed in facts.items():
        for fact in listed:
            if _plain(fact):
                fields.setdefault(fact.name, {}).setdefault(number, fact)
    found: dict[int, Fact] = {}
    for name in sorted((name for name in fields if _low(name) in NAMES), key=lambda name: NAMES.index(_low(name))):
        often = Counter(fact.said.casefold() for fact in fields[name].values())
        for number, fact in fields[name].items():
            if often[fact.said.casefold()] == 1:
                found.setdefault(number, fact)
    for name, known in fields.items():
        apart = len({fact.said.casefold() for fact in known.values()}) == len(known)
        if apart and _low(name) not in NAMES and all(map(_names, known.values())):
            for number, fact in known.items():
                found.setdefault(number, fact)
    return found


def _low(name: str) -> str:
    return name.strip().lower()


def _names(fact: Fact) -> bool:
    """Whether a record may be called by a field that is no name: one of its own, short, and with words."""
    short = "." not in fact.name and len(fact.said) <= LONGEST_NAME
    return short and isinstance(fact.value, str) and re.search(r"[^\W\d_]{3}", fact.said) is not None


def _deal(task: Task, facts: dict[int, list[Fact]], called: dict[int, Fact]) -> list[Draft]:
    """Up to `n` drafts of a window, one of each chunk in turn; another share of a chunk's fields in each window."""
    hands = []
    for chunk in task.chunks:
        name = called.get(chunk.number)
        if name is None:
            continue
        turn, of = task.turns.get(chunk.number, (0, 1))
        drafts = [_draft(chunk, fact, name, facts[chunk.number]) for fact in facts[chunk.number]]
        kept = [draft for draft in drafts if draft is not None]
        kept.sort(key=lambda draft: content_id(f"{task.seed} {draft.chunk} {draft.question}"))
        hands.append(kept[turn::of] or kept)
    found: list[Draft] = []
    while len(found) < task.n and any(hands):
        for hand in hands:
            if hand and len(found) < task.n:
                found.append(hand.pop(0))
    return found


def _draft(chunk: Chunk, fact: Fact, name: Fact, listed: Sequence[Fact]) -> Draft | None:
    if fact is name or not _plain(fact) or fact.said.casefold() == name.said.casefold():
        return None
    question = ask(fact.name, fact.value, _naming(name))
    return Draft(question, fact.said, chunk.text[fact.start : fact.end], chunk.number, fact.start)


def _plain(fact: Fact) -> bool:
    """Whether a field can be asked for: one short line, no search engine's own (`_score`)."""
    own = fact.name.startswith("_") and fact.name != "_id"
    return (
        not own and 0 < len(fact.said.strip()) <= LONGEST and fact.said.isprintable() and fact.said == fact.said.strip()
    )


def _naming(name: Fact) -> str:
    """A record as a question calls it: CDK2; the record with the ID 1017."""
    return name.said if _low(name.name) in PROPER else f"the record with the {spoken(name.name)} {name.said}"


def ask(field: str, value: Any, record: str) -> str:
    """A question for a field of a record.

    Args:
        field: its dotted name; what stands before the last dot says where it belongs.
        record: how the record is called.
    """
    above, _, leaf = field.rpartition(".")
    words = spoken(leaf)
    whose = f"the {spoken(above)} of {record}" if above else record
    number = re.fullmatch(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", str(value)) is not None  # a cell of CSV is a text
    unit = _UNITS.get(words.rpartition(" ")[2]) if number and " " in words else None
    counted = _COUNTED.fullmatch(words)
    done = _DONE.fullmatch(words)
    if isinstance(value, bool) or (done and not re.search(r"\d", str(value))):  # "born at" of a place, "given on"
        return f'What is the value of "{words}" for {whose}?'
    if counted and number:
        return f"How many {_plural(counted[1] or counted[2])} are there for {whose}?"
    if unit:
        return f"What is the {words.rpartition(' ')[0]} of {whose} in {unit}?"
    if done:
        return f"When was {whose} {done[1]}?"
    plural = isinstance(value, list)
    if above:
        return f"{'Which' if plural else 'What'} {_plural(words) if plural else words} does {whose} have?"
    return f"What are the {_plural(words)} of {whose}?" if plural else f"What is the {words} of {whose}?"


def spoken(name: str) -> str:
    """A field's name in words: `type_of_gene` is "type of gene", `taxId` "tax ID"."""
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", re.sub(r"[._\s]+", " ", name)).split()
    return " ".join(_word(part) for part in parts) or name


def _word(part: str) -> str:
    if part.lower() in _ACRONYMS:
        return part.upper() if not part.lower().endswith("ds") else part[:-1].upper() + "s"
    return part if part[1:] != part[1:].lower() or "-" in part else part.lower()


def _plural(words: str) -> str:
    if words.endswith(("data", "people")) or re.search(r"(?<![aiu])s$", words):
        return words
    if re.search(r"[^aeiou]y$", words):
        return words[:-1] + "ies"
    return words + ("es" if words.endswith(("s", "x", "ch", "sh")) else "s")
