"""The two backends are interchangeable, and how a run is dealt out or interrupted does not change it.

A tiny model of SmolLM2's kind wherever that shows the same; the real one where the claim is about it.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from querywright.artefacts import MANIFEST, alone
from querywright.errors import QuerywrightError
from querywright.finetune import with_peft
from querywright.finetune.init import lora_words, peft_name, start_numbers
from querywright.finetune.job import Job, main, run_facts
from querywright.finetune.launch import TUNE, command, train
from querywright.finetune.loop import run
from querywright.finetune.resume import RESUME
from tests.finetune.interrupting import run_killed, run_until
from tests.finetune.tiny import tiny_checkpoint, tiny_config

BACKENDS = ("torchtune", "peft")
ROOT = Path(__file__).parents[2]
ADAPTER = "adapter/adapter_model.safetensors"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of every run here would cost as much as the run; test_record and test_train have it drawn."""
    monkeypatch.setattr("querywright.finetune.record.plot_losses", lambda folder: (folder / "losses.png").touch())


@pytest.fixture
def source(workspace: Path) -> Path:
    return workspace / "pairs" / "train.chat.jsonl"


def job_of(cfg: Any, backend: str) -> Job:
    """A run that is set up and not begun."""
    facts = run_facts(cfg, backend)
    if backend == "peft":
        return with_peft.job(cfg, facts)
    from querywright.finetune.recipe import Recipe

    made: Job = Recipe(cfg=cfg).job(cfg, facts)
    return made


def trained(cfg: Any, backend: str) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses of all steps, and the adapter."""
    run(job_of(cfg, backend))
    return losses(Path(cfg.output_dir)), load_file(Path(cfg.output_dir) / ADAPTER)


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "losses.jsonl").read_text(encoding="utf-8").splitlines()]


def assert_close(one: Any, other: Any, rtol: float) -> None:
    """Losses relative to themselves; weights relative to the largest of the adapter's."""
    assert one[0] == pytest.approx(other[0], rel=rtol)
    assert one[1].keys() == other[1].keys()
    largest = max(float(w.abs().max()) for w in one[1].values())
    for name, weight in one[1].items():
        torch.testing.assert_close(weight, other[1][name], rtol=0, atol=rtol * largest, msg=lambda m, n=name: n + m)


@pytest.mark.parametrize(
    "more",
    [
        {"enable_activation_checkpointing": True, "gradient_accumulation_steps": 2, "batch_size": 2},
        {"model__lora_attn_modules": ["q_proj", "output_proj"], "model__apply_lora_to_mlp": False},
        {"loss": {"_component_": "torchtune.modules.loss.CEWithChunkedOutputLoss", "num_output_chunks": 3}},
    ],
    ids=["checkpointing", "some projections", "chunked loss"],
)
def test_backends_agree(tiny: Path, source: Path, tmp_path: Path, more: dict[str, Any]) -> None:
    """In float32 what differs is the order of sums: 1e-4 after five steps is ten times what is seen."""
    found = [trained(tiny_config(tiny, source, tmp_path / b, **more), b) for b in BACKENDS]
    assert found[0][0][-1] < 0.98 * found[0][0][0], "it learns"
    assert_close(*found, rtol=1e-4)
    manifests = [json.loads((tmp_path / b / MANIFEST).read_text(encoding="utf-8")) for b in BACKENDS]
    assert [m["backend"] for m in manifests] == list(BACKENDS)
    same = ("steps", "rows", "tokens", "device", "base", "too_long")
    assert {k: manifests[0][k] for k in same} == {k: manifests[1][k] for k in same}
    configs = [json.loads((tmp_path / b / "adapter/adapter_config.json").read_text(encoding="utf-8")) for b in BACKENDS]
    assert configs[0] == configs[1]
    assert not list(tmp_path.glob(f"*/{RESUME}"))
    assert not list(tmp_path.glob("*/epoch_*"))


