"""One answer out of several: the model's most likely one, samples of it, and what the reader without a model reads.

They are grouped by meaning. With a calibration the group that is likeliest right is taken; without one the group that
most of them mean, among equals the one that finds records, then the more probable one. A sentence whose first answer is
sure enough is not asked again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from querywright.api.call import Call, CallError, parse
from querywright.api.definition import API
from querywright.api.executors import Executor
from querywright.api.refusal import NIL
from querywright.engines.base import Completion, Engine, Message, Progress, weigh
from querywright.errors import QuerywrightError
from querywright.generate.answer import MAX_TOKENS, Answer, Decoding, judge, prepare
from querywright.generate.confidence import Fit, Mode, Readings, agreement, confidence, likelihood, size
from querywright.generate.prompts import Strategy

Reader = Callable[[API, str, Sequence[Message]], Readings]
TEMPERATURE = 0.7
_READINGS = 3  # of the reader's that stand beside the model's answers


@dataclass(frozen=True)
class Aids:
    """What judges answers besides the model; all of it may be missing.

    Attributes:
        reader: reads a sentence without a model.
        executor: runs calls, to see whether they find anything.
        calibration: of the model, see `confidence.read_calibration`.
        enough: a calibrated confidence from which on one pass is taken as it is, and no samples are drawn.
        least: a confidence below which no answer is given (`Answer.abstained`).
    """

    reader: Reader | None = None
    executor: Executor | None = None
    calibration: Mapping[Mode, Fit] = field(default_factory=dict)
    enough: float = 0.97
    least: float = 0.0


@dataclass
class _Group:
    """Answers that mean the same: the most probable of them, who gave them, and what speaks for them."""

    answer: Answer
    call: Call | None
    signs: dict[str, float]
    votes: int = 0
    sources: list[str] = field(default_factory=list)
    hits: int | None = None
    sure: float | None = None


def choose(
    api: API,
    instruction: str,
    engine: Engine,
    strategy: str | Strategy = "tuned",
    decoding: Decoding = "grammar",
    *,
    turns: Sequence[Message] = (),
    grounded: bool | None = None,
    refuse: bool | None = None,
    max_tokens: int = MAX_TOKENS,
    seed: int = 0,
    n: int = 1,
    temperature: float = TEMPERATURE,
    aids: Aids | None = None,
    progress: Progress | None = None,
) -> Answer:
    """Write the call that a sentence asks for, with how sure it is; see `answer.answer` for the other arguments.

    Args:
        n: answers of the model: the most likely one and n - 1 samples at `temperature`. With n > 1 the reader's
            readings are weighed beside them. 1 is one pass, of which only the confidence hangs on the reader.
        progress: see `engines.base.Engine.generate`; it is told of the most likely answer, and may stop each.

    Raises:
        MaskError: the grammar could not be enforced.
        EngineError: the engine failed.
    """
    aids = aids or Aids()
    instruction = instruction.encode("utf-8", "replace").decode()  # halves of a character, as of a terminal in Latin-1
    messages, grammar, said = prepare(
        api, instruction, strategy, decoding, turns=turns, grounded=grounded, refuse=refuse
    )  # fmt: skip
    with ThreadPoolExecutor(1) as beside:  # the model is mostly in a process of its own, or outside of the interpreter
        reading = None if aids.reader is None else beside.submit(aids.reader, api, instruction, turns)
        watched: dict[str, Any] = {} if progress is None else {"progress": progress}
        first = engine.generate(
            messages, grammar=grammar, max_tokens=max_tokens, temperature=0.0, seed=seed, n=1, **watched
        )[0]
        readings = None if reading is None else reading.result()
    one = _groups(api, messages, [(first, "model")], readings, said)
    _run(one, aids.executor)
    best = _best(one, "one", aids, 1)
    sure = best.sure if "one" in aids.calibration else None
    if n == 1 or (sure is not None and sure >= aids.enough):
        return _settled(best, one, "one", aids)
    if progress is not None:  # samples may be stopped; what they write is nobody's answer yet
        watched = {"progress": lambda _: progress(first.text)}
    drawn = engine.generate(
        messages, grammar=grammar, max_tokens=max_tokens, temperature=temperature, seed=seed, n=n - 1, **watched
    )  # fmt: skip
    told: list[tuple[Completion, str]] = [(first, "model"), *((done, "sample") for done in drawn)]
    known = {parsed.canonical for done, _ in told if (parsed := _parsed(api, done)) is not None}
    texts = [call.text for call in ([*readings[0]] if readings else [])[:_READINGS] if call.canonical not in known]
    told += [(done, "reader") for done in weigh(engine, messages, texts, grammar)]
    groups = _groups(api, messages, told, readings, said)
    _run(groups, aids.executor)
    return _settled(_best(groups, "several", aids, n), groups, "several", aids, [done for done, _ in told])


def _parsed(api: API, done: Completion) -> Call | None:
    try:
        return parse(api, done.text.strip()) if done.finish == "stop" else None
    except (CallError, RecursionError):
        return None


def _groups(
    api: API, messages: list[Message], told: Sequence[tuple[Completion, str]], readings: Readings | None,
    said: str | None = None,
) -> list[_Group]:
    """Answers by meaning, in the order in which they came; refusals are one group, so is what is no call at all."""
    found: dict[str, _Group] = {}
    for done, source in told:
        answer = judge(api, done, messages, said)
        call = parse(api, answer.path) if answer.ok else None
        meaning = call.canonical if call else NIL if answer.refused else ""
        signs = likelihood(done) | agreement(call, bool(answer.refused), readings) | {"clauses": size(call)}
        group = found.setdefault(meaning, _Group(answer, call, signs))
        if _likely(signs) > _likely(group.signs):
            group.answer, group.call, group.signs = answer, call, signs
        group.votes += source != "reader"
        group.sources.append(source)
    if readings:  # it has a say in what the model wrote already, too
        for group in found.values():
            if group.signs.get("agrees") and group.call is not None and "reader" not in group.sources:
                group.sources.append("reader")
    return [*found.values()]


def _likely(signs: Mapping[str, float]) -> float:
    return -math.inf if signs.get("unknown") else signs["grammar"]


def _run(groups: Sequence[_Group], executor: Executor | None) -> None:
    if executor is None:
        return
    for group in groups:
        if group.call is not None:
            try:
                group.hits = executor.run(group.call).total
            except (QuerywrightError, ValueError):  # what can't be run says nothing
                continue
            group.signs["no_hits"] = float(group.hits == 0)


def _best(groups: Sequence[_Group], mode: Mode, aids: Aids, n: int) -> _Group:
    """The group to answer with; every group gets its confidence. What is no call is taken only where nothing is."""
    for group in groups:
        if mode == "several":
            others = [_likely(g.signs) for g in groups if g is not group]
            lead = _likely(group.signs) - max(others, default=-20.0)
            group.signs |= {
                "share": group.votes / n, "most_likely": float("model" in group.sources),
                "lead": 0.0 if math.isnan(lead) else max(-10.0, min(10.0, lead)),
            }  # fmt: skip
        whole = group.call is not None or group.answer.refused
        group.sure = confidence(group.signs, mode, aids.calibration) if whole else 0.0
    fit = mode in aids.calibration

    def rank(group: _Group) -> tuple[Any, ...]:
        whole = group.call is not None or bool(group.answer.refused)
        votes = group.votes + ("reader" in group.sources)
        voted = (votes, not group.signs.get("no_hits"), _likely(group.signs))
        return (whole, group.sure or 0.0, *voted) if fit else (whole, *voted)

    return max(groups, key=rank)


def _settled(
    best: _Group, groups: Sequence[_Group], mode: Mode, aids: Aids, told: Sequence[Completion] = ()
) -> Answer:  # fmt: skip
    ms, tokens = best.answer.ms, best.answer.tokens
    if told:  # all of them were paid for
        ms, tokens = sum(done.ms for done in told), sum(done.tokens_out for done in told)
    listed = [
        {"path": g.answer.path, "ok": g.answer.ok, "refused": g.answer.refused, "votes": g.votes, "sources": g.sources,
         "hits": g.hits, "confidence": g.sure, "signs": g.signs}
        for g in groups
    ]  # fmt: skip
    hesitant = best.sure is not None and best.sure < aids.least and (best.answer.ok or bool(best.answer.refused))
    return replace(
        best.answer, ms=ms, tokens=tokens, confidence=best.sure, signs=best.signs, hits=best.hits, abstained=hesitant,
        calibrated=mode in aids.calibration, votes=best.votes, candidates=listed if told else [],
    )  # fmt: skip
