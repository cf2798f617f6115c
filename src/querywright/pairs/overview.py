"""What a set of pairs is, in figures: counts, coverage, lengths, phrases, examples, what was rejected."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from querywright.api.definition import API
from querywright.api.refusal import refused
from querywright.artefacts import MANIFEST, read_jsonl, sha256
from querywright.errors import QuerywrightError
from querywright.pairs.coverage import coverage
from querywright.pairs.length import counter
from querywright.pairs.read import read_pairs
from querywright.pairs.split import SIDES
from querywright.rows import Row, answer, chat

_WORD = re.compile(r"\w+(?:['’.-]\w+)*")
_LONGEST = 5  # words of a phrase
_PHRASES, _SHAPES, _EXAMPLES = 40, 60, 3
_BINS = 24


def read_sides(source: Path) -> dict[str, list[Row]]:
    """The rows of a file, or of a folder: of `pairs split` each side, else `pairs.jsonl`.

    Raises:
        QuerywrightError: there are none.
    """
    if source.is_dir():
        sides = {side: source / f"{side}.jsonl" for side in SIDES if (source / f"{side}.jsonl").is_file()}
        files = sides or {"": source / "pairs.jsonl"}
    else:
        files = {"": source}
    found = {side: read_pairs(path) for side, path in files.items()}
    if not any(found.values()):
        raise QuerywrightError(
            f"{source} holds no pairs", hint="a JSONL file, or a folder of pairs make or pairs split"
        )
    return found


def overview(source: Path, api: API, *, rejects: Sequence[Path] = (), tokenizer: str = "") -> dict[str, Any]:
    """Everything that the report shows.

    Args:
        source: see `read_sides`.
        rejects: files of rows with a `reason`.
        tokenizer: counts tokens, see `length.counter`; without it only words are counted.
    """
    sides = read_sides(source)
    rows = [r for part in sides.values() for r in part]
    mine = [r for r in rows if r.get("api", api.name) == api.name]
    if not mine:
        raise QuerywrightError(f"{source} has no pairs for {api.name}", hint="another --api")
    found: dict[str, Any] = {"api": api.name, "title": api.title, "source": source.name, **counts(rows)}
    found["sides"] = {side: counts(part) for side, part in sides.items() if side}
    found["coverage"] = coverage(api, mine)
    found["words"] = lengths([len(r["instruction"].split()) for r in rows])
    found["tokens"] = None
    if tokenizer:
        count = counter(tokenizer)
        name = Path(tokenizer).parent.name or tokenizer
        found["tokens"] = {"tokenizer": name, **lengths([_tokens(r, count) for r in rows])}
    found["phrases"] = phrases([r["instruction"] for r in rows])
    found["openings"] = openings([r["instruction"] for r in rows])
    found["shapes"] = shapes(rows)
    found["rejects"] = rejected(r for path in rejects for r in read_jsonl(path))
    found["made"] = _made(source)
    folder = source if source.is_dir() else source.parent
    names = [f"{side}.jsonl" for side in sides if side] or [source.name if source.is_file() else "pairs.jsonl"]
    found["files"] = {
        name: {"sha256": sha256(folder / name), "bytes": (folder / name).stat().st_size} for name in names
    }
    return found


def counts(rows: Sequence[Row]) -> dict[str, Any]:
    """How many of what."""
    codes = Counter(code for r in rows if (code := refused(answer(r))))
    called = [r for r in rows if not refused(answer(r))]
    return {
        "rows": len(rows),
        "sentences": len({r["instruction"].lower() for r in rows}),
        "calls": len({r.get("canonical", answer(r)) for r in called}),
        "signatures": len({r["signature"] for r in called if r.get("signature")}),
        "traffic": round(sum(float(r.get("weight") or 1) for r in rows), 3),
        "refusals": dict(codes.most_common()),
        "conversations": sum(bool(r.get("turns")) for r in rows),
        "personas": len({r["persona"] for r in rows if r.get("persona")}),
        "sources": dict(Counter(str(r.get("source", "")) for r in rows).most_common()),
        "teachers": dict(Counter(str(r.get("teacher", "")) for r in rows if r.get("teacher")).most_common()),
    }


def lengths(found: Sequence[int]) -> dict[str, Any]:
    """Median, 95th percentile, longest, and a histogram (first value of a bin, rows in it)."""
    step = max(1, -(-(max(found) + 1) // _BINS))
    bins = Counter(n // step for n in found)
    p95 = quantiles(found, n=20)[-1] if len(found) > 1 else found[0]
    histogram = [[i * step, bins[i]] for i in range(max(bins) + 1)]
    return {"median": median(found), "p95": round(p95, 1), "longest": max(found), "step": step, "histogram": histogram}


def _tokens(r: Row, count: Callable[[str], int]) -> int:
    return sum(count(m["content"]) for m in chat(r)["messages"])


def phrases(sentences: Sequence[str]) -> list[dict[str, Any]]:
    """The phrases that most sentences hold; part of a longer one that is as common is left out."""
    having: Counter[tuple[str, ...]] = Counter()
    for sentence in sentences:
        words = _WORD.findall(sentence.lower())
        having.update({tuple(words[i : i + n]) for n in range(2, _LONGEST + 1) for i in range(len(words) - n + 1)})
    shown: list[tuple[tuple[str, ...], int]] = []
    covered: dict[tuple[str, ...], int] = defaultdict(int)
    common = [(p, n) for p, n in having.most_common(20 * _PHRASES) if n > 1]
    for phrase, n in common:
        for size in range(2, len(phrase)):
            for i in range(len(phrase) - size + 1):
                covered[phrase[i : i + size]] = max(covered[phrase[i : i + size]], n)
    for phrase, n in common:
        if covered[phrase] < 0.9 * n:
            shown.append((phrase, n))
    return [{"phrase": " ".join(p), "rows": n, "share": n / len(sentences)} for p, n in shown[:_PHRASES]]


def openings(sentences: Sequence[str]) -> list[dict[str, Any]]:
    """The first two words of most sentences."""
    found = Counter(" ".join(_WORD.findall(s.lower())[:2]) for s in sentences)
    return [{"phrase": p, "rows": n, "share": n / len(sentences)} for p, n in found.most_common(_PHRASES // 2)]


def shapes(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The commonest signatures with some sentences of each, different in length as far as there are any."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for r in rows:
        groups[str(r.get("signature") or ("nil" if refused(answer(r)) else ""))].append(r)
    found = []
    for signature, group in sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:_SHAPES]:
        ranked = sorted(group, key=lambda r: (len(r["instruction"]), r["instruction"]))
        places = {round(i * (len(ranked) - 1) / max(1, _EXAMPLES - 1)) for i in range(_EXAMPLES)}
        chosen = [ranked[i] for i in sorted(places)]
        examples = [{"before": _before(r), "instruction": r["instruction"], "answer": answer(r)} for r in chosen]
        traffic = round(sum(float(r.get("weight") or 1) for r in group), 3)
        found.append({"signature": signature, "rows": len(group), "traffic": traffic, "examples": examples})
    return found


def _before(r: Row) -> list[str]:
    return [str(m.get("content", "")) for m in r.get("turns") or ()]


def rejected(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Rejected rows by reason, the commonest first, with examples."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for r in rows:
        groups[str(r.get("reason") or "no reason given")].append(r)
    return [
        {
            "reason": reason,
            "rows": len(group),
            "examples": [
                {
                    "instruction": str(r.get("instruction") or r.get("prompt") or r.get("record") or ""),
                    "answer": str(r.get("path") or r.get("answer") or r.get("completion") or ""),
                    "detail": str(r.get("read_as") or r.get("detail") or ""),
                }
                for r in group[:_EXAMPLES]
            ],
        }
        for reason, group in sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    ]


def _made(source: Path) -> dict[str, Any]:
    """The manifest beside the rows: the config that made them, and the version."""
    try:
        manifest = json.loads(((source if source.is_dir() else source.parent) / MANIFEST).read_text(encoding="utf-8"))
        return {"version": manifest["version"], "config": manifest["config"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
