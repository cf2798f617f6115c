"""What a new definition breaks: pairs whose call is refused or means something else, the grammar, trained models."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from querywright.api.call import Call, CallError, parse
from querywright.api.definition import API, Param
from querywright.api.identity import definition_id
from querywright.api.query import Exists, Range, Term, walk
from querywright.artefacts import MANIFEST, read_jsonl, sha256
from querywright.errors import QuerywrightError
from querywright.schema.diff import Change, by_field

Row = dict[str, Any]


# --- pairs ----------------------------------------------------------------------------------------------------------
@dataclass
class PairReport:
    """What becomes of pairs.

    Attributes:
        status: rows by what happens to them: same, refused (no call any more), other call, other answer (the same
            text, but a field or a default that it relies on works differently), already refused by the old definition.
        fields: rows that are not the same, by the field or parameter behind it.
        broken: the rows that are not the same, each with `status`, `reason` and, for a rename, a `suggestion`.
    """

    rows: int = 0
    status: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    broken: list[Row] = field(default_factory=list)


def check_pairs(old: API, new: API, changes: list[Change], rows: Iterable[Row]) -> PairReport:
    """Read every row's call with both definitions and compare."""
    report = PairReport()
    renames = {c.name: str(c.new) for c in changes if c.part == "field" and c.what == "renamed"}
    known = _Known(changes)
    for row in rows:
        report.rows += 1
        status, reason, causes, call = _one(old, new, known, str(row.get("path", "")))
        report.status[status] += 1
        if status in ("same", "already refused"):
            continue
        report.fields.update(causes or [reason.split(";")[0][:80]])
        broken = {**row, "status": status, "reason": reason, "touches": causes}
        if status == "refused" and call is not None and (better := _renamed(new, row["path"], renames)):
            broken["suggestion"] = better
        report.broken.append(broken)
    return report


class _Known:
    """The changes, ready to be asked what touches a call."""

    def __init__(self, changes: list[Change]) -> None:
        self.fields = {n: [c for c in own if c.breaks] for n, own in by_field(changes).items()}
        self.fields = {n: own for n, own in self.fields.items() if own}
        self.defaults = {c.name for c in changes if c.part == "parameter" and c.what == "default"}
        self.everywhere = any(c.part == "field" and c.what == "default_search" for c in changes)
        self.only_fields = all(c.part == "field" for c in changes)


def _one(old: API, new: API, known: _Known, path: str) -> tuple[str, str, list[str], Call | None]:
    try:
        before = parse(old, path)
    except CallError as error:
        return "already refused", str(error), [], None
    named = touched_fields(old, before)
    causes = sorted(n for n in named if n in known.fields)
    if not causes and known.only_fields:
        return _unnamed(known, before)
    try:
        after = parse(new, path)
    except CallError as error:
        return "refused", str(error), causes, before
    if before.canonical != after.canonical:
        return "other call", f"{before.canonical} is now {after.canonical}", causes, before
    same_text = [n for n in causes if named[n] and any(c.what in ("type", "analysis") for c in known.fields[n])]
    if same_text:
        told = "; ".join(f"{n}: {c.what} {c.old} is now {c.new}" for n in same_text for c in known.fields[n])
        return "other answer", told, same_text, before
    given = {n for n, _ in before.params}
    silent = [p for p in old.endpoints[before.endpoint].params if p in known.defaults and p not in given]
    if silent:
        return "other answer", f"the default of {', '.join(silent)} changed", silent, before
    return _unnamed(known, before)


def _unnamed(known: _Known, call: Call) -> tuple[str, str, list[str], Call | None]:
    """What becomes of a call that names nothing that changed: only a search in all fields can find other records."""
    words = (n for n in walk(call.query) if isinstance(n, Term) and n.field is None) if call.query is not None else ()
    if known.everywhere and any(True for _ in words):
        return "other answer", "searches without a field look in other fields", ["(no field)"], call
    return "same", "", [], call


def touched_fields(api: API, call: Call) -> dict[str, bool]:
    """Every field that a call names, and whether it is searched or sorted by, not only returned.

    An object that is searched counts with its leaves.
    """
    names: dict[str, bool] = {}
    for name, value in call.params:
        param = api.params[name]
        if param.kind in ("fields", "sort") and isinstance(value, tuple):
            names |= {v.lstrip("-"): param.kind == "sort" or param.indexed for v in value}
    for node in walk(call.query) if call.query is not None else ():
        if isinstance(node, Term | Range | Exists) and node.field:
            names |= dict.fromkeys((node.field, *api.leaves(node.field)), True)
    return names


