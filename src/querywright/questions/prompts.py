"""What a model is asked about a window: `data/prompts/questions.md`, filled.

A document's text is data: it stands between markers that it can't contain, and nothing in it reads as a chat template's
control token. A long window is shown in part; which part goes on with each window that holds the same chunk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from querywright.artefacts import data_dir
from querywright.engines.base import Grammar, Message
from querywright.engines.fence import fence, inert_lines
from querywright.questions.chunks import Chunk
from querywright.questions.drafts import Task
from querywright.questions.spans import Candidate, sentences
from querywright.questions.verify import stem

TOKENS_SMALL = 200
"""The most tokens that a small model's question may have with evidence and answer."""
TOKENS_EACH = 260
_LONGEST_QUESTION = 240
_TEXT = {"type": "string"}
_PARTS: dict[str, object] = {"chunk": {"type": "integer"}, "evidence": _TEXT, "answer": _TEXT, "question": _TEXT}
_SMALL_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the of in on at to and or by is was were are be been has have had does did do that with for as from "
        "which who what how can may",
    )
)
_HELPING = frozenset(("is", "was", "were", "are", "be", "has", "have", "had", "does", "did", "do", "can", "may"))
_ENDINGS = (("ies", ("y",)), ("ied", ("y",)), ("ed", ("", "e")), ("s", ("",)))
_PRONOUN = re.compile(r"\b(?:it|its|he|his|she|her|they|their|them|this|these)\b", re.I)
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][\w’'-]+(?: [A-Z][\w’'-]+)*")
_WORD = re.compile(r"[^\W_][\w’'-]*")


@dataclass(frozen=True)
class Shown:
    """The part of a chunk that a prompt shows: from `start` to `end` of its text."""

    chunk: Chunk
    start: int
    end: int

    @property
    def text(self) -> str:
        """What is shown."""
        return self.chunk.text[self.start : self.end]


def shown(task: Task, most: int) -> list[Shown]:
    """The chunks of a window that hold text, in part where all of them have more than `most` characters.

    A chunk that is too long is shown from another sentence on in each of its windows (see `drafts.Task.turns`).
    """
    full = [chunk for chunk in task.chunks if chunk.text.strip()]
    left, found = most, dict[int, Shown]()
    for waiting, chunk in zip(range(len(full), 0, -1), sorted(full, key=lambda c: len(c.text)), strict=True):
        share = left // waiting
        part = Shown(chunk, 0, len(chunk.text)) if len(chunk.text) <= share else _part(chunk, share, task)
        left -= part.end - part.start
        found[chunk.number] = part
    return [found[chunk.number] for chunk in full]


def _part(chunk: Chunk, most: int, task: Task) -> Shown:
    spans = sentences(chunk.text)
    if not spans:
        return Shown(chunk, 0, most)
    turn, of = task.turns.get(chunk.number, (0, 1))
    first = len(spans) * turn // of
    begin = end = spans[first][0]
    for _, after in spans[first:]:
        if after - begin > most:
            break
        end = after
    return Shown(chunk, begin, max(end, min(begin + most, spans[first][1])))


# --- a model behind a server ------------------------------------------------------------------------------------------
def messages(parts: Sequence[Shown], n: int) -> list[Message]:
    """A chat that asks for `n` questions about some chunks."""
    sections = template()
    pieces = "\n\n".join(f"passage {part.chunk.number}:\n{inert_lines(part.text).strip()}" for part in parts)
    values = {"data": fence(pieces), "n": "1 question" if n == 1 else f"{n} questions"}
    user = re.sub(r"\{(data|n)\}", lambda m: values[m[1]], sections["User"])
    return [{"role": "system", "content": sections["System"]}, {"role": "user", "content": user}]


@lru_cache(maxsize=1)
def schema() -> Grammar:
    """The JSON schema of the answer, as hosted servers take it (no bounds)."""
    one = {"type": "object", "properties": _PARTS, "required": [*_PARTS], "additionalProperties": False}
    listed = {"questions": {"type": "array", "items": one}}
    whole = {"type": "object", "properties": listed, "required": ["questions"], "additionalProperties": False}
    return Grammar(json.dumps(whole), "json")


