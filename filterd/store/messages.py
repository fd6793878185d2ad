"""Message records: written in batches after the reply, read by people's commands."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from filterd.store.columns import storable
from filterd.store.labels import label_stands
from filterd.store.sealing import SEALED, TEXT_MARK, Sealing, opened, sealed
from filterd.store.tables import ULID_LENGTH, Messages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import numpy as np
    import numpy.typing as npt
    from sqlalchemy import Row, Select

    from filterd.store.database import Database

# Longer than any honest one; keeps a row small and an index entry below PostgreSQL's 2,704 bytes.
FIELD_CHARACTERS: Final = 500
# A search reads the texts of this many newest messages, so that it stays a matter of a second.
SEARCHED_MESSAGES: Final = 20_000
ROWS_AT_ONCE: Final = 500
FEWEST_ID_CHARACTERS: Final = 4
CROCKFORD: Final = frozenset("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


@dataclass(frozen=True, slots=True)
class MessageRecord:
    """What is kept of one message; the columns of `messages` say what each field is.

    An unjudged message has `failure` and no verdict, scores or model. `scores`: task -> label ->
    probability. `embedding`: float32 [hidden], kept as float16. `head`: as
    `filterd.learner.features.pack` made it. Header fields and addresses longer than 500 characters
    are cut when written; characters no database takes become U+FFFD.
    """

    id: str
    received_at: datetime
    client_address: str
    helo: str
    sender: str
    recipients: tuple[str, ...]
    size: int
    ms: float
    digest: str
    subject: str = ""
    from_address: str = ""
    from_domain: str = ""
    message_id: str = ""
    verdict: str | None = None
    spam: float | None = None
    threshold: float | None = None
    sentiment: str | None = None
    scores: Mapping[str, Mapping[str, float]] | None = None
    model: str | None = None
    failure: str | None = None
    outcome: str = ""
    text: str | None = None
    embedding: npt.NDArray[np.float32] | None = field(default=None, compare=False)
    head: bytes | None = None


COLUMNS: Final = tuple(getattr(Messages, item.name) for item in fields(MessageRecord))
HEAVY: Final = frozenset(SEALED)
CUT: Final = (
    "client_address",
    "helo",
    "sender",
    "subject",
    "from_address",
    "from_domain",
    "message_id",
    "outcome",
)


def write_batch(database: Database, records: Sequence[MessageRecord]) -> None:
    """Write all records or none, in one transaction.

    A record whose id is there already is left alone, so a batch may be written again when it is
    not known whether it was. Raises RowError for a record that cannot be stored, else StoreError.
    """
    if not records:
        return
    rows = [sealed(_to_row(record), database.sealing) for record in records]
    insert = sqlite.insert if database.path is not None else postgresql.insert
    with database.write() as connection:
        connection.execute(insert(Messages).on_conflict_do_nothing(index_elements=["id"]), rows)


def get(database: Database, message_id: str) -> MessageRecord | None:
    """The record with this id, or None. Raises StoreError."""
    found = _read(database, select(*COLUMNS).where(Messages.id == message_id))
    return found[0] if found else None


def recent(database: Database, limit: int) -> list[MessageRecord]:
    """The newest records, newest first. Raises StoreError."""
    return _read(database, _newest_first().limit(limit))


def unlabelled(database: Database, task: str, since: datetime, limit: int) -> list[MessageRecord]:
    """Judged records since then on which no label of the task stands, newest first. StoreError."""
    statement = _newest_first().where(
        Messages.received_at >= since, Messages.verdict.is_not(None), ~label_stands(task)
    )
    return _read(database, statement.limit(limit))


def from_sender(
    database: Database, task: str, from_address: str, since: datetime, limit: int
) -> list[MessageRecord]:
    """As `unlabelled`, of those with this From address; case does not matter. Raises StoreError."""
    statement = _newest_first().where(
        Messages.received_at >= since,
        Messages.verdict.is_not(None),
        func.lower(Messages.from_address) == from_address.lower(),
        ~label_stands(task),
    )
    return _read(database, statement.limit(limit))


def arrived(database: Database, since: datetime, limit: int) -> list[MessageRecord]:
    """Judged records since then, oldest first, without text and embedding. Raises StoreError."""
    columns = [column for column in COLUMNS if column.key not in HEAVY]
    statement = select(*columns).where(Messages.received_at >= since, Messages.verdict.is_not(None))
    with database.read() as connection:
        rows = connection.execute(statement.order_by(Messages.received_at).limit(limit))
        return [_to_record(row, database.sealing) for row in rows]


def find(database: Database, query: str, limit: int = 20) -> list[MessageRecord]:
    """Records that a person means by `query`, newest first. Raises StoreError.

    The beginning of an id (4 characters or more), else a whole Message-ID, else a part of subject,
    sender, From address or text. The last looks through the newest 20,000 messages only; case does
    not matter there, in SQLite for ASCII letters only.
    """
    query = query.strip()
    if not query:
        return []
    return (
        _find_by_id(database, query.upper(), limit)
        or _read(database, _newest_first().where(_named(query)).limit(limit))
        or _find_in_texts(database, query, limit)
    )


def _find_by_id(database: Database, prefix: str, limit: int) -> list[MessageRecord]:
    if not FEWEST_ID_CHARACTERS <= len(prefix) <= ULID_LENGTH or not CROCKFORD.issuperset(prefix):
        return []
    last = prefix.ljust(ULID_LENGTH, "Z")
    return _read(database, _newest_first().where(Messages.id.between(prefix, last)).limit(limit))


def _named(query: str) -> Any:
    return Messages.message_id.in_([query, f"<{query}>"])


def _find_in_texts(database: Database, query: str, limit: int) -> list[MessageRecord]:
    """By a part of what lies open, or of what is sealed: that is opened here, one by one."""
    newest = select(Messages.id).order_by(Messages.received_at.desc()).limit(SEARCHED_MESSAGES)
    places = (Messages.subject, Messages.sender, Messages.from_address)
    is_sealed = Messages.text.startswith(TEXT_MARK)
    holds = or_(
        *(place.icontains(query, autoescape=True) for place in places),
        and_(~is_sealed, Messages.text.icontains(query, autoescape=True)),
    )
    looked_at = _newest_first().where(Messages.id.in_(newest))
    if not database.sealing.is_on:
        return _read(database, looked_at.where(holds).limit(limit))
    statement = (
        select(Messages.id, Messages.text, func.coalesce(holds, False).label("holds"))
        .where(Messages.id.in_(newest), or_(holds, is_sealed))
        .order_by(Messages.received_at.desc(), Messages.id.desc())
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    found: list[str] = []
    with database.read() as connection:
        for row in connection.execute(statement):
            text = opened({"id": row.id, "text": row.text}, database.sealing)["text"]
            if row.holds or (text is not None and query.lower() in text.lower()):
                found.append(row.id)
            if len(found) == limit:
                break
    return _read(database, _newest_first().where(Messages.id.in_(found)))


def _newest_first() -> Select[Any]:
    return select(*COLUMNS).order_by(Messages.received_at.desc(), Messages.id.desc())


def _read(database: Database, statement: Select[Any]) -> list[MessageRecord]:
    with database.read() as connection:
        return [_to_record(row, database.sealing) for row in connection.execute(statement)]


def _to_row(record: MessageRecord) -> dict[str, Any]:
    row = {column.key: getattr(record, column.key) for column in COLUMNS}
    for name in CUT:
        row[name] = row[name][:FIELD_CHARACTERS]
    # JSON of a lone surrogate is an escape that PostgreSQL takes and then cannot read.
    row["recipients"] = [storable(name[:FIELD_CHARACTERS]) for name in record.recipients]
    if record.scores is not None:
        row["scores"] = {
            task: {label: float(value) for label, value in labels.items()}
            for task, labels in record.scores.items()
        }
    return row


def _to_record(row: Row[Any], sealing: Sealing) -> MessageRecord:
    # `_mapping` is the public way to a row's names, despite the name.
    values = opened(dict(row._mapping), sealing)  # noqa: SLF001
    values["recipients"] = tuple(values["recipients"])
    return MessageRecord(**values)
