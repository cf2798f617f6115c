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
from querywright.api.query_text import escape
from querywright.api.values import SPECIAL as SPECIAL
from querywright.api.values import alternatives as alternatives
from querywright.api.values import value_regex, writable
from querywright.artefacts import repo_dir

# Characters of a bare word: no white space, nothing that the query language or a URL takes for itself.
_CHAR = r"""[^\s"():\[\]{}^~\\<>&#%+\x00-\x20\x7f\uFFFD]"""
_FIRST = r"""[^\s"():\[\]{}^~\\<>&#%+\x00-\x20\x7f\uFFFD\-!\/|,;=]"""
# What differs between reading people's queries and writing: a model writes one spelling of each thing.
READ = {
    "MINUS": "[-!]",
    "AND": "(AND|%26%26)",
    "OR": r"(OR|\|\|)",
    "INTERVAL": r"([A-Za-z]+[0-9]+\.)?[Cc][Hh][Rr][0-9A-Za-z_]+:[0-9][0-9,]*(-[0-9][0-9,]*)?",
    "BOUND": r"""(\*|-?[0-9A-Za-z_.:*\-]+|"[^"\\&#%+\n]+")""",
    "NUMBER": r"-?[0-9A-Za-z_.:-]+",
    "FIRST": rf"({_FIRST}|%2[356]|\\([^\s%&#+A-Za-z0-9]|%2[356B]))",
    "REST": rf"({_CHAR}|[<>]|%2[356B]|\\([^\t-\r%&#+A-Za-z0-9]|%2[356B]))",
    "QUOTED": r"""\\["\\*?]""",
    "DISTANCE": r"[0-9.]*",
}
_BOUND = r"-?[0-9A-Za-z_.]([0-9A-Za-z_.:\-]*[0-9A-Za-z_.])?"
WRITE = {
    "MINUS": "-",
    "AND": "AND",
    "OR": "OR",
    # the mask's lexer does not go back: `chrom:7` has to be told from it by its fourth letter
    "INTERVAL": r"([a-z]{2}[0-9]{1,2}\.)?chr[0-9A-Z_][0-9A-Za-z_]{0,23}:[0-9]{1,12}-[0-9]{1,12}",
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


def _escaped(words: Iterable[str]) -> list[str]:
    return [w.replace("+", "%2B") for w in words]


def searchable(api: API) -> list[str]:
    """Fields that a query may name: indexed leaves, and objects with an indexed leaf below them."""
    return [name for name in api.fields if api.leaves(name)]


def _value_rule(api: API, name: str, param: Param, in_path: bool = False) -> tuple[str, dict[str, str]]:
    """The right-hand side of a parameter's value, and the terminals that it needs, by name."""
    if param.kind == "vocabulary":
        terminal = vocabulary_terminal(param)
        words = alternatives(api.vocabularies[param.vocabulary])
        return f'{terminal} ("," {terminal})*', {terminal: f"({words}|[1-9][0-9]{{0,7}})" if param.numeric else words}
    if param.kind == "fields":
        terminal = "NAME" if param.indexed else "RETURNED"
        return (f'"{param.all}" | ' if param.all else "") + f'{terminal} ("," {terminal})*', {}
    if param.kind == "sort":
        return 'SORTED ("," SORTED)*', {}
    if param.kind == "boolean":  # a default is left out of a call, so only the other value is worth writing
        return {False: '"true"', True: '"false"'}.get(param.default, '"true" | "false"'), {}
    kind = param.items if param.kind == "list" else param.kind
    terminal = value_terminal(name, param)
    regex = {terminal: value_regex(param, kind, in_path)}
    if param.kind == "list":
        return f'{terminal} ("{f"&{name}=" if param.explode else ","}" {terminal})*', regex
    return terminal, regex


def integer_terminal(param: Param) -> str:
    """The name of the terminal of an integer parameter's values; parameters of one range share it."""
    return re.sub(r"\W", "N", f"P_{param.min or 0}_{'' if param.max is None else param.max}")


def value_terminal(name: str, param: Param) -> str:
    """The name of the terminal of a typed value: shared by parameters whose values are the same, else its own."""
    kind = param.items if param.kind == "list" else param.kind
    if kind == "integer":
        return integer_terminal(param)
    if kind == "number":
        low, high = ("" if bound is None else str(bound) for bound in (param.min, param.max))
        return re.sub(r"\W", "N", f"P_NUMBER_{low}_{high}").upper()
    return "P_DATE" if kind == "date" else f"PV_{_ascii(name).upper()}"


def vocabulary_terminal(param: Param) -> str:
    """The name of the terminal of a vocabulary."""
    return f"P_{param.vocabulary.upper()}"


def rule_name(name: str) -> str:
    """A name as it may stand in a rule's name."""
    return name if re.fullmatch(r"[a-z][a-z0-9_]*", name) else f"x{_ascii(name)}"


def _ascii(name: str) -> str:
    """Small letters, digits and underlines; every other character as its number, so that two names stay two."""
    return "".join(c if re.fullmatch("[a-z0-9]", c) else f"_{ord(c)}_" for c in name)


def _tail(endpoint: str, params: list[str], needed: tuple[tuple[str, ...], ...], first: str) -> list[str]:
    """Rules for what stands behind a path: parameters in their order, each at most once, the needed ones always.

    One rule a parameter, `this, then perhaps a later one | a later one`: writing `a? b? c?` would make LALR expand
    every combination. `first` is the mark before the first one: a question mark, or & where `q` stands before it.
    """
    must = {group[0] for group in needed}
    rules = []
    for i, name in enumerate(params):
        later = params[i + 1 :]
        rest = f" {endpoint}_and_{rule_name(later[0])}" + ("" if must & set(later) else "?") if later else ""
        for mark, sign in (("has", "?"), ("and", "&")):
            if (mark == "has" and first == "&") or (mark == "and" and first == "?" and i == 0):
                continue
            skip = f" | {endpoint}_{mark}_{rule_name(later[0])}" if later and name not in must else ""
            rule = rule_name(name)
            rules.append(f'{endpoint}_{mark}_{rule}: "{sign}{escape(name)}=" v_{rule}{rest}{skip}')
    return rules


@lru_cache(maxsize=32)
def build(api: API, without: frozenset[str] = frozenset()) -> str:
    """Compile the `.lark` grammar of an API's calls; its start rule is `call`.

    Args:
        without: optional parameters that are left out of it.
    """
    calls: list[str] = []
    rules: list[str] = []
    terminals: dict[str, str] = {}
    in_paths = {name for endpoint in api.endpoints.values() for name in endpoint.in_path}  # one rule for one name
    for name, endpoint in api.endpoints.items():
        has_query = "q" in endpoint.params and api.params["q"].kind == "query"
        behind = [p for p in endpoint.params if p not in (*api.unwritten, *endpoint.in_path)]
        behind = [p for p in behind if not (has_query and p == "q") and p not in without]
        must = {name for group in endpoint.needs for name in group}
        behind = [p for p in behind if p in must or writable(api.params[p])]
        needed = tuple(group for group in endpoint.needs if group[0] in behind)
        parts = [_path_part(piece) for piece in re.split(r"(\{[^{}]+\})", endpoint.path) if piece]
        rule = rule_name(name)
        if has_query:
            parts[-1] = parts[-1][:-1] + '?q=" query'
        tail: list[str] = []
        if behind:
            parts.append(f"{rule}_{'and' if has_query else 'has'}_{rule_name(behind[0])}" + ("" if needed else "?"))
            tail = _tail(rule, behind, needed, "&" if has_query else "?")
        calls.append(f"{rule}_call")
        rules += [f"{rule}_call: {' '.join(parts)}", *tail]
        for p in (*behind, *endpoint.in_path):
            value, used = _value_rule(api, p, api.params[p], p in in_paths)
            rules.append(f"v_{rule_name(p)}: {value}")
            terminals |= used
    head = f"// {' '.join(api.title.split())}: written by `querywright grammar build --api {api.name}`; do not edit.\n"
    top = "\n".join([f"start: call\ncall: {' | '.join(calls)}", *dict.fromkeys(rules), ""])
    if any("{id}" in e.path for e in api.endpoints.values()):
        terminals["ID"] = _ids(api)
    if api.query_language == "none":
        return head + top + "\n".join(["", *(f"{name}.4: /{regex}/" for name, regex in terminals.items()), ""])
    terminals["RETURNED"] = alternatives(_escaped([*api.fields, *api.meta_fields]))
    ordered = [f for f in api.fields if api.leaves(f) == (f,)]
    terminals["SORTED"] = "-?" + alternatives(_escaped([*ordered, *api.meta_fields]))
    top += "\n".join(["", *(f"{name}.4: /{regex}/" for name, regex in terminals.items())])
    names = searchable(api)
    language = skeleton('NAME ":"', f"/{alternatives(_escaped(names))}/", _written(api))
    if api.intervals is None:
        language = language.replace(" | interval", "").replace("interval: INTERVAL\n", "")
        language = re.sub(r"(?m)^INTERVAL.*\n", "", language)
    return head + top + "\n\n" + _bounded(language)


def _written(api: API) -> dict[str, str]:
    """The terminals that differ between reading and writing, as this API's calls are written."""
    plain = WRITE["INTERVAL"].partition("?")[2]
    return {**WRITE, "INTERVAL": plain} if api.intervals and not api.intervals.prefixed else WRITE


def _path_part(piece: str) -> str:
    if piece == "{id}":
        return "ID"
    return f"v_{rule_name(piece[1:-1])}" if piece.startswith("{") else f'"{piece}"'


def _ids(api: API) -> str:
    """What a model may write as a record's id: the shapes of the definition, or words without a scope."""
    plain = r"[0-9A-Za-z][0-9A-Za-z_.\-]*"
    shapes = [entry.write or entry.shape for entry in api.ids]
    if api.id_refused:
        return f"({'|'.join(shapes)})"
    # a lexer takes the first alternative that matches, so that only shapes with a colon may stand before the plain word
    return f"({'|'.join([*(s for s in shapes if ':' in s), plain])})" if shapes else plain


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
    source = re.sub(r"(?m)^([A-Z_0-9]+)\.\d+:", r"\1:", build(api, without))
    return source if api.query_language == "none" else _shared(api, source)


def _shared(api: API, source: str) -> str:
    """The three lists of names put together from parts that they share: of 1,300 names that compiles twice as fast."""
    asked = set(searchable(api))
    ordered = {f for f in api.fields if api.leaves(f) == (f,)} | {*api.meta_fields}
    parts: dict[str, list[str]] = {}
    for name in dict.fromkeys([*api.fields, *api.meta_fields]):
        parts.setdefault(f"N{int(name in asked)}{int(name in ordered)}", []).append(name)
    of = {
        "NAME": [p for p in parts if p[1] == "1"],
        "SORTED": [p for p in parts if p[2] == "1"],
        "RETURNED": [*parts],
    }
    if not all(of.values()):
        return source
    kept = [line for line in source.split("\n") if line.partition(":")[0] not in of]
    lists = [f"{p}: /{alternatives(_escaped(names))}/" for p, names in parts.items()]
    sign = {"SORTED": '"-"? '}
    whole = [f"{name}: {sign.get(name, '')}({' | '.join(used)})" for name, used in of.items()]
    return "\n".join([*kept, *lists, *whole, ""])
