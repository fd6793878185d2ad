"""What the Slack bot says: rows first, so that no restart and no outage of Slack loses any.

A post is pending while Slack has not shown it as it should be. One process says them, in order;
whoever changes what a post should show only raises `wanted`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import case, func, insert, or_, select, update

from filterd.store.faults import RowError
from filterd.store.sealing import Sealing, opened_content, sealed_content
from filterd.store.tables import Labels, SlackPosts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Row, Select

    from filterd.store.database import Database

CARD: Final = "card"
# The change number of what was never changed.
FIRST: Final = 1
# SQLite takes some ten thousand values in a statement, PostgreSQL 65,535.
IDS_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Post:
    """One row; the columns of `slack_posts` say what each field is."""

    id: int
    key: str
    kind: str
    channel: str
    message_id: str | None
    content: Mapping[str, Any]
    answers: str | None
    ts: str | None
    wanted: int
    shown: int
    attempts: int
    next_at: datetime
    created_at: datetime
    given_up: str | None


def card_key(message_id: str) -> str:
    """The key of the card of a mail."""
    return f"card:{message_id}"


def add_post(
    database: Database,
    *,
    key: str,
    kind: str,
    channel: str,
    content: Mapping[str, Any],
    message_id: str | None = None,
    answers: str | None = None,
    now: datetime,
) -> bool:
    """Have something said, once: False if `key` is there already. Raises StoreError."""
    statement = insert(SlackPosts).values(
        key=key,
        kind=kind,
        channel=channel,
        message_id=message_id,
        content=sealed_content(content, database.sealing),
        answers=answers,
        wanted=FIRST,
        shown=0,
        attempts=0,
        next_at=now,
        created_at=now,
    )
    try:
        with database.write() as connection:
            connection.execute(statement)
    except RowError:
        if get_post(database, key) is None:
            raise
        return False
    return True


def change_post(
    database: Database, key: str, content: Mapping[str, Any] | None = None, *, now: datetime
) -> int | None:
    """Have it shown anew, with other content if given; the change's number, None without a post.

    A post that was given up is tried again. Raises StoreError.
    """
    values: dict[str, Any] = {"wanted": SlackPosts.wanted + 1, "given_up": None, "next_at": now}
    if content is not None:
        values["content"] = sealed_content(content, database.sealing)
    statement = update(SlackPosts).where(SlackPosts.key == key).values(values)
    with database.write() as connection:
        found = connection.execute(statement.returning(SlackPosts.wanted)).first()
    return None if found is None else found.wanted


def refresh_cards(database: Database, mail_ids: Sequence[str] | None, *, due: datetime) -> None:
    """Have the cards of these mails, or of all, shown anew if labels came since: from `due` on.

    Raises StoreError.
    What a card wants to show is numbered by its mail's label rows, so this may be done again.
    """
    if mail_ids is not None and len(mail_ids) > IDS_AT_ONCE:
        mail_ids = None
    rows = select(func.count()).where(Labels.message_id == SlackPosts.message_id).scalar_subquery()
    statement = (
        update(SlackPosts)
        .where(SlackPosts.kind == CARD, SlackPosts.wanted < FIRST + rows)
        .values(wanted=FIRST + rows, given_up=None, next_at=due)
    )
    if mail_ids is not None:
        statement = statement.where(SlackPosts.message_id.in_(mail_ids))
    with database.write() as connection:
        connection.execute(statement)


def cards_since(database: Database, since: datetime) -> int:
    """How many cards were made since then. Raises StoreError."""
    statement = select(func.count()).where(SlackPosts.created_at >= since, SlackPosts.kind == CARD)
    with database.read() as connection:
        return connection.scalar(statement) or 0


def get_post(database: Database, key: str) -> Post | None:
    """The post of this key, or None. Raises StoreError."""
    return _one(database, _select().where(SlackPosts.key == key))


def post_at(database: Database, channel: str, ts: str) -> Post | None:
    """The post that Slack knows by channel and `ts`, or None. Raises StoreError."""
    return _one(database, _select().where(SlackPosts.ts == ts, SlackPosts.channel == channel))


def posts_of(database: Database, kind: str, since: datetime) -> list[Post]:
    """Posts of a kind that were made since then, newest first. Raises StoreError."""
    statement = _select().where(SlackPosts.kind == kind, SlackPosts.created_at >= since)
    with database.read() as connection:
        return [
            _to_post(row, database.sealing)
            for row in connection.execute(statement.order_by(SlackPosts.id.desc()))
        ]


def carded(database: Database, mail_ids: Sequence[str]) -> set[str]:
    """Those of these mails that have a card. Raises StoreError."""
    found: set[str] = set()
    with database.read() as connection:
        for start in range(0, len(mail_ids), IDS_AT_ONCE):
            some = mail_ids[start : start + IDS_AT_ONCE]
            statement = select(SlackPosts.message_id).where(
                SlackPosts.kind == CARD, SlackPosts.message_id.in_(some)
            )
            found.update(id_ for id_ in connection.scalars(statement) if id_ is not None)
    return found


def first_pending(database: Database, now: datetime) -> list[Post]:
    """Of each channel the oldest post that Slack does not show as it should be. StoreError.

    One that is there, and of which only a change is not due yet, is passed over; any other that is
    not due must be waited for, since the later ones may be about it. Of each channel, so that one
    that the bot was put out of does not hide the others.
    """
    waiting = (SlackPosts.shown < SlackPosts.wanted, SlackPosts.given_up.is_(None))
    counts = or_(SlackPosts.next_at <= now, SlackPosts.attempts > 0, SlackPosts.ts.is_(None))
    first = select(func.min(SlackPosts.id)).where(*waiting, counts).group_by(SlackPosts.channel)
    statement = _select().where(SlackPosts.id.in_(first)).order_by(SlackPosts.id)
    with database.read() as connection:
        return [_to_post(row, database.sealing) for row in connection.execute(statement)]


def begin_post(database: Database, post: Post, next_at: datetime) -> bool:
    """Note an attempt before it is made, and when it is over at the latest. Raises StoreError.

    So that after a crash it is known that Slack may have it already. False if the row has changed
    since `post` was read: then another process is at it, or there is something else to say.
    """
    statement = (
        update(SlackPosts)
        .where(
            SlackPosts.id == post.id,
            SlackPosts.attempts == post.attempts,
            SlackPosts.next_at == post.next_at,
            SlackPosts.wanted == post.wanted,
            SlackPosts.shown == post.shown,
        )
        .values(attempts=SlackPosts.attempts + 1, next_at=next_at)
    )
    with database.write() as connection:
        return connection.execute(statement.returning(SlackPosts.id)).first() is not None


def delay_post(database: Database, post: Post, next_at: datetime, attempts: int) -> None:
    """Nothing came of an attempt: try again then. Raises StoreError.

    `attempts` of those that were made may have reached Slack.
    """
    _change(database, post, attempts=attempts, next_at=next_at)


def said_post(database: Database, post: Post, ts: str, shown: int) -> None:
    """Slack shows change number `shown` of the post, as `ts`. Raises StoreError.

    Two ways lead there: the poster's, and the answer to a click. If the other one came through
    since `post` was read, nobody knows which was the last in Slack, so it is shown once more.
    """
    alone = SlackPosts.shown == post.shown
    # Where it is the number of before, the other one cannot be told from it: take it for there.
    noted = 0 if shown == post.shown else case((alone, shown), else_=0)
    _change(database, post, ts=ts, shown=noted, attempts=0)


def give_up_post(database: Database, post: Post, why: str) -> None:
    """It will not be said, unless it was changed since or is later. Raises StoreError."""
    statement = (
        update(SlackPosts)
        .where(SlackPosts.id == post.id, SlackPosts.wanted == post.wanted)
        .values(given_up=why)
    )
    with database.write() as connection:
        connection.execute(statement)


def _change(database: Database, post: Post, **values: Any) -> None:
    statement = update(SlackPosts).where(SlackPosts.id == post.id).values(values)
    with database.write() as connection:
        connection.execute(statement)


def _one(database: Database, statement: Select[Any]) -> Post | None:
    with database.read() as connection:
        row = connection.execute(statement).first()
    return None if row is None else _to_post(row, database.sealing)


def _select() -> Select[Any]:
    return select(*SlackPosts.__table__.columns)


def _to_post(row: Row[Any], sealing: Sealing) -> Post:
    # `_mapping` is the public way to a row's names, despite the name.
    fields = dict(row._mapping)  # noqa: SLF001
    return Post(**{**fields, "content": opened_content(row.content, sealing)})
