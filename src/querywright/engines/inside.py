"""The child's side of `child`: opens an engine and answers requests until its input ends.

Lines in: first what to open, then `{"id": 1, "generate": {…}, "tell": true}`, `{"id": 2, "score": {…}}` or
`{"cancel": 1}`. Lines out: first `{"about": {…}, "capacity": 1}`, then `{"id": 1, "text": "…"}` as a text grows,
`{"id": 1}` as a sign of life, and at last `{"id": 1, "completions": […]}` or `{"id": 1, "error": …}`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from querywright.engines.base import Cancelled, Engine, EngineError, Grammar, MaskError, Progress, capacity_of, weigh
from querywright.errors import QuerywrightError

_TELL_S = 0.03  # between two texts of a request: nobody reads faster
_MOST_FAILURES = 3  # of the engine itself, in a row
_SIGN_S = 1.0  # between two signs of life


class _Worker:
    """An engine, the requests that wait for it, and which of them are still wanted."""

    def __init__(self, engine: Engine, replies: IO[bytes]) -> None:
        self._engine = engine
        self._replies = replies
        self._guard = threading.Lock()
        self._wanted: set[int] = set()
        self._failed = 0  # requests in a row
        self.jobs: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def read(self, requests: IO[bytes]) -> None:
        """Take requests until the input ends; then the process ends, whatever it is doing: nobody waits for it."""
        for line in requests:
            body = json.loads(line)
            if "cancel" in body:
                self._wanted.discard(body["cancel"])
            else:
                self._wanted.add(body["id"])
                self.jobs.put(body)
        _leave(0)

    def work(self) -> None:
        """Answer one request after another."""
        while True:
            body = self.jobs.get()
            number = body["id"]
            failed = 0
            try:
                reply = self._answer(number, body)
            except QuerywrightError as error:
                reply = told(error)
                failed = self._failed + 1 if error.retryable else 0
            except (RuntimeError, MemoryError, SystemError, OSError):
                # the model or the machine: what state it is in now nobody knows
                traceback.print_exc()
                _leave(70)
            except Exception as error:  # a mistake of ours about this one request: the next one may be fine
                traceback.print_exc()
                message = f"the engine failed: {type(error).__name__}: {error}"
                reply = told(EngineError(message, hint="please report the sentence"))
            except BaseException:  # a panic of native code in Rust is no Exception; this thread must not end in silence
                traceback.print_exc()
                _leave(70)
            self._wanted.discard(number)
            self.say({"id": number, **reply})
            self._failed = failed
            if failed >= _MOST_FAILURES:
                _leave(70)  # it may work again when it is started anew

    def say(self, reply: dict[str, Any]) -> None:
        """Write a line."""
        line = json.dumps(reply).encode() + b"\n"
        try:
            with self._guard:
                self._replies.write(line)
                self._replies.flush()
        except OSError:
            _leave(0)

    def _answer(self, number: int, body: dict[str, Any]) -> dict[str, Any]:
        if number not in self._wanted:
            raise Cancelled
        asked: dict[str, Any] = body.get("score") or body["generate"]
        grammar = Grammar(**asked.pop("grammar")) if asked.get("grammar") else asked.pop("grammar")
        if "score" in body:
            done = weigh(self._engine, grammar=grammar, **asked)
        else:
            done = self._engine.generate(grammar=grammar, progress=self._teller(number, bool(body["tell"])), **asked)
        return {"completions": [c.as_dict() for c in done]}

    def _teller(self, number: int, wanted: bool) -> Progress:
        """The progress of one request: its text where it is wanted, else a sign of life, and whether to go on."""
        last = ""
        due = 0.0

        def tell(text: str) -> bool:
            nonlocal last, due
            now = time.monotonic()
            if now >= due:
                new = wanted and text != last
                self.say({"id": number, "text": text} if new else {"id": number})
                last, due = text, now + (_TELL_S if wanted else _SIGN_S)
            return number in self._wanted

        return tell


def told(error: QuerywrightError) -> dict[str, Any]:
    """An error as a line tells it; `link.error_of` reads it."""
    known = (Cancelled, MaskError, EngineError)
    name = next((c.__name__ for c in type(error).__mro__ if c in known), "QuerywrightError")
    return {"error": name, "message": str(error), "hint": error.hint, "retryable": error.retryable}


def _leave(code: int) -> None:
    sys.stderr.flush()
    os._exit(code)  # no exit handlers: native code may be at work in other threads


def _serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Open what the first line says, and answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends this process in its time
    with suppress(OSError):  # where memory runs out, this process is to go, not the one that holds the others' requests
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    line = requests.readline()
    if not line:
        return
    spec = json.loads(line)
    from querywright.engines.open import open_engine

    try:
        engine = open_engine(**spec)
    except QuerywrightError as error:
        replies.write(json.dumps(told(error)).encode() + b"\n")
        replies.flush()
        return
    worker = _Worker(engine, replies)
    capacity = capacity_of(engine)
    worker.say({"about": engine.describe(), "capacity": capacity})
    for number in range(capacity):
        threading.Thread(target=worker.work, name=f"request-{number}", daemon=True).start()
    worker.read(requests)


def serve_as_child(serve: Callable[[IO[bytes], IO[bytes]], None]) -> None:
    """Run a child's ``serve(requests, replies)``: standard output is kept for replies, what libraries print goes to
    standard error."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        serve(sys.stdin.buffer, replies)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)


if __name__ == "__main__":
    serve_as_child(_serve)
