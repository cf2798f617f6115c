"""`querywright feedback retrain, promote, rollback, models`: corrections become a better model, or nothing changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

if TYPE_CHECKING:
    from rich.console import Console

API = Annotated[str, Option("--api", help="A shipped API's name, or a definition file.")]
WORKSPACE = Annotated[Path | None, Option("--workspace", help="Default: work/API.")]


def retrain(
    api: API,
    workspace: WORKSPACE = None,
    pairs: Annotated[
        Path | None,
        Option("--pairs", help="Exported corrections: a file, or the export's folder; default: export now."),
    ] = None,
    store: Annotated[
        str,
        Option("--store", help="File or URL of the feedback; default: QUERYWRIGHT_STORE, else the workspace's."),
    ] = "",
    minutes: Annotated[float, Option("--minutes", min=0.05, help="Training ends after so many.")] = 10.0,
    steps: Annotated[int | None, Option("--steps", min=1, help="And after so many steps.")] = None,
    held: Annotated[
        float, Option("--held", help="Share of the corrections, the most recent, that is held out: 0.2 or more.")
    ] = 0.2,
    replay: Annotated[
        float, Option("--replay", min=0, help="Rows of the workspace's training pairs for each correction's row.")
    ] = 3.0,
    passes: Annotated[int, Option("--passes", min=1, help="How often each correction is shown.")] = 4,
    least: Annotated[int, Option("--least", min=1, help="Corrections that there have to be.")] = 40,
    lr: Annotated[float, Option("--lr", min=0, help="Learning rate.")] = 5e-4,
    config: Annotated[str, Option("--config", help="Training config.")] = "smollm2_135m_lora_cpu",
    setting: Annotated[list[str] | None, Option("--set", help="key=value over the training config.")] = None,
    alpha: Annotated[float, Option("--alpha", min=0, max=1, help="Of the test that it is better.")] = 0.05,
    margin: Annotated[
        float, Option("--margin", min=0, max=1, help="How much worse on the frozen test set is not worse.")
    ] = 0.05,
    shape_bound: Annotated[
        float, Option("--shape-bound", min=0, max=1, help="How much worse a shape of query may get.")
    ] = 0.15,
    shape_rows: Annotated[
        int, Option("--shape-rows", min=1, help="Sentences from which on a shape is looked at.")
    ] = 10,
    limit: Annotated[
        int | None, Option("--limit", min=1, help="Only so many sentences of the frozen test set, always the same.")
    ] = None,
    decoding: Annotated[str, Option("--decoding", help="As it is served with.")] = "grammar",
    parity: Annotated[int, Option("--parity", min=0, help="Requests to check the exported file on; 0: none.")] = 10,
    seed: Annotated[int, Option("--seed")] = 0,
    promote: Annotated[bool, Option("--promote/--no-promote", help="Promote a better one, or only decide.")] = True,
    fresh: Annotated[bool, Option("--fresh", help="Begin anew where a candidate is unfinished.")] = False,
    refreeze: Annotated[bool, Option("--refreeze", help="Take the test set as it is now for the frozen one.")] = False,
    as_json: Annotated[bool, Option("--json", help="Print the decision as JSON.")] = False,
) -> None:
    """Train a candidate on the corrections, compare it with the current model, promote it if it is better.

    It starts from the current model's adapter. Both models answer the frozen test set (the workspace's test split) and
    the most recent corrections, which it never learns. It is promoted only if it is better with confidence over all of
    them, not worse on the frozen test set, and no shape of query got worse beyond a bound. Stopped, the same command
    goes on. Every figure: WORKSPACE/models/ID/decision.json.
    """
    from querywright.evaluate.decision import Bounds
    from querywright.progress import say
    from server.flywheel import show
    from server.flywheel.candidate import Options
    from server.flywheel.promotion import DECISION
    from server.flywheel.retrain import retrain as run
    from server.flywheel.retrain_data import Shares

    home = _workspace(api, workspace)
    decision = run(
        Options(
            api, home, _pairs(api, home, pairs, store), Shares(held, replay, passes, least),
            Bounds(alpha, margin, shape_bound, shape_rows), config, tuple(setting or ()), minutes, steps, lr, limit,
            decoding, parity, seed, promote, refreeze, fresh,
        )
    )  # fmt: skip
    if as_json:
        print(json.dumps({key: value for key, value in decision.items() if key not in ("items", "changed")}))
    else:
        _console().print(show.decision(decision))
    for reason in decision["reasons"]:
        say(f"not promoted: {reason}")
    say(f"every figure, and the sentences won and lost: {home / 'models' / decision['id'] / DECISION}")


def promote(
    name: Annotated[str, typer.Argument(metavar="ID", help="As `feedback models` lists it.")],
    api: API,
    workspace: WORKSPACE = None,
    force: Annotated[bool, Option("--force", help="Although it was not found better; this is recorded.")] = False,
) -> None:
    """Make a candidate the model that answers; a running server takes it up when it is restarted."""
    from server.flywheel.promotion import promote as run

    run(_workspace(api, workspace), name, force=force)


def rollback(
    api: API,
    workspace: WORKSPACE = None,
    to: Annotated[str, Option("--to", help="`shipped`: what answered before the first promotion.")] = "",
) -> None:
    """Go back to the model before, or to the shipped one; a running server takes it up when it is restarted."""
    from server.flywheel.promotion import rollback as run

    print(run(_workspace(api, workspace), to))


def models(
    api: API,
    workspace: WORKSPACE = None,
    prune: Annotated[bool, Option("--prune", help="Delete those that no rollback comes back to.")] = False,
    as_json: Annotated[bool, Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List the candidates, their scores beside the model that they were compared with, and which one answers."""
    from querywright.progress import say
    from server.flywheel import promotion, show

    home = _workspace(api, workspace)
    if prune:
        say(f"deleted: {', '.join(promotion.prune(home)) or 'none'}")
    found = promotion.models(home)
    if as_json:
        print(json.dumps(found))
        return
    _console().print(show.candidates(found, promotion.BEFORE))
    for row in found:
        for reason in row["reasons"]:
            say(f"{row['id']}: {reason}")


def _workspace(api: str, given: Path | None) -> Path:
    from querywright.api.definition import load

    return given or Path("work") / load(api).name


def _pairs(api: str, workspace: Path, given: Path | None, store: str = "") -> Path:
    """The file of exported corrections, written now unless it is named.

    Raises:
        QuerywrightError: both are named, the file and the store.
    """
    if given is not None and store:
        from querywright.errors import QuerywrightError

        raise QuerywrightError("--pairs are exported already; --store is what to export", hint="one of the two")
    if given is None:
        from querywright.cli.feedback import export
        from server.flywheel.frozen import test_set

        test_set(api, workspace)  # before the export, which runs every call
        given = workspace / "feedback"
        export(api=api, out=given, workspace=workspace, store=store)
    return given / "pairs.jsonl" if given.is_dir() else given


def _console() -> Console:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=130)


def register(app: typer.Typer) -> None:
    """Add these commands to `querywright feedback`."""
    commands: tuple[Any, ...] = (retrain, promote, rollback, models)
    for command in commands:
        app.command(command.__name__)(command)
