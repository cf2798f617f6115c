"""Logs at scale: no way of cutting a log up changes the result, one client steers nothing, memory stays bounded."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querywright.api.definition import load
from querywright.errors import QuerywrightError
from querywright.logs import choose, shard, spill, tally
from querywright.logs.build import FILES, SCRATCH, build
from querywright.logs.spill import PARTITIONS, Run, Spill, grouped, read
from querywright.logs.tally import Clients, Tally, merge, total

API = load("mygene")


def line(path: str, ip: int = 1, status: int = 200, agent: str = "curl/8.5.0", method: str = "GET") -> str:
    stamp = "02/Mar/2026:08:16:53 +0000"
    return f'192.0.2.{ip} - jane [{stamp}] "{method} {path} HTTP/1.1" {status} 40 "https://jane.example" "{agent}"'


def traffic(n: int, seed: int = 3) -> list[str]:
    """Lines of all kinds, from 40 clients."""
    r = random.Random(seed)
    paths = [f"/v3/query?q=symbol:A{i}" for i in range(60)] + [f"/v3/gene/{i}?fields=go" for i in range(1, 40)]
    paths += ["/v3/query?q=_exists_:pdb&fetch_all=true", "/favicon.ico", "/status", "/v3/query?q=(a", "/v3/gene/"]
    rows = []
    for _ in range(n):
        status, agent = r.choice([200] * 9 + [404]), r.choice(["curl/8.5.0", "CCBot/2.0"])
        row = line(r.choice(paths), r.randint(1, 40), status, agent)
        rows.append(r.choice([row] * 20 + [row[:40], "", "\x16\x03\x01"]))
    return rows


def write(path: Path, lines: list[str]) -> str:
    path.write_bytes("\n".join(lines).encode() + b"\n")
    return str(path)


def make(source: str | list[str], out: Path, **options: Any) -> dict[str, bytes]:
    """All bytes that a run writes."""
    sources = [source] if isinstance(source, str) else source
    build(API, sources, out, rejects=out / "rejects.jsonl", per_signature=8, per_client=2, **options)
    return {name: (out / name).read_bytes() for name in (*FILES, "rejects.jsonl")}


def kept(out: Path, name: str = "calls.jsonl") -> list[dict[str, Any]]:
    return [json.loads(row) for row in (out / name).read_text().splitlines()]


# ---- the same bytes, however the work is cut up ------------------------------------------------------------------


def test_shards_workers_and_runs_on_disk_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write(tmp_path / "a.log", traffic(6000))
    whole = make(log, tmp_path / "whole")
    assert whole["calls.jsonl"].count(b"\n") > 10
    assert make(log, tmp_path / "shards", shard_bytes=20_000) == whole
    monkeypatch.setattr("querywright.logs.build.SMALL_BYTES", 0)
    assert make(log, tmp_path / "workers", shard_bytes=100_000, workers=2) == whole
    monkeypatch.setattr(shard, "HELD_BYTES", 30_000)
    monkeypatch.setattr(spill, "RUN_BYTES", 4_000)
    monkeypatch.setattr(spill, "FAN_IN", 3)
    assert make(log, tmp_path / "spilled", shard_bytes=300_000) == whole
    assert not list(tmp_path.glob(f"*/{SCRATCH}*"))


@settings(max_examples=12)
@given(seed=st.integers(0, 999), size=st.integers(200, 20_000), held=st.sampled_from([2_000, 10**8]))
def test_any_cut_gives_the_same(tmp_path_factory: Any, seed: int, size: int, held: int) -> None:
    folder = tmp_path_factory.mktemp("cut")
    lines = traffic(300, seed)
    whole = make(write(folder / "a.log", lines), folder / "whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard, "HELD_BYTES", held)
        cut = make(str(folder / "a.log"), folder / "cut", shard_bytes=size)
    assert cut == whole
    random.Random(seed).shuffle(lines)
    other = make(write(folder / "b.log", lines), folder / "other")
    assert other["calls.jsonl"] == whole["calls.jsonl"]
    assert other["dropped.json"] == whole["dropped.json"]


counts = st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)).map(Counter)
runs = st.lists(st.sampled_from([Run(name, (0, 1)) for name in "xyz"]), unique=True).map(sorted).map(tuple)
tallies = st.builds(Tally, st.just({}), counts, counts, counts, runs, runs)


@given(tallies, tallies, tallies)
def test_merging_has_no_order(a: Tally, b: Tally, c: Tally) -> None:
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c)) == total([c, a, b])
    assert merge(a, Tally()) == a


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "a\tb", "é\n", "\\"]), st.integers(0, 9)), max_size=60))
def test_spilled_lines_come_back_in_groups(tmp_path_factory: Any, items: list[tuple[str, int]]) -> None:
    folder = str(tmp_path_factory.mktemp("runs"))
    with Spill(folder, "x", limit=100) as out:
        for key, n in items:
            out.add(spill.partition_of(key), f"{spill.pack(key)}\t{n}")
    found: dict[str, list[int]] = {}
    for p in range(PARTITIONS):
        for (key,), rows in grouped(read(out.runs, p), 1):
            assert json.loads(key) not in found
            found[json.loads(key)] = sorted(int(n) for (n,) in rows)
    assert found == {key: sorted(n for k, n in items if k == key) for key, _ in items}


def test_what_a_killed_run_left_behind_goes(tmp_path: Path) -> None:
    stale = tmp_path / "out" / f"{SCRATCH}abc"
    stale.mkdir(parents=True)
    (stale / "urls-0.run").write_text("192.0.2.1")
    make(write(tmp_path / "a.log", traffic(300)), tmp_path / "out")
    assert not stale.exists()


# ---- one client ----------------------------------------------------------------------------------------------------


def test_a_signature_needs_two_clients_unless_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = [line(f"/v3/query?q=symbol:Z{i}&sort=-symbol", ip=7) for i in range(500)]
    both = [line("/v3/query?q=symbol:CDK2", ip) for ip in (1, 2)]
    log = write(tmp_path / "a.log", alone + both)
    report = build(API, [log], tmp_path / "out")
    assert [(r["path"], r["clients"]) for r in kept(tmp_path / "out")] == [("/v3/query?q=symbol:CDK2", 2)]
    assert report["single_client"] == {"signatures": 1, "calls": 500, "lines": 500}
    assert report["calls"] == 501 == report["kept"] + report["not_sampled"] + 500
    assert "--keep-single-client keeps them" in capsys.readouterr().err
    report = build(API, [log], tmp_path / "out", keep_single_client=True, per_client=4)
    assert report["kept_signatures"] == 2
    assert report["kept"] == 1 + 4
    with pytest.raises(QuerywrightError, match="one client alone"):
        build(API, [write(tmp_path / "b.log", alone)], tmp_path / "b")


def test_one_client_gives_at_most_k_calls_and_no_more_weight_than_the_others(tmp_path: Path) -> None:
    flood = [line(f"/v3/query?q=symbol:FLOOD{i}", ip=66) for i in range(400)] * 5
    others = [line(f"/v3/query?q=symbol:A{i}", ip=i % 9) for i in range(90)]
    build(API, [write(tmp_path / "a.log", flood + others)], tmp_path / "out", per_signature=100, per_client=5)
    rows = kept(tmp_path / "out")
    assert sum("FLOOD" in r["path"] for r in rows) == 5
    assert sum("FLOOD" not in r["path"] for r in rows) == 9 * 5
    assert sum(r["weight"] for r in rows) == pytest.approx(90 + 90, abs=0.01)


def test_weights_are_the_traffic_where_nobody_dominates(tmp_path: Path) -> None:
    often = [line(f"/v3/query?q=symbol:A{i % 50}", ip=i % 7) for i in range(700)]
    rare = [line("/v3/query?q=_exists_:pdb", ip=ip) for ip in (1, 2, 3)]
    build(API, [write(tmp_path / "a.log", often + rare)], tmp_path / "out", per_signature=5)
    weights: Counter[str] = Counter()
    for row in kept(tmp_path / "out"):
        weights[row["signature"]] += row["weight"]
    assert sorted(weights.values()) == [3, 700]


def test_logs_that_do_not_name_clients_are_used_and_it_is_said(tmp_path: Path, capsys: Any) -> None:
    log = write(tmp_path / "a.log", [f"/v3/query?q=symbol:A{i}" for i in range(40)])
    report = build(API, [log], tmp_path / "out", per_signature=30, per_client=1)
    assert (report["kept"], report["without_client"]) == (30, 40)
    assert "do not say which client asked" in capsys.readouterr().err


def test_clients_beyond_the_bound_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MOST_CLIENTS", 3)
    clients = Clients()
    for i in range(10):
        clients.add(f"c{i}", 2)
    assert (len(clients.by), clients.lines, clients.over) == (3, 20, True)
    again = Clients()
    assert again.read(clients.write()) == 20
    assert again.lines == 20
    assert choose._room(clients, Clients(), 1)


# ---- hostile logs through the real command ------------------------------------------------------------------------


CLI = [sys.executable, "-c", "from querywright.cli import main; main()", "logs", "build", "--api", "mygene"]


def cli(*args: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*CLI, *map(str, args)], capture_output=True, timeout=300, check=False, **options)


HOSTILE = [
    b"", b"\x00" * 70, b"\x16\x03\x01\x00\xf6\xff\xfe", b"x" * 1_000_000, b"\xff" * 100, b"\\x", b'"', b'"""""""',
    line("/v3/query?q=%").encode(), line("/v3/query?q=%E2%82").encode(), line("/v3/query?q=\\x2").encode(),
    line("/v3/query?q=\\ud800").encode(), line("/v3/query?q=" + "(" * 9000).encode(), line("GET " * 9000).encode(),
    line("/v3/query?q=a", method="\\x16\\x03").encode(), line("/v3/query?q=\\x00\\x01").encode(),
    b'{"path": "/v3/gene/\\ud800", "ip": "\\udfff"}', b'{"path":' * 5000, b'{"path": "/v3/gene/1", "n": ' + b"9" * 5000,
    line("/v3/query?q=" + "a@" * 20_000).encode(), line("/v3/query?q=" + '\\"' * 20_000).encode(),
    line("/v3/query?q=jane.roe@example.org").encode(), line("/u?email=jane.roe@example.org&token=s3cr3tt0ken").encode(),
]  # fmt: skip


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_hostile_lines_are_accounted_for(tmp_path: Path, end: bytes) -> None:
    good = [line(f"/v3/gene/{i % 5}", ip=i % 3).encode() for i in range(1, 31)]
    hostile = HOSTILE if end != b"\r" else [raw for raw in HOSTILE if raw]
    (tmp_path / "a.log").write_bytes(end.join([*good, *hostile, *good]) + end)
    done = cli(tmp_path / "a.log", "--no-validate", "--json", "--out", tmp_path / "out", "--rejects", tmp_path / "r")
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout)
    assert report["lines"] == 60 + len(hostile) == report["accepted"] + sum(report["rejected"].values())
    assert len(report["rejected"]) <= 12
    assert report["accepted"] >= 60
    rejected = kept(tmp_path, "r")
    assert sum(row.get("count", 1) for row in rejected) == sum(report["rejected"].values())
    for path in [tmp_path / "r", *(tmp_path / "out").iterdir()]:
        text = path.read_text()
        for secret in ("jane", "192.0.2", "s3cr3tt0ken"):
            assert secret not in text, path


def test_standard_input_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ("\n".join(traffic(3000)) + "\n").encode()
    (tmp_path / "a.log").write_bytes(lines)
    assert cli(tmp_path / "a.log", "--no-validate", "--out", tmp_path / "file", "--workers", 1).returncode == 0
    for workers in (1, 2):
        out = tmp_path / str(workers)
        done = cli("-", "--no-validate", "--out", out, "--workers", workers, input=lines)
        assert done.returncode == 0, done.stderr.decode()
        for name in FILES:
            assert (out / name).read_bytes() == (tmp_path / "file" / name).read_bytes()


# A process begins with the peak of the one that it was forked from: a small one in between gives it its own.
MEASURED = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(child.pid, 0)
open(sys.argv[1], "w").write(str(usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_line_of_300_mb_and_many_urls_take_little_memory(tmp_path: Path) -> None:
    feed = """
