"""What mail said, in the database: sealed by a key, read by all who read it, gone when it should be."""

import contextlib
import dataclasses
import random
import re
import sqlite3
import time
from datetime import timedelta

import numpy as np
import pytest
from lessons import evidence
from sqlalchemy import select
from store_records import MORNING, make_record

from filterd.asking import questions
from filterd.learner.features import pack, unpack
from filterd.similar import similar
from filterd.store.damage import check
from filterd.store.database import open_database
from filterd.store.labels import add_label, undo_label
from filterd.store.messages import find, get, recent, unlabelled, write_batch
from filterd.store.posts import add_post, get_post
from filterd.store.resealing import require_keys, reseal
from filterd.store.retention import purge
from filterd.store.schema import upgrade
from filterd.store.sealing import SealedError, Sealing, make_key, open_sealing
from filterd.store.tables import Messages, SlackPosts
from filterd.store.training import labelled_records
from filterd.teaching import open_learner

pytest_plugins = ("store_fixtures",)

SENTENCE = "zebrafish merge with quagga on Friday"
KEY, NEW_KEY = make_key(), make_key()
RECORDS = 200
LENGTHS = ((10, 200), (100, 800), (500, 3000), (10, 6000), (1500, 1600))


@pytest.fixture
def with_keys(url):
    """The database of this test as a process with these keys has it."""
    with contextlib.ExitStack() as opened:

        def with_keys(*keys):
            database = open_database(url, open_sealing(keys))
            opened.callback(database.close)
            upgrade(database)
            return database

        yield with_keys


def said(number, **changes):
    found = evidence(number, ("watch", "minute")[number % 2])
    values = {
        "text": f"{found.text}\n{SENTENCE} {number}",
        "head": pack(b"Subject: " + SENTENCE.encode()),
        "embedding": np.full(8, number, np.float32),
        "helo": "",
        "client_address": "",
    }
    return make_record(number, **values | changes)


def kept(database):
    """All that lies in the columns that hold what mail said, as bytes."""
    statement = "SELECT text, head, embedding FROM messages"
    if database.path is not None:
        with contextlib.closing(sqlite3.connect(database.path)) as raw:
            rows = raw.execute(statement).fetchall()
    else:
        with database.read() as connection:
            rows = connection.exec_driver_sql(statement).all()
    cells = [cell for row in rows for cell in row if cell is not None]
    return b"\n".join(cell.encode() if isinstance(cell, str) else bytes(cell) for cell in cells)


def on_disk(database):
    """The file of an SQLite database with its log."""
    files = [database.path.with_name(database.path.name + end) for end in ("", "-wal", "-shm")]
    return b"".join(file.read_bytes() for file in files if file.exists())


def purge_now(database, store_text="all", now=MORNING):
    return purge(database, now=now, retention_days=90, store_text=store_text)


# Sealed


@pytest.mark.scenario("P32", "`text_key_file` is set", "text, head, embedding and the reasons on cards lie sealed; every reader gets them as they were")  # fmt: skip
def test_what_mail_said_lies_sealed_and_is_read_as_it_was(with_keys):
    database = with_keys(KEY)
    records = [said(number) for number in range(1, 5)]
    write_batch(database, records)
    assert b"zebrafish" not in kept(database)
    if database.path is not None:
        assert b"zebrafish" not in on_disk(database)
    found = get(database, records[0].id)
    assert found == records[0]
    assert np.array_equal(found.embedding, records[0].embedding)
    assert unpack(found.head) == b"Subject: " + SENTENCE.encode()
    add_label(database, records[0].id, "spam", "spam", "ann", "cli")
    assert [record.text for record in labelled_records(database)] == [records[0].text]
    assert len(unlabelled(database, "spam", MORNING, 10)) == 3
    assert open_learner(database).labels == 1


def test_a_part_of_a_sealed_text_is_found_and_no_part_of_its_seal(with_keys):
    database = with_keys(KEY)
    write_batch(database, [said(number) for number in range(1, 30)])
    assert [record.id for record in find(database, "ZEBRAFISH merge")] == [
        said(number).id for number in range(29, 9, -1)
    ]
    assert [int(record.id) for record in find(database, "Friday 7")] == [7]
    assert [int(record.id) for record in find(database, "Minutes 12")] == [12]
    assert find(database, "sealed") == []
    assert find(with_keys(), "gAAAA") == []


def test_questions_and_near_duplicates_are_found_among_sealed_mail(with_keys):
    database = with_keys(KEY)
    text = " ".join(f"word{number}" for number in range(60))
    write_batch(database, [said(number, text=text) for number in (1, 2)])
    found = similar(database, said(1).id, since=MORNING, limit=5)
    assert [one.record.id for one in found] == [said(2).id]
    asked = questions(
        database,
        open_learner(database),
        budget=2,
        since=MORNING,
        now=MORNING,
        chance=random.Random(1),
    )
    assert len(asked) == 2


