"""Batches: a file of requests in, files of answers and of errors out, some time later and perhaps not all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.protocol.chat import completion
from tests.protocol.files import Files, one
from tests.protocol.http import Reply, Request

STEPS = ("validating", "in_progress", "in_progress", "finalizing", "completed")
ENDED = ("completed", "failed", "expired", "cancelled")

Said = str | tuple[str, str] | int
"""A text, a text and why it ended, or the HTTP status of a request that failed."""


@dataclass
class Batches(Files):
    """A room that keeps files and works on batches.

    Attributes:
        answer: what is said to a request: its `custom_id` and body, and how often it was asked before.
        steps: the states that a batch goes through, one each time that it is looked at; the last one stays.
        expires: batches, by their number from 0, that expire with only so many rows answered.
        refused: batches, by their number, that fail as a whole, with a code and a message.
        most_waiting: rows that may be under way at once; a batch beyond it fails with `token_limit_exceeded`.
        error_files: whether rows that failed get a file of their own; else they stand in the output.
        created: the batches, in their order.
        asked: how often each request was worked on, so paid for.
    """

    page: int = 20
    answer: Callable[[str, dict[str, Any], int], Said] = lambda name, body, before: "Rating: 3"
    steps: tuple[str, ...] = STEPS
    expires: dict[int, int] = field(default_factory=dict)
    refused: dict[int, tuple[str, str]] = field(default_factory=dict)
    most_waiting: int | None = None
    error_files: bool = True
    created: list[dict[str, Any]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    prefix = "/batches"

    def _answer(self, request: Request, parts: list[str], asked: dict[str, str]) -> tuple[Reply, str]:
        creating = request.method == "POST"
        match parts:
            case ["batches"] if creating:
                return self._create(request.json()), "create"
            case ["batches"]:
                return self._list(self.created[::-1], asked), ""
            case ["batches", name]:
                self._step(name)
                return one(self.created, name), ""
        return super()._answer(request, parts, asked)

    def _create(self, body: dict[str, Any]) -> Reply:
        if body["input_file_id"] not in self.bodies:
            return Reply(400, {"error": {"message": f"invalid file: {body['input_file_id']}", "code": "invalid_file"}})
        if body["completion_window"] != "24h":
            return Reply(400, {"error": {"message": "completion_window has to be 24h"}})
        batch = {
            "id": f"batch_{len(self.created) + 1}", "object": "batch", "endpoint": body["endpoint"], "errors": None,
            "input_file_id": body["input_file_id"], "completion_window": "24h", "status": "validating",
            "output_file_id": None, "error_file_id": None, "created_at": 1_700_000_000,
            "metadata": body.get("metadata"), "request_counts": {"total": 0, "completed": 0, "failed": 0}, "step": 0,
            "number": len(self.created),
        }  # fmt: skip
        self.created.append(batch)
        return Reply(body=batch)

    def _step(self, name: str) -> None:
        batch = next((b for b in self.created if b["id"] == name), None)
        if batch is None or batch["status"] in ENDED:
            return
        rows, wrong = _rows(self.bodies[batch["input_file_id"]], batch["endpoint"])
        if batch["number"] in self.refused:
            wrong = [self.refused[batch["number"]]]
        others = sum(b["request_counts"]["total"] for b in self.created if b is not batch and b["status"] not in ENDED)
        if self.most_waiting is not None and batch["step"] == 0 and others + len(rows) > self.most_waiting:
            wrong = [("token_limit_exceeded", "Enqueued token limit reached for small in organization org.")]
        if wrong:
            errors = [{"code": code, "message": text, "line": None, "param": None} for code, text in wrong]
            batch.update(status="failed", errors={"object": "list", "data": errors})
            return
        batch["step"] = min(batch["step"] + 1, len(self.steps) - 1)
        batch["status"] = self.steps[batch["step"]]
        batch["request_counts"]["total"] = len(rows)
        if batch["number"] in self.expires and batch["status"] == "completed":
            batch["status"] = "expired"
        if batch["status"] in ENDED:
            self._finish(batch, rows)

    def _finish(self, batch: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        most = self.expires.get(batch["number"], len(rows))
        good, bad = [], []
        for row in rows[:most]:
            said = self.answer(row["custom_id"], row["body"], self.asked[row["custom_id"]])
            self.asked[row["custom_id"]] += 1
            (bad if isinstance(said, int) else good).append(_line(row, said))
        late = {"code": "batch_expired", "message": "This request could not be executed before the completion window."}
        counts = {"total": len(rows), "completed": len(good), "failed": len(bad)}
        for row in rows[most:]:
            bad.append({"id": "none", "custom_id": row["custom_id"], "response": None, "error": late})
        if not self.error_files:
            good, bad = good + bad, []
        batch["request_counts"] = counts
        for kind, lines in (("output", good), ("error", bad)):
            if lines:  # not in the order of the requests
                data = "".join(json.dumps(line) + "\n" for line in lines[::-1]).encode()
                file = self.put(data, f"{batch['id']}_{kind}.jsonl", "batch_output")
                batch[f"{kind}_file_id"] = file["id"]


def _rows(data: bytes, endpoint: str) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """The requests of a file, and what OpenAI would not take in it."""
    rows: list[dict[str, Any]] = []
    wrong: list[tuple[str, str]] = []
    for line in data.splitlines():
        try:
            row = json.loads(line)
            rows.append(row)
            if row["method"] != "POST" or row["url"] != endpoint or not row["body"]["messages"]:
                wrong.append(("invalid_url", "The URL provided for this request does not match the batch endpoint."))
        except (ValueError, KeyError, TypeError):
            wrong.append(("invalid_json_line", "This line is not parseable as valid JSON."))
    names = Counter(str(row.get("custom_id")) for row in rows)
    wrong += [("duplicate_custom_id", f"The custom_id {n} is used twice.") for n, count in names.items() if count > 1]
    wrong += [] if rows else [("empty_file", "The input file is empty.")]
    return rows, wrong


def _line(row: dict[str, Any], said: Said) -> dict[str, Any]:
    number = f"batch_req_{row['custom_id']}"
    if isinstance(said, int):
        body: dict[str, Any] = {"error": {"message": f"fault {said}", "code": "server_error"}}
        response = {"status_code": said, "request_id": number, "body": body}
        return {"id": number, "custom_id": row["custom_id"], "response": response, "error": None}
    text, finish = said if isinstance(said, tuple) else (said, "stop")
    response = {"status_code": 200, "request_id": number, "body": completion(text, row["body"], finish)}
    return {"id": number, "custom_id": row["custom_id"], "response": response, "error": None}
