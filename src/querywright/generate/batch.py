"""Many sentences to calls: what a session holds open, and a file of instructions answered so that it can be stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from querywright.api.definition import API, load
from querywright.api.executors import EmbeddedExecutor
from querywright.artefacts import content_id, read_jsonl, write_jsonl
from querywright.engines.base import Engine, EngineError, MaskError, Message, Progress
from querywright.engines.open import open_engine
from querywright.errors import QuerywrightError
from querywright.generate import prompts
from querywright.generate.answer import Answer, Decoding, grammar_for
from querywright.generate.choose import Aids, Reader, choose
from querywright.generate.confidence import calibration_of
from querywright.progress import say, track
from querywright.rows import turns_of

_MOST_FAILURES = 3  # in a row, before a run gives up


@dataclass
class Session:
    """An API, the engine that writes its calls, and how."""

    api: API
    engine: Engine
    strategy: prompts.Strategy
    decoding: Decoding
    settings: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    def answer(
        self, instruction: str, turns: Sequence[Message] = (), *, n: int | None = None,
        progress: Progress | None = None, max_tokens: int | None = None,
    ) -> Answer:  # fmt: skip
        """Write the call that one sentence asks for, after some turns; `n` answers to choose from and `max_tokens` a
        text, else the session's. See `choose.choose`."""
        given = {"n": n, "max_tokens": max_tokens}
        settings = self.settings | {name: value for name, value in given.items() if value is not None}
        return choose(
            self.api, instruction, self.engine, self.strategy, self.decoding, turns=turns, progress=progress, **settings
        )


@contextmanager
def open_session(
    api_name: str, workspace: Path, *, model: str, adapter: Path | None = None, strategy: str = "tuned",
    decoding: str = "grammar", grounded: bool | None = None, refuse: bool | None = None,
    examples: Path | None = None, threads: int | None = None, max_tokens: int = 200, seed: int = 0,
    n: int = 1, reader: Reader | None = None, execute: bool = False, least: float = 0.0,
    engine: Engine | None = None,
) -> Iterator[Session]:  # fmt: skip
    """Open what answering needs, in the order in which mistakes are cheap to find; the engine is closed at the end.

    Args:
        workspace: the API's folder: its pairs are the examples that `icl` shows, its `retrieval` keeps indexes.
        model: see `engines.open.open_engine`; its calibration lies beside it.
        n, reader, least: see `choose.choose` and `choose.Aids`.
        execute: whether answers are run on the embedded records, to see whether they find anything.
        engine: an open one that runs `model`; it stays open.

    Raises:
        QuerywrightError: an unknown API, strategy or way of decoding, or no model.
    """
    api = load(api_name)
    grammar_for(api, decoding)
    pairs = examples or workspace / "pairs" / "train.jsonl"
    build = prompts.strategy(strategy, api, examples=pairs, cache=workspace / "retrieval", seed=seed)
    if grounded is None:
        grounded = decoding == "grounded" or (strategy == "tuned" and decoding == "grammar")
    as_calibrated = strategy == "tuned" and decoding in ("grammar", "grounded")
    calibration = calibration_of(api, model) if as_calibrated else {}
    executor = EmbeddedExecutor(api, workspace=workspace) if execute else None
    given, engine = engine, engine or open_engine(model, adapter=adapter, threads=threads, isolated=True)
    if refuse is None:
        refuse = strategy == "tuned"
    about = {"api": api.name, "strategy": strategy, "decoding": decoding, "grounded": grounded, "refuse": refuse,
             "seed": seed, "max_tokens": max_tokens, **engine.describe()}  # fmt: skip
    about |= {"n": n, "execute": execute, "least": least, "calibrated": sorted(calibration)}
    aids = Aids(reader, executor, calibration, least=least)
    settings = {"grounded": grounded, "refuse": refuse, "max_tokens": max_tokens, "seed": seed, "n": n, "aids": aids}
    try:
        yield Session(api, engine, build, decoding, settings, about)  # type: ignore[arg-type]
    finally:
        if given is None:
            engine.close()


def run(session: Session, file: Path, out: Path) -> str:
    """Answer the rows of `file` into `out`: each row's own keys, and path, ok, ms, tokens, reason, refused, confidence,
    abstained.

    A row's `turns`, where it has some, were said before its sentence (chat messages of user and assistant).

    Answers are kept in `OUT.part` as they come. Stopped and started again with the same settings, only what is missing
    is asked for; `out` itself appears when all is done.

    Returns:
        A sentence on how it went.

    Raises:
        QuerywrightError: a row without an instruction, or with turns that are none; nothing is asked then.
    """
    rows = read_jsonl(file)
    turns = [turns_of(row, f"{file}: row {number}") for number, row in enumerate(rows, 1)]
    for number, row in enumerate(rows, 1):
        if not isinstance(row.get("instruction"), str):
            raise QuerywrightError(f"{file}: row {number} has no text under 'instruction'", hint="add it")
    part = out.with_name(out.name + ".part")
    header = content_id(json.dumps([session.about, [*map(_asked, rows)]], sort_keys=True))
    done = _kept(part, header)
    if done:
        say(f"{len(done)} of {len(rows)} answers are kept from before")
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(part, "a" if done else "w", encoding="utf-8") as kept:
        if not done:
            kept.write(json.dumps({"header": header}) + "\n")
        failed = 0
        for index in track([i for i in range(len(rows)) if i not in done], "asking"):
            try:
                done[index] = _plain(session.answer(rows[index]["instruction"], turns[index]))
                failed = 0
            except EngineError as error:  # one sentence's failure is its own; an engine that only fails is not
                failed += not isinstance(error, MaskError)
                if failed >= _MOST_FAILURES:
                    raise
                done[index] = {"path": "", "ok": False, "ms": 0.0, "tokens": 0, "reason": str(error), "refused": None,
                               "confidence": None, "abstained": False}  # fmt: skip
            kept.write(json.dumps({"row": index, **done[index]}, ensure_ascii=False) + "\n")
            kept.flush()
    write_jsonl(out, ({**row, **done[index]} for index, row in enumerate(rows)))
    os.unlink(part)
    calls = sum(a["ok"] for a in done.values())
    nils = sum(bool(a.get("refused")) for a in done.values())
    return f"{len(rows)} answers in {out}, {calls} of them calls" + (f", {nils} refusals" if nils else "")


def _asked(row: dict[str, Any]) -> Any:
    return [row["turns"], row["instruction"]] if row.get("turns") else row["instruction"]


def _plain(got: Answer) -> dict[str, Any]:
    plain = {"path": got.path, "ok": got.ok, "ms": round(got.ms, 1), "tokens": got.tokens, "reason": got.reason}
    sure = None if got.confidence is None else round(got.confidence, 3)
    return {**plain, "refused": got.refused, "confidence": sure, "abstained": got.abstained}


def _kept(part: Path, header: str) -> dict[int, dict[str, Any]]:
    """The answers of an interrupted run with the same settings and input; a torn last line is left out."""
    if not part.is_file():
        return {}
    lines = part.read_text(encoding="utf-8", errors="replace").split("\n")  # torn perhaps within a character
    answers: dict[int, dict[str, Any]] = {}
    for line in lines[:-1]:
        try:
            value = json.loads(line)
        except ValueError:
            break
        if "header" in value:
            if value["header"] != header:
                return {}
        else:
            answers[value.pop("row")] = value
    if answers and lines[-1]:  # what is appended must begin on a line of its own
        with open(part, "rb+") as file:
            file.truncate(len("\n".join(lines[:-1]).encode()) + 1)
    return answers
