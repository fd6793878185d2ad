"""Runs in MLflow, where a site has it: optional, and no reason for a night to fail."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import TYPE_CHECKING

import structlog

from filterd.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trainer.night_content import NightContent

PACKAGE = "mlflow"
EXPERIMENT = "filterd"
# MLflow's own defaults wait for minutes for a server that is down, and tell its makers of each use.
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}

log = structlog.get_logger(__name__)


def require_mlflow(url: str) -> None:
    """SettingsError if an MLflow server is named and its package is not there.

    For the start of a run: after hours of training it is too late to hear of it.
    """
    if url and importlib.util.find_spec(PACKAGE) is None:
        raise SettingsError(
            f"[trainer] mlflow_url is set, but the package {PACKAGE} is not there: install it "
            f"beside filterd (pip install {PACKAGE}), or leave mlflow_url empty"
        )


def track(url: str, content: NightContent, files: Sequence[Path]) -> bool:
    """Log a run with its report's files; whether MLflow took it. Nothing is done without a `url`.

    What fails is logged and no more: the run is at its end. Raises SettingsError as above.
    """
    if not url:
        return False
    require_mlflow(url)
    try:
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        mlflow = importlib.import_module(PACKAGE)
        mlflow.set_tracking_uri(url)
        mlflow.set_experiment(EXPERIMENT)
        with mlflow.start_run(run_name=f"run-{content.run}"):
            mlflow.log_params(_params(content))
            mlflow.log_metrics(_metrics(content))
            for file in files:
                mlflow.log_artifact(str(file))
    except Exception as error:  # noqa: BLE001 - a stranger's library and server: anything may come
        log.warning("MLflow did not take the run", run=content.run, error=type(error).__name__)
        return False
    return True


def _params(content: NightContent) -> Mapping[str, str]:
    return {
        "run": str(content.run),
        "state": content.state,
        "champion": content.champion,
        "candidate": content.candidate,
        "data_digest": content.data_digest,
        **content.versions,
    }


def _metrics(content: NightContent) -> Mapping[str, float]:
    found = {"labels_used": content.used, "labels_left_out": content.left_out}
    figures = {f"gate/{each.name}": each.figure for each in content.rules}
    seconds = {f"seconds/{stage}": taken for stage, taken in content.seconds.items()}
    return {
        name: float(figure)
        for name, figure in {**found, **figures, **seconds}.items()
        if figure is not None
    }
