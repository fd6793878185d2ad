"""What is forgotten, and when: retention and `store_text`. Run once a day or so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import and_, delete, exists, or_, select, update

from filterd.store.engine import sqlite_driver
from filterd.store.faults import in_one_line
from filterd.store.labels import label_stands
from filterd.store.tables import BundleScores, Incidents, Labels, Messages, SlackEvents, SlackPosts

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Delete, Update
    from sqlalchemy.orm import InstrumentedAttribute

    from filterd.store.database import Database

StoreText = Literal["all", "labelled", "none"]

# Within this a mail may still be put right by staff, who need to see it, and the learner its text.
DAYS_TO_LABEL: Final = 14
# Slack repeats a delivery within minutes; a day is that and much to spare.
DAYS_OF_EVENTS: Final = 1
# Rows of one transaction: others that want to write wait for some milliseconds, not for all of it.
ROWS_AT_ONCE: Final = 500
PAGES_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Purged:
    """How many messages were removed, and how many others lost text, embedding and head."""

    messages: int
    texts: int


def purge(
    database: Database, *, now: datetime, retention_days: int, store_text: StoreText
) -> Purged:
    """Remove what the site does not want kept; raises StoreError.

    Messages older than `retention_days` that nobody ever labelled go altogether. Text,
    embedding and head go

    - with store_text "all": after `retention_days`, unless a label stands;
    - with "labelled": after 14 days (or `retention_days` if shorter), unless a label stands;
    - with "none": always.

    So a labelled mail keeps its text, as training data, until its labels are undone; its row
    stays for the audit trail. What the bot said, and what went wrong and is over, goes after
    `retention_days`, too; what Slack delivered after a day. SQLite overwrites what it removes and
    gives the room back to the disk; PostgreSQL does so at its next VACUUM.
    """
    oldest = now - timedelta(days=retention_days)
    too_old = Messages.received_at < oldest
    gone = _in_steps(
        database,
        delete(Messages),
        Messages.id,
        and_(too_old, ~exists().where(Labels.message_id == Messages.id)),
    )
    days = min(retention_days, DAYS_TO_LABEL) if store_text == "labelled" else retention_days
    has_text = or_(
        Messages.text.is_not(None), Messages.embedding.is_not(None), Messages.head.is_not(None)
    )
    if store_text != "none":
        not_wanted = Messages.received_at < now - timedelta(days=days)
        has_text = and_(has_text, not_wanted, ~label_stands())
    texts = _in_steps(
        database,
        update(Messages).values(text=None, embedding=None, head=None),
        Messages.id,
        has_text,
    )
    if gone:
        of_no_mail = ~exists().where(Messages.id == BundleScores.message_id)
        _in_steps(database, delete(BundleScores), BundleScores.message_id, of_no_mail)
    others = _purge_others(database, now, oldest)
    if gone or texts or others:
        _give_back_room(database)
    return Purged(messages=gone, texts=texts)


def _purge_others(database: Database, now: datetime, oldest: datetime) -> int:
    """Remove old rows of the tables that are not about mail; how many."""
    events = SlackEvents.at < now - timedelta(days=DAYS_OF_EVENTS)
    # What goes on was seen just now.
    incidents = Incidents.seen_at < oldest
    posts = SlackPosts.created_at < oldest
    return (
        _in_steps(database, delete(SlackEvents), SlackEvents.key, events)
        + _in_steps(database, delete(Incidents), Incidents.id, incidents)
        + _in_steps(database, delete(SlackPosts), SlackPosts.id, posts)
    )


def _give_back_room(database: Database) -> None:
    if database.path is None:
        return
    with in_one_line(database.name), sqlite_driver(database.engine) as connection:
        free = None
        while free != (free := connection.execute("PRAGMA freelist_count").fetchone()[0]):
            # fetchall, since each step frees one page.
            connection.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
        # The write-ahead log still holds what was removed until it is emptied.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _in_steps(
    database: Database,
    statement: Delete | Update,
    key: InstrumentedAttribute[Any],
    condition: ColumnElement[bool],
) -> int:
    ids = select(key).where(condition).limit(ROWS_AT_ONCE)
    done = 0
    while True:
        # In turn, so that nobody labels a message between the look and the removal.
        with database.write(in_turn=True) as connection:
            changed = connection.execute(statement.where(key.in_(ids))).rowcount
        done += changed
        if changed < ROWS_AT_ONCE:
            return done
