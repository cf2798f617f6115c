"""The answers of one model to all prompts: asked once, kept as they come, written in the prompts' shards.

What an answer hangs on (the model's weights, how it is asked, the prompt) is its key in the ledger. So a run that was
killed goes on with the next prompt, one with other settings asks anew, and shards are only another form of the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from querywright.artefacts import content_id, weights_sha256, write_jsonl
from querywright.engines.base import Completion, Engine, Grammar, Message
from querywright.engines.budget import Budget
from querywright.engines.catalogue import Entry
from querywright.engines.keys import key_of as secret_of
from querywright.engines.ledger import Ledger
from querywright.engines.open import is_address, open_engine
from querywright.engines.sender import Prompt, Sender, completions_of, open_many
from querywright.errors import QuerywrightError
from querywright.preferences.prompts import Row, chat_of, shard_name, shards
from querywright.progress import say, track

CPU_BATCH = 16  # answers; of more a processor's caches hold less, and each waits for the longest
HANG_S = 600.0  # a local model on a busy machine may be silent for so long


@dataclass(frozen=True)
class Way:
    """How a prompt is put to a model, and what its answer is.

    Attributes:
        ask: a prompt's row to messages and the grammar of the answer.
        read: a row and what the model wrote to what is kept of it: `response`, and what else is to be known.
        about: what both hang on, plain values.
    """

    ask: Callable[[Row], tuple[list[Message], Grammar | None]]
    read: Callable[[Row, Completion], dict[str, Any]]
    about: dict[str, Any] = field(default_factory=dict)


def plain_way(system: str = "") -> Way:
    """The prompt as a chat, with `system` where it has no system message of its own; the answer as it came."""
    return Way(
        lambda row: (chat_of({**row, "system": row.get("system") or system}), None),
        lambda row, done: {"response": done.text},
    )


@dataclass
class Outcome:
    """How it went with a model.

    Attributes:
        prompts: how many there are; `answered` of them have all their samples, `failed` can't be answered.
        cut: responses that ended because their tokens ran out.
        error: what ended the run before its end, None where nothing did.
    """

    model: str
    prompts: int
    answered: int = 0
    failed: int = 0
    responses: int = 0
    cut: int = 0
    error: QuerywrightError | None = None

    @property
    def left(self) -> int:
        """Prompts that were not asked."""
        return self.prompts - self.answered - self.failed

    def __str__(self) -> str:
        text = f"{self.model}: {self.answered} of {self.prompts} prompts answered, {self.responses} responses"
        text += f", {self.cut} cut where their tokens ran out" if self.cut else ""
        text += f", {self.failed} failed" if self.failed else ""
        return text + (f", {self.left} not asked" if self.left else "")


def resolved(name: str, entry: Entry, model: str, about: dict[str, Any], batch_size: int) -> dict[str, Any]:
    """The config of a model's run, as the runner reads it.

    Args:
        model: the path or address that `entry.model` stands for.
        about: what the way of asking hangs on.
    """
    if entry.adapter and not Path(model).is_dir():
        raise QuerywrightError(
            f"{name}: an adapter is for a checkpoint folder, not for {model}", hint="querywright export merges one"
        )
    given = entry.model_dump(exclude_none=True)
    weights = model.partition("#")[2] or model if is_address(model) else _digest(Path(model))
    adapter = {"adapter_weights": _digest(Path(entry.adapter))} if entry.adapter else {}
    asked = {"way": about} if about else {}
    return {"name": name, **given, "model": model, "weights": weights, **adapter, **asked, "batch_size": batch_size}


@lru_cache  # several entries have the same weights
def _digest(path: Path) -> str:
    if not path.exists():
        raise QuerywrightError(f"no model at {path}", hint="a GGUF file, a checkpoint folder, URL#NAME, base or tuned")
    if path.is_dir() and not (path / "config.json").is_file():
        ggufs = sorted(path.glob("*.gguf"))
        path = ggufs[0] if len(ggufs) == 1 else path
    found = weights_sha256(path)
    if found is None:
        raise QuerywrightError(f"{path} holds no weights", hint="a GGUF file, or a folder with safetensors")
    return found


def read_config(path: Path) -> dict[str, Any]:
    """The config that `resolved` made."""
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return config


def config_before(folder: Path, model: str) -> dict[str, Any]:
    """The config of a model's last run into the folder of a set; empty where there was none, or it can't be read."""
    try:
        config = read_config(folder / "models" / f"{model}.yaml")
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return config if isinstance(config, dict) else {}


def key_of(config: dict[str, Any], row: Row) -> str:
    """What the answers to a prompt are kept under: what they hang on, and not where or how fast they are made."""
    apart = ("name", "batch_size", "concurrency", "slots", "threads", "api_key", "model", "adapter")
    told = {k: v for k, v in config.items() if k not in apart}
    return content_id(json.dumps([told, row["prompt_hash"]], sort_keys=True), 24)


def run(
    folder: Path, name: str, rows: Sequence[Row], way: Way, *, per_shard: int, budget: Budget | None = None,
    place: str = "",
) -> Outcome:  # fmt: skip
    """Ask a model, as `models/NAME.yaml` has it, what it has not been asked yet, and write `responses/NAME/`.

    Args:
        folder: of the whole set; `rows` are its prompts.
        budget: what may be spent on this model.
        place: which of several models it is, for people.

    Returns:
        How it went; an error of the model is in there, and what was answered before it is written.
    """
    config = read_config(folder / "models" / f"{name}.yaml")
    ledger = Ledger(folder / "ledger" / f"{name}.jsonl")
    keys = [key_of(config, row) for row in rows]
    left = [index for index, key in enumerate(keys) if not completions_of(ledger.rows.get(key))]
    written = _Shards(folder / "responses" / name, rows, keys, ledger, way, name, per_shard)
    reasons: dict[str, str] = {}
    error: QuerywrightError | None = None
    if len(left) < len(rows):
        say(f"{place}{name}: {len(rows) - len(left)} of {len(rows)} prompts are answered already")
    if left:
        try:
            for index in _asked(config, rows, keys, left, way, ledger, budget or Budget(), reasons, f"{place}{name}"):
                written.up_to(index)
        except QuerywrightError as failure:
            error = failure
    written.up_to(len(rows))
    ledger.close()
    _failures(folder / "failed" / f"{name}.jsonl", rows, keys, reasons)
    known = [done for key in keys if (done := completions_of(ledger.rows.get(key)))]
    finishes = [one.finish for done in known for one in done]
    return Outcome(name, len(rows), len(known), len(reasons), len(finishes), finishes.count("length"), error)


def _asked(
    config: dict[str, Any], rows: Sequence[Row], keys: Sequence[str], left: Sequence[int], way: Way, ledger: Ledger,
    budget: Budget, reasons: dict[str, str], what: str,
) -> Iterator[int]:  # fmt: skip
    """Ask what is left, in order; yields the number of rows at the start that are done with."""
    sender = Sender(open_for(config), ledger, budget)
    sender.reasons, sender.kept = reasons, len(rows) - len(left)

    def prompts() -> Iterator[Prompt]:
        for index in left:
            messages, grammar = way.ask(rows[index])
            # the seed hangs on the prompt, not on its place: order and restarts change nothing
            seed = (config["seed"] + int(rows[index]["prompt_hash"][:8], 16)) % 2**31
            yield Prompt(
                messages, grammar, config["max_tokens"], config["temperature"], seed, config["samples"], keys[index]
            )

    try:
        for number, _ in enumerate(track(sender.many(prompts()), what, len(left), lambda: str(budget)), 1):
            yield left[number] if number < len(left) else len(rows)
    finally:
        sender.close()


def open_for(config: dict[str, Any]) -> list[Engine]:
    """The engine of a config, as many times as it may be asked at once.

    Raises:
        EngineError: it can't be opened.
    """
    model = config["model"]
    if is_address(model):
        many = config.get("concurrency") or config["batch_size"]
        return open_many(model, many, key=secret_of(config.get("api_key") or "", config["name"]))
    given: dict[str, Any] = {"adapter": config.get("adapter"), "threads": config.get("threads")}
    if any((Path(model) / name).is_file() for name in ("config.json", "adapter_config.json")):
        from querywright.engines.gathered import Gathered
        from querywright.engines.hf import TransformersEngine

        found = open_engine(model, **given)
        assert isinstance(found, TransformersEngine)
        size = config["batch_size"] if found.device != "cpu" else min(config["batch_size"], CPU_BATCH)
        say(f"{config['name']}: {size} answers are written at once" + _less(size, config["batch_size"]))
        return [Gathered(found, size)] * size
    return open_many(model, **given, slots=config.get("slots"), isolated=True, hang_s=HANG_S)


def _less(size: int, asked: int) -> str:
    return f" (a processor gains nothing from {asked})" if size < asked else ""


class _Shards:
    """Writes the shards of responses, each as soon as all of its prompts are done with."""

    def __init__(
        self, folder: Path, rows: Sequence[Row], keys: Sequence[str], ledger: Ledger, way: Way, model: str, size: int
    ) -> None:
        self._folder, self._rows, self._keys, self._ledger = folder, rows, keys, ledger
        self._way, self._model, self._size = way, model, size
        self._next = 0
        most = -(-len(rows) // size)
        for path in shards(folder):
            if int(path.stem) >= most:
                path.unlink()

    def up_to(self, done: int) -> None:
        """Write the shards whose rows are all among the first `done`."""
        while self._next < len(self._rows) and min(self._next + self._size, len(self._rows)) <= done:
            path = self._folder / shard_name(self._next // self._size)
            lines = [line for i in range(self._next, min(self._next + self._size, done)) for line in self._lines(i)]
            if lines:
                write_jsonl(path, lines)
            else:
                path.unlink(missing_ok=True)
            self._next += self._size

    def _lines(self, index: int) -> Iterator[Row]:
        row, kept = self._rows[index], self._ledger.rows.get(self._keys[index])
        for sample, done in enumerate(completions_of(kept)):
            told = self._way.read(row, done)
            facts = {"finish": done.finish, "tokens_in": done.tokens_in, "tokens_out": done.tokens_out, "ms": done.ms}
            yield {**row, "model": self._model, "sample": sample, **told, **facts}


def _failures(path: Path, rows: Sequence[Row], keys: Sequence[str], reasons: dict[str, str]) -> None:
    """List the prompts that can't be answered, with why; no file where there are none."""
    if not reasons:
        path.unlink(missing_ok=True)
        return
    write_jsonl(
        path, ({**row, "reason": reasons[key]} for row, key in zip(rows, keys, strict=True) if key in reasons)
    )  # fmt: skip
