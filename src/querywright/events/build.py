"""A workspace's log to rows that train, valid and test a model of who answers next.

Files: `train.jsonl`, `valid.jsonl`, `test.jsonl` (rows, see `querywright.rows`), the same as `PART.chat.jsonl` for
trainers, `labels.json` (who is which integer), `report.json` (what was read, left out, and why), `manifest.json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from querywright.api.refusal import NIL
from querywright.artefacts import content_id, data_dir, is_done, sha256, write_json, write_jsonl, write_manifest
from querywright.engines.tokens import Encode, encoder
from querywright.errors import QuerywrightError
from querywright.events.clean import words
from querywright.events.conversations import GAP, conversations
from querywright.events.examples import Example, Settings, examples
from querywright.events.labels import MOST, People, Style, assign, free_labels, nil_tokens
from querywright.events.message import Log, iso
from querywright.events.read import read
from querywright.events.split import PARTS, split
from querywright.progress import say
from querywright.rows import Row, chat

UNKNOWN = "?"
"""Stands for a speaker without a label."""


@dataclass(frozen=True)
class Options:
    """What `events build` can be told; see its `--help`."""

    settings: Settings = field(default_factory=Settings)
    gap: float = GAP
    style: Style = "chat"
    most: int = MOST
    at_least: int = 5
    min_words: int = 3
    rest: Literal["nil", "drop"] = "nil"
    speakers: bool = False
    max_tokens: int = 400
    valid: float = 0.1
    test: float = 0.1
    names: bool = False


def build(source: Path, out: Path, tokenizer: str, options: Options) -> dict[str, Any]:
    """Write the files named above into `out`; returns the report.

    Args:
        source: JSON lines, or a Slack export's folder.
        tokenizer: see `engines.tokens.encoder`.

    Raises:
        QuerywrightError: nothing to read, too few conversations, or a tokenizer without labels.
    """
    encode = encoder(tokenizer)
    config = {"stage": "events build", "log": _hash(source), "tokenizer": _identity(tokenizer), **asdict(options)}
    if is_done(out, config):
        say(f"events: {out} is whole, nothing to do")
        return {}
    (out / "manifest.json").unlink(missing_ok=True)
    free = free_labels(encode, options.style, options.most)
    nil = nil_tokens(encode, free, options.style)
    log = read(source)
    _say_read(log)
    found = conversations(log.messages, options.gap)
    starts: dict[str, float] = {}
    for c in found:
        starts[c.group] = min(starts.get(c.group, c.messages[0].time), c.messages[0].time)
    settings = options.settings
    parts, cuts, over = split([*examples(found, settings)], starts, settings.window, options.valid, options.test)
    people = assign([e.answers for e in parts["train"]], [*free], options.at_least)
    if not people.label:
        raise QuerywrightError(
            f"nobody answers {options.at_least} times in the training part",
            hint="a longer log, or a smaller --at-least",
        )
    report: dict[str, Any] = {
        "read": {"events": log.read, "messages": len(log.messages), "left out": dict(log.dropped), "first": log.shown},
        "conversations": {"threads": sum(c.thread for c in found), "channel": sum(not c.thread for c in found)},
        "labels": {"free": len(free), "given": len(people.label), "left out": people.left_out},
        "parts": {},
    }
    for part in PARTS:
        counts: Counter[str] = Counter()
        made = [*rows(parts[part], people, options, encode, counts)]
        report["parts"][part] = {
            "rows": write_jsonl(out / f"{part}.jsonl", made),
            "from": iso(min(e.time for e in parts[part])),
            "to": iso(max(e.time for e in parts[part])),
            "over the cut": over[part],
            **dict(sorted(counts.items())),
        }
        write_jsonl(out / f"{part}.chat.jsonl", map(chat, made))
    report["cuts"] = {part: iso(at) for part, at in cuts.items()}
    write_json(out / "labels.json", _labels(people, free, nil, tokenizer, options, log))
    write_json(out / "report.json", report)
    files = [f"{part}{kind}" for part in PARTS for kind in (".jsonl", ".chat.jsonl")]
    write_manifest(
        out, config, [*files, "labels.json", "report.json"], rows={p: report["parts"][p]["rows"] for p in PARTS}
    )
    _say_made(report, people, len(free))
    return report


def rows(
    found: Sequence[Example], people: People, options: Options, encode: Encode, counts: Counter[str]
) -> Iterator[Row]:
    """Examples as rows; `counts` gets what became `nil`, was left out or was shortened, and why."""
    task = options.settings.answer
    system = (data_dir() / "prompts" / f"events_{task}.txt").read_text(encoding="utf-8").strip()
    for example in found:
        text, cut = prompt(example, people, options, encode)
        if not text:
            counts["left out: no words to see"] += 1
            continue
        counts["prompts shortened"] += cut
        known = [people.label[user] for user in example.answers if user in people.label]
        weak = ""
        if words(text) < options.min_words:
            weak = "too few words"
        elif not example.answers:
            weak = "nobody answered"
        elif not known:
            weak = "answered by somebody without a label"
            if options.rest == "drop":
                counts[f"left out: {weak}"] += 1
                continue
        if weak:
            counts[f"nil: {weak}"] += 1
        answer = NIL if weak else " ".join(known)
        yield {
            "id": content_id(f"{example.id}\n{text}"),
            "api": "events",
            "instruction": text,
            "path": "",
            "answer": answer,
            "system": system,
            "canonical": example.group,
            "signature": f"{task} {answer}",
            "source": "events",
            "weight": 1.0,
            "message": example.id,
            "channel": example.channel,
            "moment": iso(example.time),
            "author": people.label.get(example.author, UNKNOWN),
            "speakers": [people.label.get(user, UNKNOWN) for user, _ in example.said],
            **({"weak": weak} if weak else {}),
        }


def prompt(example: Example, people: People, options: Options, encode: Encode) -> tuple[str, bool]:
    """What is seen, messages apart by blank lines, and whether older words had to leave to keep to `max_tokens`."""
    said = [f"{people.label.get(u, UNKNOWN)}: {text}" if options.speakers else text for u, text in example.said]
    short = False
    while len(said) > 1 and len(encode("\n\n".join(said))) > options.max_tokens:
        said, short = said[1:], True
    if said and len(encode(said[0])) > options.max_tokens:
        short, parted = True, said[0].split(" ")
        low, high = 1, len(parted)  # as many of its words as fit
        while low < high:
            middle = (low + high + 1) // 2
            fits = len(encode(" ".join(parted[:middle]))) <= options.max_tokens
            low, high = (middle, high) if fits else (low, middle - 1)
        said = [" ".join(parted[:low])[: 8 * options.max_tokens]]
    return "\n\n".join(said), short


def _labels(
    people: People, free: dict[str, int], nil: list[int], tokenizer: str, options: Options, log: Log
) -> dict[str, Any]:
    """The label map. A person is an id; a name stands there only where it was asked for."""

    def person(user: str, label: str) -> dict[str, Any]:
        name = {"name": log.names[user]} if options.names and user in log.names else {}
        return {"label": label, "token": free[label], "user": user, "answers": people.answers[user], **name}

    return {
        "tokenizer": _identity(tokenizer),
        "style": options.style,
        "answer": options.settings.answer,
        "nil": {"text": NIL, "tokens": nil, "told apart by": nil[0]},
        "people": [person(user, label) for user, label in people.label.items()],
        "left out": {
            reason: {"people": n, "answers in train": answers} for reason, (n, answers) in people.left_out.items()
        },
    }


def _identity(tokenizer: str) -> str:
    """A tokenizer by what is in it, not by where it lies."""
    path = Path(tokenizer)
    path = path / "tokenizer.json" if path.is_dir() else path
    return f"sha256:{sha256(path)}" if path.is_file() else tokenizer


def _hash(source: Path) -> str:
    """A file's hash, or that of a folder's JSON files with their names."""
    if not source.is_dir():
        return sha256(source) if source.is_file() else ""
    files = sorted(p for p in [*source.glob("*.json"), *source.glob("*/*.json")] if p.is_file())
    return content_id("\n".join(f"{p.relative_to(source)} {sha256(p)}" for p in files), 64)


def _say_read(log: Log) -> None:
    left = ", ".join(f"{n} {reason}" for reason, n in log.dropped.most_common())
    say(f"events: {log.read} read, {len(log.messages)} messages of people" + (f"; left out: {left}" if left else ""))
    for line in log.shown[:3]:
        say(f"  {line}")


def _say_made(report: dict[str, Any], people: People, free: int) -> None:
    say(f"labels: {len(people.label)} people, of {free} integers that are one token with this tokenizer")
    for reason, (n, answers) in people.left_out.items():
        say(f"labels: none for {n} people, {reason}: {answers} answers in train")
    for part in PARTS:
        counts = dict(report["parts"][part])
        n, begin, end = counts.pop("rows"), counts.pop("from"), counts.pop("to")
        more = ", ".join(f"{v} {k}" for k, v in counts.items() if v)
        say(f"{part}: {n} rows, {begin} to {end}" + (f" ({more})" if more else ""))
