"""Which bundles were published and which one serves. Folders hold the models; these are facts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from filterd.errors import ImpossibleError
from filterd.store.database import utc_now
from filterd.store.tables import Bundles, Champions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from filterd.store.database import Database


@dataclass(frozen=True, slots=True)
class BundleRow:
    """A published bundle; `metrics` as in its bundle.json."""

    version: str
    path: str
    created_at: datetime
    published_at: datetime
    data_digest: str
    metrics: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChampionRow:
    """That a bundle was made champion. `takes_back`: by a rollback of that row. `id` only grows."""

    id: int
    version: str
    at: datetime
    by: str
    why: str
    takes_back: int | None


def register_bundle(
    database: Database,
    version: str,
    path: str,
    *,
    created_at: datetime,
    data_digest: str,
    metrics: Mapping[str, Any],
    now: Callable[[], datetime] = utc_now,
) -> BundleRow:
    """Say that a bundle is complete in its folder.

    The same again changes nothing, so that a publisher may repeat its last step after a crash.
    Raises StoreError if the version is taken by another bundle.
    """
    with database.write(in_turn=True) as connection:
        found = _bundle(connection, version)
        if found is not None:
            if (found.path, found.data_digest) != (path, data_digest):
                raise ImpossibleError(f"bundle {version} is registered already, from {found.path}")
            return found
        row = BundleRow(version, path, created_at, now(), data_digest, dict(metrics))
        connection.execute(insert(Bundles).values(asdict(row)))
        return row


def bundles(database: Database) -> list[BundleRow]:
    """All registered bundles, oldest first. Raises StoreError."""
    statement = select(*Bundles.__table__.columns).order_by(Bundles.published_at, Bundles.version)
    with database.read() as connection:
        return [_to_bundle(row) for row in connection.execute(statement)]


def set_champion(
    database: Database,
    version: str,
    by: str,
    why: str,
    *,
    now: Callable[[], datetime] = utc_now,
) -> ChampionRow:
    """Put a registered bundle into service, the serving one too: its workers then load it anew.

    Raises StoreError if the version is not registered.
    """
    with database.write(in_turn=True) as connection:
        if _bundle(connection, version) is None:
            raise ImpossibleError(
                f"no bundle {version} is registered; `filterd models list` shows them"
            )
        return _append(connection, version, now(), by, why, takes_back=None)


def rollback(
    database: Database,
    by: str,
    why: str,
    *,
    of: int | None = None,
    now: Callable[[], datetime] = utc_now,
) -> ChampionRow:
    """Put the champion before the present one into service again; once more, the one before that.

    `of` is the row that is to be taken back, where another may have come meanwhile. Raises
    StoreError if it is not the last, or there is none before.
    """
    with database.write(in_turn=True) as connection:
        rows = _champions(connection)
        if of is not None and (not rows or rows[-1].id != of):
            raise ImpossibleError("another bundle was put into service meanwhile")
        versions = line(rows)
        if len(versions) < 2:  # the present one and one before
            present = versions[-1] if versions else "the shipped bundle"
            raise ImpossibleError(f"nothing to go back to: no champion came before {present}")
        return _append(connection, versions[-2], now(), by, why, takes_back=rows[-1].id)


def champion(database: Database) -> ChampionRow | None:
    """The bundle that should serve; None before the first promotion. Raises StoreError."""
    statement = select(*Champions.__table__.columns).order_by(Champions.id.desc()).limit(1)
    with database.read() as connection:
        row = connection.execute(statement).first()
    return None if row is None else _to_champion(row)


def champions(database: Database) -> list[ChampionRow]:
    """All promotions and rollbacks, oldest first. Raises StoreError."""
    with database.read() as connection:
        return _champions(connection)


def line(rows: list[ChampionRow]) -> list[str]:
    """The versions that rollbacks go back along, by all rows; the last is the champion."""
    versions: list[str] = []
    for row in rows:
        if row.takes_back is not None:
            versions.pop()
        elif not versions or versions[-1] != row.version:
            versions.append(row.version)
    return versions


def _append(
    connection: Connection,
    version: str,
    at: datetime,
    by: str,
    why: str,
    *,
    takes_back: int | None,
) -> ChampionRow:
    statement = insert(Champions).values(
        version=version, at=at, by=by, why=why, takes_back=takes_back
    )
    columns = Champions.__table__.columns
    return _to_champion(connection.execute(statement.returning(*columns)).one())


def _champions(connection: Connection) -> list[ChampionRow]:
    statement = select(*Champions.__table__.columns).order_by(Champions.id)
    return [_to_champion(row) for row in connection.execute(statement)]


def _bundle(connection: Connection, version: str) -> BundleRow | None:
    statement = select(*Bundles.__table__.columns).where(Bundles.version == version)
    row = connection.execute(statement).first()
    return None if row is None else _to_bundle(row)


def _to_bundle(row: Row[Any]) -> BundleRow:
    return BundleRow(**row._mapping)  # noqa: SLF001  # the public way to a row's names, despite the name


def _to_champion(row: Row[Any]) -> ChampionRow:
    return ChampionRow(**row._mapping)  # noqa: SLF001  # as above
