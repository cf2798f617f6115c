"""What a model still knows after fine-tuning: lm-evaluation-harness on local tasks, before and after.

The harness (`lm_eval`, EleutherAI) asks; this module gives it our engine's model and tasks whose data lie beside them,
so that nothing is fetched, and compares the answers to the same questions.
"""

from __future__ import annotations

import io
import json
import logging
import math
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from querywright.artefacts import content_id, read_jsonl, repo_dir, weights_sha256, write_json
from querywright.engines.open import open_engine
from querywright.errors import QuerywrightError, need
from querywright.evaluate.harness import EXTRA, form, harness_model
from querywright.evaluate.sweep import fingerprint
from querywright.progress import say
from querywright.statistics import paired

if TYPE_CHECKING:
    from rich.table import Table


def run(
    before: Path, after: Path, out: Path, tasks: Sequence[Path] = (), limit: int | None = None
) -> dict[str, Any]:
    """Measure two models on the same tasks; a model that has been measured so before is not asked again.

    Args:
        before, after: checkpoint folders, or folders of adapters whose base is there; or two GGUF files, whose
            questions are put as chats (see `harness.form`).
        out: where `forgetting.json` and the answers of both go.
        tasks: YAML files or folders of them; those of `eval_configs/tasks` by default.
        limit: questions of each task.

    Returns:
        `before`, `after`: the paths; `sha256`: of their weights; `tasks`: for each its metric, whether higher is
        better, `n`, both means, and `difference` (after minus before) with `low`, `high` and `p`: see
        `statistics.paired`.

    Raises:
        QuerywrightError: no such model or task, or a task that needs something from elsewhere.
    """
    for path in (before, after):
        if not path.exists():
            raise QuerywrightError(f"no model at {path}", hint="querywright export writes merged/ and GGUF files")
    if before.is_file() != after.is_file():
        raise QuerywrightError(
            f"{before} and {after} are asked in two ways: a GGUF file in chats, a checkpoint in plain text",
            hint="--before BASE.gguf for a GGUF file; of an export, merged/ is the checkpoint",
        )
    specs = load_tasks(tasks)
    asked = content_id(json.dumps([specs, limit], sort_keys=True), 16)
    sides = {}
    for side, path in (("before", before), ("after", after)):
        key = f"{fingerprint(path)}-{asked}"
        sides[side] = _kept(out, key) or measure(path, specs, limit)
        write_json(out / f"answers-{key}.json", sides[side])
    compared: dict[str, Any] = {}
    for name, spec in specs.items():
        old, new = sides["before"][name], sides["after"][name]
        test = paired(new, old)
        metric = spec["metric_list"][0]
        compared[name] = {
            "metric": metric["metric"], "higher_is_better": bool(metric.get("higher_is_better", True)), "n": len(old),
            "before": sum(old) / len(old), "after": sum(new) / len(new),
            **{key: test[key] for key in ("difference", "low", "high", "p")},
        }  # fmt: skip
    # by which a model card knows whose report this is
    hashes = {"before": weights_sha256(before), "after": weights_sha256(after)}
    found = {"before": str(before), "after": str(after), "sha256": hashes, "limit": limit, "tasks": compared}
    write_json(out / "forgetting.json", found)
    return found


def load_tasks(paths: Sequence[Path] = ()) -> dict[str, dict[str, Any]]:
    """Tasks as the harness configures them, by name; the rows of their data stand under `rows`, by split.

    Raises:
        QuerywrightError: no such file, or a task whose data is not in JSON lines beside it, or that runs code.
    """
    files: list[Path] = []
    for path in paths or [repo_dir() / "eval_configs" / "tasks"]:
        files += sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        try:
            spec = yaml.safe_load(file.read_text(encoding="utf-8"))
            splits = spec["dataset_kwargs"]["data_files"]
            splits = splits if isinstance(splits, dict) else {spec["test_split"]: splits}
            name, _ = str(spec["task"]), (spec["metric_list"][0]["metric"], splits[spec["test_split"]])
            rows = {split: read_jsonl(file.parent / data) for split, data in splits.items()}
        except (OSError, yaml.YAMLError, KeyError, TypeError, IndexError) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise QuerywrightError(
                f"{file} is no task whose data is local: {reason}",
                hint="it needs task, test_split, metric_list and dataset_kwargs: {data_files: {test: rows.jsonl}}",
            ) from error
        found[name] = {**spec, "rows": rows}
    if not found:
        raise QuerywrightError("no tasks there", hint="--tasks takes YAML files, or a folder of them")
    return found


