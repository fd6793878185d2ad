"""What mail said, sealed anew: after a new key, after the first one, or not at all any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import or_, select, update

from filterd.store.columns import bytes_of_vector
from filterd.store.retention import wipe
from filterd.store.sealing import (
    QUOTES,
    SEALED,
    SealedError,
    Sealing,
    opened,
    opened_content,
    sealed,
    sealed_content,
)
from filterd.store.tables import Messages, SlackPosts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Row

    from filterd.store.database import Database

# Rows of one transaction: others that want to write wait for some milliseconds.
ROWS_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Resealed:
    """Of how many mails what they said was written anew, and of how many it was removed.

    `wiped` as in `filterd.store.retention.Purged`.
    """

    mails: int
    forgotten: int
    wiped: bool


def reseal(database: Database, *, plain: bool = False, forget: bool = False) -> Resealed:
    """Seal all that mail said with the first key; with `plain`, write it unsealed.

    What is so already is left alone, so that a second run goes on where one was broken off.
    `forget` removes what no key opens. Raises SealedError without it, StoreError.
    """
    wanted = Sealing() if plain else database.sealing
    mails = forgotten = 0
    last: str | None = ""
    while last is not None:
        with database.write(in_turn=True) as connection:
            last, changes = _next_mails(connection, last, database.sealing, wanted, forget=forget)
            for id_, values in changes.items():
                connection.execute(update(Messages).where(Messages.id == id_).values(values))
        forgotten += sum(not any(values.values()) for values in changes.values())
        mails += len(changes)
    _reseal_posts(database, wanted)
    return Resealed(mails - forgotten, forgotten, wipe(database, anew=True))


def require_keys(database: Database) -> None:
    """Raise SealedError if the mail that came last and is sealed cannot be read."""
    statement = (
        select(Messages.id, *_columns())
        .where(Messages.text.is_not(None))
        .order_by(Messages.received_at.desc())
        .limit(1)
    )
    with database.read() as connection:
        row = connection.execute(statement).first()
    if row is not None:
        opened(dict(row._mapping), database.sealing)  # noqa: SLF001  # the public way, despite the name


def _next_mails(
    connection: Connection, last: str, sealing: Sealing, wanted: Sealing, *, forget: bool
) -> tuple[str | None, dict[str, dict[str, Any]]]:
    """What must change of the next mails after `last`, and where it went on; None at the end."""
    statement = (
        select(Messages.id, *_columns())
        .where(Messages.id > last, or_(*(column.is_not(None) for column in _columns())))
        .order_by(Messages.id)
        .limit(ROWS_AT_ONCE)
    )
    rows = connection.execute(statement).all()
    changes = {}
    for row in rows:
        kept = {name: getattr(row, name) for name in SEALED}
        if all(wanted.is_fresh(_raw(value)) for value in kept.values() if value is not None):
            continue
        changes[row.id] = _resealed(row, sealing, wanted, forget=forget)
    return (rows[-1].id if rows else None), changes


def _resealed(row: Row[Any], sealing: Sealing, wanted: Sealing, *, forget: bool) -> dict[str, Any]:
    fields: Mapping[str, Any] = dict(row._mapping)  # noqa: SLF001  # as above
    try:
        plain = opened(fields, sealing)
    except SealedError:
        if not forget:
            raise
        return dict.fromkeys(SEALED)
    written = sealed(plain, wanted)
    return {name: written[name] for name in SEALED}


def _reseal_posts(database: Database, wanted: Sealing) -> None:
    """Reasons on cards; those that no key opens are removed, as a card would be without them."""
    last: int | None = 0
    while last is not None:
        with database.write(in_turn=True) as connection:
            rows = connection.execute(
                select(SlackPosts.id, SlackPosts.content)
                .where(SlackPosts.id > last)
                .order_by(SlackPosts.id)
                .limit(ROWS_AT_ONCE)
            ).all()
            for row in rows:
                if row.content.get(QUOTES):
                    content = sealed_content(opened_content(row.content, database.sealing), wanted)
                    connection.execute(
                        update(SlackPosts).where(SlackPosts.id == row.id).values(content=content)
                    )
        last = rows[-1].id if rows else None


def _columns() -> list[Any]:
    return [getattr(Messages, name) for name in SEALED]


def _raw(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode(errors="replace")
    return value if isinstance(value, bytes) else bytes_of_vector(value)
