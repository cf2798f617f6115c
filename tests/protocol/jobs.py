"""Files and fine-tuning jobs."""

from __future__ import annotations

import email
import email.policy
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.protocol.http import Reply, Request

STEPS = ("validating_files", "queued", "running", "running", "succeeded")


@dataclass
class Jobs:
    """A room that keeps files and trains (it only says so).

    Attributes:
        steps: the states that a job goes through, one each time that it is looked at; the last one stays.
        held: a job stays in `running` as long as this is set.
        error: of a job that ends in `failed`.
        gate: the answer to an upload or a creation named in `gated` waits for it: the work is done, the client doesn't
            know it.
        key: where it is given, other keys are refused.
        lists: whether files and jobs can be listed; not every server does.
        page: entries of a list's page.
        uploads, created: what was done, in its order.
    """

    steps: tuple[str, ...] = STEPS
    held: threading.Event = field(default_factory=threading.Event)
    error: dict[str, Any] | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    gated: tuple[str, ...] = ()
    key: str = ""
    lists: bool = True
    page: int = 3
    uploads: list[dict[str, Any]] = field(default_factory=list)
    created: list[dict[str, Any]] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)
    looks: int = 0
    _events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __call__(self, request: Request) -> Reply | None:
        """Answer a request, or None where it is for another room."""
        path, _, query = request.path.partition("?")
        asked = {k: v[0] for k, v in parse_qs(query).items()}
        if not path.startswith(("/files", "/fine_tuning/jobs")):
            return None
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return Reply(401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}})
        with self._lock:
            reply, what = self._answer(request, path, asked)
        if what in self.gated:
            self.gate.wait(30)
        return reply

    def _answer(self, request: Request, path: str, asked: dict[str, str]) -> tuple[Reply, str]:
        parts = path.strip("/").split("/")
        creating = request.method == "POST"
        match parts:
            case ["files"] if creating:
                return self._upload(request), "upload"
            case ["files"]:
                return self._list(self.uploads, asked), ""
            case ["files", name]:
                return _one(self.uploads, name), ""
            case ["fine_tuning", "jobs"] if creating:
                return self._create(request.json()), "create"
            case ["fine_tuning", "jobs"]:
                return self._list(self.created[::-1], asked), ""
            case ["fine_tuning", "jobs", name]:
                self._step(name)
                return _one(self.created, name), ""
            case ["fine_tuning", "jobs", name, "events"]:
                return self._list(self._events.get(name, [])[::-1], asked), ""
            case ["fine_tuning", "jobs", name, "cancel"] if creating:
                for job in self.created:
                    if job["id"] == name:
                        job["status"] = "cancelled"
                return _one(self.created, name), ""
        return Reply(404, {"error": {"message": f"no {request.method} {path}"}}), ""

    def _list(self, things: list[dict[str, Any]], asked: dict[str, str]) -> Reply:
        if not self.lists:
            return Reply(404, {"error": {"message": "no such list"}})
        ids = [t["id"] for t in things]
        start = ids.index(asked["after"]) + 1 if asked.get("after") in ids else 0
        shown = things[start : start + self.page]
        return Reply(body={"object": "list", "data": shown, "has_more": start + self.page < len(things)})

    def _upload(self, request: Request) -> Reply:
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        message: Any = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
        found = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
        data = found["file"].get_payload(decode=True)
        file = {
            "id": f"file-{len(self.uploads) + 1}", "object": "file", "bytes": len(data), "created_at": 1_700_000_000,
            "filename": found["file"].get_filename(), "purpose": found["purpose"].get_payload().strip(),
            "status": "processed",
        }  # fmt: skip
        self.uploads.append(file)
        self.bodies[file["id"]] = data
        return Reply(body=file)

    def _create(self, body: dict[str, Any]) -> Reply:
        known = {f["id"] for f in self.uploads}
        unknown = [body[k] for k in ("training_file", "validation_file") if body.get(k) and body[k] not in known]
        if unknown:
            return Reply(400, {"error": {"message": f"invalid file: {unknown[0]}", "code": "invalid_training_file"}})
        job = {
            "id": f"ftjob-{len(self.created) + 1}", "object": "fine_tuning.job", "created_at": 1_700_000_000,
            "model": body["model"], "training_file": body["training_file"], "organization_id": "org",
            "validation_file": body.get("validation_file"), "metadata": body.get("metadata"), "seed": 1,
            "hyperparameters": {"n_epochs": "auto"}, "result_files": [], "status": "validating_files", "error": None,
            "fine_tuned_model": None, "trained_tokens": None, "finished_at": None, "method": body.get("method"),
            "asked": body, "step": 0,
        }  # fmt: skip
        self.created.append(job)
        self._say(job["id"], f"Created fine-tuning job: {job['id']}")
        return Reply(body=job)

    def _step(self, name: str) -> None:
        self.looks += 1
        for job in self.created:
            if job["id"] != name or job["status"] in ("succeeded", "failed", "cancelled", "expired"):
                continue
            if self.held.is_set() and job["status"] == "running":
                continue
            job["step"] = min(job["step"] + 1, len(self.steps) - 1)
            job["status"] = self.steps[job["step"]]
            if job["status"] == "running":
                step = job["step"] * 10
                self._say(
                    name, f"Step {step}/40: training loss=0.50", {"step": step, "total_steps": 40, "train_loss": 0.5}
                )
            if job["status"] == "succeeded":
                suffix = job["asked"].get("suffix", "")
                job.update(
                    fine_tuned_model=f"ft:{job['model']}:org:{suffix}:1", trained_tokens=4321, finished_at=1_700_000_900
                )
                job["result_files"] = ["file-result"]
                self._say(name, "The job has successfully completed")
            if job["status"] == "failed":
                job["error"] = self.error or {
                    "message": "the file is too short",
                    "code": "invalid_n_examples",
                    "param": "training_file",
                }

    def _say(self, name: str, message: str, data: dict[str, Any] | None = None) -> None:
        events = self._events.setdefault(name, [])
        events.append({
            "id": f"ftevent-{name}-{len(events) + 1}", "object": "fine_tuning.job.event", "created_at": 1_700_000_000,
            "level": "info", "message": message, "data": data, "type": "metrics" if data else "message",
        })  # fmt: skip


def _one(things: list[dict[str, Any]], name: str) -> Reply:
    found = next((t for t in things if t["id"] == name), None)
    return Reply(body=found) if found else Reply(404, {"error": {"message": f"no such object: {name}"}})
