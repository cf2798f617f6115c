"""Read an unpacked Slack export: `users.json`, `channels.json`, and `CHANNEL/YYYY-MM-DD.json` with messages.

A Slack export says when a message was posted (`ts`, which is also its id in the channel), what it hangs on
(`thread_ts`) and when it was last edited, but holds only the last text, and no times of reactions: what a message said
before its edit counts as unknown, and a reaction counts as an answer only, never as something that was seen.
See https://slack.com/help/articles/220556107 and https://docs.slack.dev/reference/events/message.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError
from querywright.events.message import MAX_TEXT, Edits, Log, Message, Reaction, finish, seconds

SPOKEN = {None, "", "me_message", "thread_broadcast", "file_share", "reply_broadcast"}
"""Subtypes that are somebody speaking. All others are joins, topics, pins, calls, and the like."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d\.json\Z")


def read_slack(folder: Path) -> Log:
    """Messages of a Slack export's folder.

    Raises:
        QuerywrightError: the folder holds no channel with days.
    """
    days = sorted(p for p in folder.glob("*/*.json") if _DAY.match(p.name) and p.is_file())
    if not days:
        raise QuerywrightError(
            f"{folder} is no Slack export: it holds no CHANNEL/YYYY-MM-DD.json",
            hint="unpack the export, and give the folder that holds channels.json",
        )
    log = Log()
    bots = _people(folder / "users.json", log)
    found: dict[str, Message] = {}
    reactions: dict[str, list[Reaction]] = {}
    edits: Edits = {}
    deleted: set[str] = set()
    for path in days:
        where = f"{path.parent.name}/{path.name}"
        entries = _list(path, log, where)
        for number, entry in enumerate(entries, 1):
            log.read += 1
            if not isinstance(entry, dict):
                log.drop("entry that is no JSON object", f"{where}: entry {number}")
                continue
            _entry(entry, path.parent.name, f"{where}: entry {number}", bots, log, found, reactions, edits, deleted)
    log.messages = finish(found, reactions, edits, deleted & set(found), log)
    return log


def _entry(
    entry: dict[str, Any],
    channel: str,
    where: str,
    bots: set[str],
    log: Log,
    found: dict[str, Message],
    reactions: dict[str, list[Reaction]],
    edits: Edits,
    deleted: set[str],
) -> None:
    kind, ts = entry.get("subtype"), entry.get("ts")
    if kind == "message_deleted":
        deleted.add(f"{channel}/{entry.get('deleted_ts')}")
        return
    if kind == "message_changed":
        inner, when = entry.get("message"), seconds(ts)
        if isinstance(inner, dict) and isinstance(inner.get("text"), str) and when is not None:
            edits.setdefault(f"{channel}/{inner.get('ts')}", []).append((when, inner["text"][:MAX_TEXT]))
        else:
            log.drop("edit without text or time", where)
        return
    user, text, at = entry.get("user"), entry.get("text"), seconds(ts)
    if kind == "bot_message" or entry.get("bot_id") or (isinstance(user, str) and user in bots):
        log.drop("message of a bot")
    elif kind == "tombstone" or entry.get("hidden"):
        log.drop("deleted message")
    elif isinstance(kind, list | dict) or kind not in SPOKEN:
        log.drop(f"notice ({str(kind)[:30]})")
    elif entry.get("type", "message") != "message":
        log.drop("entry that is no message")
    elif not isinstance(ts, str) or at is None:
        log.drop("message without a time", where)
    elif not isinstance(user, str) or not user:
        log.drop("message without a user", where)
    elif not isinstance(text, str):
        log.drop("message without text", where)
    elif f"{channel}/{ts}" in found:
        log.drop("message that stands there twice")
    else:
        own, hangs = f"{channel}/{ts}", entry.get("thread_ts")
        thread = f"{channel}/{hangs}" if isinstance(hangs, str) and hangs != ts else ""
        text = text[:MAX_TEXT]
        edited = entry.get("edited")
        changed = seconds(edited.get("ts")) if isinstance(edited, dict) else None
        first, later = (text, ()) if changed is None else (None, ((changed, text),))
        found[own] = Message(own, channel, user, at, first, thread, later)
        given_here = entry.get("reactions") or []
        for r in given_here if isinstance(given_here, list) else [given_here]:
            if isinstance(r, dict) and isinstance(r.get("name"), str) and isinstance(r.get("users"), list):
                given = [Reaction(u, r["name"]) for u in r["users"] if isinstance(u, str) and u not in bots]
                reactions.setdefault(own, []).extend(given)
            else:
                log.drop("reaction without user or name", where)


def _people(path: Path, log: Log) -> set[str]:
    """Ids of bots; people's names go into the log. Without the file nobody is known to be a bot."""
    bots = {"USLACKBOT"}
    for user in _list(path, log, path.name) if path.is_file() else []:
        if not isinstance(user, dict) or not isinstance(user.get("id"), str):
            log.drop("user without an id", path.name)
            continue
        if user.get("is_bot"):
            bots.add(user["id"])
        name = user.get("real_name") or user.get("name")
        if isinstance(name, str):
            log.names[user["id"]] = name
    return bots


def _list(path: Path, log: Log, where: str) -> list[Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        log.drop("file that is no JSON", where)
        return []
    if not isinstance(value, list):
        log.drop("file that is no JSON list", where)
        return []
    return value
