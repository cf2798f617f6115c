"""The same training configs on transformers and PEFT instead of torchtune's models: ``backend: peft``.

Taken from the config: the checkpoint, the LoRA words of ``model`` (rank, alpha, dropout, projections, last layers,
4-bit base), tokenizer, dataset (also packed), optimizer, schedule, logger, and every key of the loop. The architecture
is what the checkpoint's ``config.json`` says. What has no meaning here is an error, not ignored.

From torchtune come only the components that a config names; no model of its is built. Packed rows keep apart by their
positions: transformers makes the block-diagonal mask from them.

Sources: Hu et al. 2021 (arXiv:2106.09685); Dettmers et al. 2023 (arXiv:2305.14314), NF4 with double quantisation.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from querywright.errors import QuerywrightError, need
from querywright.finetune.batches import collate_rows, make_dataset, make_loader, steps_per_epoch
from querywright.finetune.init import LoraWords, lora_words, start
from querywright.finetune.job import Job, begin, main
from querywright.finetune.loop import run
from querywright.finetune.lora import PREFIX
from querywright.finetune.runtime import keep_freed_memory
from querywright.progress import say

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
PLAIN = "torchtune.data.padded_collate_sft"
OWN_PACKS = "querywright.finetune.batch.collate_packed"
CHUNK_ROWS = 1024  # answer tokens whose logits are in memory at once: 0.5 GB in 32 bit with Llama's vocabulary
LORA = frozenset({"lora_attn_modules", "apply_lora_to_mlp", "apply_lora_to_output", "lora_rank", "lora_alpha",
                  "lora_dropout", "lora_last_layers", "quantize_base", "use_dora"})  # fmt: skip
# what config.json says here
SHAPE = frozenset({"vocab_size", "num_layers", "num_heads", "num_kv_heads", "head_dim", "embed_dim", "norm_eps",
                   "intermediate_dim", "max_seq_len", "rope_base", "scale_factor", "tie_word_embeddings"})  # fmt: skip
FASTER = frozenset({"cache_lower_layers"})  # the same result without it
LOSS = frozenset({"ignore_index", "num_output_chunks"})


def job(cfg: Any, facts: dict[str, Any]) -> Job:
    """Load model, rows and optimizer as the config says.

    Raises:
        QuerywrightError: a setting that has no meaning for this backend, or a checkpoint that is none.
    """
    from torchtune import config, training
    from torchtune.config._utils import _get_component_from_path

    _refuse(cfg)
    device, dtype = torch.device(cfg.device), DTYPES[cfg.dtype]
    if device.type == "cpu":
        keep_freed_memory()
    seed = int(training.set_seed(seed=cfg.seed))
    log = config.instantiate(cfg.metric_logger)
    log.log_config(cfg)
    config.instantiate(cfg.checkpointer)  # the small base model is made by its component; missing files are said
    model, lora = load_model(Path(cfg.checkpointer.checkpoint_dir), cfg, device, dtype)
    trained = {PREFIX + n.replace(".default.", "."): p for n, p in model.named_parameters() if p.requires_grad}
    for parameter in trained.values():
        parameter.data = parameter.data.to(device, dtype)
    start(trained, seed)

    tokenizer = config.instantiate(cfg.tokenizer)
    ignore_index = int(config.instantiate(cfg.loss).ignore_index)
    dataset, packed = make_dataset(cfg.dataset, tokenizer)
    own = _get_component_from_path(_collate(cfg))
    collate = collate_packs if packed else collate_rows(own, tokenizer, ignore_index)
    loader = make_loader(dataset, collate, batch_size=int(cfg.batch_size), shuffle=bool(cfg.shuffle))
    optimizer = config.instantiate(cfg.optimizer, list(trained.values()))
    steps = int(cfg.epochs) * steps_per_epoch(cfg, loader)
    scheduler = config.instantiate(cfg.lr_scheduler, optimizer, num_training_steps=steps, last_epoch=-1)
    offload = _offloading(cfg)
    made = Job(
        cfg=cfg,
        facts=facts,
        backend="peft",
        device=device,
        lora=lora,
        trained=trained,
        optimizer=optimizer,
        scheduler=scheduler,
        loader=loader,
        ignore_index=ignore_index,
        loss=lambda batch: mean_loss(model, batch, ignore_index, offload),
        adapter=lambda: {name: parameter.detach().cpu() for name, parameter in trained.items()},
        log=log,
    )
    begin(made, lambda weights: {name: torch.from_numpy(w.astype("float32")) for name, w in weights.items()})
    return made


def load_model(folder: Path, cfg: Any, device: torch.device, dtype: torch.dtype) -> tuple[nn.Module, LoraWords]:
    """The checkpoint as a causal language model of transformers with PEFT's LoRA layers in it, in training mode.

    Raises:
        QuerywrightError: no Hugging Face checkpoint in ``folder``, or LoRA words that do not fit it.
    """
    transformers, peft = need("transformers", extra="train"), need("peft", extra="train")
    if not (folder / "config.json").is_file():
        raise QuerywrightError(f"no config.json in {folder}", hint="a checkpoint in Hugging Face's layout")
    transformers.utils.logging.disable_progress_bar()
    layers = transformers.AutoConfig.from_pretrained(folder, local_files_only=True).num_hidden_layers
    lora = lora_words(cfg.model, int(layers))
    options: dict[str, Any] = {"dtype": dtype, "local_files_only": True, "use_safetensors": True}
    options["device_map"] = {"": str(device)}
    if lora.quantized:
        need("bitsandbytes", extra="train")
        if device.type == "cpu":
            say("the frozen weights in 4 bit on a CPU: it works, and is many times slower than dtype=bf16 without")
        options["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, **options)
    model.config.use_cache = False
    model.requires_grad_(False)
    if cfg.get("enable_activation_checkpointing"):
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model = peft.get_peft_model(model, peft.LoraConfig(**lora.peft()), autocast_adapter_dtype=False).get_base_model()
    if cfg.get("compile"):
        for layer in model.get_decoder().layers:
            layer.compile()
    return model.train(), lora


def mean_loss(model: Any, batch: Mapping[str, Tensor], ignore_index: int, offload: Any = None) -> Tensor:
    """Mean cross entropy of a batch's answer tokens, shape []; logits are made for these tokens only, in chunks.

    Args:
        batch: ``tokens`` and ``labels`` [b, s], padded on the right (causality keeps padding out), and ``input_pos``
            [b, s] where rows are packed.
    """
    with offload or nullcontext():
        states = model.get_decoder()(
            input_ids=batch["tokens"], position_ids=batch.get("input_pos"), use_cache=False
        ).last_hidden_state
    follows = batch["labels"][:, 1:]
    wanted = follows != ignore_index
    hidden, targets = states[:, :-1][wanted], follows[wanted]  # [n, d], [n]
    head = model.get_output_embeddings()

    def part(rows: Tensor, says: Tensor) -> Tensor:
        return F.cross_entropy(head(rows).float(), says, reduction="sum")

    if len(targets) <= CHUNK_ROWS:
        return part(hidden, targets) / len(targets)
    pieces = zip(hidden.split(CHUNK_ROWS), targets.split(CHUNK_ROWS), strict=True)
    losses = [checkpoint(part, rows, says, use_reentrant=False) for rows, says in pieces]
    return torch.stack(losses).sum() / len(targets)


def collate_packs(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Packs of ``torchtune.datasets.PackedDataset`` to a batch; their ``input_pos`` say where a row begins."""
    return {name: torch.stack([row[name] for row in rows]) for name in ("tokens", "labels", "input_pos")}


