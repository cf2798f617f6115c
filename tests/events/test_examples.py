"""What is seen at a moment, who answers, and that nothing later has a say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querywright.events.conversations import conversations
from querywright.events.examples import Example, Settings, examples
from querywright.events.message import Message, Reaction
from querywright.events.read import read

GAP, WINDOW = 60.0, 100.0


def message(own: str, user: str, time: float, text: str = "", thread: str = "", **more: object) -> Message:
    return Message(own, "ops", user, time, text or f"words of {own}", thread, **more)  # type: ignore[arg-type]


def built(messages: list[Message], **given: object) -> dict[str, Example]:
    options = replace(Settings(last=3, window=WINDOW), **given)  # type: ignore[arg-type]
    return {e.id: e for e in examples(conversations(sorted(messages, key=lambda m: m.order), GAP), options)}


def texts(example: Example) -> list[str]:
    return [text for _, text in example.said]


def test_a_channel_is_cut_where_nobody_speaks() -> None:
    spoken = [message("a", "U1", 0), message("b", "U2", 50), message("c", "U3", 110), message("d", "U1", 171)]
    found = built(spoken)
    assert texts(found["c"]) == ["words of a", "words of b", "words of c"]
    assert texts(found["d"]) == ["words of d"]
    # a gap ends a conversation even within the window
    assert [found[k].answers for k in "abcd"] == [("U2",), ("U3",), (), ()]
    assert found["a"].group == found["c"].group != found["d"].group


def test_a_thread_is_a_conversation_and_its_root_a_moment_of_the_channel() -> None:
    spoken = [
        message("a", "U1", 0),
        message("q", "U2", 10),
        message("r1", "U3", 20, thread="q"),
        message("b", "U4", 30),
        message("r2", "U2", 40, thread="q"),
    ]
    found = built(spoken)
    # when q was posted nobody knew of its thread: it stands in the channel, and its answer is in the thread
    assert texts(found["q"]) == ["words of a", "words of q"]
    assert found["q"].answers == ("U3",)
    # q is no reply to a: it got a thread of its own
    assert found["a"].answers == ("U4",)
    # from its first reply on q is not part of the channel
    assert texts(found["b"]) == ["words of a", "words of b"]
    assert texts(found["r2"]) == ["words of q", "words of r1", "words of r2"]
    assert found["r1"].answers == ("U2",)
    assert len({e.group for e in found.values()}) == 1
    orphan = built([message("x", "U1", 0, thread="gone"), message("y", "U2", 5, thread="gone")])
    assert orphan["x"].answers == ("U2",)


def test_who_answers() -> None:
    spoken = [
        message("a", "U1", 0, reactions=(Reaction("U5", "eyes", 30.0), Reaction("U6", "eyes", 300.0))),
        message("a2", "U1", 10, reactions=(Reaction("U7", "tada"), Reaction("U1", "eyes", 11.0))),
        message("b", "U2", 40),
        message("c", "U3", 90),
    ]
    found = built(spoken)
    # one's own next message is no answer
    assert [found[k].answers for k in ("a", "a2", "b", "c")] == [("U2",), ("U2",), ("U3",), ()]
    together = built(spoken, answer="set")
    assert together["a"].answers == ("U5", "U2", "U3")
    assert together["a2"].answers == ("U2", "U3", "U7")
    assert built(spoken, window=35.0)["a"].answers == ()


def test_only_what_was_there_is_seen() -> None:
    edited = message("a", "U1", 0, "teh words", edits=((25.0, "the words"),), reactions=(Reaction("U2", "eyes", 15.0),))
    unknown = replace(message("b", "U2", 10), text=None, edits=((45.0, "later words"),))
    spoken = [edited, unknown, message("c", "U1", 20), message("d", "U2", 30), message("e", "U1", 50)]
    found = built(spoken, last=5, reactions=True)
    assert texts(found["b"]) == ["teh words"]
    assert texts(found["c"]) == ["teh words (eyes)", "words of c"]
    assert texts(found["d"]) == ["the words (eyes)", "words of c", "words of d"]
    assert texts(found["e"])[1] == "later words"
    assert texts(built(spoken, last=2)["e"]) == ["words of d", "words of e"]


def before(messages: list[Message], moment: tuple[float, str], until: float) -> list[Message]:
    """The log as it was: without what came after a moment (its order) and not within `until` seconds of it."""
    end = moment[0] + until
    kept = [m for m in messages if m.order <= moment or (until and m.time <= end)]
    return [
        replace(
            m,
            edits=tuple(e for e in m.edits if e[0] <= end),
            reactions=tuple(r for r in m.reactions if r.time is not None and r.time <= end),
        )
        for m in kept
    ]


def check_no_future(messages: list[Message], options: Settings, ids: set[str] | None = None) -> int:
    """Rebuild each example from the log as it was; returns how many were checked."""
    known = sorted(messages, key=lambda m: m.order)
    whole = {e.id: e for e in examples(conversations(known, GAP), options)}
    chosen = [m for m in known if ids is None or m.id in ids]
    for m in chosen:
        then = {e.id: e for e in examples(conversations(before(known, m.order, 0.0), GAP), options)}[m.id]
        assert (then.said, then.group, then.conversation) == (
            whole[m.id].said,
            whole[m.id].group,
            whole[m.id].conversation,
        )
        assert not set(then.answers) - {r.user for r in m.reactions}
        after = {e.id: e for e in examples(conversations(before(known, m.order, options.window), GAP), options)}[m.id]
        assert after == whole[m.id]
    return len(chosen)


@st.composite
def logs(draw: st.DrawFn) -> list[Message]:
    """Small logs with equal times, threads, edits and reactions."""
    made: list[Message] = []
    time = 0.0
    for i in range(draw(st.integers(1, 12))):
        time += draw(st.sampled_from([0.0, 5.0, 20.0, 61.0]))
        top = [m.id for m in made if not m.thread]
        thread = draw(st.sampled_from(["", "", "gone", *top]))
        edits = tuple((time + d, f"edited {i}") for d in draw(st.sets(st.sampled_from([1.0, 30.0, 90.0]), max_size=2)))
        given = draw(st.lists(st.tuples(st.sampled_from("ABCD"), st.sampled_from([1.0, 40.0, 150.0])), max_size=2))
        reactions = tuple(Reaction(u, "eyes", time + d) for u, d in given)
        text = draw(st.sampled_from([f"words {i}", "`code`", None]))
        user = draw(st.sampled_from("ABCD"))
        made.append(Message(f"m{i:02d}", "ops", user, time, text, thread, tuple(sorted(edits)), reactions))
    return made


@settings(max_examples=120, deadline=None)
@given(logs(), st.sampled_from(["next", "set"]), st.booleans())
def test_later_events_never_change_an_example(log: list[Message], answer: str, shown: bool) -> None:
    options = Settings(last=3, window=WINDOW, answer=answer, reactions=shown)  # type: ignore[arg-type]
    assert check_no_future(log, options) == len(log)


def test_later_events_never_change_an_example_of_the_workspace(workspace: Path) -> None:
    messages = read(workspace / "workspace.jsonl").messages
    chosen = {m.id for m in messages[::40]}
    assert check_no_future(messages, Settings(last=4, window=86_400, reactions=True), chosen) > 5


@pytest.mark.parametrize("answer", ["next", "set"])
def test_answers_are_never_the_last_author(workspace: Path, answer: str) -> None:
    found = conversations(read(workspace / "slack").messages, 3600)
    made = [*examples(found, Settings(answer=answer))]  # type: ignore[arg-type]
    assert len(made) == sum(1 for c in found for m in c.messages if not c.thread or m.thread)
    assert all(e.author not in e.answers and len(e.said) <= 4 for e in made)
    assert any(len(e.answers) > 1 for e in made) == (answer == "set")
