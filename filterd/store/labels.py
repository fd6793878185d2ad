"""What people say of messages: facts that are appended; the label that counts is derived.

A person's label stands until the same person gives another one for that task, or until someone
undoes it; undoing the later one lets the earlier stand again.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, insert, select
from sqlalchemy.orm import aliased

from filterd.errors import ImpossibleError
from filterd.store.changes import announce
from filterd.store.database import utc_now
from filterd.store.tables import Labels, Messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row, Select

    from filterd.store.database import Database


@dataclass(frozen=True, slots=True)
class Label:
    """One row: a label, or (with `undoes`) the undoing of one. `replaces` is the person's own."""

    id: int
    message_id: str
    task: str
    label: str
    by: str
    source: str
    at: datetime
    replaces: int | None
    undoes: int | None


@dataclass(frozen=True, slots=True)
class EffectiveLabel:
    """The label that counts for one task: most people, and among equals who spoke last.

    `by` gave it first, `agreed_by` after that. `against` are the labels of those who differ.
    """

    label: str
    by: str
    at: datetime
    agreed_by: tuple[str, ...]
    against: tuple[Label, ...]

    @property
    def disputed(self) -> bool:
        """Whether someone differs: such a mail is for review, not for training."""
        return bool(self.against)


def add_label(
    database: Database,
    message_id: str,
    task: str,
    label: str,
    by: str,
    source: str,
    *,
    known: Mapping[str, Sequence[str]] | None = None,
    now: Callable[[], datetime] = utc_now,
) -> Label:
    """Record that `by` holds `message_id` to be `label` in `task`; what stands after it.

    Who says again what he said already adds no row and gets the row that stands. `known`: task ->
    labels that are allowed. Raises ImpossibleError: no such message, unknown task or label, a name
    left empty.
    """
    _refuse_empty(task=task, label=label, by=by, source=source)
    if known is not None:
        _refuse_unknown(known, task, label)
    with database.write(in_turn=True) as connection:
        _require_message(connection, message_id)
        before = _last_of(standing_in(connection, message_id), task, by)
        if before is not None and before.label == label:
            return before
        return _append(
            connection,
            message_id=message_id,
            task=task,
            label=label,
            by=by,
            source=source,
            at=now(),
            replaces=None if before is None else before.id,
            undoes=None,
        )


def undo_label(
    database: Database,
    label_id: int,
    by: str,
    source: str,
    *,
    now: Callable[[], datetime] = utc_now,
) -> Label:
    """Take a label back; the row that says so. Whether `by` may is for the caller to know.

    Raises ImpossibleError: no such label, undone already, replaced by a later one of the same
    person, or an undo itself.
    """
    _refuse_empty(by=by, source=source)
    with database.write(in_turn=True) as connection:
        found = connection.execute(select_labels().where(Labels.id == label_id)).first()
        if found is None:
            raise ImpossibleError(f"no label {label_id}")
        target = _to_label(found)
        if target.undoes is not None:
            raise ImpossibleError(
                f"label {label_id} is itself an undo; label {target.message_id} anew"
            )
        undo = connection.execute(select_labels().where(Labels.undoes == label_id)).first()
        if undo is not None:
            raise ImpossibleError(f"label {label_id} was undone already, by {undo.by}")
        last = _last_of(standing_in(connection, target.message_id), target.task, target.by)
        if last is None or last.id != label_id:
            raise ImpossibleError(
                f"label {label_id} was replaced by {'another' if last is None else last.id}; "
                "undo that one"
            )
        return _append(
            connection,
            message_id=target.message_id,
            task=target.task,
            label=target.label,
            by=by,
            source=source,
            at=now(),
            replaces=None,
            undoes=label_id,
        )


def get_label(database: Database, label_id: int) -> Label | None:
    """The row with this number, or None. Raises StoreError."""
    with database.read() as connection:
        row = connection.execute(select_labels().where(Labels.id == label_id)).first()
    return None if row is None else _to_label(row)


def history(database: Database, message_id: str) -> list[Label]:
    """All that was ever said of a message, undos too, oldest first. Raises StoreError."""
    with database.read() as connection:
        rows = connection.execute(
            select_labels().where(Labels.message_id == message_id).order_by(Labels.id)
        )
        return [_to_label(row) for row in rows]


def newest_standing(
    database: Database, limit: int, *, by: str | None = None, since: datetime | None = None
) -> list[Label]:
    """The labels that stand, of one person or since then, newest first. Raises StoreError."""
    later, undo, undo_of_later = aliased(Labels), aliased(Labels), aliased(Labels)
    statement = (
        select_labels()
        .where(
            *([] if by is None else [Labels.by == by]),
            *([] if since is None else [Labels.at >= since]),
            Labels.undoes.is_(None),
            ~exists().where(undo.undoes == Labels.id),
            # Replaced by a later one of the same person that was not undone itself.
            ~exists().where(
                later.message_id == Labels.message_id,
                later.task == Labels.task,
                later.by == Labels.by,
                later.undoes.is_(None),
                later.id > Labels.id,
                ~exists().where(undo_of_later.undoes == later.id),
            ),
        )
        .order_by(Labels.id.desc())
        .limit(limit)
    )
    with database.read() as connection:
        return [_to_label(row) for row in connection.execute(statement)]


