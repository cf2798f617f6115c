"""The assistant under load: a real server with a real model, asked more than it can answer.

    python benchmarks/load.py [--api mygene] [--seconds 180] [--times 10] [--slots 1] [--out FILE.json]
    python benchmarks/load.py --memory 10000 [--small]

One run prints everything, so that ratios hold on a busy machine:

alone       requests one after another: median and 95th percentile, and so the capacity (requests a second)
overload    requests at random moments (a Poisson process), `--times` the capacity: how many were answered, their 95th
            percentile against that of `alone` (goal: at most 1.5; `ratio_p95_later` leaves out the first 15 seconds, in
            which the queue takes a burst), and how fast the others were refused (429, with Retry-After; goal: 100 ms)
burst       as many at once as may wait: all are answered
gone        a client that hangs up: seconds until its place is free (goal: 1)
crash       the engine's process killed while one request is answered and two wait, twice: how many failed each time
            (goal: 1), and seconds until the next one was answered (goal: 10)
circuit     a third crash within the minute: what the next request is told
memory      resident memory of server and engine over `--memory` requests; `--small` keeps one layer of the model, which
            takes the same way through the server in less time
Needs the extras serve and eval, and psutil.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from querywright.api.definition import load
from querywright.progress import say, track

BURST = 15.0  # seconds
WARM = 4  # requests before the clock runs
ALONE = 40


@dataclass
class Server:
    """A running `querywright serve`."""

    url: str
    process: psutil.Process

    def engine(self) -> psutil.Process:
        """The engine's process."""
        for _ in range(200):
            for child in self.process.children():
                if "querywright.engines.inside" in child.cmdline():
                    return child
            time.sleep(0.05)
        raise SystemExit("the engine's process is not there")

    def memory(self) -> tuple[float, float]:
        """Resident memory of server and engine, MB."""
        return self.process.memory_info().rss / 1e6, self.engine().memory_info().rss / 1e6

    def metric(self, name: str) -> float:
        """A figure of /metrics, summed over its labels."""
        text = httpx.get(f"{self.url}/metrics").text
        return sum(float(v) for v in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))


