"""The circuit in front of an engine that crashes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from querywright.engines.base import Cancelled, Completion, EngineError, MaskError
from querywright.engines.open import open_engine
from querywright.engines.supervise import CircuitOpen, Supervised
from tests.engines.tiny_gguf import tiny_gguf

ASK = [{"role": "user", "content": "x"}]
DONE = [Completion("a", 1, 1, 0.0, "stop")]


class Crashing:
    """An engine that does what a test says, and tells of crashes as `ChildEngine` does."""

    def __init__(self) -> None:
        self.on_crash: Callable[[], None] | None = None
        self.next: BaseException | None = None
        self.asked = 0

    def generate(self, messages: Any, **more: Any) -> list[Completion]:
        self.asked += 1
        if isinstance(self.next, BaseException):
            raise self.next
        return DONE

    def crash(self) -> None:
        assert self.on_crash is not None
        self.on_crash()

    def describe(self) -> dict[str, Any]:
        return {"engine": "fake"}

    def close(self) -> None: ...


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def made() -> tuple[Crashing, Supervised, Clock]:
    engine, clock = Crashing(), Clock()
    return engine, Supervised(engine, clock=clock), clock


def test_three_crashes_within_a_minute_open_it() -> None:
    engine, guarded, clock = made()
    engine.crash()
    clock.now += 30
    engine.crash()
    assert guarded.generate(ASK) == DONE
    clock.now += 31  # the first one is forgotten
    engine.crash()
    assert (guarded.state, guarded.crashes) == ("closed", 3)
    clock.now += 20
    engine.crash()
    assert guarded.state == "open"
    clock.now += 12.5
    with pytest.raises(CircuitOpen, match=r"crashed three times within a minute; asking pauses for 48 s") as failed:
        guarded.generate(ASK)
    assert failed.value.retry_after == pytest.approx(47.5)
    assert failed.value.retryable
    with pytest.raises(CircuitOpen):
        guarded.score(ASK, ["a"])
    assert engine.asked == 1


def opened() -> tuple[Crashing, Supervised, Clock]:
    engine, guarded, clock = made()
    for _ in range(3):
        engine.crash()
    assert guarded.state == "open"
    clock.now += 60
    assert guarded.state == "half_open"
    return engine, guarded, clock


def test_one_that_lives_closes_it() -> None:
    engine, guarded, _ = opened()
    assert guarded.generate(ASK) == DONE
    assert guarded.state == "closed"
    engine.crash()  # the count begins anew
    assert guarded.state == "closed"


@pytest.mark.parametrize("error", [MaskError("no such rule"), EngineError("the context holds 512")])
def test_a_bad_request_shows_that_it_lives(error: EngineError) -> None:
    engine, guarded, _ = opened()
    engine.next = error
    with pytest.raises(type(error)):
        guarded.generate(ASK)
    assert guarded.state == "closed"


def test_one_that_is_given_up_shows_nothing() -> None:
    engine, guarded, _ = opened()
    engine.next = Cancelled()
    with pytest.raises(Cancelled):
        guarded.generate(ASK)
    assert guarded.state == "half_open"
    engine.next = None
    assert guarded.generate(ASK) == DONE


def test_a_crash_while_half_open_opens_it_for_another_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, guarded, clock = opened()

    def crash(*_: Any, **more: Any) -> list[Completion]:
        engine.crash()
        raise EngineError("the engine's process died", retryable=True)

    monkeypatch.setattr(engine, "generate", crash)
    clock.now += 500
    with pytest.raises(EngineError, match="died"):
        guarded.generate(ASK)
    with pytest.raises(CircuitOpen, match="60 s"):
        guarded.generate(ASK)
    clock.now += 61
    monkeypatch.undo()
    assert guarded.generate(ASK) == DONE


def test_only_one_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, guarded, _ = opened()
    inside, go = threading.Event(), threading.Event()

    def wait(*_: Any, **more: Any) -> list[Completion]:
        inside.set()
        assert go.wait(10)
        return DONE

    monkeypatch.setattr(engine, "generate", wait)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(guarded.generate, ASK)
        assert inside.wait(10)
        with pytest.raises(CircuitOpen) as failed:
            guarded.generate(ASK)
        assert failed.value.retry_after == 1
        go.set()
        assert first.result(10) == DONE
    assert guarded.generate(ASK) == DONE


def test_what_a_request_is_to_blame_for_is_no_crash() -> None:
    engine, guarded, _ = made()
    for error in (MaskError("x"), Cancelled(), EngineError("too long"), EngineError("busy", retryable=True)):
        engine.next = error
        for _ in range(4):
            with pytest.raises(EngineError):
                guarded.generate(ASK)
    assert (guarded.state, guarded.crashes) == ("closed", 0)


def test_an_engine_without_a_process_is_passed_through() -> None:
    class Plain:
        def generate(self, messages: Any, **more: Any) -> list[Completion]:
            assert "progress" not in more
            return DONE

        def describe(self) -> dict[str, Any]:
            return {"engine": "plain"}

        def close(self) -> None: ...

    guarded = Supervised(Plain())  # type: ignore[arg-type]
    assert guarded.generate(ASK) == DONE
    assert guarded.score(ASK, ["b"])[0].text == "b"
    assert (guarded.up, guarded.restarts, guarded.pid, guarded.capacity) == (True, 0, None, 1)
    assert guarded.describe() == {"engine": "plain"}


def test_a_real_process_that_dies_three_times(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    pytest.importorskip("gguf")
    clock = Clock()
    guarded = Supervised(open_engine(tiny_gguf(tmp_path / "tiny.gguf"), threads=1, isolated=True), clock=clock)
    long: dict[str, Any] = {"max_tokens": 2000, "temperature": 1.0, "n": 100_000}
    with ThreadPoolExecutor() as pool:
        try:
            for _ in range(3):
                told = threading.Event()
                future = pool.submit(
                    guarded.generate, ASK, progress=lambda text, told=told: bool(text and told.set()) or True, **long
                )
                assert told.wait(120)
                assert guarded.pid is not None
                os.kill(guarded.pid, signal.SIGKILL)
                assert "SIGKILL" in str(future.exception(120))
            with pytest.raises(CircuitOpen):
                guarded.generate(ASK)
            assert (guarded.state, guarded.crashes, guarded.restarts, guarded.up) == ("open", 3, 2, False)
            clock.now += 61
            assert guarded.generate(ASK, max_tokens=3)
            assert (guarded.state, guarded.restarts, guarded.up) == ("closed", 3, True)
        finally:
            guarded.close()
    assert not guarded.up
