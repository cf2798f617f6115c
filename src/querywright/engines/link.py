"""One child process and the requests that are in it: JSON lines over its standard input and output, told apart by ids.

Nobody waits for the pipes but two threads: one writes, one reads and shares out what came. `child` says when a process
is started; what it says back is written in `inside`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from querywright.engines.base import Cancelled, EngineError, MaskError, Progress
from querywright.errors import QuerywrightError

POLL_S = 0.1  # how often a waiting request asks whether it is still wanted
CLOSED = "closed"  # the cause of an end that was asked for
_END_S = 5.0  # what a child may take to end by itself
HINT = (
    "try again; if it dies each time: CMAKE_ARGS=-DGGML_NATIVE=OFF pip install --force-reinstall --no-deps "
    "--no-cache-dir llama-cpp-python"
)


class Request:
    """A request that is in a child: what the child says of it, and when it last said anything."""

    def __init__(self, number: int, body: dict[str, Any]) -> None:
        self.number = number
        self.body = {"id": number, **body}
        self.heard = time.monotonic()
        self.replies: SimpleQueue[dict[str, Any]] = SimpleQueue()


class Link:
    """A child process, from its start to its end."""

    def __init__(self, spec: dict[str, Any], *, left: Callable[[], None], died: Callable[[Link, str], None]) -> None:
        """Start it; it loads its model meanwhile.

        Args:
            spec: what `inside` is to open.
            left: called after each request that has left the child.
            died: called once with the cause when the process has ended, before its requests are told. Both are called
                in a thread of this link.
        """
        self._left, self._died = left, died
        self._guard = threading.Lock()
        self._requests: dict[int, Request] = {}
        self._out: SimpleQueue[bytes | None] = SimpleQueue()
        self._over = False
        self._cause = ""  # why it was killed, where that was us
        self.opening: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self.about: dict[str, Any] = {}
        self.capacity = 1
        # nothing is buffered in this process: a thread that holds a buffer's lock would stop the interpreter's exit
        self.process = subprocess.Popen(
            [sys.executable, "-m", "querywright.engines.inside"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        self._send(spec)
        self._threads = [
            threading.Thread(target=work, name=f"engine-{self.process.pid}-{work.__name__.strip('_')}", daemon=True)
            for work in (self._write, self._read)
        ]
        for thread in self._threads:
            thread.start()

    def opened(self, load_s: float) -> None:
        """Wait until the model is loaded.

        Raises:
            QuerywrightError: what opening it raised in the child, or the child died or took longer than `load_s`.
        """
        try:
            reply = self.opening.get(timeout=load_s)
        except Empty:
            self.kill(f"it took more than {load_s:.0f} s to load the model")
            reply = self.opening.get()
        if "error" in reply:
            raise error_of(reply)
        self.about, self.capacity = reply["about"], int(reply["capacity"])

    @property
    def load(self) -> int:
        """How many requests are in the child, those that were cancelled and not left yet included."""
        return len(self._requests)

    @property
    def alive(self) -> bool:
        """Whether nobody has seen it end."""
        return not self._over

    def add(self, request: Request) -> bool:
        """Give the child a request; False where there is no child any more."""
        with self._guard:
            if self._over:
                return False
            self._requests[request.number] = request
            request.heard = time.monotonic()
        self._send(request.body)
        return True

    def wait(self, request: Request, progress: Progress | None, hang_s: float) -> dict[str, Any]:
        """The reply to a request. Given up by any error in here, it is cancelled in the child.

        Raises:
            Cancelled: `progress` returned False.
            QuerywrightError: what the child raised, or that it died.
        """
        text, done = "", False
        try:
            while True:
                try:
                    reply = request.replies.get(timeout=POLL_S if progress is not None else 1.0)
                except Empty:
                    self.watch(hang_s)
                    reply = {}
                if "error" in reply or "completions" in reply:
                    done = True
                    break
                text = reply.get("text", text)
                if progress is not None and not progress(text):
                    raise Cancelled
        finally:
            if not done:
                self._send({"cancel": request.number})
        if "error" in reply:
            raise error_of(reply)
        return reply

    def watch(self, hang_s: float) -> None:
        """Kill the child if one of its requests has been silent for `hang_s` seconds."""
        with self._guard:
            last = min((r.heard for r in self._requests.values()), default=None)
        if last is not None and time.monotonic() - last > hang_s:
            self.kill(f"it hung: no word of it for {hang_s:g} s")

    def kill(self, cause: str) -> None:
        """End it at once."""
        self._cause = self._cause or cause
        self.process.kill()

    def end(self) -> None:
        """Let it end, also in the midst of requests, and wait for that. Idempotent."""
        self._cause = self._cause or CLOSED
        self._out.put(None)
        try:
            self.process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_END_S)

    def _send(self, body: dict[str, Any]) -> None:
        self._out.put(json.dumps(body).encode() + b"\n")

    def _write(self) -> None:
        pipe = self.process.stdin
        assert pipe is not None
        try:
            while (line := self._out.get()) is not None:
                rest = memoryview(line)
                while rest:
                    rest = rest[os.write(pipe.fileno(), rest) :]
        except OSError:
            pass  # it has ended, which the other thread sees
        finally:
            pipe.close()

    def _read(self) -> None:
        pipe = self.process.stdout
        assert pipe is not None
        rest = b""
        try:
            while data := os.read(pipe.fileno(), 1 << 16):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._take(json.loads(line))
        except Exception as error:  # nobody would read on, and its requests would wait for ever
            self.kill(f"it wrote what is no reply: {error!r}")
        pipe.close()
        try:
            code = self.process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._out.put(None)
        cause = self._cause or _cause(code)
        with self._guard:
            self._over = True
            lost, self._requests = list(self._requests.values()), {}
        if cause == CLOSED:
            last = {"error": "EngineError", "message": "the engine was closed", "hint": "", "retryable": False}
        else:
            message = f"the engine's process died ({cause})"
            last = {"error": "EngineError", "message": message, "hint": HINT, "retryable": True}
        try:
            self._died(self, cause)
        finally:
            self.opening.put(last)
            for request in lost:
                request.replies.put(last)

    def _take(self, reply: dict[str, Any]) -> None:
        if "id" not in reply:
            if "error" in reply:
                self._cause = self._cause or CLOSED  # it says why it ends: no crash
            self.opening.put(reply)
            return
        final = "error" in reply or "completions" in reply
        with self._guard:
            number = reply["id"]
            request = self._requests.pop(number, None) if final else self._requests.get(number)
        if request is None:
            return
        request.heard = time.monotonic()
        if final or "text" in reply:
            request.replies.put(reply)
        if final:
            self._left()


def error_of(reply: dict[str, Any]) -> QuerywrightError:
    """The error that a reply tells of."""
    hint, retryable = reply["hint"], reply["retryable"]
    kinds: tuple[type[QuerywrightError], ...] = (MaskError, EngineError, Cancelled)
    kind = next((kind for kind in kinds if kind.__name__ == reply["error"]), QuerywrightError)
    return kind(reply["message"], hint=hint, retryable=retryable)


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
