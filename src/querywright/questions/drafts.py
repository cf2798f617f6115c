"""The seam between windows and what writes about them: a task, a draft, a writer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from querywright.questions.chunks import Chunk
from querywright.questions.windows import Window


@dataclass(frozen=True)
class Task:
    """Questions that a writer is asked for: at most `n` about the chunks of a window.

    Attributes:
        turns: of each chunk's number, the how manieth (from 0) this window is of how many that hold the chunk. Writers
            ask about another part of a chunk in each of them.
    """

    window: Window
    chunks: Sequence[Chunk]
    n: int
    seed: int = 0
    turns: Mapping[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """A question as a writer wrote it, not checked.

    Attributes:
        chunk: the number of the chunk that the evidence is said to be in; 0 where the writer did not say.
        start: the evidence's offset in that chunk's text; -1 where the writer did not say.
        fault: why there is no question (the model's answer was cut or not to be read); the texts are empty then.
    """

    question: str = ""
    answer: str = ""
    evidence: str = ""
    chunk: int = 0
    start: int = -1
    tokens_in: int = 0
    tokens_out: int = 0
    ms: float = 0.0
    fault: str = ""


class Writer(Protocol):
    """Writes questions about windows. `rules.RulesWriter` and `write.EngineWriter` are two.

    Attributes:
        small: whether its questions are put together word by word, so that their English is checked, too.
    """

    small: bool

    def write(self, tasks: Iterable[Task]) -> Iterator[list[Draft]]:
        """The drafts of each task, in order."""
        ...

    def about(self) -> dict[str, Any]:
        """What the drafts depend on, plain values: `writer` is its name."""
        ...

    def close(self) -> None:
        """Give models and files back. Idempotent."""
        ...
