"""The last run in Prometheus' text format, for the textfile collector of node_exporter.

The trainer is at work once a night: there is no port to ask in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import generate_latest, write_to_textfile
from prometheus_client.core import GaugeMetricFamily

from trainer.night_content import PROMOTED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client import Metric

    from trainer.night_content import NightContent

FILE = "trainer.prom"
STATES = ("waiting", "running", "shadow", "promoted", "refused", "skipped", "failed")


class _Families:
    """The run's figures as a collector: without a registry, so nothing of this process joins."""

    def __init__(self, content: NightContent) -> None:
        self._content = content

    def collect(self) -> Iterator[Metric]:
        """Each family once, with all its samples."""
        content = self._content
        states = GaugeMetricFamily(
            "filterd_trainer_last_run_state", "1 for the state of the last run.", labels=["state"]
        )
        for state in sorted({*STATES, content.state}):
            states.add_metric([state], float(state == content.state))
        yield states
        yield _single("last_run", "Number of the last run.", content.run)
        ended = content.made.timestamp()
        yield _single("last_run_timestamp_seconds", "When the last run ended.", ended)
        yield _single("last_run_seconds", "How long the last run took.", content.duration)
        stages = GaugeMetricFamily(
            "filterd_trainer_stage_seconds", "How long each stage took.", labels=["stage"]
        )
        for stage, seconds in content.seconds.items():
            stages.add_metric([stage], seconds)
        yield stages
        yield from self._gate()
        yield self._labels()
        yield self._champion()

    def _gate(self) -> Iterator[Metric]:
        passed = GaugeMetricFamily(
            "filterd_trainer_rule_passed", "1 for each rule that was passed.", labels=["rule"]
        )
        figures = GaugeMetricFamily(
            "filterd_trainer_rule_figure", "Each rule's figure.", labels=["rule"]
        )
        limits = GaugeMetricFamily(
            "filterd_trainer_rule_limit", "Each rule's limit.", labels=["rule"]
        )
        for rule in self._content.rules:
            passed.add_metric([rule.name], float(rule.passed))
            if rule.figure is not None and rule.limit is not None:
                figures.add_metric([rule.name], rule.figure)
                limits.add_metric([rule.name], rule.limit)
        yield from (passed, figures, limits)

    def _labels(self) -> Metric:
        labels = GaugeMetricFamily(
            "filterd_trainer_labels", "Labels of the last run, by use.", labels=["use"]
        )
        labels.add_metric(["trained"], self._content.used)
        labels.add_metric(["left_out"], self._content.left_out)
        return labels

    def _champion(self) -> Metric:
        """When it was made, not its age: the file is not written anew as that grows."""
        content = self._content
        champion = GaugeMetricFamily(
            "filterd_trainer_champion_created_timestamp_seconds",
            "When the bundle that serves was made.",
            labels=["version"],
        )
        if content.state == PROMOTED:
            champion.add_metric([content.candidate], content.made.timestamp())
        else:
            champion.add_metric([content.champion], content.champion_created.timestamp())
        return champion


def textfile(content: NightContent) -> str:
    """The metrics as text."""
    return generate_latest(_Families(content)).decode()


def write_textfile(models: Path, content: NightContent) -> Path:
    """Write them to `trainer.prom` in the folder of models, whole or not at all. Raises OSError."""
    file = models / FILE
    write_to_textfile(str(file), _Families(content))
    return file


def _single(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"filterd_trainer_{name}", meaning, value=value)