# --- a small model under a grammar ------------------------------------------------------------------------------------
def small_messages(parts: Sequence[Shown]) -> list[Message]:
    """A chat that asks for one question in the form of `small_grammar`; its beginning is the same for all texts."""
    sections = template()
    chat: list[Message] = [{"role": "system", "content": sections["Small"]}]
    for example in sections["Examples"].split("\n\n"):
        text, evidence, answer, question = example.split("\n")
        chat.append({"role": "user", "content": text})
        chat.append({"role": "assistant", "content": f"Evidence: {evidence}\nAnswer: {answer}\nQuestion: {question}"})
    chat.append({"role": "user", "content": "\n".join(inert_lines(part.text).strip() for part in parts)})
    return chat


def small_grammar(choices: Mapping[str, Sequence[Candidate]], about: Mapping[str, str]) -> Grammar:
    """The form `Evidence: …`, `Answer: …`, `Question: …`, where the evidence is one of the sentences, the answer one of
    its candidates, and the question is put together from the words of the evidence and of what it is about, without
    those of the answer: a small model left to itself asks about something else.

    Args:
        choices: candidates by sentence, each a piece of it.
        about: by sentence further words that the question may have (a title, names of the same chunk).
    """
    rules, starts, words = [], [], dict[frozenset[str], str]()
    for place, (sentence, candidates) in enumerate(choices.items()):
        options = []
        for number, one in enumerate(candidates):
            known = question_words(sentence, about.get(sentence, ""), one)
            terminal = words.setdefault(known, f"W{len(words)}")
            name = f"c{place}_{number}"
            begins = " | ".join(_quoted(begin) for begin in one.begins)
            rules.append(f'{name}: {_quoted(f"{one.text}{chr(10)}Question: ")} ({begins}) (" " {terminal}){{3,14}} "?"')
            options.append(name)
        starts.append(f"s{place}")
        rules.append(f"s{place}: {_quoted(f'{sentence}{chr(10)}Answer: ')} ({' | '.join(options)})")
    terminals = [f"{name}: /{'|'.join(map(re.escape, sorted(known)))}/" for known, name in words.items()]
    return Grammar("\n".join([f'start: "Evidence: " ({" | ".join(starts)})', *rules, *terminals]) + "\n")


def question_words(sentence: str, about: str, answer: Candidate) -> frozenset[str]:
    """The words that a question about a sentence may have: those of the answer's clause, as they are, without endings
    and in small letters; without the answer's; without helping verbs where the question begins with the right one. What
    the chunk is about is offered only where the clause says "it": a small model mixes people and things up."""
    clause = next((part for part in re.split(r"[;:]", sentence) if answer.text in part), sentence)
    text = f"{clause} {about}" if _PRONOUN.search(clause) else clause
    without = {stem(word.lower()) for word in _WORD.findall(answer.text)} - _SMALL_WORDS
    small = _SMALL_WORDS
    if answer.helped:
        verb = answer.begins[0].rpartition(" ")[2]
        participle = {"has": "been", "have": "been", "had": "been", "can": "be", "may": "be", "must": "be"}.get(verb)
        small = (small - _HELPING - {"been"}) | ({participle} if participle else set())
    forms = {form for word in _WORD.findall(text) for form in _forms(word)}
    found = small | {form for form in forms if not answer.helped or form not in _HELPING}
    return frozenset(word for word in found if stem(word.lower()) not in without)


def names(text: str) -> str:
    """The names in a text, which its sentences speak of as "it"."""
    return " ".join(dict.fromkeys(_NAME.findall(text)))


def read_small(text: str) -> tuple[str, str, str] | None:
    """Evidence, answer and question out of the form; None where it is cut."""
    match = re.fullmatch(r"Evidence: (.*)\nAnswer: (.*)\nQuestion: (.*\?)", text, re.S)
    return None if match is None else (match[1], match[2], match[3])


def _forms(word: str) -> set[str]:
    cased = {word, word.lower()} if not word[1:].isupper() else {word}
    found = set(cased)
    for one in cased:
        for ending, others in _ENDINGS:
            if one.endswith(ending) and len(one) - len(ending) > 2:
                found |= {one[: -len(ending)] + other for other in others}
    return found


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", r"\u007f")  # which no Lark string may hold


@lru_cache(maxsize=1)
def template() -> dict[str, str]:
    """The sections of `questions.md` by their headings."""
    text = (data_dir() / "prompts" / "questions.md").read_text(encoding="utf-8")
    pieces = re.split(r"^## (\w+)\n", text, flags=re.M)
    return {name: body.strip() for name, body in zip(pieces[1::2], pieces[2::2], strict=True)}
