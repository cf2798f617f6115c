"""Fields from a BioThings service's own list (`/v1/metadata/fields`)."""

from __future__ import annotations

from typing import Any

from querywright.schema.analysis import Analysers
from querywright.schema.facts import NUMBERS, Fact, Facts, analysis_of
from querywright.schema.sources import Source
from querywright.schema.types import leaf_type


def read_biothings(source: Source, analysers: Analysers | None = None) -> Facts:
    """Read a list of fields. Its keywords are lower-cased: the list does not repeat the normalizer that all have.

    Args:
        analysers: definitions from an index that is imported with it; without them a name is all there is to go by.
    """
    facts = Facts("biothings", source.name)
    known = analysers or Analysers()
    for name, spec in source.data.items():
        facts.fields[name] = _field(name, spec, known)
        for leaf, second in _dict(spec.get("fields")).items():
            if isinstance(second, dict) and isinstance(second.get("type"), str):
                multi = f"{name}.{leaf}"
                facts.fields.setdefault(multi, _field(multi, second, known, multi=True))
    facts.notes += known.notes()
    return facts


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _field(name: str, spec: dict[str, Any], known: Analysers, multi: bool = False) -> Fact:
    kind = leaf_type(spec["type"]) or "text"
    named = spec.get("normalizer") if kind == "keyword" else spec.get("analyzer")
    described = isinstance(named, str)
    analysis = analysis_of(kind)
    if described and kind == "keyword":
        analysis = known.of_normalizer(str(named))
    elif described and kind not in NUMBERS and kind != "object":
        analysis = known.of_analyzer(str(named))
    note = spec.get("notes") or spec.get("description") or ""
    return Fact(
        name=name,
        type=kind,
        indexed=spec.get("index") is not False,
        default_search=bool(spec.get("searched_by_default")),
        analysis=analysis,
        described=described,
        description=" ".join(str(note).split())[:400] if isinstance(note, str) else "",
        multi=multi,
    )
