"""The figures of a validation: log-probabilities against a plain computation, measures against ones by hand."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from querywright.artefacts import read_jsonl, write_json, write_jsonl
from querywright.engines.tokens import encoder
from querywright.errors import QuerywrightError
from querywright.events.labels import free_labels, nil_tokens
from querywright.events.measure import baselines, measure
from querywright.events.validate import logprobs, read_labels
from tests.command import querywright

np: Any = pytest.importorskip("numpy")
ROOT = Path(__file__).parents[2]


def row(text: str, answer: str, speakers: list[str], channel: str = "ops") -> dict[str, Any]:
    return {
        "id": text, "api": "events", "instruction": text, "path": "", "answer": answer, "system": "Who replies next?",
        "message": text, "channel": channel, "author": speakers[-1], "speakers": speakers,
    }  # fmt: skip


ROWS = [
    row("is the invoice paid?\n\nno", "1", ["0", "2"]),
    row("hello", "nil", ["1"]),
    row("can somebody restart the server after the deploy has failed again?", "0", ["2", "1"], "dev"),
    row("what now?", "2", ["0"], "dev"),
    row("<|im_end|> a control token is words", "1", ["2"]),
]


@pytest.fixture(scope="module")
def tiny(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with the real tokenizer and random weights, large enough that each prompt gets its own opinion."""
    torch: Any = pytest.importorskip("torch")
    transformers: Any = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(transformers.AutoTokenizer.from_pretrained(smollm2)), hidden_size=32, intermediate_size=64,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
        initializer_range=0.3,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tiny")
    shutil.copytree(smollm2, folder, dirs_exist_ok=True)
    transformers.LlamaForCausalLM(config).save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def labels(smollm2: Path) -> dict[str, int]:
    encode = encoder(str(smollm2))
    free = free_labels(encode)
    return {**{k: free[k] for k in "012"}, "nil": nil_tokens(encode, free)[0]}


def test_logprobs_are_those_of_a_plain_computation(tiny: Path, labels: dict[str, int]) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from querywright.engines.hf import TransformersEngine

    engine = TransformersEngine(tiny)
    found = logprobs(engine, ROWS, labels, batch=4)
    assert np.allclose(found, logprobs(engine, ROWS, labels, batch=1), atol=1e-4)
    tokenizer, model = AutoTokenizer.from_pretrained(tiny), AutoModelForCausalLM.from_pretrained(tiny)
    for r, line in zip(ROWS, found, strict=True):
        said = [*tokenizer.tokenize(r["instruction"], split_special_tokens=True)]  # no word of it is a control token
        head = tokenizer.tokenize(f"<|im_start|>system\n{r['system']}<|im_end|>\n<|im_start|>user\n")
        tokens = [*head, *said, *tokenizer.tokenize("<|im_end|>\n<|im_start|>assistant\n")]
        ids = torch.tensor([tokenizer.convert_tokens_to_ids(tokens)])
        with torch.no_grad():
            plain = model(ids).logits[0, -1].log_softmax(-1)
        assert line == pytest.approx([float(plain[t]) for t in labels.values()], abs=1e-4)
    assert len({tuple(line.round(3)) for line in found}) == len(ROWS)


def test_labels_of_another_tokenizer_are_refused(tiny: Path, labels: dict[str, int]) -> None:
    from querywright.engines.hf import TransformersEngine

    with pytest.raises(QuerywrightError, match="cuts the label '1' otherwise"):
        logprobs(TransformersEngine(tiny), ROWS, {**labels, "1": labels["2"]})
    with pytest.raises(QuerywrightError, match="does not give the probability"):
        logprobs(object(), ROWS, labels)


def test_label_maps(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="no label map"):
        read_labels(tmp_path / "labels.json")
    held = {"style": "completion", "people": [{"label": "0", "token": 3}], "nil": {"text": "nil", "told apart by": 9}}
    write_json(tmp_path / "labels.json", held)
    with pytest.raises(QuerywrightError, match="completion style"):
        read_labels(tmp_path / "labels.json")
    write_json(tmp_path / "labels.json", {**held, "style": "chat"})
    assert read_labels(tmp_path / "labels.json") == {"0": 3, "nil": 9}


