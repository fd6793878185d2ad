"""What a night learns from: labelled mails with all that people said of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from filterd.store.labels import Label, select_labels, still_standing
from filterd.store.sealing import opened
from filterd.store.tables import Labels, Messages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from filterd.store.database import Database

ROWS_AT_ONCE = 2000
MAILS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class LabelledRecord:
    """A mail whose text is kept, and the labels that stand on it, of any task."""

    id: str
    received_at: datetime
    from_address: str
    text: str
    verdict: str | None
    scores: Mapping[str, Mapping[str, float]] | None
    labels: tuple[Label, ...]


def labelled_records(database: Database) -> list[LabelledRecord]:
    """All labelled mails whose text is kept, in the order of arrival.

    Raises StoreError, SealedError where a text cannot be opened: what is left of the labels would
    be another training set.
    """
    standing = dict(_standing(database))
    found: list[LabelledRecord] = []
    ids = sorted(standing)
    for start in range(0, len(ids), MAILS_AT_ONCE):
        statement = select(
            Messages.id,
            Messages.received_at,
            Messages.from_address,
            Messages.text,
            Messages.verdict,
            Messages.scores,
        ).where(Messages.id.in_(ids[start : start + MAILS_AT_ONCE]), Messages.text.is_not(None))
        with database.read() as connection:
            for row in connection.execute(statement):
                # `_mapping` is the public way to a row's names, despite the name.
                fields = opened(dict(row._mapping), database.sealing)  # noqa: SLF001
                found.append(LabelledRecord(**fields, labels=standing[row.id]))
    return sorted(found, key=lambda one: (one.received_at, one.id))


def _standing(database: Database) -> Iterator[tuple[str, tuple[Label, ...]]]:
    statement = select_labels().order_by(Labels.message_id, Labels.id)
    with database.read() as connection:
        in_steps = connection.execution_options(yield_per=ROWS_AT_ONCE)
        rows: Any = (Label(*row) for row in in_steps.execute(statement))
        for message_id, group in groupby(rows, key=lambda row: row.message_id):
            labels = tuple(still_standing(group))
            if labels:
                yield message_id, labels
