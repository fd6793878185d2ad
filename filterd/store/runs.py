"""Training runs as people see and ask for them; the trainer itself takes and ends them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, select

from filterd.errors import ImpossibleError
from filterd.store.tables import TrainingRuns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Row

    from filterd.store.database import Database

# A run in one of these comes before any other.
OPEN: Final = {"waiting": "waits to be started", "running": "is at work"}


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One row; the columns of `training_runs` say what each field is."""

    id: int
    due_for: datetime | None
    trigger: str
    requested_by: str | None
    state: str
    reason: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    trainer: str | None
    token: int | None
    stage: str | None
    attempts: int
    trained_from: str | None
    candidate: str | None
    data_digest: str | None
    figures: Mapping[str, Any] | None


def runs(database: Database, since: datetime) -> list[TrainingRun]:
    """The runs made since then, newest first. Raises StoreError."""
    statement = (
        select(*TrainingRuns.__table__.columns)
        .where(TrainingRuns.created_at >= since)
        .order_by(TrainingRuns.id.desc())
    )
    with database.read() as connection:
        return [_to_run(row) for row in connection.execute(statement)]


def request_run(database: Database, by: str, trigger: str, now: datetime) -> TrainingRun:
    """Ask the trainer for a run; the row that waits for it.

    Raises ImpossibleError while one waits or is at work: two at once would learn the same.
    """
    columns = TrainingRuns.__table__.columns
    with database.write(in_turn=True) as connection:
        before = connection.execute(
            select(TrainingRuns.id, TrainingRuns.state)
            .where(TrainingRuns.state.in_(list(OPEN)))
            .order_by(TrainingRuns.id)
        ).first()
        if before is not None:
            raise ImpossibleError(f"training run {before.id} {OPEN[before.state]} already")
        row = connection.execute(
            insert(TrainingRuns)
            .values(trigger=trigger, requested_by=by, state="waiting", created_at=now, attempts=0)
            .returning(*columns)
        ).one()
        return _to_run(row)


def _to_run(row: Row[Any]) -> TrainingRun:
    return TrainingRun(**row._mapping)  # noqa: SLF001  # the public way to a row's names, despite the name
