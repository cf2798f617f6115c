"""Exact match and F1 of short answers, as the SQuAD data set scores them, but for signs that make another value.

SQuAD takes all punctuation off: -5 is 5, 1.5 is 15, C++ is C#. Here a sign stays between digits and before a number
(not the comma of thousands, 12,500), as do +, - and # behind a word; and what is nothing without signs and articles (an
allele A) is compared as it stands, where SQuAD finds it equal to "the".

Source: Rajpurkar, Zhang, Lopyrev and Liang, "SQuAD: 100,000+ Questions for Machine Comprehension of Text", EMNLP 2016,
and the evaluation script published with it.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_ANY = f"[{re.escape(string.punctuation)}]"
_SIGN = re.compile(
    rf"((?<=\d){_ANY}+(?=\d)"  # 1.5, 10:30, 3-5, 10^6
    r"|(?<![\w)\]-])-(?=\.?\d)|(?<![\w.])\.(?=\d)"  # -5 and .5, not COVID-19
    r"|(?<![-=])[<>]=?\s*(?=-?\.?\d)"  # <5, not -> 5
    r"|(?<=\w)[-+#]+(?![-+#\w])"  # Na+, C#
    rf")|{_ANY}"
)
_DASH = re.compile(r"[\u2010-\u2015\u2212](?=\.?\d)")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!,?\d)")
_ARTICLES = re.compile(r"\b(a|an|the)\b(?![-+#])")
_AROUND = "".join({*string.punctuation} - {*"+-#<>"})


def normalised(text: str) -> str:
    """Lower case, without articles and ASCII punctuation but for signs that make another value, one space between
    words."""
    text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), _DASH.sub("-", text.lower()))
    return " ".join(_ARTICLES.sub(" ", _SIGN.sub(lambda sign: (sign[1] or "").strip(), text)).split())


def _as_it_stands(text: str) -> str:
    text = " ".join(text.lower().split())
    return text.strip(_AROUND) or text


def exact(expected: str, given: str) -> float:
    """1 where both are the same when normalised, else 0; where that leaves nothing of the reference, as they stand."""
    want, got = normalised(expected), normalised(given)
    return float(want == got if want else _as_it_stands(expected) == _as_it_stands(given))


def f1(expected: str, given: str) -> float:
    """F1 of the normalised words, each as often as it stands there; of a text without words whether it is the same."""
    want, got = normalised(expected).split(), normalised(given).split()
    if not want or not got:
        return exact(expected, given)
    common = (Counter(want) & Counter(got)).total()
    return 2 * common / (len(want) + len(got))


def contains(expected: str, given: str) -> float:
    """1 where the normalised words of the reference stand in the answer, one behind the other: right, though it says
    more; of a reference without words whether it is the same. Source: as Liu et al. 2023 ("Lost in the Middle") count
    answers right."""
    want, got = normalised(expected).split(), normalised(given).split()
    if not want:
        return exact(expected, given)
    return float(any(got[i : i + len(want)] == want for i in range(len(got) - len(want) + 1)))


def best(score: Callable[[str, str], float], expected: Sequence[str], given: str) -> float:
    """The score against the nearest of several references."""
    return max(score(one, given) for one in expected)


def nearest(expected: Sequence[str], given: str) -> str:
    """The reference that an answer is nearest to."""
    return max(expected, key=lambda one: f1(one, given))


def nearest_to_others(texts: Sequence[str]) -> int:
    """The place of the text with the highest mean F1 to the others, the first of equals: a vote on free text."""
    means = [sum(f1(text, other) for j, other in enumerate(texts) if j != i) for i, text in enumerate(texts)]
    return max(range(len(texts)), key=means.__getitem__)
