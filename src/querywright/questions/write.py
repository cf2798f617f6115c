"""The writer with a model: what it is asked, and how its answers become drafts.

A local model writes one question at a time under a grammar: the evidence is a sentence of the window, verbatim, and the
answer a piece of it, so neither can be wrong by a letter. A server is asked for all questions of a window as JSON; what
it copied badly is found or dropped by `verify`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from querywright.artefacts import content_id
from querywright.engines.base import Completion
from querywright.engines.budget import Budget
from querywright.engines.fence import clean, json_object
from querywright.engines.ledger import Ledger
from querywright.engines.prices import price_of
from querywright.engines.sender import Prompt, Sender, open_many
from querywright.errors import QuerywrightError
from querywright.progress import say
from querywright.questions import prompts
from querywright.questions.drafts import Draft, Task, Writer
from querywright.questions.prompts import Shown
from querywright.questions.spans import answers, sentences

RULES = "rules"
ANSWERS = "answers.jsonl"
TRIES = 2
"""Drafts that a small model writes for each question that is wanted: about every other one is dropped."""
_MOST_SMALL = 4000  # characters of a window that a local model is shown: its context holds 4,096 tokens
_MOST = 24_000
_SENTENCES = 4  # that a small model chooses from
_HANG_S = 600.0  # a local model on a busy machine may be silent for so long


def open_writer(
    model: str, out: Path | str, *, adapter: str | None = None, key: str | None = None, threads: int | None = None,
    concurrency: int = 4, slots: int | None = None, temperature: float = 0.0, money: float | None = None,
    tokens: int | None = None, isolated: bool = False,
) -> Writer:  # fmt: skip
    """A writer: `rules` needs no model; else a path or an address as `engines.open` takes it.

    Args:
        out: the folder of `make.make`; a model's answers are kept in it.
        concurrency: requests that a server has at once; `slots`: that llama.cpp works on at once.
        money, tokens: limits over all runs into `out`; what is left out then is in the report.

    Raises:
        QuerywrightError: there is no such model, or a limit in money and no price.
    """
    if model == RULES:
        from querywright.questions.rules import RulesWriter

        return RulesWriter()
    price = price_of(model)
    if money is not None and price is None:
        raise QuerywrightError(
            f"the price of {model.rpartition('#')[2]} is not known, so a budget can't hold",
            hint="add it to data/prices.yaml, or --max-tokens-total",
        )
    engines = open_many(
        model, concurrency, adapter=adapter, key=key, threads=threads, slots=slots, isolated=isolated, hang_s=_HANG_S
    )
    budget = Budget(price.tokens_in if price else 0.0, price.tokens_out if price else 0.0, money, tokens)
    return EngineWriter(Sender(engines, Ledger(Path(out) / ANSWERS), budget), temperature=temperature)


class EngineWriter:
    """Writes through a `Sender`. See `drafts.Writer`."""

    def __init__(self, sender: Sender, *, temperature: float = 0.0, tries: int | None = None) -> None:
        """Nothing is sent yet.

        Args:
            tries: drafts for each question that is wanted; by default `TRIES` of a local model, 1 of a server.
        """
        self.sender = sender
        self.temperature = temperature
        self.small = sender.local
        self.tries = tries or (TRIES if self.small else 1)
        self.cut: list[str] = []  # windows that were shown in part

    def write(self, tasks: Iterable[Task]) -> Iterator[list[Draft]]:
        """See `drafts.Writer.write`. A task that a limit left out has one draft with the fault `budget`."""
        waiting: deque[tuple[Task, list[Shown], int]] = deque()

        def asked() -> Iterator[Prompt]:
            for task in tasks:
                parts = self._shown(task)
                found = self._small(task, parts) if self.small else self._large(task, parts)
                waiting.append((task, parts, len(found)))
                yield from found

        answered: Any = self.sender.many(asked())
        ended = object()
        try:
            for first in chain(answered, [ended]):
                while waiting and not waiting[0][2]:  # windows without anything to ask about
                    waiting.popleft()
                    yield []
                if first is ended:
                    return
                task, parts, n = waiting.popleft()
                every: list[Any] = [first, *(next(answered) for _ in range(n - 1))]
                yield [draft for done in every for draft in self._drafts(task, parts, done)]
        finally:
            answered.close()  # what is under way is waited for and kept

    def about(self) -> dict[str, Any]:
        """See `drafts.Writer.about`."""
        prompt = content_id("\n".join(prompts.template().values()))
        return {**self.sender.about(), "writer": self.sender.model, "temperature": self.temperature,
                "tries": self.tries, "prompt": prompt}  # fmt: skip

    def close(self) -> None:
        """See `drafts.Writer.close`."""
        self.sender.close()

    def _shown(self, task: Task) -> list[Shown]:
        parts = prompts.shown(task, _MOST_SMALL if self.small else _MOST)
        lost = sum(len(chunk.text) for chunk in task.chunks) - sum(len(part.text) for part in parts)
        if any(part.end - part.start < len(part.chunk.text) for part in parts):
            if not self.cut:
                say(f"window {task.window} is too long for a prompt: {lost:,} of its characters are not shown")
            self.cut.append(str(task.window))
        return parts

    def _large(self, task: Task, parts: Sequence[Shown]) -> list[Prompt]:
        if not parts:
            return []
        most = prompts.TOKENS_EACH * task.n * self.tries + 40
        chat = prompts.messages(parts, task.n * self.tries)
        return [Prompt(chat, prompts.schema(), most, self.temperature, task.seed)]

    def _small(self, task: Task, parts: Sequence[Shown]) -> list[Prompt]:
        """A prompt for each draft: the window's sentences are dealt out among them."""
        offered = list(_offered(task, parts))
        n = min(task.n * self.tries, len(offered))
        chat = prompts.small_messages(parts)
        found = []
        for place in range(n):
            some = offered[place::n][:_SENTENCES]
            choices = {sentence: answers(sentence) for _, sentence in some}
            about = {sentence: _about(part) for part, sentence in some}
            grammar = prompts.small_grammar(choices, about)
            found.append(Prompt(chat, grammar, prompts.TOKENS_SMALL, self.temperature, task.seed + place))
        return found

    def _drafts(self, task: Task, parts: Sequence[Shown], done: list[Completion] | None) -> list[Draft]:
        if done is None:
            return [Draft(fault="budget")]
        if not done:
            return [Draft(fault="no_answer")]
        one = done[0]
        spent: dict[str, Any] = {"tokens_in": one.tokens_in, "tokens_out": one.tokens_out, "ms": one.ms}
        if not self.small:
            return _from_json(one, spent)
        found = prompts.read_small(one.text)
        if found is None:
            return [Draft(fault="cut" if one.finish == "length" else "unreadable", **spent)]
        evidence, answer, question = found
        for part in parts:
            at = part.chunk.text.find(evidence, part.start, part.end)
            if at >= 0:
                return [Draft(question, answer, evidence, part.chunk.number, at, **spent)]
        return [Draft(question, answer, evidence, **spent)]


