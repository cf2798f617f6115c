"""Any server with OpenAI's chat completions: llama.cpp's server, vLLM, Ollama, or a hosted one.

A server's word that it kept to a grammar is not taken for it: what comes back is checked, and an answer outside of the
grammar fails. The key is read from the environment, never from a config file.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from querywright.engines.base import MAX_TOKENS, Completion, EngineError, Grammar, MaskError, Message
from querywright.engines.mask import Compiler, matches
from querywright.errors import need

KEY = "QUERYWRIGHT_SERVER_KEY"
_TRIES = 3


class ServerEngine:
    """A model behind an OpenAI-compatible address. See `base.Engine`."""

    def __init__(self, url: str, *, model: str = "", timeout_s: float = 120.0) -> None:
        """Remember the address; nothing is sent yet.

        Args:
            url: up to and including the version, for example http://127.0.0.1:8080/v1.
            model: the name that the server knows it by; the first one that it lists by default.
        """
        httpx: Any = need("httpx", extra="api")
        key = os.environ.get(KEY, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.url = url.rstrip("/")
        self._http: Any = httpx.Client(timeout=timeout_s, headers=headers)
        self._errors: Any = httpx.HTTPError
        self._model = model

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
    ) -> list[Completion]:
        """See `base.Engine.generate`."""
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
            body["structured_outputs"] = {"grammar": grammar.text}  # vLLM, with llguidance behind it
        start = time.perf_counter()
        reply = self._send("POST", "/chat/completions", body)
        ms = (time.perf_counter() - start) * 1000
        usage = reply.get("usage") or {}
        done = []
        for choice in reply.get("choices") or []:
            text = (choice.get("message") or {}).get("content") or ""
            finish = "length" if choice.get("finish_reason") == "length" else "stop"
            if grammar is not None and grammar.kind != "gbnf" and finish == "stop" and not _matches(grammar, text):
                raise MaskError(
                    f"{self.url} did not keep to the grammar: {text[:80]!r}",
                    hint="use a server that takes JSON schemas"
                    if grammar.kind == "json"
                    else "use a server that takes lark grammars (vLLM with llguidance), or --decoding gbnf",
                )
            out = int(usage.get("completion_tokens") or 0) // max(1, len(reply["choices"]))
            done.append(Completion(text, int(usage.get("prompt_tokens") or 0), out, ms, finish))  # type: ignore[arg-type]
        if not done:
            raise EngineError(f"{self.url} gave no answer", hint="look at the server's log", retryable=True)
        return done

    def describe(self) -> dict[str, Any]:
        """See `base.Engine.describe`."""
        return {"engine": "server", "model": self.model, "url": self.url}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request; where the server is busy or gone for a moment, twice more."""
        failure = ""
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(2.0 ** (attempt - 1))
            try:
                reply = self._http.request(method, self.url + path, json=body)
            except self._errors as error:
                failure = str(error) or type(error).__name__
                continue
            if reply.status_code == 200:
                try:
                    parsed = reply.json()
                except ValueError:
                    parsed = None
                if isinstance(parsed, dict):
                    return parsed
                raise EngineError(f"{self.url} gave no JSON object", hint="is it a model server?")
            failure = f"HTTP {reply.status_code}: {reply.text[:200].strip()}"
            if reply.status_code not in (408, 429, 500, 502, 503, 504):
                raise EngineError(f"{self.url} refused: {failure}", hint=f"check the address, the name and ${KEY}")
        raise EngineError(f"{self.url} does not answer: {failure}", hint="is the server running?", retryable=True)


@lru_cache(maxsize=1)
def _byte_compiler() -> Compiler:
    guidance: Any = need("llguidance", extra="llama")
    return Compiler(guidance.LLTokenizer("byte"))


def _matches(grammar: Grammar, text: str) -> bool:
    return matches(_byte_compiler(), grammar, list(text.encode()))
