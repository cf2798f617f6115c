"""DPO: preference rows in all their layouts, the reference model behind a switched-off adapter, and a run by
torchtune's own command on the real small model."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from querywright.errors import QuerywrightError
from querywright.finetune.preferences import PreferenceRows, preference_rows, read_preferences
from querywright.finetune.tokenizer import ChatMLTokenizer

SYSTEM = {"role": "system", "content": "Write the herbarium call."}
USER = {"role": "user", "content": "show 20 sheets with a leaf"}
GOOD = {"role": "assistant", "content": "/sheets?part=leaf&size=20"}
BAD = {"role": "assistant", "content": "/sheets?part=root"}

# TRL's conversational layouts: with a prompt of its own, and with the prompt in both conversations
EXPLICIT = {"prompt": [SYSTEM, USER], "chosen": [GOOD], "rejected": [BAD]}
IMPLICIT = {"chosen": [SYSTEM, USER, GOOD], "rejected": [SYSTEM, USER, BAD]}
BOTH = {"prompt": [SYSTEM, USER], "chosen": [SYSTEM, USER, GOOD], "rejected": [SYSTEM, USER, BAD]}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tokenizer(base: Path) -> ChatMLTokenizer:
    return ChatMLTokenizer(str(base / "tokenizer.json"), max_seq_len=512)


@pytest.mark.parametrize("row", [EXPLICIT, IMPLICIT, BOTH])
def test_layouts_of_message_lists(row: dict[str, Any], tmp_path: Path) -> None:
    (found,) = read_preferences(write(tmp_path / "rows.jsonl", row))
    assert (found.prompt, found.chosen, found.rejected) == ([SYSTEM, USER], [GOOD], [BAD])


def test_strings_are_messages(tmp_path: Path) -> None:
    row = {"prompt": USER["content"], "chosen": GOOD["content"], "rejected": [BAD]}
    (found,) = read_preferences(write(tmp_path / "rows.jsonl", row))
    assert (found.prompt, found.chosen, found.rejected) == ([USER], [GOOD], [BAD])


def test_rows_are_the_chat_that_is_trained_and_asked(tokenizer: ChatMLTokenizer, base: Path, tmp_path: Path) -> None:
    """Both answers after the same prompt, as transformers renders it; the loss on the answer and its end only."""
    from transformers import AutoTokenizer

    (row,) = preference_rows(tokenizer, source=str(write(tmp_path / "rows.jsonl", EXPLICIT)))
    hf = AutoTokenizer.from_pretrained(base, local_files_only=True)
    prompt = hf.apply_chat_template([SYSTEM, USER], add_generation_prompt=True, return_dict=False)
    for name, answer in (("chosen", GOOD), ("rejected", BAD)):
        assert row[f"{name}_input_ids"][: len(prompt)] == prompt
        labels = row[f"{name}_labels"]
        assert len(labels) == len(row[f"{name}_input_ids"])
        assert tokenizer.decode([t for t in labels if t != -100]) == answer["content"] + "<|im_end|>"


def test_turns_before_are_context(tokenizer: ChatMLTokenizer, tmp_path: Path) -> None:
    """An answer among the prompt's turns is not what is compared."""
    prompt = [SYSTEM, {"role": "user", "content": "hello"}, {"role": "assistant", "content": "Which part?"}, USER]
    for row in (
        {"prompt": prompt, "chosen": [GOOD], "rejected": [BAD]},
        {"chosen": [*prompt, GOOD], "rejected": [*prompt, BAD]},
    ):
        (sample,) = preference_rows(tokenizer, source=str(write(tmp_path / "rows.jsonl", row)))
        trained = tokenizer.decode([t for t in sample["chosen_labels"] if t != -100])
        assert trained == GOOD["content"] + "<|im_end|>"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "x", "chosen": "y"}, "it has no rejected"),
        ({"prompt": "x", "chosen": "y", "rejected": 3}, "rejected is neither a string nor a list"),
        ({"prompt": "x", "chosen": [USER], "rejected": "z"}, "chosen does not end with an assistant message"),
        ({"prompt": [{"role": "robot", "content": "x"}], "chosen": "y", "rejected": "z"}, "a message of prompt has no"),
        ({"chosen": [GOOD], "rejected": [BAD]}, "it has no prompt"),
        ({"chosen": "y", "rejected": "z"}, "it has no prompt"),
        ({"prompt": [], "chosen": "y", "rejected": "z"}, "prompt is neither"),
    ],
)
def test_a_bad_row_is_named_and_not_shown(row: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match=r"row 2: not a preference row") as caught:
        read_preferences(write(tmp_path / "rows.jsonl", EXPLICIT, row))
    assert told in str(caught.value)
    assert "robot" not in str(caught.value)


