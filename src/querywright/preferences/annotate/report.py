"""`batches.csv`: what is known of each file of requests. Steps read it and write it after everything they do.

It can be deleted: a file that it does not name is found in `requests/`, its batch at the server by the content's hash.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from querywright.artefacts import MANIFEST, alone, numbered_jsonl, read_jsonl, replacing
from querywright.engines.budget import tokens_of
from querywright.errors import QuerywrightError
from querywright.preferences.annotate.results import RESULTS, Answer, answers_in

REQUESTS, CSV, FAILED = "requests", "batches.csv", "failed.csv"
NEW, LOCAL, GONE = "new", "local", "gone"
ENDED = ("completed", "failed", "expired", "cancelled", GONE)
_CONVERTS = "querywright preferences annotate convert --input MIX --output DIR"
_NUMBERS = ("rows", "bytes", "tokens", "tries", "done", "failed")


@dataclass
class Shard:
    """A file of requests and its batch.

    Attributes:
        file: its name in `requests/`, and that of its answers in `results/`.
        tokens: of its prompts, about.
        url: the server that has it; `local` for a local judge.
        state: `new`, or the server's word for the batch.
        tries: batches that were made of it.
        done, failed: rows with and without an answer, as far as is known.
        note: what the server said.
    """

    file: str
    rows: int = 0
    bytes: int = 0
    tokens: int = 0
    state: str = NEW
    done: int = 0
    failed: int = 0
    batch_id: str = ""
    url: str = ""
    file_id: str = ""
    output_file: str = ""
    error_file: str = ""
    tries: int = 0
    sent_at: str = ""
    note: str = ""

    @property
    def under_way(self) -> bool:
        """Whether a server works on it."""
        return bool(self.batch_id) and self.url != LOCAL and self.state not in ENDED


class Report:
    """The shards of a folder, in the order of their names; those that are asked again come last."""

    def __init__(self, folder: Path) -> None:
        """Read what is there.

        Raises:
            QuerywrightError: there are no requests, or the report is none.
        """
        self.folder = folder
        paths = sorted((folder / REQUESTS).glob("*.jsonl"), key=lambda p: (p.name.startswith("again-"), p.name))
        if not paths:
            raise QuerywrightError(f"no requests in {folder}", hint=_CONVERTS)
        known = {shard.file: shard for shard in _read(folder / CSV)}
        self.shards = [known.get(path.name) or _counted(path) for path in paths]
        for shard in self.shards:
            if self.results(shard).is_file() and shard.state not in ENDED:  # its line was lost, or it was put there
                self.note_results(shard)

    def complete(self) -> None:
        """Make sure that `convert` came to its end, before anything is asked: of half a set the rest would be missed.

        Raises:
            QuerywrightError: it was stopped.
        """
        if not (self.folder / REQUESTS / MANIFEST).is_file():
            raise QuerywrightError(
                f"the requests in {self.folder} are not all there: `annotate convert` was stopped, and did not write "
                f"{REQUESTS}/{MANIFEST}",
                hint="the same `annotate convert` again",
            )

    def save(self) -> None:
        """Write `batches.csv`."""
        with replacing(self.folder / CSV) as out:
            table = csv.DictWriter(out, [f.name for f in fields(Shard)], lineterminator="\n")
            table.writeheader()
            table.writerows({k: _cell(v) for k, v in asdict(s).items()} for s in self.shards)

    def requests(self, shard: Shard) -> Path:
        """The file of a shard's requests."""
        return self.folder / REQUESTS / shard.file

    def results(self, shard: Shard) -> Path:
        """The file of a shard's answers; it is there only when all that will come has come."""
        return self.folder / RESULTS / shard.file

    def note_results(self, shard: Shard) -> dict[str, Answer]:
        """Count what is in a shard's results file."""
        found = self.answers(shard)
        shard.failed = sum(bool(a.why) for a in found.values())
        shard.done = len(found) - shard.failed
        shard.state = shard.state if shard.state in ENDED else "completed"
        return found

    def answers(self, shard: Shard) -> dict[str, Answer]:
        """What is in a shard's results file; a request without a line there (whoever wrote it was stopped) failed."""
        found = answers_in(self.results(shard))
        for name in names_in(self.requests(shard)):
            found.setdefault(name, Answer(name, why=f"no line in {RESULTS}/"))
        return found

    def outcome(self) -> Outcome:
        """What is known of each request, over all files in which it stands."""
        found = Outcome()
        for shard in self.shards:
            if not self.results(shard).is_file():
                found.waiting.update(names_in(self.requests(shard)))
                continue
            for name, answer in self.answers(shard).items():
                found.tries[name] += 1
                if answer.why:
                    found.failed[name] = (shard.file, answer)
                else:
                    found.done[name] = answer
        for name in {*found.done, *found.waiting}:
            found.failed.pop(name, None)
        return found

    def write_failed(self, outcome: Outcome) -> None:
        """Write `failed.csv`; remove it where nothing failed."""
        path = self.folder / FAILED
        if not outcome.failed:
            path.unlink(missing_ok=True)
            return
        with replacing(path) as out:
            table = csv.writer(out, lineterminator="\n")
            table.writerow(["custom_id", "file", "status", "tries", "why"])
            for name, (file, answer) in sorted(outcome.failed.items()):
                row = (name, file, answer.status or "", outcome.tries[name], answer.why)
                table.writerow([_cell(v) for v in row])


