"""`schema import`: from one or several sources to a folder that is a whole definition."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from querywright.api.definition import SchemaField, load
from querywright.artefacts import write_text
from querywright.errors import QuerywrightError
from querywright.progress import say
from querywright.schema import facts as known
from querywright.schema.analysis import Analysers
from querywright.schema.facts import Facts, some
from querywright.schema.import_biothings import read_biothings
from querywright.schema.import_elastic import indexes, read_elastic
from querywright.schema.lucene import lucene_definition, yaml_text
from querywright.schema.names import collisions, returnable, writable
from querywright.schema.sources import Source, read_source
from querywright.schema.write import FIELD_COLUMNS, Changes, csv_text, field_rows, read_rows, updated


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
        notes.append(f"{len(lost)} names can't stand in a request and are left out: {some(map(repr, lost))}")
    unwritten = [n for n, f in kept.items() if not writable(n) and f.indexed]
    for name in unwritten:
        kept[name] = replace_field(kept[name], indexed=False, default_search=False)
    if unwritten:
        notes.append(f"{len(unwritten)} names can't be written in a query; returned, not searched: {some(unwritten)}")
    if same := collisions(kept):
        told = some(" / ".join(group) for group in same)
        notes.append(f"{len(same)} groups of names differ in letter case only; each is read as it is written: {told}")
    return kept, notes


def replace_field(field: SchemaField, **values: Any) -> SchemaField:
    """A field with other values."""
    return field.model_copy(update=values)


def import_schema(where: list[str], out: Path, options: Options) -> Changes:
    """Read sources and write a definition into `out`; says what was found, guessed, left out and changed.

    Raises:
        QuerywrightError: a source can't be read; `out` holds a definition and `update` is off.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", options.name):
        raise QuerywrightError(f"{options.name!r} is no name of an API", hint="letters, digits, - and _")
    if (out / "api.yaml").exists() and not options.update:
        raise QuerywrightError(f"{out} holds a definition", hint="--update takes new facts over and keeps your edits")
    sources = [read_source(w) for w in where]
    kinds = {s.kind for s in sources}
    if "openapi" in kinds:
        from querywright.schema.import_openapi import import_openapi

        if len(sources) > 1:
            raise QuerywrightError("OpenAPI is imported alone", hint="give the one file")
        return import_openapi(sources[0], out, options)
    facts = read_facts(sources, options)
    for source in sources:
        say(f"{source.name}: {_called(source)}")
    fields, notes = tidy_names(known.table(facts))
    for note in [*facts.notes, *notes]:
        say(f"  {note}")
    leaves = sum(f.type != "object" for f in fields.values())
    searched = sum(f.indexed and f.type != "object" for f in fields.values())
    say(
        f"{len(fields)} fields: {leaves} hold values, {searched} can be searched, "
        f"{sum(f.default_search for f in fields.values())} are searched by default"
    )
    rows, changes = updated(read_rows(out / "fields.csv"), field_rows(fields), options.remove)
    api = None
    if not (out / "api.yaml").exists():
        definition = lucene_definition(
            facts,
            options.name,
            options.base_url or f"https://{options.name}.example",
            options.item_path,
            options.query_path,
        )
        head = f"{options.name}: written by `querywright schema import` from {facts.source}. Yours to edit."
        api = yaml_text(definition, head)
        if not options.base_url:
            say("  no --base-url: the definition names a host that does not exist; calls are read, not sent")
    files = {"fields.csv": csv_text(FIELD_COLUMNS, rows)} | ({"api.yaml": api} if api else {})
    write_definition(out, files)
    tell(changes, options)
    return changes


def _called(source: Source) -> str:
    if source.kind == "biothings":
        return f"BioThings /metadata/fields, {len(source.data)} fields"
    n = sum(1 for _ in indexes(source.data))
    return f"Elasticsearch or OpenSearch, {'a mapping' if n == 1 else f'{n} mappings'}"


def write_definition(out: Path, files: dict[str, str]) -> None:
    """Write files of a definition, `api.yaml` last, once they load together with what is there already.

    Raises:
        QuerywrightError: together they are no definition; nothing is written.
    """
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder)
        for path in out.glob("*"):
            if path.suffix in (".yaml", ".csv") and path.is_file():
                (trial / path.name).write_bytes(path.read_bytes())
        for name, text in files.items():
            (trial / name).write_text(text, encoding="utf-8")
        load(str(trial / "api.yaml"))
    for name, text in sorted(files.items(), key=lambda f: f[0] == "api.yaml"):
        write_text(out / name, text)
        say(f"wrote {out / name}")


def tell(changes: Changes, options: Options, what: str = "fields") -> None:
    """Say what an update changed."""
    if not options.update:
        return
    if not changes:
        say(f"{what}: nothing changed")
    if changes.added:
        say(f"{len(changes.added)} new {what}: {some(changes.added)}")
    by: dict[tuple[str, str, str], list[str]] = {}
    for name, column, old, new in changes.changed:
        by.setdefault((column, old, new), []).append(name)
    for (column, old, new), names in by.items():
        say(f"{column} was {old or 'empty'}, is {new or 'empty'}: {some(names)}")
    if changes.gone:
        how = "taken out" if options.remove else "kept (--remove takes them out)"
        say(f"{len(changes.gone)} {what} are no longer in the source, {how}: {some(changes.gone)}")