def measure(path: Path, specs: dict[str, dict[str, Any]], limit: int | None = None) -> dict[str, list[float]]:
    """Ask a model the questions of all tasks; the first metric of each, one number a question.

    Metrics of a whole text (`bits_per_byte`, `word_perplexity`, ...) are per text: what the harness takes the mean of.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
    lm_eval: Any = need("lm_eval", extra=EXTRA)
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    engine = open_engine(path)
    counts = {name: len(spec["rows"][spec["test_split"]]) for name, spec in specs.items()}
    say(f"asking {path}, {form(engine)}: " + ", ".join(f"{name} ({min(n, limit or n)})" for name, n in counts.items()))
    try:
        with nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO()):  # bars are not for log files
            results = lm_eval.simple_evaluate(
                model=harness_model(engine), tasks=[_task(spec) for spec in specs.values()], limit=limit,
                bootstrap_iters=0, log_samples=True, task_manager=TaskManager(include_defaults=False),
            )  # fmt: skip
    finally:
        engine.close()
    return {name: _values(results["samples"][name], spec) for name, spec in specs.items()}


def _task(spec: dict[str, Any]) -> dict[str, Any]:
    from datasets import Dataset

    rows = spec["rows"]
    kept = {key: value for key, value in spec.items() if key not in ("rows", "dataset_path", "dataset_kwargs")}
    # read by ourselves: nothing is fetched, and nothing is written to a cache in the home folder
    return {**kept, "custom_dataset": lambda **_: {split: Dataset.from_list(rows[split]) for split in rows}}


def _values(samples: list[dict[str, Any]], spec: dict[str, Any]) -> list[float]:
    metric = str(spec["metric_list"][0]["metric"])
    return [_value(metric, sample[metric]) for sample in sorted(samples, key=lambda sample: int(sample["doc_id"]))]


def _value(metric: str, found: Any) -> float:
    """A question's score. Of a text's perplexity the harness keeps (log-likelihood, words or bytes)."""
    if not isinstance(found, tuple | list):
        return float(found)
    rate = -float(found[0]) / float(found[1])
    return rate / math.log(2) if metric == "bits_per_byte" else math.exp(rate)


def _kept(out: Path, key: str) -> dict[str, list[float]] | None:
    try:
        found = json.loads((out / f"answers-{key}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def table(found: dict[str, Any]) -> Table:
    """Both models on each task, for the terminal."""
    from rich import box
    from rich.table import Table

    note = "after minus before on the same questions, with its 95 % interval; p: McNemar's exact test, or the sign test"
    grid = Table(title="Before and after fine-tuning", title_justify="left", caption=note, caption_justify="left",
                 box=box.SIMPLE_HEAD)  # fmt: skip
    for i, heading in enumerate(("task", "metric", "n", "before", "after", "difference [95%]", "p")):
        grid.add_column(heading, justify="left" if i < 2 else "right", no_wrap=True)
    for name, t in found["tasks"].items():
        arrow = "↑" if t["higher_is_better"] else "↓"
        difference = f"{t['difference']:+.3f} [{t['low']:+.3f}, {t['high']:+.3f}]"
        grid.add_row(name, f"{t['metric']} {arrow}", str(t["n"]), f"{t['before']:.3f}", f"{t['after']:.3f}",
                     difference, f"{t['p']:.2g}")  # fmt: skip
    return grid
