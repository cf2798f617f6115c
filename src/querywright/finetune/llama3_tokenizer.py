"""Llama 3's chat format for torchtune, with the loss on answers only, as :mod:`querywright.finetune.tokenizer` has it.

A row is ``<|begin_of_text|>`` and for each message
``<|start_header_id|>role<|end_header_id|>\\n\\ncontent<|eot_id|>``: Meta's reference (``ChatFormat`` in the package
``llama-models``) and llama.cpp's template ``llama3`` render a chat the same way. The Jinja template in the
checkpoints of Llama 3.1 and 3.2 adds two lines to the system message (``Cutting Knowledge Date: …`` and
``Today Date: …``, which in 3.2 changes from day to day). They are not trained on, so whoever serves the model leaves
them out too: with the template of :mod:`querywright.finetune.family`, which the export puts into what it writes.

torchtune's own tokenizer differs in what it trains on: it counts the answer's header to the loss, and adds
``<|end_of_text|>``, which no chat engine ever shows the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torchtune.data import Message
from torchtune.models.llama3 import Llama3Tokenizer

from querywright.errors import QuerywrightError


class Llama3ChatTokenizer(Llama3Tokenizer):
    """torchtune's Llama 3 tokenizer; of a chat only the answers and their ends are in the loss.

    Args:
        path: ``original/tokenizer.model`` of a Llama 3, 3.1 or 3.2 checkpoint (tiktoken's format).
        max_seq_len: longer rows lose their end; ``None`` for no limit.

    Raises:
        QuerywrightError: no such file, or none of Llama 3's.
    """

    def __init__(self, path: str, max_seq_len: int | None = None) -> None:
        # tiktoken keeps a copy of what it read by path: it would not notice that the file is gone
        if not Path(path).is_file():
            raise QuerywrightError(
                f"no tokenizer at {path}", hint="tune download brings original/tokenizer.model; tokenizer.path names it"
            )
        try:
            super().__init__(path, max_seq_len=max_seq_len)
        except (ValueError, UnicodeError) as error:
            raise QuerywrightError(
                f"{path} is no tokenizer of Llama 3: {str(error)[:100]}",
                hint="tokenizer.path is original/tokenizer.model, not tokenizer.json",
            ) from error

    def tokenize_messages(
        self, messages: list[Message], *, add_end_tokens: bool = True
    ) -> tuple[list[int], list[bool]]:
        """Token ids and, for each, whether it is kept out of the loss.

        ``add_end_tokens=False`` leaves the last message open, as for a model that is to go on.
        """
        tokens, mask = [self.bos_id], [True]
        for i, message in enumerate(messages):
            head = self._tokenize_header(message)
            end = [self.eot_id] if add_end_tokens or i < len(messages) - 1 else []
            body = [*self._tokenize_body(message), *end]
            tokens += head + body
            mask += [True] * len(head) + [message.role != "assistant"] * len(body)
        return tokens[: self.max_seq_len], mask[: self.max_seq_len]

    def __call__(self, sample: Any, inference: bool = False) -> dict[str, Any]:
        """Replace ``messages`` by ``tokens`` and ``mask``, as torchtune's datasets expect."""
        rest = {key: value for key, value in sample.items() if key != "messages"}
        tokens, mask = self.tokenize_messages(sample["messages"], add_end_tokens=not inference)
        return {**rest, "tokens": tokens, "mask": mask}
