"""`querywright ask`: one sentence, or a file of them, to calls."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from querywright.api.definition import API

app = typer.Typer(add_completion=False, help="Write the call that a sentence asks for.")


def _tuned(api: API, workspace: Path) -> str:
    from querywright.finetune.shipped import ensure_model

    return str(ensure_model(api, workspace))


@app.command()
def ask(
    api: Annotated[str, typer.Option("--api", help="A shipped API's name, or a definition file.")],
    sentence: Annotated[str | None, typer.Argument(help="What to ask for, in English.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="A GGUF file, a checkpoint folder or a URL; else the tuned model.")
    ] = None,
    adapter: Annotated[Path | None, typer.Option("--adapter", help="A PEFT adapter for a checkpoint folder.")] = None,
    strategy: Annotated[
        str, typer.Option("--strategy", help="The prompt: tuned, zero_shot, icl, icl_nearest, rag, rag_docs, rag_icl.")
    ] = "tuned",
    decoding: Annotated[
        str, typer.Option("--decoding", help="What may be written: grammar, grounded, regex, gbnf, free.")
    ] = "grammar",
    grounded: Annotated[
        bool | None,
        typer.Option("--grounded/--not-grounded", help="Values only from the sentence (tuned: on)."),
    ] = None,
    refuse: Annotated[
        bool | None,
        typer.Option("--refuse/--always-call", help="Whether the model may refuse what no call answers (tuned: yes)."),
    ] = None,
    examples: Annotated[Path | None, typer.Option("--examples", help="Pairs that icl shows.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="JSON lines: instruction, perhaps turns.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where its answers go; interrupted, it goes on.")] = None,
    workspace: Annotated[
        Path | None, typer.Option("--workspace", help="Folder of model, index and pairs; default: work/API.")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Half of the cores by default.")] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, max=4096)] = 200,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")] = False,
    hits: Annotated[bool, typer.Option("--hits", help="Also run it on the embedded records.")] = False,
    n: Annotated[int, typer.Option("--n", "-n", min=1, max=32, help="Answers of the model to choose from.")] = 1,
    execute: Annotated[
        bool, typer.Option("--execute", help="Run what is chosen from on the embedded records: does it find anything?")
    ] = False,
    min_confidence: Annotated[
        float, typer.Option("--min-confidence", min=0.0, max=1.0, help="Give no answer that is less sure than this.")
    ] = 0.0,
) -> None:
    """Write the call that a sentence asks for: the path on standard output, everything else on standard error.

    Exit code 0 where it is a call, 1 where the model gave none, refused, or is not sure enough (the reason is on
    standard error).
    """
    from querywright.api.definition import load
    from querywright.errors import QuerywrightError
    from querywright.generate import batch
    from querywright.pairs.reader import judged
    from querywright.progress import say

    if (sentence is None) == (file is None):
        raise QuerywrightError(
            "give one sentence, or --file", hint='querywright ask --api mygene "SENTENCE", or --file F'
        )
    if file is not None and out is None:
        raise QuerywrightError("--file needs --out", hint=f"--out {file.with_suffix('.answers.jsonl')}")
    folder = workspace or Path("work") / load(api).name
    work = batch.open_session(
        api, folder, model=model or _tuned(load(api), folder), adapter=adapter,
        strategy=strategy, decoding=decoding, grounded=grounded, refuse=refuse,
        examples=examples, threads=threads, max_tokens=max_tokens, seed=seed,
        n=n, reader=judged, execute=execute, least=min_confidence,
    )  # fmt: skip
    with work as session:
        if file is not None and out is not None:
            say(batch.run(session, file, out))
            return
        got = session.answer(sentence or "")
    if as_json:
        print(json.dumps({k: v for k, v in got.as_dict().items() if k != "prompt"}, ensure_ascii=False))
    elif got.ok and not got.abstained:
        print(got.path)
    why = "" if got.ok else f"; refused: {got.reason}" if got.refused else f"; no call: {got.reason}"
    sure = "" if got.confidence is None else f", confidence {got.confidence:.2f}"
    sure += "" if got.calibrated or not sure else " (not calibrated)"
    say(f"{got.tokens} tokens, {got.ms:.0f} ms{sure}{why}")
    if got.abstained:
        say(f"not sure enough: --min-confidence {min_confidence:g}" + (f"; the guess: {got.path}" if got.ok else ""))
    if got.ok and hits and not got.abstained:
        from querywright.generate.show import explained, found

        definition = load(api)
        say(explained(definition, got.path))
        say(found(definition, got.path, folder))
    if not got.ok or got.abstained:
        if not got.ok and not as_json and not got.refused:
            say(f"the model wrote: {got.text}")
        sys.exit(1)
