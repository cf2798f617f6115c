"""How a value went wrong: cut, lengthened, damaged, taken from elsewhere in the sentence, or made up."""

from __future__ import annotations

import re

SIMILAR = 75  # per cent of letters in common (rapidfuzz's ratio) from which a value is the other one, damaged


def value_error(want: str, given: str, sentence: str = "") -> str:
    """Name the difference between the value meant and the one given.

    Args:
        sentence: all that was said; where it is empty, `another span` and `value invented` cannot be told apart and
            are `wrong value`.

    Returns:
        `value cut`, `value lengthened`, `letter case`, `another span`, `value damaged`, `value invented` or
        `wrong value`.
    """
    from rapidfuzz import fuzz

    a, b = _plain(want), _plain(given)
    if a == b:
        return "letter case" if want.lower() == given.lower() else "value damaged"  # a sign lost, such as a hyphen
    if b and b in a:
        return "value cut"
    if a and a in b:
        return "value lengthened"
    said = f" {_plain(sentence)} "
    if sentence and f" {b} " in said:
        return "another span"
    if fuzz.ratio(a, b) >= SIMILAR:
        return "value damaged"
    return "value invented" if sentence else "wrong value"


def _plain(text: str) -> str:
    """Letters and digits in words, lower case."""
    return " ".join(re.findall(r"\w+", text.lower()))
