"""Message records in both databases."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import count

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_records import MORNING, make_record

from filterd.store.faults import RowError
from filterd.store.messages import SEARCHED_MESSAGES, find, get, recent, write_batch

pytest_plugins = ("store_fixtures",)

NUMBERS = count(1000)


def numbers(records):
    return [int(record.id) for record in records]


def test_a_record_comes_back_as_it_was_written(database):
    record = make_record(1)
    write_batch(database, [record])
    assert get(database, record.id) == record


def test_an_unjudged_record_comes_back_without_scores(database):
    record = make_record(
        1,
        verdict=None,
        spam=None,
        threshold=None,
        sentiment=None,
        scores=None,
        model=None,
        text=None,
        failure="deadline",
    )
    write_batch(database, [record])
    assert get(database, record.id) == record


def test_an_embedding_comes_back_to_half_precision(database):
    embedding = np.linspace(-1, 1, 384, dtype=np.float32)
    write_batch(database, [make_record(1, embedding=embedding)])
    found = get(database, make_record(1).id).embedding
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, embedding, atol=1e-3)


def test_an_embedding_beyond_half_precision_is_brought_to_its_ends(database):
    write_batch(database, [make_record(1, embedding=np.array([1e9, -1e9], np.float32))])
    assert get(database, make_record(1).id).embedding.tolist() == [65504.0, -65504.0]


def test_scores_of_numpy_type_are_kept_as_numbers(database):
    write_batch(database, [make_record(1, scores={"spam": {"spam": np.float32(0.5)}})])
    assert get(database, make_record(1).id).scores == {"spam": {"spam": 0.5}}


def test_times_come_back_in_utc_whatever_zone_they_came_in(database):
    there = datetime(2026, 11, 23, 9, 30, tzinfo=timezone(timedelta(hours=1, minutes=30)))
    write_batch(database, [make_record(1, received_at=there)])
    found = get(database, make_record(1).id).received_at
    assert found == MORNING
    assert found.tzinfo is UTC


def test_a_time_without_zone_is_refused(database):
    with pytest.raises(RowError, match="ValueError"):
        write_batch(database, [make_record(1, received_at=datetime(2026, 1, 1))])  # noqa: DTZ001  # the case


def test_a_batch_with_one_record_that_cannot_be_stored_is_not_stored_at_all(database):
    with pytest.raises(RowError):
        write_batch(database, [make_record(1), make_record(2, digest=None)])
    assert recent(database, 10) == []


def test_a_batch_written_again_changes_nothing(database):
    write_batch(database, [make_record(1), make_record(2)])
    write_batch(database, [make_record(2, subject="Changed"), make_record(3)])
    assert numbers(recent(database, 10)) == [3, 2, 1]
    assert get(database, make_record(2).id).subject == "Minutes 2"


def test_an_empty_batch_is_no_work(database):
    write_batch(database, [])
    assert recent(database, 10) == []


def test_what_is_not_there_is_none(database):
    assert get(database, make_record(1).id) is None


def test_overlong_fields_are_cut(database):
    record = make_record(
        1, subject="ß" * 100_000, message_id="<" + "x" * 5000, recipients=("a" * 5000,)
    )
    write_batch(database, [record])
    found = get(database, record.id)
    assert found.subject == "ß" * 500
    assert found.message_id == "<" + "x" * 499
    assert found.recipients == ("a" * 500,)


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=st.text(st.characters()), sender=st.text(st.characters(categories=["Cs", "Cc", "Ll"])))
def test_whatever_a_mail_says_can_be_stored_and_read(database, text, sender):
    record = make_record(
        next(NUMBERS), subject=text, text=text, sender=sender, recipients=(sender,), helo=text
    )
    write_batch(database, [record])
    found = get(database, record.id)
    assert len(found.text) == len(text)
    assert "\0" not in found.text
    assert found.recipients == (found.sender,)


def test_recent_gives_the_newest_first(database):
    write_batch(database, [make_record(number) for number in (3, 1, 2)])
    assert numbers(recent(database, 2)) == [3, 2]


@pytest.fixture
def some_mail(database):
    write_batch(
        database,
        [
            make_record(1, subject="Invoice for October"),
            make_record(2, sender="Billing@Shop.example", subject="Hello"),
            make_record(3, from_address="dave@example.net", text="100% off_all INVOICES"),
            make_record(4, subject="Nothing", message_id="<invoice@id.example>"),
        ],
    )
    return database


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("invoice", [3, 1]),
        ("billing@shop.example", [2]),
        ("DAVE@", [3]),
        ("100%", [3]),
        ("f_a", [3]),
        ("%", [3]),
        ("invoice@id.example", [4]),
        ("<invoice@id.example>", [4]),
        ("00000000000000000000000002", [2]),
        ("000000000000000000000000", [4, 3, 2, 1]),
        (" 0000 ", [4, 3, 2, 1]),
        ("ZZZZ", []),
        ("no such thing", []),
        ("", []),
        ("  ", []),
    ],
)
def test_find_by_what_people_remember(some_mail, query, expected):
    assert numbers(find(some_mail, query)) == expected


def test_find_gives_no_more_than_asked_for(some_mail):
    assert numbers(find(some_mail, "invoice", limit=1)) == [3]


def test_a_search_looks_through_the_newest_messages_only(sqlite_database):
    write_batch(
        sqlite_database,
        [make_record(0, subject="Needle"), make_record(1, subject="Needle")]
        + [make_record(number, text=None) for number in range(2, SEARCHED_MESSAGES + 1)],
    )
    assert numbers(find(sqlite_database, "needle")) == [1]
