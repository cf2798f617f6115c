"""Seconds to train on 1,000 pairs: torchtune's plain batches against packed ones, on this machine, in one run.

    .venv/bin/python benchmarks/finetune_speed.py [--steps 6] [--batch 8] [--rows work/mygene/pairs/train.chat.jsonl]

Both ways do the same (tests/finetune/test_packed.py): the same loss and gradients of the same rows. Steps of the two
alternate, so that whatever else the machine does falls on both; medians and their ratio are printed, and how much of
the machine the run had.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from pathlib import Path
from typing import Any

ASKED = (
    "find",
    "genes",
    "symbol",
    "chromosome",
    "mouse",
    "human",
    "return",
    "pathway",
    "summary",
    "named",
    "like",
    "with",
)
FIELDS = ("symbol", "name", "entrezgene", "taxid", "ensembl.gene", "uniprot.Swiss-Prot", "pathway.kegg.id", "go.BP")


def made_up_rows(path: Path, n: int) -> Path:
    """Rows as long as real ones: 20 to 30 tokens asked, 20 to 35 answered."""
    draw = random.Random(5)
    with path.open("w", encoding="utf-8") as out:
        for _ in range(n):
            asked = " ".join(draw.choices(ASKED, k=draw.randint(16, 26)))
            value = "".join(draw.choices("ABCDEFGH0123", k=5))
            fields = ",".join(draw.sample(FIELDS, draw.randint(1, 2)))
            answer = f"/v3/query?q={draw.choice(FIELDS)}:{value}&fields={fields}&size={draw.randint(1, 50)}"
            turns = (("system", "Write the mygene call."), ("user", asked), ("assistant", answer))
            out.write(json.dumps({"messages": [{"role": r, "content": t} for r, t in turns]}) + "\n")
    return path


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6, help="measured steps of each way")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rows", type=Path, help="chat JSONL; default: 200 made-up rows")
    options = parser.parse_args()

    import tempfile

    import torch
    from safetensors.torch import load_file
    from torchtune.data import padded_collate_sft
    from torchtune.models.convert_weights import hf_to_tune
    from torchtune.modules.peft import get_adapter_params, set_trainable_params

    from querywright.finetune.base import ensure_base
    from querywright.finetune.batch import collate_packed
    from querywright.finetune.data import ChatRows
    from querywright.finetune.loss import AnswerLoss
    from querywright.finetune.model import lora_smollm2_135m
    from querywright.finetune.runtime import training_threads
    from querywright.finetune.tokenizer import ChatMLTokenizer

    base = ensure_base()
    with tempfile.TemporaryDirectory() as folder:
        source = options.rows or made_up_rows(Path(folder) / "rows.jsonl", 200)
        rows = ChatRows(ChatMLTokenizer(str(base / "tokenizer.json")), source=str(source))
    threads = training_threads()
    model = lora_smollm2_135m(lora_rank=12, lora_alpha=24)
    weights = hf_to_tune(load_file(base / "model.safetensors"), num_heads=9, num_kv_heads=3, dim=576)
    model.load_state_dict(weights, strict=False)
    set_trainable_params(model, get_adapter_params(model))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.0, fused=True)
    loss_of = AnswerLoss()

    def step(collate: Any, batch: list[dict[str, Any]], cores: int) -> float:
        torch.set_num_threads(cores)
        began = time.perf_counter()
        inputs = collate(batch, padding_idx=2, ignore_idx=-100)
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        if not isinstance(outputs, list):
            labels = torch.hstack((labels[:, 1:], torch.full((len(labels), 1), -100))).reshape(-1)
            outputs = outputs.reshape(-1, outputs.size(-1))
        loss_of(outputs, labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - began

    ways = {"plain": (padded_collate_sft, threads), "packed": (collate_packed, 1)}
    times: dict[str, list[float]] = {name: [] for name in ways}
    draw, cpu, wall = random.Random(0), time.process_time(), time.perf_counter()
    for number in range(options.steps + 1):
        batch = [rows[i] for i in draw.sample(range(len(rows)), options.batch)]
        for name, (collate, cores) in ways.items():
            seconds = step(collate, batch, cores)
            if number:  # the first step of each warms up
                times[name].append(seconds)
    share = (time.process_time() - cpu) / (time.perf_counter() - wall) / threads
    per_1000 = {name: 1000 * statistics.median(taken) / options.batch for name, taken in times.items()}
    tokens = statistics.mean(len(rows[i]["tokens"]) for i in range(len(rows)))
    print(f"{len(rows)} rows of {tokens:.0f} tokens, batches of {options.batch}, {threads} of {os.cpu_count()} cores,")
    print(f"of which this run had {100 * share:.0f} %")
    for name, seconds in per_1000.items():
        print(f"{name:7} {seconds:6.0f} s for 1,000 pairs")
    ratio = statistics.median(a / b for a, b in zip(times["plain"], times["packed"], strict=True))
    print(f"plain / packed, median over steps: {ratio:.2f}")


if __name__ == "__main__":
    main()
