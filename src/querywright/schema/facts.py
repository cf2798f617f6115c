"""What sources say about an API's fields, and how several of them become one table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from querywright.api.definition import SchemaField
from querywright.api.parts import is_name

NUMBERS = frozenset({"integer", "long", "float", "double", "byte", "date"})


@dataclass(frozen=True)
class Fact:
    """One field as a source states it. None means that the source does not say.

    Attributes:
        type: a type of `SchemaField`.
        analysis: exact, lower, text, number or object; None where the source names only a type.
        described: whether the source says in so many words how values are compared (an analyzer, a normalizer).
        multi: the name is a multi-field, a second index of the field above it.
    """

    name: str
    type: str
    indexed: bool | None = None
    default_search: bool | None = None
    analysis: str | None = None
    described: bool = False
    description: str = ""
    examples: tuple[str, ...] = ()
    multi: bool = False


@dataclass
class Facts:
    """What one source says, or several together.

    Attributes:
        kind: biothings, elasticsearch or openapi.
        aliases: other names of fields, to the field's own.
        helpers: fields that exist only to be searched (targets of `copy_to`), which no record has.
        noun: what one record is called, where the source says so.
        window: how many hits can be paged through, where the source says so.
        notes: sentences for people: what was guessed, left out or could not be carried over.
    """

    kind: str
    source: str = ""
    fields: dict[str, Fact] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)
    noun: str = ""
    window: int | None = None
    notes: list[str] = field(default_factory=list)


def some(names: Iterable[str], most: int = 8) -> str:
    """A list of names for a sentence: the first few, and how many more there are."""
    ordered = list(names)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + more


def merge(sources: list[Facts]) -> Facts:
    """One set of facts from several sources, given in order: where two disagree, the later one is right.

    A mapping stands after a list of fields in the usual order (`fields.json mapping.json`), so that the mapping decides
    types, what is indexed, and how values are compared. What the later one does not say is taken from the earlier one.
    """
    if len(sources) == 1:
        return sources[0]
    whole = Facts(kind=sources[0].kind, source=" + ".join(s.source for s in sources))
    disagree: dict[str, list[str]] = {}
    listed = {name for s in sources if s.kind == "biothings" for name in s.fields}
    for source in sources:
        for name, new in source.fields.items():
            old = whole.fields.get(name)
            if old is None:
                whole.fields[name] = new
                continue
            if old.type != new.type:
                disagree.setdefault(f"{old.type} and then {new.type}", []).append(name)
            elif None not in (old.indexed, new.indexed) and old.indexed != new.indexed and new.type != "object":
                disagree.setdefault(f"{_index(old)} and then {_index(new)}", []).append(name)
            whole.fields[name] = _joined(old, new)
        whole.aliases |= source.aliases
        whole.helpers |= source.helpers
        whole.noun = source.noun or whole.noun
        whole.window = source.window or whole.window
        whole.notes += [f"{source.source}: {note}" for note in source.notes]
    for names in disagree.values():
        names.sort()
    for name in (whole.helpers - listed) & set(whole.fields) if listed else ():
        del whole.fields[name]  # the service does not name it among its fields: it is the index's own business
    whole.notes += [f"sources disagree ({how}; {len(n)}): {some(n)}" for how, n in sorted(disagree.items())]
    if listed and (extra := sorted(set(whole.fields) - listed)):
        whole.notes.append(f"in a mapping and in no list of fields ({len(extra)}): {some(extra)}")
    return whole


def _index(fact: Fact) -> str:
    return "indexed" if fact.indexed else "not indexed"


def _joined(old: Fact, new: Fact) -> Fact:
    analysis, described = new.analysis, new.described
    if old.described and not new.described and old.type == new.type:
        analysis, described = old.analysis, True
    return replace(
        new,
        indexed=old.indexed if new.indexed is None else new.indexed,
        default_search=old.default_search if new.default_search is None else new.default_search,
        analysis=analysis or old.analysis,
        described=described,
        description=new.description or old.description,
        examples=new.examples or old.examples,
    )


def only_listed(facts: Facts, lists: list[Facts], keep: Iterable[str] = ()) -> Facts:
    """Without the fields that no list of fields names; `keep` holds patterns (`clingen.*`) of fields that stay."""
    from fnmatch import fnmatchcase

    listed = {name for s in lists if s.kind == "biothings" for name in s.fields}
    patterns = [p for k in keep for p in (k, f"{k}.*")]
    gone = [n for n in facts.fields if n not in listed and not any(fnmatchcase(n, p) for p in patterns)]
    for name in gone:
        del facts.fields[name]
    if gone:
        facts.notes.append(f"left out, because no list of fields names them ({len(gone)}): {some(sorted(gone))}")
    return facts


def table(facts: Facts) -> dict[str, SchemaField]:
    """The facts as rows of `fields.csv`, by name, in order; objects that only their children imply are added."""
    known = dict(facts.fields)
    turned: list[str] = []
    for name in [n for n in known if not known[n].multi]:
        for parent in _parents(name):
            fact = known.get(parent)
            if fact is None:
                known[parent] = Fact(parent, "object", analysis="object")
            elif fact.type != "object":
                known[parent] = replace(fact, type="object", analysis="object", default_search=False)
                turned.append(parent)
    if turned:
        facts.notes.append(f"taken as objects, because they have fields below them: {some(sorted(turned))}")
    unnamed = sorted(name for name in known if not is_name(name))
    if unnamed:
        facts.notes.append(f"left out, because their names are none ({len(unnamed)}): {some([*map(repr, unnamed)])}")
    rows = {}
    for name in sorted(known.keys() - {*unnamed}):
        fact = known[name]
        is_object = fact.type == "object"
        indexed = fact.indexed is not False
        rows[name] = SchemaField(
            name=name,
            type=fact.type,  # type: ignore[arg-type]
            indexed=indexed,
            default_search=bool(fact.default_search) and indexed and not is_object,
            analysis=fact.analysis or analysis_of(fact.type),  # type: ignore[arg-type]
            description=fact.description,
            examples=fact.examples,
        )
    return rows


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def analysis_of(kind: str) -> str:
    """How values of a type are compared where nothing else is known."""
    if kind == "object":
        return "object"
    if kind in NUMBERS:
        return "number"
    return {"text": "text", "boolean": "exact"}.get(kind, "lower")
