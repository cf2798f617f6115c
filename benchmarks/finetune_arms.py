"""What to train in a given time on a CPU: ranks, upper layers with and without repeated rows, full fine-tuning.

    .venv/bin/python benchmarks/finetune_arms.py --pairs work/mygene/pairs --out work/arms [--arms all,last10,...]

Each arm trains on `train.chat.jsonl` for about the processor time of the first (`steps` of each are set so from
`benchmarks/finetune_speed.py`; what it really took is printed) and is measured by its loss on `valid.chat.jsonl`, in
nats an answer token. One thread, so that two arms can run side by side. LoRA arms leave an adapter and `model.gguf`:

    .venv/bin/querywright eval eval_configs/people.yaml --api mygene pairs=work/mygene/pairs/test.jsonl \\
        models.tuned.path=work/arms/all/model.gguf out=work/arms/all/eval

says how often it is right. `--score N` does so for each arm, on the first N test sentences. Arms that are there
already are shown, not trained again.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# steps: batches of `batch` rows; epochs: so often each row is read, of as many rows as that takes
DEFAULT: dict[str, Any] = {"steps": 120, "batch": 8, "lr": 1.5e-3, "rank": 12, "layers": 30, "epochs": 1, "full": False}
ARMS: dict[str, dict[str, Any]] = {
    "all": {},
    "last10, 4 epochs": {"layers": 10, "epochs": 4, "steps": 280},
    "last15, 4 epochs": {"layers": 15, "epochs": 4, "steps": 210},
    "rank 4": {"rank": 4},
    "rank 48": {"rank": 48, "steps": 110},
    "full, last10": {"layers": 10, "full": True, "lr": 1e-4, "steps": 140},
}
WARM_UP = 12


def train(name: str, arm: dict[str, Any], pairs: Path, out: Path, seed: int) -> dict[str, Any]:
    """Train one arm; its settings, losses and times."""
    import torch

    torch.set_num_threads(1)
    from querywright.finetune.base import ensure_base
    from querywright.finetune.batch import collate_packed
    from querywright.finetune.data import ChatRows
    from querywright.finetune.tokenizer import ChatMLTokenizer

    base = ensure_base()
    tokenizer = ChatMLTokenizer(str(base / "tokenizer.json"))
    rows, valid = (ChatRows(tokenizer, source=str(pairs / f"{split}.chat.jsonl")) for split in ("train", "valid"))
    torch.manual_seed(seed)
    model, weights = build(base, arm)
    optimizer = torch.optim.AdamW(weights, lr=arm["lr"], betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    order = drawn(len(rows), arm, seed)
    began, cpu, losses = time.time(), time.process_time(), []
    for step in range(arm["steps"]):
        left = max(0, step - WARM_UP) / (arm["steps"] - WARM_UP)
        rate = arm["lr"] * min(1.0, (step + 1) / WARM_UP) * (1 + math.cos(math.pi * left)) / 2
        for group in optimizer.param_groups:
            group["lr"] = rate
        taken = order[step * arm["batch"] : (step + 1) * arm["batch"]]
        (loss,) = model(parts=collate_packed([{**rows[i], "row": i} for i in taken], parts=1)["parts"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        model.zero_grad(set_to_none=True)
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
        if (step + 1) % 10 == 0:
            print(f"{name}: step {step + 1}/{arm['steps']}, loss {sum(losses[-10:]) / 10:.3f}", file=sys.stderr)
    spent = time.process_time() - cpu
    summed = count = 0.0
    replica = model.replicas(1)[0]
    with torch.no_grad():
        for at in range(0, len(valid), 8):
            batch = [valid[i] for i in range(at, min(at + 8, len(valid)))]
            part = collate_packed([{k: v for k, v in row.items() if k != "row"} for row in batch], parts=1)["parts"][
                "0"
            ]
            summed, count = summed + float(replica.losses(part).sum()), count + len(part["targets"])
    if not arm["full"]:
        write(model, arm, out, name)
    trained = sum(p.numel() for p in weights)
    times = {"cpu_s": round(spent, 1), "wall_s": round(time.time() - began, 1)}
    return {"arm": name, **arm, "trained": trained, **times, "loss": round(summed / count, 4), "seed": seed}


def build(base: Path, arm: dict[str, Any]) -> tuple[Any, list[Any]]:
    """The model with packed batches, and what is trained of it."""
    import torch
    from safetensors.torch import load_file
    from torchtune.models.convert_weights import hf_to_tune

    from querywright.finetune import packed
    from querywright.finetune.model import lora_smollm2_135m

    full: list[Any] = []

    class Whole(packed._Joint):
        """The product of a whole weight that is trained itself, where LoRA would stand."""

        def __init__(self, *layers: Any, dtype: torch.dtype) -> None:
            super().__init__(*layers, dtype=dtype)
            if self.ab:
                self.weight = torch.nn.Parameter(self.weight.clone())
                self.ab = [self.weight]
                full.append(self.weight)

        def on(self, leaf: Any) -> Any:
            """F.linear on this thread's leaf."""
            if not self.ab:
                return super().on(leaf)
            weight = leaf(self.weight)
            return lambda x: torch.nn.functional.linear(x, weight)

    few = {"lora_last_layers": arm["layers"], "cache_lower_layers": arm["epochs"] > 1}
    model = lora_smollm2_135m(lora_rank=arm["rank"], lora_alpha=2 * arm["rank"], **few)
    model.load_state_dict(hf_to_tune(load_file(base / "model.safetensors"), 9, 3, 576), strict=False)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    plain, packed._Joint = packed._Joint, Whole if arm["full"] else packed._Joint  # type: ignore[misc]
    try:
        model.replicas(1)
    finally:
        packed._Joint = plain  # type: ignore[misc]
    return model, full or [p for p in model.parameters() if p.requires_grad]


