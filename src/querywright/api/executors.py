"""The Executor seam: run a call, get a total and ids. One runs calls on local records, one over HTTP."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlsplit

from querywright.api.call import Call
from querywright.api.definition import API
from querywright.api.problems import NoMoreResults, ServiceError
from querywright.errors import QuerywrightError, need

if TYPE_CHECKING:
    from querywright.api.index import Index
    from querywright.api.rows import Rows

# How services name the number of records in all, and the list of those on this page; the first that is there counts.
TOTALS = (
    *("total", "count", "totalCount", "total_count", "totalHits", "total_hits", "totalResults", "total_results"),
    *("totalItems", "total_items", "numFound", "hitCount", "nhits", "num_results", "found", "matches"),
)
LISTS = ("hits", "results", "items", "data", "records", "docs", "documents", "entries", "rows", "result", "features")
WRAPPERS = ("meta", "metadata", "pagination", "page", "paging", "page_info", "response", "result", "hits", "data")
IDS = ("_id", "id", "uid", "identifier", "accession")


@dataclass(frozen=True)
class Hits:
    """What a call returned: how many records there are in all, the ids and rows of this page, the time it took, and for
    each field that was counted its terms with their counts, as the service orders them."""

    total: int
    ids: tuple[str, ...]
    rows: list[dict[str, Any]] = field(repr=False)
    ms: float = 0.0
    facets: dict[str, list[tuple[str, int]]] = field(default_factory=dict, repr=False)


class Executor(Protocol):
    """Runs a call.

    Raises:
        QuerywrightError: the service refuses the call, or (`retryable`) cannot be reached.
    """

    def run(self, call: Call) -> Hits: ...


def hits_of(body: Any, ms: float, record: bool = False) -> Hits:
    """Read a service's answer; `record` says that one record was asked for.

    The list of records and their total are found under the names that services give them, at the top or one wrapper
    below; an answer of a number alone is the total. Another answer without a list, such as metadata, counts as one row;
    so does a record, whatever lists it has.

    Raises:
        QuerywrightError: the total is no number.
    """
    rows: list[Any] = body if isinstance(body, list) else [body]
    total: Any = len(rows)
    if isinstance(body, dict):
        within = [body, *(body[name] for name in WRAPPERS if isinstance(body.get(name), dict))]
        lists = [part[name] for part in within for name in LISTS if isinstance(part.get(name), list)]
        totals = [part[name] for part in within for name in TOTALS if name in part]
        if lists and (totals or not record):
            rows = lists[0]
            total = totals[0] if totals else len(rows)
            total = total.get("value") if isinstance(total, dict) else total
        elif totals and not record and not any(isinstance(value, dict | list) for value in body.values()):
            rows, total = [], totals[0]  # only the number was asked for
    try:
        return Hits(len(rows) if total is None else int(total), _ids(rows), rows, ms, _facets(body))
    except (TypeError, ValueError, OverflowError):
        raise QuerywrightError(f"an answer says that it has {str(total)[:40]!r} hits") from None


def _facets(body: Any) -> dict[str, list[tuple[str, int]]]:
    """Counts of terms as BioThings gives them: {"facets": {FIELD: {"terms": [{"term", "count"}]}}}."""
    found = body.get("facets") if isinstance(body, dict) else None
    named = found.items() if isinstance(found, dict) else ()
    return {
        str(name): [(str(t["term"]), int(t["count"])) for t in facet["terms"]]
        for name, facet in named
        if isinstance(facet, dict) and isinstance(facet.get("terms"), list)
    }


def _asks_one(call: Call) -> bool:
    """Whether a call's path ends in the name of one thing."""
    return call.id is not None or call.api.endpoints[call.endpoint].path.endswith("}")


def _ids(rows: list[Any]) -> tuple[str, ...]:
    """The rows' ids, under the first of the usual names that a row has."""
    found = (next((row[name] for name in IDS if name in row), None) for row in rows if isinstance(row, dict))
    return tuple(str(value) for value in found if isinstance(value, str | int))


