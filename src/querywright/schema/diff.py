"""What differs between two definitions of an API, and which differences break something."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from querywright.api.definition import API, Endpoint, Param
from querywright.schema.renames import guess_renames


@dataclass(frozen=True)
class Change:
    """One difference.

    Attributes:
        part: field, parameter, vocabulary, endpoint or api.
        name: of what differs.
        what: added, removed, renamed, or the key that changed (type, analysis, indexed, values, max, ...).
        breaks: whether a call that was right before can be refused or mean something else now.
        note: what a person should know about it.
    """

    part: str
    name: str
    what: str
    old: Any = None
    new: Any = None
    breaks: bool = False
    note: str = ""


def diff(old: API, new: API) -> list[Change]:
    """All differences, fields first."""
    return [*_fields(old, new), *_params(old, new), *_vocabularies(old, new), *_endpoints(old, new), *_api(old, new)]


def _fields(old: API, new: API) -> list[Change]:
    gone = {n: f for n, f in old.fields.items() if n not in new.fields}
    come = {n: f for n, f in new.fields.items() if n not in old.fields}
    renames = guess_renames(gone, come)
    changes = []
    for name, field in gone.items():
        alias = new.resolve(name)
        if alias is not None:  # the new definition still reads the old name
            changes.append(Change("field", name, "renamed", name, alias, note="the old name is still read"))
        elif name in renames:
            other, score = renames[name]
            note = f"a guess by type and name ({score:.2f})"
            changes.append(Change("field", name, "renamed", name, other, breaks=True, note=note))
        else:
            changes.append(Change("field", name, "removed", field.type, None, breaks=True))
    taken = {c.new for c in changes if c.what == "renamed"}
    changes += [Change("field", name, "added", None, f.type) for name, f in come.items() if name not in taken]
    for name, field in old.fields.items():
        other_field = new.fields.get(name)
        if other_field is None:
            continue
        for key in ("type", "analysis", "indexed", "default_search"):
            a, b = getattr(field, key), getattr(other_field, key)
            if a == b:
                continue
            leaf = "object" not in (field.type, other_field.type)
            kind = key == "type" and _family(a) != _family(b)
            analysis = key == "analysis" and field.indexed
            breaks = kind or analysis or (key == "indexed" and not b) or (key == "default_search" and leaf)
            changes.append(Change("field", name, key, a, b, breaks=breaks, note=_means(key, a, b)))
    return changes


def _family(kind: str) -> str:
    """Types whose values are searched alike; how words are compared is the business of `analysis`."""
    if kind in ("integer", "long", "byte", "float", "double"):
        return "number"
    return "words" if kind in ("keyword", "text") else kind


def _means(key: str, old: Any, new: Any) -> str:
    if key == "indexed":
        return "can be searched now" if new else "is returned, but no longer searched"
    if key == "default_search":
        return "searches without a field look in it now" if new else "searches without a field no longer look in it"
    if key == "analysis" and "exact" in (old, new):
        return "letter case counts now" if new == "exact" else "letter case no longer counts"
    if key == "analysis" and "text" in (old, new):
        return "a value is several words now" if new == "text" else "a value is one piece now, not several words"
    return ""


def _params(old: API, new: API) -> list[Change]:
    changes = [
        Change("parameter", n, "removed", p.kind, None, breaks=n not in new.ignored_params)
        for n, p in old.params.items()
        if n not in new.params
    ]
    changes += [Change("parameter", n, "added", None, p.kind) for n, p in new.params.items() if n not in old.params]
    for name, a in old.params.items():
        b = new.params.get(name)
        if b is not None:
            changes += _param(name, a, b)
    return changes


def _param(name: str, a: Param, b: Param) -> Iterable[Change]:
    for key in ("kind", "items", "explode", "vocabulary", "pattern", "all"):
        if getattr(a, key) != getattr(b, key):
            yield Change(
                "parameter", name, key, getattr(a, key), getattr(b, key), breaks=key != "pattern" or b.pattern != ""
            )
    if a.default != b.default:
        note = "a call that does not give it means something else now"
        yield Change("parameter", name, "default", a.default, b.default, breaks=True, note=note)
    for key, narrower in (
        ("min", lambda x, y: y is not None and (x is None or y > x)),
        ("max", lambda x, y: y is not None and (x is None or y < x)),
    ):
        x, y = getattr(a, key), getattr(b, key)
        if x != y:
            yield Change("parameter", name, key, x, y, breaks=bool(narrower(x, y)))
    yield from _words("parameter", name, "values", a.values, b.values, [v.lower() for v in b.values])
    yield from _words("parameter", name, "aliases", a.aliases, b.aliases, b.aliases)


def _words(
    part: str, name: str, key: str, old: Iterable[str], new: Iterable[str], still: Iterable[str] = ()
) -> Iterable[Change]:
    gone, come = [v for v in old if v not in set(new)], [v for v in new if v not in set(old)]
    if gone:
        lost = [v for v in gone if v.lower() not in set(still)]
        yield Change(part, name, f"{key} removed", gone, None, breaks=bool(lost))
    if come:
        yield Change(part, name, f"{key} added", None, come)


def _vocabularies(old: API, new: API) -> list[Change]:
    changes: list[Change] = []
    for name in dict.fromkeys([*old.vocabularies, *new.vocabularies]):
        a, b = old.vocabularies.get(name, {}), new.vocabularies.get(name, {})
        changes += _words("vocabulary", name, "words", a, b)
        other = [w for w in a if w in b and a[w] != b[w]]
        if other:
            values: tuple[Any, Any] = ({w: a[w] for w in other}, {w: b[w] for w in other})
            changes.append(Change("vocabulary", name, "values", *values, breaks=True))
    return changes


def _endpoints(old: API, new: API) -> list[Change]:
    changes = [
        Change("endpoint", n, "removed", e.path, None, breaks=not _still_read(new, e.path))
        for n, e in old.endpoints.items()
        if n not in new.endpoints
    ]
    changes += [
        Change("endpoint", n, "added", None, e.path) for n, e in new.endpoints.items() if n not in old.endpoints
    ]
    for name, a in old.endpoints.items():
        b = new.endpoints.get(name)
        if b is not None:
            changes += _endpoint(new, name, a, b)
    return changes


def _still_read(api: API, path: str) -> bool:
    return any(path in (e.path, *e.aliases) for e in api.endpoints.values())


def _endpoint(new: API, name: str, a: Endpoint, b: Endpoint) -> Iterable[Change]:
    if a.path != b.path:
        yield Change("endpoint", name, "path", a.path, b.path, breaks=not _still_read(new, a.path))
    gone, come = [p for p in a.params if p not in b.params], [p for p in b.params if p not in a.params]
    if gone:
        note = "a call that gives it means something else now"
        yield Change("endpoint", name, "parameters removed", gone, None, breaks=True, note=note)
    if come:
        yield Change("endpoint", name, "parameters added", None, come)
    more = [r for r in b.required if r not in a.required]
    less = [r for r in a.required if r not in b.required]
    if more or less:
        yield Change("endpoint", name, "required", list(a.required), list(b.required), breaks=bool(more))


def _api(old: API, new: API) -> Iterable[Change]:
    for key in ("query_language", "default_operator", "leading_wildcard", "value_prefixes", "intervals", "base_url"):
        a, b = getattr(old, key), getattr(new, key)
        if a != b:
            yield Change("api", key, "changed", _plain(a), _plain(b), breaks=key != "base_url")
    for key in ("field_aliases", "meta_fields", "version_prefixes", "ignored_params"):
        a, b = getattr(old, key), getattr(new, key)
        still = [*new.param_names] if key == "ignored_params" else [n for n in a if new.resolve(n) is not None]
        yield from _words("api", key, "names", a, b, [s.lower() for s in still])


def _plain(value: Any) -> Any:
    return value.model_dump(exclude_defaults=True) if hasattr(value, "model_dump") else value


def by_field(changes: Iterable[Change]) -> Mapping[str, list[Change]]:
    """The changes of fields, by the old name."""
    found: dict[str, list[Change]] = {}
    for change in changes:
        if change.part == "field":
            found.setdefault(change.name, []).append(change)
    return found
