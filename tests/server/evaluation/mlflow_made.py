"""MLflow stores for tests: made once, since MLflow takes half a minute, and copied; and things to record in them."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from querywright.artefacts import alone, write_json, write_jsonl
from server.evaluation.tracking import Tracking, Upload
from server.evaluation.tracking_store import Store

WINDOWS = [[1, 4], [3, 6], [5, 8], [7, 10], [9, 12], [11, 14], [13, 16], [15, 17]]
DROPPED = {"answer_not_in_evidence": 7, "not_found_again": 5, "duplicate": 3}


def made(factory: pytest.TempPathFactory) -> Path:
    """The file of an empty store, made once in a test run: MLflow takes half a minute for it. To be copied."""
    base = factory.getbasetemp()
    place = (base.parent if base.name.startswith("popen-") else base) / "mlflow-made"
    with alone(place, patience_s=1800):
        if not (place / "whole").exists():
            assert Store(f"sqlite:///{place}/mlflow.db", place / "artefacts").client
            (place / "whole").touch()
    return place / "mlflow.db"


def copied(folder: Path, factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty store in it, `mlflow.db`; its experiments are still to be made."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(made(factory), folder / "mlflow.db")
    return folder


def fresh(folder: Path, factory: pytest.TempPathFactory) -> Tracking:
    """An empty tracking store with its experiments; its file is `folder/mlflow.db`."""
    found = open_at(copied(folder, factory))
    found.ready()
    return found


def open_at(folder: Path) -> Tracking:
    """The store in a folder, as another process would open it."""
    return Tracking(f"sqlite:///{folder}/mlflow.db", folder / "artefacts")


def upload(folder: Path, team: str = "alpha", name: str = "gene fields.json") -> Upload:
    """A document of 17 chunks, windows of 4 every 2."""
    draw = random.Random(1)
    texts = [f"field {i}: {'x' * draw.randint(60, 600)}" for i in range(1, 18)]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "posted"
    file.write_text(json.dumps(texts), encoding="utf-8")
    return Upload(team, "ab" * 32, name, "json", file, texts, 4, 2)


def generated(folder: Path) -> Path:
    """What a generation leaves: 17 questions kept, 15 dropped."""
    rows = [
        {"id": f"q{i}", "question": f"What is field {i}?", "answer": "a gene", "evidence": f"field {i} is a gene",
         "evidence_start": 0, "evidence_chunk": WINDOWS[i % 8][0], "window": WINDOWS[i % 8], "writer": "small"}
        for i in range(19) if i % 8 != 5
    ]  # fmt: skip
    write_jsonl(folder / "questions.jsonl", rows)
    report = {"written": 34, "kept": len(rows), "dropped": DROPPED, "tokens_in": 3400, "seconds": 41.2}
    write_json(folder / "report.json", report)
    return folder


def evaluated(folder: Path, models: tuple[str, ...] = ("small", "large"), drawn: bool = True) -> dict[str, Any]:
    """What an evaluation leaves in a folder, its pictures only if `drawn`; returns its summary."""
    draw, n, cells, answers = random.Random(2), 17, [], []
    for i, model in enumerate(models):
        for strategy, mean in (("closed", 0.1), ("window", 0.6), ("rag", 0.45)):
            name, f1 = f"{model} · {strategy}", mean + i / 10
            score = {"mean": f1, "low": max(0.0, f1 - 0.12), "high": f1 + 0.12, "n": n}
            cells.append(
                {"name": name, "model": model, "strategy": strategy, "samples": 1, "n": n,
                 "scores": {"f1": score, "exact": score}, "tokens_in": 1700, "tokens_out": 250, "errors": 0,
                 "cost": {"total": 0.034, "per_1000": 2.0, "note": ""},
                 "ms": {"p50": 800.0, "p95": 2100.0, "steps": [300.0 + 100 * k for k in range(21)]}}
            )  # fmt: skip
            answers += [
                {"cell": name, "model": model, "id": f"q{k}", "question": f"What is field {k}?", "answers": ["a gene"],
                 "response": "a gene, says <b>she</b>", "f1": min(1.0, max(0.0, draw.gauss(f1, 0.3))), "exact": 0.0}
                for k in range(n)
            ]  # fmt: skip
    write_jsonl(folder / "responses_evaluation.jsonl", answers)
    (folder / "responses_evaluation.pkl").write_bytes(b"never to be kept")
    found = {"name": "evaluation", "n": n, "seconds": 95.0, "cells": cells, "judge": None, "left_out": [],
             "notes": ["window: 1 of 18 questions have no passages and are not asked"]}  # fmt: skip
    write_json(folder / "scores.json", found)
    (folder / "report.html").write_text("<!doctype html><h1>Report</h1>", encoding="utf-8")
    if drawn:
        from querywright.evaluate import questions_report

        questions_report.draw(found, folder)
    return {**found, "files": {"responses": "responses_evaluation.jsonl"}}
