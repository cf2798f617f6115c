"""Pairs in the forms that trainers read.

    rows        our own rows, JSON lines: nothing is lost
    chat        `messages` with role and content, JSON lines (OpenAI, torchtune, TRL); no other key: hosts refuse it
    completion  `prompt` and `completion`, JSON lines: the prompt ends with a separator, the completion begins with a
                space and ends with a line end, the stop sequence
    alpaca      `instruction`, `input` (what was said before), `output`, `system`; a JSON list, or lines for .jsonl
    sharegpt    `conversations` with from and value; a JSON list, or lines for .jsonl
    csv         `input` and `output`, the columns of torchtune's `instruct_dataset(source="csv", data_files=...)`
    hf          a folder of the `datasets` library (`load_from_disk`), with `messages`
    prompts     `text`, `turns` and the expected `path`, JSON lines: what `querywright preferences respond` asks models

All but chat and completion also keep where a row comes from (`KEPT`). `imports` reads them back.
"""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from querywright.api.definition import API
from querywright.api.refusal import NIL, refused
from querywright.artefacts import replacing, write_jsonl
from querywright.errors import QuerywrightError, need
from querywright.pairs.folded import NEXT, fold
from querywright.pairs.prompted import with_fields
from querywright.progress import say
from querywright.protected import refuse
from querywright.rows import Message, Row, answer, chat, system

SEPARATOR = "\n\n###\n\n"
STOP = "\n"
KEPT = ("id", "api", "source", "teacher", "persona", "weight")
"""Keys that a row keeps beside its words, flat, in every format that has room for them."""

CHAT_ROLES = {"system": "system", "user": "human", "assistant": "gpt"}
MODES = ("code", "nil", "drop")


def refusals(rows: Iterable[Row], mode: str) -> Iterator[Row]:
    """Rows with their refusals as `nil CODE` (`code`), as bare `nil` (`nil`), or without them (`drop`).

    Answers in earlier turns follow the same rule; a conversation with a refusal in it is dropped whole.
    """
    if mode not in MODES:
        raise QuerywrightError(f"unknown --refusals {mode!r}", hint=f"one of {', '.join(MODES)}")
    for r in rows:
        turns = r.get("turns") or ()
        within = any(m["role"] == "assistant" and refused(m["content"]) for m in turns)
        if mode == "code" or not (within or refused(answer(r))):
            yield r
        elif mode == "nil":
            new = {**r, "turns": [_bare(m) for m in turns]} if turns else dict(r)
            yield {**new, "answer": NIL, "refusal": ""} if refused(answer(r)) else new


def _bare(message: Message) -> Message:
    nil = message["role"] == "assistant" and refused(message["content"])
    return {**message, "content": NIL} if nil else message


def kept(r: Row) -> dict[str, Any]:
    """Where a row comes from: every key always there, so that tables have the same columns in every line."""
    return {key: float(r.get(key) or 1.0) if key == "weight" else str(r.get(key, "")) for key in KEPT}


def completion(r: Row) -> dict[str, str]:
    """A pair as prompt and completion."""
    return {"prompt": fold(r.get("turns") or (), r["instruction"]) + SEPARATOR, "completion": f" {answer(r)}{STOP}"}


def alpaca(r: Row) -> dict[str, Any]:
    """A pair as instruction, input and output; earlier turns are the input, as context."""
    turns = r.get("turns") or ()
    before = fold(turns, "").removesuffix(NEXT) if turns else ""
    words = {"instruction": r["instruction"], "input": before, "output": answer(r), "system": system(r)}
    return {**words, **kept(r)}


def sharegpt(r: Row) -> dict[str, Any]:
    """A pair as a conversation of `from` and `value`."""
    said = [{"from": CHAT_ROLES[m["role"]], "value": m["content"]} for m in chat(r)["messages"]]
    return {"conversations": said, **kept(r)}


def table_row(r: Row) -> dict[str, Any]:
    """A pair as input and output columns."""
    return {"input": fold(r.get("turns") or (), r["instruction"]), "output": answer(r), **kept(r)}