def _offered(task: Task, parts: Sequence[Shown]) -> Iterator[tuple[Shown, str]]:
    """The sentences that a window's questions may be about, in an order of the seed's own, those that are easiest to
    ask about first; of a chunk that several windows hold another share in each."""
    found: list[tuple[tuple[bool, str], Shown, str]] = []
    for part in parts:
        turn, of = task.turns.get(part.chunk.number, (0, 1))
        whole = part.start == 0 and part.end == len(part.chunk.text)
        spans = [(s, e) for s, e in sentences(part.chunk.text) if part.start <= s and e <= part.end]
        if whole and of > 1:
            spans = [span for number, span in enumerate(spans) if number % of == turn]
        for start, end in spans:
            text = part.chunk.text[start:end]
            if choices := answers(text):
                order = content_id(f"{task.seed} {part.chunk.number} {text}")
                found.append(((not choices[0].helped, order), part, text))
    seen: set[str] = set()
    for _, part, text in sorted(found, key=lambda one: one[0]):
        if text not in seen:
            seen.add(text)
            yield part, text


def _about(part: Shown) -> str:
    """What a chunk is about, in words that its questions may have: its title, and the names in it."""
    fields = part.chunk.fields or {}
    titles = (fields.get(name) for name in ("title", "name", "heading"))
    title = next((title for title in titles if isinstance(title, str)), "")
    return f"{clean(title)[:80]} {prompts.names(part.text)[:200]}"


def _from_json(one: Completion, spent: dict[str, Any]) -> list[Draft]:
    """The drafts of a server's answer; the first carries what all of them cost."""
    listed = (json_object(one.text) or {}).get("questions")
    listed = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    if not listed:
        return [Draft(fault="cut" if one.finish == "length" else "unreadable", **spent)]
    found: list[Draft] = []
    for item in listed:
        number = item.get("chunk")
        texts = [item[name] if isinstance(item.get(name), str) else "" for name in ("question", "answer", "evidence")]
        chunk = number if isinstance(number, int) and not isinstance(number, bool) else 0
        found.append(Draft(clean(texts[0]), texts[1].strip(), texts[2].strip(), chunk, **(spent if not found else {})))
    return found
