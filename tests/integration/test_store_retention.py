"""What purge removes, what it keeps, and that what is gone is gone from the disk."""

from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import func, select
from store_records import MORNING, make_record

from filterd.store.damage import check
from filterd.store.deliveries import take_up
from filterd.store.incidents import begin, end, keep, since
from filterd.store.labels import add_label, history, undo_label
from filterd.store.messages import get, recent, write_batch
from filterd.store.posts import add_post, posts_of
from filterd.store.retention import Purged, purge
from filterd.store.tables import Messages

pytest_plugins = ("store_fixtures",)

OLD, MIDDLE, NEW = 100, 20, 1  # days
SECRET = "the merger with Initech"


def arrived(number, days, **changes):
    embedding = np.ones(4, np.float32)
    received_at = MORNING - timedelta(days=days)
    return make_record(
        number, received_at=received_at, embedding=embedding, head=b"head", **changes
    )


def purge_now(database, store_text="all"):
    return purge(database, now=MORNING, retention_days=90, store_text=store_text)


def kept_texts(database):
    return {int(record.id) for record in recent(database, 100) if record.text is not None}


def kept_messages(database):
    return {int(record.id) for record in recent(database, 100)}


@pytest.fixture
def mail(database):
    """Unlabelled mail 1 to 3, labelled 11 to 13, with a label undone 21 to 23: old to new."""
    ages = list(enumerate((OLD, MIDDLE, NEW), start=1))
    write_batch(
        database, [arrived(ten + number, days) for ten in (0, 10, 20) for number, days in ages]
    )
    for number in (11, 12, 13, 21, 22, 23):
        label = add_label(database, f"{number:026d}", "spam", "spam", "ann", "cli")
        if number > 20:
            undo_label(database, label.id, "ann", "cli")
    return database


@pytest.mark.parametrize(
    ("store_text", "texts"),
    [
        ("all", {2, 3, 11, 12, 13, 22, 23}),
        ("labelled", {3, 11, 12, 13, 23}),
        ("none", set()),
    ],
)
def test_texts_are_kept_as_store_text_says(mail, store_text, texts):
    before = kept_texts(mail)
    purged = purge_now(mail, store_text)
    assert kept_texts(mail) == texts
    assert kept_messages(mail) == {2, 3, 11, 12, 13, 21, 22, 23}
    assert purged == Purged(messages=1, texts=len(before) - 1 - len(texts))
    assert check(mail) == []


def test_embedding_and_head_go_with_the_text(mail):
    purge_now(mail, "none")
    assert all(record.embedding is record.head is None for record in recent(mail, 100))


# What is not about mail: here 90 days are kept, too, but of Slack's deliveries one.


def test_what_went_wrong_long_ago_is_forgotten_over_or_left_by_a_dead_process(database):
    over, _left, recent_one, going_on = (
        begin(database, "next_hop", "mx1", "refused", MORNING - timedelta(days=days))
        for days in (OLD, OLD, MIDDLE, OLD)
    )
    end(database, over, MORNING - timedelta(days=OLD))
    keep(database, [going_on], MORNING)
    purge_now(database)
    assert {one.id for one in since(database, MORNING - timedelta(days=1000))} == {
        recent_one,
        going_on,
    }


def test_what_the_bot_said_long_ago_is_forgotten(database):
    for days in (OLD, MIDDLE, NEW):
        add_post(
            database,
            key=f"{days}",
            kind="alert",
            channel="C1",
            content={},
            now=MORNING - timedelta(days=days),
        )
    purge_now(database)
    kept = posts_of(database, "alert", MORNING - timedelta(days=1000))
    assert [post.key for post in kept] == [f"{NEW}", f"{MIDDLE}"]


def test_what_slack_delivered_is_known_for_a_day(database):
    for key, hours in (("old", 25), ("new", 23)):
        take_up(database, key, MORNING - timedelta(hours=hours))
    purge_now(database)
    assert take_up(database, "old", MORNING)
    assert not take_up(database, "new", MORNING)


def test_none_of_that_is_counted_as_mail(database):
    take_up(database, "old", MORNING - timedelta(days=OLD))
    assert purge_now(database) == Purged(messages=0, texts=0)


def test_a_short_retention_shortens_the_time_to_label(database):
    write_batch(database, [arrived(1, days=10)])
    add = add_label(database, f"{1:026d}", "spam", "ham", "ann", "cli")
    undo_label(database, add.id, "ann", "cli")
    purge(database, now=MORNING, retention_days=7, store_text="labelled")
    assert kept_texts(database) == set()


def test_the_audit_trail_of_an_old_message_stays(mail):
    purge_now(mail)
    assert len(history(mail, f"{21:026d}")) == 2


def test_purging_again_finds_nothing(mail):
    purge_now(mail, "labelled")
    assert purge_now(mail, "labelled") == Purged(messages=0, texts=0)


def test_more_than_one_step_is_purged_completely(database):
    write_batch(database, [arrived(number, OLD) for number in range(1, 1202)])
    write_batch(database, [make_record(2000)])
    assert purge_now(database) == Purged(messages=1201, texts=0)
    assert get(database, make_record(2000).id) is not None


def test_removed_text_is_nowhere_in_the_files_and_its_room_is_given_back(sqlite_database):
    path = sqlite_database.path
    write_batch(
        sqlite_database,
        [arrived(number, OLD, text=f"{SECRET} {number} " * 100) for number in range(1, 1000)],
    )
    label = add_label(sqlite_database, f"{1:026d}", "spam", "ham", "ann", "cli")
    undo_label(sqlite_database, label.id, "ann", "cli")
    everything = [path, path.with_name(path.name + "-wal")]
    assert any(SECRET.encode() in file.read_bytes() for file in everything)

    assert purge_now(sqlite_database) == Purged(messages=998, texts=1)

    assert not any(SECRET.encode() in file.read_bytes() for file in everything)
    assert sum(file.stat().st_size for file in everything) < 200_000
    with sqlite_database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(Messages)) == 1
    assert check(sqlite_database) == []
