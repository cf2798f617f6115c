"""GGUF files of the tuned model: the packaged base's file with the adapter added to its weights.

Tokenizer and settings are copied from the base's GGUF, so they cannot drift from what llama.cpp expects; weights
change, and the chat template is the one that was trained with. Needs the `gguf` package, neither torch nor llama.cpp's
converter.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from querywright.errors import QuerywrightError, need
from querywright.progress import track

if TYPE_CHECKING:
    import numpy as np

KINDS = {"q8_0": ("Q8_0", "MOSTLY_Q8_0"), "f16": ("F16", "MOSTLY_F16")}  # weight type, file type


def interleave(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of q or k from Hugging Face's order (halves of a head) to llama.cpp's (pairs), [heads * d, in]."""
    rows, width = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def write_gguf(
    base: Path, deltas: Mapping[str, np.ndarray], targets: dict[str, Path], name: str, *, template: str
) -> None:
    """Write ``base`` plus ``deltas`` (checkpoint names, [out, in]) to each target, keyed by kind; 10 to 30 s.

    Raises:
        QuerywrightError: unknown kind, a delta that no tensor of the base takes, or a shape that does not fit.
    """
    gguf = need("gguf", extra="llama")
    unknown = [kind for kind in targets if kind not in KINDS]
    if unknown:
        raise QuerywrightError(f"unknown GGUF kind {unknown[0]!r}", hint=f"one of: {', '.join(KINDS)}")
    reader = gguf.GGUFReader(base)
    heads = {
        "attn_q": reader.fields["llama.attention.head_count"].contents(),
        "attn_k": reader.fields["llama.attention.head_count_kv"].contents(),
    }
    blocks = reader.fields["llama.block_count"].contents()
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, blocks)
    added = {names.get_name(key, try_suffixes=(".weight",)): key for key in deltas}
    sizes = getattr(deltas, "shapes", None) or {key: delta.shape for key, delta in deltas.items()}
    shapes = {tensor.name: tuple(int(n) for n in reversed(tensor.shape)) for tensor in reader.tensors}
    for tensor, key in added.items():
        if shapes.get(tensor) != sizes[key]:
            problem = f"{tensor or key} is {sizes[key]}, there {shapes.get(tensor, 'unknown')}"
            raise QuerywrightError(f"the adapter does not fit {base.name}: {problem}", hint="train it on this base")
    parts = {kind: path.with_name(f".{path.name}.{os.getpid()}.part") for kind, path in targets.items()}
    try:
        writers = {kind: _writer(gguf, part, reader, name, kind, template) for kind, part in parts.items()}
        for tensor in track(reader.tensors, f"writing {', '.join(p.name for p in targets.values())}"):
            data = gguf.dequantize(tensor.data, tensor.tensor_type)
            if tensor.name in added:
                part_of, delta = tensor.name.split(".")[2], deltas[added[tensor.name]]
                data = data + (interleave(delta, heads[part_of]) if part_of in heads else delta)
            for kind, writer in writers.items():
                _add(gguf, writer, tensor.name, data, kind)
        for kind, writer in writers.items():
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            os.replace(parts[kind], targets[kind])
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _writer(gguf: Any, path: Path, reader: Any, name: str, kind: str, template: str) -> Any:
    """A writer with the base's settings, the new model's name and the chat template."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, "llama")
    replaced = {"general.architecture", "general.name", "general.finetune", "general.file_type"}
    replaced |= {"general.quantization_version", "tokenizer.chat_template"}
    for key, field in reader.fields.items():
        if key not in replaced and not key.startswith("GGUF."):
            kinds = field.types
            writer.add_key_value(key, field.contents(), kinds[0], sub_type=kinds[-1] if len(kinds) > 1 else None)
    writer.add_name(name)
    writer.add_chat_template(template)
    writer.add_file_type(gguf.LlamaFileType[KINDS[kind][1]])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    return writer


def _add(gguf: Any, writer: Any, name: str, data: np.ndarray, kind: str) -> None:
    """Queue one tensor; vectors stay float32, as llama.cpp's own converter keeps them."""
    if data.ndim == 1:
        writer.add_tensor(name, data.astype("float32"))
        return
    weight_type = gguf.GGMLQuantizationType[KINDS[kind][0]]
    writer.add_tensor(name, gguf.quantize(data, weight_type), raw_dtype=weight_type)
