"""An evaluation in MLflow: a run for the whole, a nested one for each cell (a model with a strategy)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from querywright.artefacts import numbered_jsonl, write_json
from querywright.evaluate.best import sentence
from querywright.evaluate.questions_page import trust
from server.evaluation import charts
from server.evaluation.tracking_files import ANSWER_COLUMNS, parameters, public, results, write_table
from server.evaluation.tracking_notes import ABOUT, FILES, escaped
from server.evaluation.tracking_store import PARENT, TABLES, TEAM, Store, by_team, now_ms, tables_tag

MAIN = ("f1", "same", "exact")
"""The score by which cells are named best, the first that there is."""


def cells_of(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The cells of an evaluation on questions, or of a sweep over calls, alike: `name`, `model`, `strategy`, `n`,
    `scores`, `ms`, `tokens_in`, `tokens_out` (sums), `cost`, `errors`."""
    cells = []
    for cell in found.get("cells") or []:
        n, tokens = int(cell.get("n") or 0), cell.get("tokens") or {}
        one = {**cell, "n": n, "scores": cell.get("scores") or cell.get("metrics") or {}}
        for side in ("in", "out"):
            if one.get(f"tokens_{side}") is None and tokens.get(side) is not None:
                one[f"tokens_{side}"] = tokens[side] * n  # a sweep gives means
        cells.append({"model": cell.get("model") or cell["name"], "strategy": cell.get("strategy") or "", **one})
    return cells


@dataclass(frozen=True)
class Evaluation:
    """One evaluation on its way into MLflow.

    Attributes:
        run: the run of the whole.
        key: that of the run; a cell's is this and its name.
        found: the summary.
        folder: what the evaluation wrote.
    """

    store: Store
    run: Any
    key: str
    found: Mapping[str, Any]
    folder: Path

    def record(self, settings: Mapping[str, Any]) -> None:
        """Write everything but links and the end."""
        with tempfile.TemporaryDirectory() as scratch:
            self._record(settings, Path(scratch))

    def _record(self, settings: Mapping[str, Any], scratch: Path) -> None:
        store, run_id, cells = self.store, self.run.info.run_id, cells_of(self.found)
        answers = self._answers()
        tables, plots = [], []
        if answers:
            store.put(run_id, write_table(scratch / "answers.json", answers, ANSWER_COLUMNS), "tables")
            tables.append("tables/answers.json")
        store.put(run_id, write_table(scratch / "scores.json", map(_line, cells), _columns(cells)), "tables")
        tables.insert(0, "tables/scores.json")
        for picture in self._pictures(cells, answers, scratch):
            store.put(run_id, picture, "plots")
            plots.append(f"plots/{picture.name}")
        for file in results(self.folder):
            store.put(run_id, file, "results")
        config = scratch / "config.json"
        write_json(config, public(settings))
        store.put(run_id, config)
        for cell in cells:
            self._nested(cell)
        by_cell = {
            f"{score}/{cell['name']}": one.get("mean") for cell in cells for score, one in cell["scores"].items() if one
        }
        shown = [*plots, *tables, *(["results/report.html"] if (self.folder / "report.html").is_file() else [])]
        tags = {TABLES: tables_tag(tables), FILES: "\n".join(shown), ABOUT: _about(self.found, cells)}
        store.write(self.run, parameters(settings), {**_totals(self.found, cells), **by_cell}, tags)

    def _nested(self, cell: Mapping[str, Any]) -> None:
        """A cell's own run: MLflow's tables and charts compare runs, so that cells can be compared there too."""
        tags = {**by_team(self.run.data.tags[TEAM]), PARENT: self.run.info.run_id}
        run = self.store.begun("evaluation", f"{self.key}/{cell['name']}", cell["name"], tags, self.run.info.start_time)
        if run.info.status == "FINISHED":
            return
        metrics: dict[str, float | None] = {}
        for name, one in cell["scores"].items():
            if one:
                metrics |= {name: one.get("mean"), f"{name}/low": one.get("low"), f"{name}/high": one.get("high")}
        ms, cost = cell.get("ms") or {}, cell.get("cost") or {}
        metrics |= {
            "questions": cell["n"],
            "errors": cell.get("errors"),
            "milliseconds/median": ms.get("p50"),
            "milliseconds/p95": ms.get("p95"),
            "tokens_in": cell.get("tokens_in"),
            "tokens_out": cell.get("tokens_out"),
            "cost": cost.get("total"),
            "cost_of_1000_answers": cost.get("per_1000"),
        }
        params = {key: cell.get(key) for key in ("model", "strategy", "decoding", "engine", "samples")}
        self.store.write(run, params, metrics, {})
        self.store.ended(run, now_ms())

    def _answers(self) -> list[dict[str, Any]]:
        """The answers with their scores, as the evaluation wrote them, scores beside the rest."""
        name = (self.found.get("files") or {}).get("responses")
        path = self.folder / Path(str(name)).name if name else next(iter(self.folder.glob("responses_*.jsonl")), None)
        if path is None or not path.is_file():
            return []
        return [{**row, **(row.get("scores") or {})} for _, row in numbered_jsonl(path)]

    def _pictures(self, cells: list[dict[str, Any]], answers: list[dict[str, Any]], scratch: Path) -> list[Path]:
        """The evaluation's own pictures, then how F1 is spread, and what a question takes."""
        spread: dict[str, list[float]] = {}
        for row in answers:
            if isinstance(row.get("f1"), int | float):
                spread.setdefault(str(row.get("cell") or row.get("model")), []).append(float(row["f1"]))
        drawn = [charts.spread(spread, scratch / "f1"), charts.spent(cells, scratch / "tokens")]
        own = sorted(self.folder.glob("*.png"), key=lambda path: (path.stem != "scores", path.stem))
        return [*own, *(path for path in drawn if path is not None)]


