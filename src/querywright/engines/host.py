"""A server with OpenAI's API of files, batches and jobs: its client, and how a request is tried again.

The key is read from the environment, never from a file: `OPENAI_API_KEY` (or `QUERYWRIGHT_SERVER_KEY`) for OpenAI's own
address, `QUERYWRIGHT_SERVER_KEY` for any other, so that no key goes to a host that it is not for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from querywright.engines.fence import clean
from querywright.engines.server import KEY, sendable
from querywright.engines.stream import masked
from querywright.errors import QuerywrightError, need
from querywright.progress import say

OPENAI = "https://api.openai.com/v1"
_OPENAI_KEY = "OPENAI_API_KEY"
_WAITS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)  # seconds before another try
_LONGEST = 600.0  # seconds that a server may ask to wait
_NOT_READY = ("not ready", "still being processed")

T = TypeVar("T")


class HostError(QuerywrightError):
    """The server refused, or does not answer.

    Attributes:
        status: the HTTP status; 0 where there was none.
    """

    def __init__(self, message: str, *, hint: str = "", retryable: bool = False, status: int = 0) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.status = status


def key_for(url: str) -> str:
    """The key that belongs to an address.

    Raises:
        QuerywrightError: OpenAI's own address without a key, or one that can't be sent.
    """
    if urlsplit(url).hostname != urlsplit(OPENAI).hostname:
        return sendable(os.environ.get(KEY) or "") or "none"
    key = sendable(os.environ.get(_OPENAI_KEY) or os.environ.get(KEY) or "")
    if not key:
        raise QuerywrightError(f"no key for {url}", hint=f"export {_OPENAI_KEY}=..., or name another server by its URL")
    return key


class Host:
    """An OpenAI client whose every request is tried again where that helps."""

    def __init__(self, url: str = OPENAI, *, wait: Callable[[float], None] = time.sleep) -> None:
        """Check the address; nothing is sent yet.

        Args:
            url: up to and including the version.
            wait: how to sleep between tries; a test's own takes no time.
        """
        if not _address(url):
            raise QuerywrightError(f"--base-url {url!r} is no address", hint=f"such as {OPENAI}")
        self._openai: Any = need("openai", extra="hosted")
        self.url = url.rstrip("/")
        self._wait = wait
        key = key_for(url)
        self._headers = {"Authorization": f"Bearer {key}" if key != "none" else ""}
        self.client = self._openai.OpenAI(base_url=self.url, api_key=key, max_retries=0, timeout=120.0)

    def ask(self, what: str, request: Callable[[], T]) -> T:
        """What a request gives.

        Args:
            what: for messages, such as `upload of train.jsonl`.
            request: sent again after a dropped connection, a rate limit or a server's error; so it has to look first
                whether its last try has worked after all.

        Raises:
            HostError: the server refuses, or none of the tries worked.
        """
        failure = ""
        for n, pause in enumerate((*_WAITS, 0.0), 1):
            try:
                return request()
            except self._openai.APIStatusError as error:
                failure = _said(error, self._headers)
                if not _again(error):
                    raise HostError(
                        f"{self.url} refuses the {what}: {failure}", hint=_hint(error), status=error.status_code
                    ) from error
                pause = max(pause, _asked_for(error)) if pause else 0.0
            except (self._openai.APIConnectionError, self._openai.APIResponseValidationError, ValueError) as error:
                failure = masked(f"{type(error).__name__}: {error}", self._headers)
            if pause:
                say(f"{what}: {failure}; try {n + 1} in {pause:.0f} s")
                self._wait(pause)
        raise HostError(
            f"{self.url} does not answer the {what}: {failure}",
            hint="the same command later: it goes on where it was",
            retryable=True,
        )

    def optional(self, what: str, request: Callable[[], T], otherwise: T) -> T:
        """`ask`, but for what not every server can do."""
        try:
            return self.ask(what, request)
        except HostError as error:
            if error.status in (404, 405, 501):
                return otherwise
            raise


def _address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # brackets without an end, a port that is none
        return False


def line(text: object) -> str:
    """A server's words as one plain line: no control characters that a terminal would obey."""
    return clean(str(text))[:400]


def _again(error: Any) -> bool:
    if getattr(error, "code", None) == "insufficient_quota":
        return False  # comes as a rate limit, but no waiting helps
    if error.status_code == 400:
        return any(words in str(error.message).lower() for words in _NOT_READY)
    return error.status_code in (408, 409, 425, 429) or (error.status_code >= 500 and error.status_code != 501)


def _asked_for(error: Any) -> float:
    """Seconds that the server asks to wait; a date, or nonsense, is 0."""
    try:
        seconds = float(error.response.headers.get("retry-after") or 0)
    except ValueError:
        return 0.0
    return min(max(0.0, seconds), _LONGEST) if seconds == seconds else 0.0


def _said(error: Any, headers: dict[str, str]) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    message = body.get("message") or error.message
    return f"HTTP {error.status_code}: {line(masked(str(message), headers))}"


def _hint(error: Any) -> str:
    if error.status_code in (401, 403):
        return f"check ${_OPENAI_KEY} (at OpenAI) or ${KEY} (elsewhere)"
    return "check the model's name and the files" if error.status_code == 400 else "check --base-url"
