"""Logs to calls: how fast, next to what people use otherwise. One generated log, one run, a table of ratios.

    python benchmarks/logs.py                       # needs: pip install 'querywright[logs,bench]'; some ten minutes
    python benchmarks/logs.py --lines 100000        # a quick look
    python benchmarks/logs.py --memory 10GB         # 10 GB with one line of 1 GB, through standard input: peak memory

Ours does everything that `querywright logs build --no-validate` does: bots, probes, personal data, one client's share,
every distinct URL parsed, canonicalised and signed, sampling. The others do less:
  notebook    pandas.read_csv with the usual separator for access logs, then urlparse, parse_qs and a regular expression
              as signature for each row
  notebook, C the same with a blank as separator, which read_csv's fast engine takes
  duckdb      regexp_extract of the request line alone, nothing of the URL
  goaccess    its own counts of the same file (Debian: apt-get install goaccess); left out where it is not installed
The log has the request shapes of data/samples/mygene_access.log.gz; `--distinct` is its share of distinct URLs.
Processor time is compared, since a busy machine stretches the clock: read the ratios, of one run.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlparse

SAMPLE = Path(__file__).parents[1] / "data" / "samples" / "mygene_access.log.gz"
LINE = re.compile(rb'(\S+) - - \[[^\]]*\] ("[A-Z]+ )(\S+)( HTTP/[\d.]+" .*\n)')
NUMBER = re.compile(rb"(?<![%\w])\d{3,7}\b")
QUOTED_BLANKS = r'\s(?=(?:[^"]*"[^"]*")*[^"]*$)(?![^\[]*\])'
LITERAL = re.compile(r'"[^"]*"|(?<=:)[\w.*?-]+|[A-Za-z]*\d[\w.-]*')
REQUEST = r'"[A-Z]+ (\S+) HTTP'
SLOW_LINES = 200_000
"""The notebook gets so many lines: its time a line does not depend on their number."""


# ---- the log -------------------------------------------------------------------------------------------------------


def log_lines(n: int, distinct: float, seed: int = 1) -> Iterator[bytes]:
    """`n` lines of traffic: a few busy requests, a long tail, and a share of URLs that come only once."""
    rng = random.Random(seed)
    parts = [LINE.fullmatch(line) or line for line in gzip.decompress(SAMPLE.read_bytes()).splitlines(keepends=True)]
    rng.shuffle(parts)
    parts = parts[: max(200, int(n * distinct / 2))]
    varied = [p for p in parts if isinstance(p, re.Match) and NUMBER.search(p[3])]
    weights = list(accumulate(1 / (i + 20) ** 0.9 for i in range(len(parts))))
    clients = sorted({p[1] for p in parts if isinstance(p, re.Match)})
    busy = list(accumulate(1 / (i + 3) ** 0.85 for i in range(len(clients))))
    once = max(0.0, distinct - 0.7 * len(parts) / n)
    for start in range(0, n, 10_000):
        k = min(10_000, n - start)
        stamp = time.strftime("%d/%b/%Y:%H:%M:%S", time.gmtime(1_772_409_600 + start // 5)).encode()
        drawn = rng.choices(parts, cum_weights=weights, k=k)
        for part, client in zip(drawn, rng.choices(clients, cum_weights=busy, k=k), strict=True):
            if rng.random() < once:
                part = rng.choice(varied)
                path = NUMBER.sub(b"%d" % rng.randrange(10**8), part[3], count=1)
            elif isinstance(part, bytes):
                yield part
                continue
            else:
                path = part[3]
            yield b"%b - - [%b +0000] %b%b%b" % (client, stamp, part[2], path, part[4])


# ---- the others ----------------------------------------------------------------------------------------------------


def signature(request: object) -> tuple[object, ...] | None:
    """What a notebook makes of a request line: the path and the parameters with their literals masked."""
    words = str(request).split(" ")
    if len(words) < 2:
        return None
    url = urlparse(words[1])
    return url.path, *((name, LITERAL.sub("<v>", values[0])) for name, values in sorted(parse_qs(url.query).items()))


def notebook(path: str, engine: str) -> None:
    """pandas.read_csv, then each row."""
    import pandas

    how = {"sep": QUOTED_BLANKS, "engine": "python"} if engine == "python" else {"sep": " ", "engine": "c"}
    frame = pandas.read_csv(path, header=None, on_bad_lines="skip", encoding="latin-1", **how)  # type: ignore[call-overload]
    requests = frame[4 if engine == "python" else 5]
    print(requests.map(signature).value_counts().head())


def duck(path: str) -> None:
    """The request line alone."""
    import duckdb

    lines = f"read_csv('{path}', columns={{'line': 'VARCHAR'}}, delim='\\x01', quote='', escape='', header=false, "
    lines += "strict_mode=false, ignore_errors=true, auto_detect=false)"
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    query = f"SELECT count(DISTINCT regexp_extract(line, '{REQUEST}', 1)) FROM {lines}"
    print(connection.execute(query).fetchone())


# ---- timing --------------------------------------------------------------------------------------------------------


class Cost(NamedTuple):
    """What a command took: seconds by the clock, processor seconds, peak memory in MiB (0: not looked at)."""

    wall: float
    cpu: float
    memory: float


def timed(command: list[str]) -> Cost:
    """Run a command; its processor time is that of all its processes."""
    start = time.perf_counter()
    before = os.times()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    wall, after = time.perf_counter() - start, os.times()
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr.decode()[-2000:]}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(wall, used, 0)


def ours(log: str, out: Path, workers: int) -> list[str]:
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-c", "from querywright.cli import main; main()", "logs", "build", "--api", "mygene"]
    return [*command, log, "--no-validate", "--json", "--workers", str(workers), "--out", str(out)]


def table(lines: int, distinct: float) -> None:
    """Everything on one log."""
    with tempfile.TemporaryDirectory() as folder:
        log, part = os.path.join(folder, "access.log"), os.path.join(folder, "part.log")
        few = min(lines, SLOW_LINES)
        urls = set()
        with open(log, "wb") as whole, open(part, "wb") as first:
            for n, line in enumerate(log_lines(lines, distinct)):
                whole.write(line)
                if n < few:
                    first.write(line)
                urls.add(line.split(b'"', 2)[1].split(b" ")[1] if b'" ' in line and b"GET /" in line else b"")
        size = os.path.getsize(log)
        share = f"{len(urls):,} distinct URLs ({len(urls) / lines:.1%})"
        print(f"\n{lines:,} lines, {size / 1e6:.0f} MB, {share}", end="; ")
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
        this = [sys.executable, __file__, "--run"]
        rows: list[tuple[str, int, list[str]]] = [
            ("ours, 1 worker", lines, ours(log, Path(folder) / "1", 1)),
            ("ours, 2 workers", lines, ours(log, Path(folder) / "2", 2)),
            ("notebook", few, [*this, "notebook", part]),
            ("notebook, C", few, [*this, "notebook-c", part]),
            ("duckdb, line alone", lines, [*this, "duckdb", log]),
        ]
        if shutil.which("goaccess"):
            html = os.path.join(folder, "report.json")
            rows.append(("goaccess", lines, ["goaccess", log, "--log-format=COMBINED", "--no-progress", "-o", html]))
        else:
            print("goaccess is not installed (apt-get install goaccess): left out")
        found = {}
        print(f"{'':20} {'lines/s':>10} {'µs/line of a core':>18} {'ours is':>9}", flush=True)
        for name, n, command in rows:
            found[name] = cost = timed(command)
            each = cost.cpu / n * 1e6
            mine = found["ours, 1 worker"].cpu / lines * 1e6
            ratio = f"{each / mine:8.1f}×" if not name.startswith("ours") else ""
            print(f"{name:20} {n / cost.wall:10,.0f} {each:18.2f} {ratio:>9}", flush=True)


# ---- memory --------------------------------------------------------------------------------------------------------


def feed(size: int) -> None:
    """A log of `size` bytes on standard output: 1 % of the URLs are new, and a tenth of it is one line."""
    out = sys.stdout.buffer
    block = list(log_lines(100_000, 0.02))
    new = b'192.0.2.%d - - [02/Mar/2026:08:16:53 +0000] "GET /v3/query?q=A@@@@@@@%03d HTTP/1.1" 200 9 "-" "curl/8"\n'
    for i in range(1000):
        block[i * 100] = new % (i % 250, i)
    whole = b"".join(block)
    long, written, number = size // 10, 0, 0
    while written < size:
        out.write(whole.replace(b"@@@@@@@", b"%07d" % number))
        written += len(whole)
        number += 1
        if long and written > size // 2:
            for _ in range(long >> 20):
                out.write(b"x" * (1 << 20))
            out.write(b"\n")
            written, long = written + long, 0
    out.flush()


def peaks(pid: int, found: dict[int, float]) -> None:
    """Peak memory so far (MiB) of a process and of all below it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        helper = b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return
    if helper:  # of the standard library, which cleans up after the workers
        return
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    found[pid] = float(peak[1]) / 1024 if peak else 0.0
    for child in below:
        peaks(int(child), found)


