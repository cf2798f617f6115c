"""The cells of an evaluation on question rows: what is put to each, and asking it, kept as it comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from querywright import __version__
from querywright.engines.base import Engine, capacity_of
from querywright.engines.open import is_address
from querywright.errors import QuerywrightError
from querywright.evaluate import kept
from querywright.evaluate.models import Absent
from querywright.evaluate.questions_ask import Ask, Passage, Retriever, Source, asking, prepare
from querywright.evaluate.questions_config import Config
from querywright.evaluate.questions_rows import Question
from querywright.evaluate.questions_score import score_row
from querywright.progress import say

_GIVEN_UP = 20  # questions in a row without an answer: the model is gone


@dataclass(frozen=True)
class Cell:
    """One combination of the sweep."""

    model: str
    strategy: str
    n: int = 1

    @property
    def file(self) -> str:
        return f"{self.model}.{self.strategy}" + f".n{self.n}" * (self.n > 1)

    @property
    def name(self) -> str:
        """As people read it."""
        return f"{self.model} · {self.strategy}" + f" · n={self.n}" * (self.n > 1)


def plan(
    config: Config, asked: Sequence[Question], passages: Mapping[int, Passage], retriever: Retriever | None
) -> tuple[list[tuple[Cell, list[Ask]]], list[str], list[str]]:
    """The cells with what is put to each, those of one model side by side; why others are not asked; and notes on which
    questions are not asked in a cell, or not as its strategy has it."""
    found = lru_cache(None)(retriever.nearest) if retriever is not None else None
    todo: list[tuple[Cell, list[Ask]]] = []
    left_out: list[str] = []
    notes: dict[str, None] = {}  # most of them are the same for each model
    usable = [strategy for strategy in config.strategies if strategy != "rag" or (found is not None and passages)]
    if "rag" in config.strategies and "rag" not in usable:
        left_out.append("rag: there are no documents to search")
    for model, entry in config.models.items():
        for strategy in usable:
            asks = [
                ask for question in asked
                if (ask := prepare(question, strategy, passages, system=entry.system,
                                   most_chars=config.chars_of(model), k=config.k, find=found)) is not None
            ]  # fmt: skip
            if not asks:
                left_out.append(f"{model} · {strategy}: no row has a window of these documents, or evidence")
                continue
            notes |= dict.fromkeys(_notes(strategy, asks, len(asked), config.chars_of(model)))
            todo += [(Cell(model, strategy, n), asks) for n in config.n]
    if passages and (astray := sum(_astray(question, passages) for question in asked)):
        notes[f"the evidence of {astray} of {len(asked)} questions is not in its chunk: these may not be the documents "
              "that they were made from"] = None  # fmt: skip
    for note in notes:
        say(note)
    for reason in left_out:
        say(f"left out: {reason}")
    if not todo:
        raise QuerywrightError(
            f"nothing can be asked: {'; '.join(left_out)}",
            hint="the strategy closed needs questions alone; or --documents",
        )
    return todo, left_out, [*notes]


def _astray(question: Question, passages: Mapping[int, Passage]) -> bool:
    """Whether a row names a chunk for its evidence that does not hold it, white space aside."""
    if not question.evidence or question.evidence_chunk is None:
        return False
    chunk = passages.get(question.evidence_chunk)
    return chunk is None or " ".join(question.evidence.split()) not in " ".join(chunk.text.split())


def _notes(strategy: str, asks: Sequence[Ask], n: int, most: int) -> list[str]:
    """In what way questions are not asked as the strategy has it."""
    bare = sum(strategy == "window" and not ask.shown for ask in asks)
    lost = sum(strategy == "rag" and not ask.shown for ask in asks)
    notes = [
        f"{n - len(asks)} of {n} questions have no passages and are not asked" * (len(asks) < n),
        f"{bare} of {n} questions have no window in the documents: they are shown their evidence" * (bare > 0),
        f"retrieval finds nothing for {lost} of {n} questions: they are asked alone" * (lost > 0),
        f"the passages of {sum(ask.cut for ask in asks)} questions are cut at {most:,} characters (most_chars)"
        * any(ask.cut for ask in asks),
    ]
    return [f"{strategy}: {note}" for note in notes if note]


def run(
    config: Config, todo: Sequence[tuple[Cell, list[Ask]]], sources: Mapping[str, Source],
    passages: Mapping[int, Passage], out: Path, left_out: list[str],
) -> list[dict[str, Any]]:  # fmt: skip
    """Ask what has not been asked yet; a model is loaded only if something is left to ask. One that can't answer is
    left out; one that is away ends the run, which can be gone on with."""
    rows: list[dict[str, Any]] = []
    with ExitStack() as loaded:
        current, engine = "", None
        for number, (cell, asks) in enumerate(todo, 1):
            source = sources[cell.model]
            header, path = _header(config, cell, source), out / "cells" / f"{cell.file}.jsonl"
            answers = kept.read(path, header)
            left = {ask.key: ask for ask in asks if ask.key not in answers}
            if left:
                if current != cell.model or engine is None:
                    loaded.close()
                    say(f"loading {cell.model}: {source.path}")
                    engine, current = loaded.enter_context(source.open()), cell.model
                before = len({ask.key for ask in asks}) - len(left)
                what = f"[{number}/{len(todo)}] {cell.name}" + f" ({before} kept)" * bool(before)
                try:
                    answers |= _ask(config, cell, engine, left, path, header, what, not answers)
                except Absent as error:
                    say(f"left out: {error}")
                    left_out.append(_hidden(str(error), source.path, cell.model))
                    continue
            for answer in answers.values():
                if "reason" in answer:
                    answer["reason"] = _hidden(str(answer["reason"]), source.path, cell.model)
            paid: set[str] = set()
            for ask in asks:
                rows.append(_row(cell, ask, answers[ask.key], passages))
                if ask.key in paid:  # equal questions of several documents are one request
                    rows[-1] |= {"tokens_in": 0, "tokens_out": 0}
                paid.add(ask.key)
    if not rows:
        raise QuerywrightError(f"no cell gave an answer: {'; '.join(left_out)}", hint="correct that; then run it again")
    return rows


def _ask(
    config: Config, cell: Cell, engine: Engine, left: Mapping[str, Ask], path: Path, header: Mapping[str, Any],
    what: str, fresh: bool,
) -> dict[str, kept.Answer]:  # fmt: skip
    entry = config.models[cell.model]
    ask = asking(engine, entry, n=cell.n, temperature=config.temperature,
                 max_tokens=config.tokens_of(cell.model), seed=config.seed)  # fmt: skip
    return dict(
        kept.fill(path, header, left.items(), ask, what, fresh=fresh, at_once=capacity_of(engine), given_up=_GIVEN_UP)
    )


def _header(config: Config, cell: Cell, source: Source) -> dict[str, Any]:
    """All that an answer depends on, besides what the model reads, which is its key."""
    entry = config.models[cell.model]
    return kept.plain({
        "version": __version__, "model": cell.model, "strategy": cell.strategy, "n": cell.n, "seed": config.seed,
        "max_tokens": config.tokens_of(cell.model),
        "temperature": config.temperature if cell.n > 1 else entry.temperature, **source.identity,
    })  # fmt: skip


def _hidden(reason: str, path: str, name: str) -> str:
    """A server's address is its machine's own: reasons name the model instead."""
    reason = reason.encode("utf-8", "replace").decode()
    return reason.replace(path.partition("#")[0], name) if is_address(path) else reason


def _row(cell: Cell, ask: Ask, answer: kept.Answer, passages: Mapping[int, Passage]) -> dict[str, Any]:
    question = ask.question
    return {
        "id": question.id, "question": question.question, "expected": question.answers[0],
        "answers": [*question.answers], "evidence": question.evidence, "evidence_chunk": question.evidence_chunk,
        "window": list(question.window) if question.window else None, "document": question.document,
        "cell": cell.name, "model": cell.model, "strategy": cell.strategy, "samples": cell.n, "shown": [*ask.shown],
        "cut": ask.cut, **{k: v for k, v in answer.items() if k not in ("key", "retryable")},
        **score_row(ask, answer, passages, cell.strategy),
    }  # fmt: skip
