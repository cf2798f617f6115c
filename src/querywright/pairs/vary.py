"""Pairs of APIs that do not exist: a row's API, record endpoint and fields under other names.

A model that has only seen three APIs learns their names by heart. Where names change from row to row and only the
prompt tells them, it has to read them there: what it needs for an API that it never saw. New names come from what
people call a field (its synonyms), so that sentence and name still have words in common.
"""

from __future__ import annotations

import random
import re

from querywright.api.definition import API, load
from querywright.rows import Row, system_line

_NOUNS = (
    *("taxon", "phenotype", "cell", "protein", "trial", "pathway", "cohort", "sample", "strain", "publication"),
    *("assay", "tissue", "allele", "peptide", "enzyme", "vaccine", "reaction", "material", "plant", "device", "lipid"),
)
_PARENTS = ("annotation", "info", "data", "source", "meta", "record", "general", "details", "attributes", "core")
_ENDPOINT = re.compile(r"^(/v\d+)/([a-z]+)(?=/)")
_LIST = re.compile(r"([?&](?:fields|sort|facets)=)([^&]*)")
_TURNED = ("snake", "camel", "dotted", "nested")


def other_name(synonym: str, rng: random.Random) -> str:
    """A name made of what people call a field: `ClinVar clinical significance` to `clinvar.clinical_significance`."""
    parts = re.findall(r"[a-z0-9]+", synonym.lower())[:4] or ["value"]
    kind = rng.choice(_TURNED)
    if kind == "camel":
        return parts[0] + "".join(p.capitalize() for p in parts[1:])
    if kind == "dotted" and len(parts) > 1:
        return f"{parts[0]}.{'_'.join(parts[1:])}"
    name = "_".join(parts)
    return f"{rng.choice(_PARENTS)}.{name}" if kind == "nested" else name


def varied(row: Row, rng: random.Random, api: API | None = None) -> Row | None:
    """The row as one of an API that does not exist; None where its sentence has a field's very name, and for
    conversations.

    Args:
        row: with `fields` (see `prompted`).

    Returns:
        A row whose `path` is no call of its API any more: for training only, under its own `system`.
    """
    if not row.get("path") or row.get("turns"):
        return None
    api = api or load(row["api"])
    text = row["path"]
    # longest first, so that a field is not taken for the object that holds it
    known = sorted({*row.get("fields", ()), *_named(api, text)}, key=lambda n: (-len(n), n))
    if any("." in name and name in row["instruction"] for name in known):
        return None
    new: dict[str, str] = {}
    for name in known:
        field = api.fields.get(name)
        fresh = other_name(rng.choice(field.synonyms), rng) if field and field.synonyms else name
        new[name] = name if fresh in new.values() else fresh
    noun = rng.choice(_NOUNS)
    path = _ENDPOINT.sub(lambda m: f"{m[1]}/{noun}" if m[2] != "query" else m[0], text)
    body = "|".join(map(re.escape, known))
    if known:
        # where names stand: before a colon, after _exists_:, in lists of fields; a value of the same text stays
        named = rf'(?<![\w.":-])(?:{body})(?=:)|(?<=_exists_:)(?:{body})(?![\w.])'
        path = re.sub(named, lambda m: new[m[0]], path)
        path = _LIST.sub(lambda m: m[1] + re.sub(rf"(?<![\w.])(?:{body})(?![\w.])", lambda n: new[n[0]], m[2]), path)
    system = system_line(f"my{noun}", [new[name] for name in row.get("fields", ())])
    return {**row, "path": path, "system": system}


def _named(api: API, text: str) -> set[str]:
    """Fields that a call's text names."""
    return {name for name in re.findall(r"[A-Za-z_][\w.+-]*", text) if name in api.fields}
