"""A fine-tuning job at a server: upload, create, wait, write down the model's name.

What has been done stands in `OUT/hosted_state.json` after each step, and uploaded files and jobs carry a name made of
their content. So a client that was killed goes on: it neither uploads twice nor starts a second job, even if it died
between the server's work and its own note. `OUT/hosted.json` is written last.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from querywright import __version__
from querywright.artefacts import content_id, write_json
from querywright.engines.budget import tokens_of
from querywright.engines.files import LOOKED_AT, listed, send_file
from querywright.engines.host import OPENAI, Host, HostError, line
from querywright.errors import QuerywrightError
from querywright.finetune.chat_rows import read_rows
from querywright.progress import LOG_EVERY_S, say

DONE, STATE = "hosted.json", "hosted_state.json"
_BAD = ("failed", "cancelled", "expired", "error")
_WAITING = ("validating_files", "queued", "running", "paused")
_FEWEST = 10  # rows that OpenAI asks for


@dataclass(frozen=True)
class Order:
    """What is to be trained."""

    train: Path
    base_model: str
    out: Path
    valid: Path | None = None
    base_url: str = OPENAI
    n_epochs: int | None = None
    suffix: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class Upload:
    """A file as it is sent: only `messages`, role and content."""

    part: str
    path: str
    sha256: str
    rows: int
    size: int
    tokens: int
    data: bytes

    def facts(self) -> dict[str, Any]:
        """Everything but the data."""
        return {k: v for k, v in asdict(self).items() if k not in ("data", "part")}


def upload_of(part: str, path: Path) -> Upload:
    """Read and check a chat file.

    Raises:
        QuerywrightError: it holds no chat rows, or a protected sentence.
    """
    rows = read_rows(path)
    lines = ({"messages": [{k: m[k] for k in ("role", "content")} for m in messages]} for messages in rows)
    data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    digest = hashlib.sha256(data).hexdigest()
    tokens = sum(map(tokens_of, rows))  # about; the server's own count comes with the result
    return Upload(part, str(path), digest, len(rows), len(data), tokens, data)


class _Notes:
    """The state file."""

    def __init__(self, out: Path, config: dict[str, Any]) -> None:
        self.path = out / STATE
        self.now: dict[str, Any] = {"config": config, "files": {}, "job": "", "status": "", "events": []}
        if not self.path.is_file():
            return
        try:
            before = json.loads(self.path.read_text(encoding="utf-8"))
            known = before["config"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise QuerywrightError(f"{self.path} is no state of a job ({error})", hint="another --out") from error
        if known == config:
            self.now = {**self.now, **before}
        elif before.get("job") and before.get("status") in ("", *_WAITING):
            raise QuerywrightError(
                f"{self.path.parent} holds the job {before['job']} with other rows or settings",
                hint="another --out; or the command it was started with, and --cancel",
            )

    def put(self, **what: Any) -> None:
        """Note something, at once."""
        self.now.update(what)
        write_json(self.path, self.now)


def run(
    order: Order, *, poll_s: float = 20.0, wait: Callable[[float], None] = time.sleep, cancel: bool = False
) -> dict[str, Any]:
    """Train as ordered, or go on waiting for what was ordered before; returns what `hosted.json` holds.

    Args:
        poll_s: seconds between two looks at the job.
        wait: how to sleep; a test's own takes no time.
        cancel: stop the order's job instead.

    Raises:
        QuerywrightError: rows that can't be trained on, a server that refuses, a job that failed or was cancelled.
    """
    uploads = [upload_of("train", order.train)] + ([upload_of("valid", order.valid)] if order.valid else [])
    config = {
        "base_url": order.base_url, "base_model": order.base_model, "n_epochs": order.n_epochs, "suffix": order.suffix,
        "seed": order.seed, **{u.part: u.sha256 for u in uploads},
    }  # fmt: skip
    done = _done(order.out, config)
    if done and not cancel:
        say(f"hosted: {order.out / DONE} is whole: {done['model']}")
        return done
    host = Host(order.base_url, wait=wait)
    notes = _Notes(order.out, config)
    if cancel:
        return _cancel(host, notes)
    _announce(uploads, order)
    try:
        files = {u.part: _uploaded(host, notes, u) for u in uploads}
        job = _job(host, notes, order, files, content_id(json.dumps(config, sort_keys=True), 24))
        job = _finished(host, notes, job, poll_s, wait)
    except KeyboardInterrupt:
        if notes.now["job"]:
            say(f"hosted: the job {notes.now['job']} goes on at {order.base_url}; --cancel stops it")
        raise
    made = {
        "version": __version__,
        "model": job.fine_tuned_model,
        "job": job.id,
        "config": config,
        "files": {u.part: {**u.facts(), "id": files[u.part]} for u in uploads},
        "trained_tokens": getattr(job, "trained_tokens", None),
        "result_files": list(getattr(job, "result_files", None) or ()),
        "created_at": job.created_at,
        "finished_at": getattr(job, "finished_at", None),
    }
    write_json(order.out / DONE, made)
    say(f"hosted: {job.fine_tuned_model} is ready ({order.out / DONE})")
    return made


def _done(out: Path, config: dict[str, Any]) -> dict[str, Any] | None:
    try:
        found = json.loads((out / DONE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("config") == config and found.get("model") else None


def _announce(uploads: list[Upload], order: Order) -> None:
    for u in uploads:
        say(f"hosted: {u.path}: {u.rows:,} rows, {u.size / 1e6:.2f} MB, about {u.tokens:,} tokens")
    if order.n_epochs:
        say(f"hosted: {order.n_epochs} epochs: about {order.n_epochs * uploads[0].tokens:,} trained tokens")
    if uploads[0].rows < _FEWEST:
        say(f"hosted: {uploads[0].rows} rows are few; OpenAI asks for {_FEWEST} at least")


def _uploaded(host: Host, notes: _Notes, upload: Upload) -> str:
    """The server's id of a file; sent only if it is not there."""
    known = str(notes.now["files"].get(upload.part, ""))
    found = send_file(host, upload.data, "fine-tune", upload.path, known)
    if found != known:
        notes.put(files={**notes.now["files"], upload.part: found})
    return found


