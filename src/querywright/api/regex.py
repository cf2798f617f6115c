"""The shape of an API's calls as a regular expression: its paths, its parameters, anything in `q`.

Much looser than the grammar: a name of a field may be none, quotes and brackets need not close. It is what people who
decode under a regular expression (outlines, vLLM's `structured_outputs`) can have, and what the sweep compares with.
"""

from __future__ import annotations

import re
from functools import lru_cache

from querywright.api.definition import API, Param
from querywright.api.query_text import escape
from querywright.api.values import alternatives

_QUERY = r"[^&#\n]{1,400}"
_NAMES = r"-?[0-9A-Za-z_.@-]+(,-?[0-9A-Za-z_.@-]+){0,40}"
_ID = r"[^/?&#\s]{1,120}"
_FREE = r"[^&#\n]{1,120}"
_KINDS = {
    "integer": r"-?[0-9]{1,9}", "number": r"-?[0-9]{1,9}(\.[0-9]{1,9})?", "boolean": "(true|false)", "fields": _NAMES,
    "sort": _NAMES, "date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]{5,15})?",
}  # fmt: skip


@lru_cache(maxsize=8)
def build_regex(api: API) -> str:
    """Compile the regular expression of an API's calls, of the syntax that Python's `re`, Rust's `regex`, llguidance
    and outlines share: characters, classes, groups, repeats; it has to match the whole text.

    Each parameter stands at most once, in the order in which the definition names it.
    """
    return "|".join(_call(api, name) for name in api.endpoints)


def _call(api: API, endpoint: str) -> str:
    spec = api.endpoints[endpoint]
    has_query = "q" in spec.params and api.params["q"].kind == "query"
    path = "".join(_ID if p.startswith("{") else _literal(p) for p in re.split(r"(\{[^{}]+\})", spec.path) if p)
    left_out = {*api.unwritten, *spec.in_path, *(["q"] if has_query else [])}
    pairs = [f"{_literal(escape(name))}={_value(api.params[name])}" for name in spec.params if name not in left_out]
    if has_query:
        return rf"{path}\?q={_QUERY}{_optional(pairs)}"
    # the first parameter follows a question mark, whichever it is
    tails = [rf"\?{pair}{_optional(pairs[i:])}" for i, pair in enumerate(pairs, 1)]
    must = any(group for group in spec.needs)
    return path + (f"({'|'.join(tails)})" + ("" if must else "?") if tails else "")


def _optional(pairs: list[str]) -> str:
    return "".join(f"(&{pair})?" for pair in pairs)


def _value(param: Param) -> str:
    if param.kind == "enum":
        return alternatives(escape(v) for v in param.values)
    return _KINDS.get(param.kind, _FREE)


def _literal(text: str) -> str:
    return re.sub(r"([^0-9A-Za-z_/=&%,:~ -])", r"\\\1", text)
