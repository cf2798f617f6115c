"""A base checkpoint and an adapter as one checkpoint, shard by shard: what is in memory at once is one shard."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from querywright.artefacts import MANIFEST, write_json, write_text
from querywright.errors import QuerywrightError, need
from querywright.finetune.family import DOWNLOAD, Family
from querywright.progress import track

INDEX = "model.safetensors.index.json"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


def shards(base: Path) -> dict[str, list[str]]:
    """File -> names of its weights, of a checkpoint of one file or many.

    Raises:
        QuerywrightError: there is none, or a shard is missing or cut short.
    """
    single, index = base / "model.safetensors", base / INDEX
    listed: dict[str, str] = {}
    if index.is_file():
        try:
            listed = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
        except (ValueError, KeyError, TypeError) as error:
            raise QuerywrightError(f"{index} is damaged", hint=f"download the base again: {DOWNLOAD}") from error
    elif not single.is_file():
        raise QuerywrightError(f"{base} holds no weights: no model.safetensors, no {INDEX}", hint=DOWNLOAD)
    files = sorted(set(listed.values())) or [single.name]
    missing = [name for name in files if not (base / name).is_file()]
    if missing:
        raise QuerywrightError(
            f"{base} is not whole: {', '.join(missing[:3])} missing ({len(missing)} of {len(files)} files)",
            hint=f"the same command fetches what is missing: {DOWNLOAD}",
        )
    found = {name: list(headers(base / name)) for name in files}
    held = {key for keys in found.values() for key in keys}
    lost = sorted(set(listed) - held)
    if lost:
        raise QuerywrightError(f"{base} is not whole: {lost[0]} is in no file", hint=f"download it again: {DOWNLOAD}")
    return found


def headers(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Weight -> (type, shape) of a safetensors file; no weight is read.

    Raises:
        QuerywrightError: it is damaged, or cut short.
    """
    safetensors: Any = need("safetensors", extra="train")
    try:
        with safetensors.safe_open(path, framework="np") as file:
            parts = ((name, file.get_slice(name)) for name in file.keys())  # noqa: SIM118 - it is no dict
            return {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in parts}
    except (safetensors.SafetensorError, OSError) as error:
        raise QuerywrightError(
            f"{path} is damaged or cut short: {error}", hint=f"fetch it again: {DOWNLOAD}"
        ) from error


def shapes(base: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Weight -> (type, shape) of a whole checkpoint; see `shards`."""
    return {name: told for file in shards(base) for name, told in headers(base / file).items()}


def fits(base: Path, added: Mapping[str, Any]) -> None:
    """Refuse an adapter that is not of this base: a weight that it does not have, or of another shape.

    Raises:
        QuerywrightError: it does not fit.
    """
    known = shapes(base)
    wanted = getattr(added, "shapes", None) or {name: delta.shape for name, delta in added.items()}
    for name, shape in wanted.items():
        if name not in known or known[name][1] != tuple(shape):
            there = known[name][1] if name in known else "no such weight"
            raise QuerywrightError(
                f"the adapter does not fit {base}: {name} is {tuple(shape)}, there {there}",
                hint="export with the base that it was trained on: checkpointer.checkpoint_dir=FOLDER",
            )


def weights(
    base: Path, added: Mapping[str, Any], names: list[str], file: str, *, wide: bool = False
) -> Iterator[tuple[str, Any]]:
    """Weights of one file with what the adapter adds, as torch tensors of the base's type; the sum is made in float32,
    and stays so where `wide` is set."""
    torch: Any = need("torch", extra="train")
    safetensors: Any = need("safetensors", extra="train")
    with safetensors.safe_open(base / file, framework="pt") as source:
        for name in names:
            weight = source.get_tensor(name)
            if name in added:
                summed = weight.float() + torch.from_numpy(added[name])
                weight = summed if wide else summed.to(weight.dtype)
            yield name, weight.float() if wide else weight


def merge(base: Path, added: Mapping[str, Any], out: Path, family: Family | None = None) -> None:
    """Base plus an adapter's deltas as one checkpoint in ``out``, of the base's type and cut into the same files, with
    tokenizer, chat template and generation settings; nothing of the adapter beside it.

    (torchtune's own merged folder holds ``adapter_config.json`` too; transformers then adds the adapter again.)

    Raises:
        QuerywrightError: the adapter does not fit, the base is not whole or has no tokenizer.
    """
    need("torch", extra="train")
    from safetensors.torch import save_file

    fits(base, added)
    files = shards(base)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        for path in sorted(base.iterdir()):
            wanted = path.is_file() and path.suffix in (".json", ".jinja") and path.name != MANIFEST
            if wanted and not path.name.startswith("adapter"):
                shutil.copy2(path, part / path.name)
        if family is not None:
            complete(base, part, family)
        for file, names in track(files.items(), f"merging into {out.name}/", total=len(files)):
            save_file(dict(weights(base, added, names, file)), part / file, metadata={"format": "pt"})
            os.chmod(part / file, 0o644)
        shutil.rmtree(out, ignore_errors=True)
        os.replace(part, out)
    except OSError as error:
        raise QuerywrightError(f"could not write {out}: {error.strerror or error}", hint="free some space") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def made_by(checkpoint: Path) -> dict[str, Any] | None:
    """The manifest of what merged a checkpoint here, an export (`merged/`) or a merge alone (`checkpoint/`); None of
    any other checkpoint."""
    try:
        made = json.loads((checkpoint.parent / MANIFEST).read_text(encoding="utf-8"))
        names = {"run": "merged", "merge": "checkpoint"}
        whole = checkpoint.name == names[made["config"]["source"]] and bool(made["config"]["adapter_sha256"])
        return dict(made) if whole and isinstance(made["files"], dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def complete(base: Path, folder: Path, family: Family) -> None:
    """Put what a server needs besides weights into ``folder``: tokenizer, the chat template that was trained with, and
    generation settings whose end tokens are those of the family.

    Raises:
        QuerywrightError: the base has no tokenizer, or one of another family.
    """
    ids = stop_ids(base, family)
    for name in TOKENIZER:
        if (base / name).is_file():
            shutil.copy2(base / name, folder / name)
    write_text(folder / "chat_template.jinja", family.template)
    settings = folder / "tokenizer_config.json"
    told = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    told.pop("chat_template", None)  # the file beside it counts
    begin = {"bos_token": family.begin} if family.begin else {}
    write_json(settings, {**told, **begin, "eos_token": family.end})
    generation = {"eos_token_id": ids if len(ids) > 1 else ids[0], "pad_token_id": ids[0], "do_sample": False}
    write_json(folder / "generation_config.json", generation)


def stop_ids(base: Path, family: Family) -> list[int]:
    """Ids of the tokens that end an answer.

    Raises:
        QuerywrightError: the base has no tokenizer.json, or one without the tokens of its family.
    """
    from querywright.finetune.vocabulary import read_vocabulary

    known = read_vocabulary(base).added
    if family.end not in known:
        raise QuerywrightError(
            f"{base}/tokenizer.json has no {family.end}: it is not the tokenizer of {family.human}",
            hint=f"download base and tokenizer together: {DOWNLOAD}",
        )
    return [known[stop] for stop in family.stops if stop in known]
