"""Values that a small model cut short, made whole from the sentence, where only one reading is left.

Three slips, each of which the sentence and the definition settle without a guess:

- several words after a field without quotes: `name:bisphenol A` asks for `A` anywhere; the sentence has the two words
  side by side, so the phrase is meant;
- a part of a value that the field is known to have: `significance:benign`, where the sentence says "likely benign";
- an id without its scope: `hpo_id:0001250`, where the sentence says HP:0001250 and the field's ids look like that.

No training call has the first form. Nothing that the sentence does not say can come in.
"""

from __future__ import annotations

import re
from functools import lru_cache

from querywright.api.call import CallError, parse
from querywright.api.definition import API
from querywright.api.lexicon import lexicon
from querywright.api.query import escape

_VALUE = r'(?:\\.|[^\s()":&\[\]{}\\<>*?~^])+'
_CLAUSE = re.compile(
    rf'(?<![\w.:-])(?P<field>[A-Za-z_][\w.+%-]*):(?:"(?P<phrase>[^"]*)"|(?P<word>{_VALUE})'
    rf"(?P<more>(?: (?!(?:AND|OR|NOT)\b){_VALUE})*))(?=$|[ )&])"
)
_EDGE = ".,;?!()'\"“”‘’"


def completed(api: API, sentence: str, text: str) -> str:
    """A call's text with such values made whole; unchanged where there are none, or where no call would come of it."""
    head, mark, rest = text.partition("?q=")
    if api.query_language == "none" or not mark:
        return text
    query, _, params = rest.partition("&")
    new = _CLAUSE.sub(lambda m: _whole(api, sentence, m), query)
    if new == query:
        return text
    made = f"{head}?q={new}" + (f"&{params}" if params else "")
    try:
        parse(api, made)
    except (CallError, RecursionError):
        return text
    return made


def _whole(api: API, sentence: str, clause: re.Match[str]) -> str:
    name = clause["field"]
    field = api.fields.get(name)
    if field is None or field.type not in ("keyword", "text"):
        return clause[0]
    given = clause["phrase"] if clause["phrase"] is not None else clause["word"] + (clause["more"] or "")
    value = re.sub(r"\\(.)", r"\1", given)
    if clause["more"] and not _said(value, sentence):
        return clause[0]
    better = _known(api, name, value, sentence) or _scoped(api, name, value, sentence) or value
    if better == value and not clause["more"]:
        return clause[0]
    return f'{name}:"{escape(better)}"' if " " in better else f"{name}:{escape(better).replace(':', chr(92) + ':')}"


def _said(words: str, sentence: str) -> str | None:
    """A run of words as the sentence writes it, None where it does not."""
    pattern = r"[\s-]+".join(map(re.escape, re.split(r"[\s-]+", words)))
    found = re.search(rf"(?<!\w){pattern}(?!\w)", sentence, re.IGNORECASE)
    return found[0] if found else None


def _known(api: API, name: str, value: str, sentence: str) -> str | None:
    """The longest value known of a field that the sentence has around `value`, if it has `value` nowhere else."""
    best = None
    for known in _values(api, name):
        if len(known) > max(len(value), len(best or "")) and _said(value, known) and (found := _said(known, sentence)):
            best = found
    if best is None or _said(value, sentence.replace(best, " ")):
        return None
    return best


def _scoped(api: API, name: str, value: str, sentence: str) -> str | None:
    """The word of the sentence that `value` is the end of, after a colon, if the field's ids look like it."""
    for word in (w.strip(_EDGE) for w in sentence.split()):
        scope, colon, rest = word.rpartition(":")
        if colon and scope and rest.lower() == value.lower():
            shape = api.fields[name].shape
            alike = (re.fullmatch(shape, word) if shape else None) or any(
                known.lower().startswith(f"{scope.lower()}:") for known in _values(api, name)
            )
            return word if alike else None
    return None


@lru_cache(maxsize=4096)
def _values(api: API, name: str) -> tuple[str, ...]:
    listed = (lexicon(api).get("values") or {}).get(name) or ()
    return (*api.fields[name].examples, *map(str, listed))
