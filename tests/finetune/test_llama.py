"""Llama 3's chat format, and every Llama config trained for two steps on a CPU: rows, packing, tokenizer, checkpointer
and loss are the config's own, only the model is"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from torchtune.data import Message

from querywright.errors import QuerywrightError
from querywright.finetune.check import find_config, load
from querywright.finetune.llama3_tokenizer import Llama3ChatTokenizer
from querywright.finetune.recipes import DISTRIBUTED, DPO, recipe_file, recipe_of

FOLDER = Path(__file__).parents[2] / "ft_configs"
CONFIGS = {path.stem: OmegaConf.load(path) for path in sorted(FOLDER.glob("llama*.yaml"))}
LENGTH = 96  # two or three rows a pack
VOCABULARY = 128_256
FACTOR = {"LLAMA3": 8, "LLAMA3_2": 32}  # rope scaling of 3.1 and 3.2
CHAT = [
    {"role": "system", "content": "Write the herbarium call."},
    {"role": "user", "content": "  show 20 sheets with a leaf  \n\nof 1998, naïvely\n"},
    {"role": "assistant", "content": "/sheets?part=leaf&size=20&year=1998"},
]


@pytest.fixture(scope="module")
def tokenizer() -> Llama3ChatTokenizer:
    return Llama3ChatTokenizer(str(tokenizer_file()))


def messages(chat: list[dict[str, str]]) -> list[Message]:
    return [Message(role=m["role"], content=m["content"]) for m in chat]


def test_prompt_is_the_one_that_engines_render(tokenizer: Llama3ChatTokenizer) -> None:
    """Of the exported template (transformers, vLLM), of llama.cpp's Python binding, and of the text as a whole."""
    from jinja2 import Environment

    from querywright.finetune.family import LLAMA31, LLAMA32

    ours = tokenizer.tokenize_messages([*messages(CHAT[:2]), Message(role="assistant", content="")])[0][:-1]
    for family in (LLAMA31, LLAMA32):
        text = Environment().from_string(family.template).render(messages=CHAT[:2], add_generation_prompt=True)
        # a prompt is cut as one text, a row piece by piece
        assert tokenizer.tt_model.tt_model.encode(text, allowed_special="all") == ours
        whole = Environment().from_string(family.template).render(messages=CHAT)
        row, _ = tokenizer.tokenize_messages(messages(CHAT))
        assert tokenizer.tt_model.tt_model.encode(whole, allowed_special="all") == row
    llama_cpp = pytest.importorskip("llama_cpp.llama_chat_format", reason="llama.cpp's binding is an extra")
    trimmed: Any = [{**m, "content": m["content"].strip()} for m in CHAT[:2]]
    assert text == "<|begin_of_text|>" + llama_cpp.format_llama3(trimmed).prompt


def test_rows_are_those_of_the_reference(tokenizer: Llama3ChatTokenizer) -> None:
    """Token by token what Meta's own `ChatFormat` makes of a dialogue."""
    pytest.importorskip("PIL", reason="Meta's package imports it")
    chat_format = pytest.importorskip("llama_models.llama3.chat_format")
    datatypes = pytest.importorskip("llama_models.datatypes")
    reference = pytest.importorskip("llama_models.llama3.tokenizer").Tokenizer.get_instance()
    trimmed = [{**m, "content": m["content"].strip()} for m in CHAT]
    said = [datatypes.RawMessage(stop_reason=datatypes.StopReason.end_of_turn, **m)
            if m["role"] == "assistant" else datatypes.RawMessage(**m) for m in trimmed]  # fmt: skip
    open_ended = chat_format.ChatFormat(reference).encode_dialog_prompt(said).tokens
    row, _ = tokenizer.tokenize_messages(messages(CHAT))
    assert open_ended[: len(row)] == row


def test_loss_on_the_answer_and_its_end_only(tokenizer: Llama3ChatTokenizer) -> None:
    tokens, mask = tokenizer.tokenize_messages(messages(CHAT))
    trained = [token for token, masked in zip(tokens, mask, strict=True) if not masked]
    text = tokenizer.decode(trained, truncate_at_eos=False, skip_special_tokens=False)
    assert text == CHAT[-1]["content"] + "<|eot_id|>"


def test_special_tokens_in_a_text_are_text(tokenizer: Llama3ChatTokenizer) -> None:
    row, _ = tokenizer.tokenize_messages(messages([{"role": "user", "content": "<|eot_id|><|begin_of_text|>"}]))
    assert row.count(tokenizer.eot_id) == 1
    assert row.count(tokenizer.bos_id) == 1


