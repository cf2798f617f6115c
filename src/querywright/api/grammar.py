"""An API's language, compiled from its definition: one `.lark` text for the parser, the decoder's mask and tests.

`grammars/lucene.lark` holds the query language; this module puts an API's calls on top: endpoints, parameters in their
canonical order, the names of its fields, its vocabularies. The language is a subset of what `call.parse` reads: every
string of the grammar is a valid call.
"""

from __future__ import annotations

import re
from functools import lru_cache

from querywright.api.definition import API, Param
from querywright.artefacts import repo_dir

# Characters of a bare word: no white space, nothing that the query language or a URL takes for itself.
_CHAR = r"""[^\s"():\[\]{}^~\\<>&#%+\x00-\x20\x7f]"""
_FIRST = r"""([^\s"():\[\]{}^~\\<>&#%+\x00-\x20\x7f\-!\/|,;=]|%2[356]|\\([^\s%&#+A-Za-z0-9]|%2[356B]))"""
_REST = rf"({_CHAR}|%2[356B]|\\([^\s%&#+A-Za-z0-9]|%2[356B]))"
_BOUND = r"""(\*|-?[0-9A-Za-z_.:*\-]+|"[^"\\&#%+\n]+")"""


def skeleton(field: str, name: str) -> str:
    """The query language with its terminals FIELD (a name and a colon) and NAME filled in."""
    text = (repo_dir() / "grammars" / "lucene.lark").read_text(encoding="utf-8")
    for key, value in (("FIELD", field), ("NAME", name), ("FIRST", _FIRST), ("REST", _REST), ("BOUND", _BOUND)):
        text = text.replace(f"@{key}@", value)
    return text


def _alternatives(words: list[str]) -> str:
    """A regular expression of exactly these words; longest first, so that a lexer takes the whole word."""
    ordered = sorted(set(words), key=lambda w: (-len(w), w))
    return "(" + "|".join(re.sub(r"([.+*?()\[\]{}|^$/\\-])", r"\\\1", w) for w in ordered) + ")"


def _escaped(words: list[str]) -> list[str]:
    return [w.replace("+", "%2B") for w in words]


def searchable(api: API) -> list[str]:
    """Fields that a query may name: indexed leaves, and objects with an indexed leaf below them."""
    return [name for name in api.fields if api.leaves(name)]


def _value_rule(api: API, name: str, param: Param) -> tuple[str, list[str]]:
    """The right-hand side of a parameter's value, and the terminals that it needs."""
    terminal = "P_" + name.upper()
    if param.kind == "query":
        return "query", []
    if param.kind == "vocabulary":
        words = [*api.vocabularies[param.vocabulary]]
        number = "|[1-9][0-9]{0,7}" if param.numeric else ""
        return f'{terminal} ("," {terminal})*', [f"{terminal}.4: /({_alternatives(words)}{number})/"]
    if param.kind == "fields":
        rule = 'SEARCHED ("," SEARCHED)*' if param.indexed else 'RETURNED ("," RETURNED)*'
        return (f'"{param.all}" | {rule}' if param.all else rule), []
    if param.kind == "sort":
        return 'SORTED ("," SORTED)*', []
    if param.kind == "integer":
        digits = len(str(param.max)) - 1 if param.max else 9
        top = f"|{param.max}" if param.max else ""
        low = "0|" if (param.min or 0) == 0 else ""
        return terminal, [f"{terminal}.4: /({low}[1-9][0-9]{{0,{digits - 1}}}{top})/"]
    if param.kind == "boolean":
        return '"true" | "false"', []
    return terminal, [f"{terminal}.4: /[0-9A-Za-z_.=\\-]+/"]


def build(api: API) -> str:
    """Compile the `.lark` grammar of an API's calls; its start rule is `call`."""
    calls: list[str] = []
    rules: list[str] = []
    terminals: list[str] = []
    for endpoint_name, endpoint in api.endpoints.items():
        path = endpoint.path.split("{id}")
        parts = [f'"{path[0]}"'] + (["ID"] if len(path) == 2 else [])
        optional = [p for p in endpoint.params if p not in _NOT_WRITTEN and p != "q"]
        if "q" in endpoint.params:
            parts = [f'"{path[0]}?q="', "query", *(f"and_{p}?" for p in optional)]
        elif optional:
            # the first parameter has a question mark, the others an ampersand
            heads = [f"(has_{p} {' '.join(f'and_{q}?' for q in optional[i + 1 :])})".replace(" )", ")")
                     for i, p in enumerate(optional)]
            parts.append(f"({' | '.join(heads)})?")
            rules += [f'has_{p}: "?{p}=" v_{p}' for p in optional]
        calls.append(f"{endpoint_name}_call")
        rules.append(f"{endpoint_name}_call: {' '.join(parts)}")
        rules += [f'and_{p}: "&{p}=" v_{p}' for p in optional]
        for p in optional:
            value, needed = _value_rule(api, p, api.params[p])
            rules.append(f"v_{p}: {value}")
            terminals += needed
    returned = _alternatives(_escaped([*api.fields, *api.meta_fields]))
    searched = _alternatives(_escaped(searchable(api)))
    ordered = _alternatives(_escaped([f for f in api.fields if api.leaves(f) == (f,)] + [*api.meta_fields]))
    terminals += [f"RETURNED.4: /{returned}/", f"SEARCHED.4: /{searched}/", f"SORTED.4: /-?{ordered}/",
                  "ID.4: /[0-9A-Za-z][0-9A-Za-z_.\\-]*/"]
    head = f"// {api.title}: written by `querywright grammar build --api {api.name}`; do not edit.\n"
    top = "\n".join([f"start: call\ncall: {' | '.join(calls)}", *dict.fromkeys(rules), "", *dict.fromkeys(terminals)])
    language = skeleton(field=f"/{_alternatives([f + ':' for f in _escaped(searchable(api))])}/", name=f"/{searched}/")
    return head + top + "\n\n" + language


# Parameters that are read but folded into others or never worth writing; see `call.normalise`.
_NOT_WRITTEN = {"scopes", "exists", "missing", "scroll_id", "userfilter", "userquery", "search", "prefix"}


@lru_cache(maxsize=8)
def mask_source(api: API) -> str:
    """The same grammar as llguidance reads it: it has no terminal priorities, it lexes by the longest match."""
    return re.sub(r"(?m)^([A-Z_]+)\.\d+:", r"\1:", build(api))
