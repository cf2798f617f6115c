"""The server's fixtures.

`store`; `records` (the executor of mygene); `service` (two APIs, two models, one place each; see `fakes`);
`service_app` (REST, MCP and the page over them); `shared_service` and `shared_app` for tests that leave nothing behind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("gradio", reason="needs the extra serve")

from server import app
from server.keep.store import Store
from server.service import Service
from server.settings import KEEP_ALIVE_S
from tests.server.fakes import FakeRecords as FakeRecords
from tests.server.fakes import make_service as make_service


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "feedback.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def records() -> FakeRecords:
    return FakeRecords()


@pytest.fixture
def service(records: FakeRecords) -> Service:
    return make_service(records=records)


@pytest.fixture
def service_app(service: Service, store: Store) -> Any:
    return app.build(service, store)


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(tmp_path_factory.mktemp("shared") / "feedback.sqlite")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def shared_service() -> Service:
    return make_service()


@pytest.fixture(scope="session")
def shared_app(shared_service: Service, shared_store: Store) -> Any:
    """For tests that leave nothing behind: a page takes a second to build."""
    return app.build(shared_service, shared_store)


@pytest.fixture
def make() -> Callable[..., Service]:
    """`make_service`, which importlib mode gives no name for."""
    return make_service


@pytest.fixture
def serving() -> Iterator[Callable[[Any], str]]:
    """Serves ASGI applications on free ports, as uvicorn does; gives their addresses."""
    import uvicorn

    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(application: Any) -> str:
        sock = app.bind("127.0.0.1", 0)
        sock.listen(128)
        config = uvicorn.Config(
            application, access_log=False, ws="none", lifespan="on", timeout_keep_alive=KEEP_ALIVE_S,
            log_level="error", log_config=None,  # else it would keep the stream of one test
        )  # fmt: skip
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        until = time.monotonic() + 60
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        assert server.started
        running.append((server, thread))
        return app.url(sock, "127.0.0.1")

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(10)