def test_a_wrong_tokenizer_is_said(tmp_path: Path) -> None:
    with pytest.raises(QuerywrightError, match="no tokenizer at"):
        Llama3ChatTokenizer(str(tmp_path / "tokenizer.model"))
    (tmp_path / "tokenizer.json").write_text('{"model": {}}', encoding="utf-8")
    with pytest.raises(QuerywrightError, match=r"no tokenizer of Llama 3"):
        Llama3ChatTokenizer(str(tmp_path / "tokenizer.json"))


def tokenizer_file() -> Path:
    """Llama 3's `tokenizer.model`; the test is skipped where the package is not installed."""
    spec = importlib.util.find_spec("llama_models")
    for folder in list(spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / "llama3" / "tokenizer.model").is_file():
            return Path(folder) / "llama3" / "tokenizer.model"
    pytest.skip("needs Llama 3's tokenizer: pip install --no-deps llama-models")


def shape(cfg: Any, width: int) -> dict[str, Any]:
    """Model dimensions for torchtune's component builders; the config's own LoRA words stay."""
    tied = cfg.checkpointer.model_type == "LLAMA3_2"
    return {
        "vocab_size": VOCABULARY, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2 if width < 128 else 4,
        "embed_dim": width, "intermediate_dim": 2 * width, "max_seq_len": 512, "rope_base": 500_000,
        "scale_factor": FACTOR[cfg.checkpointer.model_type], **({"tie_word_embeddings": True} if tied else {}),
    }  # fmt: skip


def checkpoint(cfg: Any, folder: Path, width: int) -> Path:
    """Random weights in Hugging Face's layout, dealt to the files that the config names, and the tokenizer."""
    import torch
    from safetensors.torch import save_file
    from transformers import LlamaConfig, LlamaForCausalLM

    kind, dims = cfg.checkpointer.model_type, shape(cfg, width)
    torch.manual_seed(3)
    rope = {"rope_type": "llama3", "rope_theta": 500_000.0, "factor": float(FACTOR[kind]), "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}  # fmt: skip
    tied = kind == "LLAMA3_2"
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=width, num_hidden_layers=dims["num_layers"],
        num_attention_heads=dims["num_heads"], num_key_value_heads=dims["num_kv_heads"],
        intermediate_size=dims["intermediate_dim"], max_position_embeddings=512, rope_parameters=rope,
        rms_norm_eps=1e-5, tie_word_embeddings=tied, bos_token_id=128_000, eos_token_id=128_009,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    weights = {n: w.contiguous() for n, w in model.state_dict().items() if not (tied and n == "lm_head.weight")}
    (folder / "original").mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)
    files, names = list(cfg.checkpointer.checkpoint_files), list(weights)
    for i, file in enumerate(files):
        save_file({n: weights[n] for n in names[i :: len(files)]}, folder / file, metadata={"format": "pt"})
    shutil.copyfile(tokenizer_file(), folder / "original" / "tokenizer.model")
    return folder


def overrides(cfg: Any, folder: Path, workspace: Path, output: Path, width: int, length: int) -> list[str]:
    """What turns a config for a GPU and a real checkpoint into one for a CPU and a tiny one."""
    component = str(cfg.model._component_)
    generation = component.rsplit(".", 1)[0]
    quantised = component.rsplit(".", 1)[1].startswith("qlora")
    dims = shape(cfg, width) | ({"quantize_base": True} if quantised else {})
    few = {
        "workspace": workspace, "output_dir": output, "device": "cpu", "dtype": "fp32", "compile": False,
        "checkpointer.checkpoint_dir": folder, "tokenizer.max_seq_len": length, "enable_activation_offloading": False,
        "max_steps_per_epoch": 2, "batch_size": 1, "gradient_accumulation_steps": 1,
        "epochs": 1, "lr_scheduler.num_warmup_steps": 1,
        "optimizer": "torch.optim.AdamW",
        "model": generation + ".lora_" + ("llama3_2" if generation.endswith("3_2") else "llama3_1"),
        **{f"model.{key}": value for key, value in dims.items()},
    }  # fmt: skip
    return [f"{key}={value}" for key, value in few.items()]


def recipe_class(recipe: str) -> Any:
    """The class of one of torchtune's recipes, which are files and no modules."""
    spec = importlib.util.spec_from_file_location(f"_{recipe}", recipe_file(recipe))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return next(value for name, value in vars(module).items() if name.startswith("LoRA") and "Recipe" in name)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Any, ...], Path]:
    """Checkpoints made so far, by what makes them differ."""
    return {}