def memory(size: int, workers: int) -> None:
    """Feed a log of `size` bytes through standard input, and say how much memory each process took."""
    found: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        with (
            subprocess.Popen([sys.executable, __file__, "--feed", str(size)], stdout=subprocess.PIPE) as source,
            subprocess.Popen(ours("-", Path(folder) / "out", workers), stdin=source.stdout, text=True,
                             stdout=subprocess.PIPE) as process,
        ):  # fmt: skip
            if source.stdout:
                source.stdout.close()
            ended = threading.Event()

            def watch() -> None:
                while not ended.wait(0.2):
                    peaks(process.pid, found)

            watcher = threading.Thread(target=watch)
            watcher.start()
            report, _ = process.communicate()
            ended.set()
            watcher.join()
        took = time.perf_counter() - start
    print(report.strip())
    parent = found.pop(process.pid, 0.0)
    print(f"{size / 1e9:.1f} GB, one line of {size / 1e10:.2f} GB, {workers} workers: {took:.0f} s")
    print(f"peak memory of the command {parent:.0f} MiB, of its workers {[round(m) for m in found.values()]} MiB")


def bytes_of(text: str) -> int:
    """`10GB`, `300MB`."""
    found = re.fullmatch(r"(\d+)\s*([KMG]?)B?", text.upper())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size, such as 10GB")
    return int(found[1]) * 1000 ** " KMG".index(found[2] or " ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--distinct", type=float, nargs="*", default=[0.01, 0.05], help="shares of distinct URLs")
    parser.add_argument("--memory", type=bytes_of, help="feed so much and say the peak memory, instead of the table")
    parser.add_argument("--workers", type=int, default=2, help="with --memory")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--feed", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        kind, path = args.run
        duck(path) if kind == "duckdb" else notebook(path, "python" if kind == "notebook" else "c")
    elif args.feed:
        feed(args.feed)
    elif args.memory:
        memory(args.memory, args.workers)
    else:
        for distinct in args.distinct:
            table(args.lines, distinct)


if __name__ == "__main__":
    main()
