"""Where a sentence's literals stand, and the sentence without them: what two sentences of one template share.

A literal is what is quoted, what looks like a code or a number, and what the row's answer holds as a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

from querywright.api.definition import API
from querywright.api.lexicon import lexicon
from querywright.rows import Row, answer

Span = tuple[int, int]

QUOTED = re.compile(r""""[^"]*"|“[^”]*”|`[^`]*`|(?<!\w)'[^']*'(?!\w)|(?<!\w)‘[^’]*’(?!\w)""")
_TOKEN = re.compile(r"\S+")
_EDGES = re.compile(r"^[^\w*~/@#]+|[^\w*~/]+$")
_CODE = re.compile(r".*\d.*|.*[_*@#/~].*|.*\w[:.=-]\w.*[:.=].*|[A-Z][A-Z\d]+|\w*[a-z][A-Z]\w*|\w+:\w+", re.DOTALL)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


MASK = "_"
# words that are no values where they stand in an answer
_SMALL = frozenset(
    ["a", "all", "an", "and", "any", "at", "by", "for", "from", "in", "is", "not", "of", "on", "or", "to"]
)


def values(r: Row) -> frozenset[str]:
    """The words of a row's answer that are values: of its query, of its parameters, lower case."""
    text = answer(r)
    path, asked, query = text.partition("?")
    told = [p.partition("=")[2] or p for p in re.split(r"&(?=\w+=)", query)] if asked else []
    told += [segment for segment in path.split("/") if re.search(r"\d", segment)]
    return frozenset(w.lower() for part in told for w in _WORD.findall(unquote_plus(part))) - _SMALL


def literals(sentence: str, held: frozenset[str] = frozenset()) -> list[Span]:
    """Start and end of each literal of a sentence, in order, none inside another.

    Args:
        held: words that are values of the answer; see `values`.
    """
    spans = [m.span() for m in QUOTED.finditer(sentence)]
    quoted = list(spans)
    for token in _TOKEN.finditer(sentence):
        if any(start < token.end() and token.start() < end for start, end in quoted):
            continue
        lead = _EDGES.match(token[0])
        at = token.start() + (lead.end() if lead and lead.start() == 0 else 0)
        core = _EDGES.sub("", token[0])
        if core and (_CODE.fullmatch(core) or core.lower() in held):
            spans.append((at, at + len(core)))
            continue
        spans += [(token.start() + w.start(), token.start() + w.end())
                  for w in _WORD.finditer(token[0]) if w[0].lower() in held]  # fmt: skip
    return sorted(spans)


def gaps(sentence: str, spans: Iterable[Span]) -> Iterator[Span]:
    """The stretches of a sentence between its literals."""
    at = 0
    for start, end in spans:
        if at < start:
            yield at, start
        at = max(at, end)
    if at < len(sentence):
        yield at, len(sentence)


@lru_cache(maxsize=8)
def vocabulary(api: API) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Phrases of an API by their first word, the longest first: names of its fields, words of vocabularies, enums."""
    told = [text for name, f in api.fields.items() for text in (name, name.rpartition(".")[2], *f.synonyms)]
    told += [str(v) for p in api.params.values() for v in p.values]
    told += [str(v) for words in api.vocabularies.values() for v in words]
    told += _leaves(lexicon(api).get("vocabularies"))
    found: dict[str, set[tuple[str, ...]]] = {}
    for words in map(_words, told):
        if words and not (len(words) == 1 and words[0] in _SMALL):
            found.setdefault(words[0], set()).add(words)
    return {first: tuple(sorted(group, key=lambda g: (-len(g), g))) for first, group in found.items()}


def _leaves(tree: Any) -> list[str]:
    if isinstance(tree, dict):
        return [leaf for below in tree.values() for leaf in _leaves(below)]
    if isinstance(tree, list):
        return [leaf for below in tree for leaf in _leaves(below)]
    return [] if tree is None else [str(tree)]


def mask(r: Row, api: API | None = None) -> str:
    """A row's words with literals and the API's vocabulary masked, `find _ in _`: its template. Punctuation, letter
    case and how many literals follow each other are left out of it."""
    turns = [t["content"] for t in r.get("turns", ()) if t.get("role") == "user"]
    held = values(r)
    return " / ".join(_masked(text, held, api) for text in (*turns, r["instruction"]))


def _masked(text: str, held: frozenset[str], api: API | None) -> str:
    words: list[str] = []
    at = 0
    for start, end in (*literals(text, held), (len(text), len(text))):
        words += _words(text[at:start])
        words += [MASK] if start < end else []
        at = end
    if api is not None:
        words = list(_vocabulary_masked(words, vocabulary(api)))
    return " ".join(w for i, w in enumerate(words) if w != MASK or not i or words[i - 1] != MASK)


def _vocabulary_masked(words: list[str], known: dict[str, tuple[tuple[str, ...], ...]]) -> Iterator[str]:
    at = 0
    while at < len(words):
        phrase = next((p for p in known.get(words[at], ()) if tuple(words[at : at + len(p)]) == p), None)
        yield MASK if phrase else words[at]
        at += len(phrase) if phrase else 1


def _words(text: str) -> tuple[str, ...]:
    return tuple(w.lower() for w in _WORD.findall(text.replace("_", " ")))
