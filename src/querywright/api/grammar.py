"""An API's language, compiled from its definition: one `.lark` text for the parser, the decoder's mask and tests.

`grammars/lucene.lark` holds the query language; this module puts an API's calls on top: endpoints, parameters in their
canonical order, the names of its fields, its vocabularies. The language is a subset of what `call.parse` reads: every
string of the grammar is a valid call.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from querywright.api.definition import API, Param
from querywright.artefacts import repo_dir

# Characters of a bare word: no white space, nothing that the query language or a URL takes for itself.
_CHAR = r"""[^\s"():\[\]{}^~\\<>&#%+\x00-\x20\x7f\uFFFD]"""
_FIRST = r"""[^\s"():\[\]{}^~\\<>&#%+\x00-\x20\x7f\uFFFD\-!\/|,;=]"""
# What differs between reading people's queries and writing: a model writes one spelling of each thing.
READ = {
    "MINUS": "[-!]",
    "AND": "(AND|%26%26)",
    "OR": r"(OR|\|\|)",
    "INTERVAL": r"([A-Za-z]+[0-9]+\.)?[Cc][Hh][Rr][0-9A-Za-z_]+:[0-9][0-9,]*-[0-9][0-9,]*",
    "BOUND": r"""(\*|-?[0-9A-Za-z_.:*\-]+|"[^"\\&#%+\n]+")""",
    "NUMBER": r"-?[0-9A-Za-z_.:-]+",
    "FIRST": rf"({_FIRST}|%2[356]|\\([^\s%&#+A-Za-z0-9]|%2[356B]))",
    "REST": rf"({_CHAR}|%2[356B]|\\([^\t-\r%&#+A-Za-z0-9]|%2[356B]))",
    "QUOTED": r"""\\["\\*?]""",
    "DISTANCE": r"[0-9.]*",
}
_BOUND = r"-?[0-9A-Za-z_.]([0-9A-Za-z_.:\-]*[0-9A-Za-z_.])?"
WRITE = {
    "MINUS": "-",
    "AND": "AND",
    "OR": "OR",
    "INTERVAL": r"([a-z]{2}[0-9]{1,2}\.)?chr[0-9A-Za-z_]{1,24}:[0-9]{1,12}-[0-9]{1,12}",
    "BOUND": rf"(\*|{_BOUND})",
    "NUMBER": _BOUND,
    "FIRST": rf"({_FIRST}|%2[356]|\\([:()\[\]{{}}^~<>*?\-!\/|,;=]|%2B))",
    "REST": rf"({_CHAR}|%2[356B]|\\[:()\[\]{{}}^~<>*?])",
    "QUOTED": r"\\[*?]",
    "DISTANCE": r"(0\.[0-9]|[0-9])?",
}


def skeleton(field: str, name: str, form: Mapping[str, str] = READ) -> str:
    """The query language, to read or to write, with its terminals FIELD (a name and a colon) and NAME filled in."""
    text = (repo_dir() / "grammars" / "lucene.lark").read_text(encoding="utf-8")
    for key, value in {"FIELD": field, "NAME": name, **form}.items():
        text = text.replace(f"@{key}@", value)
    return text


MAX_GROUPS = 6  # groups inside groups that a model may write; people's deepest are 3


def _bounded(language: str) -> str:
    """Replace the recursion of groups by one copy of the rules a level, so that no text is too deep to be read."""
    recursive = ("query", "clause", "_body", "fielded", "group")
    lines = language.split("\n")
    rules = [line for line in lines if line.split(":")[0] in recursive]
    copies = []
    for level in range(MAX_GROUPS + 1):
        for rule in rules:
            name = rule.split(":")[0]
            if level == MAX_GROUPS and name == "group":
                continue
            text = re.sub(r"\b(query|clause|_body|fielded|group)\b", rf"\1_{level}" if level else r"\1", rule)
            if name == "group":
                text = re.sub(r"\bquery(_\d+)?\b", f"query_{level + 1}", text)
            if level == MAX_GROUPS:
                text = re.sub(r"group_\d+ \| ", "", text)
            copies.append(text)
    at = lines.index(rules[0])
    rest = [line for line in lines[at:] if line not in rules]
    return "\n".join([*lines[:at], *copies, *rest])


def alternatives(words: Iterable[str]) -> str:
    """A regular expression of exactly these words; longest first, so that a lexer takes the whole word."""
    ordered = sorted(set(words), key=lambda w: (-len(w), w))
    return "(" + "|".join(w.translate(SPECIAL) for w in ordered) + ")"


SPECIAL = {ord(char): "\\" + char for char in ".+*?()[]{}|^$/\\-"}


def _escaped(words: Iterable[str]) -> list[str]:
    return [w.replace("+", "%2B") for w in words]


def searchable(api: API) -> list[str]:
    """Fields that a query may name: indexed leaves, and objects with an indexed leaf below them."""
    return [name for name in api.fields if api.leaves(name)]


def _value_rule(api: API, param: Param) -> tuple[str, dict[str, str]]:
    """The right-hand side of a parameter's value, and the terminals that it needs, by name."""
    if param.kind == "vocabulary":
        name = vocabulary_terminal(param)
        words = alternatives(api.vocabularies[param.vocabulary])
        return f'{name} ("," {name})*', {name: f"({words}|[1-9][0-9]{{0,7}})" if param.numeric else words}
    if param.kind == "fields":
        name = "NAME" if param.indexed else "RETURNED"
        return (f'"{param.all}" | ' if param.all else "") + f'{name} ("," {name})*', {}
    if param.kind == "sort":
        return 'SORTED ("," SORTED)*', {}
    if param.kind == "integer":
        name = integer_terminal(param)
        return name, {name: _integer(param.min or 0, param.max)}
    if param.kind == "boolean":  # a default is left out of a call, so only the other value is worth writing
        return {False: '"true"', True: '"false"'}.get(param.default, '"true" | "false"'), {}
    return "P_TEXT", {"P_TEXT": r"[0-9A-Za-z_.=\-]+"}


def integer_terminal(param: Param) -> str:
    """The name of the terminal of an integer parameter's values; parameters of one range share it."""
    return f"P_{param.min or 0}_{param.max or ''}"


def vocabulary_terminal(param: Param) -> str:
    """The name of the terminal of a vocabulary."""
    return f"P_{param.vocabulary.upper()}"


def _integer(low: int, high: int | None) -> str:
    """Whole numbers from `low` (0 or 1) to `high`, a power of ten; the longest alternative first."""
    digits = len(str(high)) - 1 if high else 9
    return f"({f'{high}|' if high else ''}{'0|' if low == 0 else ''}[1-9][0-9]{{0,{digits - 1}}})"


def _tail(endpoint: str, params: list[str], has_query: bool) -> list[str]:
    """Rules for optional parameters in their order, each at most once; the first without `q` takes the question mark.

    One rule a parameter, `this, then perhaps a later one | a later one`: writing `a? b? c?` would make LALR expand
    every combination.
    """
    rules = []
    for i, name in enumerate(params):
        last = i + 1 == len(params)
        rest = f"{endpoint}_and_{params[i + 1]}" if not last else ""
        rules.append(f'{endpoint}_and_{name}: "&{name}=" v_{name}' + (f" {rest}? | {rest}" if rest else ""))
        if not has_query:
            other = f" | {endpoint}_has_{params[i + 1]}" if not last else ""
            rules.append(f'{endpoint}_has_{name}: "?{name}=" v_{name}' + (f" {rest}?" if rest else "") + other)
    return rules if has_query else [r for r in rules if not r.startswith(f"{endpoint}_and_{params[0]}:")]


# Parameters that are read but folded into others or never worth writing; see `call.normalise`.
_NOT_WRITTEN = {"scopes", "exists", "missing", "scroll_id", "userfilter", "userquery", "search", "prefix"}


@lru_cache(maxsize=32)
def build(api: API, without: frozenset[str] = frozenset()) -> str:
    """Compile the `.lark` grammar of an API's calls; its start rule is `call`.

    Args:
        without: optional parameters that are left out of it.
    """
    calls: list[str] = []
    rules: list[str] = []
    terminals: dict[str, str] = {}
    for name, endpoint in api.endpoints.items():
        before, has_id, _ = endpoint.path.partition("{id}")
        optional = [p for p in endpoint.params if p not in _NOT_WRITTEN and p != "q" and p not in without]
        has_query = "q" in endpoint.params
        parts = [f'"{before}?q=" query' if has_query else f'"{before}"'] + (["ID"] if has_id else [])
        if optional:
            parts.append(f"{name}_{'and' if has_query else 'has'}_{optional[0]}?")
        calls.append(f"{name}_call")
        rules.append(f"{name}_call: {' '.join(parts)}")
        if optional:
            rules += _tail(name, optional, has_query)
        for p in optional:
            value, needed = _value_rule(api, api.params[p])
            rules.append(f"v_{p}: {value}")
            terminals |= needed
    terminals["RETURNED"] = alternatives(_escaped([*api.fields, *api.meta_fields]))
    ordered = [f for f in api.fields if api.leaves(f) == (f,)]
    terminals["SORTED"] = "-?" + alternatives(_escaped([*ordered, *api.meta_fields]))
    terminals["ID"] = r"[0-9A-Za-z][0-9A-Za-z_.\-]*"
    head = f"// {api.title}: written by `querywright grammar build --api {api.name}`; do not edit.\n"
    top = "\n".join([f"start: call\ncall: {' | '.join(calls)}", *dict.fromkeys(rules), ""])
    top += "\n".join(["", *(f"{name}.4: /{regex}/" for name, regex in terminals.items())])
    names = searchable(api)
    language = skeleton('NAME ":"', f"/{alternatives(_escaped(names))}/", WRITE)
    return head + top + "\n\n" + _bounded(language)


def mask_source(api: API, terminals: Mapping[str, str] | None = None, without: frozenset[str] = frozenset()) -> str:
    """The same grammar as llguidance reads it: it has no terminal priorities, it lexes by the longest match.

    Args:
        terminals: right-hand sides that take the place of terminals, by name, or stand beside them under new names
            (see `generate.ground`). Each has to be within the language of the terminal that it replaces.
        without: optional parameters that are left out.
    """
    source = _without_priorities(api, without)
    if not terminals:
        return source
    kept = (line for line in source.split("\n") if line.partition(":")[0] not in terminals)
    return "\n".join([*kept, *(f"{name}: {right}" for name, right in terminals.items()), ""])


@lru_cache(maxsize=32)
def _without_priorities(api: API, without: frozenset[str]) -> str:
    return re.sub(r"(?m)^([A-Z_0-9]+)\.\d+:", r"\1:", build(api, without))
