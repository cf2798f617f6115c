"""Pairs from files of other tools: the forms of `formats`, each row read as a sentence and a call of one API.

A row that is no pair is rejected with the reason's code and kept apart. `nil` answers become refusals. A system message
is left out: ours is what the model is asked with.
"""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from querywright.api.call import CallError, parse
from querywright.api.definition import API
from querywright.api.refusal import refused
from querywright.artefacts import apart, write_jsonl
from querywright.errors import QuerywrightError, need
from querywright.pairs.folded import NEXT, unfold
from querywright.pairs.formats import CHAT_ROLES, FORMS, SEPARATOR
from querywright.progress import say
from querywright.protected import refuse
from querywright.rows import Message, Row, answer, refusal_row, row
from querywright.rows import said as words_of

_SEPARATORS = (SEPARATOR, "\n\n$$$\n\n", "\n\n===\n\n", "\n\n---\n\n", "\n\n", " ->", "->", "\n")
_STOPS = ("\n\n###", "###", " END", "\n")
_FROM = {**{theirs: ours for ours, theirs in CHAT_ROLES.items()}, "assistant": "assistant", "user": "user"}
_SIGNS = (
    ({"messages"}, "chat"),
    ({"conversations"}, "sharegpt"),
    ({"prompt", "completion"}, "completion"),
    ({"instruction", "output"}, "alpaca"),
    ({"instruction", "path"}, "rows"),
    ({"text", "path"}, "prompts"),
    ({"input", "output"}, "csv"),
)


class NoPair(Exception):
    """A record that can't be read as a pair; its text is the reason's code."""


@dataclass
class Said:
    """What a record says: the sentence, what came before it, and the answer."""

    instruction: str
    answer: str
    turns: list[Message] = field(default_factory=list)


def imports(source: Path, api: API, form: str = "auto") -> tuple[list[Row], list[Row]]:
    """Read pairs for an API.

    Returns:
        The pairs, and the rejected records: `instruction`, `path` (the answer as it was), `reason` (a code), `line`
        (the record's number, from 1).

    Raises:
        QuerywrightError: the file can't be read, no form fits, no record is a pair, or one is protected.
    """
    records = read(source, form)
    form = detect(records, source) if form == "auto" else form
    reader = _READERS[form](records)
    good: dict[str, Row] = {}
    numbers: list[int] = []
    bad: list[Row] = []
    for number, record in enumerate(records, 1):
        said = None
        try:
            said = reader(record)
            made = _pair(api, said, record)
            key = f"{words_of(made)}\n{answer(made)}"
            if key in good:
                raise NoPair("repeated")
            good[key] = made
            numbers.append(number)
        except (CallError, NoPair) as error:
            words = {"instruction": said.instruction, "path": said.answer} if said else {"record": record}
            code = error.code if isinstance(error, CallError) else str(error)
            bad.append({"line": number, "reason": code, "detail": str(error), **words})
    rows = list(good.values())
    refuse(rows, source, numbers=numbers)
    if not rows:
        reasons = ", ".join(f"{reason} {n}" for reason, n in Counter(r["reason"] for r in bad).most_common(3))
        raise QuerywrightError(
            f"{source}, read as {form}, holds no pair for {api.name}: {reasons or 'it is empty'}",
            hint=f"another --api, or --format {'|'.join(FORMS)}",
        )
    return rows, bad


def take_in(source: Path, api: API, out: Path, form: str = "auto", rejects: Path | None = None) -> int:
    """`imports` into files; returns how many pairs."""
    apart(source, out=out, rejects=rejects)
    rows, bad = imports(source, api, form)
    write_jsonl(out, rows)
    if rejects:
        write_jsonl(rejects, bad)
    reasons = ", ".join(f"{n} {reason}" for reason, n in Counter(r["reason"] for r in bad).most_common())
    nils = sum("refusal" in r for r in rows)
    told = f"; {len(bad)} rejected ({reasons})" if bad else ""
    say(f"import: {len(rows)} pairs in {out}, {nils} of them refusals{told}")
    if bad and not rejects:
        say("import: --rejects FILE keeps the rejected records with their reasons")
    return len(rows)


