"""Prompts to responses of several models: one folder with the prompts, a config for each model, and what it answered.

prompts/00000.jsonl            the prompts, each once, with their `prompt_hash`
models/MODEL.yaml              what the runner was told
responses/MODEL/00000.jsonl    the prompt's row with model, sample, response, finish, tokens_in, tokens_out, ms
failed/MODEL.jsonl             prompts that the model can't answer, with the reason
ledger/MODEL.jsonl             every answer as it came; a run that was stopped goes on from it
manifest.json                  written last, when every model has answered every prompt
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from querywright.artefacts import MANIFEST, alone, content_id, is_done, replacing, write_manifest
from querywright.engines.budget import Budget, ended, tokens_of
from querywright.engines.catalogue import NAME, Entry
from querywright.engines.ledger import Ledger
from querywright.engines.prices import price_of
from querywright.errors import QuerywrightError
from querywright.preferences.prompts import ROWS_PER_SHARD, Row, read_shards, shards, write_shards
from querywright.preferences.responses import Outcome, Way, config_before, key_of, resolved, run
from querywright.progress import say

_LOOKED_AT = 200  # prompts, of which an estimate counts the tokens
_ANY = {"prompt_hash": ""}  # a prompt, where only the settings of two runs are compared
AGAIN = "run the same command again to go on"


def respond(
    rows: Sequence[Row], models: Mapping[str, Entry], target: Path, name: str, *,
    locate: Callable[[str], str], way: Callable[[Entry], Way], batch_size: int = 128,
    per_shard: int = ROWS_PER_SHARD, money: float | None = None, tokens: int | None = None,
) -> list[Outcome]:  # fmt: skip
    """Ask every model every prompt, and write what they answer to `target/name`.

    Args:
        rows: prompts, as `prompts.read_prompts` gives them.
        locate: `base`, `tuned` or a path to the path or address of a model.
        way: how an entry's prompts are put to it.
        batch_size: requests that a server has at once, or prompts that are computed together.
        money, tokens: never exceeded, earlier runs into the same folder included.

    Returns:
        How it went with each model; nothing where all of it was done before.

    Raises:
        QuerywrightError: a model is not there (nothing is asked then); or a model could not be asked to the end, or the
            budget ended. What was answered is written.
    """
    folder = _folder(target, name)
    ways = {model: way(entry) for model, entry in models.items()}
    configs = {m: resolved(m, entry, locate(entry.model), ways[m].about, batch_size) for m, entry in models.items()}
    with alone(folder):
        config = {"prompts": content_id("".join(r["prompt_hash"] for r in rows), 64), "rows": len(rows),
                  "per_shard": per_shard, "models": configs}  # fmt: skip
        if is_done(folder, config):
            say(f"{folder}: all {len(models)} models have answered all {len(rows)} prompts")
            return []
        _prepare(folder, rows, per_shard, configs)
        outcomes = []
        for number, model in enumerate(models, 1):
            place = f"[{number}/{len(models)}] "
            budget = _budget(folder, configs, model, money, tokens)
            outcome = run(folder, model, rows, ways[model], per_shard=per_shard, budget=budget, place=place)
            say(f"{place}{outcome}" + (f"; stopped: {outcome.error}" if outcome.error else ""))
            outcomes.append(outcome)
        _end(folder, config, outcomes)
    return outcomes


def estimate(
    rows: Sequence[Row], models: Mapping[str, Entry], target: Path, name: str, *,
    locate: Callable[[str], str], way: Callable[[Entry], Way],
) -> list[dict[str, Any]]:  # fmt: skip
    """What is left to ask of each model, and what that costs; nothing is opened or sent.

    Returns:
        For each model `model`, `prompts`, `tokens_in` (about), `most_tokens_out` (answers are mostly shorter) and
        `most_money`, None where the price is not known.
    """
    folder, lines = _folder(target, name), []
    for model, entry in models.items():
        asked, path = way(entry), locate(entry.model)
        config = resolved(model, entry, path, asked.about, 1)
        kept = Ledger(folder / "ledger" / f"{model}.jsonl").rows
        left = [row for row in rows if key_of(config, row) not in kept]
        some = left[:: max(1, len(left) // _LOOKED_AT)]  # to build every prompt takes long where it shows examples
        tokens_in = round(sum(tokens_of(asked.ask(row)[0]) for row in some) / max(1, len(some)) * len(left))
        out = len(left) * entry.samples * entry.max_tokens
        price = price_of(path)
        money = None if price is None else round(price.cost(tokens_in, out), 6)
        lines.append({"model": model, "prompts": len(left), "tokens_in": tokens_in, "most_tokens_out": out,
                      "most_money": money})  # fmt: skip
    return lines


def _folder(target: Path, name: str) -> Path:
    if not re.fullmatch(NAME, name):
        raise QuerywrightError(f"--name {name!r} becomes a folder's name", hint="letters, digits, . _ + -")
    return target / name


def _prepare(folder: Path, rows: Sequence[Row], per_shard: int, configs: Mapping[str, dict[str, Any]]) -> None:
    earlier = {row.get("prompt_hash") for row in read_shards(folder / "prompts")}
    now = {row["prompt_hash"] for row in rows}
    if earlier and earlier != now:
        say(f"{folder}: other prompts than before, {len(now - earlier)} new and {len(earlier - now)} gone")
    (folder / MANIFEST).unlink(missing_ok=True)
    paths = write_shards(folder / "prompts", rows, per_shard)
    say(f"{_some(len(rows), 'prompt')} in {_some(len(paths), 'shard')}, {_some(len(configs), 'model')}: {folder}")
    for model, config in configs.items():
        before = config_before(folder, model)
        if before and key_of(before, _ANY) != key_of(config, _ANY):  # until they are asked anew, there are none
            write_shards(folder / "responses" / model, [])
        _write_config(folder / "models" / f"{model}.yaml", config)


def _write_config(path: Path, config: Mapping[str, Any]) -> None:
    """Write the config of one model's run, which the runner reads."""
    with replacing(path) as out:
        yaml.safe_dump(dict(config), out, sort_keys=False, allow_unicode=True, width=120)


