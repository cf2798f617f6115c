"""A judge grades answers against references: 1 to 5, by constrained decoding where the engine can, in both orders.

Question, reference and answer stand between marks that none of them can contain. Judges like places: each answer is
graded with the reference before it and with the reference behind it, and how far the two grades are apart is told, as
is whether the judge tells a reference from another question's answer at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from querywright import squad
from querywright.artefacts import content_id, data_dir
from querywright.engines.base import Grammar, Message, capacity_of
from querywright.engines.catalogue import Entry
from querywright.engines.fence import code_for, fence, inert_lines, json_objects
from querywright.engines.ledger import Ledger
from querywright.engines.open import is_address
from querywright.engines.prices import price_of
from querywright.engines.sender import Prompt, Sender
from querywright.evaluate.questions_ask import Source
from querywright.evaluate.questions_config import Judge
from querywright.evaluate.questions_rows import Question
from querywright.progress import say, track

GRADES = (1, 2, 3, 4, 5)
CRITERIA = "What counts is whether the answer says what the reference says."
ORDERS = (False, True)  # whether the answer is shown before the reference
_FORM = 'Answer with one JSON object and nothing else: {"grade": 5}, or 4, 3, 2 or 1.'
_ONE = r"([1-5])(?:\.0+)?"  # 5 and 5.0, and 5 at a sentence's end; not 4.5
_WORDS = (  # how judges that were not held to the form say it
    re.compile(rf"[\"']?\b(?:grade|score|rating)[\"'*]*\s*(?:is|of)?\s*[:=]?[\s\"'*]*{_ONE}(?!\.?\d)", re.I),
    re.compile(rf"\[\[\s*{_ONE}\s*\]\]"),
    re.compile(rf"(?<![\d.]){_ONE}\s*(?:/|out of)\s*5\b", re.I),
    re.compile(rf"^\W*{_ONE}\W*$"),
)

Triple = tuple[str, str, str]  # question, reference, answer


def messages(judge: Judge, triple: Triple, swapped: bool, system: str = "") -> list[Message]:
    """The chat that asks for a grade; `swapped` shows the answer before the reference."""
    question, reference, answer = (inert_lines(text)[: judge.most_chars] or "(empty)" for text in triple)
    texts = [("QUESTION", question), ("REFERENCE", reference), ("ANSWER", answer)]
    if swapped:
        texts[1:] = reversed(texts[1:])
    code = code_for(question, [text for _, text in texts])
    told = _template().replace("{form}", _FORM).replace("{criteria}", judge.criteria.strip() or CRITERIA)
    parts = [fence(text, name, code) for name, text in texts]
    return [
        {"role": "system", "content": f"{system}\n\n{told}" if system else told},
        {"role": "user", "content": "\n\n".join([*parts, "Which grade does the answer get, 1 to 5?"])},
    ]


@lru_cache(maxsize=1)
def _template() -> str:
    return (data_dir() / "evaluation" / "judge.txt").read_text(encoding="utf-8").strip()


def grammar() -> Grammar:
    """The form of a grade, for engines and servers that keep to one."""
    schema = {"type": "object", "properties": {"grade": {"enum": [*GRADES]}}, "required": ["grade"],
              "additionalProperties": False}  # fmt: skip
    return Grammar(json.dumps(schema), "json")


def read(text: str) -> int | None:
    """The grade in what a judge wrote; None where there is none, or more than one."""
    text = text.rpartition("</think>")[2].partition("<think>")[0]
    objects, around = json_objects(text)
    grades = [re.fullmatch(_ONE, str(one["grade"]).strip()) for one in objects if "grade" in one]
    if grades:  # it repeats what an answer says, perhaps; a text that says two things says nothing
        (said, *more) = {grade and grade[1] for grade in grades}.union(*(one.findall(around) for one in _WORDS))
        return int(said) if said and not more else None
    for pattern in _WORDS:
        if found := {*pattern.findall(text)}:
            return int(found.pop()) if len(found) == 1 else None
    return None


def value(grades: Sequence[int | None]) -> float | None:
    """Both orders' grades as one score from 0 to 1; None where one of them can't be read."""
    known = [grade for grade in grades if grade is not None]
    return (sum(known) / len(known) - 1) / 4 if len(known) == len(ORDERS) else None


@dataclass
class Graded:
    """What the judge said: the grades of each triple in both orders, and what it took."""

    grades: dict[Triple, list[int | None]] = field(default_factory=dict)
    tokens_in: int = 0
    tokens_out: int = 0


def grade(judge: Judge, entry: Entry, source: Source, triples: Sequence[Triple], ledger: Path) -> Graded:
    """Grade triples, each once; what the ledger has is not asked again.

    Raises:
        QuerywrightError: the judge is gone, or answers nothing; what it said is kept.
    """
    found = Graded()
    each = [(triple, swapped) for triple in dict.fromkeys(triples) for swapped in ORDERS]
    prompts = [_prompt(judge, entry, source, triple, swapped) for triple, swapped in each]
    kept = Ledger(ledger)
    if any(kept.get(prompt.key) is None for prompt in prompts):  # else the judge need not be loaded
        with source.open() as engine:
            sender = Sender([engine] * capacity_of(engine), kept)
            try:
                for _ in track(sender.texts(prompts), f"judging by {judge.name}", len(prompts)):
                    pass
            finally:
                sender.close()
    for (triple, _), prompt in zip(each, prompts, strict=True):
        found.grades.setdefault(triple, []).append(read(kept.get(prompt.key) or ""))
    rows = [kept.rows.get(key, {}) for key in {prompt.key for prompt in prompts}]
    found.tokens_in, found.tokens_out = (sum(int(row.get(f"tokens_{k}") or 0) for row in rows) for k in ("in", "out"))
    return found


def _prompt(judge: Judge, entry: Entry, source: Source, triple: Triple, swapped: bool) -> Prompt:
    """What asks for a grade, under a key of all that the grade hangs on."""
    chat, form = messages(judge, triple, swapped, entry.system), grammar()
    about = [source.identity, chat, form.text, entry.max_tokens, entry.temperature, entry.seed]
    key = content_id(json.dumps(about, sort_keys=True), 24)
    return Prompt(chat, form, entry.max_tokens, entry.temperature, entry.seed, key=key)


def judged(
    rows: Sequence[dict[str, Any]], asked: Sequence[Question], judge: Judge, entries: Mapping[str, Entry],
    sources: Mapping[str, Source], out: Path,
) -> dict[str, Any]:  # fmt: skip
    """Grade the answers of all cells: adds `judge` (0 to 1, None where unread) and `grades` to each row.

    A question without an answer is graded 0 and not shown to the judge.

    Returns:
        What is to be known of the judge; see `questions.evaluate_questions`.
    """
    entry, source = entries[judge.name], sources[judge.name]
    mine = {(row["cell"], row["id"]): _triple(row) for row in rows if row["finish"] != "error" and row["response"]}
    controls = _controls(asked, judge.controls)
    too = same_model(judge.name, sources, [*dict.fromkeys(row["model"] for row in rows)])
    if too:
        say(f"the judge {judge.name} is one of those that it judges: {', '.join(too)}")
    every = [*mine.values(), *(triple for pair in controls for triple in pair)]
    graded = grade(judge, entry, source, every, out / "judge" / f"{judge.name}.jsonl")
    for row in rows:
        triple = mine.get((row["cell"], row["id"]))
        row["grades"] = graded.grades[triple] if triple else []
        row["judge"] = value(row["grades"]) if triple else 0.0
    return {
        "name": judge.name,
        "judged_too": too,
        **_trust([graded.grades[triple] for triple in dict.fromkeys(mine.values())]),
        "exact": _mean([row["judge"] for row in rows if row["exact"] == 1 and row["judge"] is not None]),
        "controls": _told_apart([[value(graded.grades[t]) for t in pair] for pair in controls]),
        "tokens_in": graded.tokens_in,
        "tokens_out": graded.tokens_out,
        "cost": _cost(source.path, graded),
    }


def same_model(name: str, sources: Mapping[str, Source], among: Sequence[str]) -> list[str]:
    """Which models are the same as a judge: the same weights, or of servers the same model's name, whatever the
    address."""

    def mark(source: Source) -> tuple[str, ...]:
        if is_address(source.path) and "#" in source.path:
            return ("server", source.path.rpartition("#")[2].rpartition("/")[2].lower())
        return (str(source.identity.get("weights")), str(source.identity.get("adapter")))

    return [one for one in among if one == name or mark(sources[one]) == mark(sources[name])]


def _triple(row: Mapping[str, Any]) -> Triple:
    return row["question"], squad.nearest(row["answers"], row["response"]), row["response"]


def _controls(asked: Sequence[Question], n: int) -> list[tuple[Triple, Triple]]:
    """For some questions the reference itself as an answer, and one that is right elsewhere."""
    found = []
    for place, q in enumerate(asked[:n]):
        others = (o.answers[0] for o in (*asked[place + 1 :], *asked[:place]))
        wrong = next((o for o in others if max(squad.f1(a, o) for a in q.answers) == 0), None)
        if wrong is not None:
            found.append(((q.question, q.answers[0], q.answers[0]), (q.question, q.answers[0], wrong)))
    return found


def _told_apart(pairs: Sequence[Sequence[float | None]]) -> dict[str, Any] | None:
    """How the judge grades what is right and what is wrong for sure; `told_apart`: the share of questions where the
    right one is graded higher (half of those where both are graded alike)."""
    known = [(right, wrong) for right, wrong in pairs if right is not None and wrong is not None]
    if not known:
        return None
    apart = [1.0 if right > wrong else 0.5 if right == wrong else 0.0 for right, wrong in known]
    return {
        "n": len(known), "right": _mean([r for r, _ in known]), "wrong": _mean([w for _, w in known]),
        "told_apart": _mean(apart),
    }  # fmt: skip


def _trust(grades: Sequence[Sequence[int | None]]) -> dict[str, Any]:
    known = [(first, second) for first, second in grades if first is not None and second is not None]
    return {
        "asked": len(grades),
        "unread": len(grades) - len(known),
        "agreement": _mean([float(first == second) for first, second in known]),
        "order": _mean([float(second - first) for first, second in known]),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _cost(path: str, graded: Graded) -> float | None:
    price = price_of(path)
    return None if price is None else price.cost(graded.tokens_in, graded.tokens_out)
