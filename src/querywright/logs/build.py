"""Access logs → the calls worth learning from: counted, signed, sampled per signature, and run.

Three steps over all cores or a cluster, each a plain function of a part: `shard` (lines to distinct URLs), `sign` (URLs
to calls), `choose` (calls of a signature to a few). Every line is accepted or rejected under one reason code
(`filter.REASONS`); `dropped.json` holds the sums. A row never holds personal data: addresses only count as salted
hashes, the salt is thrown away at the end, and what is personal in a query is masked or the call is left out.
"""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from querywright.api.definition import API
from querywright.artefacts import content_id, is_done, replacing, sha256, write_json, write_jsonl, write_manifest
from querywright.errors import QuerywrightError
from querywright.logs import formats
from querywright.logs.choose import choose, chosen
from querywright.logs.filter import REASONS
from querywright.logs.formats import Options
from querywright.logs.sample import TRIES, groups, mark_uncovered, rows, sample
from querywright.logs.shard import Spec, shard
from querywright.logs.sign import Part, sign
from querywright.logs.source import Source, blocks, expand, open_source, shards
from querywright.logs.spill import PARTITIONS, Run, read
from querywright.logs.spread import Crew
from querywright.logs.tally import Tally, total
from querywright.logs.validate import CACHE, Cache, Runs, validate
from querywright.progress import say, track

FILES = ("calls.jsonl", "candidates.jsonl", "dropped.json")
SCRATCH = ".scratch-"
SHARD_BYTES = 32 << 20
STREAM_BYTES = 128 << 20
"""What is held of standard input, all pieces together that workers have or wait for."""
SMALL_BYTES = 1 << 19
"""Logs below this are done sooner than worker processes are up."""