def drawn(n: int, arm: dict[str, Any], seed: int) -> list[int]:
    """Row numbers in the order of training: the same first rows for every arm, each as often as there are epochs."""
    random_rows = random.Random(seed)
    pool = random_rows.sample(range(n), n)[: math.ceil(arm["steps"] * arm["batch"] / arm["epochs"])]
    found: list[int] = []
    while len(found) < arm["steps"] * arm["batch"]:
        found += random_rows.sample(pool, len(pool))
    return found


def write(model: Any, arm: dict[str, Any], out: Path, name: str) -> None:
    """``adapter/`` in PEFT's layout and ``model.gguf``."""
    from safetensors.torch import save_file
    from torchtune.models.convert_weights import tune_to_peft_adapter_weights

    from querywright.finetune.base import packaged_gguf
    from querywright.finetune.lora import CONFIG, WEIGHTS, deltas, read_adapter
    from querywright.finetune.to_gguf import write_gguf

    state = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
    weights = tune_to_peft_adapter_weights(state, num_heads=9, num_kv_heads=3, dim=576, head_dim=64)
    folder = out / name / "adapter"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in weights.items()}, folder / WEIGHTS)
    about = {"peft_type": "LORA", "r": arm["rank"], "lora_alpha": 2 * arm["rank"]}
    about |= {"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]}
    (folder / CONFIG).write_text(json.dumps(about), encoding="utf-8")
    write_gguf(packaged_gguf(), deltas(*read_adapter(folder)), {"q8_0": out / name / "model.gguf"}, name)


def score(out: Path, name: str, pairs: Path, n: int) -> str:
    """Share of the first ``n`` test sentences with the same meaning, decoded under the grounded grammar."""
    few = out / "test.jsonl"
    few.write_text("".join((pairs / "test.jsonl").open(encoding="utf-8").readlines()[:n]), encoding="utf-8")
    given = [f"models.tuned.path={out / name / 'model.gguf'}", f"pairs={few}", f"out={out / name / 'eval'}"]
    more = ["decodings=[grounded]", "--api", "mygene"]
    command = [sys.executable, "-m", "querywright", "eval", "eval_configs/people.yaml", *given, *more]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = json.loads((out / name / "eval-mygene" / "scores.json").read_text(encoding="utf-8"))["cells"][0]["metrics"][
        "same"
    ]
    return f"{100 * found['mean']:.0f} [{100 * found['low']:.0f}, {100 * found['high']:.0f}]"


def main() -> None:
    """Train what is not there, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True, help="folder of a split")
    parser.add_argument("--out", type=Path, default=Path("work/arms"))
    parser.add_argument("--arms", default=";".join(ARMS), help=f"of: {'; '.join(ARMS)}")
    parser.add_argument("--share", type=float, default=1.0, help="of each arm's steps")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--score", type=int, default=0, help="test sentences to ask each LoRA arm")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found = []
    for name in (arm.strip() for arm in options.arms.split(";")):
        record = options.out / name / "result.json"
        if not record.is_file():
            arm = {**DEFAULT, **ARMS[name]}
            arm["steps"] = round(arm["steps"] * options.share)
            result = train(name, arm, options.pairs, options.out, options.seed)
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps(result), encoding="utf-8")
        found.append(json.loads(record.read_text(encoding="utf-8")))
    print(f"{'arm':18} {'steps':>5} {'rows':>5} {'trained':>11} {'CPU s':>6} {'valid loss':>10}  same, grounded (%)")
    for row in found:
        rows = math.ceil(row["steps"] * row["batch"] / row["epochs"])
        scored = (
            score(options.out, row["arm"], options.pairs, options.score) if options.score and not row["full"] else ""
        )
        line = f"{row['arm']:18} {row['steps']:5} {rows:5} {row['trained']:11,} {row['cpu_s']:6.0f} {row['loss']:10.4f}"
        print(f"{line}  {scored}", flush=True)


if __name__ == "__main__":
    main()
