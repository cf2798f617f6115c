"""ChatML for torchtune: SmolLM2's chat format, with the loss on answers only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchtune.data import Message
from torchtune.modules.transforms.tokenizers import ModelTokenizer

from querywright.errors import QuerywrightError

START, END = "<|im_start|>", "<|im_end|>"


class ChatMLTokenizer(ModelTokenizer):
    """``<|im_start|>role\\ncontent<|im_end|>\\n`` for each message; masked (no loss) but for answers and their end.

    Args:
        path: ``tokenizer.json`` of a Hugging Face checkpoint that has the two ChatML tokens.
        max_seq_len: longer rows lose their end, as with torchtune's own tokenizers (`querywright.finetune.data` sees to
            it that none gets that far); ``None`` for no limit.

    Raises:
        QuerywrightError: no such file, or no ChatML in it.
    """

    def __init__(self, path: str, max_seq_len: int | None = None) -> None:
        from tokenizers import Tokenizer

        if not Path(path).is_file():
            raise QuerywrightError(
                f"no tokenizer at {path}", hint="tokenizer.path is the tokenizer.json of checkpointer.checkpoint_dir"
            )
        try:
            self._tokenizer = Tokenizer.from_file(path)
        except Exception as error:  # the library raises nothing narrower
            raise QuerywrightError(
                f"{path} is no tokenizer: {str(error)[:100]}", hint="tokenizer.path is a tokenizer.json"
            ) from error
        # a sentence that holds a mark of the chat format holds it as text, as when the model is asked
        self._tokenizer.encode_special_tokens = True
        self.max_seq_len = max_seq_len
        start, end = (self._tokenizer.token_to_id(name) for name in (START, END))
        if start is None or end is None:
            raise QuerywrightError(
                f"{path} has no {START} or {END} token: not a ChatML model",
                hint="for Llama 3: tokenizer=querywright.finetune.llama3_tokenizer.Llama3ChatTokenizer",
            )
        self.start_id, self.end_id = start, end
        self.eos_id = self.pad_id = self.end_id

    def encode(self, text: str, **_: Any) -> list[int]:
        """Token ids of plain text; nothing is added to it."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, token_ids: list[int], **_: Any) -> str:
        """Text of token ids, special tokens included."""
        return str(self._tokenizer.decode(token_ids, skip_special_tokens=False))

    def tokenize_messages(self, messages: list[Message], **_: Any) -> tuple[list[int], list[bool]]:
        """Token ids and, for each, whether it is kept out of the loss."""
        tokens: list[int] = []
        mask: list[bool] = []
        for message in messages:
            # an answer is cut from its head as it is when a model writes it; a question is cut in one piece, as
            # engines cut a rendered prompt
            head, body = f"{message.role}\n", message.text_content
            loss = message.role == "assistant"
            pieces = [self.encode(head), self.encode(body)] if loss else [self.encode(head + body), []]
            newline = self.encode("\n")
            tokens += [self.start_id, *pieces[0], *pieces[1], self.end_id, *newline]
            mask += [True] * (1 + len(pieces[0])) + [not loss] * (len(pieces[1]) + 1) + [True] * len(newline)
        return tokens[: self.max_seq_len], mask[: self.max_seq_len]

    def __call__(self, sample: Mapping[str, Any], inference: bool = False) -> dict[str, Any]:
        """Replace ``messages`` by ``tokens`` and ``mask``, as torchtune's datasets expect."""
        rest = {key: value for key, value in sample.items() if key != "messages"}
        tokens, mask = self.tokenize_messages(sample["messages"])
        return {**rest, "tokens": tokens, "mask": mask}
