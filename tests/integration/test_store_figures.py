"""The site's figures, by the calendar of its own people."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_records import MORNING, make_record

from filterd.store.figures import Day, Figures, days, figures, labellers
from filterd.store.figures import _begin as begin
from filterd.store.labels import add_label, undo_label
from filterd.store.messages import write_batch

pytest_plugins = ("store_fixtures",)

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
ZULU = ZoneInfo("UTC")
MONDAY = MORNING.date()


def fill(database, *mails):
    """Mails of these (moment, changes), numbered from 0."""
    write_batch(
        database,
        [
            make_record(number, received_at=moment, **changes)
            for number, (moment, changes) in enumerate(mails)
        ],
    )


def say(database, number, label, by="ann", after=60.0, task="spam"):
    """A label that is given so many seconds after eight in the morning."""
    return add_label(
        database,
        make_record(number).id,
        task,
        label,
        by,
        "slack",
        now=lambda: MORNING + timedelta(seconds=after),
    )


def monday(database, zone=ZULU):
    (day,) = days(database, MONDAY, MONDAY, zone)
    return day


def hours(database, first, last, zone):
    """How many mails each day has, of one in each hour (of a week or so)."""
    start = datetime.combine(first, datetime.min.time(), UTC) - timedelta(days=2)
    number = 24 * ((last - first).days + 5)
    fill(database, *((start + timedelta(hours=each), {}) for each in range(number)))
    return [day.mails for day in days(database, first, last, zone)]


def test_each_verdict_and_sentiment_is_counted(database):
    fill(
        database,
        (MORNING, {}),
        (MORNING, {"verdict": "spam", "sentiment": "negative"}),
        (MORNING, {"verdict": "spam", "sentiment": None}),
        (MORNING, {"verdict": None, "sentiment": None, "failure": "deadline"}),
    )
    assert monday(database) == Day(
        MONDAY, mails=4, spam=2, unjudged=1, sentiments={"negative": 1, "neutral": 1}
    )
    assert monday(database).ham == 1


def test_days_without_mail_are_there_too(database):
    fill(database, (MORNING, {}))
    found = days(database, MONDAY - timedelta(days=2), MONDAY, ZULU)
    assert found[:2] == [Day(MONDAY - timedelta(days=2)), Day(MONDAY - timedelta(days=1))]
    assert [day.mails for day in found] == [0, 0, 1]
    assert days(database, MONDAY, MONDAY - timedelta(days=1), ZULU) == []


def test_a_mail_belongs_to_the_day_of_the_sites_own_clock(database):
    fill(database, (datetime(2026, 11, 22, 23, 30, tzinfo=UTC), {}))
    assert monday(database, BERLIN).mails == 1
    assert monday(database, ZULU).mails == 0


@pytest.mark.parametrize(
    ("zone", "first", "expected"),
    [
        (BERLIN, date(2026, 3, 28), [24, 23, 24]),
        (BERLIN, date(2026, 10, 24), [24, 25, 24]),
        (NEW_YORK, date(2026, 3, 7), [24, 23, 24]),
        (NEW_YORK, date(2026, 10, 31), [24, 25, 24]),
        # At midnight: the day begins at one o'clock.
        (ZoneInfo("Africa/Cairo"), date(2026, 4, 23), [24, 23, 24]),
    ],
)
def test_when_the_clocks_change_a_day_is_one_day(database, zone, first, expected):
    assert hours(database, first, first + timedelta(days=2), zone) == expected


@given(
    st.dates(date(1990, 1, 1), date(2037, 1, 1)),
    st.sampled_from(["Europe/Berlin", "America/New_York", "America/St_Johns", "Asia/Beirut"]),
)
def test_a_day_begins_after_the_one_before(day, name):
    zone = ZoneInfo(name)
    length = begin(day + timedelta(days=1), zone) - begin(day, zone)
    assert timedelta(hours=23) <= length <= timedelta(hours=25)


def test_a_label_that_agrees_is_no_correction(database):
    fill(database, (MORNING, {}))
    say(database, 0, "ham")
    day = monday(database)
    assert (day.labelled, day.corrected, day.seconds_to_correct) == (1, 0, None)


def test_a_correction_is_timed_from_the_receipt_of_the_mail(database):
    fill(database, (MORNING, {}), (MORNING, {"verdict": "spam"}))
    say(database, 0, "spam", after=60)
    say(database, 1, "ham", after=100)
    day = monday(database)
    assert (day.labelled, day.corrected, day.false_spam) == (2, 2, 1)
    assert day.seconds_to_correct == 80


def test_the_first_who_differs_sets_the_time_even_if_others_agree_later(database):
    fill(database, (MORNING, {}))
    say(database, 0, "ham", by="ann", after=10)
    say(database, 0, "spam", by="bob", after=20)
    say(database, 0, "spam", by="cleo", after=30)
    assert monday(database).seconds_to_correct == 20


def test_who_is_outvoted_corrects_nothing(database):
    fill(database, (MORNING, {}))
    say(database, 0, "spam", by="ann")
    say(database, 0, "ham", by="bob")
    say(database, 0, "ham", by="cleo")
    assert monday(database).corrected == 0


def test_an_undone_label_and_one_of_another_task_do_not_count(database):
    fill(database, (MORNING, {}))
    undo_label(database, say(database, 0, "spam").id, "ann", "slack")
    say(database, 0, "negative", task="sentiment")
    day = monday(database)
    assert (day.labelled, day.corrected) == (0, 0)


def test_who_changes_his_mind_counts_once(database):
    fill(database, (MORNING, {}))
    say(database, 0, "ham", after=10)
    say(database, 0, "spam", after=50)
    day = monday(database)
    assert (day.labelled, day.corrected, day.seconds_to_correct) == (1, 1, 50)


def test_a_mail_without_verdict_cannot_have_been_wrong(database):
    fill(database, (MORNING, {"verdict": None, "failure": "deadline"}))
    say(database, 0, "spam")
    day = monday(database)
    assert (day.labelled, day.corrected, day.spam_share) == (1, 0, None)


def test_a_label_counts_for_the_day_of_its_mail(database):
    fill(database, (MORNING - timedelta(days=1), {}), (MORNING, {}))
    say(database, 0, "spam")
    found = days(database, MONDAY - timedelta(days=1), MONDAY, ZULU)
    assert [day.corrected for day in found] == [1, 0]
    assert monday(database).labelled == 0


def test_the_last_days_end_with_today(database):
    fill(database, (MORNING, {}), (MORNING - timedelta(days=7), {}))
    week = figures(database, 7, MONDAY, ZULU)
    assert [day.date for day in week.days] == [MONDAY - timedelta(days=n) for n in range(6, -1, -1)]
    assert week.mails == 1


def test_the_median_is_that_of_all_corrections_not_of_the_days(database):
    fill(database, *((MORNING - timedelta(days=number // 3), {}) for number in range(4)))
    for number, after in enumerate((10, 20, 30, 40)):
        say(database, number, "spam", after=after)
    week = figures(database, 7, MONDAY, ZULU)
    assert [day.seconds_to_correct for day in week.days[-2:]] == [86440, 20]
    assert week.time_to_correct == 25


def test_shares_are_of_judged_mail_and_of_nothing_where_there_is_none():
    day = Day(MONDAY, mails=12, spam=4, unjudged=2, corrected=1, labelled=5)
    found = Figures((day, Day(MONDAY + timedelta(days=1))))
    assert (found.spam_share, found.corrected_share, found.errors) == (0.4, 0.1, 0.2)
    assert (found.mails, found.spam, found.unjudged, found.labelled) == (12, 4, 2, 5)
    nothing = Figures(())
    assert (nothing.mails, nothing.spam_share, nothing.errors) == (0, None, None)


def test_labellers_come_by_the_labels_that_stand(database):
    fill(database, *((MORNING, {}) for _ in range(4)))
    say(database, 0, "spam", by="ann")
    say(database, 0, "ham", by="ann")
    say(database, 1, "ham", by="bob")
    say(database, 1, "negative", by="bob", task="sentiment")
    undo_label(database, say(database, 2, "ham", by="cleo").id, "ann", "slack")
    say(database, 3, "ham", by="dave", after=-60)
    assert labellers(database, MORNING) == [("bob", 2), ("ann", 1)]


def test_of_many_labellers_the_ten_busiest_are_told(database):
    fill(database, (MORNING, {}))
    for number in range(12):
        say(database, 0, "ham", by=f"U{number:02}")
    assert [by for by, _ in labellers(database, MORNING)] == [
        f"U{number:02}" for number in range(10)
    ]