@contextmanager
def reported(folder: Path) -> Iterator[Report]:
    """The report of a folder, for this run alone.

    Raises:
        QuerywrightError: there are no requests, or another run works there.
    """
    if not folder.is_dir():  # a misspelt one is not made
        raise QuerywrightError(f"no requests in {folder}", hint=_CONVERTS)
    with alone(folder):
        yield Report(folder)


class Outcome:
    """Requests by what became of them; each `custom_id` is in one of the three."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.done: dict[str, Answer] = {}
        self.failed: dict[str, tuple[str, Answer]] = {}
        self.waiting: set[str] = set()
        self.tries: Counter[str] = Counter()

    def reasons(self) -> list[str]:
        """The most common reasons of failures, with counts."""
        found = Counter(answer.why for _, answer in self.failed.values())
        return [f"{n} × {why}" for why, n in found.most_common(5)]


def names_in(path: Path) -> Iterator[str]:
    """The `custom_id`s of a file of requests."""
    return (str(row.get("custom_id")) for row in read_jsonl(path))


def _counted(path: Path) -> Shard:
    rows, tokens = 0, 0
    for number, row in numbered_jsonl(path):
        try:
            tokens += request_tokens(row)
        except (KeyError, TypeError, AttributeError):
            raise QuerywrightError(f"{path}:{number}: no request with chat messages", hint=_CONVERTS) from None
        rows += 1
    return Shard(path.name, rows, path.stat().st_size, tokens)


def request_tokens(row: dict[str, Any]) -> int:
    """About how many tokens a request's prompt has."""
    return tokens_of(row["body"]["messages"])


def max_tokens_of(path: Path) -> int:
    """The most tokens of an answer that a file of requests asks for: that of its first one."""
    body = _first(path)
    most = body.get("max_completion_tokens") or body.get("max_tokens")
    return most if isinstance(most, int) else 0


def model_of(path: Path) -> str:
    """The judge that a file of requests asks."""
    return str(_first(path).get("model") or "")


def _first(path: Path) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as lines:
            return dict(json.loads(next(lines, "{}"))["body"])
    except (ValueError, TypeError, KeyError) as error:
        raise QuerywrightError(f"{path} holds no requests ({error})", hint=_CONVERTS) from error


def _read(path: Path) -> list[Shard]:
    if not path.is_file():
        return []
    hint = f"delete it: it is made anew from {path.parent / REQUESTS} and the server"
    names = [f.name for f in fields(Shard)]
    try:
        with open(path, encoding="utf-8-sig", newline="") as table:
            rows = list(csv.DictReader(table, restkey="beyond", strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise QuerywrightError(f"{path} can't be read ({error})", hint=hint) from error
    found = []
    for number, row in enumerate(rows, 2):
        if set(row) != set(names) or None in row.values():
            raise QuerywrightError(f"{path}:{number}: not the columns of this report", hint=hint)
        try:
            values = {k: int(v) if k in _NUMBERS else _plain(v) for k, v in row.items()}
        except ValueError as error:
            raise QuerywrightError(f"{path}:{number}: {error}", hint=hint) from error
        found.append(Shard(**values))  # type: ignore[arg-type]
    return found


def _cell(value: Any) -> Any:
    """A value that a spreadsheet does not take for a formula."""
    return "'" + value if isinstance(value, str) and value[:1] in "=+-@\t" and value else value


def _plain(value: str) -> str:
    return value[1:] if value[:1] == "'" and value[1:2] in "=+-@\t" else value


def summary(report: Report, outcome: Outcome) -> dict[str, Any]:
    """Counts, for people and scripts."""
    states = Counter(shard.state for shard in report.shards)
    return {
        "files": dict(states.most_common()),
        "rows": len(outcome.done) + len(outcome.failed) + len(outcome.waiting),
        "done": len(outcome.done),
        "failed": len(outcome.failed),
        "waiting": len(outcome.waiting),
        "tokens_in": sum(a.tokens_in for a in outcome.done.values()),
        "tokens_out": sum(a.tokens_out for a in outcome.done.values()),
        "cut": sum(a.finish == "length" for a in outcome.done.values()),
    }


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    """Rows as the bytes of a JSONL file; the same rows give the same bytes."""
    return "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows).encode()
