"""`querywright preferences respond`: prompts to the answers of several models."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from querywright.cli.many_values import ManyValues, values

if TYPE_CHECKING:
    from querywright.api.definition import API
    from querywright.engines.base import Completion, Grammar, Message
    from querywright.engines.catalogue import Entry
    from querywright.preferences.responses import Way


def register(app: typer.Typer) -> None:
    """Put the command into a group."""
    app.command("respond", cls=ManyValues)(respond)


def respond(
    name: Annotated[str, typer.Option(help="of this set: its folder in --target")],
    source: Annotated[list[str], typer.Option(help="prompts, JSON lines with `text`: files, or a pattern in quotes")],
    target: Annotated[Path, typer.Option(help="folder of sets")],
    batch_size: Annotated[
        int, typer.Option(min=1, max=1024, help="requests that a server has at once; prompts computed together")
    ] = 128,
    without: Annotated[
        list[str] | None, typer.Option("-x", "--exclude", help="models to leave out: NAME NAME, or NAME,NAME")
    ] = None,
    only: Annotated[list[str] | None, typer.Option("-y", "--only", help="only these models, in the same way")] = None,
    models: Annotated[Path | None, typer.Option(help="a catalogue of models (YAML); else the shipped one")] = None,
    rows_per_shard: Annotated[int, typer.Option(min=1, help="prompts a file")] = 250,
    api: Annotated[
        str | None, typer.Option(help="the prompts are sentences for this API, the answers its calls")
    ] = None,
    workspace: Annotated[Path | None, typer.Option(help="of the API, for model and examples; work/API")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="only the first so many prompts")] = None,
    budget: Annotated[float | None, typer.Option(min=0.0, help="money never exceeded, earlier runs included")] = None,
    max_tokens_total: Annotated[int | None, typer.Option(min=0, help="the same in tokens, in and out")] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="print what is left to ask and what it costs at most, as JSON, and stop")
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="of local models")] = None,
) -> None:
    """Ask every model of a catalogue every prompt; stopped, the same command goes on."""
    from querywright.api.definition import load
    from querywright.engines.catalogue import choose, default_catalogue, read_catalogue
    from querywright.errors import QuerywrightError
    from querywright.finetune.shipped import located
    from querywright.preferences.prompts import read_prompts
    from querywright.preferences.respond import estimate as count
    from querywright.preferences.respond import respond as run
    from querywright.preferences.responses import plain_way
    from querywright.progress import say

    definition = load(api) if api else None
    catalogue = read_catalogue(models or default_catalogue(definition is not None))
    chosen = choose([*catalogue], values(only), values(without))
    entries = {one: catalogue[one] for one in chosen}
    if threads:
        entries = {one: entry.model_copy(update={"threads": threads}) for one, entry in entries.items()}
    odd = [one for one, entry in entries.items() if not definition and (entry.strategy or entry.decoding)]
    if odd:
        raise QuerywrightError(f"{', '.join(odd)}: strategy and decoding are an API's", hint="--api NAME, or -x these")
    rows = read_prompts(source, pairs=definition is not None, into=target / name)[:limit]
    if definition and any(row.get("system") for row in rows):
        say("the prompts' own system messages are left out: an API's sentences have one of its strategy")
    home = workspace or Path("work") / (definition.name if definition else "")

    def way(entry: Entry) -> Way:
        return _api_way(definition, entry, home) if definition else plain_way(entry.system)

    @lru_cache
    def locate(model: str) -> str:
        return located(model, definition, home)

    if estimate:
        print(json.dumps(count(rows, entries, target, name, locate=locate, way=way), indent=2))
        return
    run(
        rows, entries, target, name, locate=locate, way=way,
        batch_size=batch_size, per_shard=rows_per_shard, money=budget, tokens=max_tokens_total,
    )  # fmt: skip


def _api_way(api: API, entry: Entry, home: Path) -> Way:
    """A sentence as `querywright ask` puts it to a model; the answer as models learn to write calls, where it is one.

    A row's `response` is a call's readable form, with its values made whole; `wrote` is what the model wrote, where
    that differs. What is no call stays as it came.
    """
    from querywright.api.call import parse
    from querywright.artefacts import content_id, data_dir
    from querywright.generate.answer import grammar_for, judge, prepare
    from querywright.generate.prompts import strategy
    from querywright.generate.turns import heard
    from querywright.preferences.responses import Way

    named, decoding = entry.strategy or "tuned", entry.decoding or "grammar"
    grammar_for(api, decoding)
    examples = home / "pairs" / "train.jsonl"
    build = strategy(named, api, examples=examples, cache=home / "retrieval", seed=entry.seed)
    tuned = named == "tuned"
    grounded, refuse = decoding == "grounded" or (tuned and decoding == "grammar"), tuned

    def ask(row: dict[str, Any]) -> tuple[list[Message], Grammar | None]:
        messages, grammar, _ = prepare(
            api, row["text"], build, decoding, turns=row.get("turns") or (), grounded=grounded, refuse=refuse,  # type: ignore[arg-type]
        )  # fmt: skip
        return messages, grammar

    def read(row: dict[str, Any], done: Completion) -> dict[str, Any]:
        said = heard(api, row["text"], row.get("turns") or ()) if grounded else None
        answer = judge(api, done, [], said)
        response = parse(api, answer.path).text if answer.ok else done.text.strip()
        return {"response": response, **({"wrote": done.text} if response != done.text else {})}

    prompts = sorted(p for p in (data_dir() / "prompts").glob("*") if p.is_file())
    about = {
        "api": api.name, "definition": content_id(api.model_dump_json()), "strategy": named, "decoding": decoding,
        "prompts": content_id("".join(p.read_text(encoding="utf-8") for p in prompts)),
        **({"examples": content_id(examples.read_text(encoding="utf-8"))} if "icl" in named else {}),
    }  # fmt: skip
    return Way(ask, read, about)
