"""A sentence to the calls that it may ask for: cover it with patterns as cheaply as possible, put the pieces together.

The cheapest covers are found from left to right (Viterbi's algorithm with several paths); what no pattern explains is
left over, and a reading with something left over is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from querywright.api.call import Call
from querywright.api.definition import API
from querywright.pairs.reader.assemble import Unread, calls, loose_words
from querywright.pairs.reader.grammar import NAMED, patterns
from querywright.pairs.reader.known import Known, known, phrase_source
from querywright.pairs.reader.patterns import Pattern, State, compile_patterns, matches
from querywright.pairs.reader.pieces import Piece, say
from querywright.pairs.reader.slots import Slots
from querywright.pairs.reader.tokens import tokenise
from querywright.pairs.reader.typed import typed_calls, typed_say, typed_start
from querywright.pairs.reader.typed_slots import Typed, TypedSlots

_PATHS = 12  # kept at every place
_EACH = 0.15  # of every piece: few long ones are likelier than many short ones
_LEFT = 4.0  # of a token that nothing explains
_FAR = 1.6  # a piece that costs more than the best one over the same words by this is not tried
_AT_FIRST = 0.6  # `get all hits` at the beginning of a sentence asks for hits, at its end for all of them
_SURE = 0.45  # a piece costs less on average where a sentence is a request without doubt
_BEHIND = 3.0  # a path that costs more than the best one to the same place by this is given up
_LONGEST = 128  # words and marks; the time grows faster than they do, and nobody asks so
_NEAR = 0.9  # readings that cost more than the first one by this are no readings


@dataclass(frozen=True)
class Reading:
    """What a sentence was read as: calls, the likeliest first, or why none. `left`: words that nothing explains."""

    calls: tuple[Call, ...] = ()
    why: str = ""
    left: tuple[str, ...] = ()
    pieces: tuple[Piece, ...] = ()
    cost: float = 0.0


@dataclass(frozen=True)
class Grammar:
    """The automaton of one API and the words in it."""

    known: Known
    start: State
    literal: frozenset[str]
    words: frozenset[str]
    typed: Typed | None = None


@lru_cache(maxsize=16)
def grammar(api: API) -> Grammar:
    """The patterns of an API, compiled once: those of every search, and what its lexicon says."""
    index = known(api)
    if api.query_language == "none":
        plain, start = typed_start(api)
        literal = _literals(start)
        return Grammar(index, start, literal, literal | index.vocabulary | _literals_of(plain), plain)
    start = compile_patterns([*patterns(), *own_patterns(index)], NAMED)
    literal = _literals(start)
    return Grammar(index, start, literal, literal | index.vocabulary)


def own_patterns(index: Known) -> list[Pattern]:
    """The lexicon's clauses, nouns, parameters and requests as patterns."""
    words, out = index.words, []
    for field, clauses in words.get("clauses", {}).items():
        for clause in clauses:
            source = phrase_source(str(clause)).replace("{V", "{VL" if "{V}" in str(clause) else "{V")
            out.append(Pattern(source.replace("{VL:", "{V:"), f"own:{field}", 0.0))
    for field, values in words.get("nouns_for", {}).items():
        for value, phrases in values.items():
            for phrase in phrases:
                text = str(phrase)
                out.append(Pattern(phrase_source(text.replace("{N}", "{NOUN}")), f"noun_of:{field}={value}", 0.0))
                if "{N}" not in text and text.endswith("s"):
                    out.append(Pattern(phrase_source(text[:-1]), f"noun_of:{field}={value}", 0.0))
    for name, told in words.get("params", {}).items():
        for value in ("true", "false"):
            for phrase in told.get(value, []) if isinstance(told, dict) else ():
                out.append(Pattern(phrase_source(str(phrase)), f"flag:{name}={value}", -0.2))
    for phrase in words.get("item", []):
        out.append(Pattern(phrase_source(str(phrase)).replace("{V}", "{ID}"), "item", 0.0))
    out += _narrowing(index)
    for name, told in words.get("endpoints", {}).items():
        for phrase in told if isinstance(told, list) else ():
            out.append(Pattern(phrase_source(str(phrase)), f"endpoint:{name}", 0.0))
    return out


def _narrowing(index: Known) -> list[Pattern]:
    """Values of enums and of vocabularies beside the one that `scope` reads, such as a genome assembly."""
    api, out = index.api, []
    for name, param in api.params.items():
        if param.kind not in ("enum", "vocabulary") or name == index.scope_param or name.endswith("_facet_filter"):
            continue
        key = param.vocabulary or name
        spoken = index.words.get("vocabularies", {}).get(key, {})
        frames = {str(f) for ways in index.words.get("vocabulary_phrases", {}).get(key, {}).values() for f in ways}
        general = {"in {S}", "on {S}", "using {S}", "for {S}", "{S} only", f"{name} {{S}}", f"{name}: {{S}}"}
        for value in api.vocabularies.get(param.vocabulary, {}) or param.values:
            forms = spoken.get(value, {})
            said = {str(value), *(str(w) for ws in forms.values() for w in ws)} if isinstance(forms, dict) else {value}
            for word in sorted(said):
                out.append(Pattern(phrase_source(word), f"param:{name}={value}", 0.2))
                for frame in sorted(frames | general):
                    source = phrase_source(frame.replace("{P}", name).replace("{S}", word))
                    out.append(Pattern(source, f"param:{name}={value}", -0.05))
    return out


def _literals(start: State) -> frozenset[str]:
    found: set[str] = set()
    seen: set[int] = set()
    todo = [start]
    while todo:
        state = todo.pop()
        if id(state) in seen:
            continue
        seen.add(id(state))
        found.update(state.words)
        todo += [*state.words.values(), *state.slots.values()]
    return frozenset(found)


