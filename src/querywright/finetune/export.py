"""What leaves training: adapter, merged checkpoint, GGUF files, Modelfile, model card; checked to be one model."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from querywright import __version__
from querywright.artefacts import MANIFEST, alone, content_id, is_done, sha256, write_json, write_manifest, write_text
from querywright.errors import QuerywrightError, did_you_mean
from querywright.finetune import parity as checking
from querywright.finetune.base import DEFAULT_FOLDER, ensure_base, is_packaged, packaged_gguf
from querywright.finetune.beside import quantise
from querywright.finetune.card import beside, card
from querywright.finetune.family import DOWNLOAD, Family, family
from querywright.finetune.hf_to_gguf import write_hf_gguf
from querywright.finetune.lora import CONFIG, WEIGHTS, deltas, read_adapter, write_adapter
from querywright.finetune.merge import BYTES, fits, made_by, merge, shapes, stop_ids
from querywright.finetune.modelfile import modelfile, serving
from querywright.finetune.parts import Parts
from querywright.finetune.record import base_facts
from querywright.finetune.shipped import GGUF, KINDS, prompt_id
from querywright.finetune.stacked import below, stack
from querywright.finetune.to_gguf import write_gguf
from querywright.progress import say

PARITY, REQUESTS = "parity.json", 50
SIZES = {"f16": 2.0, "q8_0": 1.07, "q4_k_m": 0.8}  # bytes a parameter, at most
WHAT = {
    f"adapter/{WEIGHTS}": "the LoRA adapter in PEFT's layout, 16 bit",
    "merged/config.json": "base and adapter as one checkpoint, in `merged/`, with tokenizer and chat template",
    GGUF.format(kind="q8_0"): "for llama.cpp, 8 bit: the file to use",
    GGUF.format(kind="q4_k_m"): "for llama.cpp, 4 bit: the smallest",
    GGUF.format(kind="f16"): "for llama.cpp, 16 bit",
    "Modelfile": "for `ollama create`",
    "SERVING.md": "how to start it: vLLM, llama.cpp, Ollama",
    PARITY: "how each of these answers beside the adapter, request by request",
}


def finished_run(folder: Path) -> tuple[dict[str, Any], Path]:
    """The manifest of a training run's folder, and the folder of its adapter.

    Raises:
        QuerywrightError: no finished run there, or its adapter is not the one that it made.
    """
    try:
        run = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        going = (folder / "resume.safetensors").is_file()
        raise QuerywrightError(
            f"no finished training run in {folder}" + (": it was stopped half-way" if going else ""),
            hint="querywright finetune CONFIG" + (" goes on" if going else ""),
        ) from error
    if not (folder / "adapter" / WEIGHTS).is_file():
        raise QuerywrightError(f"{folder} holds no adapter", hint="train it again: querywright finetune CONFIG")
    made = (run.get("files") or {}).get(f"adapter/{WEIGHTS}")
    if made and made != sha256(folder / "adapter" / WEIGHTS):
        raise QuerywrightError(
            f"the adapter in {folder / 'adapter'} is not the one that this run made: its SHA-256 is another",
            hint="train it again (querywright finetune CONFIG), or start_adapter=FOLDER to go on from another adapter",
        )
    return run, folder / "adapter"


def export(
    run_folder: Path,
    out: Path,
    api: str,
    *,
    base: Path = DEFAULT_FOLDER,
    merged: bool = True,
    kinds: Sequence[str] = KINDS,
    parity: int = REQUESTS,
    scores: Sequence[Path] = (),
    definition: str = "",
) -> Path:
    """Make everything that a finished run is used through, a second time only what is missing; returns the GGUF to use
    (or the merged checkpoint, or the adapter, where that is all that was wanted).

    SmolLM2 takes about a minute, and another for parity; 8B some ten minutes on a disk that writes 500 MB/s.

    Args:
        run_folder: ``output_dir`` of the training.
        out: gets ``adapter/``, ``merged/``, GGUF files, ``Modelfile``, ``parity.json``, ``README.md`` and last the
            manifest, without which none of it is taken for a model.
        base: folder of the base checkpoint; the packaged one is made if it is not there.
        merged: whether the merged checkpoint is wanted (of the base's size).
        kinds: GGUF files, of :data:`KINDS`.
        parity: requests on which all paths have to agree; 0 leaves the check out.
        scores: ``scores.json`` of the evaluations that the card shows.
        definition: id of the API's definition (``api.identity``), by which ``schema diff --model`` judges.

    Raises:
        QuerywrightError: no finished run, a base that is not whole or another one, too little space; or what was made
            does not answer as the adapter does.
    """
    kinds = _known(kinds)
    run, source = finished_run(run_folder)
    if base.resolve() == (out / "merged").resolve() or (made_by(base) and base.resolve().parent == out.resolve()):
        raise QuerywrightError(
            f"{base} is what this run was trained on: the export would write over it", hint="--out ANOTHER/FOLDER"
        )
    base, told = _base(base, run)
    under = below(base)
    if under is not None:
        say(f"{base} is {under.base} with an adapter merged in: both adapters are exported as one, on {under.base}")
        base = under.base
        told = base_facts(base)
    kind = family(base)
    measured = [json.loads(path.read_text(encoding="utf-8")) for path in scores]
    config: dict[str, Any] = {"source": "run", "api": api, "adapter_sha256": sha256(source / WEIGHTS), "merged": merged}
    config |= {"kinds": sorted(kinds), "parity": parity, "base": told.get("sha256"), "prompt": prompt_id()}
    config |= {"stacked_on": under.sha256} if under else {}
    config |= {**({"definition": definition} if definition else {}), "scores_sha256": [sha256(p) for p in scores]}
    after = beside(str(config["adapter_sha256"]), out, run_folder)
    config |= {"after_training": content_id(json.dumps(after, sort_keys=True))} if after else {}
    best = next((out / GGUF.format(kind=k) for k in KINDS if k in kinds), out / ("merged" if merged else "adapter"))
    with alone(out):
        if not is_done(out, config):
            (out / MANIFEST).unlink(missing_ok=True)
            say(f"export: adapter of {run_folder} on {kind.human} to {out}")
            stop_ids(base, kind)
            made_of = {"adapter": config["adapter_sha256"], "base": config["base"], "api": api, "by": __version__}
            parts = Parts(out, made_of | ({"stacked_on": under.sha256} if under else {}))
            with tempfile.TemporaryDirectory() as temporary:
                whole = stack(under.adapter, source, Path(temporary)) if under else source
                fits(base, deltas(*read_adapter(whole)))
                _space(out, base, parts, merged, kinds)
                rank = _adapter(whole, out / "adapter", kind, base)
            shown = {**run, "base": told, "stacked_on": {"sha256": under.sha256, "rank": rank}} if under else run
            _weights(base, kind, parts, api, merged, kinds)
            report = _parity(base, kind, parts, run, parity, api, merged, kinds)
            write_text(out / "Modelfile", modelfile(best.name if kinds else "merged", api, kind))
            text = serving(api, kind, _name(base, kind), rank, merged, best.name if kinds else "")
            write_text(out / "SERVING.md", text)
            wanted = {GGUF.format(kind=k) for k in KINDS} - {GGUF.format(kind=k) for k in kinds}
            wanted |= set() if merged else {"merged/config.json"}
            files = {name: what for name, what in WHAT.items() if (out / name).is_file() and name not in wanted}
            own = {WEIGHTS: WHAT[f"adapter/{WEIGHTS}"]}
            write_text(out / "README.md", card(api, shown, measured, files, report, family=kind, **after))
            write_text(out / "adapter" / "README.md", card(api, shown, measured, own, report, family=kind, **after))
            names = [*files, f"adapter/{CONFIG}", "adapter/README.md", "README.md"]
            names += [str(p.relative_to(out)) for p in sorted((out / "merged").glob("*.safetensors")) if merged]
            write_manifest(out, config, names, run=run, base_folder=str(base))
    size = (out / "adapter" / WEIGHTS).stat().st_size / 1e6
    say(f"adapter {size:.1f} MB, model card {out / 'README.md'}; try: querywright ask --api {api} --model {best}")
    return best


def place(run_folder: Path, base: Path) -> Path:
    """Where an export goes unless one says: the folder above the run's, as a workspace has it; a folder of its own in
    the run's where what it was trained on stands there."""
    above = run_folder.parent
    return run_folder / "export" if base.resolve().is_relative_to(above.resolve()) else above


def _name(base: Path, kind: Family) -> str:
    """What an adapter's base is called: as its publisher does, unless something was merged into it."""
    return str(base) if made_by(base) or not kind.model_id else kind.model_id


def _known(kinds: Sequence[str]) -> tuple[str, ...]:
    for kind in kinds:
        if kind not in KINDS:
            raise QuerywrightError(
                f"unknown GGUF kind {kind!r}{did_you_mean(kind, list(KINDS))}", hint=f"one of: {', '.join(KINDS)}"
            )
    return tuple(dict.fromkeys(kinds))


def _base(base: Path, run: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The base's folder, made where it is the packaged one, and what is known of it."""
    if is_packaged(base):
        base = ensure_base(base)
    elif not (base / "config.json").is_file():
        raise QuerywrightError(
            f"the base of this run is not in {base}", hint=f"{DOWNLOAD}; then checkpointer.checkpoint_dir=FOLDER"
        )
    told, trained = base_facts(base), run.get("base") or {}
    if trained.get("sha256") and told.get("sha256") != trained["sha256"]:
        raise QuerywrightError(
            f"{base} is not the base that this run was trained on ({trained.get('name')}, "
            f"SHA-256 {trained['sha256'][:12]}, here {str(told.get('sha256'))[:12]})",
            hint="checkpointer.checkpoint_dir=FOLDER names the one it was",
        )
    return base, told


def _space(out: Path, base: Path, parts: Parts, merged: bool, kinds: Sequence[str]) -> None:
    """Refuse to begin what the disk does not hold."""
    known = shapes(base)
    size = {name: math.prod(shape) for name, (_, shape) in known.items()}
    needed = 0.0
    if merged and not parts.whole("merged"):
        needed += sum(BYTES.get(known[name][0], 4) * n for name, n in size.items())
    missing = [kind for kind in kinds if not parts.whole(GGUF.format(kind=kind))]
    if missing:
        # smaller kinds are made from 16 bit, which lies beside them for a while
        half = {"f16"} if set(missing) != {"q8_0"} or not is_packaged(base) else set()
        needed += sum(SIZES[kind] for kind in {*missing, *half}) * sum(size.values())
    free = shutil.disk_usage(out).free
    if needed > free:
        raise QuerywrightError(
            f"too little space in {out}: this export needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free",
            hint="--out FOLDER on another disk, --no-merged, or fewer --kinds",
        )


def _adapter(source: Path, folder: Path, kind: Family, base: Path) -> int:
    """The adapter in 16 bit, with the chat template for a server that starts from the base; returns its rank."""
    write_adapter(source, folder, _name(base, kind))
    write_text(folder / "chat_template.jinja", kind.template)
    return int(json.loads((folder / CONFIG).read_text(encoding="utf-8"))["r"])


def _weights(base: Path, kind: Family, parts: Parts, api: str, merged: bool, kinds: Sequence[str]) -> None:
    """The merged checkpoint and the GGUF files."""
    out = parts.out
    added = deltas(*read_adapter(out / "adapter"))  # what is served is the adapter as it was rounded
    name = f"{kind.human.removesuffix(' Instruct').replace(' ', '-')} {api}"
    if merged and not parts.whole("merged"):
        merge(base, added, out / "merged", kind)
        parts.note("merged")
    files = {k: out / GGUF.format(kind=k) for k in KINDS}
    missing = [k for k in kinds if not parts.whole(files[k].name)]
    # llama.cpp makes the smaller ones from 16 bit, which lies there for a while where it is not wanted
    half = files["f16"] if "f16" in kinds else out / ".model-f16.part.gguf"
    direct = [k for k in ("f16", "q8_0") if k in missing] if is_packaged(base) else ["f16"] * ("f16" in missing)
    smaller = [k for k in missing if k not in direct and k != "f16"]
    try:
        targets = {k: files[k] for k in direct} | ({"f16": half} if smaller and not parts.whole(half.name) else {})
        if targets and is_packaged(base):
            write_gguf(packaged_gguf(), added, targets, name, template=kind.template)
        elif targets:
            write_hf_gguf(base, added, targets["f16"], name, kind)
        for k in direct:
            parts.note(files[k].name)
        for k in smaller:
            say(f"{files[k].name}: llama.cpp quantises")
            quantise(half, files[k], k)
            parts.note(files[k].name)
    finally:
        if "f16" not in kinds:
            half.unlink(missing_ok=True)


def _parity(
    base: Path, kind: Family, parts: Parts, run: dict[str, Any], n: int, api: str, merged: bool, kinds: Sequence[str]
) -> dict[str, Any]:
    """The check's report, made unless it is there for just these files; empty where it is not wanted."""
    out = parts.out
    path = out / PARITY
    if not n:
        path.unlink(missing_ok=True)
        say("parity: not checked (--parity 0): nobody has seen whether these files answer as the adapter does")
        return {}
    ggufs = {k: out / GGUF.format(kind=k) for k in KINDS if k in kinds}
    settings = run["config"]["settings"]
    datasets = settings.get("dataset") or []  # of several the first
    first = datasets[0] if isinstance(datasets, list) and datasets else datasets
    rows = first.get("source") if isinstance(first, dict) else None
    chats, source = checking.requests(Path(rows) if rows else None, api, n)
    names = [*(["merged"] if merged else []), *(p.name for p in ggufs.values())]
    of = {"adapter": sha256(out / "adapter" / WEIGHTS), "files": {name: parts.made[name] for name in names}}
    of["requests"] = content_id(json.dumps(chats))
    report = checking.load(path)
    if report.get("of") != of:
        tokenizer = settings.get("tokenizer")
        there = tokenizer if tokenizer and Path(str(tokenizer.get("path"))).is_file() else None
        adapter, folder = out / "adapter", out / "merged" if merged else None
        report = checking.check(base, adapter, kind, chats, source, merged=folder, ggufs=ggufs, trained=there)
        write_json(path, {**report, "of": of})
    say(checking.summary(report))
    checking.refuse(report, path)
    return report
