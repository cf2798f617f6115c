"""`querywright conversations synthesize` and `estimate-cost`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from querywright.conversations.cast import Openers
    from querywright.conversations.llm import LLM
    from querywright.engines.base import Engine

Given = Annotated[Path, typer.Option("--config", "-c", help="JSON with comments; data/conversations/ holds examples")]
Number = Annotated[int, typer.Option("--number", "-n", min=1, max=1_000_000, help="so many conversations")]


def register(app: typer.Typer) -> None:
    """Put the commands into the group."""
    app.command("synthesize")(synthesize)
    app.command("estimate-cost")(estimate_cost)


def synthesize(
    config: Given,
    output: Annotated[Path, typer.Option("--output", "-o", help="the JSON file of conversations; answers lie beside")],
    n: Number,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=256, help="conversations at the same time, else the config's")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(min=0.0, help="money never exceeded, earlier runs into --output included")
    ] = None,
    max_tokens_total: Annotated[int | None, typer.Option(min=0, help="the same in tokens, in and out")] = None,
) -> None:
    """Let synthetic users talk with several models, two side by side; run again, it goes on where it was."""
    from querywright.artefacts import apart
    from querywright.conversations import config as configs
    from querywright.conversations.synthesize import Limits
    from querywright.conversations.synthesize import synthesize as run

    apart(config, output=output)
    settings = configs.load(config)
    if concurrency is not None:
        settings = settings.model_copy(update={"concurrency": concurrency})
    run(settings, output, n, openers(), Limits(budget, max_tokens_total))


def estimate_cost(
    config: Given,
    n: Number,
    pilot: Annotated[
        Path | None, typer.Option(help="conversations of a small run with the same models: their lengths are taken")
    ] = None,
) -> None:
    """What a run would cost, in tokens and money, before anything is sent: JSON on standard output."""
    from querywright.conversations import config as configs
    from querywright.conversations.cost import estimate, told
    from querywright.progress import say

    found = estimate(configs.load(config), n, pilot)
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    say(told(found))


def openers() -> Openers:
    """What conversations can't open themselves: the packaged model, and the query assistant."""
    from querywright.conversations.cast import Openers

    engines: dict[tuple[str, str], Engine] = {}  # entries that differ in how they decode share a model
    return Openers(path=_path, assistant=lambda llm: _assistant(llm, engines), assistants_model=_model)


def _path(name: str) -> str:
    from querywright.finetune.base import packaged_gguf

    return str(packaged_gguf()) if name == "base" else name


def _workspace(llm: LLM) -> Path:
    from querywright.api.definition import load

    return Path("work") / load(llm.name).name


def _model(llm: LLM) -> str:
    """The model that the query assistant of an entry asks."""
    from querywright.api.definition import load
    from querywright.finetune.shipped import ensure_model

    tuned = llm.model in ("", "tuned")
    return _path(str(ensure_model(load(llm.name), _workspace(llm))) if tuned else llm.model)


def _assistant(llm: LLM, engines: dict[tuple[str, str], Engine]) -> Engine:
    from querywright.engines.open import open_engine
    from querywright.generate.batch import open_session
    from querywright.generate.responder import Assistant

    path, workspace = _model(llm), _workspace(llm)
    if (path, llm.adapter) not in engines:
        engines[path, llm.adapter] = open_engine(path, adapter=llm.adapter or None, isolated=True)
    session = open_session(
        llm.name, workspace, model=path, strategy=llm.strategy or "tuned", decoding=llm.decoding or "grammar",
        engine=engines[path, llm.adapter],
    )  # fmt: skip
    return Assistant(session)
