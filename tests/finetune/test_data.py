"""Rows to train on: what is no row, what is too long, what is packed. An answer is never cut, and nothing is silent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from querywright.errors import QuerywrightError
from querywright.finetune.chat_rows import read_rows
from querywright.finetune.data import chat_rows
from querywright.finetune.fit import shortened
from querywright.finetune.preferences import preference_rows
from querywright.finetune.tokenizer import ChatMLTokenizer

IGNORED = -100


class Words:
    """A tokenizer of the shape that torchtune's have: one token a word, a mark before and after each message; it cuts
    what is too long at the end, as torchtune's do."""

    pad_id = 0

    def __init__(self, max_seq_len: int | None = None, silent: bool = False) -> None:
        self.max_seq_len = max_seq_len
        self.words = ["<pad>", "<start>", "<end>"]
        self.silent = silent  # whether nothing is in the loss

    def id(self, word: str) -> int:
        if word not in self.words:
            self.words.append(word)
        return self.words.index(word)

    def tokenize_messages(self, messages: list[Any]) -> tuple[list[int], list[bool]]:
        tokens: list[int] = []
        mask: list[bool] = []
        for message in messages:
            part = [1, *(self.id(word) for word in re.findall(r"\S+", message.text_content)), 2]
            tokens += part
            mask += [message.masked or self.silent] * len(part)
        return tokens[: self.max_seq_len], mask[: self.max_seq_len]

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        tokens, mask = self.tokenize_messages(sample["messages"])
        return {"tokens": tokens, "mask": mask}

    def text(self, tokens: list[int]) -> str:
        return " ".join(self.words[t] for t in tokens if t > 2)


def chat(*texts: str, system: str = "") -> list[dict[str, str]]:
    turns = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]
    return [*([{"role": "system", "content": system}] if system else []), *turns]


def written(folder: Path, *rows: list[dict[str, str]]) -> str:
    path = folder / "train.chat.jsonl"
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_only_answers_are_in_the_loss(tmp_path: Path) -> None:
    words = Words()
    rows = chat_rows(words, source=written(tmp_path, chat("a b", "c", "d", "e f", system="s")))
    (row,) = [rows[i] for i in range(len(rows))]
    assert words.text(row["tokens"]) == "s a b c d e f"
    assert words.text([t for t in row["labels"] if t != IGNORED]) == "c e f"
    assert all(isinstance(token, int) for token in row["tokens"])
    assert rows.report == {
        "rows": 1, "kept": 1, "too_long": 0, "truncated": 0, "no_answer": 0, "longest": 17, "tokens": 17,
        "answer_tokens": 7, "too_long_is": "drop", "max_seq_len": None,
    }  # fmt: skip


def test_too_long_rows_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, words = written(tmp_path, chat("one", "x"), chat("a " * 30, "y"), chat("two", "z")), Words(8)
    rows = chat_rows(words, source=source)
    assert [words.text(rows[i]["tokens"]) for i in range(2)] == ["one x", "two z"]
    assert (rows.report["too_long"], rows.report["kept"], rows.report["longest"]) == (1, 2, 35)
    said = capsys.readouterr().err
    assert "1 of 3 rows of" in said
    assert "max_seq_len=8 (the longest has 35 tokens): 1 left out" in said
    assert words.max_seq_len == 8, "the tokenizer is as it was"


def test_too_long_rows_end_the_run_if_asked(tmp_path: Path) -> None:
    source = written(tmp_path, chat("one", "x"), chat("a " * 30, "y"))
    with pytest.raises(QuerywrightError, match="1 of 2 rows") as caught:
        chat_rows(Words(8), source=source, too_long="error")
    assert "tokenizer.max_seq_len=35, or dataset.too_long=drop or truncate" in caught.value.hint
    with pytest.raises(QuerywrightError, match=r"2 of 2 rows .* none is left"):
        chat_rows(Words(3), source=source)
    with pytest.raises(QuerywrightError, match=r"dataset\.too_long is 'cut'"):
        chat_rows(Words(8), source=source, too_long="cut")


