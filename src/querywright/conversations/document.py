"""What `conversations synthesize` writes, and its reader. One JSON file:

    version        1
    config         the resolved config, without keys and passwords
    models         {label: {"provider", "name", ...}} of what answered; `user` is the model that played the user
    conversations  a list of

        id         hash of the persona and of all that was said, see `conversation_id`
        number     its place in the plan, from 0; with the config's seed it says who talks with whom, and how long
        persona    {"persona", "interests", "style"}, or null
        user       the label of the model that wrote the user's side
        ended      `done`, or why it is shorter than planned: `user` (nothing usable to say), `responders` (fewer than
                   two gave an answer)
        turns      at least one of {"user": str, "responses": [two of {"model", "text", "tokens_in", "tokens_out", "ms",
                   "finish"}], "picked": index of the response that the talk goes on with, "tries": messages that the
                   user's model was asked for until one could be used, 0 where the opening was given}

Judged conversations (`conversations judge`) have more keys in a turn; readers pass over keys that they don't know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from querywright.artefacts import content_id
from querywright.errors import QuerywrightError

VERSION = 1
SIDES = 2  # responses of a turn

Conversation = dict[str, Any]
Message = dict[str, str]


def conversation_id(conversation: Conversation) -> str:
    """16 hex digits of what was said, by whom: the same talk has the same id, whenever and in whatever file."""
    turns = [
        [turn["user"], [[r["model"], r["text"]] for r in turn["responses"]], turn["picked"]]
        for turn in conversation["turns"]
    ]
    said = [conversation.get("persona"), turns]
    return content_id(json.dumps(said, ensure_ascii=True, sort_keys=True), 16)


def history(conversation: Conversation, before: int) -> list[Message]:
    """The turns before turn number `before` as chat messages: what the user said and the response that was picked."""
    found: list[Message] = []
    for turn in conversation["turns"][:before]:
        found.append({"role": "user", "content": turn["user"]})
        found.append({"role": "assistant", "content": turn["responses"][turn["picked"]]["text"]})
    return found


def read(path: Path | str) -> dict[str, Any]:
    """Read a whole file of conversations.

    Raises:
        QuerywrightError: it can't be read, is of another version, or a conversation in it is not whole (it is named).
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise QuerywrightError(
            f"could not read {path}: {reason}", hint="querywright conversations synthesize"
        ) from error
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", None) or str(error).partition(";")[0]
        raise QuerywrightError(f"{path} is no JSON ({reason})", hint="querywright conversations synthesize") from error
    if not isinstance(found, dict) or not isinstance(found.get("conversations"), list):
        raise QuerywrightError(
            f"{path} holds no conversations", hint="a file that querywright conversations synthesize wrote"
        )
    if found.get("version") != VERSION:
        raise QuerywrightError(
            f"{path} has version {found.get('version')!r}, not {VERSION}", hint="synthesize it again with this version"
        )
    for number, conversation in enumerate(found["conversations"]):
        if problem := fault(conversation):
            raise QuerywrightError(
                f"{path}: conversation {number}: {problem}", hint="leave it out, or synthesize it again"
            )
    return found


def conversations(path: Path | str) -> Iterator[Conversation]:
    """The conversations of a file, or of JSON lines of them (`.jsonl`), each checked; `id` is added where it lacks.

    Raises:
        QuerywrightError: see `read`; of JSON lines the line is named.
    """
    if str(path).endswith(".jsonl"):
        from querywright.artefacts import read_jsonl

        rows = read_jsonl(path)
        for number, row in enumerate(rows, 1):
            if problem := fault(row):
                raise QuerywrightError(f"{path}: row {number}: {problem}", hint="leave it out")
    else:
        rows = read(path)["conversations"]
    for row in rows:
        yield row if row.get("id") else {"id": conversation_id(row), **row}


def refuse_place(out: Path) -> None:
    """Refuse to write a document where there is a folder, or under a name by which it would be read as JSON lines.

    Raises:
        QuerywrightError: it can't stand there.
    """
    if out.is_dir():
        raise QuerywrightError(f"{out} is a folder", hint=f"--output {out / 'conversations.json'}")
    if out.suffix == ".jsonl":
        raise QuerywrightError(f"{out} will be one JSON document, no JSON lines", hint=f"--output {out.stem}.json")


def fault(conversation: object) -> str:
    """What is wrong with a conversation's form, empty where nothing is."""
    if not isinstance(conversation, dict):
        return "not a JSON object"
    if not isinstance(conversation.get("id", ""), str):
        return "`id` is no text"
    turns = conversation.get("turns")
    if not isinstance(turns, list) or not turns:
        return "it has no turns"
    for number, turn in enumerate(turns):
        if wrong := _turn_fault(turn):
            return f"turn {number}: {wrong}"
    return ""


def _turn_fault(turn: object) -> str:
    if not isinstance(turn, dict) or not isinstance(turn.get("user"), str):
        return "no text under `user`"
    responses = turn.get("responses")
    if not isinstance(responses, list) or len(responses) != SIDES:
        return f"`responses` is no list of {SIDES}"
    for response in responses:
        whole = isinstance(response, dict) and all(isinstance(response.get(key), str) for key in ("model", "text"))
        if not whole:
            return "a response lacks `model` or `text`"
    picked = turn.get("picked")
    if isinstance(picked, bool) or not isinstance(picked, int) or not 0 <= picked < SIDES:
        return f"`picked` is {picked!r}, not 0 or 1"
    return ""