@pytest.mark.slow
def test_backends_agree_on_the_real_model(base: Path, workspace: Path, tmp_path: Path) -> None:
    """The shipped config: packed rows in torchtune's model against padded ones in that of transformers and PEFT.

    Four steps in float32 at the full learning rate from the second step on. Tolerance 1e-3, relative (seen: 3e-5): sums
    in another order give 1e-6 a product, and thirty layers and Adam, whose first steps divide a gradient by its own
    size, make more of that; a wrong scale, mask, position or learning rate shows in the second digit.
    """
    from querywright.finetune.check import find_config, load

    found = []
    for backend in BACKENDS:
        cfg = load(find_config("smollm2_135m_lora_cpu"), [
            f"workspace={workspace}", f"output_dir={tmp_path / backend}", f"checkpointer.checkpoint_dir={base}",
            "batch_size=2", "max_steps_per_epoch=4", "max_minutes=null", "lr_scheduler.num_warmup_steps=1",
            f"backend={backend}",
        ])  # fmt: skip
        found.append(trained(cfg, backend))
    assert found[0][0][-1] < 0.9 * found[0][0][0], "it learns"
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-3)
    one, other = (torch.cat([w.flatten() for _, w in sorted(f[1].items())]) for f in found)
    # Adam gives a weight whose gradient is nearly nothing a step of full size in either direction: all of them together
    assert float((one - other).norm() / one.norm()) < 5e-3


