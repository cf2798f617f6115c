"""Read a workspace's log: JSON lines, or the folder of a Slack export. Broken lines are counted, never fatal.

JSON lines, one event a line; `type` is `message` where it is not given:

    {"type": "message", "channel": "ops", "user": "U7", "time": 1700000000.5, "text": "...", "id": "m1",
     "thread": "m0", "reactions": [{"name": "eyes", "user": "U2", "time": 1700000060}], "bot": false}
    {"type": "reaction", "message": "m1", "user": "U3", "name": "tada", "time": "2023-11-14T22:15:00Z"}
    {"type": "edit", "message": "m1", "text": "...", "time": 1700000100}
    {"type": "delete", "message": "m1", "time": 1700000200}

`id` may be left out: it is then `CHANNEL/TIME`. `thread` is the id of the thread's first message. Times are seconds or
milliseconds since 1970, or ISO 8601. `ts` and `thread_ts` are read for `time` and `thread`.

What people took back is not learnt from: a deleted message is not in the log, as it is not in a Slack export.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError
from querywright.events.message import MAX_TEXT, Edits, Log, Message, Reaction, finish, seconds
from querywright.events.slack import read_slack


def read(source: Path) -> Log:
    """The log of a JSON lines file (`.gz` too) or of a Slack export's folder.

    Raises:
        QuerywrightError: there is no such file or folder, or nothing in it is a message.
    """
    if not source.exists():
        raise QuerywrightError(f"no log at {source}", hint="give a JSON lines file, or an unpacked Slack export")
    log = read_slack(source) if source.is_dir() else read_lines(source)
    if not log.messages:
        why = ", ".join(f"{n} {reason}" for reason, n in log.dropped.most_common(4)) or "it is empty"
        raise QuerywrightError(
            f"no messages in {source}: {why}",
            hint="see querywright events build --help for the two forms that are read",
        )
    return log


def read_lines(path: Path) -> Log:
    """Events of a JSON lines file. See the module."""
    log = Log()
    found: dict[str, Message] = {}
    reactions: dict[str, list[Reaction]] = {}
    edits: Edits = {}
    deleted: set[str] = set()
    for number, event in _objects(path, log):
        where = f"{path.name}:{number}"
        kind = event.get("type", "message")
        if kind == "message":
            message = _message(event, log, where)
            if message is None:
                continue
            if message.id in found:
                log.drop("message that stands there twice")
                continue
            found[message.id] = message
            reactions.setdefault(message.id, []).extend(_inline(event.get("reactions"), log, where))
            continue
        target, time = event.get("message"), seconds(event.get("time", event.get("ts")))
        if kind not in ("reaction", "edit", "delete"):
            log.drop(f"event of type {str(kind)[:20]!r}")
        elif not isinstance(target, str) or time is None:
            log.drop(f"{kind} without message or time", where)
        elif kind == "reaction":
            user, name = event.get("user"), event.get("name")
            if isinstance(user, str) and user and isinstance(name, str):
                reactions.setdefault(target, []).append(Reaction(user, name, time))
            else:
                log.drop("reaction without user or name", where)
        elif kind == "edit":
            if isinstance(event.get("text"), str):
                edits.setdefault(target, []).append((time, event["text"][:MAX_TEXT]))
            else:
                log.drop("edit without text", where)
        else:
            deleted.add(target)
    for target in {*reactions, *edits, *deleted} - set(found):
        n = len(reactions.get(target, ())) + len(edits.get(target, ())) + (target in deleted)
        if n:
            log.drop("reaction, edit or deletion of a message that is not there", n=n)
    log.messages = finish(found, reactions, edits, deleted, log)
    return log


def _objects(path: Path, log: Log) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                log.read += 1
                try:
                    event = json.loads(line)
                except (ValueError, RecursionError):
                    log.drop("line that is no JSON", f"{path.name}:{number}")
                    continue
                if isinstance(event, dict):
                    yield number, event
                else:
                    log.drop("line that is no JSON object", f"{path.name}:{number}")
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise QuerywrightError(f"could not read {path}: {reason}", hint="check the path") from error


def _message(event: dict[str, Any], log: Log, where: str) -> Message | None:
    """A message, or None and its reason in the log."""
    time, user, channel, text = (event.get(k) for k in ("time", "user", "channel", "text"))
    at = seconds(time if time is not None else event.get("ts"))
    if at is None:
        log.drop("message without a time", where)
    elif event.get("bot"):
        log.drop("message of a bot")
    elif not isinstance(user, str) or not user:
        log.drop("message without a user", where)
    elif not isinstance(channel, str) or not channel:
        log.drop("message without a channel", where)
    elif not isinstance(text, str):
        log.drop("message without text", where)
    else:
        own = event.get("id")
        thread = event.get("thread", event.get("thread_ts"))
        name = own if isinstance(own, str) and own else f"{channel}/{time if time is not None else event.get('ts')}"
        hangs = thread if isinstance(thread, str) else ""
        if hangs and not own and "/" not in hangs:
            hangs = f"{channel}/{hangs}"
        return Message(name, channel, user, at, text[:MAX_TEXT], hangs)
    return None


def _inline(value: Any, log: Log, where: str) -> list[Reaction]:
    """Reactions that stand in the message: `user`, or `users` (as Slack lists them), with or without a time."""
    found = []
    for r in value if isinstance(value, list) else []:
        users = [r.get("user"), *(r.get("users") or ())] if isinstance(r, dict) else []
        people = [u for u in users if isinstance(u, str) and u]
        if not people or not isinstance(r.get("name"), str):
            log.drop("reaction without user or name", where)
            continue
        found += [Reaction(u, r["name"], seconds(r.get("time"))) for u in people]
    return found
