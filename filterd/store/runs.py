"""Training runs: what people see of them and ask for, and how a trainer takes and ends them.

Whoever takes a run writes its token into it. One that slept, or was cut off, while another took
the run over can write nothing more to it, nor put a bundle into service.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

from sqlalchemy import and_, func, insert, or_, select, update
from sqlalchemy.orm import aliased

from filterd.errors import ImpossibleError
from filterd.store.leases import require_lease
from filterd.store.models import ChampionRow
from filterd.store.tables import Bundles, Champions, Labels, TrainingRuns

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

    from filterd.store.database import Database

# A run in one of these comes before any other.
OPEN: Final = {"waiting": "waits to be started", "running": "is at work"}
# A run that came to one of these has learned from the labels that there were when it started.
TRAINED: Final = ("promoted", "refused")
# So often a run may lose its trainer.
MOST_STARTS: Final = 3


class Facts(TypedDict, total=False):
    """What a run learns of itself on the way; None changes nothing.

    Figures are joined to those that it has: what has the same name entry by entry.
    """

    trained_from: str | None
    candidate: str | None
    data_digest: str | None
    figures: Mapping[str, Any] | None


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


def select_runs() -> Select[Any]:
    """All columns of the runs, in the order of `TrainingRun`'s fields."""
    return select(*TrainingRuns.__table__.columns)


def runs(database: Database, since: datetime) -> list[TrainingRun]:
    """The runs made since then, newest first. Raises StoreError."""
    return _fetch(
        database,
        select_runs().where(TrainingRuns.created_at >= since).order_by(TrainingRuns.id.desc()),
    )


def latest_runs(database: Database, limit: int) -> list[TrainingRun]:
    """The last so many, newest first. Raises StoreError."""
    return _fetch(database, select_runs().order_by(TrainingRuns.id.desc()).limit(limit))


def last_run(database: Database, states: Collection[str]) -> TrainingRun | None:
    """The newest run in one of these states. Raises StoreError."""
    statement = select_runs().where(TrainingRuns.state.in_(list(states)))
    found = _fetch(database, statement.order_by(TrainingRuns.id.desc()).limit(1))
    return found[0] if found else None


def get_run(database: Database, run_id: int) -> TrainingRun | None:
    """The run with this number, or None. Raises StoreError."""
    found = _fetch(database, select_runs().where(TrainingRuns.id == run_id))
    return found[0] if found else None


def due_run(database: Database, due_for: datetime) -> TrainingRun | None:
    """The run that answers this scheduled moment, if there is one yet. Raises StoreError."""
    found = _fetch(database, select_runs().where(TrainingRuns.due_for == due_for))
    return found[0] if found else None


def request_run(
    database: Database, by: str, trigger: str, now: datetime, *, skip: str | None = None
) -> TrainingRun:
    """Ask the trainer for a run; the row that waits for it, or that is skipped for that reason.

    Raises ImpossibleError while one waits or is at work: two at once would learn the same.
    """
    with database.write(in_turn=True) as connection:
        before = open_run(connection)
        if before is not None:
            raise ImpossibleError(f"training run {before.id} {OPEN[before.state]} already")
        return _add(connection, now, skip, trigger=trigger, requested_by=by)


def add_due_run(
    database: Database, due_for: datetime, now: datetime, *, skip: str | None = None
) -> TrainingRun | None:
    """Note a scheduled moment: the run that answers it, or None if it has one already.

    It waits, or is skipped: for the reason given, or because another run waits or is at work.
    """
    with database.write(in_turn=True) as connection:
        noted = select(TrainingRuns.id).where(TrainingRuns.due_for == due_for)
        if connection.scalar(noted) is not None:
            return None
        before = open_run(connection)
        if skip is None and before is not None:
            skip = f"training run {before.id} {OPEN[before.state]} already"
        return _add(connection, now, skip, trigger="schedule", due_for=due_for)


def labels_since(database: Database, moment: datetime | None) -> int:
    """Labels given since then, or ever, that were neither undone nor replaced. Raises StoreError.

    For what a night could learn, give the start of the last run of `TRAINED`: a label that came
    while that ran was too late for it.
    """
    undo, later, undo_of_later = aliased(Labels), aliased(Labels), aliased(Labels)
    statement = select(func.count()).where(
        *([] if moment is None else [Labels.at >= moment]),
        Labels.undoes.is_(None),
        ~select(undo.id).where(undo.undoes == Labels.id).exists(),
        ~select(later.id)
        .where(
            later.replaces == Labels.id,
            ~select(undo_of_later.id).where(undo_of_later.undoes == later.id).exists(),
        )
        .exists(),
    )
    with database.read() as connection:
        return connection.execute(statement).scalar_one()


