"""The Executor seam: run a call, get a total and ids. One runs calls on local records, one over HTTP."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from querywright.api.call import Call
from querywright.api.definition import API
from querywright.errors import QuerywrightError, need

TIMEOUT_S = 30.0
ATTEMPTS = 3


@dataclass(frozen=True)
class Hits:
    """What a call returned: how many records there are in all, the ids and rows of this page, and the time it took."""

    total: int
    ids: tuple[str, ...]
    rows: list[dict[str, Any]] = field(repr=False)
    ms: float = 0.0


class Executor(Protocol):
    """Runs a call.

    Raises:
        QuerywrightError: the service refuses the call, or (`retryable`) cannot be reached.
    """

    def run(self, call: Call) -> Hits: ...


def hits_of(body: Any, ms: float) -> Hits:
    """Read a service's answer; answers without hits, such as metadata, count as one row."""
    if isinstance(body, dict) and isinstance(body.get("hits"), list):
        total = body.get("total", len(body["hits"]))
        rows = body["hits"]
        total = total.get("value", len(rows)) if isinstance(total, dict) else total
    else:
        rows = body if isinstance(body, list) else [body]
        total = len(rows)
    return Hits(int(total), tuple(str(r["_id"]) for r in rows if isinstance(r, dict) and "_id" in r), rows, ms)


class EmbeddedExecutor:
    """Runs calls on local records through the embedded index, which is built at the first use.

    Args:
        records: a .jsonl or .jsonl.gz file, `goatools`, or None for what the definition names.
        workspace: the folder that holds `index/`; None is `work/<api>`.
    """

    def __init__(self, api: API, records: str | Path | None = None, workspace: str | Path | None = None) -> None:
        need("tantivy", extra="api")
        from querywright.api import index, search

        self.api = api
        self.index = index.open_index(api, records, workspace)
        self.scrolls = search.Scrolls()

    def run(self, call: Call) -> Hits:
        """Answer a call; an id that no record has gives no hits."""
        from querywright.api import search

        started = time.perf_counter()
        try:
            body = search.answer(self.index, call, self.scrolls)
        except search.NoMoreResults:
            body = {"total": 0, "hits": []}
        except search.ServiceError as error:
            if error.status != 404:
                raise
            body = {"total": 0, "hits": []}
        return hits_of(body, (time.perf_counter() - started) * 1000)


class HttpExecutor:
    """Runs calls on a service over HTTP: only at the definition's address or at one that was asked for.

    Redirects are not followed; a service that does not answer is asked three times.
    """

    def __init__(self, api: API, base_url: str | None = None) -> None:
        httpx = need("httpx", extra="api")
        self.api = api
        self.base_url = (base_url or api.base_url).rstrip("/")
        if not self.base_url.startswith(("http://", "https://")):
            raise QuerywrightError(f"{self.base_url!r} is no address", hint="such as http://127.0.0.1:8000")
        self.client = httpx.Client(timeout=TIMEOUT_S, follow_redirects=False)

    def run(self, call: Call) -> Hits:
        """Send a call. A 404 gives no hits."""
        started = time.perf_counter()
        response = self._get(self.base_url + call.path)
        ms = (time.perf_counter() - started) * 1000
        if response.status_code == 404:
            return Hits(0, (), [], ms)
        try:
            body = response.json()
        except ValueError:
            body = None
        if response.status_code != 200 or body is None:
            reason = body.get("error") if isinstance(body, dict) else None
            raise QuerywrightError(
                f"{self.base_url} refuses {call.text}: {response.status_code} {reason or response.reason_phrase}",
                hint="querywright call parse shows how the call is read",
            )
        return hits_of(body, ms)

    def _get(self, url: str) -> Any:
        import httpx

        stamina: Any = need("stamina", extra="api")

        def worth_it(error: Exception) -> bool:
            return isinstance(error, httpx.TransportError | _Busy)

        logging.getLogger("stamina").setLevel(logging.ERROR)  # the last error is told, the first two need not be

        @stamina.retry(on=worth_it, attempts=ATTEMPTS, wait_initial=0.2, wait_max=3.0)
        def once() -> Any:
            response = self.client.get(url)
            if response.status_code in (429, 502, 503, 504):
                raise _Busy(f"{response.status_code} {response.reason_phrase}")
            return response

        try:
            return once()
        except (httpx.HTTPError, httpx.InvalidURL, _Busy) as error:
            raise QuerywrightError(
                f"{self.base_url} does not answer: {error}",
                hint=f"querywright api serve --api {self.api.name} runs a local service; --server names it",
                retryable=True,
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


class _Busy(Exception):
    """The service asks to come back later."""
