"""`querywright conversations fit-user`: a model that plays the user, tuned on a chat corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

CONFIG = "smollm2_135m_user_cpu"
LONG = 12_000  # characters of a row for a server, whose context is not known here


def register(app: typer.Typer) -> None:
    """Put the command into the group."""
    app.command("fit-user")(fit_user)


def fit_user(
    corpus: Annotated[
        list[Path], typer.Option("--corpus", help="chat JSON lines, ShareGPT, or conversations of synthesize; several")
    ],
    out: Annotated[Path, typer.Option("--out", help="folder for rows, run and model")],
    least: Annotated[int, typer.Option(min=1, help="talks that there have to be after deduplication")] = 100,
    near: Annotated[
        float, typer.Option(min=0.5, max=1.0, help="share of three-word runs from which on two users said the same")
    ] = 0.8,
    epochs: Annotated[int | None, typer.Option(min=1, help="times over the rows; else as the config says")] = None,
    config: Annotated[str, typer.Option(help="training config, by name or file")] = CONFIG,
    setting: Annotated[list[str] | None, typer.Option("--set", help="key=value over the training config")] = None,
    rows_only: Annotated[bool, typer.Option("--rows-only", help="write the rows and train nothing")] = False,
    hosted: Annotated[str, typer.Option(help="train at this server instead, which speaks OpenAI's API")] = "",
    base_model: Annotated[str, typer.Option(help="at a server: the model to start from, as it calls it")] = "",
    poll_s: Annotated[float, typer.Option(min=0.05, help="at a server: seconds between two looks at the job")] = 20.0,
) -> None:
    """Fine-tune a model that plays the user: roles exchanged, deduplicated, without protected sentences.

    The last lines are what to write into a config of `conversations synthesize`. Run again, it goes on where it was
    stopped.
    """
    from querywright.conversations.user_model import PLACE, TRAIN, VALID, Wanted, prepare
    from querywright.errors import QuerywrightError

    if hosted and not base_model:
        raise QuerywrightError("a server has to be told what to start from", hint="--base-model NAME")
    if hosted and setting:
        raise QuerywrightError("--set is for training here", hint="--epochs is what a server takes")
    rows = out / PLACE
    words = [f"workspace={out}", f"dataset.source={rows / TRAIN}", f"output_dir={out / 'run'}"]
    words += [f"epochs={epochs}", "max_minutes=null"] if epochs else []
    cfg = None if hosted or rows_only else _checked(config, [*words, *(setting or [])])
    # three characters a token, the system message aside
    longest = LONG if cfg is None else max(200, 3 * (int(cfg.tokenizer.get("max_seq_len") or 512) - 100))
    counts = prepare(corpus, out, Wanted(least, near, longest))
    if rows_only:
        typer.echo(rows / TRAIN)
        return
    if hosted:
        from querywright.finetune.hosted import Order, run

        valid = rows / VALID if counts["valid"] else None
        made = run(Order(rows / TRAIN, base_model, out, valid, hosted, epochs, "user"), poll_s=poll_s)
        entry = {"provider": "openai-compatible", "name": made["model"], "url": hosted}
    else:
        entry = {"provider": "local", "name": str(_trained(cfg, out, rows / VALID))}
    _usable(entry)


def _checked(config: str, words: list[str]) -> Any:
    from querywright.finetune.check import find_config, load

    return load(find_config(config), words)


def _trained(cfg: Any, out: Path, valid: Path) -> Path:
    """Train, write the model's file, compare it with its base; the file.

    Raises:
        typer.Exit: with the training's exit code, where it was stopped or has said what is wrong.
    """
    from querywright.artefacts import read_jsonl, sha256, write_json
    from querywright.conversations.user_measure import held_out, known, told
    from querywright.engines.open import open_engine
    from querywright.finetune.base import is_packaged, packaged_gguf
    from querywright.finetune.gguf import one_gguf
    from querywright.finetune.launch import train
    from querywright.progress import say

    if code := train(cfg):
        raise typer.Exit(code)
    base = Path(cfg.checkpointer.checkpoint_dir)
    model = one_gguf(Path(cfg.output_dir), out / "model" / "user-q8_0.gguf", "user")
    measured, digest = out / "held_out.json", sha256(model)
    if earlier := known(measured, digest):
        say(told(earlier))
        return model
    before, after = open_engine(packaged_gguf() if is_packaged(base) else base), open_engine(model)
    try:
        found = held_out(before, after, read_jsonl(valid))
    finally:
        before.close()
        after.close()
    write_json(measured, {**found, "model_sha256": digest})
    say(told(found))
    return model


def _usable(entry: dict[str, str]) -> None:
    from querywright.progress import say

    lines = [f"{json.dumps('user_llm_' + key)}: {json.dumps(value)}," for key, value in entry.items()]
    say("in a config of `querywright conversations synthesize`:")
    for line in lines:
        typer.echo(line)
