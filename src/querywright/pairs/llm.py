"""The teacher that is a language model: batches of calls, two sentences and a description each, checked.

It stands behind `make.Teacher` like the templates. What a model says is taken only as far as it is a sentence that
could ask for its call (`fault`); a call whose sentences are rejected is asked for once more, with the reasons.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from querywright.api.call import Call
from querywright.artefacts import content_id
from querywright.engines.budget import tokens_of
from querywright.engines.fence import clean, json_parts
from querywright.engines.sender import Prompt, Sender
from querywright.pairs import llm_prompt
from querywright.pairs.check import problem
from querywright.pairs.llm_prompt import SENTENCES, Task
from querywright.progress import say, track
from querywright.rows import row

BATCH_LOCAL, BATCH = 1, 5
_LONGEST_CALL = 1000  # characters: nobody says five hundred ids
_MOST_WORDS = 60
_MARKUP = re.compile(
    r"https?://|[?&]\w+=|\bq=|/v\d+/|\[\S+ TO \S+\]|[{}]|</|<\||\*\*|```|\\[nu\"]|\bas an ai\b"
    r"|===|\bDATA [0-9a-f]{8}\b",  # the fence of the prompt
    re.I,
)


@dataclass
class Worded:
    """What the teacher has for one call.

    Attributes:
        sentences: by text, which form each has (`imperative`, `question`).
        rejected: sentences with the reason's code.
    """

    call: Call
    description: str = ""
    persona: str = ""
    sentences: dict[str, str] = field(default_factory=dict)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    asked: bool = False


class LLMTeacher:
    """Words calls through a `Sender`. See `make.Teacher`."""

    def __init__(
        self, sender: Sender, *, batch: int | None = None, personas: Sequence[Mapping[str, str]] = (),
        temperature: float = 0.7,
    ) -> None:  # fmt: skip
        """Nothing is sent yet.

        Args:
            batch: calls of one prompt; 5 for a server and 1 for a local model by default, whose answers get worse.
            personas: who may be asking, dealt out over the batches.
            temperature: of the first answers too: the same words for each call teach a model little.
        """
        self.sender = sender
        self.batch = batch or (BATCH_LOCAL if sender.local else BATCH)
        self.batch_again = max(1, self.batch // 4)
        self.personas = personas
        self.temperature = temperature
        self.reasons: Counter[str] = Counter()

    def instructions(self, call: Call, n: int) -> list[str]:
        """Up to `n` different sentences that ask for `call`.

        Raises:
            QuerywrightError: the model is gone, or the budget is used up.
        """
        return list(self.words([call], n)[0].sentences)[:n]

    def words(self, calls: Sequence[Call], n: int) -> list[Worded]:
        """Words for each call, in their order: two sentences a prompt, as many prompts as `n` sentences need.

        Raises:
            QuerywrightError: the model is gone; what it answered is kept.
        """
        found = [Worded(call) for call in calls]
        speakable = [w for w in found if len(w.call.text) <= _LONGEST_CALL]
        rounds = -(-n // len(SENTENCES))
        for other in range(rounds):
            name = "LLM teacher" + (f", sentences {2 * other + 1} and {2 * other + 2}" if rounds > 1 else "")
            poor = self._round([(w, Task(w.call, (), other)) for w in speakable], self.batch, name)
            if poor:
                say(f"{name}: asking again for {len(poor)} calls whose sentences were rejected")
                self._round(poor, self.batch_again, f"{name}, second try", seed=1)
        return found

    def prompts(self, calls: Sequence[Call], n: int) -> list[Prompt]:
        """The prompts that wording `calls` takes at least, for an estimate."""
        return [self._prompt(part, 0) for part in self.parts(calls, n)]

    def parts(self, calls: Sequence[Call], n: int) -> list[Sequence[Task]]:
        """What each of those prompts asks for."""
        rounds = range(-(-n // len(SENTENCES)))
        speakable = [c for c in calls if len(c.text) <= _LONGEST_CALL]
        tasks = ([Task(c, (), other) for c in speakable] for other in rounds)
        return [part for listed in tasks for part in _parts(listed, self.batch)]

    def poor(self, part: Sequence[Task], text: str | None) -> int:
        """How many calls of a prompt may have to be asked for again; all of them where there is no answer yet."""
        if text is None:
            return len(part)
        answers, dry = json_parts(text), LLMTeacher(self.sender)
        told = (dry._take(Worded(t.call), answers.get(str(number)), "") for number, t in enumerate(part, 1))
        return sum(map(bool, told))

    def _round(
        self, work: Sequence[tuple[Worded, Task]], batch: int, name: str, seed: int = 0
    ) -> list[tuple[Worded, Task]]:
        """Ask about all of `work`; returns what has to be asked again, with the reasons."""
        parts = _parts(work, batch)
        texts = self.sender.texts(self._prompt([t for _, t in part], seed) for part in parts)
        poor = []
        shown = track(zip(parts, texts, strict=True), name, len(parts), note=lambda: str(self.sender.budget))
        for part, text in shown:
            if text is None:  # the budget is used up
                continue
            persona = self._persona([t for _, t in part]) or {}
            answers = json_parts(text)
            for number, (worded, task) in enumerate(part, 1):
                worded.asked = True
                wrong = self._take(worded, answers.get(str(number)), str(persona.get("name") or ""))
                if wrong:
                    poor.append((worded, Task(task.call, tuple(wrong), task.other)))
        return poor

    def _take(self, worded: Worded, said: object, persona: str) -> list[str]:
        """Keep the good sentences of an answer about one call; returns what was wrong with the others."""
        if not isinstance(said, dict):
            self.reasons["no_answer"] += 1
            worded.rejected.append(("", "no_answer"))
            return ["there was no answer for this call"]
        wrong = []
        known = {s.lower() for s in worded.sentences}
        for form in SENTENCES:
            text = clean(said[form]).strip("\"' ") if isinstance(said.get(form), str) else ""
            reason = fault(worded.call, text) or ("repeated" if text.lower() in known else "")
            if reason:
                self.reasons[reason] += 1
                worded.rejected.append((text, reason))
                wrong.append(f"{form}: {text[:200]} ({reason.replace('_', ' ')})")
                continue
            known.add(text.lower())
            worded.sentences[text] = form
            worded.persona = persona
        about = said.get("description")
        if not worded.description and isinstance(about, str) and not _ill(clean(about)):
            worded.description = clean(about)
        return wrong

    def _prompt(self, tasks: Sequence[Task], seed: int) -> Prompt:
        chat = llm_prompt.messages(tasks, self._persona(tasks))
        shape = llm_prompt.grammar(len(tasks), local=self.sender.local)
        most = llm_prompt.max_tokens(len(tasks))
        return Prompt(chat, shape, most, self.temperature, seed + 2 * max(t.other for t in tasks))

    def _persona(self, tasks: Sequence[Task]) -> Mapping[str, str] | None:
        """Who asks about a batch: the same for the same calls, another when they are worded again."""
        if not self.personas:
            return None
        at = int(content_id(tasks[0].call.canonical, 8), 16) + tasks[0].other
        return self.personas[at % len(self.personas)]


def fault(call: Call, sentence: str) -> str:
    """Why a sentence can't stand for a call (a reason's code), or the empty string.

    `empty`, `too_short`, `too_long`, `pasted` (the call itself, or query syntax), `markup`, `stutters` (as small models
    do), `literal_missing` and what else `check.problem` says.
    """
    if not sentence:
        return "empty"
    folded = sentence.lower()
    if call.text.lower() in folded or any(piece in folded for piece in _clauses(call)):
        return "pasted"
    return _ill(sentence) or problem(call.api, row(call, sentence, "llm"))


def _ill(text: str) -> str:
    words = re.findall(r"[^\W\d_]+", text.lower())
    if len(words) < 2 or len(text) < 8:
        return "too_short"
    if len(text) > llm_prompt.LONGEST or len(text.split()) > _MOST_WORDS:
        return "too_long"
    if _MARKUP.search(text):
        return "markup"
    runs = any(a == b == c for a, b, c in zip(words, words[1:], words[2:], strict=False))
    thrice = any(n > 2 for n in Counter(zip(words, words[1:], words[2:], strict=False)).values())
    return "stutters" if runs or thrice else ""


def _clauses(call: Call) -> Iterator[str]:
    """`field:value` as the query spells it. An id such as GO:0006915 is none: people write ids so."""
    query = call.text.partition("?")[2]
    pieces = (m for m in re.finditer(r"([\w.]+):[^\s&()]+", query))
    yield from (m[0].lower() for m in pieces if m[1] in call.api.fields)


def estimate(teacher: LLMTeacher, calls: Sequence[Call], n: int) -> dict[str, Any]:
    """What wording `calls` will cost: tokens and money of the first round, and the most that it can come to.

    Answers that the ledger has cost nothing. `most` reckons with every call that has no good answer asked for again,
    with what was wrong, and with every answer cut off.
    """
    parts = teacher.parts(calls, n)
    prompts = teacher.prompts(calls, n)
    known = [teacher.sender.ledger.get(teacher.sender.key(p)) for p in prompts]
    left = [p for p, text in zip(prompts, known, strict=True) if text is None]
    sizes = [len(part) for part, text in zip(parts, known, strict=True) if text is None]
    tokens_in = sum(tokens_of(p.messages) for p in left)
    tokens_out = sum(map(llm_prompt.likely_tokens, sizes))
    poor = [teacher.poor(part, text) for part, text in zip(parts, known, strict=True)]
    seconds = [-(-size // teacher.batch_again) for size in poor]  # prompts of the second try
    again = tokens_of([{"role": "user", "content": llm_prompt.template()["Again"]}])
    budget = teacher.sender.budget
    most = (
        tokens_in
        + sum(n * (tokens_of(p.messages) + again) for n, p in zip(seconds, prompts, strict=True))
        + llm_prompt.REJECTED_EACH * sum(poor),
        sum(p.max_tokens for p in left) + sum(seconds) * llm_prompt.max_tokens(teacher.batch_again),
    )
    return {
        "prompts": len(left),
        "kept": len(prompts) - len(left),
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "money": round(budget.cost(tokens_in, tokens_out), 4),
        "most_tokens_in": most[0],
        "most_tokens_out": most[1],
        "most_money": round(budget.cost(*most), 4),
    }


def _parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[i : i + size] for i in range(0, len(items), size)]
