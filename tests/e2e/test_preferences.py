"""From answers to a model that learnt from them, through the command line and with the real base model, in small:
several models answer, their answers are run, DPO takes a step, what it leaves is exported and gated."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from querywright.artefacts import read_jsonl, repo_dir, write_jsonl
from querywright.finetune.base import MODEL_ID
from querywright.finetune.lora import CONFIG
from tests.command import querywright

pytestmark = pytest.mark.slow
ROOT = repo_dir()
RECORDS = [
    {"_id": "1017", "entrezgene": "1017", "taxid": 9606, "symbol": "CDK2", "name": "cyclin dependent kinase 2"},
    {"_id": "12566", "entrezgene": "12566", "taxid": 10090, "symbol": "Cdk2", "name": "cyclin dependent kinase 2"},
    {"_id": "3630", "entrezgene": "3630", "taxid": 9606, "symbol": "INS", "name": "insulin"},
]
PROMPTS = [
    {"text": "genes with symbol CDK2", "path": "/v3/query?q=symbol:CDK2"},
    {"text": "human genes with symbol INS", "path": "/v3/query?q=symbol:INS&species=human"},
    {"text": "gene 1017", "path": "/v3/gene/1017"},
]
MODELS = """
models:
  free: {model: base, strategy: tuned, decoding: free, max_tokens: 24}
  grounded: {model: base, strategy: tuned, decoding: grounded, max_tokens: 48}
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers of two models, judged by running them on three records."""
    folder = tmp_path_factory.mktemp("preferences")
    write_jsonl(folder / "in.jsonl", PROMPTS)
    write_jsonl(folder / "records.jsonl", RECORDS)
    (folder / "models.yaml").write_text(MODELS)
    querywright(
        "preferences", "respond", "--name", "few", "--source", folder / "in.jsonl", "--target", folder / "answers",
        "--models", folder / "models.yaml", "--api", "mygene",
    )  # fmt: skip
    querywright(
        "preferences", "execute", "--api", "mygene", "--input", folder / "answers" / "few", "--output",
        folder / "judged", "--records", folder / "records.jsonl",
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def exported(judged: Path) -> Path:
    """The model after one step of DPO on these."""
    querywright("export", "general", "--out", judged / "start", "--kinds", "")
    knobs = [
        f"workspace={judged}", f"checkpointer.checkpoint_dir={judged}/start/checkpoint",
        f"dataset.source={judged}/judged/preferences.jsonl", "model.lora_rank=4", "model.lora_alpha=8",
        "batch_size=2", "gradient_accumulation_steps=1", "max_steps_per_epoch=1", "lr_scheduler.num_warmup_steps=0",
    ]  # fmt: skip
    querywright("finetune", "smollm2_135m_dpo_cpu", *knobs)
    out = judged / "after"
    querywright(
        "export", "smollm2_135m_dpo_cpu", *knobs, "--api", "mygene", "--out", out, "--kinds", "q8_0", "--no-merged",
        "--parity", 0,
    )  # fmt: skip
    return out


def test_what_was_meant_is_chosen(judged: Path) -> None:
    rows = read_jsonl(judged / "judged" / "preferences.jsonl")
    assert [row["text"] for row in read_jsonl(judged / "judged" / "rated" / "00000.jsonl")] == [
        row["text"] for row in PROMPTS
    ]
    assert len(rows) == 3
    for row in rows:
        assert row["chosen_rating"] == 5.0, "the expected call is among the answers"
        assert row["prompt"][0]["content"].startswith("Write the mygene call.")
    report = json.loads((judged / "judged" / "report.json").read_text())
    assert report["levels"]["grounded"].get("invalid", 0) == 0, "what a grammar holds is a call"


def test_what_leaves_is_one_adapter_on_the_base_that_everybody_has(judged: Path, exported: Path) -> None:
    losses = read_jsonl(judged / "model" / "smollm2_135m_dpo_cpu" / "losses.jsonl")
    assert losses[0]["loss"] == pytest.approx(math.log(2), rel=0.01), "before the first step it is its own reference"
    about = json.loads((exported / "adapter" / CONFIG).read_text())
    first = json.loads((ROOT / "data" / "adapters" / "general" / CONFIG).read_text())
    assert about["base_model_name_or_path"] == MODEL_ID
    assert about["r"] == first["r"] + 4
    assert "the one here holds both" in (exported / "README.md").read_text()


def test_the_gate_decides(judged: Path, exported: Path) -> None:
    pairs = [{"instruction": "genes with symbol INS", "path": "/v3/query?q=symbol:INS"}]
    write_jsonl(judged / "test.jsonl", pairs)
    done = querywright(
        "eval", "gate", "--api", "mygene", "--before", "base", "--after", exported / "model-q8_0.gguf", "--pairs",
        judged / "test.jsonl", "--records", judged / "records.jsonl", "--out", judged / "gate", "--max-tokens", 32,
        ok=False,
    )  # fmt: skip
    gate = json.loads((judged / "gate" / "gate.json").read_text())
    assert done.returncode == (0 if gate["keep"] else 1), done.stderr
    assert gate["keep"] or gate["reasons"]
