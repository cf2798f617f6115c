"""The grammar of an API's calls as GBNF, for llama.cpp's own sampler and servers built on it.

GBNF has no lexer: every string of the lark grammar is a string of this one; a few more are (`NOT NOT x`), which
`call.parse` refuses afterwards like any other answer that is no call.
"""

from __future__ import annotations

import re._constants as op
import re._parser as regex
from functools import lru_cache
from typing import Any

from lark import Lark
from lark.grammar import NonTerminal, Symbol

from querywright.api.definition import API
from querywright.api.grammar import build
from querywright.errors import QuerywrightError

# What \s means beyond the controls and the space.
_SPACES = r"\x00-\x20\x85\xA0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000"


@lru_cache(maxsize=8)
def build_gbnf(api: API) -> str:
    """Compile the GBNF grammar of an API's calls; its start rule is `root`."""
    parser = Lark(build(api), parser="lalr", start="call", lexer="contextual", maybe_placeholders=False)
    rules: dict[str, list[list[Symbol]]] = {}
    for rule in parser.rules:
        rules.setdefault(str(rule.origin.name), []).append(list(rule.expansion))
    title = " ".join(api.title.split())
    head = f"# {title}: written by `querywright grammar build --api {api.name}`; do not edit."
    lines = [head, "root ::= call"]
    lines += [f"{_name(name)} ::= {_alternatives(name, options)}" for name, options in rules.items()]
    used = {s.name for options in rules.values() for option in options for s in option if s.is_term}
    patterns = {t.name: t.pattern for t in parser.terminals if t.name in used}
    for name, pattern in patterns.items():
        body = _quote(pattern.value) if pattern.type == "str" else _sequence(regex.parse(pattern.to_regexp()))
        lines.append(f"{_name(name)} ::= {body}")
    return "\n".join(lines) + "\n"


def _name(name: str) -> str:
    return ("t-" if name.isupper() or name.startswith("__ANON") else "") + name.strip("_").lower().replace("_", "-")


def _alternatives(name: str, options: list[list[Symbol]]) -> str:
    """A rule's body. llama.cpp takes no left recursion: `x: b | x a` becomes `b a*`."""
    again = [o[1:] for o in options if isinstance(o[0], NonTerminal) and o[0].name == name]
    bases = [o for o in options if not (isinstance(o[0], NonTerminal) and o[0].name == name)]
    body = " | ".join(map(_symbols, bases))
    return f"({body}) ({' | '.join(map(_symbols, again))})*" if again else body


def _symbols(symbols: list[Symbol]) -> str:
    return " ".join(_name(str(s.name)) for s in symbols)


# --- regular expressions -------------------------------------------------------------------------------------------
def _sequence(tree: Any) -> str:
    parts: list[str] = []
    literal = ""
    for code, value in tree:
        if code is op.LITERAL:
            literal += chr(value)
            continue
        if literal:
            parts.append(_quote(literal))
            literal = ""
        parts.append(_node(code, value))
    return " ".join([*parts, *([_quote(literal)] if literal else [])])


def _node(code: Any, value: Any) -> str:
    if code is op.BRANCH:
        return "(" + " | ".join(_sequence(option) for option in value[1]) + ")"
    if code is op.SUBPATTERN:
        inner = _sequence(value[-1])
        return inner if inner.startswith("(") and len(value[-1]) == 1 else f"({inner})"
    if code is op.IN:
        return _characters(value)
    if code is op.NOT_LITERAL:
        return f"[^{_char(value)}]"
    if code is op.MAX_REPEAT:
        low, high, inner = value
        body = _sequence(inner)
        body = body if len(inner) == 1 and body[0] in "([" else f"({body})"
        marks = {(0, 1): "?", (0, op.MAXREPEAT): "*", (1, op.MAXREPEAT): "+"}
        return body + marks.get((low, high), f"{{{low},{'' if high is op.MAXREPEAT else high}}}")
    raise _no_word(code)


def _no_word(what: Any) -> QuerywrightError:
    return QuerywrightError(
        f"an expression of the definition uses {what}, which GBNF has no word for",
        hint="write the shapes of `ids` with characters, classes such as [0-9], groups and repeats only",
    )


def _characters(items: Any) -> str:
    out = ""
    for code, value in items:
        if code is op.NEGATE:
            out += "^"
        elif code is op.LITERAL:
            out += _char(value)
        elif code is op.RANGE:
            out += f"{_char(value[0])}-{_char(value[1])}"
        elif code is op.CATEGORY and value is op.CATEGORY_SPACE:
            out += _SPACES
        else:
            raise _no_word(value)
    return f"[{out}]"


def _char(code: int) -> str:
    if chr(code) in '[]\\"-^':
        return "\\" + chr(code) if chr(code) in '[]\\"' else f"\\x{code:02X}"
    return chr(code) if 0x20 <= code < 0x7F else f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}"


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
