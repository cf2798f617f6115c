"""The shape of ids from example values: `rs58991260` and `rs7412` are `rs\\d+`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

_MOST = 200  # characters of a value; longer ones are text
_FIXED = 6  # a run of digits this long or longer, equally long everywhere, has its length in the shape


def shape_of(values: Iterable[str]) -> str:
    """A regular expression that all values match, where they look like ids of one kind; else the empty string.

    Ids have digits and no spaces; plain numbers and dates have no shape, as their type says all. Two values are needed
    at least, unless one begins with letters that digits follow.
    """
    known = list(dict.fromkeys(v for v in values if v))
    if not known or any(len(v) > _MOST or re.search(r"\s", v) or not re.search(r"\d", v) for v in known):
        return ""
    if all(re.fullmatch(r"[-+]?[\d.,]+(?:e[-+]?\d+)?|\d{4}-\d\d(?:-\d\d.*)?", v, re.I) for v in known):
        return ""
    if len(known) == 1 and not re.match(r"[A-Za-z]{2,}[:_-]?\d{3,}", known[0]):
        return ""
    cut = [_runs(v) for v in known]
    if len({tuple(kind for kind, _ in runs) for runs in cut}) != 1:
        return ""
    named = len(cut[0]) < 3 and len({runs[0] for runs in cut}) > 1  # CDK2, MLH1: names rather than ids
    if named and not all(re.search(r"\d{4}", v) for v in known):
        return ""
    columns = list(zip(*cut, strict=True))
    return "".join(_column([c[0] for c in column], [c[1] for c in column], i) for i, column in enumerate(columns))


def _runs(value: str) -> list[tuple[str, str]]:
    """Runs of digits, capitals, small letters, and other characters one by one."""

    def kind(c: str) -> str:
        return "9" if c.isdigit() else "A" if c.isupper() else "a" if c.islower() else c

    return [(k, "".join(run)) for k, run in groupby(value, kind)]


def _column(kinds: Sequence[str], texts: Sequence[str], place: int) -> str:
    kind = kinds[0]
    if kind == "9":
        lengths = {len(t) for t in texts}
        n = lengths.pop() if len(lengths) == 1 else 0
        return rf"\d{{{n}}}" if n >= _FIXED else r"\d+"
    if kind not in ("A", "a"):
        return "".join(re.escape(t) for t in texts[:1]) if len(set(texts)) == 1 else re.escape(kind) + "+"
    sure = place == 0 or len(texts) >= 4 or (len(texts) > 1 and (kind == "a" or len(texts[0]) > 1))
    if len(set(texts)) == 1 and sure:
        return re.escape(texts[0])
    letters = "[A-Z]" if kind == "A" else "[a-z]"
    lengths = {len(t) for t in texts}
    return letters if lengths == {1} else letters + (f"{{{lengths.pop()}}}" if len(lengths) == 1 else "+")
