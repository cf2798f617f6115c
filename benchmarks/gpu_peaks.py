"""Peak memory, tokens a second and the share of a GPU's peak that training reaches, beside the plan, in one run.

    .venv/bin/python benchmarks/gpu_peaks.py                 the shipped 8B configs, 2k packed and 16k, both backends
    .venv/bin/python benchmarks/gpu_peaks.py --tiny          the same on a tiny shape, on the CPU, in a minute
    .venv/bin/python benchmarks/gpu_peaks.py --cpu           SmolLM2-135M trained for some steps here, against its plan

Weights are random and of the exact shape: no checkpoint is needed, and memory and speed do not depend on their values.
Each measurement is a process of its own, so that one that runs out of memory ends alone and none inherits memory.
The lines to paste into a config's header come last.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from querywright.finetune import check
from querywright.finetune.allocations import peak_rss
from querywright.finetune.plan import Plan, plan
from querywright.finetune.plan_device import GB
from querywright.finetune.plan_shapes import shape_of
from querywright.finetune.plan_time import work

CONFIGS = ("llama3_1_8b_qlora", "llama3_1_8b_lora")
ROW = 66  # tokens of a packed row, as the mygene pairs have on average
TINY = {
    "model": {
        "_component_": "torchtune.models.llama3_1.lora_llama3_1",
        "vocab_size": 1024,
        "num_layers": 2,
        "num_heads": 4,
        "num_kv_heads": 2,
        "embed_dim": 64,
        "intermediate_dim": 128,
        "max_seq_len": 512,
    },
    "optimizer": {"_component_": "torch.optim.AdamW", "fused": False},
    "device": "cpu",
    "dtype": "fp32",
    "compile": False,
    "enable_activation_offloading": False,
}


def config_for(name: str, backend: str, sequence: int, tiny: bool) -> Any:
    """The shipped config with a packed length, a backend, and for ``tiny`` another model."""
    cfg = OmegaConf.load(check.find_config(name))
    words: dict[str, Any] = {"backend": backend, "tokenizer": {"max_seq_len": sequence}, "workspace": "nowhere"}
    cfg = OmegaConf.merge(cfg, words)
    if tiny:
        cfg = OmegaConf.merge(cfg, TINY)
    OmegaConf.resolve(cfg)
    return cfg


def packed_batch(cfg: Any, vocab: int, device: torch.device) -> dict[str, Tensor]:
    """A batch as ``torchtune.datasets.PackedDataset`` packs rows of 66 tokens; the loss is on every other token."""
    length = int(cfg.tokenizer.max_seq_len)
    rows = [ROW] * (length // ROW) + ([length % ROW] if length % ROW else [])
    pack = {
        "tokens": torch.randint(0, vocab, (length,)),
        "labels": torch.randint(0, vocab, (length,)),
        "input_pos": torch.cat([torch.arange(n) for n in rows]),
        "seq_lens": torch.tensor(rows),
    }
    pack["labels"][::2] = -100
    packs = [pack] * int(cfg.batch_size)
    if cfg.backend == "peft":
        from querywright.finetune.with_peft import collate_packs

        batch = collate_packs(packs)
    else:
        from torchtune.data import padded_collate_packed

        batch = padded_collate_packed(packs)
    return {name: value.to(device) for name, value in batch.items()}


def on_torchtune(cfg: Any, device: torch.device) -> tuple[nn.Module, Callable[[dict[str, Tensor]], Tensor]]:
    """The model as torchtune's recipe sets it up, on random weights, and its loss of a batch."""
    from torchtune import config, modules, training
    from torchtune.modules.peft import get_adapter_params, set_trainable_params

    with training.set_default_dtype(training.get_dtype(cfg.dtype, device=device)), device:
        model = config.instantiate(cfg.model)
    set_trainable_params(model, get_adapter_params(model))
    if cfg.compile:
        training.compile_model(model)
    if cfg.enable_activation_checkpointing:
        training.set_activation_checkpointing(model, auto_wrap_policy={modules.TransformerSelfAttentionLayer})
    offload = training.get_act_offloading_ctx_manager(model, cfg.enable_activation_offloading)
    measure = config.instantiate(cfg.loss)
    if cfg.compile:
        measure = training.compile_loss(measure)
    model.set_num_output_chunks(measure.num_output_chunks)

    def loss(batch: dict[str, Tensor]) -> Tensor:
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        with offload:
            logits = model(**inputs)
        labels = torch.roll(batch["labels"], -1, 1)
        labels[:, -1] = -100
        found: Tensor = measure(logits, labels)
        return found

    return model.train(), loss