def read(source: Path, form: str = "auto") -> list[dict[str, Any]]:
    """The records of a file or folder, whatever they mean."""
    if form not in ("auto", *FORMS):
        raise QuerywrightError(f"unknown --format {form!r}", hint=f"auto, or one of {', '.join(FORMS)}")
    if source.is_dir():
        return _folder(source)
    try:
        if source.suffix.lower() == ".csv":
            with source.open(encoding="utf-8-sig", newline="") as lines:
                return list(csv.DictReader(lines))
        text = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise QuerywrightError(f"could not read {source}: {error}", hint="a file in UTF-8; see --help") from error
    if text.lstrip()[:1] == "[":
        return _objects([(text, 1)], source, whole=True)
    return _objects([(line, i) for i, line in enumerate(text.split("\n"), 1) if line.strip()], source)


def _objects(texts: Sequence[tuple[str, int]], source: Path, whole: bool = False) -> list[dict[str, Any]]:
    found: list[Any] = []
    for text, line in texts:
        try:
            one = json.loads(text)
        except (ValueError, RecursionError) as error:  # a number of 5,000 digits, lists in lists in lists
            at = line + getattr(error, "lineno", 1) - 1
            reason = getattr(error, "msg", None) or str(error).partition(";")[0]
            raise QuerywrightError(f"{source}:{at}: not JSON ({reason})", hint="JSON lines or a list") from error
        found += one if whole else [one]
    for number, record in enumerate(found, 1):
        if not isinstance(record, dict):
            raise QuerywrightError(
                f"{source}: record {number} is no JSON object", hint="JSON lines or a list of objects"
            )
    return found


def _folder(source: Path) -> list[dict[str, Any]]:
    if (source / "dataset_dict.json").is_file():
        parts = sorted(p.parent.name for p in source.glob("*/dataset_info.json"))
        raise QuerywrightError(
            f"{source} holds several splits: {', '.join(parts)}", hint=f"name one: {source / (parts or ['train'])[0]}"
        )
    if not (source / "dataset_info.json").is_file():
        raise QuerywrightError(
            f"{source} is no data set folder", hint="datasets' save_to_disk writes them; or name a file"
        )
    return list(need("datasets", extra="datasets").load_from_disk(str(source)))


def detect(records: Sequence[dict[str, Any]], source: Path) -> str:
    """The form of some records, by the keys of the first."""
    keys = {key for key, value in records[0].items() if value is not None} if records else set()
    for needed, form in _SIGNS:
        if needed <= keys:
            return form
    if {"instruction", "refusal"} <= keys or {"instruction", "answer"} <= keys:
        return "rows"
    raise QuerywrightError(
        f"{source}: no form known by the keys {', '.join(sorted(keys)) or '(none)'}",
        hint=f"--format {'|'.join(FORMS)}; the keys of each: querywright pairs import --help",
    )


def _pair(api: API, said: Said, record: dict[str, Any]) -> Row:
    """A row of ours; where a row comes from is taken over as far as it says so."""
    if not said.instruction.strip():
        raise NoPair("no_sentence")
    if not said.answer.strip():
        raise NoPair("no_answer")
    if record.get("api") not in (None, "", api.name):
        raise NoPair("other_api")
    told = {k: str(record[k]) for k in ("source", "teacher", "persona") if record.get(k)}
    origin = told.pop("source", "import")
    try:
        weight = float(record.get("weight") or 1.0)
    except (TypeError, ValueError, OverflowError):
        weight = -1.0
    if not (0 <= weight < math.inf):
        raise NoPair("weight_no_number")
    code = refused(said.answer)
    if code:
        extra = {**({"turns": said.turns} if said.turns else {}), **told}
        return {**refusal_row(api.name, said.instruction, code, origin, **extra), "weight": weight}
    return row(parse(api, said.answer), said.instruction, origin, weight, turns=said.turns, **told)


_Reader = Callable[[dict[str, Any]], Said]


