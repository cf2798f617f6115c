"""The second step: each distinct URL is cleaned, parsed and signed once; it becomes a call of a signature."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from querywright.api.call import MAX_LENGTH, Call, CallError, parse
from querywright.api.definition import API
from querywright.logs import privacy
from querywright.logs.filter import of_path
from querywright.logs.spill import Run, Spill, grouped, pack, partition_of, read
from querywright.logs.tally import Clients, Tally


class Part(NamedTuple):
    """One partition of the URLs, or of the calls; `definition` is a file with the API as JSON.

    `anonymous`: whether no line of the logs says which client asked.
    """

    partition: int
    runs: tuple[Run, ...]
    definition: str
    folder: str
    seed: int = 0
    rejects: bool = False
    most: int = 0
    per_client: int = 0
    keep_single: bool = False
    anonymous: bool = False


@lru_cache(maxsize=4)
def definition(path: str) -> API:
    """The API of a run, as `build` wrote it for its workers."""
    return API.model_validate_json(Path(path).read_text(encoding="utf-8"))


_TWICE = re.compile(r"%25([0-9A-Fa-f]{2})")


def parse_once_or_twice(api: API, url: str) -> Call:
    """Parse a URL; one that was percent-encoded twice is read as what was meant, where that is a call."""
    if "%25" in url and _TWICE.search(url):
        try:
            return parse(api, _TWICE.sub(r"%\1", url))
        except CallError:
            pass
    return parse(api, url)


def read_call(api: API, url: str) -> Call:
    """Parse one URL, and refuse what no sentence can ask for.

    Raises:
        CallError: the reason; its `code` is one of the parser's, or `session`.
    """
    call = parse_once_or_twice(api, url)
    if api.query_language != "none" and call.query is None:
        needed = {name for entry in api.endpoints[call.endpoint].required for name in entry.split("|")}
        if "q" in needed:
            raise CallError("session", "goes on with an earlier answer, by a token")
    return call


def order_of(seed: int, canonical: str) -> str:
    """A call's place among those of its signature: random, decided by the seed alone."""
    return hashlib.blake2b(f"{seed}:{canonical}".encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def sign(part: Part) -> Tally:
    """Read one partition of the URLs, write their calls into runs by signature."""
    api, tally = definition(part.definition), Tally()
    name, own = f"{part.partition:02d}", frozenset(api.param_names)
    with Spill(part.folder, f"calls-{name}") as calls, Spill(part.folder, f"rejects-{name}") as rejects:
        for (packed,), rows in grouped(read(part.runs, part.partition), 1):
            first, lines, nobody, clients = _together(rows)
            path = json.loads(packed)
            found = _call(api, own, path, lines, tally)
            if isinstance(found, dict):
                tally.counts[found["reason"]] += lines
                if part.rejects:
                    known = found["reason"] in ("bad_call", "personal_data")
                    row = {**found, "count": lines, "path": privacy.outline(path, own, known)}
                    rejects.add(0, f"{first}\t{json.dumps(row, ensure_ascii=False)}")
                continue
            tally.counts["accepted"] += lines
            tally.counts["nobody"] += nobody
            signature, canonical = found.signature, found.canonical
            cells = (pack(signature), order_of(part.seed, canonical), pack(canonical), pack(found.text), clients)
            calls.add(partition_of(signature), "\t".join(cells))
    tally.runs, tally.rejects = tuple(calls.runs), tuple(rejects.runs)
    return tally


def _together(rows: Iterator[list[str]]) -> tuple[str, int, int, str]:
    """(first place, lines, those without a client, clients) of a URL, from what each run knows of it."""
    first, lines, nobody, cell = next(rows)
    second = next(rows, None)
    if second is None:
        return first, int(lines), int(nobody), cell
    clients, unknown = Clients(), int(nobody)
    clients.read(cell)
    for at, _, without, more in chain([second], rows):
        first = min(first, at)
        unknown += int(without)
        clients.read(more)
    return first, clients.lines, unknown, clients.write()


def _call(api: API, own: frozenset[str], path: str, lines: int, tally: Tally) -> Call | dict[str, Any]:
    """The call of a URL, or why it is none. Personal data is masked, or the call is dropped, before it is parsed."""
    reason = of_path(api, path)
    if reason is not None:
        return {"reason": reason}
    tally.counts["urls"] += 1
    if len(path) > MAX_LENGTH:  # what can't be a call need not be cleaned, which takes time
        tally.codes["too_long"] += lines
        return {"reason": "bad_call", "code": "too_long", "detail": f"the path has {len(path)} characters"}
    clean = privacy.scrub(path, own)
    if clean.path is None:
        return {"reason": "personal_data", "detail": ", ".join(clean.found)}
    for what in clean.found:
        tally.masked[what] += lines
    try:
        call = read_call(api, clean.path)
        _ = call.canonical, call.signature, call.text
    except CallError as error:
        tally.codes[error.code] += lines
        return {"reason": "bad_call", "code": error.code, "detail": privacy.reason(str(error))}
    return call
