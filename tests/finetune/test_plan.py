"""The planner against what is measured: weights, moments, saved activations, allocations of a whole step."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from querywright.errors import QuerywrightError
from querywright.finetune import memory, plan_device, plan_levers, plan_time
from querywright.finetune.allocations import Allocations, Saved
from querywright.finetune.memory_shape import ATTENTION, MLP, Setup, Shape, lora_parameters
from querywright.finetune.plan import plan
from querywright.finetune.plan_shapes import LLAMA, setup_of, shape_of

CONFIGS = Path(__file__).parents[2] / "ft_configs"
TINY = Shape("tiny", vocab=512, layers=2, heads=8, kv_heads=4, dim=256, hidden=512, positions=128, tied=False)
SETUP = Setup(batch=2, sequence=64, rank=8)
GB = 10**9


def build(shape: Shape, setup: Setup) -> Any:
    """The shape in torchtune, as its recipe sets it up."""
    from torchtune import modules, training
    from torchtune.models.llama3_1 import lora_llama3_1
    from torchtune.modules.peft import get_adapter_params, set_trainable_params

    torch.manual_seed(0)
    with training.set_default_dtype(torch.bfloat16 if setup.number == 2 else torch.float32):
        model = lora_llama3_1(
            lora_attn_modules=[n for n in setup.lora if n in ATTENTION],
            apply_lora_to_mlp="w1" in setup.lora,
            vocab_size=shape.vocab,
            num_layers=shape.layers,
            num_heads=shape.heads,
            num_kv_heads=shape.kv_heads,
            embed_dim=shape.dim,
            intermediate_dim=shape.hidden,
            max_seq_len=shape.positions,
            lora_rank=setup.rank,
            lora_alpha=2 * setup.rank,
            quantize_base=setup.quantized,
        )
    set_trainable_params(model, get_adapter_params(model))
    if setup.checkpointing:
        training.set_activation_checkpointing(model, auto_wrap_policy={modules.TransformerSelfAttentionLayer})
    model.set_num_output_chunks(setup.chunks)
    return model


def loss_of(model: Any, shape: Shape, setup: Setup) -> Any:
    from torchtune.modules.loss import CEWithChunkedOutputLoss

    tokens = torch.randint(0, shape.vocab, (setup.batch, setup.sequence))
    out = model(tokens)
    if setup.chunks:
        return CEWithChunkedOutputLoss(setup.chunks)(out, tokens)
    return torch.nn.functional.cross_entropy(out.reshape(-1, shape.vocab), tokens.reshape(-1))


def own(model: Any) -> list[Any]:
    return [*model.parameters(), *model.buffers()]


@pytest.mark.parametrize("name", ["llama3_1_8b", "llama3_2_1b", "llama3_2_3b"])
def test_shapes_are_torchtunes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import import_module

    from torchtune.models.llama3_1._position_embeddings import Llama3ScaledRoPE
    from torchtune.modules.peft import get_adapter_params

    monkeypatch.setattr(Llama3ScaledRoPE, "apply_scaling", lambda self, freqs, *_: freqs)  # it reads numbers
    builder = getattr(import_module(f"torchtune.models.{name.rpartition('_')[0]}"), f"lora_{name}")
    with torch.device("meta"):
        model = builder(lora_attn_modules=list(ATTENTION), apply_lora_to_mlp=True, lora_rank=16)
    trained = sum(p.numel() for p in get_adapter_params(model).values())
    assert lora_parameters(LLAMA[name], replace(SETUP, rank=16)) == trained
    assert LLAMA[name].parameters() == sum(p.numel() for p in model.parameters()) - trained
    assert LLAMA[name].positions == model.max_seq_len


@pytest.mark.parametrize("number", [2, 4])
@pytest.mark.parametrize("quantized", [False, True])
def test_weights_and_moments_to_the_byte(number: int, quantized: bool) -> None:
    setup = replace(SETUP, number=number, quantized=quantized)
    model = build(TINY, setup)
    counted = Allocations()
    counted.add(p for p in model.parameters() if not p.requires_grad)
    codes = 16 * number + number if quantized else 0  # a table of 16 and a mean for each quantised matrix
    assert counted.now == memory.frozen(TINY, setup) + 7 * TINY.layers * codes
    trained = [p for p in model.parameters() if p.requires_grad]
    assert sum(p.numel() * p.element_size() for p in trained) == memory.lora_weights(TINY, setup)
    assert memory.tables(TINY, setup) == sum(b.numel() * 4 for n, b in model.named_buffers() if n.endswith("cache"))

    optimizer = torch.optim.AdamW(trained)
    for p in trained:
        p.grad = torch.zeros_like(p)
    optimizer.step()
    state = [t for s in optimizer.state.values() for t in s.values()]
    assert sum(t.numel() * t.element_size() for t in state) == memory.optimizer(TINY, setup)


def test_eight_bit_moments_to_the_byte() -> None:
    bnb = pytest.importorskip("bitsandbytes")
    sizes = memory.lora_tensors(TINY, SETUP)
    trained = [torch.nn.Parameter(torch.randn(n) / 9) for n in sizes]
    for p in trained:
        p.grad = torch.full_like(p, 0.1)
    try:
        optimizer = bnb.optim.AdamW8bit(trained)
        optimizer.step()
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        pytest.skip(f"no 8-bit optimizer for this CPU: {error}")
    keys = ("state1", "state2", "absmax1", "absmax2")
    found = sum(t.numel() * t.element_size() for s in optimizer.state.values() for k, t in s.items() if k in keys)
    assert found == memory.optimizer(TINY, replace(SETUP, optimizer="adamw8bit"))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"number": 4},
        {"checkpointing": True},
        {"lora": ("q_proj", "v_proj")},
        {"lora": (*ATTENTION,), "rank": 32},
        {"quantized": True},
    ],
)
def test_activations_are_what_autograd_saves_in_torchtune(change: dict[str, Any]) -> None:
    setup = replace(SETUP, chunks=4, **change)
    model = build(TINY, setup)
    with Saved(own(model)) as saved:
        model(torch.randint(0, TINY.vocab, (setup.batch, setup.sequence)))
    assert memory.kept(TINY, setup) == pytest.approx(saved.bytes, rel=0.01)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_what_autograd_saves_in_peft(checkpointing: bool) -> None:
    transformers, peft = pytest.importorskip("transformers"), pytest.importorskip("peft")
    setup = replace(SETUP, backend="peft", checkpointing=checkpointing)
    config = transformers.LlamaConfig(
        vocab_size=TINY.vocab,
        hidden_size=TINY.dim,
        intermediate_size=TINY.hidden,
        num_hidden_layers=TINY.layers,
        num_attention_heads=TINY.heads,
        num_key_value_heads=TINY.kv_heads,
        max_position_embeddings=TINY.positions,
    )
    model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    lora = peft.LoraConfig(r=setup.rank, target_modules="all-linear")
    model = peft.get_peft_model(model, lora, autocast_adapter_dtype=False).get_base_model().train()
    with Saved(own(model)) as saved:
        model.get_decoder()(torch.randint(0, TINY.vocab, (setup.batch, setup.sequence)), use_cache=False)
    assert memory.kept(TINY, setup) == pytest.approx(saved.bytes, rel=0.02)


@pytest.mark.parametrize(
    ("vocab", "change"),
    [
        # a small vocabulary: the peak is in a layer's backward pass
        (64, {"chunks": 8, "checkpointing": True}),
        (64, {"chunks": 8, "number": 4}),
        # a large one: at the loss
        (2048, {"chunks": 8, "checkpointing": True, "number": 4}),
        (2048, {"checkpointing": True, "number": 4}),
    ],
)
def test_the_peak_of_a_step_is_within_a_tenth(vocab: int, change: dict[str, Any]) -> None:
    shape, setup = replace(TINY, vocab=vocab), replace(SETUP, sequence=128, accumulation=2, **change)
    model = build(shape, setup)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, foreach=False)
    with Allocations() as counted:
        counted.add(own(model))
        for _ in range(2):
            for _ in range(2):  # as many batches a step
                loss = loss_of(model, shape, setup)
                loss.backward()
                del loss
            optimizer.step()
            optimizer.zero_grad()
    assert sum(memory.peak(shape, setup).values()) == pytest.approx(counted.peak, rel=0.1)


def config(name: str, *overrides: str) -> Any:
    cfg = OmegaConf.load(CONFIGS / f"{name}.yaml")
    cfg = OmegaConf.merge(cfg, OmegaConf.from_dotlist([*overrides, "workspace=nowhere"]))
    OmegaConf.resolve(cfg)
    return cfg


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_config_has_a_plan(path: Path) -> None:
    made = plan(config(path.stem), gpu="cpu" if "cpu" in path.stem else "A100-80GB", quick=True)
    assert made.fits or made.device.cpu
    assert made.total == sum(made.items.values())
    assert made.items["frozen weights"] * made.setup.gpus >= made.shape.parameters() * 0.6
    assert json.loads(json.dumps(made.as_dict()))["total"] == made.total
    assert any("total" in line for line in made.lines())


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("llama*.yaml")), ids=lambda path: path.stem)
def test_headers_say_what_the_plan_says(path: Path) -> None:
    said = re.search(r"^#   memory +([\d.]+) GB of (\d+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert said, "memory in the header"
    made = plan(config(path.stem), gpu=f"{said[2]}GB", quick=True)
    assert made.fits
    assert made.total / GB == pytest.approx(float(said[1]), abs=0.06)


def test_what_does_not_fit_is_told_with_what_would() -> None:
    plain = [
        "compile=false",
        "enable_activation_checkpointing=false",
        "enable_activation_offloading=false",
        "optimizer._component_=torch.optim.AdamW",
        "tokenizer.max_seq_len=8192",
    ]
    made = plan(config("llama3_1_8b_lora", *plain), gpu="24GB", quick=True)
    assert not made.fits
    assert made.clearly_too_much
    assert "24.0 GB" in made.message()
    assert made.remedy
    words = [word for word in made.remedy.replace(",", " ").split() if "=" in word]
    cured = [w.replace("optimizer=", "optimizer._component_=").replace("loss=", "loss._component_=") for w in words]
    assert plan(config("llama3_1_8b_lora", *plain, *cured), gpu="24GB", quick=True).fits
    assert not plan(config("llama3_1_8b_lora", *plain), memory_bytes=GB, gpu="24GB", quick=True).remedy
    assert plan(config("llama3_1_8b_lora"), memory_bytes=22 * GB, quick=True).clearly_too_much is False


def test_levers_save_what_they_say() -> None:
    made = plan(config("llama3_1_8b_lora"), gpu="48GB", quick=True)
    levers = {trick.name: trick for trick in made.tricks}
    assert levers["frozen weights in NF4"].bytes == pytest.approx(10.36 * GB, rel=0.01)
    assert levers["activation checkpointing"].slower > 1.2
    assert all(trick.bytes >= 0 for trick in made.tricks)
    off = plan(config("llama3_1_8b_lora", "loss.num_output_chunks=1"), gpu="48GB", quick=True)
    assert off.total > made.total


def test_largest_sizes_are_the_last_that_fit() -> None:
    device = plan_device.gpu_named("24GB")
    shape, setup = LLAMA["llama3_1_8b"], setup_of(config("llama3_1_8b_qlora_24gb"))
    for what, step in (("sequence", 256), ("batch", 1)):
        most = plan_levers.largest(shape, setup, device, what)
        assert most
        totals = [
            sum(plan_levers.needs(shape, replace(setup, **{what: n}), device)[0].values()) for n in (most, most + step)
        ]
        assert totals[0] <= 24 * GB < totals[1]


def test_published_peaks_and_speeds_of_torchtune() -> None:
    """Its README's table: 2 x 2048 packed, compiled; peaks in GiB, tokens a second as of an A100."""
    lora = ("q_proj", "v_proj", "output_proj", *MLP)
    base = Setup(batch=2, sequence=2048, rank=8, lora=lora, chunks=8, compile=True, packed=True, checkpointing=True)
    shape, a100 = LLAMA["llama3_1_8b"], plan_device.gpu_named("A100-80GB")
    published = [
        (base, 16.2, 3083),
        (replace(base, checkpointing=False), 30.3, 4699),
        (replace(base, quantized=True), 7.4, 2413),
    ]
    for setup, gib, speed in published:
        assert sum(memory.peak(shape, setup).values()) / 2**30 == pytest.approx(gib, rel=0.12)
        assert plan_time.tokens_a_second(shape, setup, a100) == pytest.approx(speed, rel=0.3)


