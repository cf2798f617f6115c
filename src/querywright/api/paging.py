"""Which hits of how many: limit, offset, page and sort of an API of typed parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from querywright.api.definition import API, Endpoint, Param
from querywright.api.filters import number

if TYPE_CHECKING:
    from querywright.api.rows import Rows

LIMIT = 10
MOST = 1000
# What parameters do that are no condition on a record, by their role, else by their name.
_ROLES = {
    "limit": r"limit|size|rows|per_?page|page_?size|page_?limit|max_?results|count|top",
    "offset": r"offset|skip|from|start|start_?index",
    "page": r"page|page_?number|page_?no|p",
    "sort": r"sort|sort_?by|order_?by|ordering",
    "order": r"order|direction|dir|sort_?(order|dir|direction)",
}
_DOWN = re.compile(r"(?i)^-|[ :._-](desc|descending)$|^desc\(")
_SIGNS = re.compile(r"(?i)^[+-]|[ :._-](asc|desc|ascending|descending)$|^(asc|desc)\(|\)$")


def role_of(name: str, param: Param) -> str:
    """What a parameter does to the list of hits: limit, offset, page, sort, order, or nothing."""
    if param.values and {v.lower() for v in param.values} <= {"asc", "desc", "ascending", "descending"}:
        return "order"
    if param.role:
        return param.role
    if param.field:
        return ""
    whole = param.kind in ("integer", "number")
    for role, pattern in _ROLES.items():
        if re.fullmatch(pattern, name, re.I) and whole == (role in ("limit", "offset", "page")):
            return role
    return ""


def page(api: API, spec: Endpoint, roles: dict[str, Any]) -> tuple[int, int]:
    """Where a page starts and how many hits it has. A page or an offset whose least value is 1 counts from 1."""
    size = max(0, min(int(roles.get("limit", LIMIT)), MOST))
    least = {role_of(n, api.params[n]): api.params[n].min for n in spec.params}
    first = 0 if least.get("page") == 0 else 1
    pages = max(0, int(roles.get("page", first)) - first)
    from_one = 1 if least.get("offset") == 1 else 0
    return max(0, int(roles.get("offset", from_one)) - from_one) + pages * size, size


def in_order(rows: Rows, found: Sequence[int], spec: Endpoint, roles: dict[str, Any]) -> Sequence[int]:
    """Rows by the fields that a sort names, if it names any; records without a value come last.

    Downwards are `-year`, `year:desc` and the like, and `year` where the API has `year-asc` beside it.
    """
    given = roles.get("sort", ())
    texts = [str(t) for t in (given if isinstance(given, tuple) else str(given).split(",")) if str(t)]
    down_all = str(roles.get("order", "")).lower().startswith("desc")
    values = {
        v.lower() for n in spec.params if role_of(n, rows.api.params[n]) == "sort" for v in rows.api.params[n].values
    }
    for text in reversed(texts):
        name = _field(rows, text)
        if name is None:
            continue  # `relevance` and its like: the order of the records
        plain_is_down = any(f"{text.lower()}{sign}asc" in values for sign in "-_: .")
        known = rows.api.fields.get(name)
        column = rows.column(name, "span" if known and known.type == "date" else "raw")
        have = [row for row in found if column[row]]
        lack = [row for row in found if not column[row]]
        down = (bool(_DOWN.search(text)) or plain_is_down) != down_all
        best = max if down else min
        have.sort(key=lambda row: best(map(_rank, column[row])), reverse=down)
        found = have + lack
    return found


def _field(rows: Rows, text: str) -> str | None:
    """The field that a sort names, also by a synonym."""
    known = {word.lower(): f.name for f in rows.api.fields.values() for word in f.synonyms}
    known.update({name.lower(): name for name in (*rows.names, *rows.api.fields)})
    known.update({re.sub(r"\W|_", "", name): real for name, real in list(known.items())})
    while True:
        folded = text.strip().lower()
        found = known.get(folded) or known.get(re.sub(r"\W|_", "", folded) if folded[:1] not in "+-" else "")
        if found:
            return found
        bare = _SIGNS.sub("", text, count=1)
        if bare == text:
            return None
        text = bare


def _rank(value: Any) -> tuple[int, Any]:
    if isinstance(value, tuple):
        return (0, value)
    found = number(value) if not isinstance(value, str) else None
    return (0, found) if found is not None else (1, str(value).casefold())
