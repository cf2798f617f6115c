"""Score responses: is it a call, is it the call that was meant, does it find the same records."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from querywright.api.call import Call, Value, fold
from querywright.api.definition import API
from querywright.api.hits import Run, Runs, read, run_cached
from querywright.api.refusal import refused
from querywright.engines.prices import Price
from querywright.evaluate.breakdown import traits
from querywright.evaluate.conditions import leaves
from querywright.evaluate.diagnose import diagnose
from querywright.evaluate.summary import against_best, by_cell, summary
from querywright.evaluate.text_scores import TEXT_METRICS, text_scores
from querywright.rows import said

METRICS = {
    "valid": "parses as a call to the API, or is a refusal",
    "same": "means the same as the expected call (equal canonical forms); or refuses as expected, for whatever reason",
    "ast_match": "path and multiset of parameters equal, as text",
    "query_same": "endpoint, id and query mean the same; parameters aside",
    "query_f1": "F1 of the query's conditions (the record's id is one), however they are joined",
    "fields_f1": "F1 of the returned fields asked for",
    "hits_same": "run, it finds the same records: total and ids",
    "total_same": "run, it finds as many records",
    "jaccard": "overlap of the ids found",
}


def ast_match(expected: str, given: str) -> bool:
    """The score of the published work: after URL parsing, the path and the multiset of parameters are equal."""

    def parts(text: str) -> tuple[str, Counter[tuple[str, str]]]:
        url = urlsplit(text.strip())
        return url.path.rstrip("/"), Counter(parse_qsl(url.query, keep_blank_values=True))

    try:
        return parts(expected) == parts(given)
    except ValueError:  # text that is no URL at all, such as an unclosed [
        return False


def query_part(call: Call) -> tuple[Any, ...]:
    """What is searched: endpoint, id and query, folded; without the parameters that only say what comes back."""
    folded = fold(call)
    return folded.endpoint, folded.id, folded.query, _filters(folded)


def _filters(folded: Call) -> frozenset[tuple[str, Value]]:
    """The conditions of an API that has parameters in place of a query."""
    if folded.api.query_language != "none":
        return frozenset()
    return frozenset((name, value) for name, value in folded.params if not folded.api.params[name].role)


def query_f1(expected: Call, given: Call) -> float:
    """F1 of what is searched for: the conditions, each with its NOT, and the record's id.

    Where neither call has any, 1 if they ask the same endpoint, else 0.
    """

    def parts(call: Call) -> Counter[object]:
        folded = fold(call)
        conditions = [(leaf.negated, leaf.node) for leaf in leaves(folded.query)]
        return Counter([*conditions, *_filters(folded), *filter(None, [folded.id])])

    want, got = parts(expected), parts(given)
    size = want.total() + got.total()
    return 2 * (want & got).total() / size if size else float(query_part(expected) == query_part(given))


def fields_f1(api: API, expected: Call, given: Call) -> float | None:
    """F1 of the names in `fields`, or what else the API calls it; 1 where neither call asks for any.

    A parent is not its leaf. None where the API has no such parameter.
    """
    names = [n for n, p in api.params.items() if (p.kind == "fields" and n == "fields") or p.role == "fields"]
    if not names:
        return None
    want, got = ({(n, str(f)) for n in names for f in _several(call.get(n))} for call in (expected, given))
    if not want and not got:
        return 1.0
    return 2 * len(want & got) / (len(want) + len(got))


def _several(value: Value | None) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else () if value is None else (value,)


def score_row(api: API, row: dict[str, Any], run: Run | None = None) -> dict[str, Any]:
    """Score one response.

    Args:
        row: `expected`, and `path` or `response` (see `sweep.run`).
        run: executes a call; None leaves the scores of hits out.

    Returns:
        Every one of METRICS as 0 to 1, or None where it cannot be told: hits where the expected call finds nothing,
        and all but `valid` and `same` where a refusal is expected. `refusal` and `refused`: the codes of the refusals
        expected and given, or None.
        `problems`: the kinds of error (see `diagnose`), `details`: with what exactly, `confused`: fields taken for
        others, `reason`. `want`, `got`: what the two calls make use of (see `breakdown.traits`), None where there is
        none.
    """
    text = str(row.get("path") or row.get("response") or "").strip()
    expected, refusal = refused(row["expected"]), refused(text)
    cut = row.get("finish") == "length"  # what ran out of tokens is not a call, even if its beginning parses
    if cut or row.get("finish") == "error":
        refusal = None
    codes = {"refusal": expected, "refused": refusal}
    want, _ = read(api, row["expected"]) if not expected else (None, "")
    if expected or refusal:
        return _score_refusal(api, row, text, want, run) | codes
    given, reason = read(api, text)
    if cut:
        given, reason = None, "ran out of tokens"
    elif row.get("finish") == "error":
        given, reason = None, str(row.get("reason") or "the engine failed")
    scores: dict[str, Any] = {
        "valid": float(given is not None),
        "ast_match": float(not cut and ast_match(row["expected"], text)),
        **codes,
        "want": traits(want) if want else None,
        "got": traits(given) if given else None,
    }
    if want is None or given is None:
        reason = reason or "no call expected"
        blank = dict.fromkeys(("same", "query_same", "query_f1", "fields_f1"), 0.0) | _hits(want, given, run)
        return {**scores, **blank, **_wrong("invalid", reason.partition(":")[0]), "reason": reason}
    found = diagnose(want, given, said(row) if "instruction" in row else "")
    return {
        **scores,
        "same": float(want.canonical == given.canonical),
        "query_same": float(query_part(want) == query_part(given)),
        "query_f1": query_f1(want, given),
        "fields_f1": fields_f1(api, want, given),
        **_hits(want, given, run),
        "problems": list(found.problems),
        "details": [list(detail) for detail in found.details],
        "confused": [list(pair) for pair in found.confused],
        "reason": "",
    }


def _wrong(problem: str = "", detail: str = "") -> dict[str, Any]:
    return {"problems": [problem] if problem else [], "details": [[problem, detail]] if problem else [], "confused": []}


def _score_refusal(api: API, row: dict[str, Any], text: str, want: Call | None, run: Run | None) -> dict[str, Any]:
    """Score a response where a refusal is expected, given, or both."""
    expected = refused(row["expected"])
    whole = row.get("finish") not in ("length", "error")
    given = refused(text) if whole else None
    if expected:
        call, reason = read(api, text) if whole and not given else (None, "")
        right = given is not None
        scores = dict.fromkeys(METRICS) | {"valid": float(right or call is not None), "same": float(right)}
        problem = "" if right else "not_refused" if call else "invalid"
        detail = f"meant {row['expected']}" if call else reason.partition(":")[0]
        used = {"want": None, "got": traits(call) if call else None}
        return {**scores, **used, **_wrong(problem, detail), "reason": reason}
    scores = dict.fromkeys(METRICS, 0.0) | {"valid": 1.0, **_hits(want, None, run)}
    used = {"want": traits(want) if want else None, "got": None}
    return {**scores, **used, **_wrong("false_refusal", f"refused as {given}"), "reason": f"refused: {given}"}


def _hits(want: Call | None, given: Call | None, run: Run | None) -> dict[str, float | None]:
    names = ("hits_same", "total_same", "jaccard")
    records = want is not None and (want.query is not None or want.id is not None)  # metadata has none
    expected = run(want) if run is not None and want is not None and records else None
    if run is None or expected is None or expected[0] == 0:  # "nothing found" is equal for too many reasons
        return dict.fromkeys(names)
    got = run(given) if given is not None else None
    if got is None:
        return dict.fromkeys(names, 0.0)
    either = expected[1] | got[1]
    jaccard = len(expected[1] & got[1]) / len(either) if either else float(expected[0] == got[0])
    same = float(expected == got), float(expected[0] == got[0]), jaccard
    return dict(zip(names, same, strict=True))


def score(
    api: API,
    rows: list[dict[str, Any]],
    executor: Runs | None = None,
    seed: int = 0,
    *,
    prices: Mapping[str, Price | None] | None = None,
    text: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Score all responses of a sweep.

    Args:
        rows: as `sweep.run` returns them.
        executor: runs calls for the scores of hits; None leaves these out.
        prices: of each model, for the cost of its cells; see `engines.prices.price_of`.
        text: which scores of the text itself to add, `{bertscore: FOLDER, meteor: true}`; see `text_scores`.

    Returns:
        `cells`: see `summary.summary`; `paired`: each cell against the best; `rows`: each response with its scores, and
        the name of its `cell`.
    """
    run = run_cached(executor) if executor is not None else None
    scored = [{**row, **score_row(api, row, run)} for row in rows]
    if text and any(text.values()):
        for row, more in zip(scored, text_scores(scored, **text), strict=True):
            row.update(more)
    groups = by_cell(scored)
    metrics = [*METRICS, *TEXT_METRICS]
    price = {} if prices is None else prices
    cells = [summary(name, mine, metrics, seed, price.get(mine[0]["model"])) for name, mine in groups.items()]
    return {"cells": cells, "paired": against_best(groups, seed), "rows": scored}


def finite(value: Any) -> Any:
    """The same value with None for NaN, which JSON has no word for."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    return [finite(v) for v in value] if isinstance(value, list | tuple) else value