def _job(host: Host, notes: _Notes, order: Order, files: dict[str, str], key: str) -> Any:
    """The job of this order: the noted one, one that the server has under our key, or a new one."""
    known = notes.now["job"]
    if known:
        job = host.optional(f"look at {known}", lambda: host.client.fine_tuning.jobs.retrieve(known), None)
        if job is not None and job.status not in _BAD:
            say(f"hosted: going on with {known} ({line(job.status)})")
            return job
        say(f"hosted: {known} is {line(job.status) if job is not None else 'gone'}; beginning anew")
        notes.put(job="", status="", events=[])
    settings: dict[str, Any] = {"model": order.base_model, "training_file": files["train"]}
    settings |= {"validation_file": files["valid"]} if "valid" in files else {}
    settings |= {"suffix": order.suffix} if order.suffix else {}
    settings |= {"seed": order.seed} if order.seed is not None else {}
    if order.n_epochs:
        method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": order.n_epochs}}}
        settings |= {"method": method}

    def create() -> Any:
        jobs = host.client.fine_tuning.jobs
        there: list[Any] = host.optional("list of jobs", lambda: listed(jobs.list()), [])
        for job in there:
            if (getattr(job, "metadata", None) or {}).get("querywright") == key and job.status not in _BAD:
                say(f"hosted: the server has this job already: {line(job.id)}")
                return job
        made = jobs.create(**settings, metadata={"querywright": key})
        if not getattr(made, "id", ""):
            raise ValueError("an answer without a job's id")
        return made

    made = host.ask("fine-tuning job", create)
    notes.put(job=str(made.id), status=str(made.status), events=[])
    say(f"hosted: job {line(made.id)} on {order.base_model}, {line(made.status)}")
    return made


