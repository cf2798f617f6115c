"""transformers in this process: a checkpoint folder, with or without a PEFT adapter, under llguidance's mask.

Only safetensors are read: no pickled weights, no code from the checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
)
from querywright.engines.choose import Odds, given, pick
from querywright.engines.hf_batch import Request, generate
from querywright.engines.mask import Compiler, Mask
from querywright.engines.teacher import written
from querywright.errors import need
from querywright.progress import say

if TYPE_CHECKING:
    import numpy as np


class TransformersEngine:
    """A causal language model on torch. See `base.Engine`."""

    def __init__(self, path: Path | str, *, adapter: Path | str | None = None, threads: int | None = None) -> None:
        """Load a checkpoint, and merge an adapter into it where one is given.

        Args:
            path: folder with config.json, tokenizer.json and *.safetensors.
            adapter: folder in PEFT's layout (adapter_config.json, adapter_model.safetensors).

        Raises:
            EngineError: a folder is missing or not readable.
        """
        torch: Any = need("torch", extra="hf")
        transformers: Any = need("transformers", extra="hf")
        transformers.utils.logging.disable_progress_bar()
        self.path, self.adapter = Path(path), Path(adapter) if adapter else None
        for folder, file in ((self.path, "config.json"), (self.adapter, "adapter_config.json")):
            if folder is not None and not (folder / file).is_file():
                raise EngineError(f"{folder} holds no {file}", hint="give a checkpoint folder, or --adapter FOLDER")
        if threads:
            torch.set_num_threads(threads)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        # half precision is many times slower on CPUs without instructions for it
        dtype = torch.bfloat16 if self.device == "cuda" else torch.float32
        try:
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(self.path, local_files_only=True)
            model = transformers.AutoModelForCausalLM.from_pretrained(
                self.path, local_files_only=True, use_safetensors=True, dtype=dtype, trust_remote_code=False
            )
            if self.adapter is not None:
                peft: Any = need("peft", extra="hf")
                model = peft.PeftModel.from_pretrained(model, self.adapter, use_safetensors=True).merge_and_unload()
        except (OSError, ValueError, KeyError) as error:
            raise EngineError(f"transformers could not load {self.path}: {error}", hint="export it again") from error
        self.model: Any = model.to(self.device).eval()
        end = self.tokenizer.convert_tokens_to_ids("<|im_end|>")
        known = end is not None and end != self.tokenizer.unk_token_id
        self.end: int = end if known else self.tokenizer.eos_token_id
        self._chatml = known
        self._compiler: Compiler | None = None
        say(f"engine: transformers, {self.path.name}, {self.device}, {torch.get_num_threads()} threads")

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
        """See `base.Engine.generate`. Several different texts are written in one batch, unless `progress` watches."""
        import numpy as np

        if n > 1 and temperature > 0 and progress is None:
            done = self.many([Request(messages, grammar, max_tokens, temperature, seed, n)])[0]
            if isinstance(done, EngineError):
                raise done
            return done
        prompt = self.prompt(messages, max_tokens)
        rng = np.random.default_rng(seed)
        asked = n if temperature > 0 else 1
        texts = [self._one(prompt, grammar, max_tokens, temperature, rng, progress) for _ in range(asked)]
        return texts * (n if temperature == 0 else 1)

    def many(self, requests: Sequence[Request]) -> list[list[Completion] | EngineError]:
        """The answers to several requests, computed together; see `hf_batch`."""
        return generate(self, requests)

    def prompt(self, messages: Sequence[Message], max_tokens: int) -> list[int]:
        """A chat's tokens.

        Raises:
            EngineError: the context does not hold them and the text that may follow.
        """
        prompt = self._prompt(messages)
        if len(prompt) + max_tokens > self.context:
            raise EngineError(
                f"the prompt has {len(prompt)} tokens, and {max_tokens} may follow; the context holds {self.context}",
                hint="fewer examples or fields in the prompt",
            )
        return prompt

    @property
    def context(self) -> int:
        """How many tokens a prompt and its text may have."""
        return getattr(self.model.config, "max_position_embeddings", None) or 1 << 30

    def score(
        self, messages: Sequence[Message], texts: Sequence[str], *, grammar: Grammar | None = None
    ) -> list[Completion]:
        """See `base.weigh`: all texts in one batch."""
        import torch

        start = time.perf_counter()
        prompt = self._prompt(messages)
        paths = [written(t.encode(), self.mask(grammar), self.end, self._tokens_of, self._bytes_of) for t in texts]
        fed = [prompt + (path.tokens if path else []) for path in paths]
        width = max(map(len, fed))
        if width > self.model.config.max_position_embeddings:
            raise EngineError(f"a text of {width} tokens with its prompt does not fit the model")
        # padding stands on the right, where no token before it sees it
        ids = torch.tensor([row + [self.end] * (width - len(row)) for row in fed], device=self.device)
        seen = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in fed], device=self.device)
        keep = width - len(prompt) + 1
        with torch.inference_mode():
            logits = self.model(input_ids=ids, attention_mask=seen, logits_to_keep=keep).logits.float().cpu().numpy()
        done = []
        for text, path, rows in zip(texts, paths, logits, strict=True):
            odds = Odds()
            for place, token, bits in path.choices if path else ():
                odds.add(given(rows[place], bits, token))
            ms = (time.perf_counter() - start) * 1000 / len(texts)
            known = odds.known() if path else {}
            done.append(Completion(text, len(prompt), len(path.tokens) if path else 0, ms, "stop", **known))
        return done

    def _tokens_of(self, text: bytes) -> list[int]:
        return self.tokens(text.decode("utf-8", errors="replace"))

    def _bytes_of(self, tokens: list[int]) -> bytes:
        return str(self.tokenizer.decode(tokens, clean_up_tokenization_spaces=False)).encode()

    def next_logits(self, chats: Sequence[Sequence[Message]], batch: int = 16) -> Iterator[np.ndarray]:
        """For each chat, in order, the logits [vocabulary] of its answer's first token, `batch` chats at once."""
        import torch

        for start in range(0, len(chats), batch):
            prompts = [self._prompt(chat) for chat in chats[start : start + batch]]
            width = max(map(len, prompts))
            # padding stands on the left, so that the last place is every prompt's last token
            ids = torch.tensor([[self.end] * (width - len(p)) + p for p in prompts], device=self.device)
            seen = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=self.device)
            places = (seen.cumsum(1) - 1).clamp(min=0)
            with torch.inference_mode():
                out = self.model(input_ids=ids, attention_mask=seen, position_ids=places, logits_to_keep=1)
            yield from out.logits[:, -1].float().cpu().numpy()

    def tokens(self, text: str) -> list[int]:
        """Token ids of plain text, nothing added; what is written like a control token is text too."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return ids

    def text(self, tokens: list[int]) -> str:
        """Tokens as text, without the control tokens among them."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def describe(self) -> dict[str, Any]:
        """See `base.Engine.describe`."""
        adapter = {"adapter": self.adapter.name} if self.adapter else {}
        return {"engine": "transformers", "model": self.path.name, "device": self.device, **adapter}

    def close(self) -> None:
        """Drop the model."""
        self.model = None

    def _one(
        self, prompt: list[int], grammar: Grammar | None, max_tokens: int, temperature: float, rng: Any,
        progress: Progress | None = None,
    ) -> Completion:  # fmt: skip
        import torch

        start = time.perf_counter()
        mask = self.mask(grammar)
        tokens: list[int] = []
        fresh, cache, odds = list(prompt), None, Odds()
        finish: Finish = "length"
        with torch.inference_mode():
            while len(tokens) < max_tokens:
                if progress is not None:
                    go_on(progress, self.text(tokens).rstrip("\ufffd"))
                forced = mask.forced()[: max_tokens - len(tokens)] if mask is not None else []
                for token in forced:
                    assert mask is not None
                    mask.take(token)
                tokens, fresh = tokens + forced, fresh + forced
                if mask is not None and mask.must_end:
                    finish = "stop"
                    break
                if len(tokens) >= max_tokens:
                    break
                ids = torch.tensor([fresh], device=self.device)
                out = self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
                cache = out.past_key_values
                try:
                    row = out.logits[0, -1].float().cpu().numpy()
                    step = pick(row, None if mask is None else mask.bits(), temperature, rng)
                except ValueError as error:
                    raise (EngineError if mask is None else MaskError)(str(error), hint=REPORT) from error
                odds.add(step)
                token = step.token
                if token == self.end:
                    finish = "stop"
                    break
                if mask is not None:
                    mask.take(token)
                tokens.append(token)
                fresh = [token]
        ms = (time.perf_counter() - start) * 1000
        return Completion(self.text(tokens), len(prompt), len(tokens), ms, finish, **odds.known())

    def mask(self, grammar: Grammar | None) -> Mask | None:
        """A mask at the start of a text; None without a grammar."""
        if grammar is None:
            return None
        if self._compiler is None:
            self._compiler = Compiler(self.llguidance_tokenizer())
        return self._compiler.start(grammar)

    def llguidance_tokenizer(self) -> Any:
        """This tokenizer as llguidance knows it; the end of a turn ends the text."""
        need("llguidance", extra="hf")
        from llguidance.hf import from_tokenizer

        size = int(self.model.get_output_embeddings().weight.shape[0])
        return from_tokenizer(self.tokenizer, n_vocab=size, eos_token=self.end)

    def _prompt(self, messages: Sequence[Message]) -> list[int]:
        if not self._chatml:
            ids: list[int] = self.tokenizer.apply_chat_template(
                list(messages), add_generation_prompt=True, return_dict=False, sanitize_control_tokens=True
            )
            return ids
        mark, end = self.tokenizer.convert_tokens_to_ids("<|im_start|>"), self.end
        prompt: list[int] = []
        for m in messages:  # the whole, as `chatml` writes it, but what people wrote never becomes a control token
            prompt += [mark, *self.tokens(f"{m['role']}\n{m['content']}"), end, *self.tokens("\n")]
        prompt += [mark, *self.tokens("assistant\n")]
        return prompt