def test_the_reasons_on_a_card_lie_sealed(with_keys):
    database = with_keys(KEY)
    content = {"asked": "near the threshold", "why": [f"spam: “{SENTENCE}”"]}
    add_post(database, key="card:1", kind="card", channel="C1", content=content, now=MORNING)
    with database.read() as connection:
        assert "zebrafish" not in str(connection.scalar(select(SlackPosts.content)))
    assert get_post(database, "card:1").content == content
    assert get_post(with_keys(), "card:1").content["why"] == []


# Without the key


@pytest.mark.scenario("P33", "the key is gone", "a clear error for who wants to read; new mail is kept, and labels of it teach")  # fmt: skip
def test_without_the_key_it_says_so_and_goes_on_with_what_comes(with_keys):
    write_batch(with_keys(KEY), [said(1), said(2)])
    database = with_keys(NEW_KEY)
    with pytest.raises(SealedError, match="text_key_file"):
        get(database, said(1).id)
    with pytest.raises(SealedError):
        require_keys(database)
    for number in (1, 3):
        write_batch(database, [said(3)])
        add_label(database, said(number).id, "spam", "spam", "ann", "cli")
    assert open_learner(database).labels == 1
    with pytest.raises(SealedError):
        labelled_records(database)
    require_keys(database)  # what came last can be read


def test_a_site_that_sealed_nothing_needs_no_key(with_keys):
    database = with_keys()
    require_keys(database)
    write_batch(database, [said(1)])
    require_keys(database)
    assert SENTENCE.encode() in kept(database)


# Sealed anew


@pytest.mark.scenario("P34", "a new key is put first and `filterd db reseal` run", "all is sealed by the new key; the old one is needed no more")  # fmt: skip
def test_after_a_new_key_and_resealing_the_old_one_is_needed_no_more(with_keys):
    records = [said(number) for number in range(1, RECORDS + 5)]
    content = {"why": [SENTENCE]}
    old, both = with_keys(KEY), with_keys(NEW_KEY, KEY)
    write_batch(old, records)
    add_post(old, key="card:1", kind="card", channel="C1", content=content, now=MORNING)
    assert get(both, records[0].id) == records[0]
    assert reseal(both).mails == len(records)
    assert reseal(both).mails == 0
    new = with_keys(NEW_KEY)
    assert recent(new, 1000) == records[::-1]
    assert get_post(new, "card:1").content == content
    with pytest.raises(SealedError):
        recent(old, 1)


@pytest.mark.scenario("P35", "sealing is switched on for a database in use, then `filterd db reseal`", "nothing of the plain texts is left in the database's files")  # fmt: skip
def test_what_lay_open_is_sealed_and_nowhere_in_the_files(with_keys):
    plain, database = with_keys(), with_keys(KEY)
    records = [said(number, text=f"{SENTENCE} " * number) for number in range(1, 120)]
    write_batch(plain, [*records, said(500, text=None, head=None, embedding=None)])
    add_post(plain, key="c", kind="card", channel="C1", content={"why": [SENTENCE]}, now=MORNING)
    done = reseal(database)
    assert (done.mails, done.forgotten, done.wiped) == (len(records), 0, True)
    assert b"zebrafish" not in kept(database)
    if database.path is not None:
        assert b"zebrafish" not in on_disk(database)
    assert get(database, records[50].id) == records[50]
    assert check(database) == []


def test_sealing_can_be_switched_off_again(with_keys):
    database = with_keys(KEY)
    write_batch(database, [said(1)])
    assert reseal(database, plain=True).mails == 1
    assert get(with_keys(), said(1).id) == said(1)


def test_what_no_key_opens_stops_it_unless_it_is_to_be_forgotten(with_keys):
    write_batch(with_keys(KEY), [said(1)])
    database = with_keys(NEW_KEY)
    write_batch(database, [said(2)])
    with pytest.raises(SealedError, match=said(1).id):
        reseal(database)
    done = reseal(database, forget=True)
    assert (done.mails, done.forgotten) == (0, 1)
    assert get(database, said(1).id).text is None
    assert get(database, said(2).id) == said(2)


def test_a_sealed_record_costs_some_microseconds(with_keys, record_property):
    """Of a mail as it is on average: 1,500 characters, 384 figures, a kilobyte of head."""
    from filterd.store.sealing import sealed

    row = {"text": "x" * 1500, "head": bytes(1000), "embedding": np.ones(384, np.float32)}
    took = {}
    for name, sealing in (("plain", Sealing()), ("sealed", open_sealing([KEY]))):
        started = time.process_time()
        for _ in range(RECORDS):
            sealed(row, sealing)
        took[name] = (time.process_time() - started) / RECORDS
    figure = 1e6 * (took["sealed"] - took["plain"])
    record_property("figure", f"{figure:.0f} µs CPU more for each mail")
    assert figure < 5000


# Removed


def arrived(number, days, **changes):
    return said(number, received_at=MORNING - timedelta(days=days), **changes)


