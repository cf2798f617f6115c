"""Messages to conversations: a thread is one; what stands in a channel itself is cut where nobody spoke for a while.

What hangs together also stays together in a split: a thread belongs to the group of the stretch of channel in which its
first message stands.

No event after a moment decides what is seen at that moment. Whether a message will have a thread is such an event: so a
message of the channel is part of the channel's conversation until its first reply, and leaves it then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from querywright.events.message import Message

GAP = 3600.0
"""Seconds of silence in a channel after which a new conversation begins."""


@dataclass(frozen=True)
class Conversation:
    """Messages in order of time.

    Attributes:
        group: conversations of one group share messages: they stay on one side of a split.
        thread: whether it is a thread; its first message is then the one it hangs on, where the log has it.
        replies: of a channel's conversation, each message's thread replies, by id.
    """

    id: str
    group: str
    channel: str
    thread: bool
    messages: tuple[Message, ...]
    replies: dict[str, tuple[Message, ...]]


def conversations(messages: Sequence[Message], gap: float = GAP) -> list[Conversation]:
    """All conversations of a log, in order of their first messages.

    Args:
        messages: in order of time.
        gap: seconds; a message of the channel that comes later than this after the one before begins a new one.
    """
    channels: dict[str, list[Message]] = defaultdict(list)
    threads: dict[str, list[Message]] = defaultdict(list)
    known = {m.id: m for m in messages}
    for message in messages:
        if message.thread:
            threads[message.thread].append(message)
        else:
            channels[message.channel].append(message)
    found: list[Conversation] = []
    group_of: dict[str, str] = {}
    for channel, spoken in channels.items():
        start = 0
        for i in range(1, len(spoken) + 1):
            if i < len(spoken) and spoken[i].time - spoken[i - 1].time <= gap:
                continue
            part = tuple(spoken[start:i])
            replies = {m.id: tuple(threads[m.id]) for m in part if m.id in threads}
            found.append(Conversation(part[0].id, part[0].id, channel, False, part, replies))
            group_of.update((m.id, part[0].id) for m in part)
            start = i
    for root, replied in threads.items():
        first = known.get(root)
        # a thread that hangs on a thread's reply, or on nothing that the log has, stands alone
        whole = tuple(sorted([first, *replied], key=lambda m: m.order) if first and not first.thread else replied)
        group = group_of.get(root, f"thread {root}")
        found.append(Conversation(f"thread {root}", group, whole[0].channel, True, whole, {}))
    return sorted(found, key=lambda c: (c.messages[0].order, c.thread))
