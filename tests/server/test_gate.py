"""The model's door: order, places, who goes away, and a queue that stays short when more is asked than can be done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from querywright.engines.base import Cancelled
from server.gate import Busy, Gate


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def until(true: Callable[[], bool]) -> None:
    for _ in range(6000):
        if true():
            return
        time.sleep(0.01)
    pytest.fail("it did not come to that within 60 s")


class Holders:
    """Threads that hold, or wait for, a place of a gate until they are let go, in the order in which they came."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.order: list[str] = []
        self._go: dict[str, threading.Event] = {}
        self._pool = ThreadPoolExecutor(16)

    def ask(self, name: str, **options: object) -> object:
        self._go[name] = threading.Event()
        before = self.gate.state

        def hold() -> str:
            with self.gate.enter(**options):  # type: ignore[arg-type]
                self.order.append(name)
                self._go[name].wait(120)
            return name

        done = self._pool.submit(hold)
        until(lambda: done.done() or self.gate.state != before)
        return done

    def let(self, name: str) -> None:
        self._go[name].set()

    def let_all(self) -> None:
        for go in self._go.values():
            go.set()
        self._pool.shutdown()


def test_first_come_first_served_and_the_next_is_refused() -> None:
    gate = Gate(2)
    holders = Holders(gate)
    for name in ("a", "b", "c"):
        holders.ask(name)
    assert gate.state["waiting"] == 2
    with pytest.raises(Busy, match="2 requests wait already"), gate.enter():
        pass
    holders.let_all()
    assert holders.order == ["a", "b", "c"]
    assert gate.state["inside"] == gate.state["waiting"] == 0


def test_as_many_inside_as_the_engine_works_on() -> None:
    gate = Gate(0, capacity=3)
    holders = Holders(gate)
    for name in ("a", "b", "c"):
        holders.ask(name)
    assert gate.state["inside"] == 3
    with pytest.raises(Busy), gate.enter():
        pass
    holders.let("b")
    until(lambda: gate.state["inside"] == 2)
    with gate.enter() as waited:
        assert waited < 5
    holders.let_all()


def test_who_goes_away_leaves_the_queue_and_one_who_fails_frees_the_place() -> None:
    gate = Gate(4)
    holders = Holders(gate)
    holders.ask("a")
    gone = threading.Event()
    waiting = holders.ask("b", cancel=gone)
    holders.ask("c")
    gone.set()
    with pytest.raises(Cancelled):
        waiting.result(60)  # type: ignore[attr-defined]
    until(lambda: gate.state["waiting"] == 1)
    holders.let_all()
    assert holders.order == ["a", "c"]
    with pytest.raises(ZeroDivisionError), gate.enter():
        _ = 1 / 0
    assert gate.state["inside"] == 0


def test_waiting_ends() -> None:
    gate = Gate(4)
    holders = Holders(gate)
    holders.ask("a")
    with pytest.raises(Busy, match=r"no place came free within 0\.2 s"), gate.enter(timeout=0.2):
        pass
    holders.let_all()
    assert gate.state["waiting"] == 0


def test_one_client_does_not_take_all_places() -> None:
    gate = Gate(8, per_client=2)
    holders = Holders(gate)
    holders.ask("a", client="x")
    holders.ask("b", client="x")
    with pytest.raises(Busy, match="2 requests of yours"), gate.enter(client="x"):
        pass
    holders.ask("c", client="y")
    assert gate.state["waiting"] == 2
    holders.let_all()
    with gate.enter(client="x"):  # forgotten when they are done
        assert gate.state["inside"] == 1


def test_a_standing_queue_is_kept_short_and_a_burst_is_not() -> None:
    clock = Clock()
    gate = Gate(8, patience_s=5, wait_share=0.3, clock=clock)
    holders = Holders(gate)
    holders.ask("first")
    clock.now += 1.0  # an answer takes a second
    holders.let("first")
    until(lambda: gate.state["inside"] == 0)
    assert gate.state["typical_s"] == pytest.approx(1.0)

    for name in "abcd":  # a burst: all may wait
        holders.ask(name)
    assert gate.state["waiting"] == 3
    clock.now += 5.1  # and somebody has been waiting ever since
    with pytest.raises(Busy, match="more is asked than can be answered") as busy, gate.enter():
        pass
    assert busy.value.retry_after >= 3
    patient = holders.ask("patient", patient=True)
    assert not patient.done()  # type: ignore[attr-defined]
    for name in "abcd":
        holders.let(name)
    until(lambda: gate.state["waiting"] == 0)  # "patient" is inside

    gate._typical = 1.0
    inside = clock.now
    clock.now = inside + 0.5
    with pytest.raises(Busy), gate.enter():  # half a second to wait: more than 0.3
        pass
    clock.now = inside + 0.8
    holders.ask("soon")  # 0.2 s to wait
    assert gate.state["waiting"] == 1
    with pytest.raises(Busy), gate.enter():  # behind it a whole answer more
        pass
    holders.let("patient")
    holders.let("soon")
    until(lambda: gate.state["inside"] == 0)
    clock.now += 5.1  # nobody had to be refused for a while
    for name in "efg":
        holders.ask(name)
    assert gate.state["waiting"] == 2
    assert not gate.state["short"]
    holders.let_all()


def test_batches_do_not_keep_others_out() -> None:
    clock = Clock()
    gate = Gate(4, patience_s=5, wait_share=0.3, clock=clock)
    gate._typical = 1.0
    holders = Holders(gate)
    for name in ("row", "another's row", "a third's row"):
        holders.ask(name, patient=True)
    with pytest.raises(Busy), gate.enter(patient=True):  # they leave half of the places
        pass
    clock.now += 5.1
    holders.ask("one sentence")  # that rows have been waiting all the time is no reason to refuse it
    assert gate.state["waiting"] == 3
    assert not gate.state["short"]
    holders.let_all()
    assert holders.order == ["row", "one sentence", "another's row", "a third's row"]


def test_what_fails_at_once_says_nothing_about_how_long_answers_take() -> None:
    clock = Clock()
    gate = Gate(4, clock=clock)
    with gate.enter():
        clock.now += 2.0
    for _ in range(20):  # an open circuit, say
        with pytest.raises(ZeroDivisionError), gate.enter():
            _ = 1 / 0
    assert gate.state["typical_s"] == pytest.approx(2.0)
    late = gate.enter()  # one that was given up late does
    late.__enter__()
    clock.now += 12.0
    assert not late.__exit__(Cancelled, Cancelled(), None)
    assert gate.state["typical_s"] == pytest.approx(3.0)