def test_rows_at_hand_are_counted(tmp_path: Path) -> None:
    chat = [
        {"messages": [{"role": "system", "content": "s" * 30}, {"role": "assistant", "content": "a" * 3 * n}]}
        for n in (10, 20)
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chat))
    cfg = config(
        "smollm2_135m_lora_cpu", f"dataset.source={tmp_path}/train.jsonl", "batch_size=2", "tokenizer.path=nowhere"
    )
    rows = plan_time.count_rows(cfg, setup_of(cfg))
    assert rows is not None
    assert (rows.rows, rows.tokens, rows.longest) == (2, 70, 40)
    assert rows.computed == 70 - 15  # the system line once
    cfg.dataset = [cfg.dataset, cfg.dataset]
    joined = plan_time.count_rows(cfg, setup_of(cfg))
    assert joined is not None
    assert joined.rows == 4
    cfg.dataset = cfg.dataset[0]
    padded = plan_time.count_rows(cfg, replace(setup_of(cfg), answers_only=False))
    assert padded is not None
    assert padded.computed == 80


def test_a_quick_plan_takes_rows_for_as_long_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("x" * 300 + "\n")
    short = plan(config("smollm2_135m_dpo_cpu", f"dataset.source={tmp_path}/rows.jsonl"), gpu="cpu", quick=True)
    assert short.setup.sequence == 100
    assert short.total < plan(config("smollm2_135m_dpo_cpu"), gpu="cpu", quick=True).total


