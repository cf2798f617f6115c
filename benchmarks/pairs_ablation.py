"""What makes pairs worth training on: the same model and number of steps on five sets of pairs, scored on people.

    .venv/bin/python benchmarks/pairs_ablation.py --people PAIRS.jsonl [--steps 200] [--arms narrow,broad] [--out DIR]

Each arm adds one thing to the one before it: narrow templates, broad templates, shapes drawn from the grammar beside
the log's, the round trip, and refusals. An arm is trained from the base model with the same settings, seed and number
of steps, and asked the same sentences under the grounded grammar: those of PAIRS (for scoring only), held-out ones of
the broad templates, and held-out refusals. Stopped, the same command goes on. About 15 minutes an arm on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CONFIG = "smollm2_135m_lora_cpu"
ARMS = {
    "narrow": "narrow templates, shapes of the log",
    "broad": "broad templates, shapes of the log",
    "drawn": "+ shapes drawn from the grammar",
    "round_trip": "+ round trip",
    "refusals": "+ refusals",
}


def run(*args: object) -> None:
    """One command of ours, its output on the screen; stops everything if it fails."""
    command = [sys.executable, "-m", "querywright", *map(str, args)]
    print("$ querywright", *map(str, args), file=sys.stderr, flush=True)
    subprocess.run(command, check=True, stdout=sys.stderr)


def make(arm: str, out: Path, calls: Path, rows: int) -> Path:
    """The arm's verified pairs; each arm builds on the one before."""
    made = out / "made" / arm
    done = made / "pairs.verified.jsonl"
    if done.is_file():
        return done
    if arm == "round_trip":
        source = make("drawn", out, calls, rows)
        run("pairs", "refine", source, "--api", "mygene", "--steps", "round_trip", "--out", done,
            "--rejects", made / "rejects.jsonl")  # fmt: skip
        return done
    options: list[object] = ["--style", "narrow" if arm == "narrow" else "broad", "--refusals", 0]
    logged = rows if arm in ("narrow", "broad") else rows // 3
    options += ["--most", logged, "--draw", rows - logged]
    if arm == "refusals":
        refusals = ["--most", 0, "--draw", 0, "--refusals", rows // 16]
        run("pairs", "make", "--api", "mygene", *refusals, "--out", made)
        joined = [*(make("round_trip", out, calls, rows)).open(), *(made / "pairs.jsonl").open()]
        done.write_text("".join(joined))
        return done
    run("pairs", "make", "--api", "mygene", "--calls", calls, "--per-call", 1, *options, "--out", made)
    run("pairs", "verify", made / "pairs.jsonl", "--api", "mygene", "--out", done)
    return done


def train(arm: str, source: Path, out: Path, steps: int) -> Path:
    """The arm's model, as GGUF."""
    workspace = out / arm
    if not (workspace / "pairs" / "manifest.json").is_file():
        run("pairs", "split", source, "--valid", 0.01, "--test", 0.03, "--out", workspace / "pairs")
    settings = [f"workspace={workspace}", f"max_steps_per_epoch={steps}", "max_minutes=null"]
    if not (workspace / "model" / "model-q8_0.gguf").is_file():
        run("finetune", CONFIG, *settings)
        run("export", CONFIG, *settings, "--api", "mygene")
    return workspace / "model" / "model-q8_0.gguf"


def held_out_refusals(out: Path) -> Path:
    """Refusals of another seed that the last arm was not trained on."""
    folder = out / "made" / "held_out_refusals"
    path = folder / "unseen.jsonl"
    if not path.is_file():
        run(
            "pairs",
            "make",
            "--api",
            "mygene",
            "--most",
            0,
            "--draw",
            0,
            "--refusals",
            150,
            "--seed",
            99,
            "--out",
            folder,
        )
        known = {json.loads(line)["instruction"].lower() for line in (out / "made/refusals/pairs.jsonl").open()}
        rows = [
            line for line in (folder / "pairs.jsonl").open() if json.loads(line)["instruction"].lower() not in known
        ]
        path.write_text("".join(rows))
    return path


def refused(cell: dict[str, Any], what: str) -> str:
    """A share of the refusals' scores, with its interval; none were expected or given: 0."""
    found = cell.get("refusals", {}).get(what)
    return f"{100 * found['mean']:.0f} [{100 * found['low']:.0f}, {100 * found['high']:.0f}]" if found else "0"


def scores(arm: str, model: Path, pairs: Path, out: Path, what: str, limit: int) -> dict[str, Any]:
    """How the arm's model does on a file of sentences."""
    folder = out / arm / "eval" / what
    if not (folder / "scores.json").is_file():
        run("eval", "eval_configs/people.yaml", "api=mygene", f"models.tuned={model}", "decodings=[grounded]",
            f"pairs={pairs}", f"limit={limit}", f"out={folder}")  # fmt: skip
    return dict(json.loads((folder / "scores.json").read_text())["cells"][0])


def percent(cell: dict[str, Any], metric: str = "same") -> str:
    """A score with its interval."""
    found = cell["metrics"].get(metric)
    return f"{found['mean']:.0%} [{found['low']:.0%}, {found['high']:.0%}]".replace("%", "") if found else "-"


def main() -> None:
    """Make, train, ask; print the table."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    options.add_argument("--people", type=Path, required=True, help="rows of api, instruction, path; only scored")
    options.add_argument("--calls", type=Path, default=Path("work/mygene/calls/calls.jsonl"))
    options.add_argument("--steps", type=int, default=200)
    options.add_argument("--rows", type=int, default=6000)
    options.add_argument("--arms", default=",".join(ARMS))
    options.add_argument("--out", type=Path, default=Path("work/ablation"))
    args = options.parse_args()
    os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "HF_HUB_OFFLINE": "1"}
    own = args.out / "drawn" / "pairs" / "test.jsonl"
    lines = []
    for arm in args.arms.split(","):
        model = train(arm, make(arm, args.out, args.calls, args.rows), args.out, args.steps)
        people = scores(arm, model, args.people, args.out, "people", 1000)
        wrongly = refused(people, "false_refusals")
        lines.append(f"| {ARMS[arm]} | {percent(people)} | {percent(people, 'valid')} | {wrongly} |")
        print(lines[-1], flush=True)
        if arm == "refusals":
            unseen = scores(arm, model, held_out_refusals(args.out), args.out, "refusals", 150)
            print("  held-out refusals refused:", refused(unseen, "recall"), flush=True)
        if own.is_file():
            print(
                "  held-out broad templates:", percent(scores(arm, model, own, args.out, "templates", 100)), flush=True
            )
    print("\n| pairs | same, people | valid | false refusals |\n| --- | --- | --- | --- |", *lines, sep="\n")


if __name__ == "__main__":
    main()