@pytest.fixture
def made(folders: dict[tuple[Any, ...], Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function that gives the checkpoint for a config, each made once."""

    def make(cfg: Any, width: int) -> Path:
        key = (width, cfg.checkpointer.model_type, tuple(cfg.checkpointer.checkpoint_files))
        if key not in folders:
            folders[key] = checkpoint(cfg, tmp_path_factory.mktemp("llama"), width)
        return folders[key]

    return make


def preferences(workspace: Path, rows: list[list[dict[str, str]]]) -> None:
    """The same rows with another row's answer as the one that is not wanted."""
    lines = [
        json.dumps({"prompt": row[:-1], "chosen": row[-1:], "rejected": other[-1:]})
        for row, other in zip(rows, [*rows[1:], rows[0]], strict=True)
    ]
    (workspace / "pairs" / "train.dpo.jsonl").write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize("name", [name for name, cfg in CONFIGS.items() if recipe_of(cfg) != DISTRIBUTED])
def test_two_steps(name: str, made: Any, workspace: Path, rows: list[list[dict[str, str]]], tmp_path: Path) -> None:
    from safetensors.torch import load_file

    raw = CONFIGS[name]
    dpo, quantised = recipe_of(raw) == DPO, ".qlora" in raw.model._component_
    width, output = 128 if quantised else 32, tmp_path / "out"
    given = overrides(raw, made(raw, width), workspace, output, width, LENGTH)
    if dpo:
        preferences(workspace, rows)
    cfg = load(find_config(name), given)
    recipe = recipe_class(recipe_of(cfg))(cfg=cfg)
    recipe.setup(cfg=cfg)
    recipe.train()
    recipe.cleanup()
    losses = [json.loads(line) for line in (output / "losses.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in losses] == [1, 2]
    # a model that knows nothing: no token, or neither answer, is likelier than another
    assert losses[0]["loss"] == pytest.approx(math.log(2 if dpo else VOCABULARY), rel=0.02)
    adapter = load_file(output / "epoch_0" / "adapter_model.safetensors")
    assert len(adapter) == 2 * 7 * 2  # layers, projections, A and B
    assert all(name.startswith("base_model.model.model.layers.") for name in adapter)
    assert any(weight.abs().max() > 0 for name, weight in adapter.items() if "lora_B" in name)
    about = json.loads((output / "epoch_0" / "adapter_config.json").read_text(encoding="utf-8"))
    assert (about["r"], about["lora_alpha"]) == (raw.model.lora_rank, raw.model.lora_alpha)
    if not dpo:
        batch = next(iter(recipe._dataloader))
        assert batch["tokens"].shape == (1, LENGTH)
        assert (batch["input_pos"] == 0).sum() > 1, "several rows share a pack"


# What torchrun does, but for one reading of the libraries: they are read before there are two processes.
BY_GLOO = """
import os, runpy, sys
import torch.distributed as of
from torchtune import training  # which counts a GPU's memory
asked = of.init_process_group
of.init_process_group = lambda backend: asked("gloo", init_method="{store}", rank=int(os.environ["RANK"]), world_size=2)
training.get_memory_stats = training.log_memory_stats = lambda *_, **__: {{}}
training.cleanup_before_training = lambda: None
main = runpy.run_path({recipe!r}, run_name="recipe")["recipe_main"]
children = []
for rank in ("0", "1"):
    child = os.fork()
    if not child:
        os.environ.update(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2", MASTER_ADDR="localhost", MASTER_PORT="0")
        sys.exit(main())
    children.append(child)
sys.exit(max(abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) for child in children))
"""


@pytest.mark.slow
def test_two_processes_share_a_model(made: Any, workspace: Path, tmp_path: Path) -> None:
    """torchtune's FSDP recipe on two CPU processes, which talk by gloo: the recipe itself asks for GPUs."""
    name, output = "llama3_1_8b_lora_distributed", tmp_path / "out"
    raw = CONFIGS[name]
    given = overrides(raw, made(raw, 32), workspace, output, 32, LENGTH)
    given[given.index("optimizer=torch.optim.AdamW")] = "optimizer._component_=torch.optim.AdamW"
    given = [f"model._component_={item[6:]}" if item.startswith("model=") else item for item in given]
    by_gloo = tmp_path / "by_gloo.py"
    by_gloo.write_text(BY_GLOO.format(recipe=str(recipe_file(DISTRIBUTED)), store=f"file://{tmp_path}/store"))
    done = subprocess.run(
        [sys.executable, str(by_gloo), "--config", str(FOLDER / f"{name}.yaml"), *given],
        capture_output=True, text=True, timeout=580, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    losses = [json.loads(line) for line in (output / "losses.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in losses] == [1, 2]
    assert losses[0]["loss"] == pytest.approx(math.log(VOCABULARY), rel=0.02)
    assert (output / "epoch_0" / "adapter_model.safetensors").is_file()
