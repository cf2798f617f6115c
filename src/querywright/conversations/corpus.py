"""Talks of people (or of synthetic users) with an assistant, out of whatever form a chat corpus has.

Files are JSON lines, or one JSON document: a list of talks, or an object with one under `conversations`. A talk is

- chat messages: `{"messages": [{"role": "user", "content": "..."}, ...]}` (also under `conversation` or `turns`);
- ShareGPT: `{"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}`;
- a conversation of `conversations synthesize` (the response that the talk went on with is the assistant's), or a judged
  one.

`persona` (words, or the table of a synthetic one) and `topic` stay with a talk. What a system or a tool says is no part
of it: a user does not see that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.artefacts import numbered_jsonl
from querywright.conversations.config import Persona
from querywright.conversations.document import fault, history
from querywright.engines.base import Message
from querywright.errors import QuerywrightError, did_you_mean

USER, ASSISTANT = "user", "assistant"
ROLES = {
    **dict.fromkeys(("user", "human", "customer", "prompter", "person"), USER),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "ai", "model", "bing", "bard"), ASSISTANT),
    **dict.fromkeys(("system", "developer", "tool", "function", "function_call", "observation"), ""),
}
_LISTS = ("messages", "conversations", "conversation", "turns")
HINT = 'JSON lines of {"messages": [{"role": "user", "content": "..."}, ...]}, ShareGPT, or what synthesize wrote'


@dataclass(frozen=True)
class Talk:
    """What was said in one talk, user and assistant by turns.

    Attributes:
        where: the file and the row, for messages.
        number: which row of its file it is, from 1.
    """

    said: tuple[Message, ...]
    persona: Persona | None
    topic: str
    where: str
    number: int


def talks(path: Path | str) -> Iterator[Talk]:
    """The talks of a file, in its order.

    Raises:
        QuerywrightError: it can't be read, or a row is no talk of any of these forms: it is named, not shown.
    """
    for number, row in _rows(Path(path)):
        where = f"{path}: row {number}"
        try:
            yield Talk(_said(row), _persona(row), str(row.get("topic") or ""), where, number)
        except ValueError as error:
            raise QuerywrightError(f"{where} is no talk: {error}", hint=HINT) from None


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    if path.suffix != ".json":
        yield from numbered_jsonl(path)
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise QuerywrightError(f"could not read {path}: {reason}", hint=HINT) from error
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", None) or str(error).partition(";")[0]
        hint = "a file of JSON lines is called .jsonl" if "Extra data" in reason else HINT
        raise QuerywrightError(f"{path} is no JSON ({reason})", hint=hint) from error
    if isinstance(found, dict):
        inner = found.get("conversations")
        # one object may also be a single talk in ShareGPT's form
        single = isinstance(inner, list) and inner and isinstance(inner[0], dict) and "from" in inner[0]
        found = inner if isinstance(inner, list) and not single else [found]
    if not isinstance(found, list):
        raise QuerywrightError(f"{path} holds no list of talks", hint=HINT)
    yield from enumerate(found, 1)


def _said(row: Any) -> tuple[Message, ...]:
    """User and assistant by turns, beginning with the user: what the same side says twice is one message.

    Raises:
        ValueError: the row is of no known form.
    """
    if not isinstance(row, Mapping):
        raise ValueError(f"a JSON {type(row).__name__}, no object")
    key = next((key for key in _LISTS if isinstance(row.get(key), list)), "")
    if not key:
        raise ValueError(f"no list under {', '.join(_LISTS)}")
    if key == "turns" and row[key] and isinstance(row[key][0], Mapping) and "responses" in row[key][0]:
        if problem := fault(row):
            raise ValueError(problem)
        return tuple(history(dict(row), len(row[key])))
    found: list[Message] = []
    for message in row[key]:
        role, text = _message(message)
        if not role or not text.strip() or (not found and role == ASSISTANT):
            continue
        if found and found[-1]["role"] == role:
            found[-1] = {"role": role, "content": f"{found[-1]['content']}\n{text}"}
        else:
            found.append({"role": role, "content": text})
    return tuple(found)


def _message(message: Any) -> tuple[str, str]:
    """Who says what; nobody for what the user does not see."""
    if not isinstance(message, Mapping):
        raise ValueError("a message is no object")
    role = message.get("role", message.get("from"))
    if not isinstance(role, str) or role.lower() not in ROLES:
        near = did_you_mean(str(role)[:20], list(ROLES)) if isinstance(role, str) else ""
        raise ValueError(f"a message has the role {str(role)[:20]!r}{near}")
    text = message.get("content", message.get("value", message.get("text")))
    if isinstance(text, list):  # parts; of what is no text nothing is left
        text = "\n".join(str(p.get("text", "")) for p in text if isinstance(p, Mapping) and p.get("type") == "text")
    if text is None:  # an assistant that only called a tool
        text = ""
    if not isinstance(text, str):
        raise ValueError("a message has no text")
    return ROLES[role.lower()], text


def _whole(text: str) -> str:
    """A text without half characters."""
    return text.encode("utf-8", "replace").decode()


def _persona(row: Mapping[str, Any]) -> Persona | None:
    given = row.get("persona")
    if isinstance(given, str) and given.strip():
        return Persona(persona=_whole(given.strip())[:2000])
    if isinstance(given, Mapping) and isinstance(given.get("persona"), str) and given["persona"]:
        limits = {"persona": 2000, "interests": 2000, "style": 1000}
        words = {key: _whole(str(given.get(key) or ""))[:limit] for key, limit in limits.items()}
        return Persona(**words)
    return None
