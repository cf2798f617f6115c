"""What a new definition changes in the grammar, and calls that only the old one accepts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from querywright.api.call import CallError, parse
from querywright.api.definition import API, Param
from querywright.schema.diff import Change


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
