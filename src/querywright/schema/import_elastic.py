"""Fields from an Elasticsearch or OpenSearch index: its mapping and, where they are there, its settings.

Read: `GET /index`, `GET /index/_mapping`, the body that creates an index, the mapping alone, and the old form with a
document type in between. Source of the semantics: Elasticsearch 8, "Mapping parameters" and "Field data types".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from querywright.schema.analysis import Analysers, names_in
from querywright.schema.facts import NUMBERS, Fact, Facts, some
from querywright.schema.sources import Source
from querywright.schema.types import NOT_SEARCHABLE, leaf_type

_ALL = ("all", "_all", "catch_all", "everything", "full_text")  # usual names of the field that all others copy into
MAX_DEPTH = 40


def indexes(data: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Every index of a document: its name (or none), its mapping, its settings."""
    if not isinstance(data.get("mappings"), dict) and not isinstance(data.get("properties"), dict):
        for name, inner in data.items():
            if isinstance(inner, dict):
                yield from ((name, mapping, settings) for _, mapping, settings in indexes(inner))
        return
    mapping = data["mappings"] if isinstance(data.get("mappings"), dict) else data
    if "properties" not in mapping:  # an old index: mappings: {document type: {properties: ...}}
        typed = [m for m in mapping.values() if isinstance(m, dict) and isinstance(m.get("properties"), dict)]
        mapping = typed[0] if typed else mapping
    settings = data.get("settings")
    yield "", mapping, settings if isinstance(settings, dict) else {}


class _Reader:
    """Walks one mapping; collects fields, what they copy to, and what could not be carried over."""

    def __init__(self, analysers: Analysers) -> None:
        self.analysers = analysers
        self.fields: dict[str, Fact] = {}
        self.copies: dict[str, list[str]] = {}
        self.aliases: dict[str, str] = {}
        self.left_out: dict[str, list[str]] = {}
        self.dynamic: list[str] = []
        self.nested: list[str] = []

    def walk(self, properties: Any, prefix: str = "", enabled: bool = True, depth: int = 0) -> None:
        if not isinstance(properties, dict) or depth > MAX_DEPTH:
            return
        for leaf, spec in properties.items():
            if isinstance(spec, dict):
                self._one(f"{prefix}{leaf}", spec, enabled, depth)

    def _one(self, name: str, spec: dict[str, Any], enabled: bool, depth: int) -> None:
        kind = spec.get("type", "object")
        if kind == "alias":
            self.aliases[name] = str(spec.get("path", ""))
            return
        if kind in ("object", "nested"):
            here = enabled and spec.get("enabled") is not False
            self.fields[name] = Fact(name, "object", indexed=here, default_search=False, analysis="object")
            if kind == "nested":
                self.nested.append(name)
            if str(spec.get("dynamic", "false")).lower() in ("true", "runtime"):
                self.dynamic.append(name)
            self.walk(spec.get("properties"), f"{name}.", here, depth + 1)
            return
        fact = self._leaf(name, spec, enabled)
        if fact is None:
            return
        self.fields[name] = fact
        for target in names_in(spec.get("copy_to")):
            self.copies.setdefault(target, []).append(name)
        seconds = spec.get("fields")
        for second, inner in seconds.items() if isinstance(seconds, dict) else ():
            multi = self._leaf(f"{name}.{second}", inner, enabled) if isinstance(inner, dict) else None
            if multi is not None:
                self.fields[multi.name] = replace(multi, multi=True, default_search=False)

    def _leaf(self, name: str, spec: dict[str, Any], enabled: bool) -> Fact | None:
        written = str(spec.get("type"))
        if written in NOT_SEARCHABLE:
            self.left_out.setdefault(written, []).append(name)
            return Fact(name, "object", indexed=False, default_search=False, analysis="object")
        kind = leaf_type(written)
        if kind is None:
            self.left_out.setdefault(written, []).append(name)
            return None
        flag = str(spec.get("index", True)).lower()
        if written == "string" and flag == "not_analyzed":
            kind, analysis = "keyword", "exact"
        elif kind == "keyword":
            analysis = self.analysers.of_normalizer(spec.get("normalizer"))
        elif kind == "text":
            analysis = self.analysers.of_analyzer(spec.get("analyzer"))
        else:
            analysis = "number" if kind in NUMBERS else "exact"
        return Fact(
            name=name,
            type=kind,
            indexed=enabled and flag not in ("false", "no"),
            default_search=False,
            analysis=analysis,
            described=True,
        )