def test_measures_by_hand() -> None:
    names = ["0", "1", "2", "nil"]
    p = [
        [0.1, 0.7, 0.1, 0.1],  # right: an alert from 0.5 on
        [0.55, 0.2, 0.1, 0.15],  # wrong: an alert where nobody answered
        [0.2, 0.1, 0.1, 0.6],  # wrong: nil, though 0 answered
        [0.1, 0.3, 0.4, 0.2],  # right, but below 0.5
        [0.2, 0.3, 0.1, 0.4],  # wrong: nil, though 1 answered
    ]
    train = [row("a", "2", ["0"]), row("b", "2", ["0"], "dev"), row("c", "nil", ["0"]), row("d", "nil", ["0"]),
             row("e", "nil", ["0"]), row("f", "2 1", ["0"], "dev"), row("g", "nil", ["0"])]  # fmt: skip
    found = measure(np.log(p), names, ROWS, train, 0.5)
    assert found["accuracy"]["mean"] == pytest.approx(2 / 5)
    assert found["top 5"]["mean"] == 1.0
    assert found["who, where somebody answered"]["mean"] == 1.0
    assert found["mean reciprocal rank"]["mean"] == pytest.approx((1 + 1 / 3 + 1 / 2 + 1 + 1 / 2) / 5)
    assert found["log loss"] == pytest.approx(-sum(map(math.log, (0.7, 0.15, 0.2, 0.4, 0.3))) / 5)
    assert found["on labels"] == pytest.approx(1.0)
    at = {a["threshold"]: a for a in found["alerts"]}
    assert (at[0.5]["alerts"], at[0.5]["precision"]["mean"], at[0.5]["recall"]["mean"]) == (2, 0.5, 0.25)
    assert (at[0.4]["alerts"], at[0.4]["recall"]["mean"]) == (3, 0.5)
    assert at[0.9]["precision"]["mean"] is None
    assert sum(b["n"] for b in found["calibration"]) == 5
    guesses = baselines(ROWS, train)
    assert guesses["most frequent"] == ["nil"] * 5
    assert guesses["most frequent person"] == ["2"] * 5
    assert guesses["most frequent in the channel"] == ["nil", "nil", "2", "2", "nil"]
    assert guesses["last but one speaker"] == ["0", "2", "2", "2", "2"]
    assert found["against the best baseline"]["n"] == 5


def test_a_set_is_met_by_any_of_it() -> None:
    found = measure(np.log([[0.2, 0.5, 0.2, 0.1]]), ["0", "1", "2", "nil"], [row("a", "2 1", ["0"])], ROWS, 0.5)
    assert found["accuracy"]["mean"] == 1.0


@pytest.mark.slow
def test_the_whole_chain_on_the_real_model(workspace: Path, tmp_path: Path) -> None:
    """build, refine, export, finetune, validate, each as a command line."""
    pytest.importorskip("torchtune", reason="training is an extra")
    transformers, peft = pytest.importorskip("transformers"), pytest.importorskip("peft")
    from querywright.finetune.base import ensure_base

    base = ensure_base(ROOT / "work" / "base" / "smollm2-135m")

    events, work = tmp_path / "events", tmp_path / "work"
    querywright("events", "build", str(workspace / "workspace.jsonl"), "--out", str(events), "--tokenizer", str(base),
        "--last", "2", "--valid", "0.2", "--test", "0.2", "--window", "4")  # fmt: skip
    refined, rows = tmp_path / "refined.jsonl", tmp_path / "train.chat.jsonl"
    querywright("pairs", "refine", str(events / "train.jsonl"), "--out", str(refined), "--steps", "classic,near")
    querywright("pairs", "export", str(refined), "--out", str(rows))
    querywright("finetune", "smollm2_135m_lora_cpu", f"workspace={work}", f"dataset.source={rows}", "batch_size=2",
        "max_steps_per_epoch=4", "max_minutes=null", "lr_scheduler.num_warmup_steps=1",
        f"checkpointer.checkpoint_dir={base}")  # fmt: skip
    shutil.copytree(base, work / "merged", ignore=shutil.ignore_patterns("manifest.json", "model.safetensors"))
    plain = transformers.AutoModelForCausalLM.from_pretrained(base)
    tuned = peft.PeftModel.from_pretrained(plain, work / "model/quick/adapter").merge_and_unload()
    tuned.save_pretrained(work / "merged")
    # 4 rows are enough to see that every step fits the next
    kept = read_jsonl(events / "valid.jsonl")[:4]
    write_jsonl(events / "valid.jsonl", kept)
    for name, model in (("before", base), ("v", work / "merged")):
        querywright("events", "validate", str(events), "--model", str(model), "--out", str(tmp_path / name))
    before, found = (
        json.loads((tmp_path / name / "valid.json").read_text(encoding="utf-8")) for name in ("before", "v")
    )
    assert before["rows"] == found["rows"] == len(kept)
    # whom to name can't be learned in four steps; that an answer is a label, and so what each is worth, can
    assert found["on labels"] > before["on labels"]
    assert found["log loss"] < before["log loss"]
    assert (tmp_path / "v" / "valid.png").read_bytes().startswith(b"\x89PNG")
    predictions = read_jsonl(tmp_path / "v" / "valid.predictions.jsonl")
    assert [p["answer"] for p in predictions] == [r["answer"] for r in kept]
    assert all(a["logprob"] >= b["logprob"] for p in predictions for a, b in zip(p["top"], p["top"][1:], strict=False))
