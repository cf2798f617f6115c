"""MLflow as this project uses it: it sends nothing to its makers, and gives up soon on a server that is away."""

from __future__ import annotations

import os
from types import ModuleType

from querywright.errors import need

SILENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""What makes MLflow, its server and the pages that it serves tell nobody that they are used."""
_HABITS = {
    # MLflow's own seven tries wait four minutes for a server that is down; jobs come again by themselves
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def load_mlflow(extra: str) -> ModuleType:
    """The library, silent; it takes seconds the first time.

    Raises:
        QuerywrightError: it is not installed; `extra` brings it.
    """
    os.environ.update(SILENT)  # looked at while it is imported
    for name, value in _HABITS.items():
        os.environ.setdefault(name, value)
    return need("mlflow", extra=extra)
