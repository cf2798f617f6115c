"""Rendered prompts to files of requests in the Batch API's input form, within its limits; and what they will cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from querywright.artefacts import (
    MANIFEST,
    alone,
    apart,
    content_id,
    is_done,
    read_jsonl,
    replacing,
    sha256,
    write_manifest,
)
from querywright.engines.budget import tokens_of
from querywright.engines.prices import Price
from querywright.errors import QuerywrightError, did_you_mean
from querywright.preferences.annotate.report import CSV, REQUESTS, Report
from querywright.preferences.annotate.results import RESULTS
from querywright.preferences.mixture import aspect_files
from querywright.progress import say

MOST_ROWS, MOST_BYTES = 50_000, 190_000_000
"""Of a file: OpenAI takes 50,000 requests and 200 MB (platform.openai.com/docs/guides/batch)."""
ENDPOINT = "/v1/chat/completions"
_OURS = ("model", "messages", "stream")  # of a body; `--body` can't change them
_ROLES = ("system", "user", "assistant", "developer")

Count = Callable[[list[dict[str, str]]], int]


@dataclass(frozen=True)
class Judge:
    """Who is asked, and how.

    Attributes:
        model: the name that the server knows it by.
        max_tokens: of an answer.
        temperature: of an answer; 0 gives the same ratings again.
        body: more keys of a request's body; a None takes a key away (some models take no temperature).
    """

    model: str
    max_tokens: int = 512
    temperature: float = 0.0
    body: Mapping[str, Any] = field(default_factory=dict)

    def request(self, custom_id: str, messages: list[dict[str, str]]) -> dict[str, Any]:
        """A line of the input file."""
        own = {"max_completion_tokens": self.max_tokens, "temperature": self.temperature, **self.body}
        body = {"model": self.model, "messages": messages, **{k: v for k, v in own.items() if v is not None}}
        return {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": body}


@dataclass(frozen=True)
class Asked:
    """A rendered prompt: what a judge is asked about one prompt under one aspect."""

    custom_id: str
    aspect: str
    messages: list[dict[str, str]]


def convert(
    source: Path, out: Path, judge: Judge, *, rows_per_shard: int = 5_000, tokens_per_shard: int | None = None,
    aspects: Iterable[str] = (),
) -> Report:  # fmt: skip
    """Write `requests/*.jsonl` and `batches.csv`; files of an aspect are named after it.

    Args:
        source: a folder of `preferences mix`, with a folder for each aspect.
        tokens_per_shard: of the prompts of a file, about: servers limit what may wait at once.
        aspects: only these; all that are there by default.

    Raises:
        QuerywrightError: rows that are no prompts, no such aspect, or other requests in `out`.
    """
    _check(judge, rows_per_shard)
    apart(source, output=out)
    shards = shards_of(source, aspects)
    config = {
        "stage": "preferences annotate convert",
        "judge": asdict(judge),
        "rows_per_shard": rows_per_shard,
        "tokens_per_shard": tokens_per_shard,
        "input": {aspect: [sha256(path) for path in paths] for aspect, paths in shards.items()},
    }
    with alone(out):
        if is_done(out / REQUESTS, config):
            report = Report(out)
            report.save()
            say(f"annotate: {out / REQUESTS} is whole: {len(report.shards)} files")
            return report
        _make_room(out)
        names = []
        for aspect, paths in shards.items():
            lines = (judge.request(a.custom_id, a.messages) for a in prompts(aspect, paths))
            names += _write(out / REQUESTS, aspect, lines, rows_per_shard, tokens_per_shard)
        if not names:
            raise QuerywrightError(f"no prompts in {source}", hint="querywright preferences mix makes them")
        write_manifest(out / REQUESTS, config, names)
        report = Report(out)
        report.save()
    rows, size = sum(s.rows for s in report.shards), sum(s.bytes for s in report.shards)
    tokens = sum(s.tokens for s in report.shards)
    say(f"annotate: {rows:,} requests in {len(names)} files, {size / 1e6:.1f} MB, about {tokens:,} tokens in")
    return report


def estimate(
    source: Path, judge: Judge, *, aspects: Iterable[str] = (), price: Price | None = None, count: Count = tokens_of
) -> dict[str, Any]:
    """Tokens, and money where a price is known, before anything is written or sent.

    Args:
        count: tokens of a chat; by default reckoned from its bytes.
    """
    by_aspect: dict[str, dict[str, int]] = {}
    for aspect, paths in shards_of(source, aspects).items():
        found = [count(a.messages) for a in prompts(aspect, paths)]
        by_aspect[aspect] = {"requests": len(found), "tokens_in": sum(found), "longest": max(found, default=0)}
    requests = sum(a["requests"] for a in by_aspect.values())
    tokens_in = sum(a["tokens_in"] for a in by_aspect.values())
    facts: dict[str, Any] = {
        "requests": requests, "tokens_in": tokens_in, "tokens_out_at_most": requests * judge.max_tokens,
        "aspects": by_aspect,
    }  # fmt: skip
    if price is not None and not price.local:
        facts["money_at_most"] = round(price.cost(tokens_in, requests * judge.max_tokens), 4)
        facts["money_in"] = round(price.cost(tokens_in, 0), 4)
        facts["price"] = {"in": price.tokens_in, "out": price.tokens_out, "as_of": price.as_of}
    return facts


def shards_of(source: Path, aspects: Iterable[str] = ()) -> dict[str, list[Path]]:
    """The files of each aspect in a mix's folder, in order.

    Raises:
        QuerywrightError: it is no mix, or not whole, or an aspect that is asked for is not there.
    """
    there = aspect_files(source)
    wanted = list(aspects)
    for aspect in wanted:
        if aspect not in there:
            near = did_you_mean(aspect, list(there)) or f"; there are {', '.join(there)}"
            raise QuerywrightError(f"no aspect {aspect!r} in {source}{near}", hint="--aspect takes one of them")
    return {aspect: paths for aspect, paths in there.items() if not wanted or aspect in wanted}


def prompts(aspect: str, paths: Iterable[Path]) -> Iterator[Asked]:
    """The rendered prompts of an aspect's files; the same one twice counts once, and is told.

    Raises:
        QuerywrightError: a row without `custom_id` or messages, or an id with two different prompts.
    """
    seen: dict[str, tuple[str, str]] = {}
    double = 0
    for path in paths:
        for number, row in enumerate(read_jsonl(path), 1):
            where = f"{path}:{number}"
            asked = _asked(row, aspect, where)
            digest = content_id(json.dumps(asked.messages, sort_keys=True), 32)
            before = seen.get(asked.custom_id)
            if before is None:
                seen[asked.custom_id] = (digest, where)
                yield asked
            elif before[0] == digest:
                double += 1
            else:
                raise QuerywrightError(
                    f"{where} and {before[1]} are two prompts with the custom_id {asked.custom_id[:80]!r}",
                    hint="make the mix again into an empty folder",
                )
    if double:
        say(f"annotate: {aspect}: {double} prompts stand there twice; each is asked once")


def _asked(row: dict[str, Any], aspect: str, where: str) -> Asked:
    name, messages = row.get("custom_id"), row.get("messages")
    hint = "querywright preferences mix writes such rows"
    if not isinstance(name, str) or not name.strip():
        raise QuerywrightError(f"{where}: no custom_id", hint=hint)
    whole = isinstance(messages, list) and messages
    if not whole or not all(
        isinstance(m, dict) and m.get("role") in _ROLES and isinstance(m.get("content"), str)
        for m in messages  # type: ignore[union-attr]
    ):
        raise QuerywrightError(f"{where}: no chat messages in `messages`", hint=hint)
    if row.get("aspect", aspect) != aspect:
        raise QuerywrightError(f"{where}: of the aspect {row['aspect']!r}, not {aspect!r}", hint=hint)
    return Asked(name, aspect, [{k: m[k] for k in ("role", "content")} for m in messages])  # type: ignore[union-attr]


def _check(judge: Judge, rows_per_shard: int) -> None:
    if not judge.model.strip():
        raise QuerywrightError("no judge", hint="--model NAME, as the server knows it")
    if not 1 <= rows_per_shard <= MOST_ROWS:
        raise QuerywrightError(
            f"--rows-per-shard {rows_per_shard}: a batch takes 1 to {MOST_ROWS:,} requests", hint="such as 5000"
        )
    ours = sorted({*judge.body} & {*_OURS})
    if ours:
        raise QuerywrightError(f"--body can't set {', '.join(ours)}", hint="--model names the model")
    secret = [k for k, v in judge.body.items() if isinstance(v, str) and ("key" in k.lower() or "token" in k.lower())]
    if secret:
        raise QuerywrightError(f"--body holds {secret[0]!r}", hint="keys are read from the environment only")


def _make_room(out: Path) -> None:
    """Clear requests that were never sent; keep those that were.

    Raises:
        QuerywrightError: some were sent or answered.
    """
    old = sorted((out / REQUESTS).glob("*.jsonl"))
    if old:  # whole or not: who was killed while writing may have sent what there was
        touched = [s.file for s in Report(out).shards if s.batch_id or s.file_id or s.tries]
        if touched or any((out / RESULTS).glob("*.jsonl")):
            raise QuerywrightError(
                f"{out} holds other requests, sent or answered", hint="another --output for other settings"
            )
        if (out / REQUESTS / MANIFEST).is_file():
            say(f"annotate: {out / REQUESTS} was made with other settings and never sent: made anew")
    (out / REQUESTS / MANIFEST).unlink(missing_ok=True)
    (out / CSV).unlink(missing_ok=True)  # it counts files that are other ones now
    for path in old:
        path.unlink()


def _write(
    folder: Path, aspect: str, lines: Iterable[dict[str, Any]], most_rows: int, most_tokens: int | None
) -> list[str]:
    """Write an aspect's requests; returns the files' names."""
    names: list[str] = []
    shard: list[bytes] = []
    held: Counter[str] = Counter()

    def put() -> None:
        names.append(f"{aspect}-{len(names):05d}.jsonl")
        with replacing(folder / names[-1], "wb") as file:
            file.writelines(shard)
        shard.clear()
        held.clear()

    for row in lines:
        line = json.dumps(row).encode() + b"\n"
        tokens = tokens_of(row["body"]["messages"])
        if len(line) > MOST_BYTES:
            raise QuerywrightError(
                f"the request {row['custom_id'][:80]!r} alone has {len(line) / 1e6:.0f} MB", hint="leave that row out"
            )
        over = held["bytes"] + len(line) > MOST_BYTES or len(shard) >= most_rows
        if shard and (over or (most_tokens and held["tokens"] + tokens > most_tokens)):
            put()
        shard.append(line)
        held.update(bytes=len(line), tokens=tokens)
    if shard:
        put()
    return names
