"""A chat completion that comes in pieces, as server-sent events, and can be stopped while nothing comes.

The exchange runs on an event loop of its own in the calling thread: that alone ends a connection at any point of it,
while it is opened, while the server thinks, or between two pieces.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import Any

from querywright.engines.base import EngineError, Progress, go_on
from querywright.engines.fence import clean
from querywright.errors import need

_POLL_S = 0.1  # how often `progress` is asked while nothing comes
_MOST = 10_000  # characters of an error that are looked at


def stream(url: str, body: dict[str, Any], headers: dict[str, str], timeout_s: float, progress: Progress) -> Any:
    """Post a chat with `stream` set and tell `progress` the first answer's text so far.

    Args:
        timeout_s: seconds that the server may say nothing.

    Returns:
        an httpx.Response: what came is put together as if it had not been streamed. What is no event stream (an error,
        a server that does not stream) is returned as it is.

    Raises:
        Cancelled: `progress` returned False; the connection is closed then.
        EngineError: the server said in the midst of the stream that it failed.
        httpx.HTTPError: no answer, or a stream that ended before the text did.
    """
    return asyncio.run(_stream(url, body, headers, timeout_s, progress))


def masked(text: str, headers: Mapping[str, str]) -> str:
    """What a server says, as one line: without what a terminal would obey, and without the key that it was sent, which
    some repeat in an error."""
    key, text = headers.get("Authorization", "").removeprefix("Bearer "), text[:_MOST]
    return clean(text.replace(key, "***") if len(key) > 3 else text)


async def _stream(url: str, body: dict[str, Any], headers: dict[str, str], timeout_s: float, progress: Progress) -> Any:
    httpx: Any = need("httpx", extra="api")
    got = _Got(headers)

    async def exchange() -> Any:
        async with (
            httpx.AsyncClient(timeout=timeout_s, headers=headers, verify=_trusted()) as client,
            client.stream("POST", url, json=body) as reply,
        ):
            if reply.status_code != 200 or "text/event-stream" not in reply.headers.get("content-type", ""):
                await reply.aread()
                return reply
            async for event in _events(reply.aiter_lines()):
                if got.take(event):
                    go_on(progress, got.text)
            if not got.whole:
                raise httpx.RemoteProtocolError("the stream ended before the text did")
            return httpx.Response(200, json=got.reply())

    task = asyncio.create_task(exchange())
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_POLL_S)
            if not task.done():
                go_on(progress, got.text)
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
    """The JSON objects of `data:` lines, up to `[DONE]`; what is none is passed over."""
    async for line in lines:
        name, _, value = line.partition(":")
        if name != "data":
            continue
        if value.strip() == "[DONE]":
            return
        try:
            event = json.loads(value)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


class _Got:
    """What has come of an answer."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers
        self._texts: dict[int, str] = {}
        self._ends: dict[int, str] = {}
        self._usage: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The first answer's text so far."""
        return self._texts.get(0, "")

    @property
    def whole(self) -> bool:
        """Whether every answer that began has ended."""
        return bool(self._ends) and self._ends.keys() >= self._texts.keys()

    def take(self, event: dict[str, Any]) -> bool:
        """Read an event; whether some text came with it.

        Raises:
            EngineError: it tells of a failure.
        """
        if event.get("error"):
            said = masked(str(event["error"]), self._headers)[:300]
            raise EngineError(
                f"the server failed: {said}", hint="look at the server's log", retryable=True, charged=True
            )
        if isinstance(event.get("usage"), dict):
            self._usage = event["usage"]
        choices = event.get("choices")
        new = False
        for choice in choices if isinstance(choices, list) else []:
            if not isinstance(choice, dict) or not isinstance(index := choice.get("index", 0), int):
                continue
            delta = choice.get("delta")
            piece = delta.get("content") if isinstance(delta, dict) else None
            self._texts[index] = self._texts.get(index, "") + (piece if isinstance(piece, str) else "")
            new |= bool(piece)
            if choice.get("finish_reason"):
                self._ends[index] = str(choice["finish_reason"])
        return new

    def reply(self) -> dict[str, Any]:
        """All of it, as a chat completion."""
        choices = [
            {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": self._ends[index]}
            for index, text in sorted(self._texts.items())
        ]
        return {"choices": choices, "usage": self._usage}


@lru_cache(maxsize=1)
def _trusted() -> Any:
    """The certificates that are trusted, read once: it takes some 20 ms."""
    httpx: Any = need("httpx", extra="api")
    return httpx.create_ssl_context()