import os, sys
out = sys.stdout.buffer
row = b'192.0.2.%d - - [02/Mar/2026:08:16:53 +0000] "GET /v3/gene/%d HTTP/1.1" 404 40 "-" "curl/8.5.0"\\n'
out.write(b"".join(row.replace(b"404", b"200") % (i, 1) for i in range(9)))
for _ in range(300):
    out.write(b"x" * (1 << 20))
out.write(b"\\n")
for start in range(0, 300_000, 1000):
    out.write(b"".join(row % (i % 200, i) for i in range(start, start + 1000)))
"""
    command = [*CLI, "-", "--no-validate", "--json", "--workers", "1", "--out", str(tmp_path / "out")]
    with (
        subprocess.Popen([sys.executable, "-c", feed], stdout=subprocess.PIPE) as source,
        subprocess.Popen(
            [sys.executable, "-c", MEASURED, str(tmp_path / "peak"), *command],
            stdin=source.stdout,
            stdout=subprocess.PIPE,
        ) as process,
    ):
        assert process.stdout is not None
        report = json.loads(process.stdout.read())
    assert process.returncode == 0
    assert (report["lines"], report["accepted"]) == (300_010, 9)
    assert report["rejected"]["malformed"] == 1
    assert int((tmp_path / "peak").read_text()) < 512 * 1024  # KiB


# ---- an API without a query language ------------------------------------------------------------------------------


def test_an_api_of_typed_parameters(tmp_path: Path) -> None:
    definition = """
