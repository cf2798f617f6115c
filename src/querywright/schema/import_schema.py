"""`schema import`: from one or several sources to a folder that is a whole definition."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.api.definition import SchemaField, read_fields
from querywright.errors import QuerywrightError
from querywright.progress import say
from querywright.schema import facts as known
from querywright.schema.analysis import Analysers
from querywright.schema.facts import Facts, some
from querywright.schema.import_biothings import read_biothings
from querywright.schema.import_elastic import indexes, read_elastic
from querywright.schema.import_openapi import Described, read_openapi
from querywright.schema.lucene import lucene_definition
from querywright.schema.names import collisions, returnable, writable
from querywright.schema.renames import guess_renames
from querywright.schema.sources import Source, read_source
from querywright.schema.update import IMPORTED, imported_text, update_yaml
from querywright.schema.write import (
    FIELD_COLUMNS,
    PARAM_COLUMNS,
    Changes,
    csv_text,
    field_rows,
    inherit,
    read_rows,
    tame,
    updated,
    write_definition,
)
from querywright.schema.yaml_text import yaml_text


@dataclass(frozen=True)
class Options:
    """What a person chooses; see the command's help."""

    name: str
    base_url: str = ""
    item_path: str = ""
    query_path: str = "/v1/query"
    query_param: str = ""
    default_field: str = ""
    only_listed: bool = False
    keep: tuple[str, ...] = ()
    update: bool = False
    remove: bool = False


def read_facts(sources: list[Source], options: Options) -> Facts:
    """The facts of BioThings and Elasticsearch sources, merged in the order given."""
    analysers = Analysers()
    for source in sources:
        for _, _, settings in indexes(source.data) if source.kind == "elasticsearch" else ():
            analysers.add(settings)
    read = [
        read_elastic(s, options.default_field) if s.kind == "elasticsearch" else read_biothings(s, analysers)
        for s in sources
    ]
    whole = known.merge(read)
    return known.only_listed(whole, read, options.keep) if options.only_listed else whole


def tidy_names(fields: dict[str, SchemaField]) -> tuple[dict[str, SchemaField], list[str]]:
    """Leave out the names that no request can hold, and mark as not indexed what a query can't name; say which."""
    notes = []
    lost = [n for n in fields if not returnable(n)]
    kept = {n: f for n, f in fields.items() if n not in lost}
    if lost:
        notes.append(f"left out, names that can't stand in a request ({len(lost)}): {some(map(repr, lost))}")
    unwritten = [n for n, f in kept.items() if not writable(n) and f.indexed]
    for name in unwritten:
        kept[name] = replace_field(kept[name], indexed=False, default_search=False)
    if unwritten:
        n = len(unwritten)
        notes.append(f"names that can't be written in a query, returned and not searched ({n}): {some(unwritten)}")
    if same := collisions(kept):
        told = some(" / ".join(group) for group in same)
        notes.append(f"differ in letter case only, each is read as it is written ({len(same)}): {told}")
    return kept, notes


def replace_field(field: SchemaField, **values: Any) -> SchemaField:
    """A field with other values."""
    return field.model_copy(update=values)


