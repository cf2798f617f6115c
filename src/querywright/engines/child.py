"""An engine in a process of its own: native code that crashes takes one request with it, not the caller.

The two talk in JSON lines over the child's standard input and output; nothing is pickled. `python -m
querywright.engines.child` is the child. After a crash the next request starts a new one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import IO, Any

from querywright.engines.base import MAX_TOKENS, Completion, Engine, EngineError, Grammar, MaskError, Message, weigh
from querywright.errors import QuerywrightError


class ChildEngine:
    """See `base.Engine`. The child starts at once and ends with `close`, or with this process."""

    def __init__(self, model: str, *, adapter: str | None = None, threads: int | None = None) -> None:
        """Start the child and wait until the model is loaded.

        Raises:
            QuerywrightError: what opening the model raised in the child.
        """
        self._spec = {"model": model, "adapter": adapter, "threads": threads}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._about: dict[str, Any] = {}
        self._start()

    def generate(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        max_tokens: int = MAX_TOKENS,
        temperature: float = 0.0,
        seed: int = 0,
        n: int = 1,
    ) -> list[Completion]:
        """See `base.Engine.generate`.

        Raises:
            EngineError: the child died (`retryable`: the next request starts a new one).
        """
        request = {
            "messages": list(messages), "grammar": asdict(grammar) if grammar else None, "max_tokens": max_tokens,
            "temperature": temperature, "seed": seed, "n": n,
        }  # fmt: skip
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            reply = self._ask(request)
        return [Completion(**one) for one in reply["completions"]]

    def score(
        self, messages: Sequence[Message], texts: Sequence[str], *, grammar: Grammar | None = None
    ) -> list[Completion]:
        """See `base.weigh`."""
        request = {"messages": list(messages), "texts": list(texts), "grammar": asdict(grammar) if grammar else None}
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            reply = self._ask(request)
        return [Completion(**one) for one in reply["completions"]]

    def describe(self) -> dict[str, Any]:
        """See `base.Engine.describe`."""
        return self._about

    @property
    def pid(self) -> int | None:
        """The child's process id, None where there is none now."""
        return self._process.pid if self._process is not None else None

    def close(self) -> None:
        """End the child."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> None:
        self.close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "querywright.engines.child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._about = self._ask(self._spec)["about"]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (OSError, ValueError):
            line = b""
        if not line.endswith(b"\n"):
            self._process = None
            code = process.wait()
            raise EngineError(
                f"the engine's process died ({_cause(code)})", retryable=True,
                hint="try again; if it dies each time: CMAKE_ARGS=-DGGML_NATIVE=OFF pip install --force-reinstall "
                "--no-deps --no-cache-dir llama-cpp-python",
            )  # fmt: skip
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            kinds = {"MaskError": MaskError, "EngineError": EngineError}
            kind = kinds.get(reply["error"], QuerywrightError)
            raise kind(reply["message"], hint=reply["hint"], retryable=reply["retryable"])
        return reply

    def __del__(self) -> None:
        self.close()


def _cause(code: int) -> str:
    import signal

    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


# --- the child -----------------------------------------------------------------------------------------------------
def _serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer until the input ends. The first line says what to open."""
    engine: Engine | None = None
    for line in requests:
        body = json.loads(line)
        try:
            if engine is None:
                from querywright.engines.open import open_engine

                engine = open_engine(body["model"], adapter=body["adapter"], threads=body["threads"])
                reply: dict[str, Any] = {"about": engine.describe()}
            else:
                grammar = Grammar(**body.pop("grammar")) if body.get("grammar") else body.pop("grammar")
                given = "texts" in body  # to be weighed, not written
                done = weigh(engine, grammar=grammar, **body) if given else engine.generate(grammar=grammar, **body)
                reply = {"completions": [c.as_dict() for c in done]}
        except QuerywrightError as error:
            name = next((c.__name__ for c in type(error).__mro__ if c in (MaskError, EngineError)), "QuerywrightError")
            reply = {"error": name, "message": str(error), "hint": error.hint, "retryable": error.retryable}
        replies.write(json.dumps(reply).encode() + b"\n")
        replies.flush()
        if engine is None:
            return


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
