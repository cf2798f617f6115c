"""What a language model is asked when it words calls: `data/prompts/teacher.md`, filled.

Calls come from logs, so their text was written by others, and so were personas: all of it stands between two markers
that it can't contain, one JSON string a line, and nothing in it reads as a chat template's control token. What is put
in is put in once: a `{data}` within the data stays as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from querywright.api.call import Call
from querywright.api.definition import API
from querywright.api.lexicon import lexicon
from querywright.api.nodes import Exists, Interval, Range, Term, walk
from querywright.api.values import printed
from querywright.artefacts import content_id, data_dir
from querywright.engines.base import Grammar, Message
from querywright.engines.fence import fence, inert
from querywright.pairs.say import as_tuple

PARTS = ("description", "imperative", "question")
SENTENCES = ("imperative", "question")
LONGEST = 320  # characters of a sentence
TOKENS_EACH = 200  # of an answer, at most; a sentence that takes more is no sentence
TOKENS_MORE = 24
LIKELY_EACH = 85  # tokens of an answer for one call as capable models write it
REJECTED_EACH = 160  # tokens, at most, of what was wrong with a call's two sentences, when it is asked for again
_SHOWN = 160  # characters of a description
_VALUES = 200  # of a value


@dataclass(frozen=True)
class Task:
    """One call to word.

    Attributes:
        again: what was wrong with the answer before, as `sentence: reason` lines; empty the first time.
        other: how many times the call has been worded already.
    """

    call: Call
    again: tuple[str, ...] = ()
    other: int = 0


def messages(tasks: Sequence[Task], persona: Mapping[str, str] | None = None) -> list[Message]:
    """A chat that asks for the words of some calls of one API.

    Args:
        persona: who asks: `role`, `interests`, `style` or whatever it holds; shown as data like the calls.
    """
    parts = template()
    api = tasks[0].call.api
    about = f"{api.title}: {api.about}" if api.about else api.title
    lines = [f"API: {_quoted(about)}", f"one record is called: {_quoted(api.noun)}"]
    if persona:
        told = (f"  {inert(k)}: {_quoted(v)}" for k, v in persona.items() if v and k != "name")
        lines += ["the person who asks:", *told]
    for number, task in enumerate(tasks, 1):
        lines += [f"call {number}", *(f"  {line}" for line in _facts(task))]
    voice = "Write as that person would." if persona else _voice(tasks)
    extra = [parts["Again"]] if any(t.again for t in tasks) else []
    extra += [parts["Other"]] if any(t.other for t in tasks) else []
    values = {
        "data": fence("\n".join(lines)),
        "n": str(len(tasks)),
        "numbers": ", ".join(str(i + 1) for i in range(len(tasks))),
        "voice": " ".join([voice, *extra]),
    }
    user = re.sub(r"\{(data|n|numbers|voice)\}", lambda m: values[m[1]], parts["User"])
    return [{"role": "system", "content": parts["System"]}, {"role": "user", "content": user}]


def grammar(n: int, *, local: bool) -> Grammar:
    """The JSON schema of an answer about `n` calls: every number is a required key.

    Args:
        local: also bound lengths and white space, which hosted servers do not take.
    """
    text: dict[str, object] = {"type": "string", "minLength": 8, "maxLength": LONGEST} if local else {"type": "string"}
    one = {
        "type": "object",
        "properties": dict.fromkeys(PARTS, text),
        "required": list(PARTS),
        "additionalProperties": False,
    }
    numbers = [str(i + 1) for i in range(n)]
    spaces = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    whole: dict[str, object] = {"x-guidance": spaces} if local else {}
    whole |= {"type": "object", "properties": dict.fromkeys(numbers, one), "required": numbers}
    return Grammar(json.dumps({**whole, "additionalProperties": False}), "json")


def max_tokens(n: int) -> int:
    """The most tokens that an answer about `n` calls may have."""
    return TOKENS_MORE + TOKENS_EACH * n


def likely_tokens(n: int) -> int:
    """About how many it has."""
    return 5 + LIKELY_EACH * n


@lru_cache(maxsize=1)
def template() -> dict[str, str]:
    """The sections of `teacher.md` by their headings."""
    text = (data_dir() / "prompts" / "teacher.md").read_text(encoding="utf-8")
    pieces = re.split(r"^## (\w+)\n", text, flags=re.M)
    return {name: body.strip() for name, body in zip(pieces[1::2], pieces[2::2], strict=True)}


def _voice(tasks: Sequence[Task]) -> str:
    """A way to speak, the same for the same calls, another when they are worded again."""
    voices = [line.removeprefix("- ") for line in template()["Voices"].splitlines()]
    at = int(content_id(tasks[0].call.canonical, 8), 16) + tasks[0].other
    return voices[at % len(voices)]


def _facts(task: Task) -> list[str]:
    call = task.call
    endpoint = call.api.endpoints[call.endpoint]
    lines = [f"path: {_quoted(call.text, 2000)}"]
    lines += [f"endpoint: {_quoted(endpoint.description)}"] if endpoint.description else []
    lines += [f"{name} means: {_quoted(meaning)}" for name, meaning in _meanings(call).items()]
    values = literals(call)
    lines += [f"must appear: {', '.join(_quoted(v) for v in values)}"] if values else []
    return lines + [f"rejected: {_quoted(what, 400)}" for what in task.again]


def _meanings(call: Call) -> dict[str, str]:
    """What the fields and parameters of a call are, by their names."""
    api = call.api
    found: dict[str, str] = {}
    for node in walk(call.query) if call.query else ():
        if isinstance(node, Term | Range | Exists) and node.field in api.fields:
            found[node.field] = api.fields[node.field].description
    for name, value in call.params:
        if api.params[name].kind in ("fields", "sort"):
            listed = (str(v).lstrip("-") for v in as_tuple(value))
            found |= {f: api.fields[f].description for f in listed if f in api.fields}
        else:
            found[name] = api.params[name].description
    return {inert(name): text for name, text in found.items() if text}


def literals(call: Call) -> list[str]:
    """The values that a sentence has to hold, as far as they have no other words; see `check.problem`."""
    api: API = call.api
    nouns = lexicon(api).get("nouns_for", {})
    found = [call.id] if call.id else []
    for node in walk(call.query) if call.query else ():
        if isinstance(node, Term) and node.value not in nouns.get(node.field, {}):
            flag = node.field in api.fields and api.analysis(node.field) == "exact" and node.value in ("true", "false")
            found += [] if flag else [node.value.replace("\\", "").strip("*?")]
        elif isinstance(node, Range):
            found += [b for b in (node.low, node.high) if b != "*"]
        elif isinstance(node, Interval):
            found += [str(node.start), str(node.end)]
    for name, value in call.params:
        if api.query_language == "none" and api.params[name].kind in ("integer", "number", "date", "text", "list"):
            found += [printed(one) for one in as_tuple(value)]
    return [v for v in dict.fromkeys(found) if v]


def _quoted(text: str, most: int = _SHOWN) -> str:
    """A JSON string without line breaks and control tokens, cut short."""
    return json.dumps(inert(text)[:most], ensure_ascii=False)