def touched(database: Database, after: int) -> list[str]:
    """Messages about which something was said in rows after `after`. Raises StoreError."""
    statement = select(Labels.message_id).where(Labels.id > after).distinct()
    with database.read() as connection:
        return list(connection.scalars(statement))


def label_log(
    database: Database, limit: int, *, by: str | None = None, since: datetime | None = None
) -> list[Label]:
    """As `newest_standing`, of all that was said: undos and what was replaced, too."""
    statement = select_labels()
    if since is not None:
        statement = statement.where(Labels.at >= since)
    if by is not None:
        statement = statement.where(Labels.by == by)
    with database.read() as connection:
        rows = connection.execute(statement.order_by(Labels.id.desc()).limit(limit))
        return [_to_label(row) for row in rows]


def standing(database: Database, message_id: str) -> list[Label]:
    """The labels that stand, one for each person and task, oldest first. Raises StoreError."""
    with database.read() as connection:
        return standing_in(connection, message_id)


def effective(database: Database, message_id: str) -> dict[str, EffectiveLabel]:
    """Task -> the label that counts; tasks nobody labelled are missing. Raises StoreError."""
    return decide(standing(database, message_id))


def decide(labels: Iterable[Label]) -> dict[str, EffectiveLabel]:
    """Of the standing labels of one message, for each task the one that counts."""
    by_task = groupby(sorted(labels, key=_task_and_id), key=lambda label: label.task)
    return {task: _most_agreed(list(group)) for task, group in by_task}


def standing_in(connection: Connection, message_id: str) -> list[Label]:
    """As `standing`, within a transaction."""
    statement = select_labels().where(Labels.message_id == message_id).order_by(Labels.id)
    return still_standing(_to_label(row) for row in connection.execute(statement))


def label_stands(task: str | None = None) -> ColumnElement[bool]:
    """Whether a label of the task, or any, stands on a message: for statements on Messages."""
    undo = aliased(Labels)
    of_task = () if task is None else (Labels.task == task,)
    return exists().where(
        Labels.message_id == Messages.id,
        Labels.undoes.is_(None),
        ~exists().where(undo.undoes == Labels.id),
        *of_task,
    )


def still_standing(rows: Iterable[Label]) -> list[Label]:
    """Of all rows of one message, oldest first, those that stand: one for each person and task."""
    rows = list(rows)
    undone = {row.undoes for row in rows}
    given = [row for row in rows if row.undoes is None and row.id not in undone]
    last = {(row.task, row.by): row for row in given}
    return sorted(last.values(), key=lambda row: row.id)


def _most_agreed(labels: list[Label]) -> EffectiveLabel:
    groups: dict[str, list[Label]] = {}
    for label in labels:
        groups.setdefault(label.label, []).append(label)
    winners = max(groups.values(), key=lambda group: (len(group), group[-1].id))
    first, *others = winners
    return EffectiveLabel(
        label=first.label,
        by=first.by,
        at=first.at,
        agreed_by=tuple(label.by for label in others),
        against=tuple(label for label in labels if label.label != first.label),
    )


def _task_and_id(label: Label) -> tuple[str, int]:
    return label.task, label.id


def _last_of(labels: Iterable[Label], task: str, by: str) -> Label | None:
    return next((label for label in labels if label.task == task and label.by == by), None)


def _require_message(connection: Connection, message_id: str) -> None:
    if connection.scalar(select(Messages.id).where(Messages.id == message_id)) is None:
        raise ImpossibleError(
            f"no message {message_id}: the id is wrong, or retention has removed it "
            "(a new message takes a second to be recorded)"
        )


def _append(connection: Connection, **values: Any) -> Label:
    columns = select_labels().selected_columns
    row = connection.execute(insert(Labels).values(values).returning(*columns)).one()
    announce(connection)
    return _to_label(row)


def select_labels() -> Select[Any]:
    """All columns of label rows, in the order of `Label`'s fields."""
    return select(*Labels.__table__.columns)


def _to_label(row: Row[Any]) -> Label:
    return Label(**row._mapping)  # noqa: SLF001  # the public way to a row's names, despite the name


def _refuse_empty(**names: str) -> None:
    for name, value in names.items():
        if not value.strip():
            raise ImpossibleError(f"a label needs '{name}'")


def _refuse_unknown(known: Mapping[str, Sequence[str]], task: str, label: str) -> None:
    if task not in known:
        raise ImpossibleError(f"unknown task {task!r}; there are {', '.join(known)}")
    if label not in known[task]:
        raise ImpossibleError(f"unknown label {label!r}; {task} has {', '.join(known[task])}")