def _literals_of(index: Typed) -> frozenset[str]:
    found: set[str] = set()
    todo = [index.quantities, index.params, index.values]
    while todo:
        for word, below in todo.pop().items():
            if word:
                found.update((word, word + "s"))
                todo.append(below)
    return frozenset(found)


def read(api: API, sentence: str, turns: Sequence[dict[str, str]] = ()) -> list[Call]:
    """The calls that a sentence may ask for, the likeliest first; none where it can't be read."""
    return list(reading(api, sentence, turns).calls)


def reading(api: API, sentence: str, turns: Sequence[dict[str, str]] = ()) -> Reading:
    """The same with the reason why there is none."""
    if turns:
        return Reading(why="a conversation: only sentences on their own are read")
    g = grammar(api)
    tokens = tokenise(sentence, g.words) if len(sentence) <= _LONGEST * 16 else ()
    if len(tokens) > _LONGEST or len(sentence) > _LONGEST * 16:
        return Reading(why=f"more than {_LONGEST} words")
    if not tokens:
        return Reading(why="there are no words")
    paths = cover(g, sentence, tokens)
    found: dict[str, Call] = {}
    why, best, first = "", 0.0, None
    for cost, pieces, left in paths:
        if left:
            why = why or f"left over: {' '.join(left)}"
            continue
        if first is not None and cost > best + _NEAR:
            break
        try:
            counting = any(kind == "how_many" for kind, _ in pieces)
            made = typed_calls(g.typed, pieces, counting) if g.typed else calls(g.known, pieces)
        except Unread as error:
            why = why or str(error)
            continue
        if first is None:
            first, best = pieces, cost
        for call in made:
            found.setdefault(call.canonical, call)
    if first is None:
        least = min(paths, key=lambda p: len(p[2]), default=(0.0, (), ()))
        return Reading(why=why or "nothing was found", left=least[2], pieces=least[1])
    return Reading(tuple(found.values()), "", (), first, best)


def confident(api: API, sentence: str, turns: Sequence[dict[str, str]] = ()) -> list[Call]:
    """The calls of a sentence that is a request without doubt: every word is explained, and none is only searched for.

    A sentence about the weather can be read as a search for its words; it is none.
    """
    calls, sure = judged(api, sentence, turns)
    return calls if sure else []


def judged(api: API, sentence: str, turns: Sequence[dict[str, str]] = ()) -> tuple[list[Call], bool]:
    """What `read` gives, and whether it is what `confident` gives."""
    found = reading(api, sentence, turns)
    if not found.calls or found.cost > _SURE * max(len(found.pieces), 1) or loose_words(found.calls[0]):
        return list(found.calls), False
    asked = any(kind in ("cond", "item", "scope", "endpoint", "fields", "facets") for kind, _ in found.pieces)
    return list(found.calls), asked


def cover(g: Grammar, sentence: str, tokens: Sequence[Any]) -> list[tuple[float, tuple[Piece, ...], tuple[str, ...]]]:
    """The cheapest covers of a sentence: (cost, pieces that say something, words left over)."""
    slots = TypedSlots(g.typed, sentence, tokens, g.literal) if g.typed else Slots(g.known, sentence, tokens, g.literal)
    silent = ("filler",) if g.typed else ("filler", "how_many")
    n = len(tokens)
    numbers: dict[tuple[Piece, ...], int] = {}  # pieces by number, so that paths compare quickly
    back: list[tuple[Piece, ...]] = []
    quiet: list[bool] = []
    at: list[dict[Any, _Path]] = [{} for _ in range(n + 1)]
    at[0][()] = (0.0, (), (), ())
    for i, token in enumerate(tokens):
        here = sorted(at[i].values(), key=_cost)[:_PATHS]
        if not here:
            continue
        here = [p for p in here if p[0] < here[0][0] + _BEHIND]
        options: dict[tuple[int, int], float] = {}
        least: dict[int, float] = {}
        for end, action, content, cost in matches(g.start, tokens, i, slots):
            said = typed_say(g.typed, action, content) if g.typed else say(g.known, action, content)
            if said is None:
                continue
            pieces = tuple(p for p in said[0] if p[0] not in silent)
            number = numbers.get(pieces)
            if number is None:
                number = numbers[pieces] = len(back)
                back.append(pieces)
                quiet.append(all(p[0] in ("mark", "noun") for p in pieces))
            total = cost + said[1] + _EACH + (_AT_FIRST if i < 2 and action == "flag:fetch_all=true" else 0.0)
            if total < options.get((end, number), 1e9):
                options[end, number] = total
                least[end] = min(total, least.get(end, 1e9))
        ways = [(end, number, total) for (end, number), total in options.items() if total < least[end] + _FAR]
        for cost, said_so_far, path, left in here:
            for end, number, more in ways:
                key = said_so_far if quiet[number] else (*said_so_far, number)
                known = at[end].get((key, left))
                if known is None or cost + more < known[0]:
                    at[end][key, left] = (cost + more, key, (*path, number), left)
            over = left if token.mark else (*left, token.text)
            known = at[i + 1].get((said_so_far, over))
            if known is None or cost + _LEFT < known[0]:
                at[i + 1][said_so_far, over] = (cost + _LEFT, said_so_far, path, over)
    best = sorted(at[n].values(), key=_cost)[:_PATHS]
    return [(cost, tuple(p for number in path for p in back[number]), left) for cost, _, path, left in best]


# cost, numbers of the pieces that say something, numbers of all pieces, words left over
_Path = tuple[float, tuple[int, ...], tuple[int, ...], tuple[str, ...]]


def _cost(path: _Path) -> float:
    return path[0]
