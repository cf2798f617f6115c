"""Documents and rows in MLflow: the runs of `data_upload` and `data_generation`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from querywright.artefacts import read_jsonl, write_json, write_jsonl
from querywright.errors import QuerywrightError
from querywright.questions.windows import Window, windows
from server.evaluation import charts
from server.evaluation.tracking_files import (
    QUESTION_COLUMNS,
    chunk_rows,
    parameters,
    public,
    safe_name,
    with_ids,
    write_table,
)
from server.evaluation.tracking_notes import ABOUT, FILES, counted, escaped, write_note
from server.evaluation.tracking_store import TABLES, Store, by_team, now_ms, tables_tag, text

UPLOAD, ROWS, JOB = "querywright.upload", "querywright.rows.", "querywright.job"
HOLDS = "querywright.holds"
"""The tag that says which kind of rows a run has."""
QUESTIONS, CALLS = "questions", "calls"
GENERATED = "generated"


class RunFull(QuerywrightError):
    """A run would hold more than a run may."""


class OtherRows(QuerywrightError):
    """A run would hold questions and calls: an evaluation asks one kind."""


class Most(NamedTuple):
    """What a run of data may hold: rows, and their bytes as JSON lines; and how many runs of posted rows a team may
    have."""

    rows: int
    bytes: int
    runs: int = 1_000


@dataclass(frozen=True)
class Upload:
    """A document as it was posted.

    Attributes:
        team: who posted it.
        sha: SHA-256 of its bytes, hex: the document's identity.
        name: as the team calls it.
        kind: json, jsonl or csv.
        file: where its bytes lie; it goes into MLflow once.
        texts: its chunks' texts, chunk 1 first.
        size, step: the windows asked for when it was posted, in chunks.
    """

    team: str
    sha: str
    name: str
    kind: str
    file: Path
    texts: Sequence[str]
    size: int
    step: int


def record_upload(store: Store, upload: Upload) -> str:
    """The run of a document: the file itself, its chunks as a table, its windows as a picture. Returns its id."""
    tags = {**by_team(upload.team), UPLOAD: upload.sha}
    run = store.begun("data_upload", f"{upload.team}/{upload.sha}", upload.name, tags, now_ms())
    run_id = str(run.info.run_id)
    if run.info.status == "FINISHED":
        return run_id
    found, size, chunks = windows(len(upload.texts), upload.size, upload.step), upload.file.stat().st_size, upload.texts
    title = f"{_short(upload.name)}: {counted(len(chunks), 'chunk')}, {counted(len(found), 'window')}"
    table = ("chunk", "windows", "characters", "text")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        given = place / safe_name(upload.name, upload.kind)
        given.symlink_to(upload.file.absolute())  # its name in the store; the bytes are copied there once
        store.put(run_id, given, "input")
        store.put(run_id, write_table(place / "chunks.json", chunk_rows(chunks, found), table), "tables")
        store.put(run_id, charts.document([len(chunk) for chunk in chunks], found, place / "windows", title), "plots")
    about = (
        f"**{escaped(upload.name)}**, {upload.kind.upper()} of {size:,} bytes from team **{escaped(upload.team)}**: "
        f"{counted(len(chunks), 'chunk')}, {counted(len(found), 'window')} of {upload.size} every {upload.step}."
    )
    params = {
        "file": upload.name,
        "kind": upload.kind,
        "team": upload.team,
        "sha256": upload.sha,
        "window_size": upload.size,
        "window_step": upload.step,
    }
    metrics = {
        "chunks": len(chunks),
        "windows": len(found),
        "bytes": size,
        "characters_per_chunk": sum(map(len, chunks)) / max(1, len(chunks)),
    }
    shown = f"plots/windows.png\ntables/chunks.json\ninput/{safe_name(upload.name, upload.kind)}"
    store.write(run, params, metrics, {ABOUT: about, FILES: shown, TABLES: tables_tag(["tables/chunks.json"])})
    write_note(store, run_id)
    store.ended(run, now_ms())
    return run_id


def record_questions(store: Store, run: Any, folder: Path, settings: Mapping[str, Any], upload: Upload | None) -> None:
    """What `questions.make` wrote in `folder`, and its report, into a run."""
    rows, report = read_jsonl(folder / "questions.jsonl"), read_report(folder)
    dropped = {str(k): v for k, v in (report.get("dropped") or {}).items() if isinstance(v, int)}
    run_id, shown = run.info.run_id, ["tables/questions.json"]
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        put_rows(store, run, GENERATED, rows, place)
        store.put(run_id, write_table(place / "questions.json", rows, QUESTION_COLUMNS), "tables")
        if upload:
            title = f"{_short(upload.name)}: {counted(len(rows), 'question')} kept, {sum(dropped.values()):,} dropped"
            lanes = _windows(settings, upload)
            store.put(run_id, charts.questions(_kept(rows), dropped, lanes, place / "questions", title), "plots")
            shown.insert(0, "plots/questions.png")
            used(store, run, upload.name, upload.sha, "document")
        write_json(place / "config.json", public(settings))
        store.put(run_id, place / "config.json")
    for name in ("report.json", "dropped.jsonl"):
        if (folder / name).is_file():
            store.put(run_id, folder / name, "results")
            shown.append(f"results/{name}")
    whom = f" about {escaped(upload.name)}" if upload else ""
    about = (
        f"**{counted(len(rows), 'question')}**{whom}, written by **{escaped(str(settings.get('model', '')))}**; "
        f"{sum(dropped.values()):,} more did not pass the checks."
    )
    metrics = {name: value for name, value in report.items() if isinstance(value, int | float)}
    metrics |= {"kept": len(rows), **{f"dropped/{reason}": n for reason, n in dropped.items()}}
    metrics = {name: value for name, value in metrics.items() if not isinstance(value, bool)}
    tags = {ABOUT: about, FILES: "\n".join(shown), TABLES: tables_tag(["tables/questions.json"]), HOLDS: QUESTIONS}
    store.write(run, parameters(settings), metrics, tags)


def add_rows(
    store: Store, run: Any, posted: str, rows: Sequence[Mapping[str, Any]], most: Most | None = None
) -> int:  # fmt: skip
    """Rows that a team posts into a run; `posted` is the id of what they say. Returns how many rows the run holds.

    Raises:
        RunFull: it would hold more than `most`.
        OtherRows: it holds rows of the other kind.
    """
    from mlflow.entities import Metric

    run_id, before = run.info.run_id, read_rows(store, run)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        if ROWS + posted not in run.data.tags:
            new = with_ids(rows, before)
            _one_kind(before, new)
            if most is not None:
                _fits([*before, *new], most)
            put_rows(store, run, posted, new, place)
            before += new
        store.put(run_id, write_table(place / "questions.json", before, QUESTION_COLUMNS), "tables")
    calls = any("instruction" in row for row in before)
    tags = {TABLES: tables_tag(["tables/questions.json"]), HOLDS: CALLS if calls else QUESTIONS}
    if ROWS + GENERATED not in run.data.tags:
        tags |= {ABOUT: f"**{counted(len(before), 'row')}**, posted.", FILES: "tables/questions.json"}
    store.write(run, {}, {}, tags)
    # a number that grows: MLflow shows it as a line over the posts
    step = sum(tag.startswith(ROWS) for tag in {*run.data.tags, ROWS + posted})
    store.client.log_batch(run_id, metrics=[Metric("rows", len(before), run.info.start_time, step)])
    return len(before)


def _one_kind(before: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> None:
    calls = any("instruction" in row for row in new)
    if new and any(("instruction" in row) != calls for row in before):
        here, these = (QUESTIONS, CALLS) if calls else (CALLS, QUESTIONS)
        raise OtherRows(
            f"the run holds {here}, and these are {these}", hint="POST them without run_id: to a run of their own"
        )


def _fits(rows: Sequence[Mapping[str, Any]], most: Most) -> None:
    size = sum(len(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")) + 1 for row in rows)
    if len(rows) > most.rows or size > most.bytes:
        would = f"the run would hold {len(rows):,} rows of {size:,} bytes"
        raise RunFull(
            f"{would}, and {most.rows:,} of {most.bytes:,} are the most",
            hint="POST them without run_id: to a run of their own",
        )


def put_rows(store: Store, run: Any, name: str, rows: Sequence[Mapping[str, Any]], scratch: Path) -> None:
    """A file of rows into a run; the tag, set last, says that the file is whole, and its place among the others."""
    file = scratch / f"{name}.jsonl"
    write_jsonl(file, map(dict, rows))
    store.put(run.info.run_id, file, "rows")
    place = sum(tag.startswith(ROWS) for tag in {*run.data.tags} - {ROWS + name})
    store.client.set_tag(run.info.run_id, ROWS + name, f"{place:06d} {len(rows)}")


def read_rows(store: Store, run: Any, posts: int | None = None) -> list[dict[str, Any]]:
    """The rows of a run, in the order in which they came: of its first so many files, or of all."""
    files = sorted((place, tag) for tag, place in run.data.tags.items() if tag.startswith(ROWS))[:posts]
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for _, tag in files:
            path = f"rows/{tag.removeprefix(ROWS)}.jsonl"
            found += read_jsonl(store.client.download_artifacts(run.info.run_id, path, folder))
    return found


def read_report(folder: Path) -> dict[str, Any]:
    """The report of a generation; empty where it has none."""
    try:
        found = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found if isinstance(found, dict) else {}


def used(store: Store, run: Any, name: str, digest: str, context: str) -> None:
    """Say in MLflow's own way what a run used: its lists show it, and find runs by it."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(name[:500], digest[:36], "querywright", json.dumps({context: digest}))
    store.client.log_inputs(run.info.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])


def _short(name: str) -> str:
    """A name as a picture's title has room for it."""
    line = " ".join(text(name).split())
    return line if len(line) <= 60 else line[:59] + "…"


def _windows(settings: Mapping[str, Any], upload: Upload) -> list[Window]:
    size, step = settings.get("window_size") or upload.size, settings.get("window_step") or upload.step
    return windows(len(upload.texts), int(size), int(step))


def _kept(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[int, int], int]:
    kept: dict[tuple[int, int], int] = {}
    for row in rows:
        with suppress(TypeError, ValueError):
            first, last = map(int, row.get("window") or ())
            kept[first, last] = kept.get((first, last), 0) + 1
    return kept
