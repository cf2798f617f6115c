"""What would go wrong minutes into a training run, looked for in the seconds before it: everything at once.

Each problem is a sentence with what to do. Nothing is written, and no weight is loaded; the small base is unpacked
where it is not there yet. What a config's keys say is checked before, in :mod:`querywright.finetune.check`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError, need
from querywright.finetune.fit import uncut
from querywright.finetune.preflight_checkpoint import Problem, checkpoint_problems, tokenizer_problems

MARKS = 16  # tokens around a message, at most, in the chat formats that are known here
LIBRARIES = {
    "TensorBoardLogger": "tensorboard",
    "MLFlowLogger": "mlflow",
    "WandBLogger": "wandb",
    "CometLogger": "comet_ml",
}


def check(cfg: Any) -> int | None:
    """Look at everything that a checked, resolved config needs.

    Returns:
        how many rows there are to train on; None where the dataset is not one of ours.

    Raises:
        QuerywrightError: with all problems, a line each.
    """
    found: list[Problem] = [*_output(cfg), *_device(cfg), *_loggers(cfg), *checkpoint_problems(cfg)]
    tokenizer = None
    if not _comes_with_what_is_missing(cfg):
        try:
            from torchtune import config

            tokenizer = config.instantiate(cfg.tokenizer)
            found += tokenizer_problems(cfg, tokenizer)
        except QuerywrightError as error:
            found.append((str(error), error.hint))
        except Exception as error:  # whatever somebody's own tokenizer raises
            told = str(error.__cause__ or error).splitlines() or [type(error).__name__]
            found.append((f"the tokenizer does not load: {told[0][:200]}", "see tokenizer.path"))
    rows, texts = None, _texts(cfg)
    try:
        lengths = list(texts) if texts is not None else None
        if lengths is not None:
            rows = len(lengths)
            found += _row_problems(cfg, tokenizer, lengths)
    except QuerywrightError as error:
        found.append((str(error), error.hint))
    if not found:  # a plan for a model that is not there says nothing
        found += _memory(cfg)
    if not found:
        return rows
    if len(found) == 1:
        raise QuerywrightError(found[0][0], hint=found[0][1])
    lines = [f"  - {what}" + (f"\n    try: {hint}" if hint else "") for what, hint in dict(found).items()]
    raise QuerywrightError(
        f"{len(lines)} problems before training\n" + "\n".join(lines), hint="correct them; nothing was run"
    )


def _comes_with_what_is_missing(cfg: Any) -> bool:
    """Whether the tokenizer is of a checkpoint that is not there: one thing to fetch, one problem."""
    folder = Path(str(cfg.checkpointer.checkpoint_dir))
    return not folder.is_dir() and Path(str(cfg.tokenizer.get("path"))).is_relative_to(folder)


def _output(cfg: Any) -> Iterator[Problem]:
    output = Path(str(cfg.output_dir))
    there = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not there.is_dir():
        yield f"output_dir {output}: {there} is a file", "output_dir=ANOTHER/FOLDER"
    elif not os.access(there, os.W_OK | os.X_OK):
        yield f"output_dir {output} is not writable", "output_dir=ANOTHER/FOLDER"
    elif (free := shutil.disk_usage(there).free) < (wanted := disk_bytes(cfg)):
        what = f"checkpoints need about {wanted / 1e9:.1f} GB, and {there} has {free / 1e9:.1f} GB free"
        yield what, "free some space, or output_dir=ANOTHER/DISK"


def disk_bytes(cfg: Any) -> int:
    """Bytes that a run writes at most: trained weights and two moments in 32 bit, once more while they are replaced; 0
    for a model that is not known."""
    from querywright.finetune.memory import lora_parameters
    from querywright.finetune.plan_shapes import setup_of, shape_of

    try:
        return 2 * 12 * lora_parameters(shape_of(cfg.model), setup_of(cfg))
    except QuerywrightError:
        return 0


def _device(cfg: Any) -> Iterator[Problem]:
    torch = need("torch", extra="train")
    device = str(cfg.device)
    small = "device=cpu, with a config for the CPU such as smollm2_135m_lora_cpu"
    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            yield f"device={device}, and torch sees no GPU here", f"{small}; or a driver and a torch built for CUDA"
            return
        index, n = device.partition(":")[2], torch.cuda.device_count()
        if index.isdigit() and int(index) >= n:
            yield f"device={device}, and there are {n} GPUs: 0 to {n - 1}", "device=cuda"
        elif cfg.get("dtype") == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
            yield f"{torch.cuda.get_device_name()} has no bf16, which dtype asks for", "dtype=fp32, or a newer GPU"
    elif device.startswith("mps") and not torch.backends.mps.is_available():
        yield f"device={device}, and torch sees no Apple GPU here", small
    elif device.split(":")[0] not in ("cpu", "mps", "xpu", "npu"):
        yield f"device={device} is none that is known", "device=cpu or device=cuda"


def _loggers(cfg: Any) -> Iterator[Problem]:
    from querywright.finetune.loggers import check_installed, unknown

    node = cfg.get("metric_logger") or {}
    library = LIBRARIES.get(str(node.get("_component_")).rpartition(".")[2])
    if library and find_spec(library) is None:
        yield f"metric_logger needs the package {library!r}, which is not installed", f"pip install {library}"
    also = node.get("also") or []
    also = [also] if isinstance(also, str) else list(also)
    for what in unknown(also):
        yield what, ""
    try:
        check_installed(also)
    except QuerywrightError as error:
        yield str(error), error.hint


def _texts(cfg: Any) -> Iterator[list[list[dict[str, str]]]] | None:
    """The conversations of each row, one or, for preferences, two; None where the dataset is none of ours."""
    node = cfg.get("dataset")
    name = str(node.get("_component_", "")) if hasattr(node, "keys") else ""
    if name == "querywright.finetune.data.chat_rows":
        from querywright.finetune.chat_rows import read_rows

        return ([row] for row in _read(read_rows, node.source))
    if name == "querywright.finetune.preferences.preference_rows":
        from querywright.finetune.preferences import read_preferences

        return (
            [[*row.prompt, *row.chosen], [*row.prompt, *row.rejected]] for row in _read(read_preferences, node.source)
        )
    return None


def _read(reader: Any, source: str) -> Iterator[Any]:
    yield from reader(Path(source))


def _row_problems(cfg: Any, tokenizer: Any, rows: list[list[list[dict[str, str]]]]) -> Iterator[Problem]:
    each = int(cfg.batch_size) * int(cfg.get("gradient_accumulation_steps") or 1)
    if not cfg.dataset.get("packed") and len(rows) < each:
        yield (
            f"{len(rows)} rows are too few for one step of {cfg.batch_size} x {each // int(cfg.batch_size)} rows",
            "batch_size=1 gradient_accumulation_steps=1, or more rows",
        )
    if not getattr(tokenizer, "max_seq_len", None):
        return
    must_all = cfg.dataset.get("too_long") == "error"
    long, longest = 0, 0
    with uncut(tokenizer) as limit:
        assert limit is not None
        for row in rows:
            # a token is a byte at least: most rows need no tokenizer to be short enough
            if all(sum(len(m["content"].encode()) + MARKS for m in chat) <= limit for chat in row):
                fits = True
            else:
                length = max(_length(tokenizer, chat) for chat in row)
                longest, fits = max(longest, length), length <= limit
            if fits and not must_all:
                return  # one row is enough to train on; the rest is counted when all are tokenised
            long += not fits
    if long:
        none = "" if long < len(rows) else ": none is left"
        if cfg.dataset.get("too_long") == "truncate" and none:
            return  # what is left around their questions shows when they are shortened
        yield (
            f"{long:,} of {len(rows):,} rows of {cfg.dataset.source} are longer than tokenizer.max_seq_len={limit}"
            f" (the longest has {longest:,} tokens){none}",
            f"tokenizer.max_seq_len={longest}" + (", or dataset.too_long=drop or truncate" if not none else ""),
        )


def _length(tokenizer: Any, chat: list[dict[str, str]]) -> int:
    from torchtune.data import Message

    return len(tokenizer.tokenize_messages([Message(role=m["role"], content=m["content"]) for m in chat])[0])


def _memory(cfg: Any) -> Iterator[Problem]:
    from querywright.finetune.plan import plan

    if cfg.get("check_memory") is False:
        return
    try:
        made = plan(cfg, quick=True)
    except QuerywrightError:
        return  # a model whose shape the planner does not know
    if made.clearly_too_much:
        yield made.message(), made.hint()
