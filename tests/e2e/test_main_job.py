"""The main job through the real command line, with the real base model, in small: a log to an answered sentence."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from querywright.artefacts import read_jsonl, repo_dir

pytestmark = pytest.mark.slow
ROOT = repo_dir()
STEPS = 8
ENV = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}


def querywright(*words: object, ok: bool = True, **more: object) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, from the repository's folder."""
    command = [sys.executable, "-m", "querywright", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True, timeout=900, **more)  # type: ignore[call-overload]
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    if ok:
        assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calls and pairs from the first lines of the sample log, over a few real records."""
    from querywright.api.records import goatools

    folder = tmp_path_factory.mktemp("job")
    log = folder / "access.log"
    with gzip.open(ROOT / "data" / "samples" / "mygene_access.log.gz", "rb") as lines:
        log.write_bytes(b"".join(islice(lines, 1200)))
    records = folder / "records.jsonl"
    records.write_text("".join(json.dumps(r) + "\n" for r in islice(goatools(), 4000)))
    querywright("logs", "build", "--api", "mygene", log, "--records", records, "--out", folder / "calls")
    querywright("pairs", "make", "--api", "mygene", "--calls", folder / "calls" / "calls.jsonl", "--records", records,
                "--most", 40, "--draw", 160, "--per-call", 1, "--out", folder / "made")  # fmt: skip
    querywright("pairs", "verify", folder / "made" / "pairs.jsonl", "--api", "mygene", "--out", folder / "good.jsonl")
    querywright("pairs", "split", folder / "good.jsonl", "--valid", 0.05, "--test", 0.1, "--out", folder / "pairs")
    return folder


@pytest.fixture(scope="module")
def trained(work: Path) -> Path:
    """A model trained for a few steps, exported."""
    small = [f"workspace={work}", f"max_steps_per_epoch={STEPS}", "max_minutes=null", "lr_scheduler.num_warmup_steps=2",
             "batch_size=4"]  # fmt: skip
    querywright("finetune", "ft_configs/smollm2_135m_lora_cpu.yaml", *small)
    querywright("export", "ft_configs/smollm2_135m_lora_cpu.yaml", *small, "--kinds", "q8_0", "--parity", 1)
    return work


def test_kept_calls_have_hits_and_every_line_is_accounted_for(work: Path) -> None:
    calls = read_jsonl(work / "calls" / "calls.jsonl")
    assert len(calls) > 40
    assert all(c["hits"] > 0 for c in calls)
    dropped = json.loads((work / "calls" / "dropped.json").read_text())
    assert dropped["accepted"] + sum(dropped["rejected"].values()) == dropped["lines"] == 1200


def test_the_loss_falls(trained: Path) -> None:
    losses = [
        json.loads(line)["loss"]
        for line in (trained / "model" / "quick" / "losses.jsonl").read_text().split("\n")
        if line
    ]
    assert len(losses) == STEPS
    assert sum(losses[-3:]) < 0.75 * sum(losses[:3])


def test_a_sweep_over_base_and_tuned(trained: Path) -> None:
    config = trained / "sweep.yaml"
    config.write_text(
        f"""
api: mygene
models:
  base: {{path: base, strategies: [zero_shot]}}
  tuned: {{path: {trained}/model/model-q8_0.gguf, strategies: [tuned]}}
decodings: [free, grammar]
limit: 2
max_tokens: 40
pairs: {trained}/pairs/test.jsonl
examples: {trained}/pairs/train.jsonl
records: {trained}/records.jsonl
out: {trained}/eval
"""
    )
    done = querywright("eval", config, "--json")
    cells = json.loads(done.stdout.strip().splitlines()[-1])["cells"]
    assert len(cells) == 4
    responses = read_jsonl(next((trained / "eval").rglob("responses_*.jsonl")))
    assert {r["finish"] for r in responses} <= {"stop", "length"}
    assert len(responses) == 8


def test_asking_gives_a_call_or_says_why_not(trained: Path) -> None:
    model = trained / "model" / "model-q8_0.gguf"
    done = querywright("ask", "--api", "mygene", "--model", model, "--json", "genes with symbol CDK2", ok=False)
    answer = json.loads(done.stdout)
    assert done.returncode == (0 if answer["ok"] else 1)
    if answer["ok"]:
        verdict = querywright("call", "parse", "--api", "mygene", input=answer["path"] + "\n")
        assert json.loads(verdict.stdout)["ok"]
    else:
        assert answer["reason"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["logs", "build", "--api", "mygene", "no-such.log", "--out", "x"], "no-such.log"),
        (
            ["logs", "build", "--api", "mygen", "data/samples/mygene_access.log.gz", "--out", "x"],
            "did you mean 'mygene'",
        ),
        (["pairs", "split", "no-such.jsonl", "--out", "x"], "no-such.jsonl"),
        (["finetune", "no_such_config"], "no_such_config"),
        (["eval", "no_such.yaml"], "no_such.yaml"),
        (["ask", "--api", "mygene", "--model", "README.md", "x"], "README.md"),
        (["api", "serve", "--api", "mygene", "--records", "no-such.jsonl"], "no-such.jsonl"),
        (["nonsense"], "nonsense"),
    ],
)
def test_a_mistake_ends_in_a_sentence(words: list[str], said: str) -> None:
    done = querywright(*words, ok=False)
    assert done.returncode == 2, done
    assert said in done.stderr
