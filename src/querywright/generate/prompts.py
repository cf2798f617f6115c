"""Strategies: how a sentence becomes a prompt. What never changes comes first, so that engines can keep it.

`tuned` is the form that a fine-tuned model was trained on. The others are for models that do not know the API:
`zero_shot` explains it, `icl` adds examples (`icl_nearest`: the nearest ones), `rag` adds the nearest fields (or
parameters, where the API has no query language), `rag_docs` these and the nearest passages of its documentation,
`rag_icl` these and the nearest examples.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from querywright.api.definition import API, Param, SchemaField
from querywright.api.docs import passages as passages_of
from querywright.api.lexicon import lexicon
from querywright.api.nearest import FIELDS, nearest_fields
from querywright.artefacts import data_dir, read_jsonl
from querywright.engines.base import Message
from querywright.engines.nearest import FaissRetriever
from querywright.errors import QuerywrightError, did_you_mean
from querywright.generate.retrieve import fields
from querywright.protected import refuse
from querywright.rows import system_line

Strategy = Callable[[str], list[Message]]
STRATEGIES = ("tuned", "zero_shot", "icl", "icl_nearest", "rag", "rag_docs", "rag_icl")
EXAMPLES = 8
NEAREST_FIELDS = 8
NEAREST_PASSAGES = 3
_SHOWN_FIELDS = 24
_ASKS = re.compile(r"(?m)^(?=\s*Request:)")  # what a document says is never taken for the request
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
        return lambda instruction: [{"role": "system", "content": tuned_line(api, instruction)}, _user(instruction)]
    if name == "zero_shot":
        return lambda instruction: [{"role": "system", "content": explain(api)}, _user(instruction)]
    if name == "icl":
        rows = _examples(name, examples)
        shown = random.Random(seed).sample(rows, min(EXAMPLES, len(rows)))
        return lambda instruction: _with_examples(api, shown, _user(instruction))
    if name in ("rag", "rag_docs", "rag_icl", "icl_nearest"):
        near = _nearest(name, examples, seed, cache) if "icl" in name else lambda _: []
        passages = _passages(api, cache) if name == "rag_docs" else lambda _: ""
        facts = _facts(api, cache) if name != "icl_nearest" else lambda _: ""

        def build(instruction: str) -> list[Message]:
            told = passages(instruction) + facts(instruction)
            content = f"{told}Request: {instruction}" if told else instruction
            return _with_examples(api, near(instruction), _user(content))

        return build
    raise QuerywrightError(
        f"no strategy {name!r}{did_you_mean(name, [*STRATEGIES])}", hint=f"one of {', '.join(STRATEGIES)}"
    )


def tuned_line(api: API, instruction: str) -> str:
    """The system message of the tuned prompt, as in the training data (`pairs.prompted`)."""
    return system_line(api.name, nearest_fields(api, instruction, FIELDS))


@lru_cache(maxsize=8)
def explain(api: API) -> str:
    """The API in the words of `data/prompts/zero_shot.md`; `zero_shot_typed.md` where it has no query language."""
    if api.query_language == "none":
        return _explain_typed(api)
    shown = sorted((f for f in api.fields.values() if f.description), key=lambda f: -f.weight)[:_SHOWN_FIELDS]
    names = next((e.params for e in api.endpoints.values() if "q" in e.params), tuple(api.params))
    lines = [f"- {name}={_takes(api, api.params[name])}" for name in names if name not in ("q", *api.unwritten)][:9]
    paths = [f"- {e.path}{'?q=...' if 'q' in e.params else ''}" for e in api.endpoints.values()]
    return _template("zero_shot.md").strip().format(
        title=api.title, about=api.about, endpoints="\n".join(paths), parameters="\n".join(lines),
        examples=_examples_of_fields(api), fields="\n".join(map(_field_line, shown)),
        intervals="\n- chr1:1000-2000 is a stretch of a chromosome." if api.intervals else "",
    )  # fmt: skip


def _examples_of_fields(api: API) -> str:
    """Two searches in fields that the API has: one of a word, one of a phrase."""
    usual = (lexicon(api).get("draw") or {}).get("names", [])
    asked = (f for f in api.fields.values() if f.examples and f.indexed)
    ranked = sorted(asked, key=lambda f: (f.name not in usual, -f.weight))
    word = next((f"{f.name}:{e}" for f in ranked for e in f.examples if re.fullmatch(r"\w+", e)), "")
    phrase = next((f'{f.name}:"{e}"' for f in ranked for e in f.examples if re.fullmatch(r"\w+( \w+)+", e)), "")
    found = [text for text in (word, phrase) if text]
    return f", for example {' or '.join(found)}" if found else ""


def _explain_typed(api: API) -> str:
    left_out = (*api.unwritten, *api.ignored_params)
    paths = []
    for e in api.endpoints.values():
        must = {name for group in e.needs for name in group} | set(e.in_path)
        names = [n + "*" * (n in must) for n in e.params if n not in left_out and n not in e.in_path]
        told = f" ({e.description.rstrip('.')})" if e.description else ""
        paths.append(f"- {e.path}{told}: {', '.join(names) or 'no parameters'}")
    used = dict.fromkeys(n for e in api.endpoints.values() for n in e.params if n not in left_out)
    lines = [f"- {name}: {_typed_line(api, name)}" for name in used]
    return _template("zero_shot_typed.md").strip().format(
        title=api.title, about=api.about or api.title, endpoints="\n".join(_shorter(paths)), parameters="\n".join(lines)
    )


def _shorter(paths: list[str]) -> list[str]:
    """A path whose parameters were all named before says so."""
    out: list[str] = []
    for path in paths:
        head, _, names = path.partition(": ")
        same = next((o for o in out if len(names) > 60 and names in o), "")
        other, last = same[2:].partition(" ")[0], names.rpartition(", ")[2]
        out.append(f"{head}: the same parameters as {other}, up to {last}" if same else path)
    return out


def _typed_line(api: API, name: str) -> str:
    param = api.params[name]
    told = param.description.rstrip(".") or (param.synonyms[0] if param.synonyms else "")
    bounds = [f"{word} {bound}" for word, bound in (("from", param.min), ("to", param.max)) if bound is not None]
    takes = _takes(api, param) + (f" {' '.join(bounds)}" if bounds else "")
    default = f"; {param.default} unless given" if param.default is not None and param.kind != "integer" else ""
    return f"{told + '; ' if told else ''}{takes}{default}"


def _template(name: str) -> str:
    return (data_dir() / "prompts" / name).read_text(encoding="utf-8")


def _takes(api: API, param: Param) -> str:
    if param.kind == "vocabulary":
        names = ", ".join(api.vocabularies[param.vocabulary])
        return f"one or more of {names}{', or a number' if param.numeric else ''}, with commas"
    if param.kind == "enum":
        return f"one of {', '.join(param.values)}"
    if param.kind == "list":
        several = f"one or more of {', '.join(param.values)}" if param.values else f"one or more {param.items} values"
        return several + (", the name repeated before each" if param.explode else ", with commas")
    words = {"fields": "names of fields, with commas", "sort": "names of fields, a minus sign before one: descending",
             "integer": "a whole number", "boolean": "true or false", "text": "text",
             "number": "a number", "date": "a date or a moment"}  # fmt: skip
    return words.get(param.kind, "text") + _usually(param)


def _usually(param: Param) -> str:
    return f" (usually {param.default})" if param.kind == "integer" and param.default is not None else ""


def _field_line(field: SchemaField) -> str:
    return f"- {field.name}: {' '.join(field.description.split())}"


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _facts(api: API, cache: Path | None) -> Callable[[str], str]:
    """What may be meant by a sentence: the nearest fields, or parameters where the API has no query language."""
    if api.query_language == "none":
        names = [n for n in api.params if n not in (*api.unwritten, *api.ignored_params)]
        texts = [f"{n}: {', '.join(api.params[n].synonyms)}. {api.params[n].description}" for n in names]
        params = FaissRetriever(names, texts, cache and cache / "params")
        what, found = "Parameters", lambda text: [
            f"- {hit.item}: {_typed_line(api, hit.item)}" for hit in params.nearest(text, NEAREST_FIELDS)
        ]
    else:
        known = fields(api, cache and cache / "fields")
        what, found = "Fields", lambda text: [_field_line(hit.item) for hit in known.nearest(text, NEAREST_FIELDS)]
    return lambda instruction: "\n".join([f"{what} that may be meant:", *found(instruction), "", ""])


def _passages(api: API, cache: Path | None) -> Callable[[str], str]:
    """The passages of the API's documentation that are nearest to a sentence, the nearest last."""
    found = passages_of(api)
    if not found:
        raise QuerywrightError(
            f"the strategy rag_docs shows documentation, and {api.name} has none",
            hint=f"write {api.folder}/docs.md, a section a subject; or the strategy rag",
        )
    index = FaissRetriever(found, [f"{p.heading}. {p.text}" for p in found], cache and cache / "docs")

    def build(instruction: str) -> str:
        hits = [hit.item for hit in index.nearest(instruction, NEAREST_PASSAGES)]
        told = "\n".join(f"{p.heading}: {p.text}" for p in reversed(hits))
        return f"From the documentation:\n{_ASKS.sub('> ', told)}\n\n"

    return build


