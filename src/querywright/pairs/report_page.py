"""The overview of a set of pairs as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from querywright.page import bars, esc, grid, unfold, write_page

_PARTS = {
    "searched": "fields that are searched",
    "returned": "fields that are returned",
    "operators": "kinds of clauses",
    "parameters": "parameters",
    "values": "values of parameters",
    "endpoints": "endpoints",
}


def write(found: dict[str, Any], path: Path) -> None:
    """Write the page; `found` as `overview` gives it."""
    name = f"Pairs for {found['title'] or found['api']}"
    body = [
        f"<h1>{esc(name)}</h1>",
        f"<p class=note>{esc(found['source'])}: {found['rows']:,} pairs of {found['sentences']:,} sentences with "
        f"{found['calls']:,} calls in {found['signatures']:,} signatures; "
        f"{sum(found['refusals'].values()):,} refusals, {found['conversations']:,} conversations.</p>",
        "<h2>Sizes</h2>",
        _sizes(found),
        _where(found),
        "<h2>Coverage</h2>",
        _coverage(found["coverage"]),
        "<h2>Lengths</h2>",
        _lengths("words of the sentence", found["words"]),
        _lengths("tokens of the whole row", found["tokens"]) if found["tokens"] else _NO_TOKENS,
        "<h2>Most common phrases</h2>",
        "<p class=note>In how many sentences a phrase stands. Phrases within a longer, equally common one are left out."
        "</p>",
        _phrases("phrase", found["phrases"]),
        unfold("How sentences begin", _phrases("first words", found["openings"])),
        "<h2>Examples by signature</h2>",
        f"<p class=note>The {len(found['shapes'])} commonest of {found['signatures']:,}, with a short, a middling "
        "and a long sentence.</p>",
        *map(_shape, found["shapes"]),
        "<h2>Rejected</h2>",
        *(map(_rejected, found["rejects"]) if found["rejects"] else ["<p class=note>No rejected rows were given.</p>"]),
        "<h2>Files</h2>",
        grid(
            ["file", "SHA-256", "bytes"],
            [[esc(n), f"<code>{esc(f['sha256'])}</code>", f"{f['bytes']:,}"] for n, f in found["files"].items()],
            words=2,
        ),
    ]
    write_page(path, name, body)


_NO_TOKENS = "<p class=note>Tokens were not counted: no tokenizer was given.</p>"


def _sizes(found: dict[str, Any]) -> str:
    keys = ("rows", "sentences", "calls", "signatures", "traffic", "conversations")
    parts = {**found["sides"], "all": found} if found["sides"] else {"all": found}
    rows = [
        [esc(side), *(f"{part[k]:,.0f}" for k in keys), f"{sum(part['refusals'].values()):,}"]
        for side, part in parts.items()
    ]
    return grid(["side", *keys, "refusals"], rows, words=1)


def _where(found: dict[str, Any]) -> str:
    rows = [
        [esc(what), esc(name or "(none)"), f"{n:,}", f"{100 * n / found['rows']:.1f}"]
        for what in ("sources", "teachers", "refusals")
        for name, n in found[what].items()
    ]
    return unfold("Where the rows come from", grid(["", "", "rows", "per cent"], rows, words=2))


def _coverage(found: dict[str, Any]) -> str:
    rows, lists = [], []
    for part, one in found.items():
        share = 100 * one["covered"] / one["all"]
        rows.append([esc(_PARTS.get(part, part)), f"{one['covered']:,}", f"{one['all']:,}", f"{share:.0f}"])
        used = [[esc(name), f"{n:,}"] for name, n in one["counts"].items()]
        title = esc(_PARTS.get(part, part))
        lists.append(unfold(f"{title}: how often", grid(["", "rows"], used[:400], words=1)))
        if one["never"]:
            lists.append(unfold(f"{title}: {len(one['never'])} that never occur", _never(one["never"])))
    return grid(["", "covered", "all", "per cent"], rows, words=1) + "".join(lists)


def _never(found: dict[str, str]) -> str:
    reasons = sorted(set(found.values()))
    lines = ((why, ", ".join(_code(name) for name in found if found[name] == why)) for why in reasons)
    return "".join(f"<p>{esc(why)}{': ' if why else ''}{names}</p>" for why, names in lines)


def _lengths(unit: str, found: dict[str, Any]) -> str:
    name = f" ({esc(found['tokenizer'])})" if "tokenizer" in found else ""
    told = f"median {found['median']:g}, 95th percentile {found['p95']:g}, longest {found['longest']:,}"
    chart = bars([(str(at), n) for at, n in found["histogram"]], f"rows by {unit}", unit)
    return f"<p>{esc(unit.capitalize())}{name}: {told}.</p>{chart}"


def _phrases(heading: str, found: Sequence[dict[str, Any]]) -> str:
    rows = [[esc(p["phrase"]), f"{p['rows']:,}", f"{100 * p['share']:.1f}"] for p in found]
    return grid([heading, "sentences", "per cent"], rows, words=1)


def _shape(shape: dict[str, Any]) -> str:
    rows = [
        ["".join(f"<p class=note>{esc(t)}</p>" for t in e["before"]) + esc(e["instruction"]), _code(e["answer"])]
        for e in shape["examples"]
    ]
    title = f"{_code(shape['signature'] or '(no call)')} {shape['rows']:,} rows, traffic {shape['traffic']:,.0f}"
    return unfold(title, grid(["sentence", "answer"], rows, words=2))


def _rejected(one: dict[str, Any]) -> str:
    rows = [[esc(e["instruction"]), _code(e["answer"]), esc(e["detail"])] for e in one["examples"]]
    title = f"<b>{esc(one['reason'])}</b>, {one['rows']:,}"
    return unfold(title, grid(["sentence", "answer", "detail"], rows, words=3))


def _code(text: str) -> str:
    return f"<code>{esc(text)}</code>"
