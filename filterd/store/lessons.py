"""The labels that count, with what the learner needs of their mails: all, or what is new.

A lesson is a message on which a label of the task stands. Its number is that of the row that
decides it: the first of those who agree. Lessons come in the order of their numbers, so the same
rows always make the same learner.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, islice
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select

from filterd.store.labels import Label, decide, select_labels, still_standing
from filterd.store.scores import scores_of
from filterd.store.sealing import SealedError, opened
from filterd.store.tables import Labels, Messages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Row, Select

    from filterd.store.database import Database

MAILS_AT_ONCE = 500
ROWS_AT_ONCE = 2000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Decided:
    """The label that counts for a message: `label_id` is the row that decides it, by whom."""

    label_id: int
    message_id: str
    label: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LabelledMail:
    """A decided label and its mail; `scores` are the BERT's own, None if it was spared.

    `spam` is what the bundle that was asked for gives it (0..1), None if that is not kept. `head`
    is deflated. Columns of `messages` say what the others are.
    """

    decided: Decided
    text: str
    head: bytes
    helo: str
    client_address: str
    scores: dict[str, dict[str, float]] | None
    spam: float | None = None


def decided_labels(database: Database, task: str, upto: int) -> list[Decided]:
    """What counts by the label rows up to `upto`, in the order of lessons. Raises StoreError."""
    rows = _rows(database, select_labels().where(Labels.task == task, Labels.id <= upto))
    return _in_order(_decide(message) for message in _by_message(rows))


def new_lessons(database: Database, task: str, after: int, upto: int) -> list[Decided] | None:
    """What the label rows after `after` add to the lessons; None if they change earlier ones.

    Raises StoreError.
    """
    touched = select(Labels.message_id).where(
        Labels.task == task, Labels.id > after, Labels.id <= upto
    )
    rows = _rows(
        database,
        select_labels().where(
            Labels.task == task, Labels.id <= upto, Labels.message_id.in_(touched)
        ),
    )
    added = []
    for message in _by_message(rows):
        before = _decide([row for row in message if row.id <= after])
        now = _decide(message)
        if before is None and now is not None:
            added.append(now)
        elif before != now:
            return None
    return _in_order(added)


def labelled_mails(
    database: Database, decided: Iterable[Decided], version: str = ""
) -> Iterator[LabelledMail]:
    """The mails of these labels, in their order; those whose text is not kept are left out.

    With what bundle `version` gives them, as far as `filterd.store.scores` knows. Some hundred are
    read at a time. What is sealed by a key that is gone is left out, too, and that is logged: the
    labels of other mail are to count. Raises StoreError.
    """
    unread = 0
    for some in _in_batches(decided):
        spam = scores_of(database, version, [one.message_id for one in some]) if version else {}
        statement = select(
            Messages.id,
            Messages.text,
            Messages.head,
            Messages.helo,
            Messages.client_address,
            Messages.scores,
        ).where(
            Messages.id.in_([one.message_id for one in some]),
            Messages.text.is_not(None),
            Messages.head.is_not(None),
        )
        with database.read() as connection:
            rows = connection.execute(statement).all()
        found = {row.id: _opened(row, database) for row in rows}
        for one in some:
            fields = found.get(one.message_id)
            if fields is not None:
                yield LabelledMail(decided=one, spam=spam.get(one.message_id), **fields)
        unread += sum(fields is None for fields in found.values())
    if unread:
        error = f"`text_key_file` has no key for {unread} labelled mails: they teach nothing"
        log.error("labelled mail cannot be read", error=error)


def _opened(row: Row[Any], database: Database) -> dict[str, Any] | None:
    """The columns of a mail without its id; None if what it said cannot be read."""
    try:
        # `_mapping` is the public way to a row's names, despite the name.
        fields = opened(dict(row._mapping), database.sealing)  # noqa: SLF001
    except SealedError:
        return None
    del fields["id"]
    return fields


def _in_batches(decided: Iterable[Decided]) -> Iterator[Sequence[Decided]]:
    rest = iter(decided)
    while some := list(islice(rest, MAILS_AT_ONCE)):
        yield some


def _rows(database: Database, statement: Select[Any]) -> Iterator[Label]:
    """Some at a time: of hundred thousand rows only what they decide is kept."""
    with database.read() as connection:
        in_steps = connection.execution_options(yield_per=ROWS_AT_ONCE)
        for row in in_steps.execute(statement.order_by(Labels.message_id, Labels.id)):
            yield Label(*row)


def _by_message(rows: Iterable[Label]) -> Iterator[list[Label]]:
    for _, group in groupby(rows, key=lambda row: row.message_id):
        yield list(group)


def _decide(rows: list[Label]) -> Decided | None:
    """What counts by all rows of one message and task."""
    if len(rows) == 1 and rows[0].undoes is None:  # nearly always
        (row,) = rows
        return Decided(row.id, row.message_id, row.label, row.by, row.at)
    standing = still_standing(rows)
    if not standing:
        return None
    (counts,) = decide(standing).values()
    first = next(row for row in standing if row.by == counts.by)
    return Decided(first.id, first.message_id, first.label, first.by, first.at)


def _in_order(decided: Iterable[Decided | None]) -> list[Decided]:
    return sorted((one for one in decided if one is not None), key=lambda one: one.label_id)
