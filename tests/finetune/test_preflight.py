"""What would end a training run is said before it, in a sentence: no traceback, nothing left behind."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

from querywright import cli
from querywright.errors import QuerywrightError
from querywright.finetune import launch, preflight
from querywright.finetune.preflight_checkpoint import INDEX, checkpoint_problems, damage, download
from tests.finetune.tiny import tiny_checkpoint, tiny_config

Change = Callable[[SimpleNamespace], list[str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def place(tmp_path: Path, made: Path, workspace: Path) -> SimpleNamespace:
    """A checkpoint, rows and a config that train, to be spoiled."""
    checkpoint, output = tmp_path / "checkpoint", tmp_path / "out" / "run"
    shutil.copytree(made, checkpoint)
    source, config = workspace / "pairs" / "train.chat.jsonl", tmp_path / "mine.yaml"
    OmegaConf.save(tiny_config(checkpoint, source, output), config)
    return SimpleNamespace(checkpoint=checkpoint, output=output, source=source, config=config, tmp=tmp_path)


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> tuple[int, str]:
    """The command line's own entry point, in this process."""
    monkeypatch.setattr(sys, "argv", ["querywright", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0), capsys.readouterr().err


def write(path: Path, data: bytes | str) -> list[str]:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return []


def cut(path: Path, n: int) -> list[str]:
    return write(path, path.read_bytes()[:n])


def rewritten(path: Path, **keys: object) -> list[str]:
    return write(path, json.dumps({**json.loads(path.read_text(encoding="utf-8")), **keys}))


def other_ids(p: SimpleNamespace) -> list[str]:
    """A tokenizer of the same kind, whose letters have other numbers."""
    told = json.loads((p.checkpoint / "tokenizer.json").read_text(encoding="utf-8"))
    letters = sorted(told["model"]["vocab"])
    told["model"]["vocab"] = {letter: i for i, letter in enumerate(reversed(letters))}
    return [*write(p.tmp / "other.json", json.dumps(told)), f"tokenizer.path={p.tmp / 'other.json'}"]


def more_ids(p: SimpleNamespace) -> list[str]:
    """A tokenizer with more tokens than the embedding has rows."""
    told = json.loads((p.checkpoint / "tokenizer.json").read_text(encoding="utf-8"))
    told["model"]["vocab"] |= {f"word{i}": 256 + i for i in range(644)}
    for i, mark in enumerate(told["added_tokens"]):
        mark["id"] = 900 + i
    return [*write(p.tmp / "other.json", json.dumps(told)), f"tokenizer.path={p.tmp / 'other.json'}"]


def no_marks(p: SimpleNamespace) -> list[str]:
    text = (p.checkpoint / "tokenizer.json").read_text(encoding="utf-8")
    return [*write(p.tmp / "other.json", text.replace("im_end", "end")), f"tokenizer.path={p.tmp / 'other.json'}"]


def long_rows(p: SimpleNamespace, *more: str) -> list[str]:
    return ["tokenizer.max_seq_len=40", *more]


BAD: dict[str, tuple[Change, tuple[str, ...]]] = {
    "no checkpoint": (
        lambda p: [
            f"checkpointer.checkpoint_dir={p.tmp / 'none'}",
            f"tokenizer.path={p.checkpoint / 'tokenizer.json'}",
        ],
        ("no checkpoint at", "tune download MODEL --output-dir"),
    ),
    "no checkpoint, and no tokenizer of it": (
        lambda p: shutil.rmtree(p.checkpoint) or [],
        ("no checkpoint at", "tune download MODEL --output-dir"),
    ),
    "a file missing": (
        lambda p: (p.checkpoint / "model.safetensors").unlink() or [],
        ("lacks model.safetensors of the 1 checkpoint_files", "tune download"),
    ),
    "a file cut short": (
        lambda p: cut(p.checkpoint / "model.safetensors", 9000),
        ("model.safetensors is cut short: 9,000 of", "remove it, then tune download"),
    ),
    "a file cut in its header": (lambda p: cut(p.checkpoint / "model.safetensors", 40), ("is cut short",)),
    "an empty file": (lambda p: cut(p.checkpoint / "model.safetensors", 0), ("is empty",)),
    "a pointer of Git LFS": (
        lambda p: write(
            p.checkpoint / "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
        ),
        ("is a pointer of Git LFS", "git lfs pull"),
    ),
    "a shard that the config leaves out": (
        lambda p: write(p.checkpoint / INDEX, json.dumps({"weight_map": {"a": "model.safetensors", "b": "more.st"}})),
        ("leaves out more.st",),
    ),
    "no config.json": (
        lambda p: (p.checkpoint / "config.json").unlink() or [],
        ("config.json is missing", "tune download"),
    ),
    "config.json damaged": (lambda p: write(p.checkpoint / "config.json", "{"), ("config.json is damaged",)),
    "a damaged adapter to start from": (
        lambda p: [
            *write(p.tmp / "adapter_model.safetensors", b"\xff" * 99),
            f"start_adapter={p.tmp}",
        ],
        ("adapter_model.safetensors is cut short, or no safetensors file", "start_adapter=ANOTHER"),
    ),
    "another model's checkpoint": (
        lambda p: rewritten(p.checkpoint / "config.json", num_hidden_layers=16, hidden_size=2048),
        ("is no checkpoint of", "num_hidden_layers 16 and not 3", "hidden_size 2048 and not 64"),
    ),
    "no tokenizer": (lambda p: [f"tokenizer.path={p.tmp / 'none.json'}"], ("no tokenizer at",)),
    "a tokenizer that is none": (
        lambda p: [*write(p.tmp / "x.json", "{}"), f"tokenizer.path={p.tmp / 'x.json'}"],
        ("is no tokenizer",),
    ),
    "a tokenizer without the chat format's marks": (no_marks, ("has no <|im_start|> or <|im_end|> token",)),
    "a tokenizer with other ids": (other_ids, ("is not the one of", "gets other ids than in its tokenizer.json")),
    "a tokenizer with more ids": (more_ids, ("writes token 901, and the embedding of", "has 320 rows")),
    "a context beyond the model's": (
        lambda p: ["tokenizer.max_seq_len=512"],
        ("tokenizer.max_seq_len=512 is more than the 256 tokens", "tokenizer.max_seq_len=256"),
    ),
    "no rows": (lambda p: [f"dataset.source={p.tmp / 'none'}"], ("no training rows at", "querywright pairs split")),
    "an empty split": (lambda p: write(p.source, "\n"), ("holds no rows",)),
    "rows that are not UTF-8": (
        lambda p: write(p.source, '{"messages": [{"role": "user", "content": "café"}]}'.encode("latin-1")),
        ("train.chat.jsonl:1: not a chat row: it is not UTF-8 text",),
    ),
    "an empty answer": (
        lambda p: write(p.source, '{"messages": [{"role": "assistant", "content": ""}]}'),
        ("its answer is empty",),
    ),
    "all rows too long": (long_rows, ("48 of 48 rows of", "longer than tokenizer.max_seq_len=40", "none is left")),
    "some rows too long, which is an error": (
        lambda p: ["tokenizer.max_seq_len=120", "dataset.too_long=error"],
        ("of 48 rows of", "dataset.too_long=drop or truncate"),
    ),
    "too few rows for a step": (
        lambda p: ["batch_size=32", "gradient_accumulation_steps=2"],
        ("48 rows are too few for one step of 32 x 2 rows", "batch_size=1"),
    ),
    "no GPU": (lambda p: ["device=cuda"], ("device=cuda, and torch sees no GPU here", "device=cpu")),
    "no such device": (lambda p: ["device=abacus"], ("device=abacus is none that is known",)),
    "an output that is a file": (
        lambda p: [*write(p.tmp / "file", "x"), f"output_dir={p.tmp / 'file' / 'run'}"],
        ("file is a file", "output_dir=ANOTHER"),
    ),
    "a logger that nobody has": (
        lambda p: ["metric_logger=querywright.finetune.loggers.Several", "metric_logger.also=[tensorbord]"],
        ("no logger is called 'tensorbord'; did you mean 'tensorboard'?",),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_a_sentence(
    case: str, place: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    change, said = BAD[case]
    if case == "no GPU":
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(launch, "_wait_for", lambda *given: pytest.fail("it was started"))
    overrides = change(place)
    code, err = run(capsys, monkeypatch, "finetune", place.config, *overrides)
    assert code == 2, err
    for part in said:
        assert part in err
    assert "Traceback" not in err
    assert err.count("\n  - ") == 0, f"one mistake, one problem: {err}"
    assert not place.output.exists()
    assert not place.output.parent.exists()


def test_all_problems_at_once(
    place: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(place.source, "")
    cut(place.checkpoint / "model.safetensors", 100)
    overrides = ["device=abacus", "tokenizer.max_seq_len=999", f"output_dir={place.config}/run"]
    code, err = run(capsys, monkeypatch, "finetune", place.config, *overrides)
    assert code == 2
    assert "error: 5 problems before training\n" in err
    assert err.count("\n    try: ") == 5
    assert err.endswith("  try: correct them; nothing was run\n")


def test_the_same_as_a_process(place: SimpleNamespace) -> None:
    cut(place.checkpoint / "model.safetensors", 9000)
    command = [sys.executable, "-m", "querywright", "finetune", str(place.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "is cut short" in done.stderr
    assert "Traceback" not in done.stderr
    assert not place.output.exists()


def test_what_is_whole_passes(place: SimpleNamespace) -> None:
    cfg = OmegaConf.load(place.config)
    assert preflight.check(cfg) == 48
    cfg.tokenizer.max_seq_len = 120  # some rows are longer: left out, which is said when they are read
    assert preflight.check(cfg) == 48
    assert not place.output.exists(), "a look leaves nothing"


def test_preferences_are_looked_at_too(place: SimpleNamespace) -> None:
    cfg = OmegaConf.load(place.config)
    row = {"prompt": "show the sheets", "chosen": "/sheets", "rejected": "/sheet " * 40}
    write(place.source, json.dumps(row))
    cfg.dataset = {
        "_component_": "querywright.finetune.preferences.preference_rows",
        "source": str(place.source),
    }
    cfg.recipe, cfg.batch_size = "lora_dpo_single_device", 1
    with pytest.raises(QuerywrightError, match=r"1 of 1 rows .* are longer than tokenizer.max_seq_len=256"):
        preflight.check(cfg)
    write(place.source, json.dumps({**row, "rejected": "/sheet"}))
    assert preflight.check(cfg) == 1
    cfg.dataset = {"_component_": "torchtune.datasets.chat_dataset", "source": "somewhere"}
    assert preflight.check(cfg) is None, "somebody's own dataset"


def test_too_little_memory_is_the_planner_s_message(place: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = OmegaConf.load(place.config)
    monkeypatch.setattr("querywright.finetune.plan_device.ram_available", lambda: 10_000_000)
    with pytest.raises(QuerywrightError, match=r"training needs about .* GB .* free") as caught:
        preflight.check(cfg)
    assert "check_memory=false" in caught.value.hint or "a smaller model" in caught.value.hint
    cfg.check_memory = False
    assert preflight.check(cfg) == 48


def test_too_little_disk(place: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = OmegaConf.load(place.config)
    assert preflight.disk_bytes(cfg) > 0
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(QuerywrightError, match="checkpoints need about"):
        preflight.check(cfg)


def test_a_gpu_without_bf16(place: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = OmegaConf.merge(OmegaConf.load(place.config), {"device": "cuda:1", "dtype": "bf16", "check_memory": False})
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(QuerywrightError, match="device=cuda:1, and there are 1 GPUs"):
        preflight.check(cfg)
    cfg.device = "cuda"
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "Tesla T4")
    with pytest.raises(QuerywrightError, match="Tesla T4 has no bf16") as caught:
        preflight.check(cfg)
    assert "dtype=fp32" in caught.value.hint


def test_a_whole_file_is_whole(made: Path, tmp_path: Path) -> None:
    assert damage(made / "model.safetensors") == ""
    data = (made / "model.safetensors").read_bytes()
    for text, said in ((data[:-1], "is cut short"), (data + b"x", "damaged end"), (b"\xff" * 64, "no safetensors")):
        (tmp_path / "x.safetensors").write_bytes(text)
        assert said in damage(tmp_path / "x.safetensors")


def test_files_named_by_a_pattern_are_looked_for(made: Path) -> None:
    node = {"filename_format": "model-{}-of-{}.safetensors", "max_filename": "00002"}
    cfg: Any = OmegaConf.create(
        {
            "model": {"_component_": "torchtune.models.llama3_2.lora_llama3_2_3b"},
            "checkpointer": {
                "_component_": "torchtune.training.FullModelMetaCheckpointer",
                "checkpoint_dir": str(made),
                "checkpoint_files": node,
            },
        }
    )
    found = [what for what, _ in checkpoint_problems(cfg)]
    assert "model-00001-of-00002.safetensors, model-00002-of-00002.safetensors of the 2 checkpoint_files" in found[0]
    assert download(cfg).startswith("tune download meta-llama/Llama-3.2-3B-Instruct --output-dir ")


def test_llamas_tokenizer_with_another_checkpoint(place: SimpleNamespace) -> None:
    spec = importlib.util.find_spec("llama_models")
    if spec is None:
        pytest.skip("Llama 3's tokenizer is not here: pip install llama-models")
    path = Path(str(spec.origin)).parent / "llama3" / "tokenizer.model"
    cfg = OmegaConf.load(place.config)
    cfg.tokenizer = {
        "_component_": "querywright.finetune.llama3_tokenizer.Llama3ChatTokenizer",
        "path": str(path),
        "max_seq_len": 256,
    }
    with pytest.raises(QuerywrightError, match=r"writes token 128,\d+, and the embedding of .* has 320 rows"):
        preflight.check(cfg)
    rewritten(place.checkpoint / "config.json", vocab_size=128256)
    cfg.model.vocab_size = 128256
    with pytest.raises(QuerywrightError, match="is not the one of"):
        preflight.check(cfg)


@pytest.mark.slow
def test_the_small_base_is_unpacked_first(place: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[Path] = []
    monkeypatch.setattr("querywright.finetune.base.ensure_base", unpacked.append)
    cfg = OmegaConf.load(place.config)
    cfg.checkpointer = {
        "_component_": "querywright.finetune.base.smollm2_checkpointer",
        "checkpoint_dir": str(place.tmp / "base"),
        "output_dir": "x",
    }
    with pytest.raises(QuerywrightError):
        preflight.check(cfg)
    assert unpacked == [place.tmp / "base"]
    cfg.recipe = "lora_dpo_single_device"  # starts from what was tuned: the base does not stand in for it
    with pytest.raises(QuerywrightError, match="no checkpoint at") as error:
        preflight.check(cfg)
    assert "export general --out" in f"{error.value} {error.value.hint}"
    assert len(unpacked) == 1
