"""What a bundle gives to labelled mails that it never judged: the learner goes by these.

Written before the bundle is published, so that what staff taught counts on the day it serves.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from filterd.store.tables import BundleScores

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from filterd.store.database import Database

# Others that want to write wait for some milliseconds, not for all of it.
ROWS_AT_ONCE: Final = 500


def write_scores(database: Database, version: str, scores: Mapping[str, float]) -> None:
    """Keep what bundle `version` gives to mails: message id -> probability of spam, 0..1.

    Some hundred in a transaction. The same again changes nothing, so that it may be repeated after
    a crash; another score takes the place of the one before. Raises StoreError.
    """
    insert = sqlite.insert if database.path is not None else postgresql.insert
    statement = insert(BundleScores)
    statement = statement.on_conflict_do_update(
        index_elements=["version", "message_id"], set_={"spam": statement.excluded.spam}
    )
    for some in _in_batches(scores):
        rows = [{"version": version, "message_id": one, "spam": float(scores[one])} for one in some]
        with database.write() as connection:
            connection.execute(statement, rows)


def scores_of(database: Database, version: str, ids: Iterable[str]) -> dict[str, float]:
    """Message id -> what bundle `version` gives it; mails without such a score are left out.

    Raises StoreError.
    """
    found: dict[str, float] = {}
    for some in _in_batches(ids):
        statement = select(BundleScores.message_id, BundleScores.spam).where(
            BundleScores.version == version, BundleScores.message_id.in_(some)
        )
        with database.read() as connection:
            found.update((row.message_id, row.spam) for row in connection.execute(statement))
    return found


def remove_scores(database: Database, keep: Collection[str]) -> int:
    """Remove the scores of all bundles but those versions; how many. Raises StoreError."""
    with database.read() as connection:
        versions = set(connection.scalars(select(BundleScores.version).distinct()))
    removed = 0
    for version in sorted(versions.difference(keep)):
        with database.write() as connection:
            done = connection.execute(delete(BundleScores).where(BundleScores.version == version))
            removed += done.rowcount
    return removed


def _in_batches(ids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while some := list(islice(rest, ROWS_AT_ONCE)):
        yield some
