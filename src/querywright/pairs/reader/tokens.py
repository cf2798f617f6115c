"""A sentence as tokens: words with what they look like, quotations whole, punctuation apart; articles are left out."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass


@dataclass(frozen=True)
class Token:
    """One token. `word` is what it is matched by (small letters, slips corrected), `stem` the same without a plural.

    `asks`: a question mark stands behind it, which may also be a wildcard.
    """

    text: str
    word: str
    stem: str
    start: int
    end: int
    quoted: bool = False
    asks: bool = False

    @property
    def mark(self) -> bool:
        """Whether it is punctuation."""
        return not self.quoted and not self.text[:1].isalnum() and self.text in MARKS


MARKS = frozenset([*",;:.!?()[]-–—/=><&+•", ">=", "<=", "->", "=>", "<-"])
_CHUNK = re.compile(r""""[^"]*"|“[^”]*”|(?<![\w])'[^']+'(?![\w])|\S+""")
_OPENING, _CLOSING = "([{+", ",;:.!)]}"
_INITIAL = re.compile(r"(?<![\w.])([A-Za-z])\.(?=\s[a-z]{3,})")
ARTICLES = frozenset({"the", "a", "an"})


def stem(word: str) -> str:
    """A word without its plural: `analyses` and `IDs` lose theirs, `is` and `genomics` do not."""
    if len(word) < 3 or word.endswith(("ss", "us", "sis", "xis", "ris", "this")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if re.search(r"(ss|sh|ch|x|z)es$", word):
        return word[:-2]
    return word.removesuffix("s")


def tokenise(sentence: str, known: Container[str] = frozenset()) -> list[Token]:
    """The tokens of a sentence; a word that is not in `known` and one slip away from one that is, is taken for it."""
    out: list[Token] = []
    for chunk in _CHUNK.finditer(_INITIAL.sub("\\1\u00b7", sentence)):  # `H. sapiens`: no end of a sentence
        text, at = chunk[0], chunk.start()
        if text[0] in "\"“'" and len(text) > 2 and text[-1] in "\"”'":
            text = sentence[at : at + len(text)]
            out.append(Token(text[1:-1], text[1:-1].lower(), "", at, at + len(text), quoted=True))
            continue
        for piece, where in _pieces(text, at):
            token = _token(piece, where, known)
            if token.word in ARTICLES and (token.text.islower() or not out):
                continue
            out.append(token)
    return out


_DEEPEST = 20  # brackets in brackets; what stands in more is one word


def _token(text: str, at: int, known: Container[str]) -> Token:
    asks = len(text) > 1 and text.endswith("?")
    end = at + len(text)
    if text.endswith("??"):
        text, asks = text[:-1], False
    low = (text[:-1] if asks else text).lower()
    word = low if low in known or not known else corrected(text[:-1] if asks else text, known)
    return Token(text, word, stem(word), at, end, asks=asks)


def _pieces(text: str, at: int, deep: int = 0) -> list[tuple[str, int]]:
    """A chunk without the punctuation at its edges, which stands for itself; lists and comparisons come apart."""
    before: list[tuple[str, int]] = []
    after: list[tuple[str, int]] = []
    while len(text) > 1 and text[0] in _OPENING and not _balanced(text):
        before.append((text[0], at))
        text, at = text[1:], at + 1
    if re.match(r"-[A-Za-z]", text):  # `-pseudogenes` leaves them out
        before.append(("not", at))
        text, at = text[1:], at + 1
    while len(text) > 1 and text[-1] in _CLOSING and not (text[-1] in ")]}" and _balanced(text)):
        after.insert(0, (text[-1], at + len(text) - 1))
        text = text[:-1]
    if len(text) > 2 and text[0] == "(" and text[-1] == ")" and deep < _DEEPEST:
        inner = _pieces(text[1:-1], at + 1, deep + 1)
        return [*before, ("(", at), *inner, (")", at + len(text) - 1), *after]
    compared = re.fullmatch(r"([A-Za-z_][\w.]*)(>=|<=|=|>|<)([^=].*)|(>=|<=|=|>|<)([\d.].*)", text)
    if compared:
        parts = [p for p in compared.groups() if p]
    else:
        parts = [p for p in re.split(r"(?<=\D)(,)(?=.)|(?<=\d)(,)(?=\D)", text) if p]
    middle = []
    for part in parts:
        middle.append((part, at))
        at += len(part)
    return [*before, *middle, *after]


def _balanced(text: str) -> bool:
    return text.count("(") == text.count(")") and text.count("[") == text.count("]") and text.find("(") < text.find(")")


# --- slips -----------------------------------------------------------------------------------------------------------
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def corrected(text: str, known: Container[str]) -> str:
    """The known word one slip away (a letter lost, doubled or swapped), or the word itself in small letters."""
    low = text.lower()
    if not (len(low) > 3 and low.isascii() and low.isalpha() and text[1:].islower()):
        return low
    for i in range(1, len(low)):
        if low[i] == low[i - 1] and low[:i] + low[i + 1 :] in known:
            return low[:i] + low[i + 1 :]
    for i in range(1, len(low) - 1):
        swapped = low[:i] + low[i + 1] + low[i] + low[i + 2 :]
        if swapped in known:
            return swapped
    for i in range(1, len(low) + 1):
        for letter in _LETTERS:
            longer = low[:i] + letter + low[i:]
            if len(longer) > 4 and longer in known and (i < len(low) or letter != "s"):
                return longer
    return low
