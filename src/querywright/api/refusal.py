"""Sentences that no call answers: the answer is `nil` and a reason code, one line like a call."""

from __future__ import annotations

NIL = "nil"
REASONS = {
    "chat": "this is small talk, not a request for data",
    "topic": "this asks for something that the API knows nothing about",
    "missing": "something is missing to make a call: a name, an id, a value",
    "unsupported": "the API has such data but can't do this with it: it only reads and searches",
}
"""Reason codes with what a person is told."""

_CODES = sorted(REASONS)


def refusal(code: str) -> str:
    """The answer that refuses: `nil` and the reason's code."""
    if code not in REASONS:
        raise ValueError(f"no reason {code!r}: one of {', '.join(REASONS)}")
    return f"{NIL} {code}"


def refused(text: str) -> str | None:
    """The reason's code if `text` is a refusal (`nil`, or `nil CODE`), else None. A bare `nil` is `topic`."""
    first, _, code = text.strip().partition(" ")
    if first != NIL or (code and code not in REASONS):
        return None
    return code or "topic"


def beside(grammar: str, kind: str = "lark") -> str:
    """A grammar of calls (`api.grammar`, `api.regex`, `api.gbnf`, `generate.ground`) that takes a refusal as well."""
    if kind == "gbnf":
        codes = " | ".join(f'"{code}"' for code in _CODES)
        return grammar.replace("root ::= call\n", f'root ::= call | "{NIL} " ({codes})\n', 1)
    if kind == "regex":
        return f"{grammar}|{NIL} ({'|'.join(_CODES)})"
    rule = f"start: call | REFUSAL\nREFUSAL: /{NIL} ({'|'.join(_CODES)})/\n"
    return grammar.replace("start: call\n", rule, 1)