def build(
    api: API,
    sources: list[str],
    out: Path,
    *,
    executor: Runs | None = None,
    executor_id: str = "none",
    options: Options = Options(),
    per_signature: int = 30,
    per_client: int = 10,
    keep_single_client: bool = False,
    seed: int = 0,
    rejects: Path | None = None,
    workers: int = 1,
    dask: str | None = None,
    requests: int = 1,
    shard_bytes: int = SHARD_BYTES,
) -> dict[str, Any]:
    """Run the stage; returns the report that is also written to `dropped.json`.

    Args:
        executor: runs the calls; None keeps all that parse.
        executor_id: names the service and its records; results are remembered for this name only.
        per_signature: calls kept of one signature.
        per_client: of these, calls that one client alone sent.
        keep_single_client: keep signatures that one client alone sent.
        rejects: where to write one JSON line for each rejected line or URL, without personal data.
        workers: processes. The result does not depend on them, nor on `dask` and `shard_bytes`.
        dask: address of a Dask scheduler, whose workers see the logs and `out` under the same paths.
        requests: calls run at once.

    Raises:
        QuerywrightError: a log is missing, no line is a call, the service can't be reached, the disk is full.
    """
    files = expand(sources)
    found = [open_source(name) for name in files]
    streamed = any(s.kind == "stream" for s in found)
    config = {
        "stage": "logs",
        "api": api.name,
        "definition": content_id(api.model_dump_json()),
        "executor": executor_id,
        "inputs": [
            {"name": Path(s.name).name, "sha256": sha256(s.name) if s.kind == "file" else "stream"} for s in found
        ],
        "options": options._asdict(),
        "per_signature": per_signature,
        "per_client": per_client,
        "keep_single_client": keep_single_client,
        "seed": seed,
    }
    if not streamed and (rejects is None or rejects.is_file()) and is_done(out, config):
        say(f"{out} already holds this; delete {out}/manifest.json to make it again")
        return read_report(out)
    if not streamed and not dask and sum(Path(s.name).stat().st_size for s in found) < SMALL_BYTES:
        workers = 1
    most = per_signature * (TRIES if executor else 1)
    with _scratch(out) as folder, Crew(workers, dask) as crew:
        definition = str(Path(folder) / "definition.json")
        Path(definition).write_text(api.model_dump_json(), encoding="utf-8")
        part = Part(0, (), definition, folder, seed, rejects is not None, most, per_client, keep_single_client)
        origin: dict[int, tuple[int, str]] = {}
        piece = min(shard_bytes, STREAM_BYTES // crew.at_once)
        specs = _specs(found, options, folder, rejects is not None, shard_bytes, piece, origin)
        lines = total(track(crew.map(shard, specs), "read", total=_shards(found, shard_bytes)))
        urls = total(track(crew.map(sign, _parts(part, lines)), "parse", total=PARTITIONS))
        part = part._replace(anonymous=urls.counts["nobody"] == urls.counts["accepted"])
        picked = total(track(crew.map(choose, _parts(part, urls)), "choose", total=PARTITIONS))
        if rejects:
            _write_rejects(rejects, (*lines.rejects, *urls.rejects), lines.lines, origin)
        by_signature = groups(api, (row for p in range(PARTITIONS) for row in chosen(folder, p)))
    report = _report(api, lines, urls, picked)
    _say_limits(report, api, per_client)

    cache = Cache(out / CACHE, executor_id)
    run = (lambda c, w: validate(c, executor, cache, w, requests)) if executor else None
    sample(by_signature, per_signature, run)
    if run:
        mark_uncovered([k for g in by_signature.values() for k in g.items], run)
    kept, candidates = rows(by_signature)
    failed = sum("error" in r for r in candidates)
    report |= {
        "per_signature": per_signature, "per_client": per_client, "kept": len(kept),
        "kept_signatures": len({r["signature"] for r in kept}), "no_hits": len(candidates) - failed,
        "uncovered": sum("uncovered" in r for r in candidates), "failed": failed,
        "not_sampled": report["calls"] - report["single_client"]["calls"] - len(kept) - len(candidates),
    }  # fmt: skip
    write_jsonl(out / "calls.jsonl", kept)
    write_jsonl(out / "candidates.jsonl", candidates)
    write_json(out / "dropped.json", report)
    if failed and failed == len(candidates) and not kept:
        why = next(str(r["error"]) for r in candidates if "error" in r)
        raise QuerywrightError(
            f"all {failed} calls that were run failed: {why}",
            hint=f"delete {out / CACHE} and run them again, or --no-validate (run nothing)",
        )
    write_manifest(out, config, FILES, rows=len(kept))
    say(f"{out}/calls.jsonl: {len(kept)} calls of {report['kept_signatures']} signatures, from {report['lines']} lines")
    return report


def read_report(out: Path) -> dict[str, Any]:
    """The report of a finished run."""
    report: dict[str, Any] = json.loads((out / "dropped.json").read_text(encoding="utf-8"))
    return report


@contextmanager
def _scratch(out: Path) -> Iterator[str]:
    """A folder for the run's own files, gone afterwards; what a killed run left behind goes first."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "manifest.json").unlink(missing_ok=True)
        for stale in out.glob(f"{SCRATCH}*"):
            shutil.rmtree(stale, ignore_errors=True)
        folder = tempfile.TemporaryDirectory(dir=out.resolve(), prefix=SCRATCH, ignore_cleanup_errors=True)
    except OSError as error:
        raise QuerywrightError(
            f"could not write {out}: {error.strerror}", hint="choose another folder for --out"
        ) from error
    with folder as name:
        yield name


def _specs(
    found: list[Source],
    options: Options,
    folder: str,
    rejects: bool,
    shard_bytes: int,
    piece: int,
    origin: dict[int, tuple[int, str]],
) -> Iterator[Spec]:
    """The shards of all logs, in order; notes in `origin` which log (its index, its name) a shard is of.

    A stream is read here and handed out in pieces of `piece` bytes.
    """
    salt = secrets.token_bytes(16)
    number = 0
    for index, source in enumerate(found):
        name = "standard input" if source.name == "-" else Path(source.name).name
        form = formats.detect(source.head.splitlines(), options)
        say(f"{name}: {form.name}, {form.about}" if source.head.strip() else f"{name}: the log is empty")
        about = str(Path(folder) / "definition.json")
        spec = Spec(number, source, 0, None, None, form.spec, salt, folder, rejects, about)
        if source.kind == "stream":
            for data in _pieces(source, piece):
                origin[number] = (index, name)
                yield spec._replace(number=number, source=None, data=data)
                number += 1
            continue
        spec = spec._replace(source=replace(source, name=str(Path(source.name).resolve())))
        for start, end in shards(source, shard_bytes):
            origin[number] = (index, name)
            yield spec._replace(number=number, start=start, end=end)
            number += 1


def _pieces(source: Source, size: int) -> Iterator[bytes]:
    held: list[bytes] = []
    for block in blocks(source):
        held.append(block)
        if sum(map(len, held)) >= size:
            yield b"".join(held)
            held.clear()
    if held:
        yield b"".join(held)


def _shards(found: list[Source], shard_bytes: int) -> int | None:
    """How many shards there are; None where a stream decides."""
    return None if any(s.kind == "stream" for s in found) else sum(len(shards(s, shard_bytes)) for s in found)


def _parts(part: Part, before: Tally) -> Iterator[Part]:
    return (part._replace(partition=p, runs=before.runs) for p in range(PARTITIONS))


def _write_rejects(
    path: Path, runs: tuple[Run, ...], lines: dict[int, int], origin: dict[int, tuple[int, str]]
) -> None:
    """One JSON line each, in the order of the logs; a place in a shard becomes a line of its log."""
    first: dict[int, int] = {}
    before: Counter[int] = Counter()
    for number in sorted(lines):
        log = origin[number][0]
        first[number] = before[log]
        before[log] += lines[number]
    with replacing(path) as out:
        for raw in read(runs, 0):
            place, _, row = raw.decode("utf-8", "surrogatepass").rstrip("\n").partition("\t")
            number, line = map(int, place.split(":"))
            at = f"{origin[number][1]}:{first[number] + line + 1}"
            out.write(json.dumps({"at": at, **json.loads(row)}, ensure_ascii=False) + "\n")


def _report(api: API, lines: Tally, urls: Tally, picked: Tally) -> dict[str, Any]:
    """What became of the lines and the calls, as far as nothing was run.

    Raises:
        QuerywrightError: no line is a call.
    """
    counts, read_lines = lines.counts + urls.counts, sum(lines.lines.values())
    rejected = {reason: counts[reason] for reason in REASONS}
    if counts["accepted"] + sum(rejected.values()) != read_lines:
        raise RuntimeError(f"{read_lines} lines were read, and other numbers add up: {dict(counts)}")
    if not counts["accepted"]:
        if not read_lines:
            raise QuerywrightError("the log is empty: it has no lines", hint="check the path, and the log's rotation")
        most = ", ".join(f"{n} {reason}" for reason, n in Counter(rejected).most_common(3) if n)
        unread = rejected["malformed"] * 2 > read_lines
        hint = "--format NAME or an nginx log_format" if unread else "check --api, and for JSON lines --path-key"
        raise QuerywrightError(
            f"none of {read_lines} lines is a call to {api.name}: {most}",
            hint=f"{hint}; --rejects FILE keeps the lines",
        )
    by_frequency = lambda c: dict(sorted(c.items(), key=lambda item: (-item[1], item[0])))  # noqa: E731
    of = picked.counts
    return {
        "lines": read_lines, "accepted": counts["accepted"], "rejected": rejected,
        "bad_call": by_frequency(urls.codes), "masked": by_frequency(urls.masked), "urls": counts["urls"],
        "without_client": counts["nobody"], "calls": of["calls"] + of["single_calls"],
        "signatures": of["signatures"] + of["single_signatures"],
        "single_client": {what: of[f"single_{what}"] for what in ("signatures", "calls", "lines")},
    }  # fmt: skip


def _say_limits(report: dict[str, Any], api: API, per_client: int) -> None:
    """Where the rule about single clients can't be applied, or leaves little."""
    nobody, single = report["without_client"], report["single_client"]
    if nobody:
        said = f"{nobody:,} of {report['accepted']:,} accepted lines do not say which client asked"
        if nobody == report["accepted"]:
            rule = f"two clients a signature, {per_client} calls a client"
            say(f"{said}: that no client steers what is kept ({rule}) can't be applied")
        else:
            say(f"{said}: they are none of the two clients that a signature needs")
    if single["signatures"]:
        say(
            f"{single['signatures']:,} of {report['signatures']:,} signatures ({single['lines']:,} lines) come from "
            "one client alone and are left out; --keep-single-client keeps them"
        )
    if single["signatures"] == report["signatures"]:
        raise QuerywrightError(
            f"every kind of call to {api.name} in these logs comes from one client alone",
            hint="--keep-single-client keeps them",
        )