def _collate(cfg: Any) -> str:
    """The collate component: packed parts are for the packed way through torchtune's model, so they are padded here."""
    asked = str(cfg.get("collate_fn") or PLAIN)
    if asked == OWN_PACKS:
        say(f"collate_fn: {PLAIN} instead of {OWN_PACKS}, which is for torchtune's model")
        return PLAIN
    return asked


def _offloading(cfg: Any) -> Any:
    if not cfg.get("enable_activation_offloading"):
        return None
    from torchtune.training import OffloadActivations

    return OffloadActivations()


def _refuse(cfg: Any) -> None:
    """Settings that this backend would have to ignore.

    Raises:
        QuerywrightError: there are some; all of them at once.
    """
    wrong = [f"model.{key}" for key in cfg.model if key not in {"_component_"} | LORA | SHAPE | FASTER]
    wrong += [f"loss.{key}" for key in cfg.loss if key not in {"_component_"} | LOSS]
    wrong += ["profiler.enabled"] if cfg.get("profiler") and cfg.profiler.get("enabled") else []
    wrong += ["resume_from_checkpoint (it goes on by itself)"] if cfg.get("resume_from_checkpoint") else []
    wrong += [f"dtype={cfg.dtype}"] if cfg.dtype not in DTYPES else []
    wrong += ["collate_fn (padding has to be on the right)"] if "left_pad" in str(cfg.get("collate_fn")) else []
    if wrong:
        what = ", ".join(wrong)
        raise QuerywrightError(f"no meaning for backend peft: {what}", hint="leave it out, or backend=torchtune")


def _main(cfg: DictConfig) -> int:
    return main(cfg, "peft", lambda cfg, facts: run(job(cfg, facts)))


if __name__ == "__main__":
    from torchtune import config as _config

    sys.exit(_config.parse(_main)())
