"""`querywright export`: what a finished training run is used through."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False, help="Adapter, merged checkpoint, GGUF, Modelfile and model card of a finished training run."
)


@app.command()
def export(
    config: Annotated[
        str, typer.Argument(help="the config that was trained, by file or name; or an adapter (folder, or general)")
    ],
    overrides: Annotated[list[str] | None, typer.Argument(help="key=value, as they were given to finetune")] = None,
    api: Annotated[
        str | None, typer.Option("--api", help="the API's name or definition; default: the workspace's name")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="default: above the run's folder, unless its base is there; an export is replaced"),
    ] = None,
    merged: Annotated[bool, typer.Option(help="also the merged checkpoint, of the base's size")] = True,
    kinds: Annotated[
        str, typer.Option("--kinds", help="GGUF files, a comma between them; empty for none")
    ] = "q8_0,q4_k_m,f16",
    parity: Annotated[
        int, typer.Option("--parity", min=0, help="held-out requests on which all files must answer alike; 0: no check")
    ] = 50,
    scores: Annotated[
        list[Path] | None, typer.Option("--scores", help="scores.json for the card; default: all of the workspace")
    ] = None,
    base: Annotated[
        Path | None, typer.Option("--base", help="of an adapter, the checkpoint it was trained on; default: SmolLM2")
    ] = None,
) -> None:
    """Make what the run of CONFIG is used through; a second time, only what is missing.

    Of an adapter alone, only the merged checkpoint, OUT/checkpoint: what DPO starts from.
    """
    from querywright.errors import QuerywrightError
    from querywright.finetune.check import find_config, load
    from querywright.finetune.export import export as run
    from querywright.finetune.export import place
    from querywright.finetune.merged import adapter_folder, merge_adapter

    if adapter := adapter_folder(config):
        if out is None or overrides:
            raise QuerywrightError("an adapter is merged into a folder of its own", hint="--out FOLDER, no overrides")
        typer.echo(merge_adapter(adapter, out, *([base] if base else [])))
        return
    if base:
        raise QuerywrightError("--base is for an adapter", hint="of a run: checkpointer.checkpoint_dir=FOLDER")
    cfg = load(find_config(config), overrides or [])
    folder = Path(cfg.output_dir)
    workspace = Path(cfg.get("workspace") or folder.parent.parent)
    found = scores or [*workspace.glob("eval/scores.json"), *sorted(workspace.glob("eval/*/scores.json"))]
    missing = [str(path) for path in found if not path.is_file()]
    if missing:
        raise QuerywrightError(f"no scores in {', '.join(missing)}", hint="querywright eval CONFIG writes them")
    name, known = _identity(api or workspace.name)
    wanted = [kind.strip().lower() for kind in kinds.split(",") if kind.strip()]
    trained_on = Path(cfg.checkpointer.checkpoint_dir)
    made = run(
        folder, out or place(folder, trained_on), name, base=trained_on, merged=merged, kinds=wanted, parity=parity,
        scores=found, definition=known,
    )  # fmt: skip
    typer.echo(made)


def _identity(api: str) -> tuple[str, str]:
    """An API's name and its definition's id; a name without a definition stays a name."""
    from querywright.api.definition import load
    from querywright.api.identity import definition_id
    from querywright.errors import QuerywrightError

    try:
        definition = load(api)
    except QuerywrightError:
        if Path(api).suffix or Path(api).exists():
            raise
        return api, ""
    return definition.name, definition_id(definition)
