"""An engine in a process of its own: several requests, those that are given up, crashes, hangs, and the end."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from querywright.engines import inside
from querywright.engines.base import Cancelled, EngineError, Grammar, MaskError
from querywright.engines.child import ChildEngine
from querywright.engines.open import open_engine
from tests.engines.tiny_gguf import tiny_gguf

pytest.importorskip("llama_cpp")
pytest.importorskip("gguf")
ASK = [{"role": "user", "content": "x"}]
LONG: dict[str, Any] = {"max_tokens": 2000, "temperature": 1.0, "n": 100_000}  # minutes, unless something ends it


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture
def engine(model: Path) -> Iterator[ChildEngine]:
    opened = open_engine(model, threads=1, isolated=True)
    assert isinstance(opened, ChildEngine)
    yield opened
    opened.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as made:
        yield made


def until(true: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to it"
        time.sleep(0.01)


def begun(engine: ChildEngine, pool: ThreadPoolExecutor, **more: Any) -> Future[Any]:
    """A long request that has reached the child."""
    told = threading.Event()

    def progress(text: str) -> bool:
        if text:
            told.set()
        return True

    future = pool.submit(engine.generate, ASK, progress=progress, **{**LONG, **more})
    assert told.wait(120)
    return future


def died_of(future: Future[Any]) -> EngineError:
    error = future.exception(120)
    assert isinstance(error, EngineError)
    return error


def gone(pid: int | None) -> bool:
    try:
        os.kill(pid or 0, 0)
    except ProcessLookupError:
        return True
    return False


def test_it_answers_as_the_engine_itself(engine: ChildEngine, model: Path) -> None:
    here = open_engine(model, threads=1)
    settings: dict[str, Any] = {"max_tokens": 40, "temperature": 1.0, "n": 3, "seed": 5}
    ours, theirs = engine.generate(ASK, **settings), here.generate(ASK, **settings)
    assert [(c.text, c.tokens_out, c.finish) for c in ours] == [(c.text, c.tokens_out, c.finish) for c in theirs]
    digits = Grammar("start: /[0-9]{3}/")
    text = engine.generate(ASK, grammar=digits)[0].text
    assert len(text) == 3
    assert text.isdigit()
    known, unknown = engine.score(ASK, [text, "abc"], grammar=digits)
    assert known.grammar_logprob is not None
    assert unknown.grammar_logprob is None
    assert engine.describe() == here.describe()
    here.close()


def test_the_text_so_far(engine: ChildEngine) -> None:
    seen: list[str] = []
    with pytest.raises(Cancelled):
        engine.generate(ASK, **LONG, progress=lambda text: not seen.append(text) and len(set(seen)) < 4)
    assert len(set(seen)) == 4


def test_errors_of_the_engine_are_told_and_are_no_crashes(engine: ChildEngine) -> None:
    pid = engine.pid
    with pytest.raises(MaskError, match="does not compile"):
        engine.generate(ASK, grammar=Grammar("start: nope"))
    with pytest.raises(EngineError, match="the context holds") as failed:
        engine.generate([{"role": "user", "content": "x" * 9000}])
    assert not failed.value.retryable
    with pytest.raises(EngineError, match="the engine failed: KeyError"):  # a mistake of ours: one request's
        engine.generate([{"no": "message"}])
    assert engine.generate(ASK, max_tokens=3)
    assert (engine.pid, engine.crashes, engine.restarts) == (pid, 0, 0)


def test_one_that_is_given_up_frees_its_place(engine: ChildEngine, pool: ThreadPoolExecutor) -> None:
    wanted = threading.Event()
    wanted.set()
    told = threading.Event()

    def progress(text: str) -> bool:
        if text:
            told.set()
        return wanted.is_set()

    long = pool.submit(engine.generate, ASK, **LONG, progress=progress)
    assert told.wait(120)
    others = [pool.submit(engine.generate, ASK, max_tokens=5) for _ in range(3)]
    # one that waits for a place can be given up too, and then it is not asked at all
    with pytest.raises(Cancelled):
        engine.generate(ASK, **LONG, progress=lambda text: False)
    assert not any(other.done() for other in others)
    wanted.clear()
    start = time.monotonic()
    assert isinstance(long.exception(60), Cancelled)
    assert len({other.result(60)[0].text for other in others}) == 1
    assert time.monotonic() - start < 30
    assert engine.crashes == 0


def test_a_caller_that_fails_gives_its_request_up(engine: ChildEngine) -> None:
    def progress(text: str) -> bool:
        raise LookupError

    with pytest.raises(LookupError):
        engine.generate(ASK, **LONG, progress=progress)
    start = time.monotonic()
    assert engine.generate(ASK, max_tokens=3)
    assert time.monotonic() - start < 30


def test_a_crash_fails_what_was_in_the_child_and_the_rest_is_answered(
    engine: ChildEngine, pool: ThreadPoolExecutor
) -> None:
    crashes: list[int] = []
    engine.on_crash = lambda: crashes.append(1)
    first = engine.pid
    inside = begun(engine, pool)
    waiting = [pool.submit(engine.generate, ASK, max_tokens=5) for _ in range(3)]
    assert first is not None
    os.kill(first, signal.SIGKILL)
    start = time.monotonic()
    error = died_of(inside)
    assert "SIGKILL" in str(error)
    assert error.retryable
    assert error.hint
    assert crashes == [1]
    assert len({other.result(60)[0].text for other in waiting}) == 1
    assert time.monotonic() - start < 60
    assert (engine.crashes, engine.restarts) == (1, 1)
    assert engine.pid not in (first, None)
    assert gone(first)  # no zombie either: it was waited for


def test_it_is_back_before_anybody_asks(engine: ChildEngine) -> None:
    first = engine.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: engine.crashes)
    until(lambda: engine.up, 60)
    assert engine.pid != first
    assert engine.generate(ASK, max_tokens=3)


def test_an_interrupt_of_the_whole_group_is_the_parents_to_act_on(engine: ChildEngine) -> None:
    pid = engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGINT)
    assert engine.generate(ASK, max_tokens=3)
    assert (engine.pid, engine.crashes) == (pid, 0)


def test_one_that_dies_on_and_on_is_started_only_for_a_question(engine: ChildEngine) -> None:
    for crash in range(3):
        until(lambda: engine.up, 60)
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        until(lambda n=crash + 1: engine.crashes == n)  # type: ignore[misc]
    time.sleep(0.3)
    assert not engine.up
    assert engine.pid is None
    assert engine.generate(ASK, max_tokens=3)
    assert engine.restarts == 3


def test_one_that_hangs_is_killed(model: Path, pool: ThreadPoolExecutor) -> None:
    engine = ChildEngine(str(model), threads=1, hang_s=4)
    try:
        quiet = pool.submit(engine.generate, ASK, **LONG)
        time.sleep(5)  # at work without a word to the caller: no hang
        assert not quiet.done()
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGSTOP)
        big = pool.submit(engine.generate, [{"role": "user", "content": "x" * 100_000}])  # more than a pipe holds
        error = died_of(quiet)
        assert "it hung: no word of it for 4 s" in str(error)
        assert error.retryable
        assert "the context holds" in str(died_of(big))  # by the next child
        assert engine.generate(ASK, max_tokens=3)
        assert engine.crashes == 1
    finally:
        engine.close()


def test_closing_with_requests_under_way(engine: ChildEngine, pool: ThreadPoolExecutor) -> None:
    pid = engine.pid
    futures = [begun(engine, pool), *(pool.submit(engine.generate, ASK, **LONG) for _ in range(2))]
    closers = [pool.submit(engine.close) for _ in range(2)]
    for closer in closers:
        closer.result(60)
    for future in futures:
        assert "was closed" in str(died_of(future))
    engine.close()
    assert gone(pid)
    assert engine.crashes == 0
    with pytest.raises(EngineError, match="was closed"):
        engine.generate(ASK)


def test_nothing_is_left_of_many(model: Path) -> None:
    def left() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc here")
    before = left()
    for number in range(4):
        engine = ChildEngine(str(model), threads=1)
        if number % 2:
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGKILL)
            until(lambda engine=engine: engine.crashes and engine.up)  # type: ignore[misc]
        if number < 2:
            engine.close()
        pid = engine.pid
        del engine  # is as good as closing it
        if pid is not None:
            until(lambda pid=pid: gone(pid))  # type: ignore[misc]
    until(lambda: all(now <= then for now, then in zip(left(), before, strict=True)))


GARBAGE = """
import sys, time
sys.stdin.readline()
print('{"about": {}, "capacity": 1}', flush=True)
sys.stdin.readline()
print("libfoo: no reply of ours", flush=True)
time.sleep(60)
"""


def test_one_that_writes_no_reply_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would read on, and whatever is asked would wait for ever."""
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda _, **how: popen([sys.executable, "-c", GARBAGE], **how))
    engine = ChildEngine("any")
    try:
        first, until_s = engine.pid, time.monotonic() + 120
        with pytest.raises(EngineError, match="wrote what is no reply") as failed:
            engine.generate(ASK, progress=lambda text: time.monotonic() < until_s)
        assert failed.value.retryable
        assert engine.crashes == 1
        assert gone(first)
    finally:
        engine.close()


