"""Random strings of a lark grammar, from its compiled rules. Faster and flatter than `hypothesis.extra.lark`."""

from __future__ import annotations

import random
import re._constants as op  # type: ignore[import-not-found]
import re._parser as sre  # type: ignore[import-not-found]
import string

from lark import Lark
from lark.grammar import NonTerminal

ODD = "äßλ漢'@_/,;=$.-*?!|"
POOL = string.ascii_letters * 2 + string.digits * 4 + ODD


class Sampler:
    """Draws strings of `parser`'s language, before lexing: terminals that touch may merge, so check with the parser."""

    def __init__(self, parser: Lark, seed: int, start: str = "call") -> None:
        self.random = random.Random(seed)
        self.start = start
        self.rules: dict[str, list[list[object]]] = {}
        for rule in parser.rules:
            self.rules.setdefault(rule.origin.name, []).append(list(rule.expansion))
        self.terminals = {t.name: t.pattern.to_regexp() for t in parser.terminals}
        self.trees = {name: sre.parse(regex) for name, regex in self.terminals.items()}

    def draw(self) -> str:
        """One string."""
        return "".join(self._symbols([NonTerminal(self.start)], 0))

    def _symbols(self, symbols: list[object], depth: int) -> list[str]:
        out: list[str] = []
        for symbol in symbols:
            if isinstance(symbol, NonTerminal):
                options = self.rules[symbol.name]
                if depth > 14:  # close soon: prefer expansions without deeper rules
                    options = sorted(options, key=lambda e: sum(isinstance(s, NonTerminal) for s in e))[:1]
                out += self._symbols(self.random.choice(options), depth + 1)
            else:
                out.append(self._regex(self.trees[symbol.name]))  # type: ignore[attr-defined]
        return out

    def _regex(self, tree: object) -> str:
        return "".join(self._node(code, value) for code, value in tree)  # type: ignore[attr-defined]

    def _node(self, code: object, value: object) -> str:
        if code is op.LITERAL:
            return chr(value)  # type: ignore[arg-type]
        if code is op.BRANCH:
            return self._regex(self.random.choice(value[1]))  # type: ignore[index]
        if code is op.SUBPATTERN:
            return self._regex(value[-1])  # type: ignore[index]
        if code in (op.MAX_REPEAT, op.MIN_REPEAT):
            low, high, inner = value  # type: ignore[misc]
            n = self.random.randint(low, max(low, min(high, low + 4)))
            return "".join(self._regex(inner) for _ in range(n))
        if code is op.IN:
            return self._one_of(value)
        if code is op.NOT_LITERAL:
            return self.random.choice([c for c in POOL if ord(c) != value])
        raise NotImplementedError(code)

    def _one_of(self, items: object) -> str:
        negated = items[0][0] is op.NEGATE  # type: ignore[index]
        if not negated:
            kind, value = self.random.choice(items)  # type: ignore[arg-type,var-annotated]
            return chr(value) if kind is op.LITERAL else chr(self.random.randint(*value))
        while True:
            char = self.random.choice(POOL)
            if not any(_has(item, char) for item in items[1:]):  # type: ignore[index]
                return char


def _has(item: tuple[object, object], char: str) -> bool:
    kind, value = item
    if kind is op.LITERAL:
        return ord(char) == value
    if kind is op.RANGE:
        return value[0] <= ord(char) <= value[1]  # type: ignore[index]
    return char.isspace() if value is op.CATEGORY_SPACE else False


NEAR = [
    "AND",
    "OR",
    "NOT",
    "ORC1",
    "ANDROGEN",
    "NOTCH1",
    "chr1",
    "chr",
    "TO",
    "_exists_",
    "all",
    "symbol:",
    "&size=",
    "||",
]


def mutate(text: str, rng: random.Random) -> str:
    """One small edit: drop, double, swap or replace a character, or write a word that is nearly a keyword."""
    i = rng.randrange(len(text))
    spaces = [j for j, char in enumerate(text) if char in " =("]
    j = rng.choice(spaces) + 1 if spaces else len(text)
    return rng.choice(
        [
            text[:j] + rng.choice(NEAR) + rng.choice(["", " "]) + text[j:],
            text[:i] + text[i + 1 :],
            text[:i] + text[i] + text[i:],
            text[:i] + text[i + 1 : i + 2] + text[i] + text[i + 2 :],
            text[:i] + rng.choice(POOL + ' "()[]{}:^~\\<>&#%+-') + text[i + 1 :],
        ]
    )
