"""What an evaluation asks, out of its request: a config by names of the catalogue, and the sweep over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from querywright.artefacts import write_jsonl
from querywright.engines.catalogue import Entry, public, read_catalogue
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


def fitting(settings: Settings, args: Mapping[str, Any], calls: bool, document: bool) -> None:
    """See that the rows of a run can be asked as a request says.

    Args:
        calls: they are sentences with calls, not questions.
        document: the run goes back to one.

    Raises:
        QuerywrightError: an API or a judge too many, no API or one that is not shipped, strategies of the other kind,
            `rag` by name where there is nothing to retrieve, or models that can't be asked for calls as their entries
            say.
    """
    from querywright.api.definition import shipped
    from querywright.evaluate import models, questions_config

    api, named = args.get("api"), args.get("strategies") or ()
    if not calls and api:
        raise QuerywrightError("these rows are questions, and an API is for sentences with calls", hint="without api")
    if calls and api not in shipped():
        said = f"no API {api!r}" if api else "these rows are sentences with calls, and no API was named"
        raise QuerywrightError(said, hint=f"api: one of {', '.join(shipped())}")
    if calls and args.get("judge"):
        raise QuerywrightError("calls are compared by what they mean, and not judged", hint="without judge")
    known = get_args(models.Strategy if calls else questions_config.Strategy)
    if odd := [name for name in named if name not in known]:
        rows = "sentences with calls" if calls else "questions"
        raise QuerywrightError(f"these rows are {rows}, and {', '.join(odd)} is for others", hint=", ".join(known))
    if not calls and "rag" in named and not document:  # where nobody named it, it is left out, and told
        raise QuerywrightError(
            "the strategy rag needs a document, and this run's rows were posted without one",
            hint="the strategies closed and window; or a generation from an upload",
        )
    if calls:
        _sampling(settings, taken(settings.models, args["models"]), args.get("n") or 1)


def questions(
    settings: Settings, args: Mapping[str, Any], rows: Sequence[dict[str, Any]],
    chunks: Callable[[], list[Chunk]], out: Path,
) -> Found:  # fmt: skip
    """Ask models questions: alone, with their window's passages, or with retrieved ones.

    Args:
        chunks: the document's, read where a strategy shows them.

    Raises:
        QuerywrightError: an unknown model, nothing to show, an API, or a model that is gone.
    """
    from querywright.evaluate.questions import evaluate_questions
    from querywright.evaluate.questions_ask import sources_of
    from querywright.evaluate.questions_config import check
    from querywright.finetune.shipped import located

    fitting(settings, args, calls=False, document=True)
    judge = args.get("judge") or None
    entries = taken(settings.models, [*args["models"], *([judge] if judge else [])])
    raw: dict[str, Any] = {
        "name": NAME, "models": {name: entries[name] for name in args["models"]},
        **{key: args[key] for key in ("strategies", "n", "limit", "seed") if args.get(key) is not None},
        **({"judge": {"name": judge, "entry": entries[judge]}} if judge else {}),
        "text_scores": {"meteor": True, "bertscore": settings.encoder},
    }  # fmt: skip
    config = check(raw, "the request")
    passages = chunks() if {"window", "rag"} & {*config.strategies} else []
    retriever = None
    fitting(settings, args, calls=False, document=bool(passages))
    if "rag" in config.strategies and passages:
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
    """Ask models sentences for an API: the sweep of `querywright eval`. Of an entry it takes model, strategy, decoding
    and length; seed and number of samples are the evaluation's, as they are of questions.

    Args:
        rows: `instruction` and `path`, as `evaluate.suite` reads them.

    Raises:
        QuerywrightError: no API was named or it is not shipped, a judge, an unknown model, one that can't be asked as
            its entry says, or one that is not there or gone.
    """
    from querywright.cli.eval_models import scored
    from querywright.evaluate.config import check
    from querywright.evaluate.score import finite
    from querywright.evaluate.sweep import cells

    fitting(settings, args, calls=True, document=False)
    api = args["api"]
    entries = taken(settings.models, args["models"])
    sampling = _sampling(settings, entries, args.get("n") or 1)
    pairs = out.parent / "pairs.jsonl"
    write_jsonl(pairs, rows)
    raw = {
        # calls are compared by what they mean; to run them all would first make an index of the API's records
        "api": api, "name": NAME, "pairs": str(pairs), "out": str(out), "execute": False,
        **{key: args[key] for key in ("limit", "seed", "n") if args.get(key) is not None}, **sampling,
        "models": {name: _swept(entry, args.get("strategies")) for name, entry in entries.items()},
    }  # fmt: skip
    config = check(raw, "the request")
    keys = {name: key_of(entry.api_key or "", name) for name, entry in entries.items()}
    found, _ = scored(config, keys=keys)
    there = {(cell["model"], cell["strategy"], cell["decoding"]) for cell in found["cells"]}
    left_out = [one.name for one in cells(config) if (one.model, one.strategy, one.decoding) not in there]
    told = {
        "api": api, "models": [*entries], "strategies": args.get("strategies"), "n": list(config.n),
        "limit": config.limit, "seed": config.seed, "rows": len(rows), "kind": "calls",
        "temperature": config.temperature if max(config.n) > 1 else 0.0,
        "entries": {
            name: {key: value for key, value in public(entry).items() if key in ("model", "adapter")}
            | config.models[name].model_dump(mode="json", exclude={"path"}, exclude_none=True)
            for name, entry in entries.items()
        },
    }  # fmt: skip
    return finite({**found, "left_out": left_out}), told  # the job's log says why


def _sampling(settings: Settings, entries: Mapping[str, Entry], n: int) -> dict[str, Any]:
    """What a sweep has once for all its models, out of their entries.

    Raises:
        QuerywrightError: it can't ask them as their entries say. They would be other models under their names.
    """
    if odd := {name: why for name, entry in entries.items() if (why := _unfit(entry, n))}:
        fit = [name for name, entry in read_catalogue(settings.models).items() if not _unfit(entry, n)]
        raise QuerywrightError(
            "not for sentences with calls: " + "; ".join(f"{name} {why}" for name, why in odd.items()),
            hint=f"{', '.join(fit) or 'none of this catalogue'} can be asked",
        )
    warmth = {entry.temperature for entry in entries.values()}
    if n > 1 and len(warmth) > 1:
        listed = ", ".join(f"{name} {entry.temperature:g}" for name, entry in entries.items())
        raise QuerywrightError(
            f"calls are sampled at one temperature, and these have several: {listed}", hint="an evaluation for each"
        )
    threads = [entry.threads for entry in entries.values() if entry.threads]
    return {
        **({"temperature": max(warmth)} if n > 1 and any(warmth) else {}),
        **({"threads": min(threads)} if threads else {}),  # what none of them is too much for
    }


def _unfit(entry: Entry, n: int) -> str:
    """Why a sweep over calls can't ask a model as its entry says, empty where it can."""
    if entry.system:
        return "has a system message, and the API's prompts have their own"
    if entry.temperature and n == 1:
        return f"is sampled at temperature {entry.temperature:g}, and of calls the most likely one is taken"
    return ""


def _swept(entry: Entry, strategies: list[str] | None) -> dict[str, Any]:
    """An entry of the catalogue as a sweep's config has it."""
    tuned = entry.model == "tuned"
    return {
        "path": entry.adapter or entry.model, "max_tokens": min(max(entry.max_tokens, 8), 2048),  # what a call may need
        "strategies": strategies or [entry.strategy or ("tuned" if tuned else "zero_shot")],
        # few servers take grammars
        "decodings": [entry.decoding or ("free" if is_address(entry.model) else "grammar")],
    }  # fmt: skip
