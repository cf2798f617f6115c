"""Ask models the sentences that they are compared on, and score them: evaluation's own sweep, one model a folder.

Answers are kept one by one, so that a comparison that was stopped goes on, and a model that was asked before (the
current one, in each retrain) is asked only what is new.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from querywright.api.definition import API
from querywright.errors import QuerywrightError
from querywright.evaluate.config import Config, check
from querywright.evaluate.decision import Item
from querywright.evaluate.sweep import Source
from querywright.progress import say

Scored = list[dict[str, Any]]
# What answers for each model of a sweep, and those that are not there: `cli.eval_models.sources_of`.
Sources = Callable[[Config, API], tuple[dict[str, Source], dict[str, str]]]


def ask(
    api: API,
    definition: str,
    model: Path | str,
    pairs: Path,
    out: Path,
    *,
    decoding: str,
    sources: Sources,
    limit: int | None = None,
) -> Scored:
    """A model's scored answers to a file of pairs, as `evaluate.score.score` gives them; they are kept in `out`.

    Args:
        definition: what `api` was loaded from, a name or a file.
        model: as a sweep takes it: a GGUF file, a folder, an address, `base`, `tuned`.
        decoding: as it is served with.
        sources: what answers for the model.
        limit: of the pairs, the first so many of an order that never changes.

    Raises:
        QuerywrightError: no such model, no pairs of this API, or answers that failed for reasons that are not the
            model's.
    """
    raw: dict[str, Any] = {"api": definition, "name": out.name, "models": {"model": {"path": str(model)}}}
    raw |= {"strategies": ["tuned"], "decodings": [decoding], "pairs": str(pairs), "out": str(out), "execute": False}
    config = check(raw | ({"limit": limit} if limit else {}), "feedback retrain")
    here, missing = sources(config, api)
    if missing:
        raise QuerywrightError(f"no model at {', '.join(missing.values())}", hint="querywright feedback models")
    return answers(api, config, here)


def answers(api: API, config: Config, sources: dict[str, Source], records: Callable[[], Any] | None = None) -> Scored:
    """The scored answers of a sweep, none of which failed.

    Args:
        sources: what answers for each model, by `sweep.Cell.source`.
        records: opens an executor, for the scores of equal hits; asked only when all answers are there, since an index
            of many records takes a minute.

    Raises:
        QuerywrightError: no pairs of this API, or answers that failed for reasons that are not the model's.
    """
    from querywright.evaluate import score, suite, sweep

    # how sure it says it is depends on its calibration, what it answers does not: it is asked once, before and after
    sources = {name: replace(one, identity=_without(one.identity, "calibration")) for name, one in sources.items()}
    rows = sweep.run(config, suite.load(api, config.pairs, config.seed), sources)
    failed = [row for row in rows if row.get("finish") == "error"]
    if failed:
        raise QuerywrightError(
            f"{len(failed)} of {len(rows)} sentences got no answer: {failed[0].get('reason')}",
            hint="the same command asks these again",
            retryable=True,
        )
    scored: Scored = score.score(api, rows, records() if records else None, config.seed)["rows"]
    return scored


def _without(identity: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in identity.items() if name != key}


def items(part: str, current: Scored, candidate: Scored, metric: str = "same") -> list[Item]:
    """The answers of two models side by side; both were asked the same.

    Args:
        metric: the score that counts; a sentence on which either has none is left out.

    Raises:
        QuerywrightError: they were not asked the same.
    """
    old, new = ({row["id"]: row for row in rows} for rows in (current, candidate))
    if old.keys() != new.keys():
        raise QuerywrightError(
            f"the two models were asked {len(old)} and {len(new)} different sentences", hint="the same command again"
        )
    return [
        Item(id=key, part=part, signature=str(row["signature"]), current=row[metric], candidate=new[key][metric])
        for key, row in old.items()
        if row[metric] is not None and new[key][metric] is not None
    ]


def changed(part: str, current: Scored, candidate: Scored) -> list[dict[str, str]]:
    """The sentences that one of the two models alone has right, with both answers: what people look at first."""
    new = {row["id"]: row for row in candidate}
    return [
        {"part": part, "change": "won" if new[row["id"]]["same"] > row["same"] else "lost",
         **{key: str(row.get(key, "")) for key in ("instruction", "expected")},
         "current": str(row.get("path", "")), "candidate": str(new[row["id"]].get("path", ""))}
        for row in current if new[row["id"]]["same"] != row["same"]
    ]  # fmt: skip


def calibrate(api: API, rows: Scored, out: Path) -> str:
    """Fit how sure the candidate's answers are, on those it just gave to sentences it has not learnt; in words."""
    from querywright.evaluate import calibrate as room

    try:
        facts = room.calibrate({api.name: api}, rows, out)
    except QuerywrightError as error:
        out.unlink(missing_ok=True)
        say(f"confidence: not calibrated: {error}")
        return ""
    told = "; ".join(room.told(mode, known) for mode, known in facts.items())
    say(f"confidence: {told}")
    return told