def test_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plan_device.gpu_named("a100-80gb").name == "A100-80GB"
    assert plan_device.gpu_named("RTX 4090").name == "4090"
    assert plan_device.gpu_named("48GB").memory == 48 * GB
    assert plan_device.gpu_named("48 GiB").memory == 48 * 2**30
    with pytest.raises(QuerywrightError, match="which a100: A100-40GB or A100-80GB"):
        plan_device.gpu_named("a100")
    assert plan_device.gpu_named("48").flops == plan_device.gpu_named("A6000").flops
    with pytest.raises(QuerywrightError, match="did you mean 'L40S'"):
        plan_device.gpu_named("L40SS")
    for entry in plan_device.gpus().values():
        assert entry["source"]
        assert entry["bf16_tflops"] < 3000
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    monkeypatch.setattr(plan_device, "CGROUP", tmp_path)
    assert plan_device.ram_available() == 4_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert plan_device.ram_available() != 4_000_000


def test_unknown_models_and_shares_are_said() -> None:
    with pytest.raises(QuerywrightError, match="its shape is not known"):
        shape_of({"_component_": "torchtune.models.gemma.lora_gemma_2b"})
    with pytest.raises(QuerywrightError, match="no share"):
        plan(config("llama3_1_8b_lora"), gpu="48GB", mfu=35, quick=True)


