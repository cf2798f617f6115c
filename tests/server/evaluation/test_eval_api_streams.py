"""Bodies over a socket: large ones, slow ones, ones that end half-way, and two hundred at once."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from server.evaluation import receive, start
from server.evaluation.desk import SENDING_OF_A_TEAM
from server.evaluation.quotas import Quotas
from server.evaluation.receive import keep_sweeping, received, sweep
from server.settings import Limits
from tests.server.evaluation.api_parts import BASE, served, settings_in

UPLOADS = f"{BASE}/uploads"
Serving = Callable[[Any], str]
WAIT_S = 300  # the machine may be busy
get, post = partial(httpx.get, timeout=WAIT_S), partial(httpx.post, timeout=WAIT_S)


def until(found: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < end
        time.sleep(0.02)


def dial(url: str, *head: str) -> socket.socket:
    """A connection that has sent the head of an upload."""
    host, port = url.removeprefix("http://").split(":")
    sock = socket.create_connection((host, int(port)), timeout=WAIT_S)
    sock.sendall("\r\n".join((f"POST {UPLOADS} HTTP/1.1", f"Host: {host}:{port}", *head, "", "")).encode())
    return sock


def test_a_client_that_hangs_up_leaves_nothing(tmp_path: Path, serving: Serving) -> None:
    with served(settings_in(tmp_path)) as made:
        url = serving(made.app)
        for head in ("Content-Length: 1000000", "Transfer-Encoding: chunked"):
            sock = dial(url, head)
            sock.sendall(b"7D0\r\n" + b"x" * 2000 + b"\r\n" if "chunked" in head else b"x" * 300_000)
            until(lambda: len(made.files()) == 1)
            sock.close()
            until(lambda: not made.files())
        assert made.table.listed() == []
        assert get(f"{url}{UPLOADS}").json()["uploads"] == []


def test_a_body_that_drips_is_given_up(tmp_path: Path, serving: Serving) -> None:
    with served(settings_in(tmp_path, stall_s=1)) as made:
        sock = dial(serving(made.app), "Content-Length: 1000")
        sock.sendall(b"[")
        answer = sock.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in answer.lower()
        assert made.files() == []
        sock.close()


def test_a_body_that_is_too_large_is_told_so_and_kept_nowhere(tmp_path: Path, serving: Serving) -> None:
    with served(settings_in(tmp_path, upload_bytes=500_000)) as made:
        url = serving(made.app)
        told = post(f"{url}{UPLOADS}", content=b"x" * 900_000)
        without_length = post(f"{url}{UPLOADS}", content=(b"x" * 100_000 for _ in range(9)))
        assert told.status_code == without_length.status_code == 413
        assert without_length.json()["error"]["code"] == "upload_too_large"
        assert made.files() == []


def test_who_is_refused_before_the_body_is_told_why(tmp_path: Path, serving: Serving) -> None:
    with served(settings_in(tmp_path), ("alpha",)) as made:
        url = serving(made.app)
        body, headers = b"x" * 20_000_000, {"authorization": f"Bearer {made.tokens['alpha']}"}
        with httpx.Client(timeout=WAIT_S) as client:
            for more, status in ({"window-size": "x"}, 422), ({"content-encoding": "gzip"}, 415):
                assert client.post(f"{url}{UPLOADS}", content=body, headers=headers | more).status_code == status
            assert client.get(f"{url}{UPLOADS}", headers=headers).status_code == 200
        assert made.files() == []


def test_a_large_body_is_never_whole_in_memory(tmp_path: Path) -> None:
    pieces, size = 1024, 65536

    async def post() -> tuple[str, int]:
        left = pieces

        async def receive() -> dict[str, Any]:
            nonlocal left
            left -= 1
            return {"type": "http.request", "body": bytes(size), "more_body": left > 0}

        request = Request({"type": "http", "method": "POST", "headers": []}, receive)
        quotas = Quotas(keep_free_bytes=0)
        with ThreadPoolExecutor(1) as threads:
            async with received(request, tmp_path, pieces * size, quotas, Limits(), threads) as file:
                return file.sha, file.path.stat().st_size

    tracemalloc.start()
    try:
        found = asyncio.run(post())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == (sha256(bytes(pieces * size)).hexdigest(), pieces * size)
    assert peak < 4 * 2**20, f"{peak:,} bytes for a body of {pieces * size:,}"
    assert list(tmp_path.iterdir()) == []


def test_places_are_refused_with_a_time_to_come_back(tmp_path: Path, serving: Serving) -> None:
    with served(settings_in(tmp_path, uploading_per_team=1), ("alpha", "beta")) as made:
        url = serving(made.app)
        as_team = {team: {"authorization": f"Bearer {token}"} for team, token in made.tokens.items()}
        sock = dial(url, "Content-Length: 10", f"Authorization: {as_team['alpha']['authorization']}")
        sock.sendall(b'["a"')
        until(lambda: len(made.files()) == 1)
        busy = post(f"{url}{UPLOADS}", content=b'["b"]', headers=as_team["alpha"])
        assert (busy.status_code, busy.json()["error"]["code"]) == (429, "busy")
        assert int(busy.headers["retry-after"]) > 0
        assert post(f"{url}{UPLOADS}", content=b'["b"]', headers=as_team["beta"]).status_code == 201
        sock.sendall(b', "c"')
        sock.sendall(b"]")
        sock.close()
        until(lambda: post(f"{url}{UPLOADS}", content=b'["d"]', headers=as_team["alpha"]).status_code == 201)


def test_two_hundred_at_once(tmp_path: Path, serving: Serving) -> None:
    """Forty documents, each posted five times, by two teams: forty files; a listing and a job a team and document."""
    bodies = [json.dumps([f"document {n}", "x" * 5000 * (n % 7)]).encode() for n in range(40)]
    posts = [(n, ("alpha", "beta")[(n + again) % 2]) for again in range(5) for n in range(40)]
    answers: list[tuple[int, str, int, str]] = []
    lock = threading.Lock()
    with served(settings_in(tmp_path, uploading=24, uploading_per_team=16), ("alpha", "beta")) as made:
        url = serving(made.app)

        async def post(client: httpx.AsyncClient, n: int, team: str) -> None:
            headers = {"authorization": f"Bearer {made.tokens[team]}", "content-type": "application/json"}
            while True:
                answer = await client.post(f"{url}{UPLOADS}", content=bodies[n], headers=headers)
                if answer.status_code != 429:
                    break
                await asyncio.sleep(0.25 * int(answer.headers["retry-after"]))
            with lock:
                answers.append((n, team, answer.status_code, answer.json()["recording"]))

        async def everyone() -> None:
            async with httpx.AsyncClient(limits=httpx.Limits(max_connections=200), timeout=WAIT_S) as client:
                await asyncio.gather(*(post(client, n, team) for n, team in posts))

        asyncio.run(everyone())
        assert len(answers) == 200
        assert {status for _, _, status, _ in answers} == {200, 201}
        pairs = {(n, team) for n, team in posts}
        assert sum(status == 201 for _, _, status, _ in answers) == len(pairs)
        assert len({job for _, _, _, job in answers}) == len(made.table.listed(most=1000)) == len(pairs)
        assert {path.name for path in made.files()} == {sha256(body).hexdigest() for body in bodies}
        assert all(sha256(path.read_bytes()).hexdigest() == path.name for path in made.files())
        assert [len(made.shelf.listed(team, 1000)) for team in ("alpha", "beta")] == [40, 40]


def test_posts_and_deletions_of_one_file_at_once(tmp_path: Path, serving: Serving) -> None:
    """Whoever has it listed has it on disk, and when nobody has, it is gone."""
    with served(settings_in(tmp_path), ("alpha", "beta")) as made:
        url = serving(made.app)
        headers = [{"authorization": f"Bearer {made.tokens[team]}"} for team in ("alpha", "beta")]
        clients = [httpx.Client(base_url=url, headers=one, timeout=WAIT_S) for one in headers]
        sha = sha256(b'["a"]').hexdigest()

        def go(at: int) -> set[int]:
            client, seen = clients[at % 2], set()
            for _ in range(12):
                seen.add(client.post(UPLOADS, content=b'["a"]').status_code)
                seen.add(client.delete(f"{UPLOADS}/{sha}").status_code)
            return seen

        with ThreadPoolExecutor(4) as threads:
            seen = set().union(*threads.map(go, range(4)))
        assert seen <= {200, 201, 204, 404}
        listed = [client.get(f"{UPLOADS}/{sha}").status_code == 200 for client in clients]
        assert made.settings.upload_file(sha).is_file() == any(listed)


def test_what_a_killed_server_left_is_swept(tmp_path: Path) -> None:
    old, new, upload = (tmp_path / name for name in ("incoming-old", "incoming-new", "07"))
    for path in (old, new, upload):
        path.write_text("x")
    os.utime(old, (1, 1))
    os.utime(upload, (1, 1))
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["07", "incoming-new"]


def test_what_is_swept_while_the_server_runs_is_never_a_body_on_its_way(tmp_path: Path, serving: Serving) -> None:
    with served(settings_in(tmp_path)) as made, ThreadPoolExecutor(1) as thread:
        url, stop = serving(made.app), threading.Event()
        sweeping = thread.submit(keep_sweeping, made.shelf, stop, 0.01)
        try:
            sock = dial(url, "Content-Length: 10")
            sock.sendall(b'["a"')
            until(lambda: len(made.files()) == 1)
            (coming,) = made.files()
            os.utime(coming, (1, 1))
            left = coming.with_name("incoming-left")  # by a server that was killed when this one ran already
            left.write_text("x")
            os.utime(left, (1, 1))
            until(lambda: not left.exists())
            assert made.files() == [coming]
            sock.sendall(b', "b"')
            sock.sendall(b"]")
            assert sock.recv(12) == b"HTTP/1.1 201"
            sock.close()
        finally:
            stop.set()
        sweeping.result(30)


def test_the_service_sweeps_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "_warm", lambda tracking: None)
    monkeypatch.setattr(receive.keep_sweeping, "__defaults__", (0.01,))
    settings = settings_in(tmp_path)
    settings.uploads.mkdir()
    left = settings.uploads / "incoming-left"
    with start.service(settings):
        for _ in range(2):
            left.write_text("x")
            os.utime(left, (1, 1))
            until(lambda: not left.exists())


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    with served(settings_in(tmp_path, keep_free_bytes=10**15)) as made:
        answer = made.client().post(UPLOADS, content=b'["a"]')
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "disk_full")
        assert "1,000,000,000,000,000 bytes" in answer.json()["error"]["message"]
        assert answer.headers["retry-after"]


def test_a_full_disk_takes_no_jobs(tmp_path: Path) -> None:
    with served(settings_in(tmp_path, keep_free_bytes=0)) as made:
        told = made.client().post(UPLOADS, content=b'[{"name": "a"}]', params={"model": "rules"}).json()
        job = f"{BASE}/jobs/{told['job']}"
        assert made.client().post(f"{job}/cancel").status_code == 200
    with served(settings_in(tmp_path, keep_free_bytes=10**15)) as made:
        client, asked = made.client(), {"upload": told["upload"], "seed": 1}
        for answer in client.post(f"{BASE}/generations", json=asked), client.post(f"{job}/retry"):
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "disk_full")
        assert client.get(job).json()["state"] == "cancelled"
        assert len(made.table.listed()) == 2


def test_uploads_in_postgresql(tmp_path: Path) -> None:
    """The same tables in a server: two teams, one file, posted and deleted by eight threads."""
    from dataclasses import replace

    from server.evaluation.shelf import Full, Listed, NoUpload, Shelf
    from tests.postgres import postgresql

    with postgresql() as url:
        shelf = Shelf(replace(settings_in(tmp_path, uploads_per_team=3), jobs=url))
        body, sha = b'["a"]', sha256(b'["a"]').hexdigest()
        new = Listed(sha, "caf\u00e9\0", "json", len(body), 1, 1, 1, 1.0)

        def go(at: int) -> None:
            team = ("alpha", "beta")[at % 2]
            for again in range(6):
                file = tmp_path / f"incoming-{at}-{again}"
                file.write_bytes(body)
                assert shelf.add(team, new, file)[0].chunks == 1
                file.unlink(missing_ok=True)
                with suppress(NoUpload):
                    shelf.remove(team, sha)

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(go, range(8)))
        assert shelf.totals() == (0, 0, 0)
        Shelf(shelf.settings).close()  # a second server
        assert not shelf.settings.upload_file(sha).exists()
        added = 0
        for n in range(4):
            file = tmp_path / f"incoming-{n}"
            file.write_bytes(body + b" " * n)
            with suppress(Full):
                shelf.add("alpha", replace(new, sha=sha256(file.read_bytes()).hexdigest()), file)
                added += 1
        assert (added, len(shelf.listed("alpha", 10))) == (3, 3)
        assert shelf.listed("alpha", 1)[0].name == "caf\u00e9\ufffd"
        shelf.remove("alpha", new.sha)
        full = Shelf(replace(shelf.settings, quotas=replace(shelf.quotas, recorded_bytes=2 * len(body))))
        file.write_bytes(b'["b"]')
        with pytest.raises(Full, match="deleted ones included"):
            full.add("alpha", replace(new, sha=sha256(b'["b"]').hexdigest()), file)
        file.write_bytes(body)
        assert full.add("alpha", new, file)[1]
        full.close()
        shelf.close()


def test_rows_that_nobody_takes_hold_places_that_are_given_back(tmp_path: Path, serving: Serving) -> None:
    with served(settings_in(tmp_path)) as made:
        url, run = serving(made.app), "a" * 32
        made.tracking.runs[run] = ("local", "data_generation", [{"question": "x" * 100_000}] * 200)
        path = f"{BASE}/runs/{run}/rows"
        host, port = url.removeprefix("http://").split(":")
        slow = []
        for _ in range(SENDING_OF_A_TEAM):
            sock = socket.socket()
            sock.settimeout(WAIT_S)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect((host, int(port)))
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            assert sock.recv(12) == b"HTTP/1.1 200"
            slow.append(sock)
        refused = get(f"{url}{path}")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
        assert get(f"{url}{BASE}/runs/{run}").status_code == 200
        for sock in slow:
            sock.close()
        until(lambda: get(f"{url}{path}").status_code == 200)
        assert len(get(f"{url}{path}").text.splitlines()) == 200
        missing = f"{url}{BASE}/runs/{'b' * 32}/rows"  # what is refused holds no place
        assert {get(missing).status_code for _ in range(SENDING_OF_A_TEAM + 1)} == {404}
        assert get(f"{url}{path}").status_code == 200
