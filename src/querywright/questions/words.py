"""Words of any script, and whether a place in a text lies within a word or a number."""

from __future__ import annotations

import re
from unicodedata import category

UNSPACED = (  # Thai to Khmer, kana, Han: scripts that put no space between words
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f"
    r"\U00020000-\U0003ffff"
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ALONE = re.compile(rf"([{UNSPACED}])")
_LETTER = rf"[^\W_{UNSPACED}\uac00-\ud7af]"  # nor Hangul, whose words have their particles joined to them
_YEAR = r"(?:1\d|20)\d\d"


def _between(before: str, joint: str, after: str) -> str:
    """Places on both sides of what joins two pieces."""
    return rf"(?<={before})(?={joint}{after})|(?<={before}{joint})(?={after})"


_GOES_ON = re.compile(
    "|".join([
        rf"(?<={_LETTER})(?={_LETTER})",
        _between(r"[^\W_]", "[-‐‑−_]", r"[^\W_]"),  # non-smoking, 3-5
        _between(r"\d", "[.,:/'’·–+]", r"\d"),  # 1.5; 12,500; 10:30
        _between(r"(?<!\d\d\d)\d", "[ \xa0\u2009\u202f]", r"\d{3}(?!\d)"),  # 12 500
        r"(?=\^)|(?<=\^)",
        r"(?<![^\W_)\]][-+−–±.])(?<=[-+−–±.])(?=\.?\d)",  # -5, .5
        r"(?<=[^\W_])(?=[+#]+(?![^\W_])|[-−](?![\w-]))",  # Na+, C#, Cl-
    ])
)  # fmt: skip
_PARTED = re.compile(  # joined, and still two: years, what is "dependent" or "binding", places of a chromosome
    rf"(?<=\b{_YEAR})(?=[-–/]\d\d)|(?<=\b{_YEAR}[-–/])(?={_YEAR}\b)"
    r"|(?:(?<=\d)|(?<=[A-Z][A-Z]))(?=-[a-z])|(?:(?<=[A-Za-z]\d)|(?<=[A-Za-z]\d\d))(?=[:/]\d)"
)


def words(text: str) -> list[str]:
    """Words in small letters; each letter is one where a script puts no space between words."""
    kept = "".join(c if c.isalnum() or category(c)[0] == "M" else " " for c in _HUMP.sub(" ", text).lower())
    return _ALONE.sub(r" \1 ", kept).split()


def whole(text: str, start: int, end: int) -> bool:
    """Whether a piece of a text is not part of a longer word or number: no 5 of -5 or 1.5, no "smoking" of
    "non-smoking"; but CDK2 of "CDK2-dependent", and 2019 of 2015-2019."""
    return not (_goes_on(text, start) or _goes_on(text, end))


def _goes_on(text: str, at: int) -> bool:
    if at < len(text) and category(text[at])[0] == "M":  # a vowel sign, an accent
        return True
    return _GOES_ON.match(text, at) is not None and _PARTED.match(text, at) is None
