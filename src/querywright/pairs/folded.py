r"""A conversation in one text, and back, for formats that have one field for all that was said.

    User: genes named BRCA1
    Assistant: /v3/query?q=symbol:BRCA1
    User: only in mouse

A line that goes on is indented by two spaces, so that every text comes back as it was, and no empty line stands in a
folded text: `\n\n###\n\n` can end a prompt and occurs nowhere else in it. A single sentence on one line stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from querywright.rows import Message

_MARKS = {"user": "User: ", "assistant": "Assistant: "}
_MORE = "  "
NEXT = "\nUser: "
"""What stands before the last sentence of a folded text with turns."""


def fold(turns: Sequence[Message], instruction: str) -> str:
    """One text for the turns and the sentence after them."""
    if not turns and "\n" not in instruction and not instruction.startswith(tuple(_MARKS.values())):
        return instruction
    messages = [*turns, {"role": "user", "content": instruction}]
    return "\n".join(_MARKS[m["role"]] + m["content"].replace("\n", f"\n{_MORE}") for m in messages)


def unfold(text: str) -> tuple[list[Message], str]:
    """The turns and the sentence of a text; one that was not folded is the sentence."""
    if not text.startswith(tuple(_MARKS.values())):
        return [], text
    messages: list[Message] = []
    for line in text.split("\n"):
        role = next((role for role, mark in _MARKS.items() if line.startswith(mark)), "")
        if role:
            messages.append({"role": role, "content": line[len(_MARKS[role]) :]})
        elif line.startswith(_MORE):
            messages[-1]["content"] += "\n" + line[len(_MORE) :]
        else:
            return [], text  # someone else's text that only begins so
    if messages[-1]["role"] != "user":
        return [], text
    return messages[:-1], messages[-1]["content"]
