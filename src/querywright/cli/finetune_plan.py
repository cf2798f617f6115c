"""`querywright finetune plan`: what a training config needs in memory and time, before anything is started."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def plan(
    config: Annotated[str, typer.Argument(help="a config file, or the name of one in ft_configs/")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, e.g. batch_size=4")] = None,
    gpu: Annotated[
        str | None, typer.Option(help="48GB, A6000, L40S, 4090, A100-80GB, H100, H200, ... or cpu; else what is here")
    ] = None,
    mfu: Annotated[
        float | None, typer.Option(help="measured share of the GPU's peak, model operations only, e.g. 0.35")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="numbers for programs: bytes and seconds")] = False,
) -> None:
    """Memory by what it is for, what each trick saves, whether it fits, tokens a second; nothing is trained."""
    from querywright.finetune.check import find_config, load
    from querywright.finetune.plan import plan as make

    made = make(load(find_config(config), overrides or []), gpu=gpu, mfu=mfu)
    typer.echo(json.dumps(made.as_dict(), indent=1) if as_json else "\n".join(made.lines()))
    if not made.fits:
        raise typer.Exit(1)
