"""`querywright questions windows` and `make`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from querywright.questions.again import Again

Document = Annotated[Path, typer.Argument(help="JSON, JSON lines or CSV; its name says which")]
Size = Annotated[int | None, typer.Option("--window-size", help="chunks of a window; else 4, or all of fewer")]
Step = Annotated[
    int | None, typer.Option("--window-step", help="from the start of a window to that of the next, in chunks; else 2")
]


def register(app: typer.Typer) -> None:
    """Put the commands into the group."""
    app.command("windows")(windows)
    app.command("make")(make)


def windows(document: Document, size: Size = None, step: Step = None) -> None:
    """The rolling windows of a document, a line each: first and last chunk, and how the first one begins.

    The last window is the first that reaches the last chunk: it starts where the step puts it, and may be shorter.
    """
    from querywright.engines.fence import clean
    from querywright.progress import say
    from querywright.questions import chunks as documents
    from querywright.questions.windows import fitting
    from querywright.questions.windows import windows as over

    found = documents.read_chunks(document)
    size, step = fitting(len(found), size, step)
    listed = over(len(found), size, step)
    for window in listed:
        typer.echo(f"{window.first}\t{window.last}\t{clean(found[window.first - 1].text[:200])[:60]}")
    say(f"{len(found)} chunks, {len(listed)} windows of {size}, step {step}")


def make(
    document: Document,
    out: Annotated[Path, typer.Option(help="the folder of what is made; a model's answers are kept in it")],
    model: Annotated[
        str, typer.Option(help="rules (no model: for records with fields), base (the packaged one), a path or URL#NAME")
    ] = "rules",
    size: Size = None,
    step: Step = None,
    per_window: Annotated[int, typer.Option(min=1, max=50, help="at most so many questions of a window")] = 2,
    limit: Annotated[int | None, typer.Option(min=1, help="only the first so many windows")] = None,
    top: Annotated[
        int, typer.Option(min=0, max=1000, help="the question has to find its window among so many chunks; 0: no check")
    ] = 3,
    retrieval: Annotated[str, typer.Option(help="it finds it by meaning or words; by default either will do")] = "",
    answered_by: Annotated[
        str | None,
        typer.Option(help="a model that answers each question again; those it answers otherwise are dropped"),
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.0, max=2.0)] = 0.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="requests that a server has at once")] = 4,
    threads: Annotated[int | None, typer.Option(min=1, help="of a local model")] = None,
    budget: Annotated[float | None, typer.Option(min=0.0, help="money never exceeded, earlier runs included")] = None,
    max_tokens_total: Annotated[int | None, typer.Option(min=0, help="the same in tokens, in and out")] = None,
) -> None:
    """Write questions with answers and evidence about every window of a document, check them, and keep what stands.

    Prints the path of the rows; beside them dropped.jsonl says what was not kept and why, report.json how many.
    """
    from querywright.finetune.shipped import located
    from querywright.questions import make as stage
    from querywright.questions.chunks import read_chunks
    from querywright.questions.windows import fitting
    from querywright.questions.windows import windows as over
    from querywright.questions.write import open_writer

    found = read_chunks(document)
    size, step = fitting(len(found), size, step)
    over(len(found), size, step)  # before a model is opened
    writer = open_writer(
        located(model), out, threads=threads, concurrency=concurrency, temperature=temperature, money=budget,
        tokens=max_tokens_total,
    )  # fmt: skip
    again = _again(answered_by, out, threads, concurrency) if answered_by else None
    try:
        rows = stage.make(
            found, size, step, writer, out, per_window=per_window, seed=seed, limit=limit, top=top,
            retrieval=retrieval, again=again,
        )  # fmt: skip
    finally:
        writer.close()
        if again is not None:
            again.close()
    report = json.loads((out / stage.REPORT).read_text(encoding="utf-8"))
    for reason, n in report["dropped"].items():
        typer.echo(f"{n}\t{reason}\t{report['why'][reason]}", err=True)
    typer.echo(rows)


def _again(model: str, out: Path, threads: int | None, concurrency: int) -> Again:
    from querywright.engines.ledger import Ledger
    from querywright.engines.sender import Sender, open_many
    from querywright.finetune.shipped import located
    from querywright.questions.again import Again

    return Again(Sender(open_many(located(model), concurrency, threads=threads), Ledger(out / "again.jsonl")))
