"""Moments of prediction: after each message, what had been said, and who answered.

What is seen at a moment depends on nothing that happened after it; the answer depends on nothing that happened later
than `window` after it. Tests hold both by leaving later events out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from querywright.events.clean import clean
from querywright.events.conversations import Conversation
from querywright.events.message import Message

Answer = Literal["next", "set"]
DAY = 86_400.0


@dataclass(frozen=True)
class Settings:
    """How moments become examples.

    Attributes:
        last: how many messages are seen.
        window: seconds within which an answer has to come.
        answer: `next`, the next person who replies and is not the last author, or `set`, all who reply, and who react
            to the last message, in order of time.
        reactions: whether reactions given before the moment are shown, as `(name name)` behind their message.
    """

    last: int = 4
    window: float = DAY
    answer: Answer = "next"
    reactions: bool = False


@dataclass(frozen=True)
class Example:
    """One moment of prediction.

    Attributes:
        id: of the message after which it is.
        time: seconds since 1970.
        said: (user, cleaned text) of the last messages that have words, oldest first; the author of the last message
            is `author`, also where that message has no words.
        answers: users in order of time; empty where nobody answered.
    """

    id: str
    conversation: str
    group: str
    channel: str
    time: float
    author: str
    said: tuple[tuple[str, str], ...]
    answers: tuple[str, ...] = field(default=())


def examples(found: Sequence[Conversation], settings: Settings) -> Iterator[Example]:
    """Every moment of every conversation, also those with nothing to see or nobody to answer.

    A message that hangs a thread below it is a moment of its channel's conversation: at that moment nobody knows yet
    that a thread will come.
    """
    for conversation in found:
        for i, message in enumerate(conversation.messages):
            if conversation.thread and not message.thread:
                continue
            yield Example(
                id=message.id,
                conversation=conversation.id,
                group=conversation.group,
                channel=conversation.channel,
                time=message.time,
                author=message.user,
                said=_said(conversation, i, settings),
                answers=_answers(conversation, i, settings),
            )


def _open(conversation: Conversation, m: Message, now: Message) -> bool:
    """Whether a message is still part of its conversation: a thread below it takes it out at its first reply."""
    replies = conversation.replies.get(m.id)
    return not replies or replies[0].order > now.order


def _said(conversation: Conversation, i: int, settings: Settings) -> tuple[tuple[str, str], ...]:
    """What was to be seen after the i-th message."""
    now = conversation.messages[i]
    seen: list[tuple[str, str]] = []
    for j in range(i, -1, -1):
        m = conversation.messages[j]
        text = clean(m.text_at(now.time) or "") if j == i or _open(conversation, m, now) else ""
        if not text:
            continue
        names = [clean(r.name.replace("_", " ")) for r in m.reactions_at(now.time)] if settings.reactions else []
        seen.append((m.user, f"{text} ({' '.join(names)})" if names else text))
        if len(seen) == settings.last:
            break
    return tuple(reversed(seen))


def _answers(conversation: Conversation, i: int, settings: Settings) -> tuple[str, ...]:
    """Who answered the i-th message within the window, in order of time, each once."""
    message = conversation.messages[i]
    end = message.time + settings.window
    came: list[tuple[tuple[float, str], str]] = []
    for m in conversation.replies.get(message.id, ()):
        if message.time <= m.time <= end:
            came.append((m.order, m.user))
    for j in range(i + 1, len(conversation.messages)):
        m = conversation.messages[j]
        if m.time > end:
            break
        replies = conversation.replies.get(m.id)
        # a message that gets a thread of its own is no reply to another one
        if not replies or replies[0].time > end:
            came.append((m.order, m.user))
    if settings.answer == "set":
        for r in message.reactions:
            # without a time: it is known only that it came after the message
            if r.time is None or message.time < r.time <= end:
                came.append(((end if r.time is None else r.time, r.user), r.user))
    people = dict.fromkeys(user for _, user in sorted(came) if user != message.user)
    return tuple(people)[: 1 if settings.answer == "next" else None]
