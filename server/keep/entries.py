"""What the store gives back: answers, corrections and preferences, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

Turn = dict[str, str]
"""A chat message that was said before a question: `role` (user or assistant) and `content`."""


@dataclass(frozen=True)
class Answer:
    """One stored answer.

    Attributes:
        time: UTC, ISO 8601 to the millisecond.
        turns: what was said before the question, oldest first.
        conversation: the page's or program's own id of the conversation; empty where there was none.
        path: what the model wrote.
        ok: whether it is a call; else `reason` says why not, and `refused` holds a refusal's code.
        confidence: the chance that it is right, None where it is not known.
        ms: the model's time in milliseconds.
        model: id of the model; `config`: id of everything else that it was asked with.
        source: `page`, `rest`, ...
        client: hash of who asked (see `server.keep.clients`); empty in rows of layout 1.
        rating: 1, -1, or None.
    """

    id: int
    time: str
    api: str
    question: str
    turns: tuple[Turn, ...]
    conversation: str
    path: str
    ok: bool
    reason: str
    refused: str
    confidence: float | None
    ms: float
    model: str
    config: str
    source: str
    client: str
    rating: int | None


@dataclass(frozen=True)
class Correction:
    """One correction, with the answer that it corrects.

    Attributes:
        path: the call as the person wrote it; `ok` says whether it was a call when it was stored, `reason` why not.
        client: hash of who corrected; answers are corrected by those who asked.
    """

    id: int
    time: str
    of: Answer
    path: str
    ok: bool
    reason: str
    client: str

    @property
    def api(self) -> str:
        return self.of.api

    @property
    def question(self) -> str:
        return self.of.question

    @property
    def answer(self) -> str:
        """What the model had written."""
        return self.of.path

    @property
    def model(self) -> str:
        return self.of.model


@dataclass(frozen=True)
class Preference:
    """Of two answers to one question, the one that a person liked better."""

    id: int
    time: str
    chosen: Answer
    rejected: Answer
    client: str
