"""A candidate: what was asked for, which model it goes on from, which corrections it learns and is judged on."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from querywright.api.definition import API
from querywright.api.identity import definition_id
from querywright.artefacts import MANIFEST, content_id, is_done, read_jsonl, sha256
from querywright.errors import QuerywrightError
from querywright.evaluate.decision import Bounds
from querywright.finetune.lora import CONFIG, WEIGHTS
from querywright.finetune.promoted import MODELS
from querywright.finetune.shipped import Standing, prompt_id, standing
from querywright.progress import say
from server.flywheel.promotion import DATA, candidates, read_decision
from server.flywheel.retrain_data import Shares, corrections, learnt, write_data

SPACE = 600_000_000
"""Bytes that a candidate of the packaged base needs: GGUF, checkpoints while it trains, answers."""


@dataclass(frozen=True)
class Options:
    """What `querywright feedback retrain` was asked for.

    Attributes:
        api: a shipped API's name, or a definition file.
        pairs: the exported corrections, a file of pairs.
        config: of the training, by file or name; `settings` (key=value) go over it.
        minutes, steps: limits of the training.
        lr: the learning rate; lower than of a training from nothing, since it goes on from an adapter.
        limit: of the frozen test set, only the first so many sentences of an order that never changes.
        decoding: as it is served with.
        parity: requests on which exported files are compared with the adapter; 0: none.
        promote: whether a candidate that is better becomes current.
        fresh: begin anew with the corrections of now, where a candidate with the same settings is unfinished.
    """

    api: str
    workspace: Path
    pairs: Path
    shares: Shares = field(default_factory=Shares)
    bounds: Bounds = field(default_factory=Bounds)
    config: str = "smollm2_135m_lora_cpu"
    settings: tuple[str, ...] = ()
    minutes: float = 10.0
    steps: int | None = None
    lr: float = 5e-4
    limit: int | None = None
    decoding: str = "grammar"
    parity: int = 10
    seed: int = 0
    promote: bool = True
    refreeze: bool = False
    fresh: bool = False


def current_model(api: API, workspace: Path) -> Standing:
    """The model that answers now, from whose adapter a candidate goes on.

    Raises:
        QuerywrightError: there is none, or its adapter is not beside it.
    """
    found = standing(api, workspace)
    missing = [name for name in (CONFIG, WEIGHTS) if not (found.adapter / name).is_file()]
    if missing:
        raise QuerywrightError(
            f"no adapter to start from: {found.adapter} lacks {' and '.join(missing)} (the model is {found.path})",
            hint=f"querywright export CONFIG --api {api.name} writes it again beside the model",
        )
    return found


def begin(options: Options, api: API, tests: Path, digest: str, current: Standing) -> tuple[Path, dict[str, Any]]:
    """A candidate's folder with its data, and its counts: the unfinished one of these settings, or a new one, whose id
    is that of its config and its data.

    Args:
        tests, digest: the frozen test set and its hash.

    Raises:
        QuerywrightError: too few corrections, nothing to replay, too little disk space.
    """
    home, train = options.workspace / MODELS, options.workspace / "pairs" / "train.jsonl"
    config: dict[str, Any] = {
        "api": api.name, "definition": definition_id(api), "prompt": prompt_id(), "frozen_sha256": digest,
        "start": current.id, "start_sha256": sha256(current.adapter / WEIGHTS), **asdict(options.shares),
        "config": options.config, "settings": list(options.settings), "minutes": options.minutes,
        "steps": options.steps, "lr": options.lr, "seed": options.seed,
        "learnt_before": sorted(learnt(home / current.id / DATA)),
        "replayed_from": sha256(train) if train.is_file() else "",
    }  # fmt: skip
    if not options.fresh:
        for folder in reversed(candidates(options.workspace)):
            known = _known(folder)
            if known and not read_decision(folder) and {**known["config"], "data": None} == {**config, "data": None}:
                say(f"going on with candidate {folder.name} and its corrections; --fresh begins anew")
                return folder, known["counts"]
    if not options.pairs.is_file():
        raise QuerywrightError(
            f"no corrections at {options.pairs}", hint=f"querywright feedback export --api {options.api} --out FOLDER"
        )
    frozen = [row for row in read_jsonl(tests) if row.get("api", api.name) == api.name]
    learn, recent = corrections(api, options.pairs, frozen, options.shares, home / current.id / DATA)
    config["data"] = content_id(json.dumps([learn, recent], sort_keys=True))
    folder = home / content_id(json.dumps(config, sort_keys=True))
    if not is_done(folder / DATA, config):
        _space(home)
        write_data(api, options.workspace, folder / DATA, learn, recent, frozen, options.shares, config)
    counts: dict[str, Any] = _known(folder)["counts"]
    shares = options.shares
    say(
        f"candidate {folder.name}: learns {counts['corrections']} corrections {shares.passes} times and "
        f"{counts['replayed']} replayed pairs ({shares.replay:g} for each); the {counts['recent']} most recent "
        f"corrections ({shares.held:.0%}) are held out; starts from {current.id}"
    )
    return folder, counts


def _known(folder: Path) -> dict[str, Any]:
    try:
        made: dict[str, Any] = json.loads((folder / DATA / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return made if is_done(folder / DATA, made.get("config", {})) else {}


def _space(home: Path) -> None:
    free = shutil.disk_usage(home).free
    if free < SPACE:
        raise QuerywrightError(
            f"too little space in {home}: a candidate needs {SPACE / 1e9:.1f} GB, {free / 1e9:.2f} GB are free",
            hint="querywright feedback models --prune deletes candidates that nothing goes back to",
        )