def on_peft(cfg: Any, device: torch.device) -> tuple[nn.Module, Callable[[dict[str, Tensor]], Tensor]]:
    """The model as `querywright.finetune.with_peft` sets it up, on random weights, and its loss of a batch."""
    import peft
    import transformers

    from querywright.finetune.init import lora_words
    from querywright.finetune.with_peft import DTYPES, mean_loss

    shape, lora = shape_of(cfg.model), lora_words(cfg.model, shape_of(cfg.model).layers)
    about = transformers.LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.dim,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.positions,
        tie_word_embeddings=shape.tied,
        use_cache=False,
    )
    with device:
        model: Any = transformers.AutoModelForCausalLM.from_config(about, dtype=DTYPES[cfg.dtype])
    if lora.quantized:
        in_four_bits(model.get_decoder(), DTYPES[cfg.dtype], device)
    model.requires_grad_(False)
    if cfg.enable_activation_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model = peft.get_peft_model(model, peft.LoraConfig(**lora.peft()), autocast_adapter_dtype=False).get_base_model()
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(device, DTYPES[cfg.dtype])
    if cfg.compile:
        for layer in model.get_decoder().layers:
            layer.compile()
    offload: Any = None
    if cfg.enable_activation_offloading:
        from torchtune.training import OffloadActivations

        offload = OffloadActivations()
    return model.train(), lambda batch: mean_loss(model, batch, -100, offload or nullcontext())


