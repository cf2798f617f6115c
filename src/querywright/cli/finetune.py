"""`querywright finetune`: check a training config's keys, then train."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Check a training config's keys, then train; run again, it goes on or has nothing to do.")


@app.command()
def finetune(
    config: Annotated[str, typer.Argument(help="a config file, or the name of one in ft_configs/")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, e.g. workspace=work/x batch_size=4")] = None,
    check: Annotated[bool, typer.Option("--check", help="only check the config, and print it resolved")] = False,
) -> None:
    """Train a LoRA adapter as CONFIG says."""
    from querywright.finetune.check import find_config, load
    from querywright.finetune.launch import train

    cfg = load(find_config(config), overrides or [])
    if check:
        from omegaconf import OmegaConf

        typer.echo(OmegaConf.to_yaml(cfg), nl=False)
        return
    raise typer.Exit(train(cfg))
