"""The feedback of an API, read from wherever it is kept, and written as files that trainers read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.api.definition import API
from querywright.api.executors import EmbeddedExecutor, Executor
from querywright.api.identity import definition_id
from querywright.artefacts import alone, write_json, write_jsonl, write_manifest
from querywright.errors import QuerywrightError
from querywright.finetune.promoted import MODELS
from querywright.progress import say
from server.flywheel.frozen import COPY
from server.flywheel.pairs import REASONS, Learnt, learn
from server.flywheel.sieve import Sieve
from server.keep.store import FILE, VARIABLE, Store

PAIRS, PREFERENCES, REPORT = "pairs.jsonl", "preferences.jsonl", "report.json"
PER_CLIENT = 20
NOTHING = "none"


@dataclass(frozen=True)
class Options:
    """What `querywright feedback export` was asked for.

    Attributes:
        out: folder of the files.
        workspace: the API's; its split and index are there.
        store: a file or a URL; None is the environment's, else what stands in the workspace.
        per_client: rows of each kind that one client may give; 0 is any number.
        liked: whether answers that were rated up are pairs as well.
        records: what calls are run on; None is what the definition names, `none` runs nothing.
        allow_empty: take calls that find nothing.
        split: the folder of the split; None is `pairs` in the workspace.
    """

    out: Path
    workspace: Path
    store: str | None = None
    per_client: int = PER_CLIENT
    liked: bool = False
    records: str | None = None
    allow_empty: bool = False
    split: Path | None = None


def places(workspace: Path, store: str | None = None) -> list[str | Path]:
    """Where feedback is kept: where one says, or the environment, else in the workspace and in the folder of all
    workspaces, where a server of several APIs puts it.

    Raises:
        QuerywrightError: there is none.
    """
    named = store or os.environ.get(VARIABLE)
    found: list[str | Path] = [named] if named else [workspace / FILE, workspace.parent / FILE]
    there = [place for place in found if "://" in str(place) or Path(place).is_file()]
    if not there:
        raise QuerywrightError(
            f"no feedback at {named or workspace / FILE}", hint=f"querywright serve collects it; --store or {VARIABLE}"
        )
    return there


def opened(stack: ExitStack, workspace: Path, store: str | None = None) -> list[Store]:
    """The stores at those places, closed with `stack`.

    Raises:
        QuerywrightError: there is none, or one can't be opened.
    """
    return [stack.enter_context(closing(Store(place))) for place in places(workspace, store)]


def export(api: API, options: Options) -> dict[str, Any]:
    """Write `pairs.jsonl`, `preferences.jsonl` and `report.json` into a folder, the manifest last; returns the report.

    Raises:
        QuerywrightError: no feedback, no records to run calls on, a split that can't be read, or no free folder.
    """
    if options.out.is_file() or options.out.suffix == ".jsonl":
        raise QuerywrightError(f"--out {options.out} is a file", hint=f"a folder: {PAIRS} and {PREFERENCES} are in it")
    with ExitStack() as stack:
        stores = opened(stack, options.workspace, options.store)
        corrections = [c for store in stores for c in store.corrections(api.name)]
        choices = [p for store in stores for p in store.preferences(api.name)]
        liked = [a for store in stores for a in store.ratings(api.name)] if options.liked else []
        where = [store.where for store in stores]
    folder = options.split or options.workspace / "pairs"
    frozen = options.workspace / MODELS / COPY
    sieve = Sieve(api, _executor(api, options), folder=folder, frozen=frozen, allow_empty=options.allow_empty)
    if not sieve.sides:
        say(f"there is no split at {folder}: nothing is compared with a test set")
    learnt = learn(api, corrections, choices, liked, sieve=sieve, per_client=options.per_client)
    report = {
        "api": api.name, "definition": definition_id(api), "stores": where, "ran": options.records != NOTHING,
        "per_client": options.per_client, "split": sieve.sides,
        "pairs": {"of": len(corrections) + sum(a.rating == 1 for a in liked), "kept": len(learnt.pairs),
                  "left_out": learnt.left_out},
        "preferences": {"kept": len(learnt.preferences), "left_out": learnt.preferences_left_out},
    }  # fmt: skip
    _write(options, learnt, report)
    for line in told(report):
        say(line)
    return report


def told(report: dict[str, Any]) -> Iterator[str]:
    """A report in a few lines: what was kept, and what was left out for which reason."""
    for kind in ("pairs", "preferences"):
        part = report[kind]
        left = [f"{n} {REASONS[reason]}" for reason, n in part["left_out"].items()]
        yield f"{kind}: {part['kept']}" + (f"; left out: {', '.join(left)}" if left else "")


def _executor(api: API, options: Options) -> Executor | None:
    if options.records == NOTHING:
        say("no call is run (--records none): a call that is read may still fail at the service")
        return None
    if not (options.records or api.records):
        raise QuerywrightError(
            f"{api.name} names no records to run calls on", hint="--records FILE, or --records none to run none"
        )
    return EmbeddedExecutor(api, options.records, options.workspace)


def _write(options: Options, learnt: Learnt, report: dict[str, Any]) -> None:
    names: Sequence[str] = (PAIRS, PREFERENCES, REPORT)
    with alone(options.out):
        write_jsonl(options.out / PAIRS, learnt.pairs)
        write_jsonl(options.out / PREFERENCES, learnt.preferences)
        write_json(options.out / REPORT, report)
        config = {"stage": "feedback export", **{k: report[k] for k in ("api", "definition", "ran", "per_client")}}
        config |= {"liked": options.liked, "allow_empty": options.allow_empty}
        rows = {kind: report[kind]["kept"] for kind in ("pairs", "preferences")}
        write_manifest(options.out, config, names, rows=rows)