def _renamed(new: API, path: str, renames: Mapping[str, str]) -> str:
    """The call with the guessed new names in it, if that is a call."""
    if not renames:
        return ""
    names = "|".join(re.escape(n) for n in sorted(renames, key=len, reverse=True))
    text = re.sub(rf"(?<![\w.])({names})(?![\w])", lambda m: renames[m[1]], path)
    try:
        return parse(new, text).text if text != path else ""
    except CallError:
        return ""


# --- grammar --------------------------------------------------------------------------------------------------------
@dataclass
class GrammarReport:
    """What becomes of the grammar: terminals and rules that changed, and calls that only the old one accepts."""

    terminals: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)


def check_grammar(old: API, new: API, changes: list[Change], most: int = 20) -> GrammarReport:
    """Compile both grammars and compare them; example calls show what the new one refuses."""
    from querywright.api import grammar

    before, after = _parts(grammar.build(old)), _parts(grammar.build(new))
    names_before, names_after = _names(old), _names(new)
    report = GrammarReport()
    for name in dict.fromkeys([*before, *after]):
        a, b = before.get(name), after.get(name)
        if a == b:
            continue
        if name.isupper():
            words_a = names_before.get(name) or _words(a or "")
            words_b = names_after.get(name) or _words(b or "")
            gone, come = words_a - words_b, words_b - words_a
            what = "removed" if b is None else "added" if a is None else "changed"
            report.terminals[name] = {"what": what, "words_removed": len(gone), "words_added": len(come)}
        else:
            report.rules.append(name)
    for text in _examples(old, changes):
        try:
            parse(old, text)
        except CallError:
            continue
        try:
            parse(new, text)
        except CallError as error:
            report.refused.append({"path": text, "reason": str(error)})
        if len(report.refused) == most:
            break
    return report


def _parts(source: str) -> dict[str, str]:
    """Rules and terminals of a grammar, by name."""
    lines = (re.match(r"([A-Za-z_]\w*)(?:\.\d+)?: (.*)", line) for line in source.splitlines())
    return {m[1]: m[2] for m in lines if m}


def _names(api: API) -> dict[str, set[str]]:
    """The names of fields that a terminal stands for."""
    from querywright.api import grammar

    sorted_by = {f for f in api.fields if api.leaves(f) == (f,)}
    return {"NAME": set(grammar.searchable(api)), "RETURNED": set(api.fields), "SORTED": sorted_by}


def _words(regex: str) -> set[str]:
    return {w.replace("\\", "") for w in re.split(r"[()|/]", regex) if re.fullmatch(r"[\w\\.\-@%+ ]{2,}", w)}


def _examples(api: API, changes: list[Change]) -> Iterator[str]:
    """Calls of the old definition, one for each change that can break one."""
    for change in changes:
        if not change.breaks:
            continue
        if change.part == "field":
            yield from _field_calls(api, change.name)
        elif change.part == "parameter" and change.name in api.params:
            param = api.params[change.name]
            values = (
                change.old if change.what == "values removed" else [change.old] if change.what in ("min", "max") else []
            )
            for value in [str(v) for v in values if v is not None] or [sample(param)]:
                yield from (
                    _with(api, name, change.name, value) for name, e in api.endpoints.items() if change.name in e.params
                )
        elif change.part == "endpoint" and change.name in api.endpoints:
            yield _with(api, change.name, "", "")
        elif change.part == "vocabulary" and change.what == "words removed":
            for name, param in api.params.items():
                if param.vocabulary == change.name:
                    for endpoint, e in api.endpoints.items():
                        if name in e.params:
                            yield from (_with(api, endpoint, name, str(word)) for word in change.old)


def _field_calls(api: API, name: str) -> Iterator[str]:
    for endpoint, spec in api.endpoints.items():
        if "q" in spec.params and api.leaves(name):
            yield _with(api, endpoint, "q", f"_exists_:{name.replace('+', '%2B')}")
        for param in spec.params:
            if api.params[param].kind == "fields" and not (api.params[param].indexed and not api.leaves(name)):
                yield _with(api, endpoint, param, name.replace("+", "%2B"))
                break


