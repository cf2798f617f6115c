"""llama.cpp in this process: a GGUF file, llguidance's mask or llama.cpp's own GBNF, the prompt's prefix kept.

It decodes step by step itself: tokens that the grammar forces are put in without asking the model, many at once; what a
request shares with the one before stays in the KV cache, so constant parts of a prompt belong at its start; and
while the prompt is read, the grammar is compiled.
(llama-cpp-python's cache on disk, which unpickles what it finds, is never switched on.)
"""

from __future__ import annotations

import codecs
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from querywright.engines.base import (
    MAX_TOKENS,
    REPORT,
    Completion,
    EngineError,
    Finish,
    Grammar,
    MaskError,
    Message,
    Progress,
    go_on,
    harmless,
)
from querywright.engines.choose import Odds, given, pick
from querywright.engines.gbnf import GbnfMask
from querywright.engines.lookup import drafted
from querywright.engines.mask import Compiler, Mask
from querywright.engines.sequences import Part, Sequences
from querywright.engines.slots import Slot, Slots, Told
from querywright.engines.teacher import Written, written
from querywright.errors import need
from querywright.progress import say

if TYPE_CHECKING:
    import numpy as np

CONTEXT = 4096
P = ParamSpec("P")
R = TypeVar("R")


def _request(method: Callable[Concatenate[LlamaEngine, P], R]) -> Callable[Concatenate[LlamaEngine, P], R]:
    """A method that keeps the model from being freed while it runs."""

    @wraps(method)
    def guarded(self: LlamaEngine, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._slots.request():
            return method(self, *args, **kwargs)

    return guarded


def default_threads() -> int:
    """Half of the usable cores, at most 8: llama.cpp's threads spin, and a busy core stalls all of them."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    return max(1, min(8, usable // 2))


class LlamaEngine:
    """A GGUF model on llama.cpp. See `base.Engine`."""

    def __init__(
        self, path: Path | str, *, threads: int | None = None, context: int = CONTEXT, speculate: int = 0,
        slots: int = 1,
    ) -> None:  # fmt: skip
        """Load the model and decode one token, so that a build that does not fit this CPU fails here.

        Args:
            context: how many tokens a prompt and its text may have. Memory for each slot's is taken at once.
            slots: how many requests it works on at once, see `slots`. `generate`, `score` and the others may be called
                from any number of threads; more than these wait.
            speculate: how many tokens that the prompt suggests are tried in one step. None by default: where a step of
                several tokens costs nearly as much as these tokens alone (a core without idle units), it is a loss,
                and llama.cpp rounds differently in such steps, so that near ties may fall otherwise.

        Raises:
            EngineError: the file is missing or no GGUF model that llama.cpp can run.
            QuerywrightError: llama-cpp-python is not installed.
        """
        self._cpp: Any = need("llama_cpp", extra="llama")
        self.path = Path(path)
        self.threads = threads or default_threads()
        if not self.path.is_file():
            raise EngineError(f"no model file {self.path}", hint="querywright export writes one, or give --model PATH")
        if self.path.open("rb").read(4) != b"GGUF":
            raise EngineError(f"{self.path} is no GGUF file", hint="querywright export writes one")
        try:
            self._llama: Any = self._cpp.Llama(
                str(self.path), n_ctx=context, n_threads=self.threads, n_threads_batch=self.threads, verbose=False
            )
            sequences = Sequences(self._cpp, self._llama, slots, context)
            self._context = min(context, sequences.context)
            sequences.compute([Part(0, 0, [max(self._llama.token_bos(), 0)], 0)])
            pick(sequences.logits(0), None, 0.0, _random(0))
        except (ValueError, RuntimeError, OSError, AssertionError) as error:
            raise EngineError(f"llama.cpp could not run {self.path}: {error}", hint="export the model again") from error
        self._vocab = self._llama._model.vocab
        self._compiler: Compiler | None = None
        self._compiling = threading.Lock()
        self._speculate = speculate
        self._sequences = sequences
        self._slots = Slots(sequences, slots)
        self._helper = ThreadPoolExecutor(slots)
        said = f"engine: llama.cpp, {self.path.name}, {self.threads} thread{'s' * (self.threads > 1)}, "
        say(said + f"context {context}" + f" for each of {slots} requests at once" * (slots > 1))

    @property
    def capacity(self) -> int:
        """How many requests it works on at once."""
        return self._slots.count

    @_request
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
        """See `base.Engine.generate`. `progress` is asked between pieces of the prompt too, with an empty text."""
        start = time.perf_counter()
        prompt = self._prompt(messages)
        if len(prompt) + max_tokens > self._context:
            raise EngineError(
                f"the prompt has {len(prompt)} tokens, and {max_tokens} may follow; the context holds {self._context}",
                hint="fewer examples or fields in the prompt, or a smaller --max-tokens",
            )
        rng = _random(seed)
        told = None if progress is None else self._teller(progress)
        completions = []
        with self._slots.take(prompt, told) as slot:
            for _ in range(n if temperature > 0 else 1):
                compiled = self._helper.submit(self._mask, grammar)
                try:
                    slot.follow(prompt, told=told)
                finally:
                    mask = compiled.result()
                tokens, odds, finish = self._decode(slot, prompt, mask, max_tokens, temperature, rng, told)
                ms = (time.perf_counter() - start) * 1000
                start = time.perf_counter()
                text = self._llama.detokenize(tokens).decode("utf-8", errors="replace")
                completions.append(Completion(text, len(prompt), len(tokens), ms, finish, **odds.known()))
        return completions * (n if temperature == 0 else 1)

    @_request
    def score(
        self, messages: Sequence[Message], texts: Sequence[str], *, grammar: Grammar | None = None
    ) -> list[Completion]:
        """See `base.weigh`. A text costs one pass over its tokens; the prompt is computed once."""
        prompt = self._prompt(messages)
        end = self._llama.token_eos()
        done = []
        with self._slots.take(prompt) as slot:
            for text in texts:
                start = time.perf_counter()
                mask = self._mask(grammar)
                assert not isinstance(mask, GbnfMask)
                path = written(text.encode(), mask, end, self._bytes_to_tokens, self._llama.detokenize)
                unknown = path is None or len(prompt) + len(path.tokens) > self._context
                odds = {} if unknown or path is None else self._odds(slot, prompt, path).known()
                length = 0 if path is None else len(path.tokens)
                ms = (time.perf_counter() - start) * 1000
                done.append(Completion(text, len(prompt), length, ms, "stop", **odds))
        return done

    def _odds(self, slot: Slot, prompt: list[int], path: Written) -> Odds:
        """How likely a text follows the prompt, out of one pass that keeps the logits at each of its tokens."""
        odds, most, tokens = Odds(), self._sequences.batch_size - 1, path.tokens
        for first in range(0, max(1, len(tokens)), most):
            part = tokens[first : first + most]
            slot.follow(prompt + tokens[:first], part)
            for place, token, bits in path.choices:
                if first <= place < first + len(part) or place == len(tokens) == first + len(part):
                    odds.add(given(slot.rows[len(prompt) + place], bits, token))
        return odds

    def next_logits(self, chats: Sequence[Sequence[Message]], batch: int = 1) -> Iterator[np.ndarray]:
        """For each chat, in order, the logits [vocabulary] of the answer's first token; one chat at a time."""
        for chat in chats:
            yield self.steps(chat, [0])[1][0]

    @_request
    def steps(self, messages: Sequence[Message], answer: Sequence[int]) -> tuple[list[int], list[np.ndarray]]:
        """A chat's tokens, and the logits [vocabulary] from which each token of an answer (shorter than a batch) is
        chosen when those before it are given: one pass over them.

        Raises:
            EngineError: the prompt does not fit.
        """
        prompt, before = self._prompt(messages), list(answer[:-1])
        if len(prompt) + len(answer) > self._context:
            raise EngineError(f"{len(prompt) + len(answer)} tokens; the context holds {self._context}")
        with self._slots.take(prompt) as slot:
            slot.follow(prompt, before)
            return prompt, [slot.rows[len(prompt) + i].copy() for i in range(len(answer))]

    @_request
    def tokens(self, text: str) -> list[int]:
        """Token ids of plain text, nothing added."""
        return self._tokens(text)

    def describe(self) -> dict[str, Any]:
        """See `base.Engine.describe`."""
        version = str(self._cpp.__version__)
        about = {"engine": "llama.cpp", "model": self.path.name, "threads": self.threads, "version": version}
        return about if self.capacity == 1 else {**about, "slots": self.capacity}  # llama.cpp rounds otherwise then

    def close(self) -> None:
        """Free the model; requests that still run fail."""
        idle = self._slots.close()
        self._helper.shutdown(cancel_futures=True)
        if idle:
            self._sequences.close()
            self._llama.close()

    def _decode(
        self, slot: Slot, prompt: list[int], mask: Mask | GbnfMask | None, max_tokens: int, temperature: float,
        rng: np.random.Generator, told: Told | None = None,
    ) -> tuple[list[int], Odds, Finish]:  # fmt: skip
        tokens: list[int] = []
        odds = Odds()
        while len(tokens) < max_tokens:
            forced = mask.forced() if mask is not None else []
            if forced:
                tokens += self._force(forced[: max_tokens - len(tokens)], mask)
                if told is not None:
                    told(tokens)
                continue
            if mask is not None and mask.must_end:
                return tokens, odds, "stop"
            logits = slot.follow(prompt + tokens, self._draft(slot, prompt, tokens, mask, max_tokens))
            try:
                if isinstance(mask, GbnfMask):
                    step = mask.pick(logits, temperature, rng)
                else:
                    step = pick(logits, None if mask is None else mask.bits(), temperature, rng)
            except ValueError as error:
                raise (EngineError if mask is None else MaskError)(str(error), hint=REPORT) from error
            odds.add(step)
            token = step.token
            if self._cpp.llama_vocab_is_eog(self._vocab, token):
                if mask is not None and not mask.may_end:
                    raise MaskError("the text ended before the grammar allowed it", hint=REPORT)
                return tokens, odds, "stop"
            if mask is not None:
                mask.take(token)
            tokens.append(token)
            if told is not None:
                told(tokens)
        return tokens, odds, "stop" if mask is not None and mask.must_end else "length"

    def _teller(self, progress: Progress) -> Told:
        """What hands `progress` the text of the tokens so far, half characters left out."""

        def told(tokens: Sequence[int]) -> None:
            said = self._llama.detokenize(list(tokens))
            go_on(progress, codecs.getincrementaldecoder("utf-8")("replace").decode(said))

        return told

    @staticmethod
    def _force(tokens: list[int], mask: Mask | GbnfMask | None) -> list[int]:
        for token in tokens:
            assert mask is not None
            mask.take(token)
        return tokens

    def _mask(self, grammar: Grammar | None) -> Mask | GbnfMask | None:
        if grammar is None:
            return None
        if grammar.kind == "gbnf":
            return GbnfMask(self._cpp, self._vocab, grammar.text)
        with self._compiling:
            if self._compiler is None:
                need("llguidance", extra="llama")
                from llguidance.llamacpp import lltokenizer_from_vocab

                with warnings.catch_warnings():  # one for each token, about a function's old name
                    warnings.simplefilter("ignore", DeprecationWarning)
                    self._compiler = Compiler(lltokenizer_from_vocab(self._vocab))
            return self._compiler.start(grammar)

    def _draft(
        self, slot: Slot, prompt: list[int], tokens: list[int], mask: Mask | GbnfMask | None, max_tokens: int
    ) -> list[int]:
        """What the prompt suggests to try, as far as the grammar takes it."""
        most = min(self._speculate, max_tokens - len(tokens) - 1)
        if most < 1 or isinstance(mask, GbnfMask) or slot.known(prompt + tokens):
            return []
        found = drafted(prompt, tokens, most)
        return found[: mask.takes(found)] if mask is not None and found else found

    def _prompt(self, messages: Sequence[Message]) -> list[int]:
        """A chat's tokens. What people wrote never becomes a control token."""
        mark, end = (self._tokens(piece, special=True) for piece in ("<|im_start|>", "<|im_end|>"))
        if len(mark) != 1 or len(end) != 1:
            return self._templated(messages)
        prompt: list[int] = []
        for message in messages:
            prompt += mark + self._tokens(f"{message['role']}\n{message['content']}") + end + self._tokens("\n")
        return prompt + mark + self._tokens("assistant\n")

    def _templated(self, messages: Sequence[Message]) -> list[int]:
        formats: Any = self._cpp.llama_chat_format
        template = self._llama.metadata.get("tokenizer.chat_template")
        if not template:
            raise EngineError(f"{self.path.name} has no chat template", hint="use an instruction-tuned model")
        names = [self._llama._model.token_get_text(t) if t >= 0 else "" for t in
                 (self._llama.token_eos(), self._llama.token_bos())]  # fmt: skip
        render = formats.Jinja2ChatFormatter(template=template, eos_token=names[0], bos_token=names[1])
        return self._tokens(render(messages=harmless(messages)).prompt, special=True)

    def _bytes_to_tokens(self, text: bytes) -> list[int]:
        tokens: list[int] = self._llama.tokenize(text, add_bos=False, special=False)
        return tokens

    def _tokens(self, text: str, *, special: bool = False) -> list[int]:
        tokens: list[int] = self._llama.tokenize(text.encode(), add_bos=False, special=special)
        return tokens


def _random(seed: int) -> np.random.Generator:
    import numpy as np

    return np.random.default_rng(seed)
