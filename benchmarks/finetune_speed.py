"""Seconds to train on 1,000 pairs on this machine's CPU, way by way, in one run: ratios to torchtune's stock recipe.

    .venv/bin/python benchmarks/finetune_speed.py [--steps 4] [--batch 8] [--layers 10] [--rows FILE.chat.jsonl]

- stock: padded batches, logits of every token, torchtune's chunked cross entropy: what its recipe does, in fp32;
- packed: no padding, the common head once, logits of answers only, one thread a core (`finetune/packed.py`);
- upper: packed, with LoRA on the last layers only, the frozen ones read without gradients;
- upper, kept: the same in a later epoch: what the frozen layers give is read from a file (`finetune/lower.py`).

`stock` and `packed` do the same (tests/finetune/test_packed.py): the same loss and gradients of the same rows. Steps
of all ways alternate, each way in a process of its own, so that whatever else the machine does falls on each; medians
and ratios are printed, by the clock and in processor time.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

KEPT = "upper, kept"
WAYS = ("stock", "packed", "upper", KEPT)

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


def work(way: str, source: str, layers: int, threads: int, seats: Connection) -> None:
    """A process of one way: for each list of row numbers that comes, the seconds of one step, wall and processor."""
    import torch
    from safetensors.torch import load_file
    from torchtune.data import padded_collate_sft
    from torchtune.models.convert_weights import hf_to_tune
    from torchtune.models.llama3_2 import lora_llama3_2
    from torchtune.modules.loss import CEWithChunkedOutputLoss
    from torchtune.modules.peft import get_adapter_params, set_trainable_params

    from querywright.finetune.base import ensure_base
    from querywright.finetune.batch import collate_packed
    from querywright.finetune.data import ChatRows
    from querywright.finetune.model import ALL_ATTENTION, SMOLLM2_135M, lora_smollm2_135m
    from querywright.finetune.runtime import training_threads
    from querywright.finetune.tokenizer import ChatMLTokenizer

    torch.set_num_threads(threads)
    base = ensure_base()
    rows = ChatRows(ChatMLTokenizer(str(base / "tokenizer.json")), source=source)
    words: dict[str, Any] = {"lora_rank": 12, "lora_alpha": 24, "apply_lora_to_mlp": True}
    if way == "stock":
        model = lora_llama3_2(list(ALL_ATTENTION), **words, **SMOLLM2_135M)
    else:
        training_threads()
        upper = {} if way == "packed" else {"lora_last_layers": layers, "cache_lower_layers": way == KEPT}
        model = lora_smollm2_135m(**words, **upper)
    model.load_state_dict(hf_to_tune(load_file(base / "model.safetensors"), 9, 3, 576), strict=False)
    set_trainable_params(model, get_adapter_params(model))
    # the model stays as it is, so that every step does the same work
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.0, fused=True)
    chunked = CEWithChunkedOutputLoss()
    if way == "stock":
        model.set_num_output_chunks(chunked.num_output_chunks)

    def step(numbers: list[int]) -> None:
        batch = [{**rows[i], "row": i} for i in numbers]
        if way == "stock":
            inputs = padded_collate_sft(batch, padding_idx=2, ignore_idx=-100)
            labels = torch.hstack((inputs["labels"][:, 1:], torch.full((len(batch), 1), -100)))
            loss = chunked(model(inputs["tokens"]), labels)
        else:
            (loss,) = model(parts=collate_packed(batch)["parts"])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    seats.send((len(rows), statistics.mean(len(row["tokens"]) for row in rows)))
    while numbers := seats.recv():
        if way == KEPT:
            step(numbers)  # its first epoch
        began, cpu = time.perf_counter(), time.process_time()
        step(numbers)
        seats.send((time.perf_counter() - began, time.process_time() - cpu))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4, help="measured steps of each way")
    parser.add_argument("--layers", type=int, default=10, help="upper layers with LoRA, of 30")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rows", type=Path, help="chat JSONL; default: 200 made-up rows")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()

    context = multiprocessing.get_context("spawn")
    times: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    seats: dict[str, Connection] = {}
    with tempfile.TemporaryDirectory() as folder:
        source = str(options.rows or made_up_rows(Path(folder) / "rows.jsonl", 200))
        for way in WAYS:
            seats[way], other = context.Pipe()
            given = (way, source, options.layers, options.threads, other)
            context.Process(target=work, args=given, daemon=True).start()
        ready = {way: seat.recv() for way, seat in seats.items()}
        n, tokens = ready["stock"]
        draw = random.Random(0)
        for number in range(options.steps + 1):
            batch = draw.sample(range(n), options.batch)
            for way, seat in seats.items():
                seat.send(batch)
                taken = seat.recv()
                if number:  # the first step of each warms up
                    times[way].append(taken)
        for seat in seats.values():
            seat.send([])
    had = sum(cpu for found in times.values() for _, cpu in found) / sum(
        w for found in times.values() for w, _ in found
    )
    print(f"{n} rows of {tokens:.0f} tokens, batches of {options.batch}, {options.threads} threads, which had")
    print(f"{had:.1f} cores on average; LoRA on the last {options.layers} of 30 layers where 'upper'")
    print(f"{'':12} {'s for 1,000 pairs':>18} {'CPU s':>6} {'stock / it':>11} {'in CPU s':>9}")
    for way, found in times.items():
        ratios = [statistics.median(a[i] / b[i] for a, b in zip(times["stock"], found, strict=True)) for i in (0, 1)]
        wall, cpu = (1000 * statistics.median(one[i] for one in found) / options.batch for i in (0, 1))
        print(f"{way:12} {wall:18.0f} {cpu:6.0f} {ratios[0]:11.2f} {ratios[1]:9.2f}")


if __name__ == "__main__":
    main()
