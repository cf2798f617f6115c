"""Whether a candidate is better than the model that answers now: the rules, on paired answers to the same sentences.

It is promoted only if all of these hold; each bound is a setting, and every figure goes into the decision.

1. Better with confidence: on the frozen test set and the recent corrections together, McNemar's exact test, one-sided
   (of the sentences on which the two differ, does the candidate win more than half?), gives p < alpha. Where several
   candidates were compared on the same sentences, p counts as often as there were of them (Bonferroni): who tries
   often enough is lucky once.
2. Not worse on the frozen test set: the lower end of the 95 % interval of the difference is above minus the margin.
   A test set that is too small to tell that does not pass.
   Recent corrections are sentences that a model had wrong, so that another one wins there more easily than it should:
   this rule is what stands against that.
3. No shape got worse: of each signature, each coarser shape (what is searched, whatever is returned), the rare ones
   together and the recent corrections, with enough rows, the share of right answers fell by no more than the bound.

A model that was trained for something else than being right more often has to hold the second and the third only: see
`gate`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from querywright.statistics import paired, wilson

FROZEN, RECENT = "frozen", "recent"
RARE = "all rarer shapes together"


@dataclass(frozen=True)
class Bounds:
    """The settings of the rules.

    Attributes:
        alpha: of the one-sided test.
        margin: how much worse on the frozen test set is still not worse, as a share of sentences.
        shape: how much worse a shape may get, as a share of its sentences.
        shape_rows: sentences from which on a shape is looked at.
    """

    alpha: float = 0.05
    margin: float = 0.05
    shape: float = 0.15
    shape_rows: int = 10


@dataclass(frozen=True)
class Item:
    """One sentence that both models were asked: 1 where the answer is right, else 0."""

    id: str
    part: str
    signature: str
    current: float
    candidate: float


def decide(items: Sequence[Item], bounds: Bounds | None = None, *, tries: int = 1, seed: int = 0) -> dict[str, Any]:
    """Judge a candidate.

    Args:
        items: of the frozen test set and the recent corrections.
        tries: candidates that were compared on these sentences with this current model, this one included.

    Returns:
        `promote`; `reasons`, why not, in sentences; `compared`: for `all`, `frozen` and `recent` see `compare`;
        `shapes`: the same of each shape that was looked at, the worst first; `tries`.
    """
    bounds = bounds or Bounds()
    parts = {part: [item for item in items if item.part == part] for part in (FROZEN, RECENT)}
    compared = {"all": compare(items, seed), **{part: compare(mine, seed) for part, mine in parts.items()}}
    shapes = by_shape(items, bounds, seed)
    groups = shapes
    if len(parts[RECENT]) >= bounds.shape_rows:
        groups = [{"shape": "the recent corrections", **compared[RECENT]}, *shapes]
    reasons = [*better(compared["all"], bounds, tries), *not_worse(compared[FROZEN], bounds), *fallen(groups, bounds)]
    return {
        "promote": not reasons,
        "reasons": reasons,
        "compared": compared,
        "shapes": shapes,
        "tries": tries,
    }


def compare(items: Sequence[Item], seed: int = 0) -> dict[str, Any]:
    """Both models on some sentences.

    Returns:
        `n`; `current` and `candidate`: `same` (share right), `low` and `high` (Wilson's 95 % interval); `won` and
        `lost` (sentences that only one of them has right); `difference` with `low` and `high` (95 %, BCa); `p`:
        McNemar's exact test, one-sided, of the candidate being better. All None where there are no sentences.
    """
    if not items:
        return {"n": 0, **dict.fromkeys(("current", "candidate", "won", "lost", "difference", "low", "high", "p"))}
    from scipy import stats

    new, old = [item.candidate for item in items], [item.current for item in items]
    found = paired(new, old, seed)
    won, lost = found["only_a"], found["only_b"]
    p = float(stats.binomtest(won, won + lost, alternative="greater").pvalue) if won + lost else 1.0
    return {
        "n": len(items),
        "current": _share(old),
        "candidate": _share(new),
        "won": won,
        "lost": lost,
        **{key: found[key] for key in ("difference", "low", "high")},
        "p": p,
    }


def by_shape(items: Sequence[Item], bounds: Bounds, seed: int = 0) -> list[dict[str, Any]]:
    """`compare` of each shape that has enough sentences, and of all rarer ones together; the worst first."""
    shapes = [{"shape": name, **compare(mine, seed)} for name, mine in _groups(items, bounds.shape_rows)]
    return sorted(shapes, key=lambda line: (line["difference"], line["shape"]))


def _share(values: Sequence[float]) -> dict[str, float]:
    low, high = wilson(sum(values), len(values))
    return {"same": sum(values) / len(values), "low": low, "high": high}


def _groups(items: Iterable[Item], least: int) -> list[tuple[str, list[Item]]]:
    """Signatures with enough rows; coarser shapes with enough rows; all the rest as one."""
    whole: defaultdict[str, list[Item]] = defaultdict(list)
    coarse: defaultdict[str, list[Item]] = defaultdict(list)
    for item in items:
        whole[item.signature].append(item)
        coarse[item.signature.partition("&")[0] + "&…"].append(item)
    found = [(name, mine) for name, mine in whole.items() if len(mine) >= least]
    enough = {name: mine for name, mine in coarse.items() if len(mine) >= least}
    found += list(enough.items())
    rare = [item for name, mine in coarse.items() if name not in enough for item in mine]
    return [*found, (RARE, rare)] if len(rare) >= least else found


def better(found: dict[str, Any], bounds: Bounds, tries: int = 1) -> list[str]:
    """Why it is not shown to be better (the first rule); empty where it is."""
    if not found["n"]:
        return ["there are no sentences to compare on"]
    p = min(1.0, found["p"] * tries)
    if p < bounds.alpha:
        return []
    often = f", times {tries} candidates compared on the same sentences" if tries > 1 else ""
    return [
        f"not better with confidence: {found['won']} sentences won, {found['lost']} lost of {found['n']}, "
        f"p = {found['p']:.2g}{often}; it has to be below {bounds.alpha:g}"
    ]


def not_worse(found: dict[str, Any], bounds: Bounds, what: str = "the frozen test set") -> list[str]:
    """Why it may be worse (the second rule); empty where that is ruled out.

    Args:
        what: was compared, for people.
    """
    if not found["n"]:
        return [f"{what} has no sentences"]
    if found["low"] > -bounds.margin:
        return []
    if found["difference"] < -bounds.margin:
        told = f"worse on {what}: {points(found['difference'])}"
    else:
        told = f"it may be worse on {what}, whose {found['n']} sentences can't rule it out:"
        told += f" {points(found['difference'])}"
    return [f"{told} [{points(found['low'])}, {points(found['high'])}]; the margin is {points(-bounds.margin)}"]


def fallen(groups: Iterable[dict[str, Any]], bounds: Bounds) -> list[str]:
    """The shapes that got worse beyond the bound (the third rule), in sentences."""
    return [
        f"{line['shape']}: {points(line['difference'])} on {line['n']} sentences; the bound is {points(-bounds.shape)}"
        for line in groups
        if line["difference"] < -bounds.shape
    ]


def points(share: float) -> str:
    """A difference of shares for people: `+1.5 points`."""
    return f"{100 * share:+.1f} points"
