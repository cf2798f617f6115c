"""A sentence that goes on from earlier ones: the messages, and the words that its values may come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from querywright.api.call import Call, CallError, parse
from querywright.api.definition import API
from querywright.api.query import Interval, Range, Term, walk
from querywright.api.values import printed
from querywright.engines.base import Message


def after(turns: Sequence[Message], messages: list[Message]) -> list[Message]:
    """A prompt with the earlier turns before its last message, the sentence."""
    return [*messages[:-1], *({"role": t["role"], "content": t["content"]} for t in turns), *messages[-1:]]


def heard(api: API, instruction: str, turns: Sequence[Message] = ()) -> str:
    """The text that a grounded answer takes its values from: the sentence, the values of the last call, and what the
    user said before, the latest first (grounding reads a limited number of words)."""
    said = [t["content"] for t in turns if t["role"] == "user"]
    calls = [t["content"] for t in turns if t["role"] == "assistant"]
    kept: list[str] = []
    if calls:
        try:
            kept = list(literals(parse(api, calls[-1])))
        except (CallError, RecursionError):  # a refusal, or what some model wrote
            kept = []
    return " ; ".join([instruction, *kept, *reversed(said)])


def literals(call: Call) -> Iterator[str]:
    """The values of a call as words: its id, what it searches, its parameters; names of fields aside."""
    if call.id:
        yield call.id
    for node in walk(call.query) if call.query else ():
        if isinstance(node, Term):
            yield from filter(None, re.split(r"[*?]+", node.value) if node.kind == "wildcard" else [node.value])
        elif isinstance(node, Range):
            yield from (bound for bound in (node.low, node.high) if bound != "*")
        elif isinstance(node, Interval):
            yield from (f"chr{node.chromosome}", str(node.start), str(node.end))
            if node.assembly:
                yield node.assembly
    for name, value in call.params:
        if call.api.params[name].kind not in ("fields", "sort", "boolean"):
            yield from (printed(one) for one in (value if isinstance(value, tuple) else (value,)))
