"""`querywright eval calibrate`: how sure an answer is, fitted on answers whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from querywright.api.definition import API


def calibrate(
    responses: Annotated[Path, typer.Argument(help="responses_*.jsonl of a sweep over pairs not trained on.")],
    out: Annotated[
        Path | None, typer.Option(help="The calibration; default: calibration.json beside the model that ask takes.")
    ] = None,
    cell: Annotated[
        str | None, typer.Option(help="Only this MODEL.STRATEGY.DECODING[.ENGINE][.n5] of several.")
    ] = None,
    api: Annotated[str | None, typer.Option(help="Only the rows of this API; all of them by default.")] = None,
    target: Annotated[float, typer.Option(min=0.5, max=1.0, help="Share right that the threshold is for.")] = 0.95,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is known of the fits as JSON.")] = False,
) -> None:
    """Fit the confidence of answers, and find the threshold from which on they are right as often as asked for.

    A sweep with `n: 5` calibrates one pass and choosing among several. Sentences like those that will be asked fit
    best: on easier ones the confidence comes out too high. Answers of several APIs are fitted together, for the model
    that serves them all.
    """
    from querywright.api.definition import load
    from querywright.artefacts import read_jsonl
    from querywright.errors import QuerywrightError
    from querywright.evaluate import calibrate as room
    from querywright.progress import say

    rows = read_jsonl(responses)
    names = sorted({str(row["api"]) for row in rows if row.get("api")})
    if not names and api is None:
        raise QuerywrightError(f"{responses} has no answers of an API", hint="querywright eval CONFIG writes them")
    apis = {load(name).name: load(name) for name in ([api] if api else names)}
    mine = [row for row in rows if row.get("api", api) in apis]
    if cell is not None:
        mine = [row for row in mine if f"{room.cell_of(row)}.".startswith(f"{cell}.")]
    path = out or _beside_model(apis.values()) / room.FILE
    facts = room.calibrate(apis, mine, path, target)
    if as_json:
        print(json.dumps(facts))
    for mode, known in facts.items():
        say(room.told(mode, known))
    say(f"written to {path}")


def _beside_model(apis: Iterable[API]) -> Path:
    """The folder of the model that answers for some APIs, by what `querywright ask` takes."""
    from querywright.errors import QuerywrightError
    from querywright.finetune.shipped import ensure_model

    folders = {ensure_model(api, Path("work") / api.name).parent for api in apis}
    if len(folders) > 1:
        listed = ", ".join(sorted(map(str, folders)))
        raise QuerywrightError(f"these APIs have models of their own: {listed}", hint="--api takes one, or --out FILE")
    return folders.pop()
