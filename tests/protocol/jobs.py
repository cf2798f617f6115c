"""Fine-tuning jobs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from tests.protocol.files import Files, one
from tests.protocol.http import Reply, Request

STEPS = ("validating_files", "queued", "running", "running", "succeeded")


@dataclass
class Jobs(Files):
    """A room that keeps files and trains (it only says so).

    Attributes:
        steps: the states that a job goes through, one each time that it is looked at; the last one stays.
        held: a job stays in `running` as long as this is set.
        error: of a job that ends in `failed`.
        created: the jobs, in their order.
    """

    steps: tuple[str, ...] = STEPS
    held: threading.Event = field(default_factory=threading.Event)
    error: dict[str, Any] | None = None
    created: list[dict[str, Any]] = field(default_factory=list)
    looks: int = 0
    _events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    prefix = "/fine_tuning/jobs"

    def _answer(self, request: Request, parts: list[str], asked: dict[str, str]) -> tuple[Reply, str]:
        creating = request.method == "POST"
        match parts:
            case ["fine_tuning", "jobs"] if creating:
                return self._create(request.json()), "create"
            case ["fine_tuning", "jobs"]:
                return self._list(self.created[::-1], asked), ""
            case ["fine_tuning", "jobs", name]:
                self._step(name)
                return one(self.created, name), ""
            case ["fine_tuning", "jobs", name, "events"]:
                return self._list(self._events.get(name, [])[::-1], asked), ""
            case ["fine_tuning", "jobs", name, "cancel"] if creating:
                for job in self.created:
                    if job["id"] == name:
                        job["status"] = "cancelled"
                return one(self.created, name), ""
        return super()._answer(request, parts, asked)

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
