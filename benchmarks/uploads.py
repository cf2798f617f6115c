"""What an upload costs, against reading its bytes: ratios, since machines differ.

python benchmarks/uploads.py [--megabytes 8] [--files 100]; needs a server of its own folder, which it starts itself.

Prints: the time of one large upload (received, hashed, parsed, listed) as a multiple of parsing it alone and of hashing
it alone; the time of a small upload as a multiple of GET /health; and how much sooner many at once are done than one
after another.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from querywright.questions.chunks import read_chunks

CODE = """
import sys
from pathlib import Path
from server import app
from server.evaluation.settings import settings_of
from server.evaluation.start import service
sock = app.bind("127.0.0.1", int(sys.argv[1]))
settings = settings_of()
with service(settings) as application:
    app.run(application, sock, settings.limits)
"""


def timed(work: Callable[[], object], times: int = 5) -> float:
    """The median of some times, in seconds."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=8)
    parser.add_argument("--files", type=int, default=100)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        environment = {**os.environ, "QUERYWRIGHT_EVALUATION": folder, "QUERYWRIGHT_LIMIT_UPLOADING": "512",
                       "QUERYWRIGHT_LIMIT_UPLOADING_PER_TEAM": "512"}  # fmt: skip
        server = subprocess.Popen([sys.executable, "-c", CODE, str(port)], env=environment)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as client:
                until_up(client)
                measure(client, Path(folder), args.megabytes, args.files)
        finally:
            server.terminate()
            server.wait()


def until_up(client: httpx.Client) -> None:
    """Wait for the server, and for MLflow to be loaded: it would be measured too."""
    for _ in range(600):
        try:
            client.get("/health")
            client.get(f"/v1/evaluation/runs/{'0' * 32}")
            return
        except httpx.TransportError:
            time.sleep(0.2)
    raise SystemExit("the server did not start")


def measure(client: httpx.Client, folder: Path, megabytes: int, files: int) -> None:
    """Ask a server that runs, and print."""

    def post(body: bytes) -> None:
        client.post("/v1/evaluation/uploads?window-size=1000&window-step=1000", content=body).raise_for_status()

    n = megabytes * 1000
    bodies = [json.dumps([f"{at} {row} " + "words " * 165 for row in range(n)]).encode() for at in range(3)]
    file = folder / "document.json"
    file.write_bytes(bodies[0])
    large = statistics.median(timed(lambda body=body: post(body), 1) for body in bodies)  # type: ignore[misc]
    parsed, hashed = timed(lambda: read_chunks(file)), timed(lambda: hashlib.sha256(bodies[0]).digest())
    print(f"{len(bodies[0]) / 1e6:.1f} MB: {large / parsed:.2f} times parsing, {large / hashed:.1f} times hashing")
    health = timed(lambda: client.get("/health"), 50)
    small = [json.dumps([f"small {at}"]).encode() for at in range(2 * files)]
    start = time.perf_counter()
    for body in small[:files]:
        client.post("/v1/evaluation/uploads", content=body).raise_for_status()
    one_by_one = time.perf_counter() - start

    async def all_at_once() -> None:
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(base_url=client.base_url, timeout=600, limits=limits) as many:
            answers = await asyncio.gather(*(many.post("/v1/evaluation/uploads", content=b) for b in small[files:]))
        for answer in answers:
            answer.raise_for_status()

    together = timed(lambda: asyncio.run(all_at_once()), 1)
    print(f"a small one: {one_by_one / files / health:.1f} times GET /health")
    print(f"{files} at once: {one_by_one / together:.2f} times as fast as one after another")


if __name__ == "__main__":
    main()