def _nearest(
    name: str, examples: Path | str | None, seed: int, cache: Path | None
) -> Callable[[str], list[dict[str, Any]]]:
    """The examples that are nearest to a sentence, the nearest last."""
    rows = _examples(name, examples)
    rows = random.Random(seed).sample(rows, min(_CANDIDATES, len(rows)))
    index = FaissRetriever(rows, [r["instruction"] for r in rows], cache and cache / "examples")
    return lambda instruction: [hit.item for hit in reversed(index.nearest(instruction, EXAMPLES))]


def _with_examples(api: API, rows: list[dict[str, Any]], request: Message) -> list[Message]:
    messages = [{"role": "system", "content": explain(api)}]
    for row in rows:
        messages += [_user(row["instruction"]), {"role": "assistant", "content": row["path"]}]
    return [*messages, request]


def _examples(name: str, path: Path | str | None) -> list[dict[str, Any]]:
    if path is None or not Path(path).is_file():
        raise QuerywrightError(
            f"the strategy {name} shows examples, and there are none at {path or 'the given place'}",
            hint="querywright pairs make writes them; or --examples FILE",
        )
    rows = [r for r in read_jsonl(path) if r.get("instruction") and r.get("path")]
    if not rows:
        raise QuerywrightError(f"{path} holds no examples", hint="rows need the keys instruction and path")
    refuse(rows, path, "source of examples")
    return rows
