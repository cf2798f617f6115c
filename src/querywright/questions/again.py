"""The other half of the round trip: a model answers each question from its window, and has to say what the row says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from querywright.artefacts import content_id
from querywright.engines.fence import clean, fence, inert, inert_lines
from querywright.engines.sender import Prompt, Sender
from querywright.questions.drafts import Draft, Task
from querywright.questions.prompts import shown, template

AGREES = 0.5
"""The least token F1 between the answers: "in 1931" is the same as "1931" (0.67), another year is not."""
MOST_TOKENS = 64
_MOST_SMALL, _MOST = 8000, 24_000  # characters of a window


class Again:
    """Answers questions through a `Sender`, whose ledger keeps what was said."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender

    def answers(self, asked: Sequence[tuple[Task, Draft]]) -> Iterator[str | None]:
        """What the model says to each question, in order; None where it says nothing."""
        for done in self.sender.many(self._prompt(task, draft) for task, draft in asked):
            yield clean(done[0].text) if done else None

    def about(self) -> dict[str, Any]:
        """What the answers depend on."""
        return {**self.sender.about(), "prompt": content_id(template()["Answer"])}

    def close(self) -> None:
        """Close the model and its ledger."""
        self.sender.close()

    def _prompt(self, task: Task, draft: Draft) -> Prompt:
        parts = shown(task, _MOST_SMALL if self.sender.local else _MOST)
        material = "\n\n".join(inert_lines(part.text).strip() for part in parts)
        user = f"{fence(material)}\n{inert(draft.question)}"
        chat = [{"role": "system", "content": template()["Answer"]}, {"role": "user", "content": user}]
        return Prompt(chat, max_tokens=MOST_TOKENS, seed=task.seed)