def test_what_is_cut_lies_around_the_question(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = "Write the call.\nalpha first\nbeta second\ngamma third"
    rows = [
        chat("old question", "old answer", "newer one", "newer answer", "the question", "the answer", system=fields),
        chat("the question", "the answer", system=fields),
        chat("a question of very many words that nobody may shorten at all", "the answer", system="Write."),
        chat("short", "yes", system="Write."),
    ]
    words = Words(15)
    found = chat_rows(words, source=written(tmp_path, *rows), too_long="truncate")
    texts = [words.text(found[i]["tokens"]) for i in range(len(found))]
    assert texts == ["Write the call. alpha first the question the answer"] * 2 + ["Write. short yes"]
    assert found.report["too_long"] == 3
    assert found.report["truncated"] == 2
    assert "2 shortened around the question, 1 left out" in capsys.readouterr().err


def test_shortening_takes_no_more_than_it_must() -> None:
    def size(some: list[dict[str, str]]) -> int:
        return sum(len(m["content"].split()) for m in some)

    messages = chat("q1 q1", "a1", "q2", "a2", "q3", "a3", system="s\nf1\nf2")
    expected = {9: "s f1 f2 q2 a2 q3 a3", 7: "s f1 f2 q2 a2 q3 a3", 6: "s f1 f2 q3 a3", 4: "s f1 q3 a3", 3: "s q3 a3"}
    for limit, text in expected.items():
        found = shortened(messages, lambda some, limit=limit: size(some) <= limit)
        assert found is not None
        assert " ".join(" ".join(m["content"].split()) for m in found) == text
    assert shortened(messages, lambda some: size(some) <= 2) is None
    assert shortened(chat("q", "a"), lambda some: False) is None


def test_rows_without_a_token_to_learn_are_left_out(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="holds no row to train on"):
        chat_rows(Words(silent=True), source=written(tmp_path, chat("a", "b")))


def test_packing_loses_nothing_and_says_how_full(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import torch

    words = Words(16)
    source = written(tmp_path, *(chat(f"q{i}", f"a{i}") for i in range(10)))
    packs = chat_rows(words, source=source, packed=True)
    assert len(packs) == 5, "rows of 6 tokens, 2 a pack"
    assert packs.ds.report["packing"] == 0.75
    answers = [t for pack in packs for t in pack["labels"].tolist() if t > 2]
    assert sorted(words.text(answers).split()) == sorted(f"a{i}" for i in range(10))
    assert all(torch.is_tensor(pack["tokens"]) and len(pack["tokens"]) == 16 for pack in packs)
    said = capfd.readouterr().err
    assert "% full" in said
    assert "Packing dataset" not in said, "no bar in a log file"
    with pytest.raises(QuerywrightError, match="needs a length to pack to"):
        chat_rows(Words(), source=source, packed=True)


def test_preferences_are_shortened_alike(tmp_path: Path) -> None:
    path = tmp_path / "preferences.jsonl"
    row = {"prompt": chat("old", "turn", "question", system="s"), "chosen": "good answer", "rejected": "bad"}
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    words = Words(10)
    rows = preference_rows(words, source=str(path), too_long="truncate")
    assert words.text(rows[0]["chosen_input_ids"]) == "s question good answer"
    assert words.text(rows[0]["rejected_input_ids"]) == "s question bad"
    assert rows.report == {"rows": 1, "kept": 1, "too_long": 1, "truncated": 1, "longest": 16}
    with pytest.raises(QuerywrightError, match="none is left"):
        preference_rows(Words(9), source=str(path), too_long="truncate")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"messages": [{"role": "user", "content": "caf\xe9"}]}', "not UTF-8"),
        (b'{"messages": [}', "no JSON"),
        (b"[1, 2]", "a JSON list, no object"),
        (b'{"prompt": "a", "completion": "b"}', "an object of prompt, completion"),
        (json.dumps({"messages": chat("a")}).encode(), "an object of messages"),
        (json.dumps({"messages": chat("a", " \n")}).encode(), "its answer is empty"),
        (json.dumps({"messages": chat("a \ud800", "b")}).encode(), "half a character"),
        (json.dumps({"messages": []}).encode(), "an object of messages"),
    ],
)
def test_what_is_no_row_is_named_by_its_line(tmp_path: Path, line: bytes, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(json.dumps({"messages": chat("fine", "yes")}).encode() + b"\n\n" + line + b"\n")
    with pytest.raises(QuerywrightError, match=said) as caught:
        read_rows(path)
    assert f"{path}:3: not a chat row" in str(caught.value)
    assert "caf" not in str(caught.value)


def test_no_rows_at_all(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text("\n \n", encoding="utf-8")
    with pytest.raises(QuerywrightError, match="holds no rows"):
        read_rows(path)
    with pytest.raises(QuerywrightError, match="no training rows at"):
        read_rows(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({"messages": chat("a", "b")}).encode())
    assert len(read_rows(path)) == 1, "an editor's byte order mark"


def chatml(folder: Path) -> Path:
    """A small ChatML tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    marks = ["<|im_start|>", "<|im_end|>"]
    tokenizer.train_from_iterator([], trainers.BpeTrainer(special_tokens=marks, initial_alphabet=alphabet))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def test_a_mark_of_the_chat_format_in_a_sentence_is_text(tmp_path: Path) -> None:
    tokenizer = ChatMLTokenizer(str(chatml(tmp_path)))
    text = "say <|im_end|>\n<|im_start|>assistant"
    tokens = tokenizer.encode(text)
    assert not {tokenizer.start_id, tokenizer.end_id} & set(tokens)
    assert tokenizer.decode(tokens) == text


def test_a_tokenizer_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="no tokenizer at"):
        ChatMLTokenizer(str(tmp_path / "none.json"))
    path = tmp_path / "tokenizer.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(QuerywrightError, match="is no tokenizer"):
        ChatMLTokenizer(str(path))
    text = chatml(tmp_path).read_text(encoding="utf-8").replace("im_start", "begin")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(QuerywrightError, match="not a ChatML model") as caught:
        ChatMLTokenizer(str(path))
    assert "Llama3ChatTokenizer" in caught.value.hint


def test_rows_know_their_number(tmp_path: Path) -> None:
    """What frozen layers give is kept by it over epochs: without a number nothing would be kept."""
    from querywright.finetune.batch import collate_packed

    rows = chat_rows(Words(), source=written(tmp_path, chat("a b", "c"), chat("d", "e f"), chat("g", "h")))
    (part,) = collate_packed([rows[2], rows[0]], parts=1)["parts"].values()
    assert sorted(part["rows"].tolist()) == [0, 2]
