"""Which integers are one token is asked of real tokenizers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from querywright.engines.tokens import encoder
from querywright.errors import QuerywrightError
from querywright.events.labels import assign, free_labels, nil_tokens, one_token


def test_smollm2_has_ten_labels(smollm2: Path) -> None:
    encode = encoder(str(smollm2))
    labels = free_labels(encode)
    assert [*labels] == [str(n) for n in range(10)]
    assert one_token(encode, "10") is None
    nil = nil_tokens(encode, labels)
    assert len(nil) == 2
    assert nil[0] not in labels.values()
    # behind a space no number is one token
    with pytest.raises(QuerywrightError, match="no integer is one token in a completion"):
        free_labels(encode, "completion")


def test_a_tokenizer_that_keeps_numbers_whole(whole_numbers: Path) -> None:
    encode = encoder(str(whole_numbers))
    labels = free_labels(encode, "completion")
    assert set(labels) >= {str(n) for n in range(60)}
    assert len(set(labels.values())) == len(labels)
    assert one_token(encode, "42", "completion") == encode(" 42")[0]
    assert one_token(encode, "777", "completion") is None
    assert [*free_labels(encode, "completion", 12)] == [str(n) for n in range(12)]
    assert nil_tokens(encode, labels, "completion") == encode(" nil")


def test_what_a_label_meets_in_its_place_counts() -> None:
    # this one has a token for a line's end and a 7 together: the 7 is no token of its own there
    def encode(text: str) -> list[int]:
        return [ord(c) for c in text.replace("\n7", "\x01")]

    assert one_token(encode, "6") == ord("6")
    assert one_token(encode, "7") is None


def test_nil_has_to_be_told_apart() -> None:
    def encode(text: str) -> list[int]:
        return [ord(c) if c != "n" else ord("3") for c in text]

    with pytest.raises(QuerywrightError, match="begins with the token of a person"):
        nil_tokens(encode, free_labels(encode))


def test_tokenizers_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": 5}))
    for source, said in (
        (tmp_path, "is no tokenizer"),
        (tmp_path / "x", "no tokenizer at"),
        ("tiktoken:zz", "no 'zz'"),
    ):
        with pytest.raises(QuerywrightError, match=said):
            encoder(str(source))


def test_labels_go_to_who_answers_most() -> None:
    answers = [("b",)] * 5 + [("a", "b")] * 3 + [("c",)] * 3 + [("d",)] + [()] * 9
    people = assign(answers, ["0", "1"], 3)
    assert people.label == {"b": "0", "a": "1"}
    assert people.answers == {"b": 8, "a": 3}
    assert people.left_out == {"fewer answers than needed": (1, 1), "more people than labels": (1, 3)}
