"""Whether a pair is true, and what pairs cover."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from querywright.api.call import Call, CallError, parse
from querywright.api.definition import API, Param
from querywright.api.lexicon import lexicon
from querywright.api.query import Exists, Interval, Range, Term, walk
from querywright.api.refusal import REASONS
from querywright.api.spoken import dates, numbers, signed
from querywright.api.values import printed
from querywright.pairs.roles import roles
from querywright.pairs.say import as_tuple
from querywright.pairs.typed_values import forms
from querywright.rows import Row

_TYPED = ("integer", "number", "date", "enum", "text", "list")


def problem(api: API, r: Row) -> str:
    """Why a row is no true pair (the reason code), or the empty string.

    A literal of the call has to stand in the sentence: letter case, thousands separators, an id's prefix and the star
    of a pattern aside; numbers and dates also in words. A call that does not parse, or whose stored canonical form is
    another, is no pair either. In a conversation a literal may stand in any turn: in an earlier sentence, or in the
    call that answered it. A refusal has a known reason, a sentence and no call. Rows with an `answer` of other
    machinery have no call to check.
    """
    if not str(r.get("instruction") or "").strip():
        return "no_sentence"
    if r.get("refusal"):
        return "" if r["refusal"] in REASONS and not r.get("path") else "bad_refusal"
    if r.get("answer") and not r.get("path"):
        return ""
    try:
        call = parse(api, r.get("path") or "")
    except CallError as error:
        return error.code
    if r.get("canonical", call.canonical) != call.canonical:
        return "canonical_differs"
    words = _heard(r)
    said = words.lower().replace(",", "")
    if call.id and call.id.lower().replace(",", "") not in said:
        return "literal_missing"
    if api.query_language == "none":
        return "" if _values_said(call, words) else "literal_missing"
    return "" if _query_said(call, words) else "literal_missing"


def _heard(r: Row) -> str:
    """Where a row's literals may stand: its sentences, and the values of the calls that were answered before."""
    turns = [
        re.sub(r"[=&?]", " ", unquote(t["content"])) if t["role"] == "assistant" else t["content"]
        for t in r.get("turns") or ()
    ]
    return "\n".join([*turns, r["instruction"]])


def _query_said(call: Call, sentence: str) -> bool:
    said = sentence.lower().replace(",", "")
    nouns = lexicon(call.api).get("nouns_for", {})
    spoken = set(numbers(sentence))
    for node in walk(call.query) if call.query else ():
        if isinstance(node, Term) and node.value in nouns.get(node.field, {}):
            continue  # "pseudogenes" says type_of_gene:pseudo without the word
        literals = [node.value] if isinstance(node, Term) else []
        literals += [b for b in (node.low, node.high) if b != "*"] if isinstance(node, Range) else []
        literals += [str(node.start), str(node.end)] if isinstance(node, Interval) else []
        if isinstance(node, Term) and call.api.analysis(node.field) == "exact" and node.value in ("true", "false"):
            continue  # a switch; said as a clause
        for literal in literals:
            if literal in spoken or (isinstance(node, Interval) and literal == "1" and "first" in said):
                continue  # "1.5 Mb" is 1500000, and the first 20 kb begin at 1
            for piece in literal.lower().replace("\\", "").replace(",", "").replace("?", "*").split("*"):
                if piece not in said:
                    return False
    return True


def _values_said(call: Call, sentence: str) -> bool:
    """Whether every value of a typed call is in the sentence."""
    known = roles(call.api, call.endpoint)
    text = " ".join(sentence.lower().split())
    numbers, days = set(signed(sentence)), set(dates(sentence))
    for name, value in call.params:
        param = call.api.params[name]
        role = known.of(name)
        if param.kind not in _TYPED or role == "direction" or (role == "limit" and value in (0, 1)):
            continue  # switches and directions have many words; "just the best match" has no number
        kind = param.items if param.kind == "list" else param.kind
        for one in value if isinstance(value, tuple) else (value,):
            if not _said(call.api, name, kind, printed(one), text, numbers, days):
                return False
    return True


def _said(api: API, name: str, kind: str, value: str, text: str, numbers: set[str], days: set[str]) -> bool:
    if kind in ("integer", "number"):
        return value in numbers
    if kind == "date":
        return value in days or value.lower() in text
    if kind == "enum":
        return any(form in text for form in forms(api, name, value))
    return value.lower() in text or value.lower().replace(",", "") in text.replace(",", "")


def report(api: API, rows: Sequence[Row]) -> dict[str, Any]:
    """What the pairs cover: calls, signatures, fields (searched, returned), parameters, values of enums, sources."""
    searched: Counter[str] = Counter()
    returned: Counter[str] = Counter()
    params: Counter[str] = Counter()
    values: set[tuple[str, str]] = set()
    for r in (r for r in rows if r.get("path")):
        call = parse(api, r["path"])
        params.update(name for name, _ in call.params)
        values |= {(n, one) for n, v in call.params for one in as_tuple(v)}
        if "fields" in api.params and api.params["fields"].kind == "fields":
            returned.update(call.get("fields", ()))
        if call.query is not None:
            searched.update(n.field for n in walk(call.query) if isinstance(n, Term | Range | Exists) and n.field)
            searched.update(["(interval)"] * sum(isinstance(n, Interval) for n in walk(call.query)))
    written = _written(api)
    enums = {(n, v) for n, p in written.items() for v in p.values if v != p.default}
    fields = {
        "fields_all": len(api.fields),
        "fields_searched": len(set(searched) & set(api.fields)),
        "fields_returned": len(set(returned) & set(api.fields)),
        "never_searched": sorted(f for f in api.fields if api.leaves(f) and f not in searched),
        "never_returned": sorted(set(api.fields) - set(returned)),
    }
    return {
        "pairs": len(rows),
        "calls": len({r["canonical"] for r in rows}),
        "signatures": len({r["signature"] for r in rows}),
        "sources": dict(Counter(r["source"] for r in rows)),
        **(fields if api.query_language == "lucene" else {}),
        "parameters": dict(params.most_common()),
        "parameters_all": len(written),
        "parameters_used": len(set(params) & set(written)),
        "parameters_never": sorted(set(written) - set(params)),
        "enum_values_all": len(enums),
        "enum_values_used": len(enums & values),
        "enum_values_never": sorted(f"{n}={v}" for n, v in enums - values),
    }


def _written(api: API) -> dict[str, Param]:
    """Parameters that calls are written with."""
    left_out = {*api.unwritten, *api.ignored_params, "q" if api.query_language == "lucene" else ""}
    used = {n for e in api.endpoints.values() for n in e.params}
    return {n: p for n, p in api.params.items() if n in used and n not in left_out}
