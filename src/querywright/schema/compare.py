"""`schema diff`: two definitions, or a definition and a source, compared and told."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from querywright.api.definition import API, load
from querywright.api.identity import definition_id
from querywright.artefacts import write_jsonl
from querywright.schema.broken_grammar import check_grammar
from querywright.schema.broken_models import check_model
from querywright.schema.broken_pairs import check_pairs, read_pairs
from querywright.schema.diff import Change, diff
from querywright.schema.facts import some


def open_new(old: str, new: str) -> API:
    """A definition; or, where `new` is a schema's source, the old definition with the source's facts taken over."""
    path = Path(new)
    if not path.is_file() or path.name in ("api.yaml", "api.yml"):
        return load(new)
    from querywright.schema.import_schema import Options, import_schema

    api = load(old)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "new"
        shutil.copytree(api.folder, trial)
        with contextlib.redirect_stderr(io.StringIO()):
            options = Options(name=api.name, base_url=api.base_url, update=True, remove=True)
            import_schema([new], trial, options)
        return load(str(trial / "api.yaml"))


def compare(
    old: str, new: str, pairs: Path | None = None, broken: Path | None = None, models: tuple[Path, ...] = ()
) -> dict[str, Any]:
    """Everything that `schema diff` tells, as one value; `breaks` says whether anything does.

    Args:
        pairs: JSONL of pairs, read with both definitions.
        broken: gets the pairs that no longer mean what they meant.
        models: folders or GGUF files of models trained on the old definition.
    """
    a, b = load(old), open_new(old, new)
    changes = diff(a, b)
    pair_report = check_pairs(a, b, changes, read_pairs(pairs)) if pairs else None
    if pair_report and broken:
        write_jsonl(broken, pair_report.broken)
    grammar = check_grammar(a, b, changes)
    judged = [check_model(m, a, b, changes, pair_report, pairs) for m in models]
    lost = pair_report is not None and len(pair_report.broken) > 0
    told: dict[str, Any] = {
        "old": {"name": a.name, "definition": definition_id(a), "fields": len(a.fields)},
        "new": {"name": b.name, "definition": definition_id(b), "fields": len(b.fields)},
        "breaks": any(c.breaks for c in changes) or lost,
        "changes": [{k: v for k, v in asdict(c).items() if v not in (None, "")} for c in changes],
        "grammar": asdict(grammar),
        "models": [asdict(m) for m in judged],
    }
    if pair_report:
        counts = {"rows": pair_report.rows, "status": dict(pair_report.status)}
        told["pairs"] = {**counts, "by_field": dict(pair_report.fields.most_common())}
    return told


def lines(told: dict[str, Any], most: int = 12) -> list[str]:
    """The same for people: a line for each kind of change, the breaking ones first."""
    changes = [Change(**c) for c in told["changes"]]
    old, new = told["old"], told["new"]
    if not changes:
        return [f"no difference: {old['name']} {old['definition']}"]
    out = [
        f"{old['name']} {old['definition']} ({old['fields']} fields) -> {new['definition']} ({new['fields']} fields)"
    ]
    for breaks in (True, False):
        groups: dict[str, list[Change]] = {}
        for change in (c for c in changes if c.breaks is breaks):
            groups.setdefault(_head(change), []).append(change)
        if groups:
            out.append("breaks:" if breaks else "breaks nothing:")
            for head, group in sorted(groups.items(), key=lambda g: -len(g[1])):
                count = f"{len(group)} " if len(group) > 1 else ""
                out.append(f"  {count}{head}: {some([_tail(c) for c in group], most)}")
    out += _grammar_lines(told["grammar"])
    if "pairs" in told:
        out += _pair_lines(told["pairs"], most)
    for model in told["models"]:
        out.append(f"model {model['path']}: trained on {model['trained_on']}; {model['advice']}")
    return out


def _head(change: Change) -> str:
    if change.part == "field" and change.what in ("type", "analysis", "indexed", "default_search"):
        note = f" ({change.note})" if change.note else ""
        return f"field: {change.what} {_short(change.old)} is now {_short(change.new)}{note}"
    return f"{change.part}: {change.what}" + (f" ({change.note})" if change.note and change.part != "field" else "")


def _tail(change: Change) -> str:
    if change.part == "field":
        return f"{change.name} -> {change.new} ({change.note})" if change.what == "renamed" else change.name
    both = " -> ".join(_short(v) for v in (change.old, change.new) if v is not None)
    return f"{change.name} {both}".strip()


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        return some(map(str, value), 6)
    return str(value)[:60]


def _grammar_lines(grammar: dict[str, Any]) -> list[str]:
    if not grammar["terminals"] and not grammar["rules"]:
        return ["grammar: the same"]
    parts = []
    for name, t in grammar["terminals"].items():
        words = [f"{t[k]} words {w}" for k, w in (("words_removed", "less"), ("words_added", "more")) if t[k]]
        parts.append(f"{name} {t['what']}" + (f" ({', '.join(words)})" if words else ""))
    rules = f"; {len(grammar['rules'])} rules changed" if grammar["rules"] else ""
    out = [f"grammar: {some(parts)}{rules}; querywright grammar build writes it anew"]
    if grammar["refused"]:
        out.append("  it refuses what the old one accepts, for instance:")
        out += [f"    {r['path']}  ({r['reason']})" for r in grammar["refused"][:4]]
    return out


def _pair_lines(pairs: dict[str, Any], most: int) -> list[str]:
    status = Counter(pairs["status"])
    parts = [f"{n} {s}" for s, n in status.most_common()]
    out = [f"pairs: {pairs['rows']} rows: {', '.join(parts)}"]
    if pairs["by_field"]:
        out.append(f"  by field: {some([f'{n} {c}' for n, c in pairs['by_field'].items()], most)}")
    return out