def _some(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _budget(
    folder: Path, configs: Mapping[str, dict[str, Any]], model: str, money: float | None, tokens: int | None
) -> Budget:
    """What may be spent on a model: the whole, without what the others have cost so far."""
    price = price_of(configs[model]["model"])
    if price is None and money is not None:
        raise QuerywrightError(
            f"the price of {configs[model]['model']} is not known, so --budget can't hold",
            hint="add it to data/prices.yaml, or --max-tokens-total",
        )
    for path in sorted((folder / "ledger").glob("*.jsonl")) if money is not None or tokens is not None else ():
        other = path.name.removesuffix(".jsonl")  # also one that is left out this time: it has cost something
        if other == model:
            continue
        ledger = Ledger(path)
        spent = ledger.total("tokens_in"), ledger.total("tokens_out")
        if tokens is not None:
            tokens = max(0, tokens - sum(spent))
        config = configs.get(other) or config_before(folder, other)
        if money is not None and (known := price_of(str(config.get("model")))) is not None:
            money = max(0.0, money - known.cost(*spent))
    cost = (price.tokens_in, price.tokens_out) if price else (0.0, 0.0)
    return Budget(*cost, money=money, tokens=tokens)


def _end(folder: Path, config: dict[str, Any], outcomes: Sequence[Outcome]) -> None:
    """Say that it is done; or what is missing, and what to do about it."""
    stopped = [one for one in outcomes if one.error]
    unasked = sum(one.left for one in outcomes)
    if stopped:
        reasons = "; ".join(f"{one.model}: {one.error}" for one in stopped)
        hint = next((one.error.hint for one in stopped if one.error and one.error.hint), "")
        raise QuerywrightError(
            f"{len(stopped)} of {len(outcomes)} models did not answer to the end: {reasons}",
            hint=hint if AGAIN in hint or not hint else f"{hint}; then {AGAIN}",
        )
    if unasked:
        raise ended(unasked, "prompts", folder)
    if failed := [one for one in outcomes if one.failed]:
        listed = ", ".join(f"{one.failed} of {one.model}" for one in failed)
        say(f"without an answer: {listed}; {folder / 'failed'} says why. {AGAIN.capitalize()}: they are asked again")
        return
    files = [p.relative_to(folder).as_posix() for part in ("prompts", *(f"responses/{m}" for m in config["models"]))
             for p in shards(folder / part)]  # fmt: skip
    counts = {one.model: {"responses": one.responses, "cut": one.cut} for one in outcomes}
    write_manifest(folder, config, files, counts=counts)
