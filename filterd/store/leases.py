"""What only one process may do at a time, by a row with an end and a token that only grows.

Who holds it renews it; who dies loses it by itself. A holder that slept too long finds its token
outgrown, and must look before each effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from filterd.errors import ImpossibleError
from filterd.store.tables import Leases

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from filterd.store.database import Database


@dataclass(frozen=True, slots=True)
class Lease:
    """That `holder` has `name` until `expires_at`, under this token."""

    name: str
    holder: str
    token: int
    expires_at: datetime


def take_lease(
    database: Database, name: str, holder: str, *, now: datetime, lasts: timedelta
) -> Lease | None:
    """The lease, if nobody else holds it; taking one's own again renews it. Raises StoreError."""
    expires_at = now + lasts
    with database.write(in_turn=True) as connection:
        row = connection.execute(
            select(*Leases.__table__.columns).where(Leases.name == name)
        ).first()
        if row is None:
            connection.execute(
                insert(Leases).values(
                    name=name,
                    holder=holder,
                    token=1,
                    taken_at=now,
                    renewed_at=now,
                    expires_at=expires_at,
                )
            )
            return Lease(name, holder, 1, expires_at)
        free = row.holder is None or row.expires_at is None or row.expires_at <= now
        if not free and row.holder != holder:
            return None
        token = row.token + 1 if free else row.token
        taken_at = now if free else row.taken_at
        connection.execute(
            update(Leases)
            .where(Leases.name == name)
            .values(
                holder=holder,
                token=token,
                taken_at=taken_at,
                renewed_at=now,
                expires_at=expires_at,
            )
        )
        return Lease(name, holder, token, expires_at)


def current_lease(database: Database, name: str, now: datetime) -> Lease | None:
    """Who holds it at this moment, if anybody does. Raises StoreError."""
    statement = select(*Leases.__table__.columns).where(Leases.name == name)
    with database.read() as connection:
        row = connection.execute(statement).first()
    if row is None or row.holder is None or row.expires_at is None or row.expires_at <= now:
        return None
    return Lease(name, row.holder, row.token, row.expires_at)


def require_lease(connection: Connection, name: str, token: int) -> None:
    """Raise ImpossibleError unless nobody has taken the lease since, nor was it given back.

    For use in the transaction that does what only the holder may. One that has expired counts as
    long as no other has it: whoever takes it after this sees what was done.
    """
    row = connection.execute(select(Leases.holder, Leases.token).where(Leases.name == name)).first()
    if row is None or row.token != token or row.holder is None:
        raise ImpossibleError(f"the lease {name!r} was lost meanwhile: another holds it, or nobody")


def give_back_lease(database: Database, lease: Lease) -> None:
    """Let the next one have it at once, if it is still ours. Raises StoreError."""
    statement = (
        update(Leases)
        .where(Leases.name == lease.name, Leases.token == lease.token)
        .values(holder=None, expires_at=None)
    )
    with database.write() as connection:
        connection.execute(statement)