def open_records(api: API, records: str | Path | None = None, workspace: str | Path | None = None) -> Index | Rows:
    """Local records, ready to be searched as the API's query language asks: a full-text index, or rows in memory.

    Raises:
        QuerywrightError: there are no such records, or a line is no record.
    """
    if api.query_language == "none":
        from querywright.api.rows import open_rows

        return open_rows(api, records)
    need("tantivy", extra="api")
    from querywright.api.index import open_index

    return open_index(api, records, workspace)


class EmbeddedExecutor:
    """Runs calls on local records; their index, where the API needs one, is built at the first use.

    Args:
        records: a .jsonl or .jsonl.gz file, `goatools`, or None for what the definition names.
        workspace: the folder that holds `index/`; None is `work/<api>`.
        index: open records, instead of these.
    """

    def __init__(
        self,
        api: API,
        records: str | Path | None = None,
        workspace: str | Path | None = None,
        *,
        index: Index | Rows | None = None,
    ) -> None:
        self.api = api
        self.index = open_records(api, records, workspace) if index is None else index
        self.scrolls: Any = None

    def answer(self, call: Call) -> Any:
        """The body that the service answers.

        Raises:
            ServiceError: what the service would refuse, with its status.
            NoMoreResults: a scroll is at its end.
        """
        if self.api.query_language == "none":
            from querywright.api import rows

            return rows.answer(cast("Rows", self.index), call)
        from querywright.api import search

        self.scrolls = self.scrolls or search.Scrolls()
        return search.answer(cast("Index", self.index), call, self.scrolls)

    def run(self, call: Call) -> Hits:
        """Answer a call; an id that no record has gives no hits."""
        started = time.perf_counter()
        try:
            body = self.answer(call)
        except NoMoreResults:
            return Hits(0, (), [])
        except ServiceError as error:
            if error.status != 404:
                raise
            return Hits(0, (), [])
        return hits_of(body, (time.perf_counter() - started) * 1000, record=_asks_one(call))


class HttpExecutor:
    """Runs calls on a service over HTTP: only at the definition's address or at one that was asked for. See `fetch`.

    Args:
        base_url: the address that was asked for; None is the definition's. One that is written as an address or as
            `localhost` may be private; a name, and the definition's address, only with `allow_private`.
        rate: requests a second; None is 5, and no limit on this machine; 0 is no limit.
        proxy: the URL of a proxy; those of the environment are not used.

    Raises:
        QuerywrightError: there is no such address.
    """

    def __init__(
        self,
        api: API,
        base_url: str | None = None,
        *,
        rate: float | None = None,
        allow_private: bool = False,
        proxy: str | None = None,
    ) -> None:
        need("httpx", extra="api")
        from querywright.api import addresses, fetch

        self.api = api
        self.base_url = (base_url or api.base_url).rstrip("/")
        host = (urlsplit(self.base_url).hostname or "") if base_url else ""
        asked = addresses.is_address(host) or addresses.is_loopback(host)
        self.fetcher = fetch.Fetcher(self.base_url, allow_private=allow_private or asked, rate=rate, proxy=proxy)

    def run(self, call: Call) -> Hits:
        """Send a call. A 404 gives no hits."""
        answer = self.fetcher.get(call.request)
        if answer.status == 404:
            return Hits(0, (), [], answer.ms)
        body = answer.json()
        if answer.status != 200 or body is None:
            raise QuerywrightError(
                f"{self.base_url} refuses {call.text}: {answer.status} {_reason(body, answer)}".rstrip(),
                hint="querywright call parse shows how the call is read",
            )
        return hits_of(body, answer.ms, record=_asks_one(call))

    def reach(self) -> None:
        """Say within seconds whether requests can go to the service at all; see `fetch.Fetcher.reach`."""
        self.fetcher.reach()

    def close(self) -> None:
        """Close the connections."""
        self.fetcher.close()


def _reason(body: Any, answer: Any) -> str:
    """What a service says of its refusal, in a line."""
    if 300 <= answer.status < 400:
        return f"it sends on to {answer.location[:100]!r}, which is not followed"
    if answer.status == 200:
        return "its answer is no JSON"
    said = body if isinstance(body, dict) else {}
    found = next((said[name] for name in ("error", "message", "detail", "reason", "title") if said.get(name)), "")
    return " ".join(str(found).split())[:300]
