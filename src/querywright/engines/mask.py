"""llguidance behind functions that raise. Its own matcher never does: it turns into an error state and goes on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from querywright.engines.base import REPORT, Grammar, MaskError
from querywright.errors import need

_KEPT = 8  # compiled grammars: the API's own and a few that are grounded in a sentence


class Compiler:
    """Compiles lark grammars and JSON schemas for one tokenizer and keeps the last few. A copy costs microseconds."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer  # an llguidance.LLTokenizer
        self._compiled: OrderedDict[str, Any] = OrderedDict()

    def start(self, grammar: Grammar) -> Mask:
        """A mask at the start of a text.

        Raises:
            MaskError: the grammar is not valid; the message says where.
        """
        if grammar.kind == "gbnf":
            raise MaskError("this engine takes lark grammars, not gbnf", hint="--decoding grammar")
        matcher = self._compiled.pop(grammar.text, None)
        if matcher is None:
            lib = need("llguidance", extra="llama")
            names = {"json": "json_schema", "regex": "regex"}
            read = getattr(lib.LLMatcher, f"grammar_from_{names.get(grammar.kind, 'lark')}")
            try:
                source = read(grammar.text)
            except ValueError as error:
                reason = _first_line(str(error))
                raise MaskError(f"the grammar does not compile: {reason}", hint="report this") from None
            matcher = lib.LLMatcher(self.tokenizer, source, log_level=0)
            if matcher.is_error():
                raise MaskError(f"the grammar does not compile: {_first_line(matcher.get_error())}", hint="report this")
        self._compiled[grammar.text] = matcher
        while len(self._compiled) > _KEPT:
            self._compiled.popitem(last=False)
        return Mask(matcher.deep_copy())


class Mask:
    """What may come next in one text."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def bits(self) -> bytes:
        """The next token's mask, one bit a token, lowest bit first. Where the text may end, end-of-text is set."""
        bits: bytes = self._matcher.compute_bitmask()
        self._check()
        return bits

    def take(self, token: int) -> None:
        """Move past a token.

        Raises:
            MaskError: the grammar does not allow it here.
        """
        self._matcher.consume_token(token)
        self._check()

    def forced(self) -> list[int]:
        """Tokens that follow whatever the model says (they are not taken yet); empty where there is a choice."""
        tokens: list[int] = self._matcher.compute_ff_tokens()
        self._check()
        return tokens

    def takes(self, tokens: list[int]) -> int:
        """How many of `tokens` may come next, one after the other; none of them is taken."""
        count: int = self._matcher.validate_tokens(tokens)
        self._check()
        return count

    @property
    def may_end(self) -> bool:
        """Whether the text so far is whole."""
        return bool(self._matcher.is_accepting())

    @property
    def must_end(self) -> bool:
        """Whether nothing can follow."""
        return bool(self._matcher.is_stopped())

    def _check(self) -> None:
        if self._matcher.is_error():
            raise MaskError(
                f"the grammar's mask failed: {_first_line(self._matcher.get_error())}",
                hint=REPORT,
            )


def matches(compiler: Compiler, grammar: Grammar, tokens: Sequence[int]) -> bool:
    """Whether a text, given as tokens without end-of-text, is whole under the grammar."""
    mask = compiler.start(grammar)
    try:
        for token in tokens:
            mask.take(token)
    except MaskError:
        return False
    return mask.may_end


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0][:200]