@contextmanager
def served(api: str, folder: Path, *words: str, **limits: object) -> Iterator[Server]:
    """Start the server on a free port, and stop it."""
    env = {**os.environ, **{f"QUERYWRIGHT_LIMIT_{k.upper()}": str(v) for k, v in limits.items()}}
    command = [sys.executable, "-m", "querywright", "serve", "--api", api, "--port", "0",
               "--store", str(folder / "load.sqlite"), *words]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if not found:
            raise SystemExit(f"the server did not start: {line}")
        yield Server(found[0], psutil.Process(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def sentences(api: str, n: int) -> list[str]:
    """Sentences of some length, no two of them equal: the API's examples, each with another number at its end."""
    shown = (Path(load(api).folder) / "examples.txt").read_text(encoding="utf-8").split("\n")
    shown = [line.strip().rstrip(".") for line in shown if line.strip()]
    rng = random.Random(0)
    return [f"{rng.choice(shown)}, the first {rng.randrange(2, 900)} of them" for _ in range(n)]


async def ask(client: httpx.AsyncClient, api: str, sentence: str) -> tuple[int, float, str, float]:
    """Status, milliseconds, Retry-After, and when it was asked."""
    start = time.perf_counter()
    answer = await client.post("/v1/call", json={"api": api, "instruction": sentence})
    return answer.status_code, (time.perf_counter() - start) * 1000, answer.headers.get("retry-after", ""), start


def quantile(values: list[float], q: float) -> float:
    """A quantile of some values; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0


async def alone(server: Server, api: str) -> dict[str, float]:
    """One request after another."""
    asked = sentences(api, WARM + ALONE)
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        for sentence in asked[:WARM]:
            await ask(client, api, sentence)
        times = []
        for sentence in track(asked[WARM:], "alone"):
            status, ms, *_ = await ask(client, api, sentence)
            assert status == 200, status
            times.append(ms)
    mean = statistics.mean(times)
    return {"p50_ms": quantile(times, 0.5), "p95_ms": quantile(times, 0.95), "capacity_per_s": 1000 / mean}


async def overload(server: Server, api: str, rate: float, seconds: float) -> dict[str, float]:
    """Requests at `rate` a second, whether the others are answered or not."""
    rng = random.Random(1)
    asked = sentences(api, 4096)
    tasks: list[asyncio.Task[tuple[int, float, str, float]]] = []
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits) as client:
        start = time.perf_counter()
        due = start
        while (now := time.perf_counter()) - start < seconds:
            if now < due:
                await asyncio.sleep(due - now)
            tasks.append(asyncio.create_task(ask(client, api, asked[len(tasks) % len(asked)])))
            due += rng.expovariate(rate)
        done = await asyncio.gather(*tasks)
    accepted = [ms for status, ms, *_ in done if status == 200]
    later = [ms for status, ms, _, at in done if status == 200 and at - start > BURST]
    refused = [ms for status, ms, *_ in done if status == 429]
    return {
        "asked": len(done), "answered": len(accepted), "refused": len(refused),
        "others": len(done) - len(accepted) - len(refused),
        "with_retry_after": sum(bool(after) for status, _, after, _ in done if status == 429),
        "answered_p50_ms": quantile(accepted, 0.5), "answered_p95_ms": quantile(accepted, 0.95),
        "later_p95_ms": quantile(later, 0.95),
        "refused_p50_ms": quantile(refused, 0.5), "refused_p95_ms": quantile(refused, 0.95),
        "refused_p99_ms": quantile(refused, 0.99),
    }  # fmt: skip


async def burst(server: Server, api: str, n: int) -> dict[str, float]:
    """`n` requests at once, on a server that rests."""
    await asyncio.sleep(6)  # the queue is long again some time after the last refusal
    async with httpx.AsyncClient(base_url=server.url, timeout=120) as client:
        done = await asyncio.gather(*(ask(client, api, sentence) for sentence in sentences(api, n)))
    return {"asked": n, "answered": sum(status == 200 for status, *_ in done)}


async def gone(server: Server, api: str) -> dict[str, float]:
    """Hang up within an answer, several times; seconds until nobody is inside."""
    took = []
    for sentence in sentences(api, 5):
        body = json.dumps({"api": api, "instruction": sentence, "n": 8}).encode()  # long enough to be left
        host, port = server.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"POST /v1/call HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
                     f"content-length: {len(body)}\r\n\r\n".encode() + body)  # fmt: skip
        await writer.drain()
        while not server.metric("querywright_gate_inside"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        writer.close()
        start = time.perf_counter()
        while server.metric("querywright_gate_inside"):
            await asyncio.sleep(0.01)
        took.append(time.perf_counter() - start)
    return {"worst_s": max(took)}


async def crash(server: Server, api: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Kill the engine within a request; then twice more."""
    failed: list[int] = []
    back: list[float] = []
    asked = iter(sentences(api, 20))
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        for round_ in range(3):
            running = [asyncio.create_task(ask(client, api, next(asked))) for _ in range(3)]
            await asyncio.sleep(0.2)
            server.engine().kill()
            start, statuses = time.perf_counter(), []
            for answer in asyncio.as_completed(running):
                status, *_ = await answer
                if status == 200 and 200 not in statuses:
                    back.append(time.perf_counter() - start)
                statuses.append(status)
            if round_ < 2:
                failed.append(sum(status != 200 for status in statuses))
        answer = await client.post("/v1/call", json={"api": api, "instruction": next(asked)})
    told = answer.json().get("error", {})
    circuit = {"status": answer.status_code, "retry_after": answer.headers.get("retry-after", ""), **told}
    return {"failed": failed, "back_s": [round(s, 2) for s in back]}, circuit


async def memory(server: Server, api: str, n: int) -> dict[str, Any]:
    """`n` requests, two at a time; memory at each tenth of them."""
    asked = iter(sentences(api, n))
    seen = []

    async def some(client: httpx.AsyncClient, count: int) -> None:
        for _ in range(count):
            status, *_ = await ask(client, api, next(asked))
            assert status == 200, status

    async with httpx.AsyncClient(base_url=server.url, timeout=120) as client:
        for _ in track(range(10), "memory"):
            await asyncio.gather(*(some(client, n // 20) for _ in range(2)))
            seen.append(server.memory())
    return {"requests": n, "server_mb": [round(a, 1) for a, _ in seen], "engine_mb": [round(b, 1) for _, b in seen]}


def one_layer(path: Path) -> Path:
    """The packaged base with its first layer only."""
    import gguf

    from querywright.finetune.base import packaged_gguf

    reader = gguf.GGUFReader(packaged_gguf())
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(path, architecture)
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value = 1 if field.name == f"{architecture}.block_count" else field.contents()
        inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, value, field.types[0], sub_type=inner)
    for tensor in reader.tensors:
        layer = re.match(r"blk\.(\d+)\.", tensor.name)
        if layer is None or layer[1] == "0":
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def main() -> None:
    """Run what was asked for, print it, and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--api", default="mygene")
    parser.add_argument("--model", default="")
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--times", type=float, default=10)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--memory", type=int, default=0)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    words = ["--slots", str(options.slots), *(("--model", options.model) if options.model else ())]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.memory:
            if options.small:
                words += ["--model", str(one_layer(folder / "small.gguf"))]
            short = {"tokens": 16} if options.small else {}  # it knows nothing, and would write on and on
            with served(options.api, folder, *words, **short) as server:
                found["memory"] = asyncio.run(memory(server, options.api, options.memory))
            print("memory", json.dumps(found["memory"]))
        else:
            with served(options.api, folder, *words, per_client=1000) as server:
                found["alone"] = asyncio.run(alone(server, options.api))
                print("alone", json.dumps(found["alone"]))
                rate = options.times * found["alone"]["capacity_per_s"]
                say(f"overload: {rate:.1f} requests a second for {options.seconds:g} s")
                over = found["overload"] = asyncio.run(overload(server, options.api, rate, options.seconds))
                over["ratio_p95"] = over["answered_p95_ms"] / found["alone"]["p95_ms"]
                over["ratio_p95_later"] = over["later_p95_ms"] / found["alone"]["p95_ms"]
                print("overload", json.dumps(over))
                found["burst"] = asyncio.run(burst(server, options.api, 8))
                print("burst", json.dumps(found["burst"]))
                found["gone"] = asyncio.run(gone(server, options.api))
                print("gone", json.dumps(found["gone"]))
                found["crash"], found["circuit"] = asyncio.run(crash(server, options.api))
                print("crash", json.dumps(found["crash"]))
                print("circuit", json.dumps(found["circuit"]))
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
