"""Access logs → the calls worth learning from: counted, signed, sampled per signature, and run.

Every input line is either accepted or rejected under one reason code (`filter.REASONS`); `dropped.json` holds the
sums. A row never holds personal data: client addresses only count as salted hashes that are thrown away, `email=` is
no part of a call, and a call with an e-mail address in it is left out.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from querywright.api.call import Call, CallError, parse
from querywright.api.definition import API
from querywright.artefacts import content_id, is_done, replacing, sha256, write_json, write_jsonl, write_manifest
from querywright.errors import QuerywrightError
from querywright.logs.filter import REASONS, reject
from querywright.logs.read import Options, expand, parse_line, raw_lines
from querywright.logs.sample import Known, Seen, groups, mark_uncovered, rows, sample
from querywright.logs.validate import CACHE, Cache, Runs, validate
from querywright.progress import say, track

FILES = ("calls.jsonl", "candidates.jsonl", "dropped.json")
EMAIL = re.compile(r"[\w.+-]{1,64}(?:@|%40|%2540)[\w-]{1,64}\.[\w.-]{1,255}")

Note = Callable[[dict[str, Any]], None]


def numbered(sources: list[str]) -> Iterator[tuple[str, bytes | None]]:
    """(file:line, raw line) of all sources."""
    for source in sources:
        name = Path(source).name
        for number, raw in enumerate(raw_lines(source), 1):
            yield f"{name}:{number}", raw


def count_lines(sources: list[str]) -> int | None:
    """Lines in all sources, for the ETA; None with standard input."""
    return None if "-" in sources else sum(1 for source in sources for _ in raw_lines(source))


def scan(
    api: API, lines: Iterable[tuple[str, bytes | None]], options: Options, rejected: Counter[str], note: Note
) -> dict[str, Seen]:
    """Distinct URLs of the lines that are candidates; counts the others in `rejected` and tells `note`."""
    salt = secrets.token_bytes(16)
    urls: dict[str, Seen] = {}
    for at, raw in lines:
        line = parse_line(raw, options)
        reason = reject(line, api, options.where)
        if reason is not None:
            rejected[reason] += 1
            note({"reason": reason, "at": at, "path": without_email(line.path) if line else None})
            continue
        assert line is not None
        seen = urls.get(line.path)
        if seen is None:
            seen = urls[line.path] = Seen(first=at)
        seen.count += 1
        if line.client:
            seen.clients.add(int.from_bytes(hashlib.blake2b(line.client.encode(), key=salt, digest_size=8).digest()))
    return urls


def without_email(text: str) -> str:
    return EMAIL.sub("<email>", text[:4000])[:2000]


def parse_once_or_twice(api: API, url: str) -> Call:
    """Parse a URL; one that was percent-encoded twice is read as what was meant, where that is a call."""
    if re.search(r"%25[0-9A-Fa-f]{2}", url):
        try:
            return parse(api, re.sub(r"%25([0-9A-Fa-f]{2})", r"%\1", url))
        except CallError:
            pass
    return parse(api, url)


def read_call(api: API, url: str) -> Call:
    """Parse one URL, and refuse what no sentence can ask for.

    Raises:
        CallError: the reason; its `code` is one of the parser's, or `session` or `personal_data`.
    """
    call = parse_once_or_twice(api, url)
    if call.query is None and api.endpoints[call.endpoint].required:
        raise CallError("session", "goes on with an earlier answer, by a token")
    if EMAIL.search(call.text):
        raise CallError("personal_data", "an e-mail address stands in the call")
    return call


def sign(api: API, urls: dict[str, Seen], rejected: Counter[str], codes: Counter[str], note: Note) -> list[Known]:
    """Distinct calls, by canonical form; of several spellings the most frequent one is kept."""
    calls: dict[str, Known] = {}
    best: dict[str, tuple[int, str]] = {}
    for url, seen in track(sorted(urls.items()), "parse"):
        try:
            call = read_call(api, url)
            canonical = call.canonical
        except CallError as error:
            rejected["bad_call"] += seen.count
            codes[error.code] += seen.count
            note({"reason": "bad_call", "at": seen.first, "count": seen.count, "code": error.code,
                  "detail": without_email(str(error)), "path": without_email(url)})  # fmt: skip
            continue
        rank = (-seen.count, call.text)
        if canonical not in calls:
            calls[canonical], best[canonical] = Known(call, Seen(seen.count, set(seen.clients))), rank
            continue
        calls[canonical].seen.add(seen)
        if rank < best[canonical]:
            calls[canonical].call, best[canonical] = call, rank
    return [calls[c] for c in sorted(calls)]


def build(
    api: API,
    sources: list[str],
    out: Path,
    *,
    executor: Runs | None = None,
    executor_id: str = "none",
    options: Options = Options(),
    per_signature: int = 30,
    seed: int = 0,
    rejects: Path | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Run the stage; returns the report that is also written to `dropped.json`.

    Args:
        executor: runs the calls; None keeps all that parse.
        executor_id: names the service and its records; results are remembered for this name only.
        rejects: where to write one JSON line for each rejected line, without personal data.

    Raises:
        QuerywrightError: a log is missing, no line is a call, the service can't be reached, the disk is full.
    """
    files = expand(sources)
    config = {
        "stage": "logs",
        "api": api.name,
        "definition": content_id(api.model_dump_json()),
        "executor": executor_id,
        "inputs": [{"name": Path(f).name, "sha256": "stdin" if f == "-" else sha256(f)} for f in files],
        "path_key": options.path_key,
        "where": [list(w) for w in options.where],
        "per_signature": per_signature,
        "seed": seed,
    }
    if "-" not in files and (rejects is None or rejects.is_file()) and is_done(out, config):
        say(f"{out} already holds this; delete {out}/manifest.json to make it again")
        return read_report(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "manifest.json").unlink(missing_ok=True)
    except OSError as error:
        raise QuerywrightError(
            f"could not write {out}: {error.strerror}", hint="choose another folder for --out"
        ) from error

    rejected, codes = Counter(dict.fromkeys(REASONS, 0)), Counter[str]()
    with replacing(rejects) if rejects else nullcontext() as file:
        note: Note = (lambda r: print(_json(r), file=file)) if file else (lambda r: None)
        urls = scan(api, track(numbered(files), "read", total=count_lines(files)), options, rejected, note)
        accepted = sum(s.count for s in urls.values())
        known = sign(api, urls, rejected, codes, note)
    accepted -= rejected["bad_call"]
    if not known:
        raise QuerywrightError(
            f"none of {sum(rejected.values())} lines is a call to {api.name}: {_most(rejected)}",
            hint="check --api, and for JSON lines --path-key",
        )
    by_signature = groups(known, seed)
    cache = Cache(out / CACHE, executor_id)
    run = (lambda c, w: validate(c, executor, cache, w, workers)) if executor else None
    sample(by_signature, per_signature, run)
    if run:
        mark_uncovered(known, run)
    kept, candidates = rows(by_signature)
    failed = sum("error" in r for r in candidates)
    report = {
        "lines": accepted + sum(rejected.values()), "accepted": accepted, "rejected": dict(rejected),
        "bad_call": dict(sorted(codes.items(), key=lambda c: (-c[1], c[0]))),
        "urls": len(urls), "calls": len(known), "signatures": len(by_signature), "per_signature": per_signature,
        "kept": len(kept), "kept_signatures": len({r["signature"] for r in kept}),
        "no_hits": len(candidates) - failed, "uncovered": sum("uncovered" in r for r in candidates),
        "failed": failed, "not_sampled": len(known) - len(kept) - len(candidates),
    }  # fmt: skip
    write_jsonl(out / "calls.jsonl", kept)
    write_jsonl(out / "candidates.jsonl", candidates)
    write_json(out / "dropped.json", report)
    write_manifest(out, config, FILES, rows=len(kept))
    say(f"{out}/calls.jsonl: {len(kept)} calls of {report['kept_signatures']} signatures, from {report['lines']} lines")
    return report


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _most(rejected: Counter[str]) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in rejected.most_common(3) if n)


def read_report(out: Path) -> dict[str, Any]:
    """The report of a finished run."""
    report: dict[str, Any] = json.loads((out / "dropped.json").read_text(encoding="utf-8"))
    return report
