"""`querywright questions eval`: models answer question rows, and are scored against the reference answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from querywright.cli.many_values import values

if TYPE_CHECKING:
    from querywright.evaluate.questions_config import Config


def register(app: typer.Typer) -> None:
    """Put the command into a group."""
    app.command("eval")(evaluate)


def evaluate(
    rows: Annotated[Path, typer.Argument(help="Question rows (.jsonl, .json, .csv), or a config with `rows` (.yaml).")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Laid over the config.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A config; default: eval_configs/questions.yaml.")] = None,
    models: Annotated[list[str] | None, typer.Option(help="Only these: names in the config or the catalogue.")] = None,
    documents: Annotated[Path | None, typer.Option(help="What the rows were made from (.json, .jsonl, .csv).")] = None,
    strategies: Annotated[list[str] | None, typer.Option(help="Only these: closed, window, rag.")] = None,
    judge: Annotated[str | None, typer.Option(help="Who grades the answers: a name, or `none`.")] = None,
    catalogue: Annotated[Path | None, typer.Option(help="A catalogue of models (YAML); else the shipped one.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many questions.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; default: eval/NAME beside the rows.")] = None,
    json_scores: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Ask every model every question, alone or with passages of the documents; score the answers, and report.

    An option takes several values with commas between them. Stopped, the same command goes on where it was. Without
    --documents questions are asked alone, or with their evidence.
    """
    from querywright.artefacts import repo_dir
    from querywright.evaluate import questions_config
    from querywright.evaluate.questions_rows import read_rows

    whole = rows.suffix in (".yaml", ".yml")
    place = config or (rows if whole else repo_dir() / questions_config.EXAMPLE)
    given: dict[str, Any] = {
        "rows": None if whole else str(rows), "documents": documents and str(documents), "out": out and str(out),
        "strategies": values(strategies) or None, "judge": judge and (judge if judge != "none" else {}), "limit": limit,
        "catalogue": catalogue and str(catalogue),
    }  # fmt: skip
    made = questions_config.load(place, overrides or [], values(models), **given)
    found = run(made, read_rows(made.rows) if made.rows else [])
    if json_scores:
        print(json.dumps({key: found[key] for key in ("cells", "paired", "judge")}))
        return
    from rich.console import Console

    from querywright.evaluate.questions_report import table

    console = Console()
    (console if console.is_terminal else Console(width=120)).print(table(found))


def run(config: Config, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Evaluate as a config says; returns what `evaluate_questions` does."""
    from querywright.evaluate.questions import evaluate_questions
    from querywright.evaluate.questions_ask import sources_of
    from querywright.finetune.shipped import located
    from querywright.questions.chunks import kind_of, read_chunks
    from querywright.questions.retrieve import open_retriever

    chunks = read_chunks(Path(config.documents), kind_of(config.documents)) if config.documents else []
    find = open_retriever(chunks) if chunks and "rag" in config.strategies else None
    out = Path(config.out or Path(config.rows).parent / "eval" / config.name)
    return evaluate_questions(rows, chunks, config, sources_of(config.entries, located), out, retriever=find)
