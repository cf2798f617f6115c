"""One sentence to one call: prompt, decoding under the API's grammar, and the check of what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Literal, get_args

from querywright.api.call import CallError, parse
from querywright.api.definition import API
from querywright.api.grammar import mask_source
from querywright.api.refusal import REASONS, beside, refused
from querywright.engines.base import Completion, Engine, Grammar, Message
from querywright.errors import QuerywrightError, did_you_mean
from querywright.generate.complete import completed
from querywright.generate.ground import ground
from querywright.generate.prompts import Strategy, strategy
from querywright.generate.turns import after, heard

Decoding = Literal["free", "regex", "grammar", "grounded", "gbnf"]
MAX_TOKENS = 200


@dataclass(frozen=True)
class Answer:
    """What came out for one sentence.

    Attributes:
        path: the call as it is sent (percent-encoded) where `ok`, else the text as it came.
        ok: whether the text is a whole call to the API.
        reason: why not; None where `ok`.
        refused: where the model refused, the reason's code (see `api.refusal.REASONS`); then `reason` is in words.
        ms: milliseconds of the engine.
        tokens: tokens of the text.
        text: what the model wrote, unchanged.
        finish: `stop`, or `length` where the tokens ran out: such a text is never a call.
        logprob, grammar_logprob: see `engines.base.Completion`.
        prompt: the messages that were sent.
        confidence: the chance that the answer is right, 0 to 1 (see `confidence`); None where it is not known. This and
            what follows is known of an answer that `choose.choose` gave.
        calibrated: whether the confidence is one; else it only orders answers.
        signs: what the confidence hangs on, by the names in `confidence.SIGNS`.
        abstained: whether the confidence is below the one that was asked for; the answer is a guess then.
        hits: how many records it finds; None where it was not run.
        votes: how many of the model's answers mean the same.
        candidates: of several answers each meaning, with its signs.
    """

    path: str
    ok: bool
    reason: str | None
    ms: float
    tokens: int
    text: str
    tokens_in: int = 0
    finish: str = "stop"
    logprob: float | None = None
    prompt: list[Message] = field(default_factory=list, repr=False)
    refused: str | None = None
    grammar_logprob: float | None = None
    confidence: float | None = None
    calibrated: bool = False
    signs: dict[str, float] = field(default_factory=dict, repr=False)
    abstained: bool = False
    hits: int | None = None
    votes: int = 1
    candidates: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def answer(
    api: API,
    instruction: str,
    engine: Engine,
    strategy: str | Strategy = "tuned",
    decoding: Decoding = "grammar",
    *,
    turns: Sequence[Message] = (),
    grounded: bool | None = None,
    refuse: bool | None = None,
    max_tokens: int = MAX_TOKENS,
    seed: int = 0,
) -> Answer:
    """Write the call that a sentence asks for.

    Args:
        strategy: a name, or what `prompts.strategy` gave (keeps indexes and examples between sentences).
        decoding: `free` text, under a `regex` of the API's calls, under its `grammar`, `grounded` (besides, values only
            from the sentence: see `ground`), or under the grammar's `gbnf` form (llama.cpp only).
        turns: what was said before, as chat messages: sentences of the user, calls of the assistant.
        grounded: whether `grammar` is grounded. By default where the strategy is "tuned".
        refuse: whether a grammar lets the model write `nil` and a reason instead of a call. By default where the
            strategy is "tuned": no other prompt tells the model of it.

    Raises:
        MaskError: the grammar could not be enforced.
        EngineError: the engine failed.
    """
    options = {"turns": turns, "grounded": grounded, "refuse": refuse, "max_tokens": max_tokens, "seed": seed}
    return sample(api, instruction, engine, strategy, decoding, **options)[0]  # type: ignore[arg-type]


def sample(
    api: API,
    instruction: str,
    engine: Engine,
    strategy: str | Strategy = "tuned",
    decoding: Decoding = "grammar",
    *,
    turns: Sequence[Message] = (),
    grounded: bool | None = None,
    refuse: bool | None = None,
    max_tokens: int = MAX_TOKENS,
    seed: int = 0,
    temperature: float = 0.0,
    n: int = 1,
) -> list[Answer]:
    """The same, `n` times at a temperature."""
    messages, grammar, said = prepare(
        api, instruction, strategy, decoding, turns=turns, grounded=grounded, refuse=refuse
    )  # fmt: skip
    done = engine.generate(
        messages, grammar=grammar, max_tokens=max_tokens, temperature=temperature, seed=seed, n=n
    )  # fmt: skip
    return [judge(api, one, messages, said) for one in done]


def prepare(
    api: API, instruction: str, strategy: str | Strategy, decoding: Decoding, *, turns: Sequence[Message] = (),
    grounded: bool | None = None, refuse: bool | None = None,
) -> tuple[list[Message], Grammar | None, str | None]:  # fmt: skip
    """What an engine is asked for a sentence: the messages, and the grammar of the answer. See `answer`.

    The third is the text that values come from, where the answer is grounded in one.
    """
    if decoding == "grounded":
        decoding, grounded = "grammar", True
    if grounded is None:
        grounded = strategy == "tuned" and decoding == "grammar"
    if refuse is None:
        refuse = strategy == "tuned"
    build = _named(strategy, api) if isinstance(strategy, str) else strategy
    messages = after(turns, build(instruction))
    said = heard(api, instruction, turns) if grounded else None
    return messages, grammar_for(api, decoding, said, refuse=refuse), said


def grammar_for(api: API, decoding: str, instruction: str | None = None, *, refuse: bool = False) -> Grammar | None:
    """The grammar that a way of decoding enforces; grounded in `instruction` where that is given.

    Args:
        refuse: whether it takes a refusal (`nil CODE`) besides calls.

    Raises:
        QuerywrightError: an unknown way of decoding.
    """
    if decoding == "free":
        return None
    if decoding == "regex":
        from querywright.api.regex import build_regex

        text = build_regex(api)
        return Grammar(beside(text, "regex") if refuse else text, "regex")
    if decoding == "gbnf":
        from querywright.api.gbnf import build_gbnf

        text = build_gbnf(api)
        return Grammar(beside(text, "gbnf") if refuse else text, "gbnf")
    if decoding in ("grammar", "grounded"):
        text = mask_source(api) if instruction is None else ground(api, instruction)
        return Grammar(beside(text) if refuse else text)
    known = [*get_args(Decoding)]
    near = did_you_mean(decoding, known)
    raise QuerywrightError(f"no decoding {decoding!r}{near}", hint=f"one of {', '.join(known)}")


@lru_cache(maxsize=16)
def _named(name: str, api: API) -> Strategy:
    return strategy(name, api)


def judge(api: API, done: Completion, messages: list[Message], said: str | None = None) -> Answer:
    """What an engine wrote, read as a call or a refusal; where it is grounded in a text, with its values made whole."""
    text = done.text.strip()
    path, ok, reason, code = text, False, None, None
    if done.finish == "length":
        reason = f"the model ran out of tokens after {done.tokens_out}"
    elif (code := refused(text)) is not None:
        reason = REASONS[code]
    else:
        try:
            path, ok = parse(api, text if said is None else completed(api, said, text)).path, True
        except CallError as error:
            reason = str(error)
        except RecursionError:
            reason = "the query is too deeply nested"
    return Answer(
        path, ok, reason, done.ms, done.tokens_out, done.text, done.tokens_in, done.finish, done.logprob, messages,
        code, done.grammar_logprob,
    )  # fmt: skip
