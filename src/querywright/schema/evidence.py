"""What is known of an API's fields beside the schema: values and counts of the log, records, documentation.

All of it was written by others. It is read as data: cleaned here, shown to a model between markers (`ask.py`), and
never followed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from itertools import islice
from pathlib import Path
from typing import Any

from querywright.api.call import CallError, parse
from querywright.api.definition import API
from querywright.api.query import Exists, Range, Term, walk
from querywright.artefacts import read_jsonl
from querywright.engines.fence import clean
from querywright.errors import QuerywrightError

_RECORDS = 200  # of a file are looked at
_LONGEST = 40  # characters of an example value
_NAME = r"[\s#*\-]*`{0,2}([\w.+-]{1,120})`{0,2}[*_]*\s*"
_ALONE = re.compile(_NAME + r":?\s*")
_BESIDE = re.compile(_NAME + r"(?:\([^()]*\))?\s*(?::|--?|–|=)\s+(.+)")
_TAG = re.compile(r"<[^<>]{1,300}>")
_URL = re.compile(r"\b(?:https?://|www\.)\S+", re.I)
_MAIL = re.compile(r"[^\s@]@[^\s@]+\.[a-z]{2}", re.I)


@dataclass
class Evidence:
    """Values and counts by the name of a field or parameter.

    Attributes:
        values: what was searched for or found in records, with its weight.
        used: how often a field was searched or returned, or a parameter given.
        docs: a sentence of the documentation.
        sample: one record.
        unread: calls that are none of this API.
    """

    values: dict[str, Counter[str]] = field(default_factory=dict)
    used: Counter[str] = field(default_factory=Counter)
    docs: dict[str, str] = field(default_factory=dict)
    sample: dict[str, Any] = field(default_factory=dict)
    unread: int = 0

    def examples(self, name: str, n: int) -> tuple[str, ...]:
        """The most frequent values of a name, at most `n`; equal counts in the order of the alphabet."""
        counted = self.values.get(name, Counter())
        return tuple(v for v, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:n])

    def add(self, name: str, value: object, weight: float = 1.0) -> None:
        """Count a value, if it is one that can be shown."""
        text = clean(str(value).lower() if isinstance(value, bool) else str(value))
        if text and len(text) <= _LONGEST and "|" not in text and not (_URL.search(text) or _MAIL.search(text)):
            self.values.setdefault(name, Counter())[text] += weight  # type: ignore[assignment]


def gather(api: API, calls: Path | None, records: Path | None, docs: Sequence[Path]) -> Evidence:
    """Read all evidence there is.

    Raises:
        QuerywrightError: a file is missing or no text.
    """
    found = Evidence()
    if records is not None:
        from querywright.api.records import read_file

        if not records.is_file():
            raise QuerywrightError(f"no records file {records}", hint="--records takes a .jsonl or .jsonl.gz file")
        for i, record in enumerate(islice(read_file(records), _RECORDS)):
            found.sample = found.sample or record
            for name, value in _leaves(record) if i < _RECORDS else ():
                found.add(name, value, 0.01)  # what people ask for goes before what there is
    if calls is not None:
        _read_calls(api, read_jsonl(calls), found)
    found.docs = sentences("\n\n".join(map(_text, docs)), [*api.fields, *api.params])
    return found


def _read_calls(api: API, rows: Iterable[Mapping[str, Any]], found: Evidence) -> None:
    for row in rows:
        weight = float(row.get("weight") or row.get("count") or 1)
        try:
            call = parse(api, str(row.get("path", "")))
        except CallError:
            found.unread += 1
            continue
        for name, value in call.params:
            found.used[name] += weight  # type: ignore[assignment]
            several = value if isinstance(value, tuple) else (value,)
            for one in several:
                bare = str(one).lstrip("-")
                if api.params[name].kind in ("fields", "sort") and bare in api.fields:
                    found.used[bare] += weight  # type: ignore[assignment]
                elif api.params[name].kind not in ("fields", "sort"):
                    found.add(name, one, weight)
        for node in walk(call.query) if call.query is not None else ():
            if not isinstance(node, Term | Range | Exists) or not node.field:
                continue
            found.used[node.field] += weight  # type: ignore[assignment]
            if isinstance(node, Term) and node.kind in ("word", "phrase"):
                found.add(node.field, node.value, weight)
            elif isinstance(node, Range):
                for bound in (node.low, node.high):
                    if bound != "*":
                        found.add(node.field, bound, weight)


def _leaves(node: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, f"{name}.{key}" if name else str(key))
    elif isinstance(node, list):
        for value in node[:20]:
            yield from _leaves(value, name)
    elif node is not None:
        yield name, node


def part(record: Mapping[str, Any], names: Iterable[str], most: int = 900) -> str:
    """The parts of a record that hold the named fields, as JSON of at most `most` characters; cut values say so."""
    tops = dict.fromkeys(n.split(".")[0] for n in names)
    kept = {t: _short(record[t]) for t in tops if t in record}
    text = json.dumps(kept, ensure_ascii=False) if kept else ""
    return text if len(text) <= most else text[:most] + " ...(cut)"


def _short(node: Any) -> Any:
    if isinstance(node, dict):
        return {clean(str(k)): _short(v) for k, v in node.items()}
    if isinstance(node, list):
        return [_short(v) for v in node[:1]]
    return clean(node)[:80] if isinstance(node, str) else node


# --- documentation ---
def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise QuerywrightError(f"could not read {path} as text: {error}", hint="--docs takes text files") from error
    return unescape(_TAG.sub(" ", text)) if path.suffix.lower() in (".html", ".htm", ".xml") else text


def sentences(text: str, names: Iterable[str]) -> dict[str, str]:
    """The first sentence that a documentation gives to each name: of a definition list, a table, or a heading's body.

    Formats: `name` on a line of its own with text below (RST, Markdown headings), `name: text`, `name - text`, and
    table rows `| name | ... | text |`. A name that is an English word counts only where it stands so.
    """
    known = {n.lower(): n for n in names}
    found: dict[str, str] = {}
    lines = [line for line in text.replace("\r", "\n").split("\n") if line.strip()]
    for i, line in enumerate(lines):
        cells = [c.strip(" `*_") for c in line.strip().strip("|").split("|")] if line.strip().startswith("|") else []
        if len(cells) > 1 and cells[0].lower() in known:
            _keep(found, known[cells[0].lower()], max(cells[1:], key=len))
            continue
        match = _BESIDE.fullmatch(line)
        if match and match[1].lower() in known:
            _keep(found, known[match[1].lower()], match[2])
            continue
        alone = _ALONE.fullmatch(line)
        if alone and alone[1].lower() in known:
            body = [b for b in lines[i + 1 : i + 4] if re.search(r"\w", b)]
            if body and not re.match(r"\s*(?:#|::)", body[0]):
                _keep(found, known[alone[1].lower()], " ".join(b.strip() for b in body))
    return found


def _keep(found: dict[str, str], name: str, text: str) -> None:
    plain = clean(re.sub(r"[`*]|:\w+:|<#[^>]*>`?_+|\[([^\]]*)\]\([^)]*\)", lambda m: m[1] or "", text))
    plain = re.sub(r"^(?:Optional|Required)[.,:]\s*", "", plain)
    first = re.split(r"(?<=[.!?])\s+(?=[A-Z])", plain, maxsplit=1)[0].strip()
    if name not in found and 15 <= len(first) <= 300 and not _URL.search(first) and " " in first:
        found[name] = first[0].upper() + first[1:].rstrip(".;:, ") + "."