name: shop
title: Shop
base_url: https://shop.example
query_language: none
endpoints:
  items: {path: /items, params: [size, after, colour]}
  item: {path: "/items/{id}"}
params:
  size: {kind: integer, min: 1, max: 100}
  after: {kind: date}
  colour: {kind: enum, values: [red, blue]}
"""
    (tmp_path / "api.yaml").write_text(definition)
    paths = ["/items?size=5&colour=RED", "/items?colour=red&size=5", "/items/77", "/items?after=2024-01-02"]
    paths.append("/items?size=x")
    log = write(tmp_path / "a.log", [line(p, ip) for p in paths for ip in (1, 2)])
    report = build(load(str(tmp_path / "api.yaml")), [log], tmp_path / "out")
    assert (report["accepted"], report["rejected"]["bad_call"]) == (8, 2)
    assert {r["count"] for r in kept(tmp_path / "out")} == {2, 4}


def test_workers_end_with_the_command_and_the_next_run_cleans_up(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    lines = [line(f"/v3/gene/{i}?fields=go", i % 200) for i in range(1, 20_000)]
    write(tmp_path / "a.log", lines * 20)  # seconds of work, also for a quick machine
    command = [*CLI, str(tmp_path / "a.log"), "--no-validate", "--out", str(tmp_path / "out"), "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < end:
            if list((tmp_path / "out").glob(f"{SCRATCH}*/urls-*")):
                break
            time.sleep(0.01)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert workers
    assert not psutil.wait_procs(workers, timeout=60)[1]
    write(tmp_path / "a.log", lines[:1000])
    assert cli(tmp_path / "a.log", "--no-validate", "--out", tmp_path / "out").returncode == 0
    assert not list((tmp_path / "out").glob(f"{SCRATCH}*"))
