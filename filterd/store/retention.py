"""What is forgotten, and when: retention and `store_text`. Run once a day or so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import and_, bindparam, delete, exists, or_, select, update

from filterd.store.engine import sqlite_driver
from filterd.store.faults import in_one_line
from filterd.store.labels import label_stands
from filterd.store.sealing import QUOTES, SEALED
from filterd.store.tables import BundleScores, Incidents, Labels, Messages, SlackEvents, SlackPosts

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Delete
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
    """How many messages were removed, and how many others lost text, embedding and head.

    `wiped` is False if SQLite's log may still hold what was removed, since somebody was reading.
    """

    messages: int
    texts: int
    wiped: bool = True


def purge(
    database: Database, *, now: datetime, retention_days: int, store_text: StoreText
) -> Purged:
    """Remove what the site does not want kept; raises StoreError.

    Messages older than `retention_days` that nobody ever labelled go altogether. Text,
    embedding and head go

    - with store_text "all": after `retention_days`, unless a label stands;
    - with "labelled": after 14 days (or `retention_days` if shorter), unless a label stands;
    - with "none": always.

    and with the text the reasons on its card, which quote it. So a labelled mail keeps its text, as
    training data, until its labels are undone; its row stays for the audit trail. What the bot
    said, and what went wrong and is over, goes after `retention_days`, too; what Slack delivered
    after a day. SQLite overwrites what it removes at once, but for copies in the gaps of its pages:
    these go with a VACUUM once a day. PostgreSQL gives room back at its own next VACUUM.
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
    texts = _forget_texts(database, has_text)
    if gone:
        of_no_mail = ~exists().where(Messages.id == BundleScores.message_id)
        _in_steps(database, delete(BundleScores), BundleScores.message_id, of_no_mail)
    _purge_others(database, now, oldest)
    # Even if nothing was removed: the last time, somebody may have been reading.
    anew = _is_new_file_due(database, now, removed=bool(gone or texts))
    wiped = wipe(database, anew=anew)
    if anew:
        _keep_number(database, now.toordinal())
    return Purged(messages=gone, texts=texts, wiped=wiped)


def wipe(database: Database, *, anew: bool = False) -> bool:
    """Give the room of what was removed back to the disk, and empty SQLite's log, which holds it.

    `anew` writes the whole file anew (30 MB/s or more, in which nobody else can write): where rows
    grew or moved, SQLite leaves copies of them in the gaps of its pages, `secure_delete` or not.
    False if somebody was reading all the time. Raises StoreError.
    """
    if database.path is None:
        return True
    with in_one_line(database.name), sqlite_driver(database.engine) as connection:
        if anew:
            connection.execute("VACUUM")
        free = None
        while free != (free := connection.execute("PRAGMA freelist_count").fetchone()[0]):
            # fetchall, since each step frees one page.
            connection.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
        # Waits for readers as long as for any lock.
        is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy


def _is_new_file_due(database: Database, now: datetime, *, removed: bool) -> bool:
    """Whether the file is to be written anew: on another day than last, if anything was removed.

    SQLite keeps a number for whoever uses the file: here the day of the last time, negative from
    when something was removed after it.
    """
    if database.path is None:
        return False
    with in_one_line(database.name), sqlite_driver(database.engine) as connection:
        (last,) = connection.execute("PRAGMA user_version").fetchone()
    if removed and last >= 0:
        last = -(last or 1)
        _keep_number(database, last)
    return bool(last < 0 and now.toordinal() > -last)


def _keep_number(database: Database, number: int) -> None:
    with in_one_line(database.name), sqlite_driver(database.engine) as connection:
        connection.execute(f"PRAGMA user_version = {number}")


def _forget_texts(database: Database, condition: ColumnElement[bool]) -> int:
    """Remove what these mails said, and what their cards quote of it; of how many."""
    ids = select(Messages.id).where(condition).limit(ROWS_AT_ONCE)
    done = 0
    while True:
        with database.write(in_turn=True) as connection:
            found = list(connection.scalars(ids))
            nothing: dict[str, Any] = dict.fromkeys(SEALED)
            connection.execute(update(Messages).where(Messages.id.in_(found)).values(nothing))
            _forget_quotes(connection, found)
        done += len(found)
        if len(found) < ROWS_AT_ONCE:
            return done


def _forget_quotes(connection: Connection, mail_ids: list[str]) -> None:
    statement = select(SlackPosts.id, SlackPosts.content).where(SlackPosts.message_id.in_(mail_ids))
    changed = [
        {"post": row.id, "without": {**row.content, QUOTES: []}}
        for row in connection.execute(statement)
        if row.content.get(QUOTES)
    ]
    if changed:
        connection.execute(
            update(SlackPosts)
            .where(SlackPosts.id == bindparam("post"))
            .values(content=bindparam("without")),
            changed,
        )


def _purge_others(database: Database, now: datetime, oldest: datetime) -> None:
    """Remove old rows of the tables that are not about mail."""
    events = SlackEvents.at < now - timedelta(days=DAYS_OF_EVENTS)
    _in_steps(database, delete(SlackEvents), SlackEvents.key, events)
    # What goes on was seen just now.
    _in_steps(database, delete(Incidents), Incidents.id, Incidents.seen_at < oldest)
    _in_steps(database, delete(SlackPosts), SlackPosts.id, SlackPosts.created_at < oldest)


def _in_steps(
    database: Database,
    statement: Delete,
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
