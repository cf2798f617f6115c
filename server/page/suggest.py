"""What may come next in a call that is being typed: endpoints, parameters, names of fields, values of small sets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from querywright.api.definition import API
from querywright.api.parts import SchemaField

MOST = 8
_NEAR = 70  # of 100: from here on a name is taken for a misspelt one
_JOIN = (("AND", "both have to hold"), ("OR", "one of them is enough"), ("NOT", "leaves out what follows"))


@dataclass(frozen=True)
class Suggestion:
    """A text that replaces what was typed, and what it is, in words."""

    text: str
    about: str = ""


@dataclass(frozen=True)
class Suggestions:
    """What may stand at `start` to `end` (characters) of the text, likelier ones first."""

    start: int = 0
    end: int = 0
    items: tuple[Suggestion, ...] = ()


def suggest(api: API, text: str, cursor: int) -> Suggestions:
    """What may stand where the cursor is (characters from the start)."""
    cursor = max(0, min(cursor, len(text)))
    mark = text.find("?")
    if mark < 0 or cursor <= mark:
        return _endpoints(api, text, cursor)
    begin = max(text.rfind("&", 0, cursor), mark) + 1
    name, equals, _ = text[begin:cursor].partition("=")
    if not equals:
        return _parameters(api, text, begin, cursor)
    param = api.params.get(api.param_names.get(name, ""))
    if param is None:
        return Suggestions()
    value = begin + len(name) + 1
    if param.kind == "query":
        return _in_query(api, text, value, cursor)
    start = max(text.rfind(",", value, cursor) + 1, value)
    if param.kind in ("fields", "sort"):
        start += param.kind == "sort" and text[start:cursor].startswith("-")
        end = _end(text, cursor, r"[^,&]*")
        pool = [f for f in api.fields.values() if f.indexed or not param.indexed]
        return _found(start, end, _fields(pool, text[start:cursor]), text)
    words: Iterable[str] = param.values
    if param.kind == "vocabulary":
        words = [*api.vocabularies.get(param.vocabulary, {}), *([param.all] if param.all else [])]
    elif param.kind == "boolean":
        words = ("true", "false")
    return _found(start, _end(text, cursor, r"[^,&]*"), _starting(words, text[start:cursor]), text)


def _endpoints(api: API, text: str, cursor: int) -> Suggestions:
    known = {}
    for endpoint in api.endpoints.values():
        path = endpoint.path.partition("{")[0]
        known[path + ("?" if path == endpoint.path and endpoint.params else "")] = endpoint.description
    items = [Suggestion(path, about) for path, about in known.items() if path.startswith(text[:cursor])]
    return _found(0, len(text), items, text)


def _parameters(api: API, text: str, start: int, cursor: int) -> Suggestions:
    path = text.partition("?")[0]
    matched = api.routes.fullmatch(path)
    endpoint = api.endpoints[api.route_names[matched.lastgroup][0]] if matched and matched.lastgroup else None
    names = [n for n in (endpoint.params if endpoint else api.params) if n not in api.unwritten]
    given = set(re.findall(r"[?&]([^=&]+)=", text[:start] + text[cursor:]))
    typed = text[start:cursor]
    items = [
        Suggestion(f"{name}=", api.params[name].description or _KINDS.get(api.params[name].kind, ""))
        for name in _ranked(names, typed) if name not in given
    ]  # fmt: skip
    return _found(start, _end(text, cursor, r"[^=&]*=?"), items, text)


_KINDS = {
    "query": "what is looked for", "fields": "names of fields", "sort": "a field, with - the largest first",
    "integer": "a number", "number": "a number", "boolean": "true or false", "date": "a day",
}  # fmt: skip


def _in_query(api: API, text: str, begin: int, cursor: int) -> Suggestions:
    before = text[begin:cursor]
    if before.count('"') % 2:  # within a phrase anything may stand
        return Suggestions()
    typed = re.search(r"[\w.]*$", before)
    assert typed is not None
    start = cursor - len(typed[0])
    clause = re.search(r"([\w.]+):\(?$", before[: len(before) - len(typed[0])])
    if clause:
        name = api.resolve(clause[1])
        field = api.fields.get(name) if name else None
        words = [*api.value_words.get(name or "", {}), *(field.examples if field else ())]
        items = [
            Suggestion(f'"{word}"' if re.search(r"[\s:()]", word) else word, "for example")
            for word in dict.fromkeys(words) if word.lower().startswith(typed[0].lower())
        ]  # fmt: skip
        return _found(start, _end(text, cursor, r"[\w.]*"), items, text)
    if not typed[0] and before:
        return Suggestions()
    joins = [
        Suggestion(f"{word} ", about) for word, about in _JOIN
        if before[: start - begin].strip(" (+") and word.startswith(typed[0]) and typed[0]
    ]  # fmt: skip
    pool = [f for f in api.fields.values() if f.indexed]
    found = [Suggestion(f"{item.text}:", item.about) for item in _fields(pool, typed[0])]
    return _found(start, _end(text, cursor, r"[\w.]*:?"), joins + found, text)


def _fields(pool: list[SchemaField], typed: str) -> list[Suggestion]:
    """Fields by their names and other names; the misspelt one's neighbours where nothing else is found."""
    said = typed.lower()
    ranks: list[tuple[tuple[float, ...], SchemaField]] = []
    for field in pool:
        name = field.name.lower()
        if name.startswith(said):
            rank = 0.0
        elif f".{said}" in name:
            rank = 1.0
        elif said and any(word.lower().startswith(said) for word in field.synonyms):
            rank = 2.0
        elif len(said) > 1 and said in name:
            rank = 3.0
        else:
            continue
        ranks.append(((rank, -field.weight, name.count("."), len(name)), field))
    ranks.sort(key=lambda ranked: (ranked[0], ranked[1].name))
    found = [field for _, field in ranks[:MOST]]
    if not found and len(said) > 2:
        from rapidfuzz import fuzz, process

        near = process.extract(said, [f.name.lower() for f in pool], scorer=fuzz.ratio, limit=4, score_cutoff=_NEAR)
        found = [pool[index] for _, _, index in near]
    return [Suggestion(f.name, " · ".join(part for part in (f.type, f.description) if part)) for f in found]


def _ranked(names: Iterable[str], typed: str) -> list[str]:
    said = typed.lower()
    known = [*names]
    first = [name for name in known if name.lower().startswith(said)]
    return first + [name for name in known if len(said) > 1 and said in name.lower() and name not in first]


def _starting(words: Iterable[str], typed: str) -> list[Suggestion]:
    return [Suggestion(str(word)) for word in _ranked(map(str, words), typed)]


def _end(text: str, cursor: int, rest: str) -> int:
    found = re.match(rest, text[cursor:])
    return cursor + (found.end() if found else 0)


def _found(start: int, end: int, items: list[Suggestion], text: str) -> Suggestions:
    """What is there already is no suggestion."""
    kept = tuple(item for item in items if item.text != text[start:end])[:MOST]
    return Suggestions(start, end, kept)
