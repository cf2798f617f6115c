"""What happened in a workspace: messages with their edits and reactions, each with its time."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

_MILLISECONDS = 1e11
"""Numbers above this are milliseconds since 1970: as seconds they would lie after the year 5000."""

MAX_TEXT = 20_000
"""Characters of one message's text; what is longer is a pasted file."""

Edits = dict[str, list[tuple[float, str]]]
"""Later versions of messages, by id: (time, text)."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """Somebody's reaction to a message. `time` is None where the log does not say (a Slack export never does)."""

    user: str
    name: str
    time: float | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        id: unique in the log.
        thread: id of the message that the thread hangs on; empty for a message of the channel itself.
        time: seconds since 1970, UTC.
        text: as it was first posted; None where the log holds only a later version.
        edits: (time, text) of later versions, oldest first.
    """

    id: str
    channel: str
    user: str
    time: float
    text: str | None
    thread: str = ""
    edits: tuple[tuple[float, str], ...] = ()
    reactions: tuple[Reaction, ...] = ()

    @property
    def order(self) -> tuple[float, str]:
        """Sorts messages by time, and those of one moment always the same way."""
        return (self.time, self.id)

    def text_at(self, moment: float) -> str | None:
        """The text that stood there at a moment (seconds since 1970), or None where the log does not know it."""
        text = self.text
        for when, later in self.edits:
            if when <= moment:
                text = later
        return text

    def reactions_at(self, moment: float) -> list[Reaction]:
        """The reactions that are known to have been there at a moment."""
        return [r for r in self.reactions if r.time is not None and r.time <= moment]


@dataclass
class Log:
    """What a log holds: messages in order of time, people's names where they are known, and what was left out."""

    messages: list[Message] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)

    def drop(self, reason: str, where: str = "", n: int = 1) -> None:
        """Count what is left out; the first ten that are broken are named by their place."""
        self.dropped[reason] += n
        if where and len(self.shown) < 10:
            self.shown.append(f"{where}: {reason}")


def finish(
    found: dict[str, Message], reactions: dict[str, list[Reaction]], edits: Edits, deleted: set[str], log: Log
) -> list[Message]:
    """Messages with what happened to them, without those that were deleted, in order of time."""
    messages = []
    for message in found.values():
        if message.id in deleted:
            log.drop("deleted message")
            continue
        given = {(r.user, r.name): r for r in reversed(reactions.get(message.id, ()))}
        at = sorted(given.values(), key=lambda r: (r.time is None, r.time or 0.0, r.user, r.name))
        later = sorted([*message.edits, *edits.get(message.id, ())])
        thread = "" if message.thread == message.id else message.thread
        messages.append(replace(message, thread=thread, edits=tuple(later), reactions=tuple(at)))
    return sorted(messages, key=lambda m: m.order)


def seconds(value: Any) -> float | None:
    """Seconds since 1970 of a number, of a number in a string, or of an ISO 8601 time (UTC where it names no zone)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        try:
            at = datetime.fromisoformat(str(value).strip())
        except ValueError:
            return None
        number = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(number) or number < 0:
        return None
    return number / 1000 if number > _MILLISECONDS else number


def iso(moment: float) -> str:
    """A moment as people read it, UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
