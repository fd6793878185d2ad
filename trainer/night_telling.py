"""What a night leaves for people and machines: report, list of its data, metrics."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from trainer.night_content import NightContent, changed_verdicts, count_labels
from trainer.night_metrics import write_textfile
from trainer.night_report import write_report
from trainer.site_data import listing
from trainer.tracking import track

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from filterd.model.bundle import Bundle
    from filterd.store.runs import TrainingRun
    from trainer.night_content import Change
    from trainer.night_judge import NightVerdict
    from trainer.site_data import SiteData

REPORTS = "reports"

log = structlog.get_logger(__name__)


def content_of(
    run: TrainingRun,
    state: str,
    reason: str,
    champion: Bundle,
    data: SiteData,
    seconds: Mapping[str, float],
    made: datetime,
    candidate: Bundle | None = None,
    judged: NightVerdict | None = None,
) -> NightContent:
    """All that is told of a run that ends in this state."""
    used = [mail.by for mail in data.mails]
    return NightContent(
        run=run.id,
        state=state,
        reason=reason,
        made=made,
        champion=champion.version,
        champion_created=datetime.fromisoformat(champion.created),
        candidate="" if candidate is None else candidate.version,
        share=1.0 if candidate is None else _share(candidate),
        rules=() if judged is None else judged.rules,
        sets=None if judged is None else judged.sets,
        thresholds=(0.5, 0.5) if judged is None else judged.thresholds,
        changes=[] if judged is None else _changes(judged, data),
        labels=count_labels(used, [(by, why) for _, by, why in data.left_out]),
        seconds=dict(seconds),
        data_digest="" if candidate is None else candidate.data_digest,
    )


def tell(content: NightContent, data: SiteData, models: Path, mlflow_url: str) -> None:
    """Write it all. What cannot be written is logged: it must not cost the run its end."""
    folder = models / REPORTS / f"run-{content.run}"
    try:
        files = write_report(folder, content)
        (folder / "data.jsonl").write_text(listing(data), encoding="utf-8")
        write_textfile(models, content)
    except OSError as error:
        log.error("no report", run=content.run, error=error.strerror or str(error))  # noqa: TRY400  # its one line says it
        return
    track(mlflow_url, content, files)


def _share(candidate: Bundle) -> float:
    """How far the night went (`trainer.interpolation`), 0..1."""
    # A run that an older filterd began, and that goes on with this one, went all of it.
    return float(candidate.metrics["provenance"].get("share_of_the_way", 1.0))


def _changes(judged: NightVerdict, data: SiteData) -> list[Change]:
    """Of the sets whose mails have ids: subjects stay in the database."""
    sets = judged.sets
    corrected = [mail.id for mail in data.corrected]
    newest = [mail.id for mail in data.newest]
    # Behind the labelled ones stand recent mails that nobody labelled, and whose id is not kept.
    newest += [""] * (len(sets.newest.examples) - len(newest))
    golden = [f"golden {number}" for number in range(len(sets.golden.examples))]
    return [
        *changed_verdicts("corrected", sets.corrected, judged.thresholds, corrected),
        *changed_verdicts("newest", sets.newest, judged.thresholds, newest),
        *changed_verdicts("golden", sets.golden, judged.thresholds, golden),
    ]