def import_schema(where: list[str], out: Path, options: Options) -> None:
    """Read sources and write a definition into `out`; says what was found, guessed, left out and changed.

    Raises:
        QuerywrightError: a source can't be read; `out` holds a definition and `update` is off.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", options.name):
        raise QuerywrightError(f"{options.name!r} is no name of an API", hint="letters, digits, - and _")
    exists = (out / "api.yaml").exists()
    if exists and not options.update:
        raise QuerywrightError(f"{out} holds a definition", hint="--update takes new facts over and keeps your edits")
    sources = [read_source(w) for w in where]
    documents = [s for s in sources if s.kind == "openapi"]
    schemas = [s for s in sources if s.kind != "openapi"]
    if len(documents) > 1:
        raise QuerywrightError("two OpenAPI documents are two APIs", hint="import each into a folder of its own")
    facts = read_facts(schemas, options) if schemas else Facts("openapi")
    for source in schemas:
        say(f"{source.name}: {_called(source)}")
    files: dict[str, str] = {}
    if documents:
        told = _openapi(documents[0], options)
        definition = told.definition
        facts.fields = facts.fields or told.fields
        param_rows, changes = updated(read_rows(out / "params.csv"), [tame(r) for r in told.rows])
    else:
        base_url = options.base_url or f"https://{options.name}.example"
        definition = lucene_definition(facts, options.name, base_url, options.item_path, options.query_path)
        paths = [endpoint["path"] for endpoint in definition["endpoints"].values()]
        say("  the source does not say how the service is called; endpoints are")
        say(f"  assumed as BioThings services have them, {', '.join(paths)}")
        say("  --query-path and --item-path change that; take out of api.yaml what the service does not have")
        if not options.base_url and not exists:
            say("  no --base-url: the definition names a host that does not exist; calls are read, not sent")
    files |= _fields(facts, out, options)
    source_names = " + ".join(s.name for s in sources)
    kept: dict[str, Any] = {}
    params = set(definition["params"])
    if exists:
        yaml = update_yaml(out / "api.yaml", definition, options.remove)
        files["api.yaml"], kept, params = yaml.text, yaml.kept, yaml.params
        for line in yaml.told or ["api.yaml: nothing changed"]:
            say(line)
    else:
        head = f"{options.name}: written by `querywright schema import` from {source_names}. Yours to edit."
        files["api.yaml"] = yaml_text(definition, head)
    if documents:  # a row without its parameter is no row of a definition
        changes.gone = [n for n in changes.gone if n not in params or n in kept.get("params", {})]
        changes.added = [n for n in changes.added if n in params]
        tell(changes, options, "parameters")
        files["params.csv"] = csv_text(PARAM_COLUMNS, [r for r in param_rows if r["name"] in params])
    files[IMPORTED] = imported_text(definition, source_names, kept)
    write_definition(out, files)


def _openapi(source: Source, options: Options) -> Described:
    told = read_openapi(source, options.name, options.base_url, options.query_param)
    endpoints, params = told.definition["endpoints"], told.definition["params"]
    say(f"{source.name}: OpenAPI {source.data['openapi']}, {len(endpoints)} endpoints, {len(params)} parameters")
    for note in dict.fromkeys(told.notes):
        say(f"  {note}")
    for why, names in told.left_out.items():
        say(f"  left out, {why}: {some(dict.fromkeys(names))}")
    guessed = [n for n, p in params.items() if p.get("field")]
    if guessed:
        say(f"  which field of a record they compare is guessed by name: {some(guessed)}")
    return told


def _fields(facts: Facts, out: Path, options: Options) -> dict[str, str]:
    """`fields.csv`, where there are fields.

    Raises:
        QuerywrightError: a source that is there for its fields has none.
    """
    fields, notes = tidy_names(known.table(facts))
    for note in [*facts.notes, *notes]:
        say(f"  {note}")
    if not fields and facts.kind != "openapi":
        raise QuerywrightError("the source names no field", hint="a mapping has properties, a list has fields")
    if not fields and not (out / "fields.csv").exists() and not options.query_param:
        return {}
    values = [f for f in fields.values() if f.type != "object"]
    searched, default = sum(f.indexed for f in values), sum(f.default_search for f in values)
    if facts.kind == "openapi":
        say(f"{len(fields)} fields in the answers, {len(values)} hold values")
    else:
        say(f"{len(fields)} fields: {len(values)} hold values, {searched} can be searched, {default} are by default")
    old = read_rows(out / "fields.csv")
    rows, changes = updated(old, [tame(r) for r in field_rows(fields)], options.remove)
    tell(changes, options)
    if changes.gone and changes.added:
        before = read_fields(out / "fields.csv")
        guesses = guess_renames({n: before[n] for n in changes.gone}, {n: fields[n] for n in changes.added})
        inherit(old, rows, {name: new for name, (new, _) in guesses.items()})
        if guesses:
            told = some(f"{name} -> {new}" for name, (new, _) in guesses.items())
            say(f"perhaps renamed, what was written of the old name is taken over ({len(guesses)}): {told}")
    return {"fields.csv": csv_text(FIELD_COLUMNS, rows)}


def _called(source: Source) -> str:
    if source.kind == "biothings":
        return f"BioThings /metadata/fields, {len(source.data)} fields"
    n = sum(1 for _ in indexes(source.data))
    return f"Elasticsearch or OpenSearch, {'a mapping' if n == 1 else f'{n} mappings'}"


def tell(changes: Changes, options: Options, what: str = "fields") -> None:
    """Say what an update changed."""
    if not options.update:
        return
    if not changes:
        say(f"{what}: nothing changed")
    if changes.added:
        say(f"new {what} ({len(changes.added)}): {some(changes.added)}")
    by: dict[tuple[str, str, str], list[str]] = {}
    for name, column, old, new in changes.changed:
        by.setdefault((column, old, new), []).append(name)
    for (column, old, new), names in by.items():
        say(f"{column} was {old or 'empty'}, is {new or 'empty'}: {some(names)}")
    if changes.gone:
        how = "taken out" if options.remove else "kept (--remove takes them out)"
        say(f"{what} that are no longer in the source, {how} ({len(changes.gone)}): {some(changes.gone)}")
