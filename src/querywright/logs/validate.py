"""Run calls and remember what they found, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from querywright.api.call import Call
from querywright.api.definition import API
from querywright.api.problems import RefusedAddress
from querywright.artefacts import content_id
from querywright.errors import QuerywrightError
from querywright.progress import track

CACHE = ".validated.jsonl"
BATCH = 64
PATIENCE = 5
"""Calls without an answer, one after the other, after which the service counts as gone."""
SHOWN_ONLY = {"fields", "from", "dotfield", "fetch_all"}
"""Parameters that change what of the hits is shown, not which records match."""


class Runs(Protocol):
    """The part of an executor that is used here: a call's result, with `total` hits."""

    def run(self, call: Call) -> Any: ...


def executor_for(
    api: API,
    server: str | None = None,
    records: Path | None = None,
    *,
    http: bool = False,
    rate: float | None = None,
    allow_private: bool = False,
    proxy: str | None = None,
) -> tuple[Runs, str]:
    """What runs the calls, with a name for what it answers from: a service's address and metadata, or a file's hash.

    Args:
        server: run over HTTP at this address; `http` at the definition's. An address is never taken from a log.
        records: run on local records; None is what the definition names.
        rate: requests a second.
        allow_private: whether the definition's host may stand for a private address.
        proxy: the URL of a proxy; those of the environment are not used.

    Raises:
        QuerywrightError: the service does not answer, or there are no records.
    """
    from querywright.api import records as sources
    from querywright.api.executors import EmbeddedExecutor, HttpExecutor

    if server is None and not http:
        if records is None and not api.records:
            raise QuerywrightError(
                f"there is nothing to run the calls on: the definition of {api.name} names no records",
                hint="--http (the service itself), --server URL, --records FILE.jsonl, or --no-validate (run nothing)",
            )
        source = sources.source_of(api, records)
        return EmbeddedExecutor(api, records), f"records {sources.digest(source)}"
    service = HttpExecutor(api, server, rate=rate, allow_private=allow_private, proxy=proxy)
    try:
        service.reach()
    except RefusedAddress:
        raise
    except QuerywrightError as error:
        hint = "check the address, with curl; logs build with --records FILE.jsonl, or --no-validate, needs no service"
        raise QuerywrightError(str(error), hint=hint, retryable=True) from error
    about = service.run(Call(api, "metadata")).rows if "metadata" in api.endpoints else []
    return service, f"{service.base_url} {content_id(json.dumps(about, sort_keys=True))}"


class Result(dict[str, Any]):
    """`{"total": n}` or `{"error": reason}`."""


def probe(call: Call) -> Call:
    """The cheapest call with the same hit count: one row, no choice of fields. Calls that share it run once.

    Where an API has no query language, its parameters' names say nothing about what they do: there it is the call.
    """
    if call.api.query_language == "none":
        return call
    spec, params = call.api.endpoints[call.endpoint].params, dict(call.params)
    for name in SHOWN_ONLY & params.keys():
        del params[name]
    if "size" in spec and call.query is not None:
        params["size"] = 1
    return replace(call, params=tuple((n, params[n]) for n in spec if n in params))


class Cache:
    """Results by canonical probe, one JSON line each, appended as they come. The first line names the executor."""

    def __init__(self, path: Path, executor: str) -> None:
        self.path, self.executor = path, executor
        self.known: dict[str, Result] = {}
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError:
            return
        if not lines or _loads(lines[0]).get("executor") != executor:
            return  # another service's answers: start again
        for line in lines[1:]:
            row = _loads(line)  # the last line may be cut: it is run again
            if isinstance(row.get("call"), str) and ("total" in row or "error" in row):
                self.known[row["call"]] = Result({k: v for k, v in row.items() if k != "call"})

    @contextmanager
    def adding(self) -> Iterator[Any]:
        """A function that records a result, on disk before it returns."""
        try:
            file = open(self.path, "w", encoding="utf-8")  # noqa: SIM115 - rewritten without cut lines
            with file:
                _write(file, {"executor": self.executor})
                for key, result in self.known.items():
                    _write(file, {"call": key, **result})
                file.flush()

                def add(key: str, result: Result) -> None:
                    self.known[key] = result
                    _write(file, {"call": key, **result})
                    file.flush()

                yield add
        except OSError as error:
            raise QuerywrightError(f"could not write {self.path}: {error.strerror}", hint="free some space") from error


def _loads(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def _write(file: Any, row: dict[str, Any]) -> None:
    file.write(json.dumps(row, ensure_ascii=False) + "\n")


def run_one(executor: Runs, call: Call) -> Result | QuerywrightError:
    """The hit count of a call, or why the service refused it; where it did not answer, that error: it is no verdict."""
    try:
        return Result(total=int(executor.run(call).total))
    except QuerywrightError as error:
        if isinstance(error, RefusedAddress):
            raise  # no call will be run there
        return error if error.retryable else Result(error=str(error)[:200])


def validate(calls: Sequence[Call], executor: Runs, cache: Cache, what: str = "run", workers: int = 1) -> list[Result]:
    """The result of each call, in order; what `cache` knows is not run again.

    A call that gets no answer is tried again when the others are done. Where the service answers others, and that call
    still not, it has failed; the run goes on.

    Raises:
        QuerywrightError: the service can't be reached; what was learned is kept, the same command goes on.
    """
    keys = [(probe(call).canonical, call) for call in calls]
    todo = {key: probe(call) for key, call in keys if key not in cache.known}
    if todo:
        with cache.adding() as add, ThreadPoolExecutor(max_workers=workers) as pool:
            later: list[str] = []
            answered, silent = "", 0
            for key, result in track(_results(executor, [*todo.items()], pool, workers), what, total=len(todo)):
                if isinstance(result, QuerywrightError):
                    later.append(key)
                    silent += 1
                    if silent >= PATIENCE:
                        raise result
                    continue
                answered, silent = key, 0
                add(key, result)
            for key in later:
                result = run_one(executor, todo[key])
                if isinstance(result, QuerywrightError):
                    if not answered or isinstance(run_one(executor, todo[answered]), QuerywrightError):
                        raise result
                    result = Result(error=f"no answer: {result}"[:200])
                add(key, result)
    return [cache.known[key] for key, _ in keys]


def _results(
    executor: Runs, todo: list[tuple[str, Call]], pool: ThreadPoolExecutor, workers: int
) -> Iterator[tuple[str, Result | QuerywrightError]]:
    for start in range(0, len(todo), BATCH):  # in batches, so that Ctrl-C waits for few
        batch = todo[start : start + BATCH]
        calls = (call for _, call in batch)
        found = (
            map(run_one, [executor] * len(batch), calls)
            if workers == 1
            else pool.map(lambda call: run_one(executor, call), calls)
        )
        yield from zip((key for key, _ in batch), found, strict=True)
