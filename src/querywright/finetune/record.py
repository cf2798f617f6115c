"""What a training run leaves behind besides weights: its losses as JSON lines and as a picture, and its manifest."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from querywright.artefacts import MANIFEST, is_done, replacing, weights_sha256, write_manifest
from querywright.errors import QuerywrightError
from querywright.finetune.family import family
from querywright.finetune.hardware import hardware, packages, peak_memory
from querywright.finetune.merge import made_by
from querywright.progress import say

LOSSES, PLOT, RESOLVED = "losses.jsonl", "losses.png", "resolved.yaml"
LAST = 20  # steps that a mean loss is taken over
PLOT_EVERY_S = 60.0
# what the log of preference rows has besides its loss, and how the picture calls it
PREFERENCES = (("rewards/accuracies", "wanted answer ahead\n(share of rows)"), ("rewards/margins", "margin of rewards"))


class JSONLogger:
    """Metric logger component for torchtune: one JSON object a step, appended to ``log_dir/losses.jsonl``.

    The file begins anew with the first step that is logged; a run that goes on calls :meth:`rewind` before. Nothing is
    lost where a process ends before that. ``log_dir/losses.png`` is drawn again while the run lasts.

    Args:
        log_dir: where both go, and ``resolved.yaml`` with the config.
        plot_every_s: seconds between two drawings (half a second each); 0 for none while training.
    """

    def __init__(self, log_dir: str, plot_every_s: float = PLOT_EVERY_S) -> None:
        self.path = Path(log_dir) / LOSSES
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file: Any = None
        self._every, self._drawn = plot_every_s, time.monotonic()

    def rewind(self, step: int) -> None:
        """Keep what an earlier run logged up to ``step``, and go on after it."""
        self.close()
        kept = [row for row in read_losses(self.path) if row["step"] <= step]
        with replacing(self.path) as out:
            out.writelines(json.dumps(row) + "\n" for row in kept)
        self._file = self.path.open("a", encoding="utf-8")

    def log_config(self, config: Any) -> None:
        """The resolved config, beside the losses."""
        from omegaconf import OmegaConf

        with replacing(self.path.parent / RESOLVED) as out:
            out.write(OmegaConf.to_yaml(config, resolve=True))

    def log_dict(self, payload: Mapping[str, Any], step: int) -> None:
        """One row: ``step`` and the numbers of ``payload``; null for what is no finite number."""
        numbers = {key: round(float(value), 6) for key, value in payload.items()}
        row = {"step": step, **{key: x if math.isfinite(x) else None for key, x in numbers.items()}}
        self._file = self._file or self.path.open("w", encoding="utf-8")
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        if self._every and time.monotonic() - self._drawn >= self._every:
            self._draw()

    def _draw(self) -> None:
        if not _drawn(self.path.parent):
            self._every = 0
        self._drawn = time.monotonic()

    def log(self, name: str, data: Any, step: int) -> None:
        """One number."""
        self.log_dict({name: data}, step)

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
            self._file = None


def read_losses(path: Path) -> list[dict[str, Any]]:
    """The rows of a losses file; none where it is missing; a last line cut short by a crash is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def plot_losses(folder: Path) -> Path:
    """Draw ``losses.png`` from ``losses.jsonl``: each step, and the mean of the last 20 or 2 % of them; of preferences
    also how often, and by how much, the wanted answer gained more than the other one."""
    from matplotlib.figure import Figure  # no pyplot: nothing of the process's own drawing is touched
    from matplotlib.ticker import LogLocator, MaxNLocator, StrMethodFormatter

    rows = [row for row in read_losses(folder / LOSSES) if row.get("loss") is not None]
    shown = [(key, label) for key, label in PREFERENCES if any(row.get(key) is not None for row in rows)]
    figure = Figure(figsize=(7, 4 + 2.2 * len(shown)), layout="tight")
    ratios = [4.0, *([2.2] * len(shown))]
    axes, *more = figure.subplots(1 + len(shown), sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    losses = _drawn_with_means(axes, rows, "loss")
    what = "loss of preference rows (nats)" if shown else "loss of answer tokens (nats)"
    # the margins' loss begins at ln 2 and may stay near it: no decades to show
    axes.set(ylabel=what, yscale="log" if min(losses, default=1) > 0 and not shown else "linear")
    if axes.get_yscale() == "log":  # plain numbers: a loss is seldom more than two decades wide
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 3, 5, 7)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
    axes.legend()
    for below, (key, label) in zip(more, shown, strict=True):
        _drawn_with_means(below, rows, key)
        below.set(ylabel=label)
        below.axhline(0.5 if "accuracies" in key else 0.0, color="0.5", linewidth=0.8, linestyle=":")
    last = more[-1] if more else axes
    last.set(xlabel="step")
    last.xaxis.set_major_locator(MaxNLocator(integer=True))
    with replacing(folder / PLOT, "wb") as out:
        figure.savefig(out, format="png", dpi=120)
    return folder / PLOT


