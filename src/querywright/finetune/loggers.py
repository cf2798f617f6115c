"""Where a run's numbers go besides ``losses.jsonl``: TensorBoard, MLflow, or any metric logger of torchtune's.

In a config::

    metric_logger:
      _component_: querywright.finetune.loggers.Several
      log_dir: ${output_dir}
      also: [tensorboard]  # or mlflow, or a component: {_component_: torchtune.training.metric_logging.WandBLogger}

``tensorboard --logdir OUTPUT_DIR`` shows the first. MLflow's server is the one that ``MLFLOW_TRACKING_URI`` names, else
a folder ``mlruns`` beside the losses (``mlflow ui --backend-store-uri OUTPUT_DIR/mlruns``); it sends nothing to its
makers (`querywright.mlflow_client`). A logger of torchtune's
that stands alone in a config works as well: :func:`with_losses` puts ``losses.jsonl`` beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError, did_you_mean, need
from querywright.finetune.record import PLOT_EVERY_S, JSONLogger
from querywright.mlflow_client import load_mlflow
from querywright.progress import say

NAMES = ("tensorboard", "mlflow")
RUN_ID = "mlflow_run_id.txt"
_OF_TORCHTUNE = "torchtune.training.metric_logging."


class Several:
    """Metric logger component: ``losses.jsonl`` and its picture, and the same numbers to others.

    The others are opened when the run knows whether it goes on: MLflow's run is then the same one. One that fails while
    training is left out from there on, and said: a server that is away must not end a run.

    Args:
        log_dir: where ``losses.jsonl`` lies.
        also: names (``tensorboard``, ``mlflow``) or components with their keys.
        plot_every_s: see :class:`querywright.finetune.record.JSONLogger`.
        opened: loggers that are there already.

    Raises:
        QuerywrightError: an unknown name.
    """

    def __init__(
        self,
        log_dir: str,
        also: Sequence[str | Mapping[str, Any]] = (),
        plot_every_s: float = PLOT_EVERY_S,
        opened: Sequence[Any] = (),
    ) -> None:
        self.folder = Path(log_dir)
        self._also = [also] if isinstance(also, str) else list(also)
        for name in unknown(self._also):
            raise QuerywrightError(name, hint=f"{', '.join(NAMES)}, or {{_component_: ...}}")
        self._json = JSONLogger(log_dir, plot_every_s)
        self._others, self._config = list(opened), None
        self._open = not self._also

    def rewind(self, step: int) -> None:
        """Go on after ``step``; 0 begins anew."""
        self._json.rewind(step)
        self._start(step)

    def log_config(self, config: Any) -> None:
        """The resolved config, to all."""
        self._json.log_config(config)
        if self._open:
            self._each("log_config", config)
        else:
            self._config = config

    def log_dict(self, payload: Mapping[str, Any], step: int) -> None:
        """The numbers of a step, to all."""
        self._start(0)
        self._json.log_dict(payload, step)
        self._each("log_dict", payload, step=step)

    def log(self, name: str, data: Any, step: int) -> None:
        """One number."""
        self.log_dict({name: data}, step)

    def close(self) -> None:
        """Close all."""
        self._json.close()
        self._each("close")
        self._others = []

    def _start(self, step: int) -> None:
        if self._open:
            return
        self._open = True
        self._others += [_made(one, self.folder, step) for one in self._also]
        if self._config is not None:
            self._each("log_config", self._config)

    def _each(self, method: str, *args: Any, **named: Any) -> None:
        for other in list(self._others):
            try:
                getattr(other, method)(*args, **named)
            except Exception as error:  # whatever a tracking library raises: training goes on
                reason = " ".join(str(error).split())[:200]
                say(f"{type(other).__name__} failed and is left out from here on ({reason}); losses.jsonl goes on")
                self._others.remove(other)


def with_losses(logger: Any, output: Path | str) -> Any:
    """A metric logger that writes ``losses.jsonl`` in ``output``, on which going on and the model card depend: the one
    given where it does so, else both."""
    return logger if isinstance(logger, JSONLogger | Several) else Several(str(output), opened=[logger])


def unknown(also: Sequence[str | Mapping[str, Any]]) -> list[str]:
    """What is wrong with the names in ``also``, a sentence each."""
    found = []
    for one in also:
        if isinstance(one, str) and one not in NAMES:
            found.append(f"metric_logger.also: no logger is called {one!r}{did_you_mean(one, list(NAMES))}")
        elif not isinstance(one, str) and "_component_" not in one:
            found.append("metric_logger.also: an entry is neither a name nor a component")
    return found


def check_installed(also: Sequence[str | Mapping[str, Any]]) -> None:
    """Refuse names whose library is missing, before anything is trained.

    Raises:
        QuerywrightError: with the command that installs it.
    """
    for name in NAMES:
        if name in also:
            load_mlflow(extra=name) if name == "mlflow" else need(name, extra=name)


def _made(one: str | Mapping[str, Any], folder: Path, step: int) -> Any:
    """A logger by name or component; ``step`` is the last one of the run that goes on."""
    from torchtune.config._utils import _get_component_from_path

    if not isinstance(one, str):
        keys = {str(key): value for key, value in one.items() if key != "_component_"}
        return _get_component_from_path(one["_component_"])(**keys)
    check_installed([one])
    if one == "tensorboard":
        # one folder for all goes of a run: of steps that come again TensorBoard shows the last
        board = _get_component_from_path(_OF_TORCHTUNE + "TensorBoardLogger")
        return board(log_dir=str(folder / "tensorboard"), organize_logs=False)
    with _same_run(folder, step):
        made = _get_component_from_path(_OF_TORCHTUNE + "MLFlowLogger")(
            experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME") or "querywright",
            tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or (folder / "mlruns").resolve().as_uri(),
            run_name=f"{folder.parent.name}/{folder.name}",
        )
    (folder / RUN_ID).write_text(str(made._run_id), encoding="utf-8")
    return made


@contextmanager
def _same_run(folder: Path, step: int) -> Iterator[None]:
    """Let MLflow go on with the run that it began here (only the environment can tell it which)."""
    path = folder / RUN_ID
    before = os.environ.get("MLFLOW_RUN_ID")
    if step and not before and path.is_file():
        os.environ["MLFLOW_RUN_ID"] = path.read_text(encoding="utf-8").strip()
    # a file store is all that a run without a server needs; newer versions ask to be told so
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("MLFLOW_RUN_ID", None)
