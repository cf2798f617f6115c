"""What a training run leaves behind besides weights: losses as JSON lines and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from querywright.artefacts import replacing

LOSSES, PLOT = "losses.jsonl", "losses.png"
LAST = 20  # steps that a mean loss is taken over


class JSONLogger:
    """Metric logger component for torchtune: one JSON object a step, appended to ``log_dir/losses.jsonl``.

    The file begins anew with each run; a run that goes on calls :meth:`rewind` first.
    """

    def __init__(self, log_dir: str) -> None:
        self.path = Path(log_dir) / LOSSES
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._before = read_losses(self.path)
        self._file = self.path.open("w", encoding="utf-8")

    def rewind(self, step: int) -> None:
        """Bring back what an earlier run logged up to ``step``."""
        for row in self._before:
            if row["step"] <= step:
                self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def log_config(self, config: Any) -> None:
        """The resolved config, beside the losses."""
        from omegaconf import OmegaConf

        with replacing(self.path.parent / "config.yaml") as out:
            out.write(OmegaConf.to_yaml(config, resolve=True))

    def log_dict(self, payload: Mapping[str, Any], step: int) -> None:
        """One row: ``step`` and the numbers of ``payload``."""
        self._file.write(json.dumps({"step": step, **{k: round(float(v), 6) for k, v in payload.items()}}) + "\n")
        self._file.flush()

    def log(self, name: str, data: Any, step: int) -> None:
        """One number."""
        self.log_dict({name: data}, step)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_losses(path: Path) -> list[dict[str, float]]:
    """The rows of a losses file; none where it is missing; a last line cut short by a crash is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def plot_losses(folder: Path) -> Path:
    """Draw ``losses.png`` from ``losses.jsonl``: each step, and the mean of the last :data:`LAST`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in read_losses(folder / LOSSES) if "loss" in row]
    steps, losses = [row["step"] for row in rows], [row["loss"] for row in rows]
    means = [sum(part) / len(part) for part in (losses[max(0, i + 1 - LAST) : i + 1] for i in range(len(losses)))]
    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.plot(steps, losses, color="0.75", linewidth=0.8, label="each step")
    axes.plot(steps, means, color="tab:blue", label=f"mean of the last {LAST}")
    axes.set(xlabel="step", ylabel="loss of answer tokens (nats)", yscale="log")
    axes.legend()
    figure.tight_layout()
    with replacing(folder / PLOT, "wb") as out:
        figure.savefig(out, format="png", dpi=120)
    pyplot.close(figure)
    return folder / PLOT