@pytest.mark.scenario("P21", "retention ran; the database's file and log are searched for what was removed", "no sentence of it is there, by `store_text` all, labelled or none")  # fmt: skip
@pytest.mark.parametrize(
    ("store_text", "left"), [("all", {2, 12}), ("labelled", {12}), ("none", set())]
)
def test_of_what_is_removed_no_byte_is_left_in_the_files(with_keys, store_text, left):
    database = with_keys()
    for ten in (0, 10):
        # Of many lengths: within a page, and over several.
        write_batch(
            database,
            [
                arrived(100 * ten + number, 20, text=f"{SENTENCE} marked-{ten + 2}- " * number)
                for number in range(1, 90)
            ],
        )
    write_batch(database, [arrived(5000 + n, 100, text=f"marked-1- {SENTENCE}") for n in range(50)])
    for number in range(1, 90):
        add_label(database, said(1000 + number).id, "spam", "ham", "ann", "cli")
    purge_now(database, store_text)
    bytes_kept = on_disk(database) if database.path is not None else kept(database)
    assert {n for n in (1, 2, 12) if f"marked-{n}-".encode() in bytes_kept} == left
    assert (b"zebrafish" in bytes_kept) == bool(left)
    assert check(database) == []


@pytest.mark.scenario("P24", "weeks of mail, labels, undone labels and retention", "not one removed sentence is in the file or its log; with SQLite's `secure_delete` alone some are")  # fmt: skip
def test_of_weeks_of_mail_no_byte_of_what_was_removed_is_left(sqlite_url):
    # Copies stay where rows were moved, and that is chance: without the daily VACUUM this leaves one.
    chance = random.Random(0)
    database = open_database(sqlite_url)
    upgrade(database)
    count, shortest, longest = 200, *chance.choice(LENGTHS)

    def mail(number, now, **changes):
        text = f"marked{number:06d} {'x' * chance.randrange(shortest, longest)}"
        return make_record(number, received_at=now, text=text, **changes)

    def noise(size):
        return bytes(chance.randrange(256) for _ in range(size))

    records = []
    for number in range(count):
        at = MORNING - timedelta(days=chance.uniform(0, 100))
        records.append(mail(number, at))
        vector = np.ones(384, np.float32)
        head = noise(chance.randrange(50, 900))
        records[-1] = dataclasses.replace(records[-1], head=head, embedding=vector)
    for start in range(0, count, 37):
        write_batch(database, records[start : start + 37])
    labels = [
        add_label(database, record.id, "spam", "spam", "ann", "cli")
        for record in records
        if chance.random() < 0.3
    ]
    chance.shuffle(labels)
    for day in range(8):
        now = MORNING + timedelta(days=3 * day)
        new = [
            (number, now - timedelta(days=chance.uniform(0, 100)))
            for number in range(count, count + 50)
        ]
        write_batch(database, [mail(number, at) for number, at in new])
        count += len(new)
        for label in labels[: len(labels) // 5]:
            undo_label(database, label.id, "ann", "cli")
        labels = labels[len(labels) // 5 :]
        which = chance.choice(["all", "labelled"]) if day < 7 else "none"
        purge(database, now=now, retention_days=90 if day < 5 else 20, store_text=which)
        found = [set(re.findall(rb"marked\d{6}", place(database))) for place in (kept, on_disk)]
        assert found[0] == found[1]
    database.close()


@pytest.mark.scenario("P22", "retention runs while somebody reads the database", "it says that the log still holds what was removed, and the next run wipes it")  # fmt: skip
def test_what_a_reader_holds_back_is_wiped_the_next_time(sqlite_url):
    database = open_database(sqlite_url)
    upgrade(database)
    write_batch(database, [arrived(1, 100)])
    with contextlib.closing(sqlite3.connect(database.path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM messages").fetchone()
        removed = purge_now(database)
        assert (removed.messages, removed.wiped) == (1, False)
        assert b"zebrafish" in on_disk(database)
    removed = purge_now(database)
    assert (removed.messages, removed.wiped) == (0, True)
    assert b"zebrafish" not in on_disk(database)
    database.close()


@pytest.mark.scenario("P23", "a mail's text is removed while its card is kept", "the reasons on the card, which quote it, are removed with it")  # fmt: skip
@pytest.mark.parametrize("keys", [(), (KEY,)], ids=["plain", "sealed"])
def test_with_a_text_the_reasons_that_quote_it_are_removed(with_keys, keys):
    database = with_keys(*keys)
    write_batch(database, [arrived(1, 20), arrived(2, 1)])
    for number in (1, 2):
        add_post(
            database,
            key=f"card:{number}",
            kind="card",
            channel="C1",
            content={"asked": "near the threshold", "why": [SENTENCE]},
            message_id=said(number).id,
            now=MORNING - timedelta(days=1),
        )
    purge_now(database, "labelled")
    assert get_post(database, "card:1").content == {"asked": "near the threshold", "why": []}
    assert get_post(database, "card:2").content["why"] == [SENTENCE]
    assert purge_now(database, "labelled").texts == 0


def test_a_label_that_is_undone_no_longer_keeps_a_text(with_keys):
    database = with_keys(KEY)
    write_batch(database, [arrived(1, 100)])
    label = add_label(database, said(1).id, "spam", "ham", "ann", "cli")
    purge_now(database)
    assert get(database, said(1).id).text is not None
    undo_label(database, label.id, "ann", "cli")
    purge_now(database)
    with database.read() as connection:
        assert connection.scalar(select(Messages.text)) is None
