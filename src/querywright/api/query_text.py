"""Query strings as text, before they are read: escapes, white space, and what people leave out or add."""

from __future__ import annotations

import re


class QueryError(ValueError):
    """A query string that is no query; the message is a reason for people."""


# What stands in a URL as %XX, also stands so in the grammar.
_ESCAPES = {"%": "%25", "&": "%26", "#": "%23", "+": "%2B"}


_TO_ESCAPE = re.compile("[%&#+]")
_ESCAPED = re.compile("%([0-7][0-9A-F])")


def escape(text: str) -> str:
    """Write the four characters that a URL would take for itself as %XX."""
    return _TO_ESCAPE.sub(lambda m: _ESCAPES[m[0]], text)


def unescape(text: str) -> str:
    """The opposite of `escape`; any %XX of an ASCII character is taken."""
    return _ESCAPED.sub(lambda m: chr(int(m[1], 16)), text) if "%" in text else text


_SPLIT = re.compile(r'((?<!\\)"(?:\\.|[^"\\])*")', re.S)


_TIDY = [
    (re.compile(pattern), by)
    for pattern, by in (
        (r"\s+", " "),
        (r"(?<!\\)\( ", "("),
        (r"(?<!\\) \)", ")"),
        (r"(?<=:[\[{]) | (?=[\]}])", ""),
        (r"(?<=[^\\]\))(?=[^\s)^~])", " "),
        (r"(?<=[\w*?])\((?=\w)", " ("),
        (r"(?<=[^\\\s]:) (?=\S|$)", ""),
    )
]
_DANGLING = re.compile(r" NOT$| (AND|OR)$")
_QUOTED_NAME = re.compile(r'(?<![\w.\\"])(_(?:exists|missing)_:) ?"([\w.@-]+)"')


def tidy(text: str) -> str:
    """Fold white space outside of phrases; put spaces where two clauses touch; a field's name needs no quotes."""
    text = _QUOTED_NAME.sub(r"\1\2", text.strip())
    parts = _SPLIT.split(text)
    if any('"' in re.sub(r"\\.", "", p) for p in parts[::2]):
        raise QueryError("a quotation mark is not closed")
    for i in range(0, len(parts), 2):
        p = parts[i]
        for pattern, by in _TIDY:
            p = pattern.sub(by, p)
        parts[i] = _DANGLING.sub("", p) if i == len(parts) - 1 else p
    for i in range(1, len(parts), 2):
        parts[i] = re.sub(r"\s+", " ", parts[i])
        if i + 1 < len(parts) and parts[i + 1][:1] not in ("", " ", ")", "~", "^", "]", "}"):
            parts[i] += " "
        if parts[i - 1][-1:] not in ("", " ", "(", ":", "-", "+", "!", "[", "{"):
            parts[i] = " " + parts[i]
    whole = "".join(parts).strip()
    return "*" if whole == "*:*" else whole
