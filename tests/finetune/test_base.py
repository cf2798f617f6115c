"""The base model as torchtune, transformers and llama.cpp see it: one model, one tokenizer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torchtune.data import Message

from querywright.errors import QuerywrightError
from querywright.finetune.base import ensure_base, packaged_gguf
from querywright.finetune.chat_rows import read_rows
from querywright.finetune.data import ChatRows
from querywright.finetune.tokenizer import ChatMLTokenizer

TEXTS = (
    "/v3/query?q=symbol:CDK2&species=human&fields=uniprot.Swiss-Prot,ensembl.gene&size=15",
    "Genes on chromosome 17 between 1,000 and 43044295 for ENSG00000141510 (BRCA1), GO:0006915",
    "user\n  x   12 3\n\n",
    "3' UTR's naïve café №7",
)


@pytest.fixture(scope="module")
def tokenizer(base: Path) -> ChatMLTokenizer:
    return ChatMLTokenizer(str(base / "tokenizer.json"))


@pytest.mark.slow
def test_torchtune_and_transformers_agree(base: Path, tokenizer: ChatMLTokenizer) -> None:
    from safetensors.torch import load_file
    from torchtune.models.convert_weights import hf_to_tune
    from transformers import AutoModelForCausalLM

    from querywright.finetune.model import lora_smollm2_135m

    tokens = torch.tensor([tokenizer.encode(" ".join(TEXTS))])
    theirs = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    ours = lora_smollm2_135m(lora_rank=4, lora_alpha=8)
    weights = hf_to_tune(load_file(base / "model.safetensors"), num_heads=9, num_kv_heads=3, dim=576)
    missing, unexpected = ours.load_state_dict(weights, strict=False)
    assert not unexpected
    assert all("lora_" in name for name in missing)
    with torch.no_grad():
        expected, found = theirs(tokens).logits, ours(tokens)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_llama_cpp_cuts_text_the_same_way(tokenizer: ChatMLTokenizer) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    llama = llama_cpp.Llama(str(packaged_gguf()), vocab_only=True, verbose=False)
    for text in TEXTS:
        assert tokenizer.encode(text) == llama.tokenize(text.encode(), add_bos=False, special=False), text


@pytest.mark.slow
def test_a_row_is_the_chat_template(base: Path, tokenizer: ChatMLTokenizer, rows: list[list[dict[str, str]]]) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(base)
    for row in [*rows[:3], [rows[0][0], {"role": "user", "content": "\n  lead, trail  \n"}, rows[0][2]]]:
        rendered = theirs.apply_chat_template(row, tokenize=False)
        found, _ = tokenizer.tokenize_messages([Message(role=m["role"], content=m["content"]) for m in row])
        assert found == theirs.encode(rendered, add_special_tokens=False)


@pytest.mark.slow
def test_loss_on_the_answer_and_its_end_only(tokenizer: ChatMLTokenizer) -> None:
    turns = [("system", "Write."), ("user", "one"), ("assistant", "/a?b=12"), ("user", "two"), ("assistant", "/c")]
    tokens, mask = tokenizer.tokenize_messages([Message(role=role, content=text) for role, text in turns])
    learnt = tokenizer.decode([token for token, masked in zip(tokens, mask, strict=True) if not masked])
    assert learnt == "/a?b=12<|im_end|>/c<|im_end|>"
    assert tokenizer.decode(tokens).endswith("<|im_start|>assistant\n/c<|im_end|>\n")


@pytest.mark.slow
def test_rows_carry_labels(tokenizer: ChatMLTokenizer, workspace: Path) -> None:
    data = ChatRows(tokenizer, source=str(workspace / "pairs" / "train.chat.jsonl"))
    assert len(data) == 48
    sample = data[0]
    assert [t for t in sample["labels"] if t != -100] == [
        *tokenizer.encode("/sheets?part=leaf&size=1"),
        tokenizer.end_id,
    ]


@pytest.mark.slow
def test_second_call_makes_nothing(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (base / "model.safetensors").stat().st_mtime_ns
    assert ensure_base(base) == base
    assert (base / "model.safetensors").stat().st_mtime_ns == before
    assert "dequantising" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    ["{", "{}", '{"messages": []}', '{"messages": [{"role": "user", "content": "x"}]}',
     '{"messages": [{"role": "assistant", "content": 3}]}', "[1]"],
)  # fmt: skip
def test_a_bad_row_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"messages": [{"role": "assistant", "content": "x"}]}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(QuerywrightError, match=r"rows\.jsonl:2: not a chat row"):
        read_rows(path)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"instruction": "SECRET", "path": "SECRET", "SECRET words": 1}', "an object of instruction, path, ?"),
        ('{"messages": [{"role": "user", "content": "SECRET"}]}', "an object of messages"),
        ('["SECRET"]', "a JSON list"),
        ("SECRET", "it is no JSON"),
    ],
)
def test_a_bad_rows_text_is_not_shown(tmp_path: Path, line: str, told: str) -> None:
    """It may be a protected sentence, or somebody's message."""
    path = tmp_path / "rows.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(QuerywrightError, match=re.escape(f"not a chat row: {told}")) as error:
        read_rows(path)
    assert "SECRET" not in f"{error.value} {error.value.__cause__}"


def test_no_rows_at_all(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="no training rows"):
        read_rows(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(QuerywrightError, match="holds no rows"):
        read_rows(tmp_path / "empty.jsonl")