def prompt(r: Row) -> dict[str, Any]:
    """A pair as a prompt that models answer, with the answer that is expected."""
    turns = {"turns": list(r["turns"])} if r.get("turns") else {}
    return {"text": r["instruction"], **turns, "path": answer(r), **kept(r)}


def hf_row(r: Row) -> dict[str, Any]:
    """A pair as a record of a `datasets` table."""
    return {**chat(r), **kept(r)}


def _json(path: Path, records: Iterable[dict[str, Any]]) -> int:
    """A JSON list, or JSON lines where the file's name says so."""
    if path.suffix == ".jsonl":
        return write_jsonl(path, records)
    found = list(records)
    with replacing(path) as out:
        out.write("[\n" + ",\n".join(json.dumps(r, ensure_ascii=False) for r in found) + "\n]\n")
    return len(found)


def _csv(path: Path, records: Iterable[dict[str, Any]]) -> int:
    """Comma-separated, everything quoted: commas, quotes and line ends in a sentence stay what they are."""
    found = list(records)
    with replacing(path) as out:
        table = csv.DictWriter(out, ["input", "output", *KEPT], quoting=csv.QUOTE_ALL, lineterminator="\n")
        table.writeheader()
        table.writerows(found)
    return len(found)


def _folder(path: Path, records: Iterable[dict[str, Any]]) -> int:
    """A folder of the `datasets` library; it takes its name when it is whole."""
    datasets = need("datasets", extra="datasets")
    if path.exists() and not (path / "dataset_info.json").is_file():
        raise QuerywrightError(f"{path} is there and is no data set", hint="another --out, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.disable_progress_bars()
    table = datasets.Dataset.from_list(list(records))
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as work:
        table.save_to_disk(f"{work}/new")
        if path.exists():
            shutil.rmtree(path)
        Path(work, "new").rename(path)
    return len(table)


PROMPTED = ("chat", "alpaca", "sharegpt", "hf")
"""The formats that hold the system message, and so the nearest fields."""

_Form = tuple[Callable[[Row], dict[str, Any]], Callable[[Path, Iterable[dict[str, Any]]], int], str]
FORMS: dict[str, _Form] = {
    "rows": (dict, write_jsonl, "code"),
    "chat": (chat, write_jsonl, "code"),
    "completion": (completion, write_jsonl, "nil"),
    "alpaca": (alpaca, _json, "nil"),
    "sharegpt": (sharegpt, _json, "nil"),
    "csv": (table_row, _csv, "nil"),
    "hf": (hf_row, _folder, "nil"),
    "prompts": (prompt, write_jsonl, "code"),
}
"""Name: how a row becomes a record, how records are written, and how refusals stand in it unless told."""


def export(
    rows: Sequence[Row],
    out: Path,
    form: str = "chat",
    mode: str = "",
    source: Path | str = "pairs",
    api: API | None = None,
) -> int:
    """Write pairs in a format; returns how many.

    Args:
        mode: how refusals are written: `code`, `nil` or `drop`; the format's own by default.
        source: where the rows come from, for messages.
        api: whose fields the prompt shows; by default those of the shipped API that a row names.

    Raises:
        QuerywrightError: an unknown format or mode, no rows, a row with a protected sentence.
    """
    if form not in FORMS:
        raise QuerywrightError(f"unknown --format {form!r}", hint=f"one of {', '.join(FORMS)}")
    if not rows:
        raise QuerywrightError(f"{source} holds no rows", hint="querywright pairs make")
    refuse(rows, source)
    record, write, usual = FORMS[form]
    if form in PROMPTED:
        rows = list(with_fields(rows, api))
    chosen = list(rows) if form == "rows" and not mode else list(refusals(rows, mode or usual))
    n = write(out, map(record, chosen))
    nils = sum(refused(answer(r)) is not None for r in chosen)
    left_out = f", {len(rows) - n} left out" if n < len(rows) else ""
    say(f"export: {n} rows as {form} in {out}, {nils} of them refusals ({mode or usual}){left_out}")
    return n
