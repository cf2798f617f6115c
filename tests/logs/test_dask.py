"""The same stage on a Dask cluster: the same bytes, also where a worker is killed in the middle."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from querywright.api.definition import load
from querywright.errors import QuerywrightError
from querywright.logs import spread
from querywright.logs.build import FILES, build
from querywright.logs.sign import sign

distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'querywright[dask]'")

API = load("mygene")
SAMPLE = Path(__file__).parents[2] / "data" / "samples" / "mygene_access.log.gz"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    import gzip

    path = tmp_path_factory.mktemp("log") / "a.log"
    path.write_bytes(b"".join(gzip.decompress(SAMPLE.read_bytes()).splitlines(keepends=True)[:12_000]))
    return str(path)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster


def test_a_killed_worker_changes_nothing(
    tmp_path: Path, log: str, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(API, [log], tmp_path / "plain")
    with distributed.Client(cluster, set_as_default=False) as client:
        victim = next(iter(client.run(os.getpid).values()))
    real, killed = spread.Crew.map, list[int]()

    def deadly(crew: spread.Crew, function: Any, specs: Any) -> Iterator[Any]:
        for found in real(crew, function, specs):
            if function is sign and not killed:  # when the first is done, and others are under way
                killed.append(victim)
                os.kill(victim, signal.SIGKILL)
            yield found

    monkeypatch.setattr(spread.Crew, "map", deadly)
    build(API, [log], tmp_path / "dask", dask=cluster.scheduler_address, shard_bytes=400_000)
    assert killed
    for name in FILES:
        assert (tmp_path / "dask" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:9", "127.0.0.1:9", "nowhere", "tcp://nobody.invalid:8786", "", "tcp://x:99999"]
)
def test_no_scheduler_is_said(tmp_path: Path, log: str, address: str) -> None:
    with pytest.raises(QuerywrightError, match="no Dask scheduler answers"):
        build(API, [log], tmp_path / "out", dask=address or " ")


def test_something_else_that_answers_is_no_scheduler(tmp_path: Path, log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(QuerywrightError, match=r"no Dask scheduler answers.*timed out"):
            build(API, [log], tmp_path / "out", dask=address)
