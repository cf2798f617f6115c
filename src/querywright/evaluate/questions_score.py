"""Scores of answers to question rows: exact match, F1, texts' likeness, whether retrieval found the evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from querywright import squad
from querywright.engines.prices import Price
from querywright.errors import QuerywrightError
from querywright.evaluate.questions_ask import Ask, Passage
from querywright.evaluate.summary import cost
from querywright.evaluate.text_scores import text_scores
from querywright.progress import say
from querywright.statistics import clustered_interval, clustered_paired, holm, percentile

Row = dict[str, Any]
METRICS = {
    "f1": "F1 of the words, against the nearest reference (SQuAD)",
    "exact": "equal but for case, punctuation and articles (SQuAD)",
    "contains": "the reference's words stand in the answer, one behind the other",
    "judge": "the judge's grade, 1 to 5 as 0 to 1",
    "meteor": "METEOR of the answer's text, exact and stemmed words (no synonyms)",
    "bertscore": "BERTScore F1 of the answer's text, with the model given",
    "retrieval_hit": "what is shown of the passages that retrieval found holds the evidence",
}


def score_row(ask: Ask, answer: Mapping[str, Any], passages: Mapping[int, Passage], strategy: str) -> Row:
    """The scores of one answer that need nothing but it; a question without an answer is a wrong answer.

    Returns:
        exact, contains, f1 (0 to 1); retrieval_hit (0 or 1) under `rag` where it is known what evidence there is.
    """
    given = "" if answer.get("finish") == "error" else str(answer.get("response") or "")
    asked = ask.question
    scores: Row = {
        "exact": squad.best(squad.exact, asked.answers, given) if given else 0.0,
        "contains": squad.best(squad.contains, asked.answers, given) if given else 0.0,
        "f1": squad.best(squad.f1, asked.answers, given) if given else 0.0,
    }
    if strategy == "rag" and (asked.evidence_chunk or asked.evidence):
        scores["retrieval_hit"] = float(_found(ask, passages))
    return scores


def _found(ask: Ask, passages: Mapping[int, Passage]) -> bool:
    """Whether what is shown holds the evidence: a part of its chunk, or of one with the same text."""
    evidence, chunk = _plain(ask.question.evidence), passages.get(ask.question.evidence_chunk or 0)
    home = _plain(chunk.text) if chunk else ""
    if home and evidence not in home:  # other documents than the rows were made from: the chunk is all that is known
        evidence = ""
    return bool(home or evidence) and any(
        home in ("", _plain(passages[number].text)) and evidence in _plain(part)
        for number, part in zip(ask.shown, ask.parts, strict=True)
    )


def _plain(text: str) -> str:
    return " ".join(text.split())


def add_text_scores(rows: Sequence[Row], wanted: Mapping[str, Any]) -> None:
    """Add METEOR and BERTScore where they are asked for; METEOR is left out, and that is said, without nltk."""
    left = dict(wanted)
    try:
        if left.get("meteor"):
            _add(rows, {"meteor": True})
    except QuerywrightError as error:
        say(f"no METEOR: {error} ({error.hint})")
    left["meteor"] = False
    if left.get("bertscore"):
        _add(rows, left)


def _add(rows: Sequence[Row], wanted: Mapping[str, Any]) -> None:
    """Of several references the nearest by F1 stands for them: these scores take long."""
    near = [squad.nearest(row["answers"], row["response"]) for row in rows]
    texts = [{"expected": one, "response": row["response"]} for one, row in zip(near, rows, strict=True)]
    for row, more in zip(rows, text_scores(texts, **wanted), strict=True):
        row.update(more)


def summary(name: str, rows: Sequence[Row], groups: Mapping[str, str], seed: int, price: Price | None) -> Row:
    """One cell in numbers; see `questions.evaluate_questions`.

    Args:
        rows: scored answers of the cell; a metric that is None or missing in a row leaves the row out of it.
        groups: what each question varies with, by its id.
    """
    times = [row["ms"] for row in rows if row.get("ms") is not None]
    return {
        "name": name,
        **{key: rows[0][key] for key in ("model", "strategy", "samples")},
        "n": len(rows),
        "scores": {m: found for m in METRICS if (found := share(rows, m, groups, seed)) is not None},
        **{f"tokens_{k}": sum(row.get(f"tokens_{k}") or 0 for row in rows) for k in ("in", "out")},
        "cost": cost([*rows], price),
        "ms": {
            "p50": percentile(times, 50) if times else None,
            "p95": percentile(times, 95) if times else None,
            "steps": [percentile(times, q) for q in range(0, 101, 5)] if times else [],
        },
        "errors": sum(row["finish"] == "error" for row in rows),
        "cut": sum(bool(row.get("cut")) for row in rows),
        "finish": dict(sorted(Counter(str(row["finish"]) for row in rows).items())),
        **_by_hit(rows, groups, seed),
    }


def _by_hit(rows: Sequence[Row], groups: Mapping[str, str], seed: int) -> Row:
    """F1 where retrieval found the evidence and where it did not: what better retrieval could bring."""
    parts = {"found": 1.0, "missed": 0.0}
    by = {k: share([r for r in rows if r.get("retrieval_hit") == hit], "f1", groups, seed) for k, hit in parts.items()}
    return {"f1_by_hit": by} if any(row.get("retrieval_hit") is not None for row in rows) else {}


def share(rows: Sequence[Row], metric: str, groups: Mapping[str, str], seed: int) -> dict[str, float] | None:
    """A mean with its 95 % interval, of whole clusters; None of nothing."""
    known = [row for row in rows if row.get(metric) is not None]
    if not known:
        return None
    values = [float(row[metric]) for row in known]
    low, high = clustered_interval(values, [groups[row["id"]] for row in known], seed)
    return {"mean": sum(values) / len(values), "low": low, "high": high, "n": len(values)}


def against_best(by_cell: Mapping[str, Sequence[Row]], groups: Mapping[str, str], seed: int) -> list[Row]:
    """Each cell against the one with the best F1, on the questions that both were asked; p values after Holm."""
    f1 = {name: {row["id"]: float(row["f1"]) for row in rows} for name, rows in by_cell.items()}
    if len(f1) < 2:
        return []
    best = max(f1, key=lambda name: sum(f1[name].values()) / len(f1[name]))
    results = []
    for other in (name for name in f1 if name != best):
        common = [i for i in f1[best] if i in f1[other]]
        found = clustered_paired(
            [f1[best][i] for i in common], [f1[other][i] for i in common], [groups[i] for i in common], seed
        )
        results.append({"best": best, "other": other, **found})
    for result, p in zip(results, holm([r["p"] for r in results]), strict=True):
        result["p_holm"] = p
    return results
