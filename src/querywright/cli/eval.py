"""`querywright eval`: a sweep over models, strategies and decodings; responses, scores, report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from querywright.api.definition import API
    from querywright.evaluate.config import Config
    from querywright.evaluate.sweep import Asker, Source
    from querywright.rows import Message

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A sweep: responses, scores, report.")


@app.command()
def command(
    config: Annotated[Path, typer.Argument(help="A sweep, such as eval_configs/mygene_quick.yaml.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Laid over the file.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model: a name in CONFIG, or a path.")] = None,
    strategy: Annotated[str | None, typer.Option(help="Only this strategy.")] = None,
    decoding: Annotated[str | None, typer.Option(help="Only this decoding.")] = None,
    json_scores: Annotated[bool, typer.Option("--json", help="Print the scores of all cells as JSON.")] = False,
) -> None:
    """Ask every model of CONFIG the same sentences, score the calls, and report.

    Stopped, the same command goes on where it was. External sentences: pairs=FILE with rows of api, instruction, path.
    """
    from querywright.evaluate.config import load, select

    chosen = select(load(config, overrides or []), model=model, strategy=strategy, decoding=decoding)
    run(chosen, json_scores=json_scores)


def run(config: Config, *, json_scores: bool = False) -> dict[str, Any]:
    """Run a sweep and print its report; returns the scores."""
    from rich.console import Console

    from querywright.api.definition import load
    from querywright.evaluate import report, score, suite, sweep
    from querywright.progress import say

    api = load(config.api)
    pairs = suite.load(api, config.pairs, config.seed)
    if any("icl" in cell.strategy for cell in sweep.cells(config)):
        suite.check_examples(config.examples, pairs)
    sources = sources_of(config, api)
    executor = None
    if config.execute:
        from querywright.api.executors import EmbeddedExecutor

        executor = EmbeddedExecutor(api, config.records or None)
    scores = score.score(api, sweep.run(config, pairs, sources), executor, config.seed)
    files = report.write(config, scores)
    if json_scores:
        print(json.dumps(score.finite({"cells": scores["cells"], "paired": scores["paired"]})))
    else:
        console = Console()
        if not console.is_terminal:
            console = Console(width=120)
        console.print(report.table(scores, f"{api.title}: {config.name}", narrow=console.width < 100))
        if (refusals := report.refusals(scores)) is not None:
            console.print(refusals)
        console.print(report.problems(scores))
    say(f"written to {config.out}: {', '.join(path.name for path in files)}")
    return scores


def sources_of(config: Config, api: API) -> dict[str, Source]:
    """What answers for each model of a sweep. Nothing is loaded yet; missing models are all named."""
    from querywright.artefacts import content_id, data_dir
    from querywright.errors import QuerywrightError
    from querywright.evaluate.sweep import Source, fingerprint

    paths = {name: _path(model.path) for name, model in config.models.items()}
    local = {name: Path(path.removeprefix("outlines:")) for name, path in paths.items() if "://" not in path}
    missing = [f"{name} ({path})" for name, path in local.items() if not path.exists()]
    if missing:
        there = [name for name in paths if name not in local or local[name].exists()]
        raise QuerywrightError(
            f"no model at the path of {', '.join(missing)}",
            hint="querywright export makes one" + (f"; or --model {there[0]} for what is there" if there else ""),
        )
    shared = {"definition": content_id(api.model_dump_json()), "prompts": fingerprint(data_dir() / "prompts")}
    if Path(config.examples).is_file():
        shared["examples"] = fingerprint(config.examples)
    return {
        name: Source(
            _opener(config, api, path), {"weights": fingerprint(local[name]) if name in local else path, **shared}
        )
        for name, path in paths.items()
    }


def _path(given: str) -> str:
    if given == "base":
        from querywright.finetune.base import packaged_gguf

        return str(packaged_gguf())
    return given


def _opener(config: Config, api: API, path: str) -> Any:
    @contextmanager
    def opened() -> Iterator[Asker]:
        from querywright.engines.base import EngineError
        from querywright.engines.open import open_engine
        from querywright.evaluate.vote import vote
        from querywright.generate.answer import sample
        from querywright.generate.prompts import strategy

        engine = open_engine(path, threads=config.threads)
        cache = Path(config.out).parent / "retrieval"

        @lru_cache
        def prompt(name: str) -> Any:
            return strategy(name, api, examples=config.examples, cache=cache, seed=config.seed)

        def ask(cell: Any, instruction: str, seed: int, turns: Sequence[Message] = ()) -> dict[str, Any]:
            grounded = cell.decoding == "grounded"
            try:
                answers = sample(
                    api, instruction, engine, prompt(cell.strategy), "grammar" if grounded else cell.decoding,
                    turns=turns, grounded=grounded, refuse=config.refuses(cell.strategy),
                    max_tokens=cell.max_tokens, seed=seed, n=config.n,
                    temperature=config.temperature if config.n > 1 else 0.0,
                )  # fmt: skip
            except EngineError as error:  # this sentence has no answer; the next may have one
                return {"prompt": "", "response": "", "path": "", "ok": False, "reason": str(error), "finish": "error"}
            rows = []
            for answer in answers:
                row = answer.as_dict()
                row["response"], row["tokens_out"] = row.pop("text"), row.pop("tokens")
                rows.append(row)
            return rows[0] if config.n == 1 else vote(api, rows)

        try:
            yield ask
        finally:
            engine.close()

    return opened
