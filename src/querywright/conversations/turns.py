"""What is said in a turn: the user's next message, and how a model is asked for it.

The model that plays the user sees the talk with its roles exchanged: what the user said are its own messages. A model
that `conversations fit-user` tuned was trained on the same form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from querywright.artefacts import data_dir
from querywright.conversations.config import Persona
from querywright.engines.base import Message
from querywright.engines.fence import HIDDEN, inert
from querywright.protected import holds

START = "Write your first message to the assistant."
"""Stands where the assistant has not said anything yet."""

LONGEST = 4000  # characters of a message
_NAMED = re.compile(r"^\W{0,3}(?:user|human|person|me|customer)\W{0,3}:\s*", re.I)
_OTHER = re.compile(r"^\W{0,3}(?:assistant|ai|bot|system|user|human)\W{0,3}:", re.I | re.M)
_AS_ASSISTANT = re.compile(
    r"\bas an ai\b|\blanguage model\b|\bhow (?:can|may) i (?:help|assist)\b|\b(?:happy|here|glad) to (?:help|assist)\b"
    r"|<\|",
    re.I,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffd]+")


def user_chat(turns: Sequence[Message], persona: Persona | None = None, topic: str = "") -> list[Message]:
    """The chat that the next message of the user is asked for with.

    Args:
        turns: what was said so far, as user and assistant.
    """
    exchanged = {"user": "assistant", "assistant": "user"}
    said = [{"role": exchanged[t["role"]], "content": t["content"]} for t in turns]
    return [{"role": "system", "content": system(persona, topic)}, {"role": "user", "content": START}, *said]


def system(persona: Persona | None = None, topic: str = "") -> str:
    """What the model that plays the user is told about its part."""
    about = {
        "The person": persona.persona if persona else "",
        "What they care for": persona.interests if persona else "",
        "How they write": persona.style if persona else "",
        "What they talk about": topic,
    }
    return "\n".join([_template(), *(f"{name}: {inert(text)}" for name, text in about.items() if text)])


def utterance(text: str, finish: str = "stop") -> str:
    """A user's message out of what a model wrote, empty where it wrote none: without a name in front, quotes around it,
    the next speaker's words behind it, and a last sentence that was cut off."""
    text = text.rpartition("</think>")[2].partition("<think>")[0]  # thoughts that do not end are no message
    text = _CONTROL.sub(" ", HIDDEN.sub("", text)).strip()
    text = _NAMED.sub("", text)
    other = _OTHER.search(text)
    if other:
        text, finish = text[: other.start()], "stop"
    text = text.strip()
    for left, right in (('"', '"'), ("“", "”"), ("'", "'")):
        if len(text) > 1 and text[0] == left and text[-1] == right and left not in text[1:-1]:
            text = text[1:-1].strip()
    if finish == "length" or len(text) > LONGEST:
        text = text[:LONGEST]
        ends = [m.end() for m in re.finditer(r"[.!?…](?=\s|$)|\n", text)]
        text = text[: ends[-1]].strip() if ends else text.strip()
    return text


def usable(text: str, turns: Sequence[Message]) -> bool:
    """Whether a message can stand as the user's: there is something in it, it is none of the user's before, it is not
    what an assistant says, and it is no protected sentence."""
    if not re.search(r"\w", text) or _AS_ASSISTANT.search(text):
        return False
    folded = " ".join(text.casefold().split())
    if any(folded == " ".join(t["content"].casefold().split()) for t in turns):  # the assistant's words neither
        return False
    return not holds({"instruction": text})


@lru_cache(maxsize=1)
def _template() -> str:
    return (data_dir() / "conversations" / "user.txt").read_text(encoding="utf-8").strip()