def _text(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise NoPair(f"no_{key}")
    return value


def _messages(found: Any, role: str, content: str) -> Said:
    if not isinstance(found, list) or not all(isinstance(m, dict) for m in found):
        raise NoPair("no_messages")
    said = [{"role": _FROM.get(str(m.get(role)), ""), "content": m.get(content)} for m in found]
    said = said[1:] if said and said[0]["role"] == "system" else said
    if any(m["role"] not in ("user", "assistant") or not isinstance(m["content"], str) for m in said):
        raise NoPair("role_unknown")
    if len(said) < 2 or (said[-2]["role"], said[-1]["role"]) != ("user", "assistant"):
        raise NoPair("no_answer_at_the_end")
    return Said(said[-2]["content"], said[-1]["content"], said[:-2])


def _chat(records: Sequence[dict[str, Any]]) -> _Reader:
    return lambda record: _messages(record.get("messages"), "role", "content")


def _sharegpt(records: Sequence[dict[str, Any]]) -> _Reader:
    return lambda record: _messages(record.get("conversations"), "from", "value")


def _completion(records: Sequence[dict[str, Any]]) -> _Reader:
    """The separator is what all prompts end with."""
    separator = _ending(records, "prompt", _SEPARATORS)
    stop = _ending(records, "completion", _STOPS)

    def reader(record: dict[str, Any]) -> Said:
        turns, instruction = unfold(_text(record, "prompt").removesuffix(separator))
        return Said(instruction, _text(record, "completion").removeprefix(" ").removesuffix(stop), turns)

    return reader


def _ending(records: Sequence[dict[str, Any]], key: str, endings: Sequence[str]) -> str:
    """The first of some endings that every text has."""
    texts = [str(r.get(key, "")) for r in records]
    return next((e for e in endings if all(text.endswith(e) for text in texts)), "")


def _alpaca(records: Sequence[dict[str, Any]]) -> _Reader:
    """Where every row has the same instruction, that is the task's name, and the input is the sentence."""
    constant = len(records) > 1 and len({str(r.get("instruction")) for r in records}) == 1

    def reader(record: dict[str, Any]) -> Said:
        instruction, more, output = _text(record, "instruction"), record.get("input") or "", _text(record, "output")
        if not isinstance(more, str):
            raise NoPair("no_input")
        before = record.get("history") or []
        if not isinstance(before, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in before):
            raise NoPair("history_no_pairs")
        roles = ("user", "assistant")
        turns = [{"role": r, "content": str(t)} for pair in before for r, t in zip(roles, pair, strict=True)]
        context, rest = unfold(more + NEXT) if more else ([], "")
        if context and not rest:
            return Said(instruction, output, [*turns, *context])
        return Said(more if constant and more else f"{instruction}\n{more}" if more else instruction, output, turns)

    return reader


def _table(records: Sequence[dict[str, Any]]) -> _Reader:
    def reader(record: dict[str, Any]) -> Said:
        turns, instruction = unfold(_text(record, "input"))
        return Said(instruction, _text(record, "output"), turns)

    return reader


def _rows(records: Sequence[dict[str, Any]]) -> _Reader:
    def reader(record: dict[str, Any]) -> Said:
        turns = record.get("turns") or []
        answer = f"nil {record['refusal']}" if record.get("refusal") else record.get("path") or record.get("answer")
        if not isinstance(answer, str):
            raise NoPair("no_answer")
        asked = [*turns, {"role": "user", "content": _text(record, "instruction")}] if isinstance(turns, list) else None
        return _messages([*asked, {"role": "assistant", "content": answer}] if asked else None, "role", "content")

    return reader


def _prompts(records: Sequence[dict[str, Any]]) -> _Reader:
    reader = _rows(records)
    return lambda record: reader({**record, "instruction": record.get("text")})


_READERS: dict[str, Callable[[Sequence[dict[str, Any]]], _Reader]] = {
    "rows": _rows, "chat": _chat, "completion": _completion, "alpaca": _alpaca, "sharegpt": _sharegpt, "csv": _table,
    "hf": _chat, "prompts": _prompts,
}  # fmt: skip
