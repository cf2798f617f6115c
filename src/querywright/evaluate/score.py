"""Score responses: is it a call, is it the call that was meant, does it find the same records."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from querywright.api.call import Call, CallError, fold, parse
from querywright.api.definition import API
from querywright.api.refusal import NIL, refused
from querywright.errors import QuerywrightError
from querywright.evaluate.diagnose import diagnose
from querywright.statistics import holm, interval, paired, percentile

METRICS = {
    "valid": "parses as a call to the API, or is a refusal",
    "same": "means the same as the expected call (equal canonical forms); or refuses as expected, for whatever reason",
    "ast_match": "path and multiset of parameters equal, as text",
    "query_same": "endpoint, id and query mean the same; parameters aside",
    "fields_f1": "F1 of the returned fields asked for",
    "hits_same": "run, it finds the same records: total and ids",
    "jaccard": "overlap of the ids found",
}


class Runs(Protocol):
    """What scoring needs of an executor."""

    def run(self, call: Call) -> Any:
        """Run a call; the result has `total` and `ids`."""


def read(api: API, text: str) -> tuple[Call | None, str]:
    """A response as a call, or None with the reason why not (`code: message`)."""
    try:
        return parse(api, text.strip()), ""
    except CallError as error:
        return None, f"{error.code}: {error}"
    except ValueError as error:
        return None, f"bad_query: {error}"
    except RecursionError:
        return None, "bad_query: too deeply nested"


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
    """What is searched: endpoint, id and query, folded; without the other parameters."""
    folded = fold(call)
    return folded.endpoint, folded.id, folded.query


def fields_f1(api: API, expected: Call, given: Call) -> float:
    """F1 of the names in `fields`; 1 where neither call asks for any. A parent is not its leaf."""
    names = [n for n, p in api.params.items() if p.kind == "fields" and n == "fields"]
    want, got = ({f for n in names for f in call.get(n, ())} for call in (expected, given))
    if not want and not got:
        return 1.0
    return 2 * len(want & got) / (len(want) + len(got))


def run_cached(executor: Runs) -> Callable[[Call], tuple[int, frozenset[str]] | None]:
    """Run a call once for each canonical form; None where the executor refuses it."""
    found: dict[str, tuple[int, frozenset[str]] | None] = {}

    def run(call: Call) -> tuple[int, frozenset[str]] | None:
        if call.canonical not in found:
            try:
                hits = executor.run(call)
                found[call.canonical] = (int(hits.total), frozenset(map(str, hits.ids)))
            except (QuerywrightError, ValueError):
                found[call.canonical] = None
        return found[call.canonical]

    return run


def score_row(
    api: API, row: dict[str, Any], run: Callable[[Call], tuple[int, frozenset[str]] | None] | None = None
) -> dict[str, Any]:
    """Score one response.

    Args:
        row: `expected`, and `path` or `response` (see `sweep.run`).
        run: executes a call; None leaves the scores of hits out.

    Returns:
        Every one of METRICS as 0 to 1, or None where it cannot be told: hits where the expected call finds nothing,
        and all but `valid` and `same` where a refusal is expected. `refusal` and `refused`: the codes of the refusals
        expected and given, or None.
        `problems`: the kinds of error (see `diagnose`), `confused`: fields taken for others, `reason`.
    """
    text = str(row.get("path") or row.get("response") or "").strip()
    expected, refusal = refused(row["expected"]), refused(text)
    cut = row.get("finish") == "length"  # what ran out of tokens is not a call, even if its beginning parses
    if cut or row.get("finish") == "error":
        refusal = None
    codes = {"refusal": expected, "refused": refusal}
    if expected or refusal:
        return _score_refusal(api, row, text, run) | codes
    want, _ = read(api, row["expected"])
    given, reason = read(api, text)
    if cut:
        given, reason = None, "ran out of tokens"
    elif row.get("finish") == "error":
        given, reason = None, str(row.get("reason") or "the engine failed")
    scores: dict[str, Any] = {
        "valid": float(given is not None),
        "ast_match": float(not cut and ast_match(row["expected"], text)),
        **codes,
    }
    if want is None or given is None:
        blank = {"same": 0.0, "query_same": 0.0, "fields_f1": 0.0, **_hits(want, given, run)}
        return {**scores, **blank, "problems": ["invalid"], "confused": [], "reason": reason or "no call expected"}
    found = diagnose(want, given)
    return {
        **scores,
        "same": float(want.canonical == given.canonical),
        "query_same": float(query_part(want) == query_part(given)),
        "fields_f1": fields_f1(api, want, given),
        **_hits(want, given, run),
        "problems": list(found.problems),
        "confused": [list(pair) for pair in found.confused],
        "reason": "",
    }


def _score_refusal(
    api: API, row: dict[str, Any], text: str, run: Callable[[Call], tuple[int, frozenset[str]] | None] | None
) -> dict[str, Any]:
    """Score a response where a refusal is expected, given, or both."""
    expected = refused(row["expected"])
    whole = row.get("finish") not in ("length", "error")
    given = refused(text) if whole else None
    if expected:
        call, reason = read(api, text) if whole and not given else (None, "")
        right = given is not None
        problems = [] if right else ["not_refused"] if call else ["invalid"]
        scores = dict.fromkeys(METRICS) | {"valid": float(right or call is not None), "same": float(right)}
        return {**scores, "problems": problems, "confused": [], "reason": reason}
    want, _ = read(api, row["expected"])
    scores = dict.fromkeys(METRICS, 0.0) | {"valid": 1.0, **_hits(want, None, run)}
    return {**scores, "problems": ["false_refusal"], "confused": [], "reason": f"refused: {given}"}


def _hits(
    want: Call | None, given: Call | None, run: Callable[[Call], tuple[int, frozenset[str]] | None] | None
) -> dict[str, float | None]:
    records = want is not None and (want.query is not None or want.id is not None)  # metadata has none
    expected = run(want) if run is not None and want is not None and records else None
    if run is None or expected is None or expected[0] == 0:  # "nothing found" is equal for too many reasons
        return {"hits_same": None, "jaccard": None}
    got = run(given) if given is not None else None
    if got is None:
        return {"hits_same": 0.0, "jaccard": 0.0}
    either = expected[1] | got[1]
    jaccard = len(expected[1] & got[1]) / len(either) if either else float(expected[0] == got[0])
    return {"hits_same": float(expected == got), "jaccard": jaccard}


def score(api: API, rows: list[dict[str, Any]], executor: Runs | None = None, seed: int = 0) -> dict[str, Any]:
    """Score all responses of a sweep.

    Args:
        rows: as `sweep.run` returns them.
        executor: runs calls for the scores of hits; None leaves these out.

    Returns:
        `cells`: for each its scores with intervals, times, tokens, error classes and signatures; `paired`: each cell
        against the best; `rows`: each response with its scores.
    """
    run = run_cached(executor) if executor is not None else None
    scored = [{**row, **score_row(api, row, run)} for row in rows]
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in scored:
        groups.setdefault((row["model"], row["strategy"], row["decoding"]), []).append(row)
    summaries = [summary(name, group, seed) for name, group in groups.items()]
    return {"cells": summaries, "paired": against_best(groups, seed), "rows": scored}


def summary(name: tuple[str, str, str], rows: list[dict[str, Any]], seed: int = 0) -> dict[str, Any]:
    """One cell in numbers; `name` is model, strategy, decoding."""
    metrics = {}
    for metric in METRICS:
        values = [row[metric] for row in rows if row[metric] is not None]
        if values:
            low, high = interval(values, seed)
            metrics[metric] = {"mean": sum(values) / len(values), "low": low, "high": high, "n": len(values)}
    weight = sum(row.get("weight", 1.0) for row in rows)
    confused = Counter(tuple(pair) for row in rows for pair in row["confused"])
    times = [row["ms"] for row in rows if row.get("ms") is not None]
    return {
        **dict(zip(("model", "strategy", "decoding"), name, strict=True)),
        "n": len(rows),
        "metrics": metrics,
        "same_by_traffic": sum(row["same"] * row.get("weight", 1.0) for row in rows) / weight if weight else None,
        "ms": {"p50": percentile(times, 50), "p95": percentile(times, 95)},
        "tokens": {k: _mean(row.get(f"tokens_{k}") for row in rows) for k in ("in", "out")},
        "finish": dict(Counter(str(row.get("finish", "")) for row in rows)),
        "problems": dict(Counter(p for row in rows for p in row["problems"]).most_common()),
        "confused": [[*pair, n] for pair, n in confused.most_common(20)],
        "signatures": by(rows, "signature"),
        "sources": by(rows, "source"),
        **refusals(rows, seed),
    }


def refusals(rows: list[dict[str, Any]], seed: int = 0) -> dict[str, Any]:
    """How well a cell refuses, under the key `refusals`; nothing where no row expects or gives a refusal.

    Returns:
        `expected` and `given`: how many; then shares with intervals: `recall` (of the sentences to be refused, those
        that were), `precision` (of the refusals given, those expected), `false_refusals` (of the sentences that have a
        call, those refused), `reason` (of the refusals that were right, those with the expected code).
    """
    expected = [row for row in rows if row["refusal"]]
    given = [row for row in rows if row["refused"]]
    if not expected and not given:
        return {}
    right = [row for row in expected if row["refused"]]
    told = [row for row in right if row["expected"].strip() != NIL]
    shares = {
        "recall": [float(bool(row["refused"])) for row in expected],
        "precision": [float(bool(row["refusal"])) for row in given],
        "false_refusals": [float(bool(row["refused"])) for row in rows if not row["refusal"]],
        "reason": [float(row["refusal"] == row["refused"]) for row in told],
    }
    found: dict[str, Any] = {"expected": len(expected), "given": len(given)}
    for name, values in shares.items():
        if values:
            low, high = interval(values, seed)
            found[name] = {"mean": sum(values) / len(values), "low": low, "high": high, "n": len(values)}
    return {"refusals": found}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def by(rows: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Same by meaning for each value of a column, the most frequent first."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        groups.setdefault(str(row.get(key, "")), []).append(row["same"])
    table = [{key: name, "n": len(values), "same": sum(values) / len(values)} for name, values in groups.items()]
    return sorted(table, key=lambda line: (-line["n"], line[key]))


def against_best(groups: dict[tuple[str, str, str], list[dict[str, Any]]], seed: int = 0) -> list[dict[str, Any]]:
    """Each cell against the cell with the most sentences right, on the sentences that both were asked."""
    right = {name: {row["id"]: row["same"] for row in rows} for name, rows in groups.items()}
    if len(right) < 2:
        return []
    best = max(right, key=lambda name: sum(right[name].values()) / len(right[name]))
    results = []
    for other in right:
        if other != best:
            common = [i for i in right[best] if i in right[other]]
            found = paired([right[best][i] for i in common], [right[other][i] for i in common], seed)
            results.append({"best": ".".join(best), "other": ".".join(other), **found})
    for result, p in zip(results, holm([r["p"] for r in results]), strict=True):
        result["p_holm"] = p
    return results


def finite(value: Any) -> Any:
    """The same value with None for NaN, which JSON has no word for."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    return [finite(v) for v in value] if isinstance(value, list | tuple) else value
