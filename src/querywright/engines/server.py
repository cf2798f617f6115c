"""Any server with OpenAI's chat completions: llama.cpp's server, vLLM, Ollama, or a hosted one.

A server's word that it kept to a grammar is not taken for it: what comes back is checked, and an answer outside of the
grammar fails. The key is read from the environment, never from a config file.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from querywright.engines.base import (
    MAX_TOKENS,
    Completion,
    EngineError,
    Finish,
    Grammar,
    MaskError,
    Message,
    Progress,
    go_on,
)
from querywright.engines.mask import Compiler, matches
from querywright.engines.stream import masked, stream
from querywright.errors import QuerywrightError, need

KEY = "QUERYWRIGHT_SERVER_KEY"
_TRIES = 3
CAPACITY = 8
_PATIENCE_S = 30.0  # what a server that is busy may ask for; longer waits are the caller's to decide
_BUSY = (408, 409, 429, 500, 502, 503, 504, 529)


class ServerEngine:
    """A model behind an OpenAI-compatible address. See `base.Engine`."""

    def __init__(
        self, url: str, *, model: str = "", timeout_s: float = 120.0, tries: int = _TRIES, capacity: int = CAPACITY,
        key: str | None = None,
    ) -> None:  # fmt: skip
        """Remember the address; nothing is sent yet.

        Args:
            url: up to and including the version, for example http://127.0.0.1:8080/v1.
            model: the name that the server knows it by; the first one that it lists by default.
            tries: how often a request is sent where the server is busy or gone for a moment.
            capacity: how many requests may be under way at once.
            key: what is sent as the key; by default what stands in the environment, nothing where it is empty.

        Raises:
            QuerywrightError: the key can't be sent.
        """
        httpx: Any = need("httpx", extra="api")
        key = sendable(os.environ.get(KEY, "") if key is None else key)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.url = url.rstrip("/")
        limits = httpx.Limits(max_connections=max(100, capacity), max_keepalive_connections=max(20, capacity))
        self._http: Any = httpx.Client(timeout=timeout_s, headers=headers, limits=limits)
        self._errors: Any = httpx.HTTPError
        self._unsent: Any = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
        self._model = model
        self._tries = tries
        self._timeout_s, self._headers = timeout_s, headers
        self.capacity = capacity
        self._renamed: dict[str, str] = {}  # parameters that this server calls otherwise, or ("") does not take

    @property
    def model(self) -> str:
        """The model's name; asks the server once where none was given."""
        if not self._model:
            listed = self._send("GET", "/models").get("data") or []
            if not listed:
                raise EngineError(f"{self.url} lists no models", hint="name one: --model URL#NAME")
            self._model = str(listed[0]["id"])
        return self._model

    def generate(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        max_tokens: int = MAX_TOKENS,
        temperature: float = 0.0,
        seed: int = 0,
        n: int = 1,
        progress: Progress | None = None,
    ) -> list[Completion]:
        """See `base.Engine.generate`. With `progress` the answer is streamed, of `n` the first is told, and it is asked
        some times a second also while nothing comes; stopped, the connection is closed. A request that is tried again
        begins its text anew."""
        body: dict[str, Any] = {
            "model": self.model, "messages": list(messages), "max_tokens": max_tokens, "temperature": temperature,
            "seed": seed, "n": n,
        }  # fmt: skip
        if grammar is not None and grammar.kind == "gbnf":
            body["grammar"] = grammar.text  # llama.cpp's server
        elif grammar is not None and grammar.kind == "json":
            schema = {"name": "answer", "strict": True, "schema": json.loads(grammar.text)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif grammar is not None:
            key = "regex" if grammar.kind == "regex" else "grammar"
            body["structured_outputs"] = {key: grammar.text}  # vLLM, with llguidance behind it
        start = time.perf_counter()
        if progress is not None:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        reply = self._chat(body, progress)
        ms = (time.perf_counter() - start) * 1000
        done = _completions(reply, ms)
        if not done:
            raise EngineError(
                f"{self.url} gave no answer", hint="look at the server's log", retryable=True, charged=True
            )
        for one in done:
            kept = grammar is None or grammar.kind == "gbnf" or one.finish == "length" or _matches(grammar, one.text)
            if grammar is not None and not kept:
                raise MaskError(
                    f"{self.url} did not keep to the grammar: {one.text[:80]!r}",
                    hint="use a server that takes JSON schemas"
                    if grammar.kind == "json"
                    else "use a server that takes lark grammars (vLLM with llguidance), or --decoding gbnf",
                    completions=done,
                )
        return done

    def describe(self) -> dict[str, Any]:
        """See `base.Engine.describe`."""
        return {"engine": "server", "model": self.model, "url": self.url}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _chat(self, body: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
        """Send a chat; without a parameter, or with it under another name, where the server says that it has to be."""
        for _ in range(4):
            sent = {self._renamed.get(k, k): v for k, v in body.items() if self._renamed.get(k, k)}
            try:
                return self._send("POST", "/chat/completions", sent, progress)
            except _Refused as error:
                if not self._adapts(error.said, sent):
                    raise
        raise EngineError(f"{self.url} takes none of the usual parameters", hint="is it a chat model?")

    def _adapts(self, said: str, sent: dict[str, Any]) -> bool:
        """Whether a refusal names a parameter that can be left out or renamed. Hosted reasoning models take
        `max_completion_tokens` for `max_tokens`, and only their own temperature.

        Raises:
            MaskError: it is the grammar that this server does not take.
        """
        for name in ("response_format", "structured_outputs", "grammar"):
            if name in sent and (name in said or "json_schema" in said):
                raise MaskError(f"{self.url} takes no {name}: {said}", hint="use a server that takes grammars")
        if "max_tokens" in sent and "max_completion_tokens" in said:
            self._renamed["max_tokens"] = "max_completion_tokens"
            return True
        odd = next((name for name in ("temperature", "seed", "stream_options") if name in sent and name in said), "")
        if odd:
            self._renamed[odd] = ""
        return bool(odd)

    def _send(
        self, method: str, path: str, body: dict[str, Any] | None = None, progress: Progress | None = None
    ) -> dict[str, Any]:
        """One request; where the server is busy or gone for a moment, again after a while."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._once(method, path, body, progress)
            except EngineError as error:
                asked = error.retry_after or 0.0
                if not error.retryable or attempt >= self._tries or asked > _PATIENCE_S:
                    raise
                # not all clients at once again
                _rest(max(asked, 2.0 ** (attempt - 1)) * (1 + random.random() / 4), progress)

    def _once(
        self, method: str, path: str, body: dict[str, Any] | None, progress: Progress | None
    ) -> dict[str, Any]:
        gone = f"{self.url} does not answer: "
        try:
            if progress is None or body is None:
                reply = self._http.request(method, self.url + path, json=body)
            else:
                reply = stream(self.url + path, body, self._headers, self._timeout_s, progress)
        except self._errors as error:
            failure = gone + (str(error) or type(error).__name__)
            sent = method == "POST" and not isinstance(error, self._unsent)
            raise EngineError(failure, hint="is the server running?", retryable=True, charged=sent) from error
        if reply.status_code == 200:
            try:
                parsed = reply.json()
            except ValueError:  # cut on its way
                raise EngineError(
                    f"{self.url} gave no JSON object", hint="is it a model server?", retryable=True, charged=True
                ) from None
            if isinstance(parsed, dict):
                return parsed
            raise EngineError(f"{self.url} gave no JSON object", hint="is it a model server?")
        said = masked(reply.text, self._headers)[:300].strip()
        failure = f"HTTP {reply.status_code}: {said}"
        if reply.status_code not in _BUSY or "insufficient_quota" in said:
            raise _Refused(f"{self.url} refused: {failure}", said)
        asked = _retry_after(reply.headers)
        raise EngineError(gone + failure, hint="is the server running?", retryable=True, retry_after=asked)


def sendable(key: str) -> str:
    """A key as a header takes it: without the line end that files of secrets have.

    Raises:
        QuerywrightError: there are characters in it that no header takes. It is not shown.
    """
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        hint = "no line breaks in it, and ASCII only"
        raise QuerywrightError("the key in the environment holds characters that can't be sent", hint=hint)
    return key


class _Refused(EngineError):
    """The server does not take the request, and will not take it later."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message, hint=f"check the address, the name and ${KEY}")
        self.said = said


def _rest(seconds: float, progress: Progress | None) -> None:
    """Wait, and ask meanwhile whether the request is still wanted."""
    while seconds > 0:
        step = seconds if progress is None else min(seconds, 0.1)
        time.sleep(step)
        seconds -= step
        go_on(progress, "")


def _completions(reply: dict[str, Any], ms: float) -> list[Completion]:
    """The choices of a reply; what is not as the protocol has it counts as empty."""
    usage = reply.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    choices = reply.get("choices")
    choices = [c for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []
    done = []
    for choice in choices:
        message = choice.get("message")
        text = _text(message.get("content") if isinstance(message, dict) else None)
        finish: Finish = "length" if choice.get("finish_reason") == "length" else "stop"
        out = _count(usage, "completion_tokens") // len(choices)
        done.append(Completion(text, _count(usage, "prompt_tokens"), out, ms, finish))
    return done


def _text(content: Any) -> str:
    """A message's text, where it comes in parts those that are text; of anything else there is none."""
    if isinstance(content, list):
        texts = [p.get("text") for p in content if isinstance(p, dict) and p.get("type") == "text"]
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def _count(usage: dict[str, Any], key: str) -> int:
    """Tokens that a server has counted; 0, which is not believed, for what is no number of them."""
    value = usage.get(key)
    return int(value) if isinstance(value, int | float) and 0 < value < 1e12 else 0


def _retry_after(headers: Any) -> float | None:
    """Seconds that a server asks to wait: RFC 9110, 10.2.3 (seconds, or a date); OpenAI's milliseconds first."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = str(headers.get(name) or "").strip()
        try:
            seconds = float(value) * scale
        except ValueError:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - time.time()
            except (ValueError, TypeError, IndexError, OverflowError):
                continue
        if 0 <= seconds < 1e7:
            return seconds
    return None


@lru_cache(maxsize=1)
def _byte_compiler() -> Compiler:
    guidance: Any = need("llguidance", extra="llama")
    return Compiler(guidance.LLTokenizer("byte"))


def _matches(grammar: Grammar, text: str) -> bool:
    return matches(_byte_compiler(), grammar, list(text.encode()))
