"""Corrections → a candidate model → a comparison with the current one → a decision. In stages, each with its manifest.

    models/<id>/data/           what it learns, and the recent corrections that it is judged on
    models/<id>/run/            the training run
    models/<id>/                adapter, GGUF, model card, manifest: as `querywright export` leaves them
    models/<id>/eval/           its answers; those of the current model in the current model's own folder
    models/<id>/decision.json   every figure, and the decision; written last

Killed at any point, the same command goes on: with the corrections that it began with, also where more came in since.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from querywright.api.definition import API, load
from querywright.api.identity import definition_id
from querywright.artefacts import alone, write_json
from querywright.errors import QuerywrightError
from querywright.evaluate import judging
from querywright.evaluate.decision import FROZEN, RECENT, decide
from querywright.finetune.lora import CONFIG
from querywright.finetune.promoted import MODELS, read_promoted
from querywright.finetune.shipped import Standing
from querywright.progress import say
from server.flywheel.candidate import Options, begin, current_model
from server.flywheel.frozen import frozen_set
from server.flywheel.promotion import DATA, DECISION, now, promote, read_decision, tries
from server.flywheel.retrain_data import CHAT
from server.flywheel.retrain_data import RECENT as RECENT_FILE

RUN, EVAL = "run", "eval"


@dataclass(frozen=True)
class Stages:
    """The expensive stages; tests put others in their place.

    Attributes:
        train: a config's name and overrides -> exit code; see `finetune.launch.train`, which is a process of its own.
        export: the same, the folder to write, the API and `parity` -> the GGUF.
        ask: see `judging.ask`.
    """

    train: Callable[[str, list[str]], int]
    export: Callable[[str, list[str], Path, API, int], Path]
    ask: Callable[..., judging.Scored]


def stages() -> Stages:
    """The real ones."""
    from querywright.cli.eval_models import sources_of

    return Stages(_run_training, _run_export, partial(judging.ask, sources=sources_of))


def retrain(options: Options, run: Stages | None = None) -> dict[str, Any]:
    """Train a candidate on the corrections, compare it with the current model, promote it if it is better.

    Returns:
        The decision, as `models/<id>/decision.json` has it.

    Raises:
        QuerywrightError: too few corrections, no test split or a changed one, nothing to start from, too little disk
            space, another retrain at work, a mistake in the config; each says what to do.
        KeyboardInterrupt: stopped; the same command goes on.
    """
    api, home = load(options.api), options.workspace / MODELS
    with _alone(home):
        tests, digest = frozen_set(api, options.workspace, refreeze=options.refreeze)
        current = current_model(api, options.workspace)
        folder, counts = begin(options, api, tests, digest, current)
        judged = {"bounds": asdict(options.bounds), "limit": options.limit, "decoding": options.decoding}
        decided = read_decision(folder)
        if decided and decided.get("judged") == judged:
            say(f"{folder.name} is decided already ({decided['at']}): nothing to do until there are more corrections")
            return _settled(options, folder, decided)
        run = run or stages()
        model = _train(options, api, folder, current, run)
        old, new = (
            _answers(options, api, place, path, folder, tests, run)
            for place, path in ((home / current.id, current.path), (folder, model))
        )
        items = [item for part in (FROZEN, RECENT) for item in judging.items(part, old[part], new[part])]
        compared = tries(options.workspace, folder.name, current.id, digest)
        decision = decide(items, options.bounds, tries=compared, seed=options.seed)
        confidence = judging.calibrate(api, [*new[FROZEN], *new[RECENT]], folder / "calibration.json")
        decision = {"id": folder.name, "at": now(), "current": current.id, **decision, "judged": judged,
                    "counts": counts, "frozen_sha256": digest, "confidence": confidence, "model": str(model),
                    "changed": [line for part in old for line in judging.changed(part, old[part], new[part])],
                    "items": [asdict(item) for item in items]}  # fmt: skip
        write_json(folder / DECISION, decision)
        return _settled(options, folder, decision)


def _settled(options: Options, folder: Path, decision: dict[str, Any]) -> dict[str, Any]:
    """The decision, carried out where it says so and that was not done; what was taken back by hand stays back."""
    log = read_promoted(options.workspace)["log"]
    if decision["promote"] and options.promote and not any(one.get("id") == folder.name for one in log):
        promote(options.workspace, folder.name)
    return decision


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep other retrains out; nobody makes a workspace by a typing mistake."""
    if not home.parent.is_dir():
        raise QuerywrightError(f"no workspace {home.parent}", hint="--workspace FOLDER, or run where work/ is")
    with ExitStack() as held:
        try:
            held.enter_context(alone(home))
        except QuerywrightError as error:
            if not error.retryable:
                raise
            raise QuerywrightError(
                f"another retrain is at work in {home}", hint="wait for it: one at a time", retryable=True
            ) from error
        yield


def _train(options: Options, api: API, folder: Path, current: Standing, run: Stages) -> Path:
    """Train and export, each unless it is done; returns the GGUF."""
    about = json.loads((current.adapter / CONFIG).read_text(encoding="utf-8"))
    given = {
        "workspace": options.workspace, "output_dir": folder / RUN, "dataset.source": folder / DATA / CHAT,
        "start_adapter": current.adapter, "model.lora_rank": about["r"], "model.lora_alpha": about["lora_alpha"],
        "optimizer.lr": options.lr, "max_minutes": options.minutes, "epochs": 1, "seed": options.seed + 20,
        "max_steps_per_epoch": options.steps if options.steps else "null", "lr_scheduler.num_warmup_steps": 5,
    }  # fmt: skip
    words = [*(f"{key}={value}" for key, value in given.items()), *options.settings]
    say(f"training: {options.minutes:g} minutes at most{f', {options.steps} steps' if options.steps else ''}")
    _wait_for(folder / RUN)
    code = run.train(options.config, words)
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise QuerywrightError("the training did not begin; what to do is said above", hint="--set KEY=VALUE")
    return run.export(options.config, words, folder, api, options.parity)


def _wait_for(folder: Path) -> None:
    """Wait for the training of a retrain that was killed: it is a process of its own and may have outlived it."""
    if not folder.is_dir():
        return
    try:
        with alone(folder):
            return
    except QuerywrightError as error:
        if not error.retryable:
            raise
    say(f"a training still works in {folder}, whose retrain was killed: waiting for it")
    with alone(folder, patience_s=math.inf):
        return


def _run_training(config: str, words: list[str]) -> int:
    from querywright.finetune.check import find_config
    from querywright.finetune.check import load as config_of
    from querywright.finetune.launch import train

    return train(config_of(find_config(config), words))


def _run_export(config: str, words: list[str], folder: Path, api: API, parity: int) -> Path:
    from querywright.finetune.check import find_config
    from querywright.finetune.check import load as config_of
    from querywright.finetune.export import export

    cfg = config_of(find_config(config), words)
    return export(
        Path(cfg.output_dir), folder, api.name, base=Path(cfg.checkpointer.checkpoint_dir), merged=False,
        kinds=["q8_0"], parity=parity, definition=definition_id(api),
    )  # fmt: skip


def _answers(
    options: Options, api: API, place: Path, model: Path, candidate: Path, tests: Path, run: Stages
) -> dict[str, judging.Scored]:
    """A model's answers to both parts, kept in its own place."""
    parts = ((FROZEN, tests, options.limit), (RECENT, candidate / DATA / RECENT_FILE, None))
    return {
        part: run.ask(
            api, options.api, model, pairs, place / EVAL / part, decoding=options.decoding, limit=limit
        )
        for part, pairs, limit in parts
    }  # fmt: skip