def take_run(database: Database, trainer: str, token: int, now: datetime) -> TrainingRun | None:
    """The oldest run that wants a trainer, now at work under this token of the trainer's lease.

    That is one that waits, or one at work under an older token: its trainer died. What was
    started three times and never came to an end is failed on the way. Raises StoreError.
    """
    left_over = or_(TrainingRuns.token.is_(None), TrainingRuns.token < token)
    wanted = or_(TrainingRuns.state == "waiting", and_(TrainingRuns.state == "running", left_over))
    with database.write(in_turn=True) as connection:
        rows = connection.execute(select_runs().where(wanted).order_by(TrainingRuns.id)).all()
        for run in map(to_run, rows):
            if run.attempts >= MOST_STARTS:
                reason = f"started {run.attempts} times, and never came to an end"
                _change(connection, run, state="failed", reason=reason, finished_at=now)
                continue
            return _change(
                connection,
                run,
                state="running",
                trainer=trainer,
                token=token,
                started_at=run.started_at or now,
                attempts=run.attempts + 1,
            )
    return None


def require_token(database: Database, run_id: int, token: int) -> None:
    """Raise ImpossibleError unless the run is still at work under this token."""
    with database.read() as connection:
        _require_run(connection, run_id, token)


def note_stage(
    database: Database,
    run_id: int,
    token: int,
    stage: str,
    *,
    now: datetime,
    **facts: Unpack[Facts],
) -> TrainingRun:
    """Note that a stage is complete, and what came of it; `figures` gets when, as `noted`.

    Raises ImpossibleError if the run is not, or no longer, at work under this token.
    """
    with database.write(in_turn=True) as connection:
        run = _require_run(connection, run_id, token)
        values = _joined(run, {"noted": {stage: now.isoformat(timespec="seconds")}}, facts)
        return _change(connection, run, stage=stage, **values)


def finish_run(
    database: Database,
    run_id: int,
    token: int,
    state: str,
    reason: str | None,
    *,
    now: datetime,
    **facts: Unpack[Facts],
) -> TrainingRun:
    """End a run that puts nothing into service. Raises as `note_stage` does."""
    with database.write(in_turn=True) as connection:
        run = _require_run(connection, run_id, token)
        values = _joined(run, {}, facts)
        return _change(connection, run, state=state, reason=reason, finished_at=now, **values)


def promote_run(
    database: Database,
    run_id: int,
    token: int,
    lease_name: str,
    version: str,
    by: str,
    why: str,
    now: datetime,
    **facts: Unpack[Facts],
) -> ChampionRow:
    """End a run by putting its bundle, which is registered, into service: both or neither.

    Raises ImpossibleError if the run or the lease has another token by now, or there is no such
    bundle.
    """
    with database.write(in_turn=True) as connection:
        run = _require_run(connection, run_id, token)
        require_lease(connection, lease_name, token)
        if connection.scalar(select(Bundles.version).where(Bundles.version == version)) is None:
            raise ImpossibleError(f"no bundle {version} is registered")
        values = _joined(run, {}, {**facts, "candidate": version})
        _change(connection, run, state="promoted", finished_at=now, **values)
        statement = insert(Champions).values(version=version, at=now, by=by, why=why)
        row = connection.execute(statement.returning(*Champions.__table__.columns)).one()
        return ChampionRow(**row._mapping)  # noqa: SLF001  # the public way to a row's names, despite the name


def open_run(connection: Connection) -> TrainingRun | None:
    """The first run that waits or is at work, within a transaction."""
    statement = select_runs().where(TrainingRuns.state.in_(list(OPEN))).order_by(TrainingRuns.id)
    row = connection.execute(statement.limit(1)).first()
    return None if row is None else to_run(row)


def to_run(row: Row[Any]) -> TrainingRun:
    """A row of `select_runs`."""
    return TrainingRun(**row._mapping)  # noqa: SLF001  # as above


def _fetch(database: Database, statement: Select[Any]) -> list[TrainingRun]:
    with database.read() as connection:
        return [to_run(row) for row in connection.execute(statement)]


def _add(connection: Connection, now: datetime, skip: str | None, **values: Any) -> TrainingRun:
    ended: dict[str, Any] = {"state": "waiting"}
    if skip is not None:
        ended = {"state": "skipped", "reason": skip, "finished_at": now}
    statement = insert(TrainingRuns).values(created_at=now, attempts=0, **ended, **values)
    return to_run(connection.execute(statement.returning(*TrainingRuns.__table__.columns)).one())


def _require_run(connection: Connection, run_id: int, token: int) -> TrainingRun:
    row = connection.execute(select_runs().where(TrainingRuns.id == run_id)).first()
    if row is None:
        raise ImpossibleError(f"no training run {run_id}")
    run = to_run(row)
    if run.token != token:
        raise ImpossibleError(f"training run {run_id} was taken over by {run.trainer}")
    if run.state != "running":
        raise ImpossibleError(f"training run {run_id} is at an end: {run.state}")
    return run


def _change(connection: Connection, run: TrainingRun, **values: Any) -> TrainingRun:
    statement = update(TrainingRuns).where(TrainingRuns.id == run.id).values(**values)
    return to_run(connection.execute(statement.returning(*TrainingRuns.__table__.columns)).one())


def _joined(run: TrainingRun, noted: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """The facts as columns, `noted` among their figures."""
    figures = dict(run.figures or {})
    for name, found in [*noted.items(), *(facts.get("figures") or {}).items()]:
        before = figures.get(name)
        if isinstance(before, dict) and isinstance(found, dict):
            figures[name] = {**before, **found}
        else:
            figures[name] = found
    known = {name: value for name, value in facts.items() if value is not None}
    return {**known, "figures": figures or None}