def _about(found: Mapping[str, Any], cells: list[dict[str, Any]]) -> str:
    main = next((score for score in MAIN if any(cell["scores"].get(score) for cell in cells)), None)
    parts = []
    if main:
        parts.append(sentence(cells, main, lambda name: f"**{escaped(name)}**"))
    if judge := found.get("judge"):
        parts.append(escaped(trust(judge)[0]) if judge["judged_too"] else f"Judge: {escaped(judge['name'])}.")
    parts += [f"{escaped(str(note))}." for note in list(found.get("notes") or [])[:5]]
    parts += [f"Left out: {escaped(str(reason))}." for reason in list(found.get("left_out") or [])[:5]]
    parts.append("Each cell is a run below this one.")
    return " ".join(parts)


def _line(cell: Mapping[str, Any]) -> dict[str, Any]:
    """A cell as a row of a table: scores as per cent with their intervals."""
    line = {"cell": cell["name"], "questions": cell["n"]}
    for name, one in cell["scores"].items():
        if one and one.get("mean") is not None:
            sides = f" [{100 * one['low']:.0f}, {100 * one['high']:.0f}]" if one.get("low") is not None else ""
            line[f"{name} %"] = f"{100 * one['mean']:.1f}{sides}"
    ms, cost = cell.get("ms") or {}, cell.get("cost") or {}
    line |= {"ms (median)": ms.get("p50") and round(ms["p50"]), "tokens in": cell.get("tokens_in"),
             "tokens out": cell.get("tokens_out"), "cost": cost.get("total"), "errors": cell.get("errors")}  # fmt: skip
    return line


def _columns(cells: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for cell in cells for name in _line(cell)))


def _totals(found: Mapping[str, Any], cells: list[dict[str, Any]]) -> dict[str, float | None]:
    costs, judge = [(cell.get("cost") or {}).get("total") for cell in cells], found.get("judge") or {}
    return {
        "questions": found.get("n") or max((cell["n"] for cell in cells), default=0),
        "cells": len(cells),
        "seconds": found.get("seconds"),
        "tokens_in": _sum(cells, "tokens_in"),
        "tokens_out": _sum(cells, "tokens_out"),
        "cost": None if None in costs else sum(float(one) for one in costs if one is not None),
        **{f"judge_{name}": judge.get(name) for name in ("tokens_in", "tokens_out", "cost")},  # beside the cells'
    }


def _sum(cells: list[dict[str, Any]], name: str) -> float | None:
    found = [cell[name] for cell in cells if cell.get(name) is not None]
    return sum(found) if found else None
