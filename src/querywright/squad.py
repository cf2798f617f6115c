"""Exact match and F1 of short answers, as the SQuAD data set scores them.

Source: Rajpurkar, Zhang, Lopyrev and Liang, "SQuAD: 100,000+ Questions for Machine Comprehension of Text", EMNLP 2016,
and the evaluation script published with it.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_SIGNS = {ord(sign): None for sign in string.punctuation}


def normalised(text: str) -> str:
    """Lower case, without ASCII punctuation, without articles, one space between words."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_SIGNS)).split())


def exact(expected: str, given: str) -> float:
    """1 where the two are the same when normalised, else 0."""
    return float(normalised(expected) == normalised(given))


def f1(expected: str, given: str) -> float:
    """F1 of the normalised words, each as often as it stands there; of two texts without words 1, of one 0."""
    want, got = normalised(expected).split(), normalised(given).split()
    if not want or not got:
        return float(want == got)
    common = (Counter(want) & Counter(got)).total()
    return 2 * common / (len(want) + len(got))


def contains(expected: str, given: str) -> float:
    """1 where the normalised words of the reference stand in the answer, one behind the other: right, though it says
    more. Source: as Liu et al. 2023 ("Lost in the Middle") count answers right."""
    want, got = normalised(expected).split(), normalised(given).split()
    return float(bool(want) and any(got[i : i + len(want)] == want for i in range(len(got) - len(want) + 1)))


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
