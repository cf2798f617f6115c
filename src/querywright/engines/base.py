"""The seam behind which text is generated, and what goes in and out of it.

An engine is anything with these three methods. A grammar is a promise: an engine that can't keep to it raises
`MaskError` and the request fails; it never goes on without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from querywright.engines.fence import CONTROL
from querywright.errors import QuerywrightError

Message = dict[str, str]  # role (system, user, assistant) and content
Finish = Literal["stop", "length"]
Progress = Callable[[str], bool]  # the text so far; whether to go on
MAX_TOKENS = 256
REPORT = "this answer was thrown away; please report the sentence"


class EngineError(QuerywrightError):
    """An engine that could not be opened or failed to answer.

    Attributes:
        retry_after: seconds that a busy server asks to wait, None where it does not say.
        charged: whether the request was perhaps worked on, and paid for, though its answer did not arrive whole.
    """

    def __init__(
        self, message: str, *, hint: str = "", retryable: bool = False, retry_after: float | None = None,
        charged: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(message, hint=hint, retryable=retryable)
        self.retry_after = retry_after
        self.charged = charged


@dataclass(frozen=True)
class Grammar:
    """What the text has to match, as a whole: a lark grammar (start rule `start`), a regular expression (`regex`), GBNF
    (`root`) for llama.cpp, or a JSON schema (`json`), which any OpenAI-compatible server may take."""

    text: str
    kind: Literal["lark", "regex", "gbnf", "json"] = "lark"


@dataclass(frozen=True)
class Completion:
    """One generated text.

    Attributes:
        tokens_in: tokens of the prompt, the part that was kept from an earlier request included.
        tokens_out: tokens of the text, those that the grammar forced included.
        ms: wall-clock milliseconds, prompt and text.
        finish: `stop` where the model ended its text, `length` where the tokens ran out: then it is a fragment.
        logprob: natural log of the text's probability under the model before the mask; None where it is not known.
        grammar_logprob: the same under the mask: at each step the probabilities of what the grammar allows add up to 1.
            Without a grammar it is `logprob`. None where it is not known.
        weakest: the lowest of the steps that `grammar_logprob` adds up.
    """

    text: str
    tokens_in: int
    tokens_out: int
    ms: float
    finish: Finish
    logprob: float | None = None
    grammar_logprob: float | None = None
    weakest: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


class MaskError(EngineError):
    """The grammar could not be enforced, so there is no answer. `completions`: what a server wrote without keeping to
    it, for readers that check what they read."""

    def __init__(
        self, message: str, *, hint: str = "", retryable: bool = False, completions: Sequence[Completion] = ()
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.completions = list(completions)


class Cancelled(EngineError):
    """The caller gave the request up: its `progress` returned False. Nothing is wrong with the engine."""

    def __init__(self, message: str = "the request was given up", *, hint: str = "", retryable: bool = False) -> None:
        super().__init__(message, hint=hint, retryable=retryable)


def go_on(progress: Progress | None, text: str) -> None:
    """Tell `progress`, where there is one, the text so far.

    Raises:
        Cancelled: it wants no more of it.
    """
    if progress is not None and not progress(text):
        raise Cancelled


def capacity_of(engine: object) -> int:
    """How many requests an engine works on at once: its `capacity`, 1 where it has none."""
    return max(1, int(getattr(engine, "capacity", 1)))


class Engine(Protocol):
    """Generates text. `generate` may be called from any thread, and from as many at once as the engine's attribute
    `capacity` says (1 where it has none, see `capacity_of`)."""

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
        """Answer a chat `n` times; at temperature 0 all of them are the most likely text.

        Args:
            progress: called in the generating thread after each step with the text so far, of `n` texts the one that
                is being written; a character that is not whole yet is left out. It has to be quick and must not raise.
                Where it returns False, the engine stops at once. An engine may leave texts out, but never goes long
                without asking; what it returns counts as the answer, not the last text that `progress` saw.

        Raises:
            Cancelled: `progress` returned False.
            MaskError: the grammar is not valid or could not be kept.
            EngineError: the model failed, or the prompt does not fit it.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """What the answers depend on: kind, model, and so on. Plain values."""
        ...

    def close(self) -> None:
        """Give memory and processes back. Idempotent."""
        ...


def weigh(
    engine: Engine, messages: Sequence[Message], texts: Sequence[str], grammar: Grammar | None = None
) -> list[Completion]:
    """Texts as if the engine had written them: how likely each is as the answer to a chat.

    An engine that can has a method `score` of the same arguments; of others' texts nothing is known, nor under GBNF,
    which does not say what it allows. Where the grammar does not allow a text, its `grammar_logprob` is None.

    Raises:
        EngineError: the model failed, or a text does not fit it.
    """
    score = getattr(engine, "score", None)
    if score is None or not texts or (grammar is not None and grammar.kind == "gbnf"):
        return [Completion(text, 0, 0, 0.0, "stop") for text in texts]
    done: list[Completion] = score(messages, texts, grammar=grammar)
    return done


def harmless(messages: Sequence[Message]) -> list[Message]:
    """A chat in which nothing that people wrote becomes a control token: a space of no width breaks the brackets.

    For what takes a chat as one text only; where tokens are put together, content is read without control tokens.
    """
    return [{**m, "content": CONTROL.sub(lambda found: found[0] + "\u200b", m["content"])} for m in messages]


def chatml(messages: Sequence[Message]) -> str:
    """Render a chat as SmolLM2 (and the tuned model) knows it, ready for the assistant's words."""
    turns = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
    return turns + "<|im_start|>assistant\n"
