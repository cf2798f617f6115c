"""Whether a pair is true, and what pairs cover."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from querywright.api.call import Call, CallError, parse
from querywright.api.definition import API
from querywright.api.lexicon import lexicon
from querywright.api.query import Interval, Range, Term, walk
from querywright.api.refusal import REASONS
from querywright.api.spoken import dates, numbers, signed
from querywright.api.values import printed
from querywright.pairs.coverage import coverage, written
from querywright.pairs.read import misshapen
from querywright.pairs.roles import roles
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
    if r.get("instruction") is None or not str(r["instruction"]).strip():
        return "no_sentence"
    if misshapen(r):
        return "malformed"
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
    """How many pairs, calls, signatures and sources there are, and what they cover (`coverage`)."""
    found = coverage(api, rows)
    none: dict[str, Any] = {"covered": 0, "all": 0, "never": {}, "counts": {}}
    searched, returned, params, values = (
        found.get(part, none) for part in ("searched", "returned", "parameters", "values")
    )
    fields = {
        "fields_all": len(api.fields),
        "fields_searched": searched["covered"],
        "fields_returned": returned["covered"],
        "never_searched": sorted(searched["never"]),
        "never_returned": sorted(returned["never"]),
    }
    enums = {f"{n}={v}" for n, p in written(api).items() for v in p.values}
    never = enums & set(values["never"])
    return {
        "pairs": len(rows),
        "calls": len({r["canonical"] for r in rows}),
        "signatures": len({r["signature"] for r in rows}),
        "sources": dict(Counter(r["source"] for r in rows)),
        **(fields if api.query_language == "lucene" else {}),
        "parameters": params["counts"],
        "parameters_all": params["all"],
        "parameters_used": params["covered"],
        "parameters_never": sorted(params["never"]),
        "enum_values_all": len(enums & {*values["counts"], *values["never"]}),
        "enum_values_used": len((enums - never) & set(values["counts"])),
        "enum_values_never": sorted(never),
        "coverage": {part: {k: v for k, v in one.items() if k != "counts"} for part, one in found.items()},
        "operators": found.get("operators", none)["counts"],
    }
