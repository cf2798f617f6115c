"""Both forms of a log hold the same events; what is broken is counted with its reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from querywright.errors import QuerywrightError
from querywright.events.message import seconds
from querywright.events.read import read


def test_both_forms_hold_the_same_events(workspace: Path) -> None:
    lines, slack = read(workspace / "workspace.jsonl"), read(workspace / "slack")
    assert len(lines.messages) > 250
    for a, b in zip(lines.messages, slack.messages, strict=True):
        assert (a.id, a.channel, a.user, a.thread, a.time) == (b.id, b.channel, b.user, b.thread, b.time)
        # an export holds the last text, and reactions without their times
        assert a.text_at(1e11) == b.text_at(1e11)
        assert {(r.user, r.name) for r in a.reactions} == {(r.user, r.name) for r in b.reactions}
    assert any(m.thread for m in lines.messages)
    assert any(m.reactions for m in lines.messages)
    assert any(m.edits for m in lines.messages)
    assert lines.dropped["message of a bot"] == slack.dropped["message of a bot"] > 0
    assert lines.dropped["deleted message"] > 0
    assert slack.dropped["notice (channel_join)"] > 0
    assert len(slack.names) == 13
    assert not lines.names


def test_broken_lines_are_counted(lines: Callable[..., Path]) -> None:
    good = {"channel": "a", "user": "U1", "time": 10, "text": "hello there", "id": "m1"}
    path = lines(
        good,
        good,
        "{not json",
        "[1, 2]",
        {**good, "id": "m2", "time": "soon"},
        {**good, "id": "m3", "time": float("inf")},
        {**good, "id": "m4", "user": None},
        {**good, "id": "m5", "text": 7},
        {**good, "id": "m6", "bot": True},
        {**good, "id": "m7"},
        {"type": "delete", "message": "m7", "time": 11},
        {"type": "edit", "message": "m1", "time": 12, "text": "hello you"},
        {"type": "reaction", "message": "m1", "time": "1970-01-01T00:00:13Z", "user": "U2", "name": "eyes"},
        {"type": "reaction", "message": "gone", "time": 13, "user": "U2", "name": "eyes"},
        {"type": "reaction", "message": "m1", "time": 13},
        {"type": "typing", "user": "U2"},
        "[" * 100_000,
    )
    log = read(path)
    (only,) = log.messages
    assert [only.text_at(t) for t in (10, 11.9, 12)] == ["hello there", "hello there", "hello you"]
    assert [(r.user, r.time) for r in only.reactions] == [("U2", 13.0)]
    assert dict(log.dropped) == {
        "message that stands there twice": 1,
        "line that is no JSON": 2,
        "line that is no JSON object": 1,
        "message without a time": 2,
        "message without a user": 1,
        "message without text": 1,
        "message of a bot": 1,
        "deleted message": 1,
        "reaction, edit or deletion of a message that is not there": 1,
        "reaction without user or name": 1,
        "event of type 'typing'": 1,
    }
    assert log.shown[0] == "log.jsonl:3: line that is no JSON"


def test_a_slack_export_with_everything(tmp_path: Path) -> None:
    day = [
        {"type": "message", "user": "U1", "text": "first", "ts": "100.000100", "thread_ts": "100.000100"},
        {"type": "message", "user": "U2", "text": "reply", "ts": "101.000100", "thread_ts": "100.000100"},
        {"type": "message", "user": "U2", "subtype": "thread_broadcast", "text": "also here", "ts": "102.5",
         "thread_ts": "100.000100", "reactions": [{"name": "eyes", "users": ["U1", "UBOT"], "count": 2}, "broken"]},
        {"type": "message", "user": "U1", "text": "changed", "ts": "103.1", "edited": {"user": "U1", "ts": "200.0"}},
        {"subtype": "message_changed", "ts": "150.0", "message": {"ts": "100.000100", "text": "first, better"}},
        {"subtype": "message_deleted", "ts": "160.0", "deleted_ts": "101.000100"},
        {"type": "message", "user": "U3", "subtype": "tombstone", "text": "This message was deleted.", "ts": "104.1"},
        {"type": "message", "user": "UBOT", "text": "ping", "ts": "105.1"},
        {"type": "message", "user": "U1", "subtype": "channel_topic", "text": "set the topic", "ts": "106.1"},
        {"type": "message", "text": "nobody", "ts": "107.1"},
        {"type": "message", "user": "U1", "text": "x", "subtype": {"a": 1}, "ts": "108.1"},
        5,
    ]  # fmt: skip
    (tmp_path / "users.json").write_text(json.dumps([{"id": "UBOT", "is_bot": True}, {"name": "no id"}]))
    (tmp_path / "general").mkdir()
    (tmp_path / "general" / "2025-01-01.json").write_text(json.dumps(day))
    (tmp_path / "general" / "2025-01-02.json").write_text("[{")
    (tmp_path / "general" / "notes.json").write_text("{}")
    log = read(tmp_path)
    assert [(m.id, m.thread) for m in log.messages] == [
        ("general/100.000100", ""), ("general/102.5", "general/100.000100"), ("general/103.1", ""),
    ]  # fmt: skip
    first, second, third = log.messages
    assert (first.text_at(101), first.text_at(150)) == ("first", "first, better")
    assert [(r.user, r.time) for r in second.reactions] == [("U1", None)]
    # before its edit nobody knows what it said
    assert (third.text_at(199), third.text_at(200)) == (None, "changed")
    assert log.dropped["file that is no JSON"] == 1
    assert log.dropped["deleted message"] == 2
    assert log.dropped["entry that is no JSON object"] == 1


def test_nothing_to_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n\nnot json\n")
    for source, said in (("none", "no log at"), ("empty.jsonl", "1 line that is no JSON"), (".", "no Slack export")):
        with pytest.raises(QuerywrightError, match=said):
            read(tmp_path / source)


def test_times() -> None:
    assert seconds("1700000000.5") == seconds(1700000000500) == 1700000000.5
    assert seconds("2023-11-14T22:13:20Z") == seconds("2023-11-14T22:13:20") == seconds("2023-11-14T23:13:20+01:00")
    assert [seconds(v) for v in (True, None, "", "nan", -1, [], "x", 10**400)] == [None] * 8


def test_slack_entries_of_odd_shape_are_counted(tmp_path: Path) -> None:
    good = {"ts": "1700000001.1", "user": "U1", "text": "hello there"}
    odd = [{**good, "user": ["x"]}, {**good, "ts": "1700000002.1", "reactions": 5}]
    (tmp_path / "general").mkdir()
    (tmp_path / "general" / "2023-11-14.json").write_text(json.dumps([good, *odd]), encoding="utf-8")
    log = read(tmp_path)
    assert len(log.messages) == 2
    assert log.dropped == {"message without a user": 1, "reaction without user or name": 1}
