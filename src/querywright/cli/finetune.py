"""`querywright finetune`: check a training config's keys, then train; or drive a job at a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from querywright.cli.finetune_plan import plan

_HERE = "here"


class _HereByDefault(TyperGroup):
    """`finetune CONFIG k=v` trains here, without a word for it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = [_HERE, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_HereByDefault,
    help="Check a training config and all that it needs, then train: finetune CONFIG [KEY=VALUE]... Run again, it goes "
    "on or has nothing to do. What the configs are for: docs/finetuning.md.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command(_HERE)
def finetune(
    config: Annotated[str, typer.Argument(help="a config file, or the name of one in ft_configs/")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, e.g. workspace=work/x batch_size=4")] = None,
    check: Annotated[bool, typer.Option("--check", help="check the keys only, and print them resolved")] = False,
) -> None:
    """Train a LoRA adapter as CONFIG says; the word `here` may be left out."""
    from querywright.finetune.check import find_config, load
    from querywright.finetune.launch import train

    cfg = load(find_config(config), overrides or [])
    if check:
        from omegaconf import OmegaConf

        typer.echo(OmegaConf.to_yaml(cfg), nl=False)
        return
    raise typer.Exit(train(cfg))


app.command("plan")(plan)


@app.command()
def hosted(
    train: Annotated[Path, typer.Argument(help="chat JSON lines, such as train.chat.jsonl")],
    base_model: Annotated[str, typer.Option(help="the model to start from, as the server calls it")],
    out: Annotated[Path, typer.Option(help="folder for the state and the result")],
    valid: Annotated[Path | None, typer.Option(help="chat JSON lines to validate on")] = None,
    n_epochs: Annotated[int | None, typer.Option(min=1, help="times over the rows; else the server decides")] = None,
    base_url: Annotated[str, typer.Option(help="a server that speaks OpenAI's API")] = "https://api.openai.com/v1",
    suffix: Annotated[str, typer.Option(help="a part of the new model's name")] = "",
    seed: int | None = None,
    poll_s: Annotated[float, typer.Option(min=0.05, help="seconds between two looks at the job")] = 20.0,
    cancel: Annotated[bool, typer.Option("--cancel", help="stop the job that was started with these options")] = False,
) -> None:
    """Fine-tune at a server: upload, create, wait; run again, it goes on.

    The key: OPENAI_API_KEY (at OpenAI), else QUERYWRIGHT_SERVER_KEY.
    """
    from querywright.finetune.hosted import Order, run

    order = Order(train, base_model, out, valid, base_url, n_epochs, suffix, seed)
    made = run(order, poll_s=poll_s, cancel=cancel)
    typer.echo(made.get("model") or made["status"])