def test_both_start_from_numbers_that_seed_and_name_give(tiny: Path, source: Path, tmp_path: Path) -> None:
    jobs = [job_of(tiny_config(tiny, source, tmp_path / b), b) for b in BACKENDS]
    weights = [{name: p.detach().clone() for name, p in job.trained.items()} for job in jobs]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(w, weights[1][name]) for name, w in weights[0].items())
    name = peft_name("layers.2.attn.q_proj.lora_a.weight")
    assert name == "base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight"
    assert torch.equal(weights[0][name], start_numbers(name, (4, 64), 20))
    assert not torch.equal(weights[0][name], start_numbers(name, (4, 64), 21))
    assert float(weights[0][name].abs().max()) <= 64**-0.5
    assert not weights[0][name.replace("lora_A", "lora_B")].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_batches_and_accumulation(tiny: Path, source: Path, tmp_path: Path, backend: str) -> None:
    """The mean is over the answer tokens of a step, whose numbers differ from row to row: not a mean of means."""
    found = []
    for size, times in ((4, 1), (2, 2), (1, 4)):
        more = {"batch_size": size, "gradient_accumulation_steps": times, "max_steps_per_epoch": 3}
        found.append(trained(tiny_config(tiny, source, tmp_path / f"{size}x{times}", **more), backend))
    assert_close(found[0], found[1], rtol=1e-4)
    assert_close(found[0], found[2], rtol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_packed_is_unpacked(tiny: Path, source: Path, tmp_path: Path, backend: str) -> None:
    """Rows laid end to end in packs see no other row; three steps of all rows, alone and in packs."""
    few = tmp_path / "few.jsonl"
    few.write_text("".join(source.read_text(encoding="utf-8").splitlines(True)[:8]), encoding="utf-8")
    more = {"epochs": 3, "max_steps_per_epoch": None, "batch_size": 8}
    plain = trained(tiny_config(tiny, few, tmp_path / "plain", **more), backend)
    cfg = tiny_config(tiny, few, tmp_path / "packed", **more, dataset__packed=True)
    cfg.batch_size = packs = len(job_of(tiny_config(tiny, few, tmp_path / "p", dataset__packed=True,
                                                    batch_size=1), backend).loader)  # fmt: skip
    assert 2 <= packs <= 5
    assert_close(plain, trained(cfg, backend), rtol=1e-4)
    rows, tokens = (
        [json.loads((tmp_path / n / MANIFEST).read_text(encoding="utf-8"))[key] for n in ("plain", "packed")]
        for key in ("rows", "tokens")
    )
    assert rows == [8, 8]
    assert tokens[0] == tokens[1]


EIGHT_BIT = {"optimizer": {"_component_": "bitsandbytes.optim.AdamW8bit", "lr": 1e-2, "min_8bit_size": 64}}


WITH_DROPOUT = {"model__lora_dropout": 0.2, "epochs": 2, "max_steps_per_epoch": 3}
HALF = {"optimizer": {"_component_": "torch.optim.AdamW", "lr": 1e-2}, "dtype": "bf16"}


@pytest.mark.parametrize(
    ("backend", "more", "stopped"),
    [
        ("torchtune", WITH_DROPOUT, 2),
        ("peft", WITH_DROPOUT, 2),
        ("peft", WITH_DROPOUT, 3),
        ("peft", EIGHT_BIT, 2),
        ("peft", HALF, 2),
    ],
    ids=["torchtune", "inside an epoch", "between two", "8 bit states", "bfloat16"],
)
def test_resumed_is_uninterrupted(
    tiny: Path, source: Path, tmp_path: Path, backend: str, more: dict[str, Any], stopped: int
) -> None:
    """To the bit, with the draws of dropout, in the middle of an epoch and between two."""
    if "8bit" in str(more):
        pytest.importorskip("bitsandbytes")
    whole = trained(tiny_config(tiny, source, tmp_path / "whole", **more), backend)
    cfg = tiny_config(tiny, source, tmp_path / "parts", **more)
    job = job_of(cfg, backend)
    with pytest.raises(SystemExit) as stop:
        run_until(job, stopped, signal.SIGTERM)
    assert stop.value.code == 130
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "handlers are given back"
    assert (tmp_path / "parts" / RESUME).is_file()
    assert not (tmp_path / "parts" / MANIFEST).exists()
    assert job.step == stopped
    parts = trained(cfg, backend)
    assert parts[0] == whole[0]
    assert all(torch.equal(weight, parts[1][name]) for name, weight in whole[1].items())


def test_killed_after_a_step_checkpoint(tiny: Path, source: Path, tmp_path: Path) -> None:
    """`kill -9` two steps after the last of `save_every_n_steps`, in a run of one epoch; the same command goes on."""
    whole = trained(tiny_config(tiny, source, tmp_path / "whole", max_steps_per_epoch=6), "peft")
    cfg = tiny_config(tiny, source, tmp_path / "killed", max_steps_per_epoch=6, save_every_n_steps=3)
    run_killed(cfg, "tests.finetune.test_backends.job_of(cfg, 'peft')", 5)
    assert len(losses(tmp_path / "killed")) == 5
    job = job_of(cfg, "peft")
    assert job.step == 3
    run(job)
    assert losses(tmp_path / "killed") == pytest.approx(whole[0], rel=1e-6)
    for name, weight in load_file(tmp_path / "killed" / ADAPTER).items():
        torch.testing.assert_close(weight, whole[1][name], rtol=0, atol=1e-6)


def test_second_signal_stops_at_once(tiny: Path, source: Path, tmp_path: Path) -> None:
    job = job_of(tiny_config(tiny, source, tmp_path / "run", max_steps_per_epoch=6), "peft")
    plain = job.loss

    def twice(batch: dict[str, Any]) -> torch.Tensor:
        if job.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return plain(batch)

    job.loss = twice
    with pytest.raises(SystemExit) as stop:
        run(job)
    assert stop.value.code == 130
    assert job.step == 2, "the step was not done to its end"


def test_last_layers_only(tiny: Path, source: Path, tmp_path: Path) -> None:
    """`lora_last_layers` counts from the end, and the adapter loads into PEFT as it is."""
    transformers, peft = pytest.importorskip("transformers"), pytest.importorskip("peft")
    cfg = tiny_config(tiny, source, tmp_path / "run", model__lora_last_layers=1)
    _, adapter = trained(cfg, "peft")
    assert {name.split(".")[4] for name in adapter} == {"2"}
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    loaded = peft.PeftModel.from_pretrained(model, tmp_path / "run/adapter")
    found = {n.replace(".default.", "."): p for n, p in loaded.named_parameters() if ".lora_" in n}
    assert found.keys() == adapter.keys()
    assert all(torch.equal(weight, found[name]) for name, weight in adapter.items())


def test_four_bits_on_a_cpu(tiny: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes")
    job = job_of(tiny_config(tiny, source, tmp_path / "run", model__quantize_base=True), "peft")
    assert "4 bit on a CPU" in capsys.readouterr().err
    run(job)
    assert losses(tmp_path / "run")[-1] < losses(tmp_path / "run")[0]
    model, lora = with_peft.load_model(tiny, job.cfg, torch.device("cpu"), torch.float32)
    assert lora.quantized
    assert isinstance(model.model.layers[0].mlp.up_proj.base_layer, bitsandbytes.nn.Linear4bit)


def test_an_adapter_goes_on_in_the_other_backend(tiny: Path, source: Path, tmp_path: Path) -> None:
    """`start_adapter` reads what either wrote: the first step's rate is 0, so nothing may have moved."""
    first = trained(tiny_config(tiny, source, tmp_path / "first"), "peft")
    for backend in BACKENDS:
        start = {"start_adapter": str(tmp_path / "first/adapter"), "max_steps_per_epoch": 1}
        _, kept = trained(tiny_config(tiny, source, tmp_path / backend, **start), backend)
        assert all(torch.equal(weight, kept[name]) for name, weight in first[1].items())
        with pytest.raises(QuerywrightError, match="does not fit this config"):
            job_of(tiny_config(tiny, source, tmp_path / "no", **start, model__lora_rank=2), backend)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"loss__label_smoothing": 0.1}, "loss.label_smoothing"),
        ({"resume_from_checkpoint": True}, "goes on by itself"),
        ({"model__use_dora": True}, "plain LoRA only"),
        ({"model__lora_last_layers": 4}, "has 3 layers"),
        ({"batch_size": 64}, "too few for one step"),
    ],
)
def test_what_has_no_meaning_is_said(tiny: Path, source: Path, tmp_path: Path, more: Any, said: str) -> None:
    with pytest.raises(QuerywrightError, match=said):
        job_of(tiny_config(tiny, source, tmp_path / "run", **more), "peft")


