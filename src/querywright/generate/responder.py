"""The query assistant behind the seam of engines: a chat goes in, the call that its last sentence asks for out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from querywright.api.call import parse
from querywright.engines.base import MAX_TOKENS, Completion, Grammar, MaskError, Message, Progress
from querywright.generate.answer import Answer, sample
from querywright.generate.batch import Session


class Assistant:
    """See `base.Engine`. System messages are the assistant's own affair and passed over."""

    def __init__(self, opening: AbstractContextManager[Session]) -> None:
        """Open a session, as `batch.open_session` gives it; it is closed with this.

        Raises:
            QuerywrightError: see `batch.open_session`.
        """
        self._stack = ExitStack()
        self._session = self._stack.enter_context(opening)

    def generate(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        max_tokens: int = MAX_TOKENS,
        temperature: float = 0.0,
        seed: int = 0,
        n: int = 1,
        progress: Progress | None = None,
    ) -> list[Completion]:
        """See `base.Engine.generate`. A call is written as models are trained to write it; at temperature 0 it is what
        `querywright ask` answers."""
        if grammar is not None:
            raise MaskError("the query assistant has a grammar of its own", hint="ask without one")
        said = [m for m in messages if m["role"] != "system"]
        instruction, turns = said[-1]["content"], said[:-1]
        session = self._session
        if temperature == 0:
            got = session.answer(instruction, turns, progress=progress, max_tokens=max_tokens)
            return [self._completion(got)] * n
        own = {name: session.settings[name] for name in ("grounded", "refuse")}
        answers = sample(
            session.api, instruction, session.engine, session.strategy, session.decoding, turns=turns,
            max_tokens=max_tokens, seed=seed, temperature=temperature, n=n, **own,
        )  # fmt: skip
        return [self._completion(one) for one in answers]

    def describe(self) -> dict[str, Any]:
        """See `base.Engine.describe`."""
        return {**self._session.about, "engine": "querywright"}

    def close(self) -> None:
        """Close the session."""
        self._stack.close()

    def _completion(self, got: Answer) -> Completion:
        text = parse(self._session.api, got.path).text if got.ok else got.text.strip()
        finish = "length" if got.finish == "length" else "stop"
        return Completion(text, got.tokens_in, got.tokens, got.ms, finish, got.logprob, got.grammar_logprob)  # type: ignore[arg-type]
