"""A plan as text for people and as numbers for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from querywright.finetune.memory_shape import lora_parameters
from querywright.finetune.plan_device import GB, gpus
from querywright.finetune.plan_time import WHERE, utilisation, work

if TYPE_CHECKING:
    from querywright.finetune.plan import Plan


def lines(made: Plan) -> list[str]:
    """The plan as lines: the config, memory, tricks, sizes, the host, time."""
    setup, shape = made.setup, made.shape
    kind = "DPO" if setup.dpo else "QLoRA" if setup.quantized else "LoRA"
    where = f" on {setup.gpus} GPUs (FSDP), each" if setup.gpus > 1 else ","
    out = [
        f"{shape.name} ({shape.parameters() / 1e9:.2f} billion weights), {kind} of rank {setup.rank} "
        f"({lora_parameters(shape, setup) / 1e6:.1f} million trained), {setup.backend}{where} "
        f"batch {setup.batch} x {setup.sequence:,} tokens{' packed' if setup.packed else ''}",
        f"on {made.device.name}",
        "",
        f"memory at the peak ({_moment(made)}), GB",
    ]
    width = max(len(name) for name in made.items)
    out += [f"  {name:<{width}} {size / GB:8.2f}" for name, size in made.items.items() if size > 0.005 * GB]
    rest = made.total - sum(size for size in made.items.values() if size > 0.005 * GB)
    out += [f"  {'others':<{width}} {rest / GB:8.2f}"] if rest > 0.005 * GB else []
    out.append(f"  {'total':<{width}} {made.total / GB:8.2f}{_verdict(made)}")
    out += ["", *_fit(made), *_tricks(made), *_host(made), *_time(made)]
    return [*out, *made.notes]


def _moment(made: Plan) -> str:
    return {"loss": "while the loss is computed", "backward": "in a layer's backward pass"}.get(
        made.phase, "while the checkpoint is loaded"
    )


def _verdict(made: Plan) -> str:
    if made.memory is None:
        able = [name for name, entry in gpus().items() if entry["memory_gb"] * GB >= made.total]
        return f"   fits {', '.join(able)}" if able else "   fits none of data/gpus.yaml"
    left = made.memory - made.total
    if left >= 0:
        return f"   of {made.memory / GB:.1f}: fits, {left / GB:.1f} left"
    return f"   of {made.memory / GB:.1f}: DOES NOT FIT, {-left / GB:.1f} too much"


def _fit(made: Plan) -> list[str]:
    out = []
    if not made.fits:
        out.append(f"would fit with: {made.remedy or 'none of these levers; a smaller model or a larger GPU'}")
    if made.largest_sequence is not None:
        words = f"largest {'packed ' if made.setup.packed else ''}sequence at batch {made.setup.batch}"
        out.append(
            f"{words}: {made.largest_sequence:,} tokens; largest batch at {made.setup.sequence:,} tokens: "
            f"{made.largest_batch}"
        )
    return [*out, ""] if out else []


def _tricks(made: Plan) -> list[str]:
    width = max((len(t.name) for t in made.tricks), default=0)
    out = ["what each lever saves alone, GB, and the time of a step"]
    for trick in made.tricks:
        state = "on " if trick.on else "off"
        out.append(f"  {trick.name:<{width}} {state} {trick.bytes / GB:+8.2f}   x {trick.slower:.2f}   {trick.keys}")
    return [*out, ""]


def _host(made: Plan) -> list[str]:
    if not made.host:
        return []
    return ["memory of the host, GB", *(f"  {size / GB:6.1f}  {what}" for what, size in made.host.items()), ""]


def _time(made: Plan) -> list[str]:
    if not made.tokens_per_s:
        return []
    setup, step = made.setup, made.step_tokens
    found = work(made.shape, setup, made.row)
    if made.mfu:
        share = f"{made.mfu:.0%} of the peak for model operations, as given"
    elif made.device.cpu:
        share = f"{utilisation(setup, made.device):.0%} of {made.device.source}"
    else:
        share = (
            f"{utilisation(setup, made.device):.0%} of {made.device.flops / 1e12:.0f} TFLOP/s, recomputation counted "
            f"(what {WHERE} shows; --mfu for your own)"
        )
    out = [
        "time, estimated",
        f"  {made.tokens_per_s:,.0f} tokens/s, {step / made.tokens_per_s:,.1f} s a step of {step:,} tokens: "
        f"{found.done / 1e9:.1f} GFLOP a token, {share}",
    ]
    if made.rows:
        rows = made.rows
        out.append(
            f"  {_clock(made)} for {made.epochs:.3g} epochs of {rows.rows:,} rows, {rows.tokens:,} tokens "
            f"({rows.counted}), longest {rows.longest}"
        )
    else:
        out.append(f"  {_clock(made)} for each million tokens")
        full = f"of {setup.sequence:,} tokens"
        out.append(
            f"  no rows at dataset.source: counted as if each pack were one row {full}, whose attention costs more time"
            if setup.packed
            else f"  no rows at dataset.source: counted as if each row were {full}; shorter ones need less of both"
        )
    return out


def _clock(made: Plan) -> str:
    hours = made.hours or 0.0
    return (
        f"{hours:.1f} hours"
        if hours >= 2
        else f"{60 * hours:.0f} minutes"
        if hours >= 0.05
        else f"{3600 * hours:.0f} s"
    )


def as_dict(made: Plan) -> dict[str, Any]:
    """Bytes, seconds and settings; the levers as a list."""
    from dataclasses import asdict

    return {
        "model": asdict(made.shape) | {"parameters": made.shape.parameters()},
        "setup": asdict(made.setup) | {"trained_parameters": lora_parameters(made.shape, made.setup)},
        "device": asdict(made.device),
        "memory": made.items,
        "phase": made.phase,
        "total": made.total,
        "available": made.memory,
        "fits": made.fits,
        "clearly_too_much": made.clearly_too_much,
        "remedy": made.remedy,
        "largest_sequence": made.largest_sequence,
        "largest_batch": made.largest_batch,
        "tricks": [asdict(trick) for trick in made.tricks],
        "host": made.host,
        "rows": asdict(made.rows) if made.rows else None,
        "epochs": made.epochs,
        "tokens_per_s": made.tokens_per_s,
        "flops_per_token": asdict(work(made.shape, made.setup, made.row)),
        "hours": made.hours,
        "notes": made.notes,
    }
