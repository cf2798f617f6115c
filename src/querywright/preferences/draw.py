"""The answers of several models to each prompt, read and checked; and four of them drawn."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from querywright.artefacts import numbered_jsonl
from querywright.errors import QuerywrightError
from querywright.preferences.prompts import Row, shards
from querywright.preferences.ratings import TEXTS
from querywright.progress import say

RESPONSES, PROMPTS = "responses", "prompts"
FEWER = f"with fewer than {TEXTS} answers"
ALIKE = "whose answers are all the same text"
_KEPT = ("model", "sample", "response", "finish")  # of a response
_HINT = "querywright preferences respond writes such rows"

Answers = dict[str, dict[str, list[Row]]]  # prompt_hash: model: its answers


def answers(source: Path, models: Sequence[str], prompts: Mapping[str, Row]) -> Answers:
    """The answers of some models, by prompt; those without text are none.

    Raises:
        QuerywrightError: a row that is no answer, or two different answers with the same model and sample.
    """
    found: Answers = {}
    strange = 0
    whole = {path.name for path in shards(source / PROMPTS)}
    if not prompts:
        raise QuerywrightError(f"no prompts in {source / PROMPTS}", hint="querywright preferences respond writes them")
    for model in models:
        folder = source / RESPONSES / model
        missing = sorted(whole - {path.name for path in shards(folder)})
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            say(f"{model} has no shard {missing[0]}{more}: prompts that it has not answered are left out")
        seen: dict[tuple[str, int], tuple[str, str]] = {}
        for path in shards(folder):
            for number, row in numbered_jsonl(path):
                where = f"{path}:{number}"
                key, sample, text = _answer(row, model, where)
                first = seen.setdefault((key, sample), (where, text))
                if first[1] != text:
                    raise QuerywrightError(
                        f"{where} and {first[0]} are two answers of {model} to {key}, sample {sample}", hint=_HINT
                    )
                if key not in prompts:
                    strange += 1
                elif text.strip() and first[0] == where:
                    kept = {name: row[name] for name in _KEPT if name in row}
                    found.setdefault(key, {}).setdefault(model, []).append({**kept, "sample": sample})
    if strange:
        say(f"{strange} answers are to prompts that are not among the prompts of {source}: passed over")
    return found


def _answer(row: Row, model: str, where: str) -> tuple[str, int, str]:
    key, sample, text = row.get("prompt_hash"), row.get("sample", 0), row.get("response")
    if not isinstance(key, str) or not re.fullmatch("[0-9a-f]{16}", key):
        raise QuerywrightError(f"{where}: no prompt_hash", hint=_HINT)
    if not isinstance(text, str):
        raise QuerywrightError(f"{where}: its response is no text", hint=_HINT)
    if not isinstance(sample, int) or isinstance(sample, bool) or row.get("model", model) != model:
        raise QuerywrightError(f"{where}: no answer of {model}, or its sample is no number", hint=_HINT)
    row["model"] = model
    return key, sample, text


def draw(
    key: str, mine: Mapping[str, Sequence[Row]], *, one_side: str = "", seed: int = 0
) -> tuple[list[Row], str]:  # fmt: skip
    """Four answers to one prompt in the order that judges see, or why there are none.

    Of as many models as can be, and as different as can be: a text that is drawn already is passed over while there are
    others. What is drawn hangs on the seed and the prompt, not on other prompts.

    Args:
        key: the prompt's hash.
        mine: each model's answers.
        one_side: a model of which exactly one answer is drawn.
    """
    rng = random.Random(f"{seed} {key}")
    queues = {
        model: rng.sample(sorted(mine[model], key=lambda one: int(one["sample"])), len(mine[model]))
        for model in sorted(mine)
    }
    first = [queues.pop(one_side)[0]] if one_side else []
    order = rng.sample(sorted(queues), len(queues))
    longest = max((len(queue) for queue in queues.values()), default=0)
    rest = [queues[model][turn] for turn in range(longest) for model in order if turn < len(queues[model])]
    if len(first) + len(rest) < TEXTS:
        return [], FEWER
    new: list[Row] = []
    again: list[Row] = []
    seen = {text_of(one) for one in first}
    for one in rest:
        (again if text_of(one) in seen else new).append(one)
        seen.add(text_of(one))
    if len(seen) == 1:
        return [], ALIKE
    four = [*first, *new, *again][:TEXTS]
    rng.shuffle(four)
    return four, ""


def text_of(response: Row) -> str:
    """A response's text, as two of them are compared."""
    return str(response["response"]).strip()
