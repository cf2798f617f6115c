"""Ask a model the sentences that candidates are judged on, and score them: evaluation's own sweep, one model a folder.

Answers are kept one by one, so that a comparison that was stopped goes on, and a model that was asked before (the
current one, in each retrain) is asked only what is new.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from querywright.api.definition import API
from querywright.errors import QuerywrightError
from querywright.progress import say
from server.flywheel.decision import Item

Scored = list[dict[str, Any]]


def ask(
    api: API, definition: str, model: Path, pairs: Path, out: Path, *, decoding: str, limit: int | None = None
) -> Scored:
    """A model's scored answers to a file of pairs, as `evaluate.score.score` gives them; they are kept in `out`.

    Args:
        definition: what `api` was loaded from, a name or a file.
        decoding: as it is served with.
        limit: of the pairs, the first so many of an order that never changes.

    Raises:
        QuerywrightError: no pairs of this API, or answers that failed for reasons that are not the model's.
    """
    from querywright.cli.eval_models import sources_of
    from querywright.evaluate import score, suite, sweep
    from querywright.evaluate.config import check

    raw: dict[str, Any] = {"api": definition, "name": out.name, "models": {"model": {"path": str(model)}}}
    raw |= {"strategies": ["tuned"], "decodings": [decoding], "pairs": str(pairs), "out": str(out), "execute": False}
    config = check(raw | ({"limit": limit} if limit else {}), "feedback retrain")
    sources, missing = sources_of(config, api)
    if missing:
        raise QuerywrightError(f"no model at {', '.join(missing.values())}", hint="querywright feedback models")
    # how sure it says it is depends on its calibration, what it answers does not: it is asked once, before and after
    sources = {name: replace(one, identity=_without(one.identity, "calibration")) for name, one in sources.items()}
    rows = sweep.run(config, suite.load(api, pairs, config.seed), sources)
    failed = [row for row in rows if row.get("finish") == "error"]
    if failed:
        raise QuerywrightError(
            f"{len(failed)} of {len(rows)} sentences got no answer: {failed[0].get('reason')}",
            hint="the same command asks these again",
            retryable=True,
        )
    found: Scored = score.score(api, rows, None, config.seed)["rows"]
    return found


def _without(identity: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in identity.items() if name != key}


def items(part: str, current: Scored, candidate: Scored) -> list[Item]:
    """The answers of two models side by side; both were asked the same.

    Raises:
        QuerywrightError: they were not.
    """
    old, new = ({row["id"]: row for row in rows} for rows in (current, candidate))
    if old.keys() != new.keys():
        raise QuerywrightError(
            f"the two models were asked {len(old)} and {len(new)} different sentences", hint="the same command again"
        )
    return [
        Item(id=key, part=part, signature=str(row["signature"]), current=row["same"], candidate=new[key]["same"])
        for key, row in old.items()
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
