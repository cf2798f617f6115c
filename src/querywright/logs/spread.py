"""Spread tasks: in this process, over the cores of this machine, or over a Dask cluster, with the same result.

A task is a plain function of a small, plain specification. What it returns is small too; what is large lies in files
that every worker sees. A task may be run twice (Dask does that when a worker dies): it writes the same files again.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from querywright.errors import QuerywrightError, need

T = TypeVar("T")
S = TypeVar("S")
AHEAD = 2
"""Tasks handed out for each worker: one that runs and the next. More would hold more of standard input in memory."""


CONNECT_S = 4
"""Seconds in which a scheduler must answer."""
_ADDRESS = re.compile(r"(?:(?:tcp|tls|wss?)://)?(\[[^\]/]+\]|[^\[\]:/\s]+):(\d{1,5})/?")


def _knock(address: str) -> None:
    """See whether somebody answers at a scheduler's address: Dask itself takes long to say so, and leaves a traceback.

    Raises:
        OSError: nobody does.
        ValueError: it is no such address.
    """
    if address.partition("://")[0] in ("ucx", "inproc"):
        return
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise ValueError("it is no address with a port")
    with socket.create_connection((found[1].strip("[]"), int(found[2])), CONNECT_S) as connection:
        # a scheduler greets first; over TLS it waits for us
        if not address.startswith(("tls:", "ws")) and not connection.recv(1):
            raise OSError("what answers there is no scheduler")


class Crew:
    """Workers of one run. Use as a context manager; `map` gives results as they come, in no order.

    Args:
        workers: processes on this machine; 1 is this process itself.
        dask: the address of a scheduler; the cluster's workers are used then, and `workers` only says how many tasks
            are handed out at first.
    """

    def __init__(self, workers: int = 1, dask: str | None = None) -> None:
        self.workers, self.dask = workers, dask
        self._pool: Any = None
        self._client: Any = None

    def __enter__(self) -> Crew:
        if self.dask:
            distributed = need("distributed", extra="dask")
            try:
                _knock(self.dask)
                self._client = distributed.Client(self.dask, timeout=f"{CONNECT_S}s", set_as_default=False)
                self.workers = max(1, sum(self._client.nthreads().values()))
            except (OSError, ValueError, OverflowError) as error:
                raise QuerywrightError(
                    f"no Dask scheduler answers at {self.dask}: {error}",
                    hint="dask scheduler, then dask worker tcp://HOST:8786; --dask takes the scheduler's address",
                ) from error
        elif self.workers > 1:
            from concurrent.futures import ProcessPoolExecutor

            context = multiprocessing.get_context("spawn")  # no copies of the parent's threads and locks
            self._pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=_start)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._pool is not None:
            for process in [*(self._pool._processes or {}).values()] if kind else []:
                process.terminate()  # their results are not wanted any more
            self._pool.shutdown(wait=kind is None, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    @property
    def at_once(self) -> int:
        """How many tasks are handed out at a time."""
        return 1 if self._pool is None and self._client is None else self.workers * AHEAD

    def map(self, function: Callable[[S], T], specs: Iterable[S]) -> Iterator[T]:
        """Results of `function` for all of `specs`, as they come.

        Raises:
            QuerywrightError: a worker died, or what the function raises.
        """
        if self._client is not None:
            yield from self._on_dask(function, specs)
        elif self._pool is not None:
            yield from self._in_processes(function, specs)
        else:
            yield from map(function, specs)

    def _in_processes(self, function: Callable[[S], T], specs: Iterable[S]) -> Iterator[T]:
        from concurrent.futures import FIRST_COMPLETED, wait
        from concurrent.futures.process import BrokenProcessPool

        todo = iter(specs)
        running = {self._pool.submit(function, spec) for spec in islice(todo, self.workers * AHEAD)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {self._pool.submit(function, spec) for spec in islice(todo, len(done))}
            for future in done:
                try:
                    yield future.result()
                except BrokenProcessPool as error:
                    raise QuerywrightError(
                        "a worker process was killed, perhaps for want of memory",
                        hint="run the same command with fewer --workers",
                    ) from error

    def _on_dask(self, function: Callable[[S], T], specs: Iterable[S]) -> Iterator[T]:
        distributed = need("distributed", extra="dask")
        todo = iter(specs)
        # a result must not be found by its arguments: the files of an earlier run are gone
        first = [self._client.submit(function, s, pure=False, retries=2) for s in islice(todo, self.workers * AHEAD)]
        results = distributed.as_completed(first, loop=self._client.loop)
        for future in results:
            for spec in islice(todo, 1):
                results.add(self._client.submit(function, spec, pure=False, retries=2))
            try:
                yield future.result()
            except distributed.scheduler.KilledWorker as error:
                raise QuerywrightError(
                    f"the cluster's workers died of the same task: {error}", hint="look at their logs for the reason"
                ) from error


def _start() -> None:
    """What a worker process does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # it was killed: nobody waits for this task any more
