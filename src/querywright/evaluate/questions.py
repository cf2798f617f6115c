"""Evaluate models on question rows: every model with every strategy, scored against the reference answers.

Answers are kept one by one under `<out>/cells/` (see `kept`), the judge's grades under `<out>/judge/`: an evaluation
that was stopped goes on where it was, and ends as if it had not been.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from querywright.artefacts import alone, write_jsonl
from querywright.engines.prices import price_of
from querywright.evaluate import questions_report, safe_pickle
from querywright.evaluate.questions_ask import Passage, Retriever, Source
from querywright.evaluate.questions_config import Config
from querywright.evaluate.questions_judge import judged
from querywright.evaluate.questions_rows import clusters, questions
from querywright.evaluate.questions_run import plan, run
from querywright.evaluate.questions_score import add_text_scores, against_best, summary
from querywright.evaluate.score import finite
from querywright.progress import say


def evaluate_questions(
    rows: Sequence[Mapping[str, Any]],
    chunks: Sequence[Passage],
    config: Config,
    sources: Mapping[str, Source],
    out: Path,
    *,
    retriever: Retriever | None = None,
) -> dict[str, Any]:
    """Ask every model every question under every strategy, score the answers, and write the report.

    Args:
        rows: question rows: `question` and `answer` (or `answers`, of which the nearest counts), and where there are
            such `id`, `evidence`, `evidence_chunk`, `window` [first, last], `document`.
        chunks: the documents' chunks (`number` from 1, `text`), for the strategies `window` and `rag`; none of them is
            needed for `closed`.
        config: the sweep; see `questions_config`.
        sources: what answers for each model and for the judge, by name; `questions_ask.sources_of` makes them.
        out: the folder of everything written; one evaluation at a time works in it.
        retriever: finds chunks for the strategy `rag`.

    Returns:
        Plain values, as `scores.json` has them (None for what is not known):

        name: of the config. `config`: it, resolved, without secrets. `n`: questions. `seconds`: of this run.
        clusters: `{by: "window" | "document" | "question", n}`: what the intervals draw, since questions of one window
            are not independent.
        cells: one for each model, strategy and number of samples:
            name, model, strategy, samples, n (questions asked in it);
            scores: {f1, exact, contains, meteor?, bertscore?, judge?, retrieval_hit?}, each {mean, low, high, n}, from
                0 to 1, with 95 % intervals;
            tokens_in, tokens_out: of all requests, each once; cost: {total, per_1000, note}; ms: {p50, p95, steps} of
                an answer;
            errors: questions without an answer, which count as wrong; finish: how answers ended, by number.
        paired: cells against the one with the best F1, on the questions that both were asked: best, other, n,
            difference, low, high, p, p_holm.
        judge: None, or {name, judged_too (names of models that it judges and is), asked, unread, agreement
            (share of answers with one grade in both orders), order (grade with the answer first minus reference
            first), controls, tokens_in, tokens_out, cost}.
        left_out: why cells were not asked.
        notes: of the others, which questions were not asked, or not as the strategy has it.
        files: names within `out`: {responses, pickle, scores, report, plots: [...]}.

    Raises:
        QuerywrightError: rows or chunks that can't be; no cell gave an answer; a model is gone (then `retryable`: what
            was answered is kept).
    """
    start = time.monotonic()
    asked = questions(rows, config.seed)[: config.limit]
    by, groups = clusters(asked)
    passages = {chunk.number: chunk for chunk in chunks}
    with alone(out):
        todo, left_out, notes = plan(config, asked, passages, retriever)
        scored = run(config, todo, sources, passages, out, left_out)
        add_text_scores(scored, config.text_scores.model_dump(exclude_defaults=False))
        judge = judged(scored, asked, config.judge, config.entries, sources, out) if config.judge else None
        by_cell: dict[str, list[dict[str, Any]]] = {}
        for row in scored:
            by_cell.setdefault(row["cell"], []).append(row)
        prices = {name: price_of(source.path) for name, source in sources.items()}
        found: dict[str, Any] = {
            "name": config.name,
            "config": config.public(),
            "n": len(asked),
            "clusters": {"by": by, "n": len({*groups.values()})},
            "cells": [
                summary(name, mine, groups, config.seed, prices[mine[0]["model"]]) for name, mine in by_cell.items()
            ],
            "paired": against_best(by_cell, groups, config.seed),
            "judge": judge,
            "left_out": left_out,
            "notes": notes,
        }
        found = finite(found)
        write_jsonl(out / f"responses_{config.name}.jsonl", scored)
        safe_pickle.dump(scored, out / f"responses_{config.name}.pkl")
        files = questions_report.write(found, scored, out)
    say(f"written to {out}: {files['report']}, {files['scores']}")
    return {**found, "files": files, "seconds": round(time.monotonic() - start, 1)}
