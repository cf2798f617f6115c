"""Conversations judged, turn by turn: which of the two answers is better, asked in both orders.

A judgement of a turn is `{"judge", "settings", "preferred", "agreed", "orders"}` under `judgements`: `orders` holds
what the judge said with the responses in their order and in the other one (0, 1, `tie`, or null where it can't be
read), and only where both say the same is that `preferred`. A judge that likes the first place says two different
things; how often it does is counted beside. Answers stand in `OUT.answers/` before they count: a run that was killed
goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

from querywright.artefacts import alone, apart, write_json
from querywright.conversations import document, verdict
from querywright.conversations.cast import Cast, Openers, open_cast, told
from querywright.conversations.docket import ORDERS, Task, Work, announced, estimate, plan
from querywright.conversations.docket import messages as task_messages
from querywright.conversations.document import Conversation
from querywright.conversations.judgements import judgements
from querywright.conversations.judges import Bench, Config
from querywright.conversations.llm import LLM
from querywright.conversations.tally import lines, summary
from querywright.conversations.timed import Timed
from querywright.engines.budget import BudgetReached, Purse
from querywright.engines.sender import Prompt
from querywright.errors import QuerywrightError
from querywright.progress import say, track


def judge(
    config: Config, source: Path, out: Path, openers: Openers, *, limit: int | None = None, money: float | None = None,
    tokens: int | None = None, dry: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Judge the conversations of a file and write all of them to `out`, with what was judged; returns the report.

    Args:
        source: what `synthesize` wrote, or JSON lines of conversations, judged by others or not.
        limit: at most so many conversations that were not judged like this before.
        money, tokens: never exceeded, earlier runs into `out` included.
        dry: only return what would be asked and what it would cost.

    Raises:
        QuerywrightError: nothing can be judged, or the run could not be finished: what was judged is written.
    """
    apart(source, output=out)
    document.refuse_place(out)
    whole = _read(source)
    bench = Bench(config, whole, openers.path)
    work = plan(config, bench, whole["conversations"], limit)
    _refuse_nothing(work, whole["conversations"], config)
    expected = estimate(config, bench, work)
    if dry:
        return expected
    folder = out.with_name(out.name + ".answers")
    failure: QuerywrightError | None = None
    usage: dict[str, Any] = {}
    if work.tasks:
        llms = list({llm.known_as: llm for task in work.tasks for llm in task.judges}.values())
        say(announced(expected))
        with alone(folder):
            timed = replace(openers, around=lambda engine: Timed(engine, config.timeout))
            cast = open_cast(llms, folder, timed, Purse(money, tokens), len(ORDERS) * config.concurrency)
            failure = QuerywrightError("interrupted")
            try:
                failure = _run(config, work, cast)
            finally:  # Ctrl-C too
                usage = cast.usage()
                cast.close()
                if failure is None or any(task.judgement for task in work.tasks):
                    report = _write(config, whole, work, usage, out)
    else:
        say(f"{source}: all that can be judged is judged already")
        report = _write(config, whole, work, usage, out)
    done = sum(task.judgement is not None for task in work.tasks)
    if failure is not None:
        hint = (
            f"the same command with a higher {failure.hint} goes on"
            if isinstance(failure, BudgetReached)
            else failure.hint
        )
        where = f", in {out}" if done else ""
        raise QuerywrightError(
            f"{failure}; {done} of {len(work.tasks)} turns are judged{where}", hint=hint, retryable=failure.retryable
        ) from failure
    for line in lines(report):
        say(line)
    say(f"judged: {done} of {len(work.tasks)} turns in {out}" + (f"; {told(usage)}" if usage else ""))
    return report


def _read(source: Path) -> dict[str, Any]:
    if source.suffix == ".jsonl":
        found = [*document.conversations(source)]
        return {"version": document.VERSION, "config": {}, "models": {}, "conversations": found}
    whole = document.read(source)
    for one in whole["conversations"]:
        one["id"] = one.get("id") or document.conversation_id(one)
    return whole


