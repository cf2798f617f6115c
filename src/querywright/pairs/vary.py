"""Pairs of APIs that do not exist: a row's API, record endpoint and fields under other names.

A model that has only seen three APIs learns their names by heart. Where names change from row to row and only the
prompt tells them, it has to read them there: what it needs for an API that it never saw. New names come from what
people call a field (its synonyms), so that sentence and name still have words in common.
"""

from __future__ import annotations

import random
import re

from querywright.api.definition import API, load
from querywright.api.query_text import escape, unescape
from querywright.rows import Row, system_line

_NOUNS = (
    *("taxon", "phenotype", "cell", "protein", "trial", "pathway", "cohort", "sample", "strain", "publication"),
    *("assay", "tissue", "allele", "peptide", "enzyme", "vaccine", "reaction", "material", "plant", "device", "lipid"),
)
_PARENTS = ("annotation", "info", "data", "source", "meta", "record", "general", "details", "attributes", "core")
_QUOTED = r'\\.|"(?:\\.|[^"\\])*"'
_NAME = re.compile(r"[\w@](?:[\w.@/-]|%2B)*")
_CODED = re.compile(r"[^A-Za-z]|[a-z][A-Z]")  # no word of the language: `clinvar.gene`, `type_of_gene`, `mgiId`
_TRIES = 8
_TURNED = ("snake", "camel", "dotted", "nested")


def other_name(synonym: str, rng: random.Random) -> str:
    """A name made of what people call a field: `ClinVar clinical significance` to `clinvar.clinical_significance`."""
    parts = re.findall(r"[a-z0-9]+", synonym.lower())[:4] or ["value"]
    kind = "nested" if parts[0][0].isdigit() else rng.choice(_TURNED)  # no name begins with a digit
    if kind == "camel":
        return parts[0] + "".join(p.capitalize() for p in parts[1:])
    if kind == "dotted" and len(parts) > 1:
        return f"{parts[0]}.{'_'.join(parts[1:])}"
    name = "_".join(parts)
    return f"{rng.choice(_PARENTS)}.{name}" if kind == "nested" else name


def varied(row: Row, rng: random.Random, api: API | None = None) -> Row | None:
    """The row as one of an API that does not exist.

    Args:
        row: with `fields` (see `prompted`).

    Returns:
        A row whose `path` is no call of its API any more: for training only, under its own `system`. None where a name
        has to stay: the sentence has it letter for letter, the call has one that the prompt does not show (nobody could
        know what it is now), the API has parameters instead of fields, or the row is a conversation or no call.
    """
    if not row.get("path") or row.get("turns"):
        return None
    api = api or load(row["api"])
    if api.query_language == "none":
        return None
    shown, text = list(row.get("fields", ())), row["path"]
    untold = _named(api, text) - {*shown}
    if any(_CODED.search(name) and name in row["instruction"] for name in {*shown, *untold}):
        return None
    noun = rng.choice(_NOUNS)
    if untold and _renamed(api, text, dict.fromkeys(untold, "?"), noun) != _renamed(api, text, {}, noun):
        return None
    new = _other_names(api, sorted(shown), rng)
    system = system_line(f"my{noun}", [new[name] for name in shown])
    return {**row, "path": _renamed(api, text, new, noun), "system": system}


def _other_names(api: API, known: list[str], rng: random.Random) -> dict[str, str]:
    """For each field a name that no other has, now or before; its own where its synonyms give none."""
    taken = set(known)
    new: dict[str, str] = {}
    for name in known:
        field = api.fields.get(name)
        synonyms = field.synonyms if field else ()
        tried = (other_name(rng.choice(synonyms), rng) for _ in range(_TRIES if synonyms else 0))
        new[name] = next((fresh for fresh in tried if fresh not in taken), name)
        taken.add(new[name])
    return new


def _renamed(api: API, path: str, new: dict[str, str], noun: str) -> str:
    """A call's text under other names, where names stand: before a colon, after `_exists_:`, in lists of fields, and of
    the record endpoint its last word. A value of the same text stays, quoted or not."""
    record = next((e.path for e in api.endpoints.values() if e.path.endswith("/{id}")), "").removesuffix("{id}")
    if record and path.startswith(record):
        path = f"{record.rstrip('/').rpartition('/')[0]}/{noun}/{path.removeprefix(record)}"
    if not new:
        return path
    # longest first, so that a field is not taken for the object that holds it
    new = {escape(old): fresh for old, fresh in new.items()}
    body = "|".join(re.escape(name) for name in sorted(new, key=lambda n: (-len(n), n)))
    named = rf"{_QUOTED}|(?<![\w.:@/-])(?:{body})(?=:)|(?<=_exists_:)(?:{body})(?![\w.@%/-])"
    path = re.sub(named, lambda m: new.get(m[0], m[0]), path)
    lists = "|".join(re.escape(name) for name, p in api.params.items() if p.kind in ("fields", "sort"))
    return re.sub(rf"{_QUOTED}|(?<=[?&])((?:{lists})=)([^&]*)", lambda m: _listed(m, new), path) if lists else path


def _listed(found: re.Match[str], new: dict[str, str]) -> str:
    if not found[1]:
        return found[0]
    return found[1] + re.sub(r"(-?)([^,]+)", lambda m: m[1] + new.get(m[2], m[2]), found[2])


def _named(api: API, text: str) -> set[str]:
    """Fields that a call's text names."""
    return {name for name in map(unescape, _NAME.findall(text)) if name in api.fields}
