"""What an evaluation asks, out of its request: a config by names of the catalogue, and the sweep over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from querywright.artefacts import write_jsonl
from querywright.engines.catalogue import Entry, public
from querywright.engines.keys import key_of
from querywright.engines.open import is_address
from querywright.errors import QuerywrightError
from server.evaluation.chosen import taken
from server.evaluation.settings import Settings

if TYPE_CHECKING:
    from querywright.questions.chunks import Chunk

NAME = "evaluation"
"""Of what is written: `responses_evaluation.jsonl`."""
Found = tuple[dict[str, Any], dict[str, Any]]
"""What came out, and the resolved config, without what teams may not see."""


def questions(
    settings: Settings, args: Mapping[str, Any], rows: Sequence[dict[str, Any]],
    chunks: Callable[[], list[Chunk]], out: Path,
) -> Found:  # fmt: skip
    """Ask models questions: alone, with their window's passages, or with retrieved ones.

    Args:
        chunks: the document's, read where a strategy shows them.

    Raises:
        QuerywrightError: an unknown model, nothing to show, or a model that is gone.
    """
    from querywright.evaluate.questions import evaluate_questions
    from querywright.evaluate.questions_ask import sources_of
    from querywright.evaluate.questions_config import check
    from querywright.finetune.shipped import located

    judge = args.get("judge") or None
    entries = taken(settings.models, [*args["models"], *([judge] if judge else [])])
    raw: dict[str, Any] = {
        "name": NAME, "models": {name: entries[name] for name in args["models"]},
        **{key: args[key] for key in ("strategies", "n", "limit", "seed", "k") if args.get(key) is not None},
        **({"judge": {"name": judge, "entry": entries[judge]}} if judge else {}),
        "text_scores": {"meteor": True, "bertscore": settings.encoder},
    }  # fmt: skip
    config = check(raw, "the request")
    passages = chunks() if {"window", "rag"} & {*config.strategies} else []
    retriever = None
    if "rag" in config.strategies:
        if not passages:
            raise QuerywrightError(
                "the strategy rag needs a document, and this run's rows were posted without one",
                hint="the strategies closed and window; or a generation from an upload",
            )
        from querywright.questions.retrieve import open_retriever

        retriever = open_retriever(passages, out.parent / "retrieval")
    found = evaluate_questions(
        rows, passages, config, sources_of(config.entries, located), out, retriever=retriever
    )  # fmt: skip
    told = {
        "models": list(args["models"]), "strategies": list(config.strategies), "n": list(config.n), "k": config.k,
        "limit": config.limit, "seed": config.seed, "judge": judge, "rows": len(rows), "kind": "questions",
        "encoder": Path(settings.encoder).name,
        "entries": {name: public(entry) for name, entry in entries.items()},
    }  # fmt: skip
    return found, told


def calls(settings: Settings, args: Mapping[str, Any], rows: Sequence[dict[str, Any]], out: Path) -> Found:
    """Ask models sentences for an API: the sweep of `querywright eval`.

    Args:
        rows: `instruction` and `path`, as `evaluate.suite` reads them.

    Raises:
        QuerywrightError: no API was named or it is not shipped, an unknown model, or one that is not there.
    """
    from querywright.api.definition import shipped
    from querywright.cli.eval_models import scored
    from querywright.evaluate.config import check
    from querywright.evaluate.score import finite

    api = args.get("api")
    if api not in shipped():
        said = f"no API {api!r}" if api else "these rows are sentences with calls, and no API was named"
        raise QuerywrightError(said, hint=f"api: one of {', '.join(shipped())}")
    entries = taken(settings.models, args["models"])
    pairs = out.parent / "pairs.jsonl"
    write_jsonl(pairs, rows)
    raw = {
        # calls are compared by what they mean; to run them all would first make an index of the API's records
        "api": api, "name": NAME, "pairs": str(pairs), "out": str(out), "execute": False,
        **{key: args[key] for key in ("limit", "seed", "n") if args.get(key) is not None},
        "models": {name: _swept(entry, args.get("strategies")) for name, entry in entries.items()},
    }  # fmt: skip
    config = check(raw, "the request")
    keys = {name: key_of(entry.api_key or "", name) for name, entry in entries.items()}
    found, _ = scored(config, keys=keys)
    told = {
        "api": api, "models": [*entries], "strategies": args.get("strategies"), "n": list(config.n),
        "limit": config.limit, "seed": config.seed, "rows": len(rows), "kind": "calls",
        "entries": {name: public(entry) for name, entry in entries.items()},
    }  # fmt: skip
    return finite(found), told


def _swept(entry: Entry, strategies: list[str] | None) -> dict[str, Any]:
    """An entry of the catalogue as a sweep's config has it."""
    tuned = entry.model == "tuned"
    return {
        "path": entry.adapter or entry.model, "max_tokens": min(max(entry.max_tokens, 8), 2048),  # what a call may need
        "strategies": strategies or [entry.strategy or ("tuned" if tuned else "zero_shot")],
        # few servers take grammars
        "decodings": [entry.decoding or ("free" if is_address(entry.model) else "grammar")],
    }  # fmt: skip
