"""Calls answered from an index: what the query service would send back, as plain values."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import tantivy

from querywright.api.call import Call
from querywright.api.definition import API
from querywright.api.index import Index, column, is_place, kind_of
from querywright.api.matching import Matcher, Query
from querywright.api.problems import NoMoreResults, ServiceError
from querywright.api.query import Bool, Everything, Exists, Interval, Node, Term, walk
from querywright.api.shape import dotted, select

PAGE = 1000
SCROLL_SECONDS = 60.0
MAX_SCROLLS = 200
_INDEX_ORDER = ("_seq_no", "_version")  # sorting by these leaves the records as they came
Hit = tuple[float | None, Any]  # score, address


@dataclass
class Scrolls:
    """Open result sets of `fetch_all`, each kept for a minute after its last page."""

    _open: dict[str, tuple[Call, int, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, call: Call, offset: int, name: str | None = None) -> str:
        """Remember where a call's next page starts; returns the scroll id."""
        now = time.monotonic()
        with self._lock:
            for old in [k for k, (_, _, until) in self._open.items() if until < now]:
                del self._open[old]
            while len(self._open) >= MAX_SCROLLS:
                del self._open[next(iter(self._open))]
            name = name or secrets.token_urlsafe(24)
            self._open[name] = (call, offset, now + SCROLL_SECONDS)
        return name

    def take(self, name: str) -> tuple[Call, int]:
        """The call and offset of a scroll id.

        Raises:
            ServiceError: it is unknown or more than a minute old.
        """
        with self._lock:
            call, offset, until = self._open.pop(name, (None, 0, 0.0))
        if call is None or until < time.monotonic():
            raise ServiceError(400, "Invalid or stale scroll_id.")
        return call, offset


# --- filters --------------------------------------------------------------------------------------------------------
def _values(api: API, name: str, words: tuple[str, ...]) -> Node:
    param = api.params[name]
    known = api.vocabularies[param.vocabulary]
    return Bool(should=tuple(Term(param.field, str(known.get(word, word))) for word in words))


def filters(call: Call, after: bool = False) -> list[Node]:
    """What the parameters demand. `after`: those that narrow the hits but not the facets."""
    api, given = call.api, dict(call.params)
    nodes: list[Node] = []
    for name, value in given.items():
        param = api.params[name]
        if param.kind == "vocabulary" and isinstance(value, tuple) and after == (not param.in_query):
            if param.all in value:
                continue
            nodes.append(_values(api, name, value))
        elif param.kind == "boolean" and value is True and param.field and not after:
            nodes.append(Exists(param.field))
    spans = [n for n in walk(call.query) if isinstance(n, Interval)] if call.query is not None else []
    if not after and api.intervals and api.intervals.default_species and any(n.assembly is None for n in spans):
        for name, param in api.params.items():
            if param.in_query and param.vocabulary and name not in given:
                nodes.append(_values(api, name, (api.intervals.default_species,)))
    return nodes


def _narrow(matcher: Matcher, query: Query, nodes: list[Node]) -> Query:
    if not nodes:
        return query
    silent = [Query.const_score_query(matcher.compile(node), 0.0) for node in nodes]
    return Query.boolean_query([(tantivy.Occur.Must, q) for q in (query, *silent)])


# --- hits -----------------------------------------------------------------------------------------------------------
def _find(index: Index, query: Query, size: int, start: int = 0, **how: Any) -> tuple[int, list[tuple[Any, Any]]]:
    result = index.searcher.search(query, limit=max(size, 1), offset=start, **how)
    return int(result.count), list(result.hits)[:size]


def _sort_column(api: API, name: str) -> str:
    found = api.fields.get(name)
    if name == "_id":
        return "_id"
    if found is None or found.type == "object" or not found.indexed:
        raise ServiceError(400, f"No mapping found for [{name}] in order to sort on")
    return column(name)


