"""Seconds to train on 1,000 pairs on this machine's CPU, way by way, in one run: ratios to torchtune's stock recipe.

    .venv/bin/python benchmarks/finetune_speed.py [--steps 4] [--batch 8] [--layers 10] [--rows FILE.chat.jsonl]

- stock: padded batches, logits of every token, torchtune's chunked cross entropy; all as its recipe does it;
- packed: no padding, the common head once, logits of answers only, one thread a core (`finetune/packed.py`);
- upper: packed, with LoRA on the last layers only, the frozen ones read without gradients;
- upper, kept: the same in a later epoch: what the frozen layers give is read from a file (`finetune/lower.py`).

`stock` and `packed` do the same (tests/finetune/test_packed.py): the same loss and gradients of the same rows. Steps
of all ways alternate, so that whatever else the machine does falls on each; medians and ratios are printed, and how
much of the machine the run had.
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
    """Rows as long as real ones: eight fields shown, 20 to 30 tokens asked, 20 to 35 answered."""
    draw = random.Random(5)
    with path.open("w", encoding="utf-8") as out:
        for _ in range(n):
            asked = " ".join(draw.choices(ASKED, k=draw.randint(16, 26)))
            value = "".join(draw.choices("ABCDEFGH0123", k=5))
            fields = ",".join(draw.sample(FIELDS, draw.randint(1, 2)))
            answer = f"/v3/query?q={draw.choice(FIELDS)}:{value}&fields={fields}&size={draw.randint(1, 50)}"
            shown = "\n".join(["Write the mygene call.", *draw.sample(FIELDS, 8)])
            turns = (("system", shown), ("user", asked), ("assistant", answer))
            out.write(json.dumps({"messages": [{"role": r, "content": t} for r, t in turns]}) + "\n")
    return path


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4, help="measured steps of each way")
    parser.add_argument("--layers", type=int, default=10, help="upper layers with LoRA, of 30")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rows", type=Path, help="chat JSONL; default: 200 made-up rows")
    options = parser.parse_args()

    import tempfile

    import torch
    from safetensors.torch import load_file
    from torchtune.data import padded_collate_sft
    from torchtune.models.convert_weights import hf_to_tune
    from torchtune.modules.loss import CEWithChunkedOutputLoss
    from torchtune.modules.peft import get_adapter_params, set_trainable_params

    from querywright.finetune.base import ensure_base
    from querywright.finetune.batch import collate_packed
    from querywright.finetune.data import ChatRows
    from querywright.finetune.model import lora_smollm2_135m
    from querywright.finetune.runtime import training_threads
    from querywright.finetune.tokenizer import ChatMLTokenizer

    base = ensure_base()
    with tempfile.TemporaryDirectory() as folder:
        source = options.rows or made_up_rows(Path(folder) / "rows.jsonl", 200)
        rows = ChatRows(ChatMLTokenizer(str(base / "tokenizer.json")), source=str(source))
    threads = training_threads()
    weights = hf_to_tune(load_file(base / "model.safetensors"), num_heads=9, num_kv_heads=3, dim=576)

    def tuned(**more: Any) -> tuple[Any, Any]:
        """The model, and an optimizer that leaves it as it is."""
        model = lora_smollm2_135m(lora_rank=12, lora_alpha=24, **more)
        model.load_state_dict(weights, strict=False)
        set_trainable_params(model, get_adapter_params(model))
        return model, torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.0, fused=True)

    whole, upper = tuned(), tuned(lora_last_layers=options.layers)
    kept = tuned(lora_last_layers=options.layers, cache_lower_layers=True)
    chunked = CEWithChunkedOutputLoss()
    whole[0].set_num_output_chunks(chunked.num_output_chunks)

    def stock(batch: list[dict[str, Any]]) -> None:
        torch.set_num_threads(threads)
        inputs = padded_collate_sft(batch, padding_idx=2, ignore_idx=-100)
        labels = torch.hstack((inputs["labels"][:, 1:], torch.full((len(batch), 1), -100)))
        chunked(whole[0](inputs["tokens"]), labels).backward()
        after(whole[1])

    def ours(way: tuple[Any, Any], batch: list[dict[str, Any]]) -> None:
        torch.set_num_threads(1)
        way[0](parts=collate_packed(batch, ignore_idx=-100)["parts"])[0].backward()
        after(way[1])

    def after(optimizer: Any) -> None:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def seconds(step: Any, *given: Any) -> float:
        began = time.perf_counter()
        step(*given)
        return time.perf_counter() - began

    times: dict[str, list[float]] = {"stock": [], "packed": [], "upper": [], "upper, kept": []}
    draw, cpu, wall = random.Random(0), time.process_time(), time.perf_counter()
    for number in range(options.steps + 1):
        batch = [{**rows[i], "row": i} for i in draw.sample(range(len(rows)), options.batch)]
        ours(kept, batch)  # its first epoch
        ways = ((stock, batch), (ours, whole, batch), (ours, upper, batch), (ours, kept, batch))
        taken = [seconds(*way) for way in ways]
        if number:  # the first step of each warms up
            for found, one in zip(times.values(), taken, strict=True):
                found.append(one)
    share = (time.process_time() - cpu) / (time.perf_counter() - wall) / threads
    tokens = statistics.mean(len(rows[i]["tokens"]) for i in range(len(rows)))
    print(f"{len(rows)} rows of {tokens:.0f} tokens, batches of {options.batch}, {threads} of {os.cpu_count()} cores,")
    print(f"of which this run had {100 * share:.0f} %; LoRA on the last {options.layers} of 30 layers where 'upper'")
    print(f"{'':12} {'s for 1,000 pairs':>18} {'stock / it':>11}")
    for name, found in times.items():
        ratio = statistics.median(a / b for a, b in zip(times["stock"], found, strict=True))
        print(f"{name:12} {1000 * statistics.median(found) / options.batch:18.0f} {ratio:11.2f}")


if __name__ == "__main__":
    main()
