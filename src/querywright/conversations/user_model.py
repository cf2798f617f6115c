"""Training rows for a model that plays the user, out of a chat corpus.

Roles are exchanged: what people wrote is what the model learns to write, and what the assistant answered is what it is
asked with; in just the form in which `conversations synthesize` asks (`turns.user_chat`). A talk gives one row, a long
one several, and each message of the user is learnt once.

Left out, and counted: talks whose user says the same words as another one's, or nearly (see `near`); messages that are
no user's (an assistant's phrases, control tokens only), that are too long, and what follows them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.artefacts import MANIFEST, alone, content_id, is_done, sha256, write_jsonl, write_manifest
from querywright.conversations.corpus import USER, Talk, talks
from querywright.conversations.near import Near
from querywright.conversations.turns import LONGEST, usable, user_chat
from querywright.engines.base import Message
from querywright.engines.fence import inert_lines
from querywright.errors import QuerywrightError
from querywright.progress import say, track
from querywright.protected import refuse

TRAIN, VALID = "train.chat.jsonl", "valid.chat.jsonl"
PLACE = "rows"  # the folder of both
_HELD = 20  # one talk in so many is held out to validate on
_OUT = ("empty", "same", "near")
Row = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """How rows are made.

    Attributes:
        least: talks that there have to be, after all that is left out.
        near: share of three-word runs from which on two users said the same; 1: the same words only.
        longest: characters of a row, the system message not counted; one message may be longer.
    """

    least: int = 100
    near: float = 0.8
    longest: int = 1500


def prepare(corpora: Sequence[Path], out: Path, wanted: Wanted) -> dict[str, Any]:
    """Write `out/rows/train.chat.jsonl` and `valid.chat.jsonl`; a second time only if something changed.

    Returns:
        counts: `talks` read, `kept`, `train` and `valid` rows, `messages` of users, and how many talks were left out
        (`empty`, `same`, `near`) or cut short (`cut`).

    Raises:
        QuerywrightError: a corpus can't be read or holds a protected sentence, or fewer talks than `wanted.least` are
            left.
    """
    folder = out / PLACE
    config = {**vars(wanted), "corpora": [sha256(path) if path.is_file() else "" for path in corpora], "form": _form()}
    with alone(folder):
        if is_done(folder, config):
            made: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["counts"]
            say(f"fit-user: {folder} holds the rows of this corpus: {made['train']:,} to train on")
            return made
        found = [talk for path in corpora for talk in track(_allowed(path), f"reading {path}")]
        rows, counts = rows_of(found, wanted)
        sides = {TRAIN: [row for held, row in rows if not held], VALID: [row for held, row in rows if held]}
        for name, side in sides.items():
            write_jsonl(folder / name, side)
        counts |= {"train": len(sides[TRAIN]), "valid": len(sides[VALID])}
        write_manifest(folder, config, list(sides), counts=counts)
    say(_summary(counts, wanted))
    return counts


def rows_of(found: Iterable[Talk], wanted: Wanted) -> tuple[list[tuple[bool, Row]], dict[str, int]]:
    """Chat rows of talks, each with whether it is held out, and what became of the talks.

    Raises:
        QuerywrightError: fewer are left than `wanted.least`.
    """
    near = Near(wanted.near)
    counts = dict.fromkeys(("talks", "kept", "messages", *_OUT, "cut"), 0)
    rows: list[tuple[bool, Row]] = []
    for talk in found:
        counts["talks"] += 1
        said, cut = _cut(talk.said)
        counts["cut"] += cut and bool(said)
        words = "\n".join(message["content"] for message in said if message["role"] == USER)
        seen = near.add(words) if words else None
        if not words or seen:
            counts["empty" if not words else "same" if seen and seen[1] else "near"] += 1
            continue
        counts["kept"] += 1
        counts["messages"] += sum(message["role"] == USER for message in said)
        held = int(content_id(words, 8), 16) % _HELD == 0  # by what was said: a longer corpus holds the same ones out
        rows += [(held, row) for row in _rows(said, talk, wanted.longest)]
    if counts["kept"] < wanted.least:
        raise QuerywrightError(
            f"{counts['kept']:,} of {counts['talks']:,} talks are left ({_left_out(counts)}), and there have to be"
            f" {wanted.least:,}",
            hint="a larger --corpus (several may be named), or a lower --least",
        )
    if all(held for held, _ in rows):
        rows = [(False, row) for _, row in rows]
    return rows, counts


def _allowed(path: Path) -> list[Talk]:
    """The talks of a file.

    Raises:
        QuerywrightError: a user in it says a protected sentence.
    """
    found = list(talks(path))
    if not found:
        raise QuerywrightError(f"{path} holds no talks", hint="JSON lines of chat messages, or ShareGPT")
    refuse(({"messages": list(talk.said)} for talk in found), path, numbers=[talk.number for talk in found])
    return found


def _cut(said: Sequence[Message]) -> tuple[list[Message], bool]:
    """The talk up to the user's last message that can be learnt from, without what a chat template would read; and
    whether the user said something after it."""
    found: list[Message] = []
    cut = False
    for message in said:
        text = inert_lines(message["content"]).strip()
        if message["role"] == USER and (len(text) > LONGEST or not usable(text, found)):
            cut = True
            break
        found.append({"role": message["role"], "content": text or "…"})
    while found and found[-1]["role"] != USER:
        found.pop()
    return found, cut


def _rows(said: Sequence[Message], talk: Talk, longest: int) -> Iterator[Row]:
    """A talk's rows: as many messages of the user as fit, each with the answer before it."""
    chat = user_chat(said, talk.persona, talk.topic)
    head, rest = chat[0], chat[1:]
    # what is asked and what is said to it, two by two: START or an answer, then the user's words
    turns = [rest[i : i + 2] for i in range(0, len(rest), 2)]
    part: list[Message] = []
    for turn in turns:
        size = sum(len(message["content"]) for message in (*part, *turn))
        if part and size > longest:
            yield {"messages": [head, *part]}
            part = []
        part = [*part, *turn]
    yield {"messages": [head, *part]}


def _form() -> str:
    """Of the form that rows have: another template, other rows."""
    return content_id(str(user_chat([])), 8)


def _left_out(counts: dict[str, int]) -> str:
    words = {"same": "with the same words as another", "near": "nearly so", "empty": "without a usable message"}
    return ", ".join(f"{counts[key]:,} {what}" for key, what in words.items() if counts[key]) or "none left out"


def _summary(counts: dict[str, int], wanted: Wanted) -> str:
    cut = f"; {counts['cut']:,} cut short before a message that is no user's" if counts["cut"] else ""
    return (
        f"fit-user: {counts['kept']:,} of {counts['talks']:,} talks ({_left_out(counts)}), {counts['messages']:,}"
        f" messages of users{cut}; {counts['train']:,} rows to train on, {counts['valid']:,} held out"
    )
