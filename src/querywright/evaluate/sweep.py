"""Ask every model the same sentences in every cell of a sweep; keep each answer as soon as it is there.

One file a cell, under `<out>/cells/`, whose header is the cell's resolved config; see `kept`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from querywright import __version__
from querywright.artefacts import sha256, write_jsonl
from querywright.errors import QuerywrightError
from querywright.evaluate import kept, safe_pickle
from querywright.evaluate.config import Config
from querywright.evaluate.models import Absent, impossible
from querywright.evaluate.suite import Pair
from querywright.progress import say
from querywright.rows import Message


@dataclass(frozen=True)
class Cell:
    """One combination of the sweep, asked for the first `limit` pairs (all where None), cut at `max_tokens`."""

    model: str
    strategy: str
    decoding: str
    limit: int | None = None
    max_tokens: int = 200
    n: int = 1
    engine: str = "llama"
    by_engine: bool = False  # whether the engine was asked for by name, and not only implied by the model's path

    @property
    def name(self) -> str:
        """Also the name of its file: `model.strategy.decoding`, then `n5` and the engine where they are not implied."""
        parts = [self.model, self.strategy, self.decoding]
        return ".".join([*parts, *([f"n{self.n}"] if self.n > 1 else []), *([self.engine] if self.by_engine else [])])

    @property
    def source(self) -> str:
        """What answers for it: the model, on the engine."""
        return f"{self.model}.{self.engine}" if self.by_engine else self.model


# One answer: `response` (the raw text), `path`, `ok`, `reason`, `prompt`, `tokens_in`, `tokens_out`, `ms`, `finish`,
# `logprob`, `refused`, `confidence` (0 to 1), `peak_mb` (of the engine's process). None where it is not known. Plain
# values only.
Answer = kept.Answer


class Asker(Protocol):
    """Asks a model one sentence in the way of a cell; `turns` were said before it."""

    def __call__(self, cell: Cell, instruction: str, seed: int, turns: Sequence[Message] = (), /) -> Answer: ...


# A model that can be asked. `examples` in its identity counts for the strategies that show some, `docs` for the one
# that shows passages of the documentation, `calibration` for the tuned one.
Source = kept.Source[Asker]


def cells(config: Config) -> list[Cell]:
    """Every combination that can be, those of one model side by side, so that it is loaded once."""
    return plan(config)[0]


def plan(config: Config) -> tuple[list[Cell], list[str]]:
    """The cells of a sweep, and of those that can't be, why.

    Raises:
        QuerywrightError: nothing of the sweep, or of one of its models, can be.
    """
    found: list[Cell] = []
    skipped: list[str] = []
    for name, model in config.models.items():
        before = len(found)
        for engine, named in model.engines_of(config.engines):
            if not model.path_for(engine):
                skipped.append(f"{name}: it has nothing for the engine {engine}")
                continue
            for strategy in model.strategies or config.strategies:
                for decoding in model.decodings or config.decodings:
                    if why := impossible(engine, decoding):
                        skipped.append(f"{name}.{strategy}.{decoding}: {why}")
                        continue
                    for n in model.n or config.n:
                        limits = [config.limit if model.limit is None else model.limit]
                        limits += [config.limits.get(key) for key in (strategy, decoding, engine, f"n{n}")]
                        limit = min((one for one in limits if one is not None), default=None)
                        most = model.max_tokens or config.max_tokens
                        found.append(Cell(name, strategy, decoding, limit, most, n, engine, named))
        if len(found) == before:
            raise QuerywrightError(
                f"nothing can be asked of the model {name}: {'; '.join(skipped)}",
                hint="other engines or decodings; or a path for each: path: {llama: x.gguf, hf: checkpoint}",
            )
    return found, skipped


def only(config: Config, sources: Mapping[str, Source], missing: Mapping[str, str], some: bool = False) -> Config:
    """The part of a sweep whose models are here.

    Args:
        missing: the sources that are not, with the paths where they were looked for.
        some: whether a part will do, as in a sweep of several APIs that are not all trained yet; what is left out is
            said.

    Raises:
        Absent: a model is missing; where `some` will do, all are.
    """
    if missing and not (some and sources):
        listed = ", ".join(f"{name} ({path})" for name, path in missing.items())
        there = next(iter(sources), "").partition(".")[0]
        raise Absent(
            f"no model at the path of {listed}",
            hint="querywright export makes one" + (f"; or --model {there} for what is there" if there else ""),
        )
    models = dict(config.models)
    for cell in cells(config):
        if cell.source in missing and cell.model in models:
            say(f"left out: no model at the path of {cell.source} ({missing[cell.source]})")
            rest = tuple(e for e, _ in models[cell.model].engines_of(config.engines) if e != cell.engine)
            if rest and cell.by_engine:
                models[cell.model] = models[cell.model].model_copy(update={"engines": rest})
            else:
                del models[cell.model]
            missing = {name: path for name, path in missing.items() if name != cell.source}
    return config.model_copy(update={"models": models})


def fingerprint(path: Path | str) -> str:
    """A digest of a file, or of all files of a folder; what makes two models the same model."""
    path = Path(path)
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and p.name[:1] != ".")
    lines = [f"{p.name if p == path else p.relative_to(path)} {sha256(p)}" for p in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def run(config: Config, pairs: list[Pair], sources: dict[str, Source]) -> list[dict[str, Any]]:
    """Ask what has not been asked yet, then write `responses_<name>.jsonl` and `.pkl` in `config.out`.

    Args:
        pairs: in the order of the suite; a cell takes its first `limit`.
        sources: `Cell.source` to what answers for it; a model is loaded only if something is left to ask.

    Returns:
        One row for each cell and pair, in that order: the pair, the cell, the answer.
    """
    out = Path(config.out)
    todo, skipped = plan(config)
    for reason in skipped:
        say(f"left out: {reason}")
    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    with ExitStack() as loaded:
        current, ask = "", None
        for number, cell in enumerate(todo, 1):
            mine = pairs[: cell.limit]
            header = _header(config, cell, sources[cell.source].identity)
            path = out / "cells" / f"{cell.name}.jsonl"
            answers = kept.read(path, header)
            left = list({p.key: p for p in mine if p.key not in answers}.values())
            if left:
                if current != cell.source or ask is None:
                    loaded.close()
                    say(f"loading {cell.source}: {sources[cell.source].path}")
                    ask = loaded.enter_context(sources[cell.source].open())
                    current = cell.source
                before = f" ({len(mine) - len(left)} kept)" if len(left) < len(mine) else ""
                what = f"[{number}/{len(todo)}] {cell.name.replace('.', ' ')}{before}"
                asked = _asking(ask, cell, config.seed)
                try:
                    for key, answer in kept.fill(
                        path, header, [(pair.key, pair) for pair in left], asked, what, fresh=not answers
                    ):
                        answers[key] = answer
                except Absent as error:
                    say(f"left out: {error}")
                    failures.append(str(error))
                    continue
            rows += [_row(cell, pair, answers[pair.key]) for pair in mine]
    if failures and not rows:
        raise QuerywrightError(f"no cell gave an answer: {'; '.join(failures)}", hint="correct that; then run it again")
    write_jsonl(out / f"responses_{config.name}.jsonl", rows)
    safe_pickle.dump(rows, out / f"responses_{config.name}.pkl")
    return rows


def _asking(ask: Asker, cell: Cell, seed: int) -> Callable[[Pair], Answer]:
    def one(pair: Pair) -> Answer:
        # the seed hangs on the sentence, not on its place: the order and a restart change nothing
        return ask(cell, pair.instruction, (seed + int(pair.key[:8], 16)) % 2**31, pair.turns)

    return one


def _row(cell: Cell, pair: Pair, answer: Answer) -> dict[str, Any]:
    where = {"model": cell.model, "strategy": cell.strategy, "decoding": cell.decoding, "n": cell.n,
             "engine": cell.engine}  # fmt: skip
    asked = {k: v for k, v in asdict(pair).items() if k != "turns" or v}
    return {**asked, **where, **{k: v for k, v in answer.items() if k not in ("key", "retryable")}}


def _header(config: Config, cell: Cell, identity: dict[str, Any]) -> dict[str, Any]:
    header = {
        "version": __version__, "api": config.api, "model": cell.model, "strategy": cell.strategy,
        "decoding": cell.decoding, "n": cell.n, "max_tokens": cell.max_tokens, "seed": config.seed,
        **({"temperature": config.temperature} if cell.n > 1 else {}), **identity,
        **({"engine": cell.engine} if cell.by_engine else {}),
        **({"refuse": True} if config.refuses(cell.strategy) and cell.decoding != "free" else {}),
    }  # fmt: skip
    if "icl" not in cell.strategy:
        header.pop("examples", None)
    if cell.strategy != "rag_docs":
        header.pop("docs", None)
    if cell.strategy != "tuned":
        header.pop("calibration", None)
    return kept.plain(header)