def test_same_answers_teach_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = {**EXPLICIT, "rejected": [GOOD]}
    assert len(read_preferences(write(tmp_path / "rows.jsonl", same, EXPLICIT))) == 1
    assert "1 of 2 rows left out: their two answers are the same" in capsys.readouterr().err
    with pytest.raises(QuerywrightError, match="holds no preference rows"):
        read_preferences(write(tmp_path / "rows.jsonl", same))
    with pytest.raises(QuerywrightError, match="no preference rows at"):
        read_preferences(tmp_path / "none.jsonl")


def test_protected_sentences_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from querywright import protected

    known = frozenset(protected.digests(USER["content"]))
    monkeypatch.setattr(protected, "hashes", lambda: known)
    with pytest.raises(QuerywrightError, match="protected sentence"):
        read_preferences(write(tmp_path / "rows.jsonl", EXPLICIT))


def test_too_long(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = [{"role": "user", "content": "and then? " * 20}, {"role": "assistant", "content": "so. " * 20}]
    long = {"prompt": [SYSTEM, *before, USER], "chosen": [GOOD], "rejected": [BAD]}
    source = str(write(tmp_path / "rows.jsonl", EXPLICIT, long))
    tokenizer = ChatMLTokenizer(str(base / "tokenizer.json"), max_seq_len=64)
    rows = preference_rows(tokenizer, source=source)
    assert (len(rows), rows.report["too_long"], tokenizer.max_seq_len) == (1, 1, 64)
    assert "1 of 2 rows" in capsys.readouterr().err
    # without the turns before it is the same row
    cut = preference_rows(tokenizer, source=source, too_long="truncate")
    assert (len(cut), cut.report["truncated"]) == (2, 1)
    assert cut[1] == cut[0] == rows[0]
    with pytest.raises(QuerywrightError, match="longer than"):
        preference_rows(tokenizer, source=source, too_long="error")
    with pytest.raises(QuerywrightError, match="too_long is 'cut'"):
        PreferenceRows(tokenizer, source=source, too_long="cut")


@pytest.fixture
def preferences(workspace: Path, rows: list[list[dict[str, str]]]) -> Path:
    """The conversations with another one's answer as the one that is not wanted."""
    lines = [
        {"prompt": row[:-1], "chosen": row[-1:], "rejected": other[-1:]}
        for row, other in zip(rows, [*rows[1:], rows[0]], strict=True)
    ]
    write(workspace / "pairs" / "train.dpo.jsonl", *lines[:8])
    return workspace


def test_switched_off_adapter_is_the_reference(base: Path, tmp_path: Path) -> None:
    """An adapter that changes the logits leaves the reference alone, in the class for packed batches too."""
    import torch
    from torchtune.modules.peft import disable_adapter, get_adapter_params, set_trainable_params

    from querywright.finetune.base import smollm2_checkpointer
    from querywright.finetune.model import lora_smollm2_135m

    model = lora_smollm2_135m(lora_rank=2, lora_alpha=4)
    set_trainable_params(model, get_adapter_params(model))
    weights = smollm2_checkpointer(str(base), str(tmp_path)).load_checkpoint()["model"]
    model.load_state_dict(weights, strict=False)
    tokens = torch.arange(7, 19).unsqueeze(0)
    with torch.no_grad():
        before = model(tokens)
        for name, parameter in model.named_parameters():
            if "lora_b" in name:
                parameter.fill_(0.02)
        after = model(tokens)
        with disable_adapter(model):
            reference = model(tokens)
        again = model(tokens)
    assert torch.equal(reference, before)
    assert (after - before).abs().max() > 0.1
    assert torch.equal(again, after)


@pytest.mark.slow
def test_two_steps_by_torchtunes_own_command(preferences: Path, base: Path, tune: Callable[..., None]) -> None:
    """At the first step the model is its own reference: the loss is ln 2 and no answer is rewarded; then it learns."""
    output = preferences / "model" / "dpo"
    given = [
        "--config", "ft_configs/smollm2_135m_dpo_cpu.yaml", f"workspace={preferences}", f"output_dir={output}",
        f"checkpointer.checkpoint_dir={base}", "batch_size=2", "gradient_accumulation_steps=1",
        "max_steps_per_epoch=2", "lr_scheduler.num_warmup_steps=0", "optimizer.lr=1e-3", "shuffle=false",
    ]  # fmt: skip
    tune("run", "lora_dpo_single_device", *given)
    losses = [json.loads(line) for line in (output / "losses.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in losses] == [1, 2]
    assert losses[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert losses[0]["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert losses[1]["loss"] != pytest.approx(math.log(2), abs=1e-4)
    from safetensors.numpy import load_file

    adapter = load_file(output / "epoch_0" / "adapter_model.safetensors")
    assert len(adapter) == 30 * 7 * 2
    assert any(abs(weight).max() > 0 for name, weight in adapter.items() if "lora_B" in name)
    assert not list((output / "epoch_0").glob("model*.safetensors")), "only the adapter is kept"
