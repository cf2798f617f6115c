"""Our engines as models of lm-evaluation-harness (`lm_eval`, EleutherAI)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from querywright.engines.base import Engine, EngineError, weigh
from querywright.engines.hf import TransformersEngine
from querywright.errors import QuerywrightError, need

EXTRA = "lm-eval"
_BATCH = 4


def form(engine: Engine) -> str:
    """How the harness's questions are put: `plain` text to a checkpoint, as it has them; `chat` to other engines, which
    know chats only: the question is what the user says, the answers are what the assistant says."""
    return "plain" if isinstance(engine, TransformersEngine) else "chat"


def harness_model(engine: Engine) -> Any:
    """An engine as a model of the harness: `loglikelihood`, `loglikelihood_rolling`, `generate_until`.

    Raises:
        QuerywrightError: the engine does not tell how likely a text is, or the harness is not installed.
    """
    need("lm_eval", extra=EXTRA)
    if isinstance(engine, TransformersEngine):
        from lm_eval.models.huggingface import HFLM

        return HFLM(pretrained=engine.model, tokenizer=engine.tokenizer, batch_size=_BATCH)
    if not hasattr(engine, "score"):
        raise QuerywrightError(
            f"the engine {engine.describe()['engine']} does not tell how likely a text is",
            hint="give a checkpoint folder or a GGUF file",
        )
    return _chats(engine)


def _chats(engine: Engine) -> Any:
    from lm_eval.api.model import LM

    class Chats(LM):  # type: ignore[misc,unused-ignore]
        """Questions as chats; see `form`."""

        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            return [(_likely(engine, context, text.strip()), False) for context, text in (r.args for r in requests)]

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            return [_likely(engine, "", request.args[0]) for request in requests]

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            answers = []
            for context, settings in (request.args for request in requests):
                most = int(settings.get("max_gen_toks", 256))
                (done,) = engine.generate([{"role": "user", "content": context}], max_tokens=most)
                answers.append(_until(done.text, settings.get("until") or []))
            return answers

    return Chats()


def _likely(engine: Engine, question: str, answer: str) -> float:
    """The natural log of the probability of an answer to a question; of a text alone where there is no question."""
    chat = [{"role": "user", "content": question}] if question else []
    (done,) = weigh(engine, chat, [answer])
    if done.logprob is None:
        raise EngineError(f"how likely {answer[:60]!r} is can't be told", hint="a shorter text, or limit=N")
    return done.logprob


def _until(text: str, stops: str | Sequence[str]) -> str:
    """A text up to the first of some words that end it."""
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.split(stop, 1)[0] if stop else text
    return text