def _finished(host: Host, notes: _Notes, job: Any, poll_s: float, wait: Callable[[float], None]) -> Any:
    """Wait for the end; say what happens meanwhile, each event once."""
    jobs, last = host.client.fine_tuning.jobs, (0.0, "")
    name = str(job.id)
    while True:
        progress = _events(host, notes, name)
        if job.status != notes.now["status"]:
            notes.put(status=str(job.status))
        if job.status == "succeeded":
            if not job.fine_tuned_model:
                raise QuerywrightError(f"the job {name} succeeded without a model", hint="look at the server's page")
            return job
        if job.status in _BAD:
            raise _failure(job)
        text = f"hosted: {line(job.status)}{progress}{_eta(job)}"
        if text != last[1] or time.monotonic() - last[0] >= LOG_EVERY_S * 4:
            say(text)
            last = (time.monotonic(), text)
        wait(poll_s)
        try:
            job = host.ask(f"look at {name}", lambda: jobs.retrieve(name))
        except HostError as error:
            if error.status == 404:
                notes.put(job="", status="gone", events=[])
                raise QuerywrightError(
                    f"the server no longer has the job {name}", hint="the same command starts a new one"
                ) from error
            raise
        if not getattr(job, "status", ""):
            raise QuerywrightError(f"{host.url} answers with no job", hint="is it a fine-tuning server?")


def _events(host: Host, notes: _Notes, name: str) -> str:
    """Say the new events; returns the last step and loss among them, for the progress line."""
    seen = set(notes.now["events"])
    new: list[Any] = host.optional("list of events", lambda: _listed_new(host, name, seen), [])
    step = notes.now.get("step", "")
    for event in reversed(new):
        level = "" if event.level == "info" else f"{line(event.level)}: "
        say(f"hosted:   {level}{line(event.message)}")
        data = event.data if isinstance(getattr(event, "data", None), dict) else {}
        if isinstance(data.get("step"), int):
            total = f"/{data['total_steps']}" if isinstance(data.get("total_steps"), int) else ""
            loss = f", loss {data['train_loss']:.3f}" if isinstance(data.get("train_loss"), int | float) else ""
            step = f", step {data['step']}{total}{loss}"
    if new:
        notes.put(events=[*notes.now["events"], *(e.id for e in reversed(new))], step=step)
    return str(step)


def _listed_new(host: Host, name: str, seen: set[str]) -> list[Any]:
    """Events that were not said yet; the newest come first, so the list ends at a known one."""
    new: list[Any] = []
    for event in islice(host.client.fine_tuning.jobs.list_events(name, limit=100), LOOKED_AT):
        if event.id in seen:
            break
        new.append(event)
    return new


def _eta(job: Any) -> str:
    at = getattr(job, "estimated_finish", None)
    left = at - time.time() if isinstance(at, int | float) else 0
    return f", ETA {left / 60:.0f} min" if left > 60 else f", ETA {left:.0f} s" if left > 0 else ""


def _failure(job: Any) -> QuerywrightError:
    error = getattr(job, "error", None)
    words = [line(getattr(error, key, "") or "") for key in ("message", "code", "param")] if error else []
    why = f": {words[0]}" + "".join(f" ({w})" for w in words[1:] if w) if words and words[0] else ""
    hint = "correct the rows or settings it names; the same command then starts a new job"
    return QuerywrightError(f"the job {line(job.id)} {line(job.status)}{why}", hint=hint)


def _cancel(host: Host, notes: _Notes) -> dict[str, Any]:
    name = notes.now["job"]
    if not name:
        raise QuerywrightError(f"no job of this order in {notes.path}", hint="the options it was started with")
    job = host.ask(f"end of {name}", lambda: host.client.fine_tuning.jobs.cancel(name))
    notes.put(status=str(job.status))
    say(f"hosted: the job {name} is {line(job.status)}")
    return {"job": name, "status": job.status}