def test_a_training_that_diverges_stops(tiny: Path, source: Path, tmp_path: Path, capsys: Any) -> None:
    cfg = tiny_config(tiny, source, tmp_path / "run", optimizer__lr=1e30)
    assert main(cfg, "peft", lambda cfg, facts: run(with_peft.job(cfg, facts))) == 2
    assert "diverged" in capsys.readouterr().err


def test_done_is_done(tiny: Path, source: Path, tmp_path: Path, capsys: Any) -> None:
    cfg = tiny_config(tiny, source, tmp_path / "run", max_steps_per_epoch=2)

    def go(cfg: Any) -> str:
        assert main(cfg, "peft", lambda cfg, facts: run(with_peft.job(cfg, facts))) == 0
        return str(capsys.readouterr().err)

    assert "done in" in go(cfg)
    assert "nothing to do" in go(cfg)
    cfg.save_every_n_steps = 7  # how often it is saved does not change what comes out
    assert "nothing to do" in go(cfg)
    cfg.optimizer.lr = 2e-2
    assert "trained anew and replaced" in go(cfg)


def test_words_of_a_config() -> None:
    words = lora_words({"_component_": "torchtune.models.llama3_1.qlora_llama3_1_8b", "lora_rank": 8, "lora_alpha": 16,
                        "lora_attn_modules": ["output_proj", "q_proj"]}, 32)  # fmt: skip
    assert words.quantized
    assert words.targets == ("q_proj", "o_proj")
    assert words.layers is None
    plain = {"_component_": "torchtune.models.llama3_1.llama3_1_8b"}
    with pytest.raises(QuerywrightError, match="no LoRA model"):
        lora_words(plain, 32)


def test_which_process_runs(tiny: Path, source: Path, tmp_path: Path) -> None:
    def line(**more: Any) -> str:
        return " ".join(command(tiny_config(tiny, source, tmp_path, **more), tmp_path / "resolved.yaml")[1:])

    assert line().startswith("-m querywright.finetune.recipe --config")
    assert line(backend="peft").startswith("-m querywright.finetune.with_peft --config")
    tune = f"-c {TUNE} run"
    assert line(recipe="lora_dpo_single_device").startswith("-m querywright.finetune.dpo --config")
    several = {"recipe": "lora_finetune_distributed", "nproc_per_node": 2}
    with pytest.raises(QuerywrightError, match="needs GPUs"):
        line(**several)
    assert line(**several, device="cuda").startswith(f"{tune} --nproc_per_node 2 lora_finetune_distributed --config")