def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from querywright.cli import main

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["querywright", "finetune", "plan", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().out

    code, out = run("llama3_1_8b_lora", "workspace=nowhere", "--gpu", "48GB", "--mfu", "0.3")
    assert code == 0
    assert "fits" in out
    assert "30% of the peak" in out
    code, out = run("llama3_1_8b_lora", "workspace=nowhere", "--gpu", "12GB", "--json")
    assert code == 1
    assert json.loads(out)["remedy"]


@pytest.mark.parametrize("backend", ["torchtune", "peft"])
def test_the_benchmark_for_gpus_runs_tiny(
    backend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util
    import subprocess

    spec = importlib.util.spec_from_file_location("gpu_peaks", CONFIGS.parent / "benchmarks" / "gpu_peaks.py")
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    cfg = bench.config_for("llama3_1_8b_lora", backend, 128, True)
    found = bench.measure(cfg, 1)
    assert found["trained"] == lora_parameters(shape_of(cfg.model), setup_of(cfg))

    def run(words: list[str], **_: Any) -> Any:  # the process of its own that would measure
        return subprocess.CompletedProcess(words, 0, stdout=f"noise\n{json.dumps(found)}\n", stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    header = bench.beside_plan("llama3_1_8b_lora", backend, 128, True, 1)
    assert "#   tokens/s" in header
    assert "planned" in capsys.readouterr().out
