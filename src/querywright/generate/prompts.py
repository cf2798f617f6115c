"""Strategies: how a sentence becomes a prompt. What never changes comes first, so that engines can keep it.

`tuned` is the form that a fine-tuned model was trained on. The others are for models that do not know the API:
`zero_shot` explains it, `icl` adds examples (`icl_nearest`: the nearest ones), `rag` adds the nearest fields.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from querywright.api.definition import API, Param, SchemaField
from querywright.artefacts import data_dir, read_jsonl
from querywright.engines.base import Message
from querywright.errors import QuerywrightError, did_you_mean
from querywright.generate.retrieve import FaissRetriever, Retriever, fields

Strategy = Callable[[str], list[Message]]
STRATEGIES = ("tuned", "zero_shot", "icl", "icl_nearest", "rag")
EXAMPLES = 8
NEAREST_FIELDS = 8
_SHOWN_FIELDS = 24
_CANDIDATES = 2000  # examples that the nearest are taken from: embedding one costs some 10 ms


def strategy(
    name: str, api: API, *, examples: Path | str | None = None, cache: Path | None = None, seed: int = 0
) -> Strategy:
    """A strategy by name.

    Args:
        examples: pairs (JSON lines with `instruction` and `path`) that `icl` takes its examples from; training pairs.
        cache: folder where indexes are kept; None embeds anew.
        seed: which examples `icl` shows.

    Raises:
        QuerywrightError: an unknown name, or no examples for a strategy that shows some.
    """
    if name == "tuned":
        return lambda instruction: [{"role": "system", "content": tuned_line(api)}, _user(instruction)]
    if name == "zero_shot":
        return lambda instruction: [{"role": "system", "content": explain(api)}, _user(instruction)]
    if name == "rag":
        return _rag(api, fields(api, cache and cache / "fields"))
    if name in ("icl", "icl_nearest"):
        rows = _examples(name, examples)
        if name == "icl":
            shown = random.Random(seed).sample(rows, min(EXAMPLES, len(rows)))
            return lambda instruction: _with_examples(api, shown, instruction)
        rows = random.Random(seed).sample(rows, min(_CANDIDATES, len(rows)))
        index = FaissRetriever(rows, [r["instruction"] for r in rows], cache and cache / "examples")
        return _nearest(api, index)
    raise QuerywrightError(
        f"no strategy {name!r}{did_you_mean(name, [*STRATEGIES])}", hint=f"one of {', '.join(STRATEGIES)}"
    )


@lru_cache(maxsize=8)
def tuned_line(api: API) -> str:
    """The system line of the tuned prompt, and of the training data."""
    return _template("tuned.txt").strip().format(api=api.name)


@lru_cache(maxsize=8)
def explain(api: API) -> str:
    """The API in the words of `data/prompts/zero_shot.md`."""
    shown = sorted((f for f in api.fields.values() if f.description), key=lambda f: -f.weight)[:_SHOWN_FIELDS]
    params = api.endpoints["query"].params if "query" in api.endpoints else tuple(api.params)
    lines = [f"- {name}={_takes(api, api.params[name])}" for name in params if name != "q"][:9]
    paths = [f"- {e.path}{'?q=...' if 'q' in e.params else ''}" for e in api.endpoints.values()]
    return _template("zero_shot.md").strip().format(
        title=api.title, about=api.about, endpoints="\n".join(paths), parameters="\n".join(lines),
        fields="\n".join(map(_field_line, shown)),
    )  # fmt: skip


def _template(name: str) -> str:
    return (data_dir() / "prompts" / name).read_text(encoding="utf-8")


def _takes(api: API, param: Param) -> str:
    if param.kind == "vocabulary":
        names = ", ".join(api.vocabularies[param.vocabulary])
        return f"one or more of {names}{', or a number' if param.numeric else ''}, with commas"
    words = {"fields": "names of fields, with commas", "sort": "names of fields, a minus sign before one: descending",
             "integer": "a whole number", "boolean": "true or false", "text": "text"}  # fmt: skip
    return words.get(param.kind, "text") + (f" (usually {param.default})" if param.kind == "integer" else "")


def _field_line(field: SchemaField) -> str:
    return f"- {field.name}: {field.description}"


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _rag(api: API, index: Retriever[SchemaField]) -> Strategy:
    def build(instruction: str) -> list[Message]:
        found = "\n".join(_field_line(hit.item) for hit in index.nearest(instruction, NEAREST_FIELDS))
        content = f"Fields that may be meant:\n{found}\n\nRequest: {instruction}"
        return [{"role": "system", "content": explain(api)}, _user(content)]

    return build


def _nearest(api: API, index: Retriever[dict[str, Any]]) -> Strategy:
    def build(instruction: str) -> list[Message]:
        hits = index.nearest(instruction, EXAMPLES)
        return _with_examples(api, [hit.item for hit in reversed(hits)], instruction)  # the nearest stands last

    return build


def _with_examples(api: API, rows: list[dict[str, Any]], instruction: str) -> list[Message]:
    messages = [{"role": "system", "content": explain(api)}]
    for row in rows:
        messages += [_user(row["instruction"]), {"role": "assistant", "content": row["path"]}]
    return [*messages, _user(instruction)]


def _examples(name: str, path: Path | str | None) -> list[dict[str, Any]]:
    if path is None or not Path(path).is_file():
        raise QuerywrightError(
            f"the strategy {name} shows examples, and there are none at {path or 'the given place'}",
            hint="querywright pairs make writes them; or --examples FILE",
        )
    rows = [r for r in read_jsonl(path) if r.get("instruction") and r.get("path")]
    if not rows:
        raise QuerywrightError(f"{path} holds no examples", hint="rows need the keys instruction and path")
    return rows