def test_what_torchtunes_own_recipes_leave(tiny: Path, source: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Their `epoch_N` gets the layout and the manifest of our runs, so that exports find it."""
    adapter = trained(tiny_config(tiny, source, tmp_path / "run"), "peft")[1]
    logged = (tmp_path / "run" / "losses.jsonl").read_text(encoding="utf-8")
    cfg = tiny_config(tiny, source, tmp_path / "run", recipe="lora_finetune_distributed", epochs=2)

    def stock(command: list[str], environment: dict[str, str]) -> int:
        assert "lora_finetune_distributed" in command
        (tmp_path / "run" / "adapter").replace(tmp_path / "run" / "epoch_1")
        (tmp_path / "run" / "losses.jsonl").write_text(logged, encoding="utf-8")
        return 0

    monkeypatch.setattr("querywright.finetune.launch._wait_for", stock)
    monkeypatch.setattr("querywright.finetune.launch._processes", lambda cfg: 2)  # no GPU is needed to be told of them
    assert train(cfg) == 0
    assert load_file(tmp_path / "run" / ADAPTER).keys() == adapter.keys()
    about = json.loads((tmp_path / "run/adapter/adapter_config.json").read_text(encoding="utf-8"))
    assert (about["r"], about["target_modules"][3]) == (4, "o_proj")
    manifest = json.loads((tmp_path / "run" / MANIFEST).read_text(encoding="utf-8"))
    assert (manifest["steps"], manifest["rows"], manifest["recipe"]) == (5, 48, "lora_finetune_distributed")
    assert manifest["tokens"] is manifest["tokens_per_s"] is manifest["too_long"] is None, "nobody counted"
    assert train(cfg) == 0, "nothing to do"


def test_a_stopped_stock_recipe_leaves_no_run(tiny: Path, source: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Nor what an earlier run in the same folder said of itself."""
    trained(tiny_config(tiny, source, tmp_path / "run"), "peft")
    monkeypatch.setattr("querywright.finetune.launch._wait_for", lambda command, environment: -15)
    monkeypatch.setattr("querywright.finetune.launch._processes", lambda cfg: 2)
    assert train(tiny_config(tiny, source, tmp_path / "run", recipe="lora_finetune_distributed")) == 130
    assert not (tmp_path / "run" / MANIFEST).exists()
    assert not (tmp_path / "run" / "losses.jsonl").exists()


def test_a_second_run_leaves_the_first_ones_config(tiny: Path, source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with alone(folder):
        (folder / "resolved.yaml").write_text("of the run that works here", encoding="utf-8")
        with pytest.raises(QuerywrightError, match="another run works in"):
            train(tiny_config(tiny, source, folder))
    assert "that works here" in (folder / "resolved.yaml").read_text(encoding="utf-8")


def test_no_gpu_is_said_before_anything_starts(tiny: Path, source: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(QuerywrightError, match="sees no GPU"):
        train(tiny_config(tiny, source, tmp_path / "run", device="cuda"))
    assert not (tmp_path / "run").exists()


def test_the_command(tiny: Path, source: Path, tmp_path: Path, querywright: Any) -> None:
    """`querywright finetune CONFIG backend=peft` on a CPU, end to end; and what it says before it starts."""
    from omegaconf import OmegaConf

    from querywright.cli.finetune import app

    path = tmp_path / "tiny.yaml"
    OmegaConf.save(tiny_config(tiny, source, tmp_path / "run"), path)
    shown = CliRunner().invoke(app, [str(path), "backend=peft", "batch_size=2", "--check"])
    assert shown.exit_code == 0, shown.output
    assert "backend: peft" in shown.stdout
    assert "batch_size: 2" in shown.stdout
    wrong = CliRunner().invoke(app, [str(path), "backend=peft", "batchsize=2"])
    assert isinstance(wrong.exception, QuerywrightError)
    assert "did you mean 'batch_size'" in str(wrong.exception)
    assert not (tmp_path / "run").exists()
    code, said = querywright("finetune", path, "backend=peft", "max_steps_per_epoch=2")
    assert code == 0, said[-3000:]
    assert "ETA" in said
    assert (tmp_path / "run" / ADAPTER).is_file()
    assert json.loads((tmp_path / "run" / MANIFEST).read_text(encoding="utf-8"))["backend"] == "peft"
