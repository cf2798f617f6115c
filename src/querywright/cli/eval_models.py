"""A sweep of one API, and what answers for each of its models: the engine, and how a sentence is put to it. No command
of its own: `querywright eval` and the evaluation service run it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from querywright.api.definition import API
    from querywright.evaluate.config import Config
    from querywright.evaluate.sweep import Asker, Source
    from querywright.rows import Message


def scored(
    config: Config, *, among: tuple[str, ...] = (), keys: Mapping[str, str | None] | None = None
) -> tuple[dict[str, Any], list[Path]]:
    """Ask, score and write a sweep of one API; stopped, the same call goes on where it was.

    Args:
        among: all APIs of the sweep, where it is one of several: a model that is missing is left out then.
        keys: of models that are servers, by name, where it is not the environment's default one.

    Returns:
        The scores, as `score.score` gives them, and the files, the first to look at first.

    Raises:
        QuerywrightError: no sentences, no model, or no cell gave an answer.
    """
    from querywright.api.definition import load
    from querywright.engines.prices import price_of
    from querywright.evaluate import report, score, suite, sweep
    from querywright.progress import say

    api = load(config.apis[0])
    pairs = suite.load(api, config.pairs, config.seed, [load(one).name for one in among])
    if any("icl" in cell.strategy for cell in sweep.cells(config)):
        suite.check_examples(config.examples, pairs)
    sources, missing = sources_of(config, api, keys)
    config = sweep.only(config, sources, missing, some=len(among) > 1)
    responses = sweep.run(config, pairs, sources)
    executor = records(config, api)
    if config.execute and executor is None:
        say(f"no records of {api.name} here: hits are not scored (records=FILE names some)")
    scores = score.score(
        api, responses, executor, config.seed, text=config.text_scores.model_dump(exclude_defaults=True),
        prices={cell.model: price_of(sources[cell.source].path) for cell in sweep.cells(config)},
    )  # fmt: skip
    return scores, report.write(config, scores)


def sources_of(
    config: Config, api: API, keys: Mapping[str, str | None] | None = None
) -> tuple[dict[str, Source], dict[str, str]]:
    """What answers for each model of a sweep, by `Cell.source`; nothing is loaded yet.

    Args:
        keys: see `scored`.

    Returns:
        The sources, and the paths of those that are not there.
    """
    from querywright.api.docs import docs_file
    from querywright.artefacts import content_id, data_dir
    from querywright.errors import QuerywrightError
    from querywright.evaluate.sweep import Source, cells, fingerprint
    from querywright.finetune.shipped import ensure_model
    from querywright.generate.confidence import calibration_of

    shared = {"definition": content_id(api.model_dump_json()), "prompts": fingerprint(data_dir() / "prompts")}
    if Path(config.examples).is_file():
        shared["examples"] = fingerprint(config.examples)
    if (docs := docs_file(api)) is not None:
        shared["docs"] = fingerprint(docs)
    found: dict[str, Source] = {}
    missing: dict[str, str] = {}
    for cell in {cell.source: cell for cell in cells(config)}.values():
        given = config.models[cell.model].path_for(cell.engine)
        if given == "tuned":
            try:
                given = str(ensure_model(api, Path("work") / api.name))
            except QuerywrightError as error:
                missing[cell.source] = str(error)
                continue
        path = model_path(given, cell.engine)
        if "://" in path:
            weights = path
        elif not (local := Path(path.removeprefix("outlines:"))).exists():
            missing[cell.source] = str(local)
            continue
        else:
            weights = fingerprint(local)
        fits = calibration_of(api, path)
        own = {"calibration": content_id(repr(fits))} if fits else {}
        opener = _opener(config, api, path, (keys or {}).get(cell.model))
        found[cell.source] = Source(opener, {"weights": weights, **own, **shared}, path)
    return found, missing


def records(config: Config, api: API) -> Any:
    """What runs the calls, None where they are not run: not asked for, or no records to search."""
    from querywright.api.executors import EmbeddedExecutor

    if not config.execute or not (config.records or api.records):
        return None
    return EmbeddedExecutor(api, config.records or None)


def model_path(given: str, engine: str) -> str:
    """The path that `open_engine` takes for a model's path in a sweep; `base` is the base model as it is packaged."""
    from querywright.evaluate.models import opened
    from querywright.finetune.base import ensure_base, packaged_gguf

    if given == "base":
        given = str(packaged_gguf() if engine == "llama" else ensure_base())
    return opened(engine, given)


def _opener(config: Config, api: API, path: str, key: str | None) -> Callable[[], AbstractContextManager[Asker]]:
    @contextmanager
    def opened() -> Iterator[Asker]:
        from querywright.engines.base import EngineError
        from querywright.engines.memory import forget_peak, peak_mb, process
        from querywright.engines.open import open_engine
        from querywright.generate.choose import Aids, choose
        from querywright.generate.confidence import calibration_of
        from querywright.generate.prompts import strategy
        from querywright.pairs.reader import judged

        engine = open_engine(path, threads=config.threads, isolated=True, hang_s=600, key=key)  # big, slow ones
        cache = Path(config.out).parent / "retrieval"
        calibration = calibration_of(api, path)
        measured = ""

        @lru_cache
        def prompt(name: str) -> Any:
            return strategy(name, api, examples=config.examples, cache=cache, seed=config.seed)

        executor = lru_cache(lambda: records(config, api))  # opened at the first use

        def aids(cell: Any) -> Aids:
            """What the product judges a tuned model's answers with; the other strategies stand for themselves."""
            if cell.strategy != "tuned":
                return Aids()
            return Aids(judged, executor() if cell.n > 1 else None, calibration)

        def ask(cell: Any, instruction: str, seed: int, turns: Sequence[Message] = ()) -> dict[str, Any]:
            nonlocal measured
            if measured != cell.name:
                forget_peak(process(engine))
                measured = cell.name
            grounded = cell.decoding == "grounded"
            try:
                answer = choose(
                    api, instruction, engine, prompt(cell.strategy), "grammar" if grounded else cell.decoding,
                    turns=turns, grounded=grounded, refuse=config.refuses(cell.strategy),
                    max_tokens=cell.max_tokens, seed=seed, n=cell.n, temperature=config.temperature,
                    aids=aids(cell),
                )  # fmt: skip
            except EngineError as error:  # this sentence has no answer; the next may have one
                return {"prompt": "", "response": "", "path": "", "ok": False, "reason": str(error),
                        "retryable": error.retryable, "finish": "error", "confidence": None,
                        "peak_mb": None}  # fmt: skip
            row = answer.as_dict()
            row["response"], row["tokens_out"] = row.pop("text"), row.pop("tokens")
            return {**row, "peak_mb": peak_mb(process(engine))}

        try:
            yield ask
        finally:
            engine.close()

    return opened