def _refuse_nothing(work: Work, conversations: Sequence[Conversation], config: Config) -> None:
    if not conversations:
        raise QuerywrightError("there are no conversations", hint="querywright conversations synthesize")
    if not work.tasks and work.left_out["no_judge"] and not work.left_out["judged_before"]:
        names = ", ".join(llm.known_as for llm in config.judge_llms)
        raise QuerywrightError(
            f"nobody may judge: {names} took part in every conversation",
            hint="another model under judge_llms: a server's, or a GGUF file with other weights",
        )


class _Judges:
    """The judges at work: one that is gone is not asked again."""

    def __init__(self, config: Config, cast: Cast) -> None:
        self._config, self._cast = config, cast
        self._gone: dict[str, QuerywrightError] = {}

    def ask(self, task: Task) -> dict[str, Any] | None:
        """A judgement, None where no judge has answered.

        Raises:
            BudgetReached: a question might cost more than is left.
            QuerywrightError: all judges of the turn are gone.
        """
        left = [llm for llm in task.judges if llm.known_as not in self._gone]
        for llm in left:
            try:
                said = self._said(llm, task)
            except BudgetReached:
                raise
            except QuerywrightError as error:
                if self._gone.setdefault(llm.known_as, error) is error:
                    say(f"{llm.known_as} judges no more: {error}")
                continue
            if said:
                return self._judgement(llm, said)
        gone = [self._gone[llm.known_as] for llm in task.judges if llm.known_as in self._gone]
        if len(gone) == len(task.judges):
            raise gone[0]
        return None

    def _said(self, llm: LLM, task: Task) -> list[str]:
        """What a judge says in both orders; nothing where one of them has no answer."""
        texts: list[str] = []
        for swapped in ORDERS:
            first, *rest = task_messages(self._config, task.conversation, task.place, swapped)
            if llm.system:  # of an entry, before what every judge is told: some templates take one system message only
                first = {**first, "content": f"{llm.system}\n\n{first['content']}"}
            grammar = verdict.grammar(self._config.reasons)
            prompt = Prompt([first, *rest], grammar, llm.max_tokens, llm.temperature, self._config.seed)
            answers = self._cast.ask(llm, prompt)
            if not answers:
                return []
            texts.append(answers[0].text)
        return texts

    def _judgement(self, llm: LLM, said: Sequence[str]) -> dict[str, Any]:
        orders = [verdict.read(text, swapped) for text, swapped in zip(said, ORDERS, strict=True)]
        preferred = verdict.agreed(orders)
        why = [verdict.reason(text) for text in said] if self._config.reasons else []
        return {
            "judge": llm.known_as, "settings": self._config.settings(llm), "preferred": preferred,
            "agreed": preferred is not None, "orders": orders, **({"why": why} if any(why) else {}),
        }  # fmt: skip


def _run(config: Config, work: Work, cast: Cast) -> QuerywrightError | None:
    """Judge the turns; returns what ended it before all of them were."""
    judges, stop, failures = _Judges(config, cast), threading.Event(), list[QuerywrightError]()

    def one(task: Task) -> None:
        if stop.is_set():
            return
        try:
            task.judgement = judges.ask(task)
        except QuerywrightError as error:
            failures.append(error)
            stop.set()
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(config.concurrency) as pool:
        futures = [pool.submit(one, task) for task in work.tasks]
        try:
            for future in track(as_completed(futures), "judging turns", len(futures), note=lambda: str(cast.purse)):
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    work.left_out["no_answer"] += sum(task.judgement is None for task in work.tasks) if not failures else 0
    return failures[0] if failures else None


def _write(
    config: Config, whole: dict[str, Any], work: Work, usage: Mapping[str, Any], out: Path
) -> dict[str, Any]:  # fmt: skip
    """Write the conversations with their judgements; returns the report, which is among them."""
    for task in work.tasks:
        turn = task.conversation["turns"][task.place]
        if task.judgement is not None:
            turn["judgements"] = [*judgements(turn), task.judgement]
    report = {
        "config": config.public(), **summary([t for t in work.tasks if t.judgement is not None]),
        "left_out": {reason: n for reason, n in sorted(work.left_out.items()) if n}, "usage": dict(usage),
    }  # fmt: skip
    before = whole.get("judging")
    head = {key: value for key, value in whole.items() if key != "conversations"}
    head["judging"] = [*(before if isinstance(before, list) else []), report]
    write_json(out, {**head, "conversations": whole["conversations"]})
    return report
