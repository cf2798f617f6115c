"""Whether a draft may stand: the evidence is in its window, the answer in the evidence, the question is one, and so on.

Texts that a model copied are found again where only white space, quotes, dashes or letters that nobody sees differ;
what is kept is always the document's own text, character by character.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, pairwise

from querywright.engines.fence import HIDDEN, UNSEEN, clean
from querywright.questions.chunks import Chunk
from querywright.questions.drafts import Draft, Task
from querywright.questions.words import whole, words

REASONS = {
    "budget": "the limit of tokens or money came first",
    "no_answer": "the model gave no answer",
    "cut": "the answer was cut where its tokens ran out",
    "unreadable": "the answer is not in the form that was asked for",
    "empty": "question, answer or evidence is missing",
    "not_in_window": "the evidence is not in the window",
    "not_in_evidence": "the answer is not in the evidence",
    "too_long": "the answer, the evidence or the question is too long",
    "no_question": "no complete question",
    "markup": "markup or a piece of the prompt in the question",
    "stutters": "words or phrases repeat",
    "gives_away": "the question holds its answer",
    "leans": 'the question leans on what only the window says ("the text", "it")',
    "beside": "the question has no word in common with its evidence",
    "duplicate": "another question is the same, or asks the same evidence for the same answer",
    "not_found": "the question does not find its window's chunks again",
    "not_answered": "asked again with the window, the answer is another",
    "enough": "the window has as many questions as were asked for",
}
LONGEST_ANSWER = 200
_MOST_SEARCHED = 1_000_000  # characters of a chunk in which badly copied evidence is looked for, one by one
LONGEST_EVIDENCE = 1000
LONGEST_QUESTION = 300
_MARKUP = re.compile(r"https?://|</?[a-z]+[ >]|[{}]|<\||```|===|\*\*|\bDATA [0-9a-f]{8}\b|\bpassage \d", re.I)
_LEANS = re.compile(
    r"\b(?:the|this|that|these|given) (?:(?:above|following|given) )?(?:text|passages?|document|excerpt|context|"
    r"paragraph|sentence|evidence|chunk)(?=[?,.]| (?:is|was|are|does|did|do|has|say|said|mention|state|describ|above))|"
    r"^(?:what|where|when|who|how|why) (?:is|was|does|did) (?:this|that)\b|"
    r"\b(?:is|was|does|did|do|are|were|has|have) (?:it|he|she|they)\b(?! that)|\bmentioned above\b",
    re.I,
)
_MARKS = re.compile(r"[?？؟፧\u037e]|(?<=[\u0370-\u03ff\u1f00-\u1fff]);$")  # at the end, the Greek one is a semicolon
_UNENDED = re.compile(
    r"\b(?:the|a|an|and|or|its|their|has|had|does|did|is|was|are|were|that|than|which|do|been|be|can|may)\?$|"
    r"\b(?:the|an?|its|their) (?:the|an?|of|in|on|at|to|by|and|or|is|was|were|are|be|has|have|does|did|do|that|than|"
    r"with|for|as|from|its|their|there|can|may)\b|\b(?:did|does|do) \w+ be\b|\bhas have\b"
)  # in small letters: "the WAS gene" and "the May protests" are whole
_LOOSE = frozenset(
    re.findall(
        r"\w+",
        "a an the of in on at to and or by is was were are be been has have had does did do that with for as from its "
        "their there which who whose what when where why how many much long can it this these those than then",
    )
)
_EMPTY = frozenset(re.findall(r"\w+", "a an the is was were are be been being do does did has have had"))
_QUOTES = "\"'“”‘’„«»"
_PUNCTUATION = _QUOTES + ".,:;!?？！؟。，、…()[]"
_SEEN = re.compile(rf"[^\s{UNSEEN.pattern[1:-2]}{HIDDEN.pattern[1:-2]}]+")
_SAME = str.maketrans({"“": '"', "”": '"', "„": '"', "’": "'", "‘": "'", "–": "-", "—": "-", "‑": "-", "…": "."})


@dataclass(frozen=True)
class Checked:
    """A draft with the document's own texts, or why it can't stand (`fault`, a key of `REASONS`)."""

    draft: Draft
    fault: str = ""


def check(draft: Draft, task: Task, *, small: bool = False) -> Checked:
    """Everything that one draft and its window decide.

    Args:
        small: see `fault`.
    """
    if draft.fault:
        return Checked(draft, draft.fault)
    draft = replace(draft, question=clean(draft.question))
    if not (draft.question and draft.answer.strip() and draft.evidence.strip()):
        return Checked(draft, "empty")
    place = located(draft, task.chunks)
    if place is None:
        return Checked(draft, "not_in_window")
    chunk, start, end = place
    draft = replace(draft, evidence=chunk.text[start:end], chunk=chunk.number, start=start)
    answer = answer_in(chunk.text, start, end, draft.answer)
    if not answer:
        return Checked(draft, "not_in_evidence")
    draft = replace(draft, answer=answer)
    return Checked(draft, fault(draft.question, answer, draft.evidence, small=small))


def fault(question: str, answer: str, evidence: str, *, small: bool = False) -> str:
    """Why three texts that fit each other are no good question; empty where nothing is wrong.

    Args:
        small: a small model put the question together, word by word: its English is looked at, too.
    """
    if len(answer) > LONGEST_ANSWER or len(evidence) > LONGEST_EVIDENCE or len(question) > LONGEST_QUESTION:
        return "too_long"
    asked, said = words(question), words(evidence)
    if [mark.end() for mark in _MARKS.finditer(question)] != [len(question)] or len(asked) < (4 if small else 3):
        return "no_question"
    if small and (_UNENDED.search(question) or _misses_its_verb(asked)):
        return "no_question"
    if _MARKUP.search(question):
        return "markup"
    if small and _stutters(asked, said):
        return "stutters"
    if f" {' '.join(words(answer))} " in f" {' '.join(asked)} ":
        return "gives_away"
    if _LEANS.search(question):
        return "leans"
    return "" if {*map(stem, said)} & {*map(stem, asked)} - _LOOSE else "beside"


def located(draft: Draft, chunks: Sequence[Chunk]) -> tuple[Chunk, int, int] | None:
    """The chunk that holds a draft's evidence, and from where to where: in the chunk that the draft names if it is
    there, else in the first that has it."""
    ordered = sorted(chunks, key=lambda chunk: chunk.number != draft.chunk)
    for chunk in ordered:
        at = draft.start if chunk.number == draft.chunk and draft.start >= 0 else chunk.text.find(draft.evidence)
        if at >= 0 and chunk.text.startswith(draft.evidence, at):
            return chunk, at, at + len(draft.evidence)
    for chunk in ordered:
        for start, end in _finds(chunk.text, draft.evidence, folded=False):
            return chunk, start, end
    return None


def answer_in(text: str, start: int, end: int, answer: str) -> str:
    """The answer as the evidence has it, which is a text from `start` to `end`: whole words and numbers of that text;
    empty where it has not."""
    evidence, wanted = text[start:end], answer.strip()
    wanted = wanted if wanted in evidence else wanted.rstrip(".")
    exact = (match.span() for match in re.finditer(re.escape(wanted), evidence) if wanted)
    for first, last in chain(exact, _finds(evidence, wanted, folded=True)):
        if whole(text, start + first, start + last):
            return evidence[first:last]
    return ""


def same_words(text: str) -> str:
    """What two questions share that are the same but for case, marks and words that say nothing (articles, helping
    verbs). Their order counts, signs (Na+) and small words in capitals or quotes."""
    found = ((word.strip(_PUNCTUATION), word[0] in _QUOTES) for word in text.split())
    kept = (word for word, quoted in found if word.lower() not in _EMPTY or word.isupper() or quoted)
    return " ".join(stem(word.lower()) for word in kept if word)


def _finds(text: str, wanted: str, *, folded: bool) -> Iterator[tuple[int, int]]:
    """Where a text stands, white space and what `_bare` makes equal left out of account."""
    if len(text) > _MOST_SEARCHED:
        return
    bare, places = _bare(text, folded)
    sought, _ = _bare(wanted, folded)
    at = bare.find(sought) if sought else -1
    while at >= 0:
        yield places[at], places[at + len(sought) - 1] + 1
        at = bare.find(sought, at + 1)


@lru_cache(maxsize=16)
def _bare(text: str, folded: bool) -> tuple[str, array[int]]:
    """The characters of a text that can be seen, in one spelling of quotes and dashes, and where each stands. Of white
    space one is kept between digits: 1 2 is not 12."""
    kept, places, end = [], array("I"), 0
    for run in _SEEN.finditer(text.translate(_SAME)):
        between = text[end : run.start()]
        if end and text[end - 1].isdigit() and run[0][0].isdigit() and any(map(str.isspace, between)):
            kept.append(" ")
            places.append(end)
        end = run.end()
        kept.append(_folded(run[0]) if folded else run[0])
        places.extend(range(run.start(), run.end()))
    return "".join(kept), places


def _folded(text: str) -> str:
    """A text in small letters, of the same length."""
    low = text.lower()
    return low if len(low) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def stem(word: str) -> str:
    """A word without its ending, roughly: enough to tell that two words are one."""
    for ending in ("ing", "ies", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) > 2:
            return word[: -len(ending)]
    return word


def _misses_its_verb(asked: Sequence[str]) -> bool:
    return asked.count("have") > 1 or (asked[-1] == "have" and not {"do", "does", "did"} & {*asked})


def _stutters(words: Sequence[str], evidence: Sequence[str]) -> bool:
    """Whether words follow themselves, phrases come back, or a word comes twice that the evidence has once."""
    pairs = Counter(pairwise(words))
    loose = Counter(pair for pair in pairs.elements() if pair[0] in _LOOSE and pair[1] in _LOOSE)
    content = Counter(word for word in words if word not in _LOOSE)
    said = [pair for pair, n in pairs.items() if n > 1 and pair not in loose and (pair[0] not in _LOOSE or n > 2)]
    return (
        bool(said)
        or any(a == b for a, b in pairs)
        or any(
            n > 2 or (word in content and n > 1 == evidence.count(str(word))) for word, n in (loose | content).items()
        )
    )