def _sorted_hits(index: Index, query: Query, keys: tuple[str, ...], size: int, start: int) -> tuple[int, list[Hit]]:
    """Hits by several keys; records without a value come last, ties keep the index's order."""
    orders = [(k.lstrip("-"), tantivy.Order.Desc if k.startswith("-") else tantivy.Order.Asc) for k in keys]
    orders = [(name, order) for name, order in orders if name not in _INDEX_ORDER]
    if not orders:
        total, found = _find(index, Query.const_score_query(query, 1.0), size, start)
        return total, [(None, address) for _, address in found]
    if len(orders) == 1 and orders[0][0] != "_score":
        name, order = orders[0]
        total, found = _find(index, query, size, start, order_by_field=_sort_column(index.api, name), order=order)
        return total, [(None, address) for _, address in found]
    total, _ = _find(index, query, 0)
    ranked: list[Any] = []
    for name, order in reversed(orders):
        how = (
            {"weight_by_field": "_rank"}
            if name == "_score"
            else {"order_by_field": _sort_column(index.api, name), "order": order}
        )
        found = _find(index, query, max(total, 1), **how)[1]
        keyed = {(a.segment_ord, a.doc): value for value, a in found}
        if not ranked:
            ranked = sorted((a for _, a in found), key=lambda a: (a.segment_ord, a.doc))
        have = [a for a in ranked if keyed[a.segment_ord, a.doc] is not None]
        lack = [a for a in ranked if keyed[a.segment_ord, a.doc] is None]
        have.sort(key=lambda a: keyed[a.segment_ord, a.doc], reverse=order == tantivy.Order.Desc)
        ranked = have + lack
    return total, [(None, address) for address in ranked[start : start + size]]


def _names(call: Call) -> tuple[str, ...] | None:
    """The fields to return, or None for all."""
    param = call.api.params.get("fields")
    if param is None:
        return None
    whole_by_default = "q" not in call.api.endpoints[call.endpoint].params
    names = call.get("fields") or (None if whole_by_default else tuple(param.default or ()))
    return None if not names or param.all in names else tuple(names)


def document(index: Index, call: Call, hit: Hit, scored: bool = True) -> dict[str, Any]:
    """One hit as the call wants to see it."""
    score, address = hit
    record = select(index.source(address), _names(call))
    head: dict[str, Any] = {"_id": record.pop("_id")}
    if scored:
        head["_score"] = score if score is None else round(score, 6)
    return {**head, **(dotted(record) if call.get("dotfield") else record)}


def _facets(index: Index, matcher: Matcher, query: Query, call: Call, total: int) -> dict[str, Any]:
    facets: dict[str, Any] = {}
    size = int(call.get("facet_size", call.api.params["facet_size"].default or 10))
    for wanted in call.get("facets"):
        for name in index.api.leaves(wanted):
            if name not in index.api.fields:
                continue
            terms = {"field": column(name), "size": size, "segment_size": max(10_000, size)}
            try:
                found = index.searcher.aggregate(query, {"f": {"terms": terms}})["f"]
            except ValueError as error:
                raise ServiceError(400, f"cannot count the values of {name}: {error}") from None
            rows = [{"count": b["doc_count"], "term": _shown(index.api, name, b["key"])} for b in found["buckets"]]
            other = int(found["sum_other_doc_count"])
            have, _ = _find(index, _narrow(matcher, query, [Exists(name)]), 0)
            facets[name] = {
                "_type": "terms",
                "terms": sorted(rows, key=lambda r: (-r["count"], str(r["term"]))),
                "other": other,
                "missing": total - have,
                "total": sum(r["count"] for r in rows) + other,
            }
    return facets


def _shown(api: API, name: str, key: Any) -> Any:
    kind = kind_of(api.fields[name])
    if kind == "date":
        text = f"{int(key):014d}"
        return f"{text[:4]}-{text[4:6]}-{text[6:8]}"
    return int(key) if kind == "integer" else key


def query(index: Index, call: Call, scrolls: Scrolls | None = None) -> dict[str, Any]:
    """Answer a search.

    Raises:
        ServiceError: what the service would refuse.
        NoMoreResults: the scroll is at its end.
    """
    started = time.perf_counter()
    start = int(call.get("from", 0))
    default = index.api.params["size"].default if "size" in index.api.params else 10
    size = int(call.get("size", default))
    scroll = call.get("scroll_id")
    if scroll:
        if scrolls is None:
            raise ServiceError(400, "Invalid or stale scroll_id.")
        call, start = scrolls.take(scroll)
    everything = bool(call.get("fetch_all"))
    if everything:
        start, size = (start if scroll else 0), PAGE
    matcher = Matcher(index, next((v for _, v in call.params if isinstance(v, str) and is_place(index.api, v)), None))
    wanted = _narrow(matcher, matcher.compile(call.query or Everything()), filters(call))
    shown = _narrow(matcher, wanted, filters(call, after=True))
    keys = () if everything else call.get("sort", ())
    if keys:
        total, hits = _sorted_hits(index, shown, keys, size, start)
    elif everything:
        total, hits = _find(index, Query.const_score_query(shown, 1.0), size, start)
    else:
        total, hits = _find(index, shown, size, start, weight_by_field="_rank")
    if scroll and not hits:
        raise NoMoreResults
    body: dict[str, Any] = {"took": 0, "total": total, "max_score": None}
    body["hits"] = [document(index, call, hit) for hit in hits]
    if not keys and total:
        top = hits if hits and not start else _find(index, shown, 1, weight_by_field="_rank")[1]
        body["max_score"] = round(top[0][0] or 0.0, 6)
    if call.get("facets") and not scroll:
        counted = total if shown is wanted else _find(index, wanted, 0)[0]
        body["facets"] = _facets(index, matcher, wanted, call, counted)
    if everything and scrolls is not None:
        body["_scroll_id"] = scrolls.put(call, start + PAGE, scroll)
    body["took"] = round((time.perf_counter() - started) * 1000)
    return body


