"""`querywright events`: a workspace's conversations to rows, and a model of who answers next, measured."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False, help="Who answers next: examples from a workspace's conversations.", no_args_is_help=True
)


class Task(StrEnum):
    """What is asked."""

    next = "next"
    set = "set"


class Style(StrEnum):
    """Where the answer stands."""

    chat = "chat"
    completion = "completion"


class Rest(StrEnum):
    """What becomes of answers of people without a label."""

    nil = "nil"
    drop = "drop"


@app.command()
def build(
    source: Annotated[Path, typer.Argument(help="JSON lines of events, or the folder of a Slack export")],
    out: Annotated[Path, typer.Option(help="folder for train, valid, test, labels.json and report.json")],
    tokenizer: Annotated[
        str | None,
        typer.Option(help="tokenizer.json, a checkpoint's folder, or tiktoken:NAME; default: the base model's"),
    ] = None,
    style: Annotated[
        Style, typer.Option(help="the answer follows a chat's line or, after a space, a prompt")
    ] = Style.chat,
    last: Annotated[int, typer.Option(min=1, help="so many messages are seen")] = 4,
    answer: Annotated[Task, typer.Option(help="the next person who replies, or all who reply or react")] = Task.next,
    window: Annotated[float, typer.Option(min=0.01, help="hours within which an answer has to come")] = 24,
    gap: Annotated[
        float,
        typer.Option(min=0.1, help="minutes of silence after which a channel's next message begins a conversation"),
    ] = 60,
    people: Annotated[int, typer.Option(min=1, help="at most so many people get a label")] = 1000,
    at_least: Annotated[int, typer.Option(min=1, help="answers in train that a person needs for a label")] = 5,
    rest: Annotated[Rest, typer.Option(help="answers of people without a label: nil, or left out")] = Rest.nil,
    min_words: Annotated[int, typer.Option(min=0, help="fewer words to see than this: nil")] = 3,
    max_tokens: Annotated[int, typer.Option(min=8, help="longer prompts lose their oldest messages")] = 400,
    speakers: Annotated[bool, typer.Option(help="show each message's author as a label")] = False,
    reactions: Annotated[bool, typer.Option(help="show reactions that were there before the moment")] = False,
    valid: Annotated[float, typer.Option(min=0.0, max=0.5, help="share of conversations")] = 0.1,
    test: Annotated[float, typer.Option(min=0.0, max=0.5, help="share of conversations, the latest")] = 0.1,
    names: Annotated[bool, typer.Option(help="write people's names beside their ids to labels.json")] = False,
) -> None:
    """Write examples for who answers next, split by conversation and by time."""
    from querywright.events.build import Options
    from querywright.events.build import build as run
    from querywright.events.examples import Settings

    if tokenizer is None:
        from querywright.finetune.base import ensure_base

        tokenizer = str(ensure_base())
    settings = Settings(last, window * 3600, answer.value, reactions)
    options = Options(
        settings, gap * 60, style.value, people, at_least, min_words, rest.value, speakers, max_tokens,
        valid, test, names,
    )  # fmt: skip
    run(source, out, tokenizer, options)


@app.command()
def validate(
    folder: Annotated[Path, typer.Argument(help="what `events build` wrote")],
    model: Annotated[str, typer.Option(help="checkpoint folder, or GGUF file")],
    adapter: Annotated[Path | None, typer.Option(help="a PEFT adapter for the checkpoint")] = None,
    part: Annotated[str, typer.Option(help="valid or test")] = "valid",
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help="an alert needs this probability")] = 0.5,
    batch: Annotated[int, typer.Option(min=1, help="rows in one forward pass")] = 16,
    out: Annotated[Path | None, typer.Option(help="default: FOLDER/validation")] = None,
) -> None:
    """Score a model on a whole part: accuracy, top 5 by log-probability, precision of alerts, baselines beside it."""
    from querywright.events.validate import validate as run

    typer.echo(run(folder, model, out or folder / "validation", adapter, part, threshold, batch))