def test_where_there_is_no_thread_the_next_question_tries_again(
    engine: ChildEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def none_left(thread: threading.Thread) -> None:
        if thread.name == "engine-start":
            raise RuntimeError("can't start new thread")
        start(thread)

    assert engine.pid is not None
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", none_left)
        os.kill(engine.pid, signal.SIGKILL)
        until(lambda: engine.crashes)
        with pytest.raises(EngineError, match="can't start new thread"):
            engine.generate(ASK)
    end = time.monotonic() + 120
    assert engine.generate(ASK, max_tokens=3, progress=lambda text: time.monotonic() < end)


def test_a_child_says_why_it_did_not_open(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no model at"):
        open_engine(tmp_path / "none.gguf", isolated=True)


def test_a_model_that_is_gone_at_the_restart(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    path = tiny_gguf(tmp_path / "tiny.gguf")
    engine = ChildEngine(str(path), threads=1)
    try:
        inside = begun(engine, pool)
        waiting = pool.submit(engine.generate, ASK, max_tokens=3)
        path.rename(tmp_path / "away.gguf")
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        assert "SIGKILL" in str(died_of(inside))
        assert "no model at" in str(died_of(waiting))
        (tmp_path / "away.gguf").rename(path)
        assert engine.generate(ASK, max_tokens=3)  # the next question tries again
        assert engine.crashes == 1
    finally:
        engine.close()


OWNER = """
import os, sys, threading
from querywright.engines.child import ChildEngine
engine = ChildEngine(sys.argv[1], threads=1)
ask = [{"role": "user", "content": "x"}]
long = dict(max_tokens=2000, temperature=1.0, n=100_000)
told = threading.Event()
def work():
    try:
        engine.generate(ask, **long, progress=lambda text: bool(text and told.set()) or True)
    except Exception:
        pass
threading.Thread(target=work, daemon=True).start()
told.wait(120)
print(engine.pid, flush=True)
if sys.argv[2] == "wait":
    sys.stdin.read()
"""


@pytest.mark.parametrize("way", ["killed", "exit"])
def test_it_ends_with_its_parent_in_the_midst_of_a_text(model: Path, way: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(model), "wait" if way == "killed" else "go"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with owner:
        assert owner.stdout is not None
        assert owner.stderr is not None
        child = int(owner.stdout.readline())
        if way == "killed":
            owner.kill()
            owner.wait(120)
        else:
            assert owner.wait(120) == 0
            said = owner.stderr.read().decode()
            assert "Fatal" not in said, said
            assert "Traceback" not in said, said
        until(lambda: gone(child))


def test_several_at_once_of_which_one_is_given_up(model: Path, pool: ThreadPoolExecutor) -> None:
    engine = open_engine(model, threads=1, isolated=True, slots=3)
    assert isinstance(engine, ChildEngine)
    try:
        assert engine.capacity == 3
        alone = engine.generate(ASK, max_tokens=20, temperature=1.0, n=40, seed=4)
        wanted = threading.Event()
        wanted.set()
        first, second = begun(engine, pool), begun(engine, pool, seed=9)  # both at work at the same time
        texts: list[str] = []

        def progress(text: str) -> bool:
            texts.append(text)
            return wanted.is_set()

        third = pool.submit(engine.generate, ASK, **LONG, progress=progress)
        until(lambda: any(texts))
        waiting = pool.submit(engine.generate, ASK, max_tokens=20, temperature=1.0, n=40, seed=4)
        wanted.clear()
        assert isinstance(third.exception(120), Cancelled)
        # nobody else's tokens among them; company may round a draw to the next token, in one text of a thousand
        assert sum(one.text != other.text for one, other in zip(waiting.result(120), alone, strict=True)) <= 2
        assert not first.done()
        assert not second.done()
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        assert {str(died_of(one)) for one in (first, second)} == {"the engine's process died (SIGKILL)"}
        assert engine.crashes == 1
    finally:
        engine.close()


class Left(BaseException):
    """The process would have ended."""


class Panic(BaseException):
    """As Rust's panics come to Python: no Exception."""


@pytest.mark.parametrize(
    ("errors", "answered", "code"),
    [
        ([EngineError("no memory", retryable=True)] * 3, 3, 70),  # the engine itself, again and again
        ([EngineError("no", retryable=True)] * 2 + [EngineError("too long"), EngineError("no", retryable=True)], 4, 0),
        ([RuntimeError("CUDA")], 0, 70),
        ([Panic("index out of bounds")], 0, 70),
        ([KeyError("content")], 1, 0),
    ],
)
def test_what_ends_a_child_from_within(
    errors: list[BaseException], answered: int, code: int, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    class Failing:
        def generate(self, messages: Any, **more: Any) -> Any:
            raise errors.pop(0)

    def leave(code: int) -> None:
        raise Left(code)

    monkeypatch.setattr(inside, "_leave", leave)
    replies = io.BytesIO()
    worker = inside._Worker(Failing(), replies)  # type: ignore[arg-type]
    body: dict[str, Any] = {"generate": {"messages": ASK, "grammar": None}, "tell": False}
    lines = [json.dumps({"id": number, **body}) for number in range(len(errors))]
    with pytest.raises(Left, match="0"):
        worker.read(io.BytesIO("\n".join(lines).encode()))
    if not code:  # the worker goes on to wait for more
        monkeypatch.setattr(worker, "jobs", _Ending(worker.jobs))
    with pytest.raises(Left, match=str(code)):
        worker.work()
    assert [json.loads(line)["id"] for line in replies.getvalue().splitlines()] == list(range(answered))


class _Ending:
    """A queue that ends the worker when it is empty."""

    def __init__(self, jobs: SimpleQueue[Any]) -> None:
        self._jobs = jobs

    def get(self) -> Any:
        if self._jobs.empty():
            raise Left(0)
        return self._jobs.get()