# --- the other endpoints --------------------------------------------------------------------------------------------
def default_scopes(api: API) -> tuple[str, ...]:
    """The fields that an id is looked up in, unless a batch names its own."""
    param = api.params.get("scopes")
    return tuple(param.default) if param and param.default else ("_id",)


def lookup(index: Index, call: Call, text: str) -> list[dict[str, Any]]:
    """Records with this id: their own, or the id of another source that the definition's `ids` or `scopes` name."""
    shapes = [shape for shape in index.api.ids if shape.regex.fullmatch(text)]
    scope, colon, rest = text.partition(":")
    known = index.api.resolve(scope) if colon and (not shapes or "." in scope) else None
    scopes = dict.fromkeys(("_id", *default_scopes(index.api), *(shape.field for shape in shapes if shape.field)))
    terms = [Term(known, rest)] if known else [Term(name, text) for name in scopes]
    matcher = Matcher(index)
    wanted = _narrow(matcher, matcher.compile(Bool(should=tuple(terms))), filters(call))
    _, hits = _find(index, wanted, PAGE, weight_by_field="_rank")
    found = []
    for hit in hits:
        record = document(index, call, hit, scored=False)
        found.append({"_id": record.pop("_id"), "_version": 1, **record})
    return found


def _vocabulary(index: Index, call: Call) -> dict[str, Any]:
    """What is known of an entry of a vocabulary: its number, its name, whether any record has it."""
    known = index.api.vocabularies[call.endpoint]
    text = (call.id or "").lower()
    value = str(known.get(text, text))
    names = [name for name, number in known.items() if str(number) == value]
    used = [p.field for p in index.api.params.values() if p.vocabulary == call.endpoint and p.field][:1]
    n, _ = _find(index, Matcher(index).compile(Term(used[0], value)), 0) if used else (0, [])
    if not names and not n:
        raise ServiceError(404, "Not Found")
    head: dict[str, Any] = {"_id": value, "_version": 1}
    if value.isdigit():
        head["taxid"] = int(value)
    return {**head, **({"common_name": names[0]} if names else {}), f"has_{index.api.noun}": bool(n)}


def metadata_fields(api: API, search: str = "", prefix: str = "") -> dict[str, Any]:
    """The fields as `/metadata/fields` lists them."""
    return {
        name: {"type": f.type, "index": f.indexed, **({"searched_by_default": True} if f.default_search else {})}
        for name, f in api.fields.items()
        if search.lower() in name.lower() and name.startswith(prefix)
    }


def metadata(index: Index) -> dict[str, Any]:
    """What the service says of itself."""
    from querywright import __version__

    return {
        "biothing_type": index.api.noun,
        "build_version": index.path.name if index.path else "memory",
        "stats": {"total": index.size},
        "source": "querywright",
        "app_revision": __version__,
        "taxonomy": dict(index.api.vocabularies.get("species", {})),
    }


def answer(index: Index, call: Call, scrolls: Scrolls | None = None) -> Any:
    """The body that answers a call.

    Raises:
        ServiceError: 404 where no record has the id, 400 for what the service refuses.
        NoMoreResults: a scroll is at its end.
    """
    endpoint = call.api.endpoints[call.endpoint]
    if "q" in endpoint.params:
        try:
            return query(index, call, scrolls)
        except ValueError as error:  # tantivy's word for what it cannot run, such as a pattern that grows too large
            raise ServiceError(400, f"this query cannot be run: {error}") from error
    if call.id is not None and call.endpoint in call.api.vocabularies:
        return _vocabulary(index, call)
    if call.id is not None:
        found = lookup(index, call, call.id)
        if not found:
            raise ServiceError(404, f"Not Found: no {call.api.noun} has the id {call.id!r}")
        return found[0] if len(found) == 1 else found
    if endpoint.path.endswith("/fields"):
        return metadata_fields(call.api, str(call.get("search", "")), str(call.get("prefix", "")))
    return metadata(index)
