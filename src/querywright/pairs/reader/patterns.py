"""Patterns over tokens, compiled into one automaton.

A pattern is words with alternatives `(a|b c)`, optional parts `[a]`, slots `{F}` and named parts `<REL>`. What it
yields is its action with what stood in its slots, in their order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from querywright.pairs.reader.tokens import Token

Found = tuple[int, object, float]  # where a slot's content ends, the content, what it costs
Slots = Callable[[str, int], Sequence[Found]]


@dataclass(frozen=True)
class Pattern:
    """A pattern's source, what to do with it, and what using it costs."""

    source: str
    action: str
    cost: float = 0.0


@dataclass
class State:
    """A state of the automaton: where a word or a slot leads, and which patterns end here."""

    words: dict[str, State] = field(default_factory=dict)
    slots: dict[str, State] = field(default_factory=dict)
    ends: list[tuple[str, float]] = field(default_factory=list)


_Nfa = list[list[tuple[str, int]]]  # of each state: (symbol, next); the empty symbol is free


def compile_patterns(patterns: Sequence[Pattern], named: Mapping[str, str]) -> State:
    """One automaton of all patterns.

    Raises:
        ValueError: a pattern has brackets that do not match, or names a part that is not known.
    """
    nfa: _Nfa = [[]]
    ends: dict[int, tuple[str, float]] = {}
    for pattern in patterns:
        symbols = _lex(_filled(pattern.source, named))
        end, rest = _options(nfa, symbols, 0, 0)
        if rest != len(symbols):
            raise ValueError(f"brackets do not match in the pattern {pattern.source!r}")
        ends[end] = (pattern.action, pattern.cost)
    return _determined(nfa, ends)


def _filled(source: str, named: Mapping[str, str]) -> str:
    while "<" in source and (name := re.search(r"<([A-Z_]+)>", source)):
        if name[1] not in named:
            raise ValueError(f"no part {name[1]!r} for the pattern {source!r}")
        source = source.replace(name[0], f"({named[name[1]]})")
    return source


def _lex(source: str) -> list[str]:
    return re.findall(r"\\.|[()\[\]|]|\{[^}]+\}|[^\s()\[\]|{}\\]+", source)


def _new(nfa: _Nfa) -> int:
    nfa.append([])
    return len(nfa) - 1


def _options(nfa: _Nfa, symbols: list[str], at: int, start: int) -> tuple[int, int]:
    """Alternatives from `start`: their common end, and the place after them."""
    end = _new(nfa)
    while True:
        here, at = _sequence(nfa, symbols, at, start)
        nfa[here].append(("", end))
        if at < len(symbols) and symbols[at] == "|":
            at += 1
            continue
        return end, at


def _sequence(nfa: _Nfa, symbols: list[str], at: int, start: int) -> tuple[int, int]:
    here = _new(nfa)
    nfa[start].append(("", here))
    while at < len(symbols) and symbols[at] not in ("|", ")", "]"):
        symbol = symbols[at]
        if symbol in ("(", "["):
            inner, at = _options(nfa, symbols, at + 1, here)
            if symbol == "[":
                nfa[here].append(("", inner))
            here = inner
        else:
            step = _new(nfa)
            nfa[here].append((symbol[1:] if symbol[0] == "\\" else symbol, step))
            here = step
        at += 1
    return here, at


def _determined(nfa: _Nfa, ends: dict[int, tuple[str, float]]) -> State:
    made: dict[frozenset[int], State] = {}

    def closure(states: set[int]) -> frozenset[int]:
        found, todo = set(states), list(states)
        while todo:
            for symbol, target in nfa[todo.pop()]:
                if not symbol and target not in found:
                    found.add(target)
                    todo.append(target)
        return frozenset(found)

    def state(key: frozenset[int]) -> State:
        if key in made:
            return made[key]
        made[key] = result = State()
        best: dict[str, float] = {}
        for n in key & ends.keys():
            action, cost = ends[n]
            best[action] = min(cost, best.get(action, cost))
        result.ends = sorted(best.items(), key=lambda e: e[1])
        leads: dict[str, set[int]] = {}
        for n in key:
            for symbol, target in nfa[n]:
                if symbol:
                    leads.setdefault(symbol, set()).add(target)
        for symbol, targets in leads.items():
            into = result.slots if symbol[0] == "{" else result.words
            into[symbol.strip("{}") if symbol[0] == "{" else symbol] = state(closure(targets))
        return result

    return state(closure({0}))


def matches(
    start: State, tokens: Sequence[Token], at: int, slots: Slots
) -> Iterator[tuple[int, str, tuple[object, ...], float]]:
    """Every way in which a pattern matches from token `at` on: (end, action, slots' contents, cost)."""
    todo: list[tuple[State, int, tuple[object, ...], float]] = [(start, at, (), 0.0)]
    n = len(tokens)
    while todo:
        state, here, found, cost = todo.pop()
        if here > at:
            for action, own in state.ends:
                yield here, action, found, cost + own
        if here >= n:
            continue
        token = tokens[here]
        if not token.quoted:
            following = state.words.get(token.word)
            if following is not None:
                todo.append((following, here + 1, found, cost))
        for name, following in state.slots.items():
            for end, content, more in slots(name, here):
                todo.append((following, end, (*found, content), cost + more))