def in_four_bits(decoder: nn.Module, dtype: torch.dtype, device: torch.device) -> None:
    """Replace the linear layers by bitsandbytes' NF4 ones, as transformers does while it loads a checkpoint."""
    import bitsandbytes as bnb

    for module in list(decoder.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                four = bnb.nn.Linear4bit(
                    child.in_features, child.out_features, bias=False, compute_dtype=dtype, quant_type="nf4"
                )
                four.weight = bnb.nn.Params4bit(child.weight.data.cpu(), requires_grad=False, quant_type="nf4")
                setattr(module, name, four.to(device))


def measure(cfg: Any, steps: int) -> dict[str, float]:
    """Peak bytes and tokens a second of some steps after a first one, which compiles."""
    from torchtune import config

    torch.manual_seed(0)
    device = torch.device(cfg.device)
    cuda = device.type == "cuda"
    model, loss = (on_peft if cfg.backend == "peft" else on_torchtune)(cfg, device)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = config.instantiate(cfg.optimizer, trained)
    accumulate = int(cfg.gradient_accumulation_steps)
    batch = packed_batch(cfg, shape_of(cfg.model).vocab, device)
    seconds = []
    for step in range(steps + 1):
        if cuda and step == 1:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        if cuda:
            torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(accumulate):
            (loss(batch) / accumulate).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    tokens = batch["tokens"].numel() * accumulate
    return {
        "peak": torch.cuda.max_memory_allocated() if cuda else peak_rss(),
        "reserved": torch.cuda.max_memory_reserved() if cuda else peak_rss(),
        "tokens_per_s": tokens / min(seconds[1:]),
        "trained": sum(p.numel() for p in trained),
    }


def beside_plan(name: str, backend: str, sequence: int, tiny: bool, steps: int) -> str | None:
    """Measure in a process of its own, print a line; returns the lines for a header, None where it failed."""
    words = [name, backend, str(sequence), str(int(tiny)), str(steps)]
    done = subprocess.run([sys.executable, __file__, "--one", *words], capture_output=True, text=True, check=False)
    made = plan(config_for(name, backend, sequence, tiny), quick=True)
    label = f"{name:<20} {backend:<9} {sequence:>6}"
    if done.returncode:
        said = [line for line in done.stderr.strip().splitlines() if line.strip()]
        print(f"{label}  failed: {said[-1][:160] if said else done.returncode}; planned {made.total / GB:.1f} GB")
        return None
    found = json.loads(done.stdout.strip().splitlines()[-1])
    speed, mfu = found["tokens_per_s"], model_share(made, found["tokens_per_s"])
    shown = f"MFU {mfu:.0%}" if mfu else "MFU unknown"
    print(
        f"{label}  peak {found['peak'] / GB:.2f} GB ({found['reserved'] / GB:.2f} reserved), planned "
        f"{made.total / GB:.2f}; {speed:,.0f} tokens/s, planned {made.tokens_per_s:,.0f}; {shown}",
        flush=True,
    )
    return (
        f"# {name}, {backend}, {sequence:,} tokens, measured on {made.device.name}, torch {torch.__version__}\n"
        f"#   memory    {found['reserved'] / GB:.1f} GB\n#   tokens/s  {speed:,.0f} ({shown})"
    )


def model_share(made: Plan, speed: float) -> float | None:
    """Model operations a second over the device's peak; None where that is not known."""
    return work(made.shape, made.setup, ROW).model * speed / made.device.flops if made.device.flops else None


def on_this_cpu(steps: int) -> None:
    """Train the small model as its config says, and print the highest memory of the process beside the plan."""
    from querywright.finetune.launch import train

    with tempfile.TemporaryDirectory() as folder:
        words = [f"max_steps_per_epoch={steps}", f"output_dir={folder}/model"]
        cfg = check.load(check.find_config("smollm2_135m_lora_cpu"), words)
        made = plan(cfg, gpu="cpu")
        start = time.perf_counter()
        if train(cfg):
            sys.exit("training was stopped")
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        about = json.loads(Path(folder, "model", "manifest.json").read_text(encoding="utf-8"))
    print(f"peak memory {peak / GB:.2f} GB, planned {made.total / GB:.2f} ({made.total / peak - 1:+.0%})")
    print(
        f"{about.get('tokens_per_s', 0):,.0f} tokens/s by the run's manifest, planned {made.tokens_per_s:,.0f} "
        f"({made.device.source}); {seconds:.0f} s in all for {steps} steps"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a tiny shape on the CPU")
    parser.add_argument("--cpu", action="store_true", help="SmolLM2-135M on this CPU")
    parser.add_argument("--configs", nargs="+", default=CONFIGS)
    parser.add_argument("--backends", nargs="+", default=["torchtune", "peft"], choices=["torchtune", "peft"])
    parser.add_argument("--sequences", nargs="+", type=int, help="default: 2048 16384; with --tiny 128 256")
    parser.add_argument("--steps", type=int, default=3, help="steps after the first one")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        name, backend, sequence, tiny, steps = args.one
        cfg = config_for(name, backend, int(sequence), tiny == "1")
        print(json.dumps(measure(cfg, int(steps))))
        return
    if args.cpu:
        on_this_cpu(args.steps)
        return
    if not args.tiny and not torch.cuda.is_available():
        sys.exit("no GPU here: --tiny checks this script on the CPU, --cpu measures SmolLM2-135M")
    headers = [
        beside_plan(name, backend, sequence, args.tiny, args.steps)
        for sequence in args.sequences or ([128, 256] if args.tiny else [2048, 16384])
        for name in args.configs
        for backend in args.backends
    ]
    print("\n".join(["", *filter(None, headers)]))
    if None in headers:
        sys.exit(1)


if __name__ == "__main__":
    main()