def read_elastic(source: Source, default_field: str = "") -> Facts:
    """Read every index of a document; where several name one field, the first is right.

    Args:
        default_field: the field that un-fielded searches look in, where the settings do not say (usually `all`).
    """
    facts = Facts("elasticsearch", source.name)
    for name, mapping, settings in indexes(source.data):
        analysers = Analysers(settings)
        reader = _Reader(analysers)
        reader.walk(mapping.get("properties"))
        reader.walk(mapping.get("runtime"))
        notes = _default_search(reader, settings, default_field)
        searched = {
            t for t in reader.copies if t.rpartition(".")[2].lower() in _ALL or t in _told(settings, default_field)
        }
        for helper in searched:
            reader.fields.pop(helper, None)
        helpers = set(reader.copies) & set(reader.fields)
        facts.helpers |= helpers
        facts.fields = reader.fields | facts.fields
        facts.aliases |= _aliases(reader, notes)
        _meta(facts, mapping, settings)
        notes += analysers.notes() + _noted(reader, mapping, searched, helpers)
        facts.notes += [f"{name}: {note}" if name else note for note in notes]
    facts.notes = list(dict.fromkeys(facts.notes))
    return facts


def _told(settings: dict[str, Any], default_field: str) -> list[str]:
    return [default_field] if default_field else [t.split("^")[0] for t in _default_fields(settings)]


def _default_search(reader: _Reader, settings: dict[str, Any], default_field: str) -> list[str]:
    """Mark the fields that a search without a field looks in; returns what was guessed."""
    told = _told(settings, default_field)
    notes: list[str] = []
    if not told:
        told = [t for t in reader.copies if t.rpartition(".")[2].lower() in _ALL]
        if told:
            notes.append(f"searches without a field look in what is copied to {told[0]}: a guess by its name")
    if not told and len(reader.copies) == 1:
        told = list(reader.copies)
    if not told:  # the service's own default: every field that a word can be looked up in
        told = ["*"]
        notes.append("no field that all others copy into: searches without a field look in all of them")
    for pattern in told:
        into = {name for target, names in reader.copies.items() if fnmatchcase(target, pattern) for name in names}
        exact = {n for n in reader.fields if fnmatchcase(n, pattern)}
        if pattern in reader.copies:
            exact = set()
        for name in (into if pattern != "*" else set()) | exact:
            fact = reader.fields.get(name)
            if fact is not None and fact.type != "object" and not (fact.multi and pattern == "*"):
                reader.fields[name] = replace(fact, default_search=fact.indexed)
    return notes


def _default_fields(settings: dict[str, Any]) -> list[str]:
    """`index.query.default_field`, in any of its spellings."""
    for holder in (settings, settings.get("index")):
        if not isinstance(holder, dict):
            continue
        query = holder.get("query")
        value = holder.get("query.default_field", holder.get("index.query.default_field"))
        value = query.get("default_field", value) if isinstance(query, dict) else value
        if value:
            return [str(v) for v in value] if isinstance(value, list) else [str(value)]
    return []


def _aliases(reader: _Reader, notes: list[str]) -> dict[str, str]:
    lost = sorted(a for a, path in reader.aliases.items() if path not in reader.fields)
    if lost:
        notes.append(f"left out, aliases of unknown fields ({len(lost)}): {some(lost)}")
    return {alias: path for alias, path in reader.aliases.items() if path in reader.fields}


def _meta(facts: Facts, mapping: dict[str, Any], settings: dict[str, Any]) -> None:
    meta = mapping.get("_meta")
    if isinstance(meta, dict) and isinstance(meta.get("biothing_type"), str):
        facts.noun = facts.noun or meta["biothing_type"]
    index = settings.get("index") if isinstance(settings.get("index"), dict) else settings
    window = str((index or {}).get("max_result_window", ""))
    if window.isdigit():
        facts.window = facts.window or int(window)


def _noted(reader: _Reader, mapping: dict[str, Any], searched: set[str], helpers: set[str]) -> list[str]:
    notes = []
    if searched:
        notes.append(f"what searches without a field look in is no field itself: {some(sorted(searched))} left out")
    if helpers:
        notes.append(f"filled by copy_to, so that they are searched and in no answer: {some(sorted(helpers))}")
    for kind, names in sorted(reader.left_out.items()):
        how = "returned, not searched" if kind in NOT_SEARCHABLE else "left out: the type is not known here"
        notes.append(f"of type {kind}, {how} ({len(names)}): {some(sorted(names))}")
    if reader.nested:
        notes.append(
            f"nested, taken as plain objects ({len(reader.nested)}): {some(sorted(reader.nested))}; a query string of "
            "the index itself finds nothing inside them unless they are include_in_root or the service looks there"
        )
    top = str(mapping.get("dynamic", "true")).lower()
    if reader.dynamic or (top in ("true", "runtime") and "properties" in mapping):
        where = some(sorted(reader.dynamic)) if reader.dynamic else "at the top"
        notes.append(f"the mapping is dynamic ({where}): records may hold fields that it does not name")
    if mapping.get("dynamic_templates"):
        notes.append("dynamic_templates are not read: they name no fields")
    return notes