def _with(api: API, endpoint: str, name: str, value: str) -> str:
    """A short call to an endpoint that gives one parameter, and what has to be given with it."""
    spec = api.endpoints[endpoint]
    given = {group[0]: sample(api.params[group[0]]) for group in spec.needs if name not in group}
    if name:
        given[name] = value
    path = re.sub(r"\{([^{}]+)\}", lambda m: given.pop(m[1], "1"), spec.path)
    return path + ("?" + "&".join(f"{n}={v}" for n, v in given.items()) if given else "")


def sample(param: Param) -> str:
    """A value that a parameter takes."""
    kind = param.items if param.kind == "list" else param.kind
    if kind == "enum":
        return next((v for v in param.values if v != param.default), param.values[0])
    if kind in ("integer", "number"):
        low = param.min if param.min is not None else 1
        return str(low if param.max is None or low + 1 > param.max else low + 1)
    if kind == "date":
        return "2024-05-31"
    if kind == "boolean":
        return "false" if param.default is True else "true"
    return param.examples[0] if param.examples else {"query": "*", "sort": "_score"}.get(kind, "a")


# --- models ---------------------------------------------------------------------------------------------------------
@dataclass
class ModelReport:
    """What becomes of a trained model: which definition it was trained on, and what to do."""

    path: str
    trained_on: str
    touched: float | None
    advice: str


def check_model(
    where: Path, old: API, new: API, changes: list[Change], pairs: PairReport | None, pairs_file: Path | None
) -> ModelReport:
    """Judge one model folder (an adapter, an export with a GGUF) or GGUF file by the manifest beside it.

    Raises:
        QuerywrightError: there is no such model.
    """
    folder = where if where.is_dir() else where.parent
    if not where.exists():
        raise QuerywrightError(f"no model at {where}", hint="--model takes a model's folder or a .gguf file")
    told = _manifest(folder)
    ids = set(_found(told, "definition"))
    named = set(_found(told, "api"))
    if named and old.name not in named:
        return ModelReport(str(where), f"another API: {', '.join(sorted(named))}", None, "not concerned")
    if definition_id(new) in ids:
        trained, current = "the new definition", True
    elif definition_id(old) in ids:
        trained, current = "the old definition", False
    else:
        trained, current = (
            ("another definition than these two" if ids else "a definition that its manifest does not name"),
            False,
        )
    touched = None
    if pairs is not None and pairs.rows:
        touched = (pairs.rows - pairs.status["same"] - pairs.status["already refused"]) / pairs.rows
        if (
            pairs_file is not None
            and (hashes := set(_found(told, "data_sha256")))
            and not _same_rows(pairs_file, hashes)
        ):
            trained += "; the pairs given are not the rows that it was trained on"
    return ModelReport(str(where), trained, touched, _advice(current, touched, changes))


def _advice(current: bool, touched: float | None, changes: list[Change]) -> str:
    breaking = [c for c in changes if c.breaks]
    added = sum(c.part == "field" and c.what == "added" for c in changes)
    if current or not changes:
        return "keep it"
    if touched is None:
        if not breaking:
            return f"keep it; it has never seen the {added} new fields" if added else "keep it"
        return "train again; --pairs with its training rows tells how much it learnt that is wrong now"
    if touched == 0:
        return "keep it: none of its training rows is touched" + (f"; {added} new fields are unseen" if added else "")
    if touched < 0.01:
        return f"keep it for now: {touched:.1%} of its training rows are touched; the new grammar refuses what is gone"
    return f"train again on pairs made from the new definition: {touched:.1%} of its training rows are touched"


def _manifest(folder: Path) -> Any:
    for path in (folder / MANIFEST, folder.parent / MANIFEST):
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    return {}


def _found(value: Any, key: str) -> Iterator[str]:
    """Every text under a key, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key and isinstance(inner, str):
                yield inner
            yield from _found(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _found(inner, key)


def _same_rows(path: Path, hashes: set[str]) -> bool:
    beside = (path, path.with_name(path.name.replace(".jsonl", ".chat.jsonl")))
    return any(p.is_file() and sha256(p) in hashes for p in beside)


def read_pairs(path: Path) -> list[Row]:
    """Rows with a `path`.

    Raises:
        QuerywrightError: a row has none.
    """
    rows = read_jsonl(path)
    if any("path" not in row for row in rows):
        raise QuerywrightError(
            f"{path}: a row has no 'path'", hint="--pairs takes pairs.jsonl, or train.jsonl of a split"
        )
    return rows