def _drawn_with_means(axes: Any, rows: list[dict[str, Any]], key: str) -> list[float]:
    """Draw one number of the rows, and its running mean; returns the number of each row that has it."""
    found = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
    steps, values = [step for step, _ in found], [value for _, value in found]
    last = max(LAST, len(values) // 50)
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    means = [(sums[i] - sums[max(0, i - last)]) / min(i, last) for i in range(1, len(sums))]
    axes.plot(steps, values, color="0.75", linewidth=0.8, label="each step")
    axes.plot(steps, means, color="tab:blue", label=f"mean of the last {last}")
    return values


def _drawn(folder: Path) -> bool:
    """Draw; a picture that can't be drawn is not worth a training run, and is said."""
    try:
        plot_losses(folder)
    except Exception as error:
        say(f"{folder / PLOT} is not drawn: {' '.join(str(error).split())}")
        return False
    return True


def finish_run(
    output: Path,
    facts: Mapping[str, Any],
    *,
    backend: str,
    steps: int,
    seconds: float,
    rows: int,
    tokens: int | None,
    device: str,
    peak_bytes: int | None = None,
    dataset_report: Mapping[str, Any] | None = None,
    files: Iterable[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """Say that a run is done: draw the losses, and last write ``manifest.json``.

    Args:
        output: the run's folder; ``losses.jsonl`` and ``adapter/`` lie there.
        facts: what decides the result, ``settings`` (the resolved config) and ``data_sha256`` among them: the
            manifest's ``config``, by which `artefacts.is_done` judges.
        backend: ``torchtune`` or ``peft``.
        steps, seconds: optimizer steps, and the time that training took in all its goes.
        rows: rows that there are to train on (an epoch's).
        tokens: tokens of the rows that the steps took in, question and answer, without padding; None: not counted.
        device: ``cpu`` or ``cuda``, whose names are looked up; or a name.
        peak_bytes: the most memory used, 0 for not known; by default this process's own peak, which is right where
            training ran in it.
        dataset_report: :attr:`querywright.finetune.data.ChatRows.report`; without it nobody knows what was too long.
        files: further files in ``output`` for the manifest to name; safetensors of ``adapter/`` are found.
        more: further facts, as they are.

    Returns:
        the manifest's facts.
    """
    report = dict(dataset_report or {})
    found = [row["loss"] for row in read_losses(output / LOSSES) if row.get("loss") is not None][-LAST:]
    names = [*files, *(str(path.relative_to(output)) for path in sorted((output / "adapter").glob("*.safetensors")))]
    if found:
        names += [LOSSES, *([PLOT] if _drawn(output) else [])]
    settings = facts.get("settings") or {}
    made = {
        "backend": backend,
        "steps": steps,
        "seconds": round(seconds, 1),
        "rows": rows,
        "too_long": report.get("too_long"),
        "tokens": tokens,
        "tokens_per_s": round(tokens / seconds, 1) if tokens and seconds else None,
        "peak_memory_bytes": (peak_memory(device) if peak_bytes is None else peak_bytes) or None,
        "device": hardware(device),
        "mean_last_losses": round(sum(found) / len(found), 4) if found else None,
        "packages": packages(backend),
        "base": base_facts(Path((settings.get("checkpointer") or {}).get("checkpoint_dir") or "")),
        "dataset": report,
        **more,
    }
    write_manifest(output, dict(facts), list(dict.fromkeys(names)), **made)
    return made


def is_finished(output: Path, facts: Mapping[str, Any]) -> bool:
    """Whether just this run is done, on the base as it is now: a merge that was made anew keeps its folder's name."""
    if not is_done(output, dict(facts)):
        return False
    was = (json.loads((output / MANIFEST).read_text(encoding="utf-8")).get("base") or {}).get("sha256")
    now = merged_id(facts)
    return not (was and now) or was == now


def merged_id(facts: Mapping[str, Any]) -> str:
    """SHA-256 of the weights that a run starts from, where they were merged here; empty for a publisher's, which stay
    what they are."""
    settings = facts.get("settings") or {}
    folder = Path((settings.get("checkpointer") or {}).get("checkpoint_dir") or "")
    made = made_by(folder)
    if made is None:
        return ""
    known = {Path(name).name: digest for name, digest in made["files"].items() if Path(name).parent.name == folder.name}
    return weights_sha256(folder, known) or ""


def base_facts(folder: Path) -> dict[str, Any]:
    """Name, licence and SHA-256 of a base checkpoint; of several weight files, that of a list of theirs.

    Hashes that the folder's own manifest holds are taken from there (files of 16 GB take half a minute to read).
    """
    if not (folder / "config.json").is_file():
        return {}
    try:
        made = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        known, about = dict(made["files"]), dict(made)
    except (OSError, ValueError, KeyError, TypeError):
        known, about = {}, {}
    model = (about.get("config") or {}).get("model")
    try:
        kind = family(folder)
        name, licence = kind.model_id or kind.human, kind.licence
    except QuerywrightError:  # of no known family: its folder's name, and a licence that nobody has stated
        name, licence = folder.name, "unknown"
    if merged := made_by(folder):  # the publisher's name alone would be another model's
        name = f"{name} with the adapter {merged['config']['adapter_sha256'][:12]} merged in"
    return {"name": model or name, "licence": about.get("licence") or licence, "sha256": weights_sha256(folder, known)}
