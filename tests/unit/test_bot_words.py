"""Figures in words."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.words import between, count, duration, named, share, when


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"),
        (-3, "0 seconds"),
        (1, "1 second"),
        (59.4, "59 seconds"),
        (59.6, "1 minute"),
        (12 * 60, "12 minutes"),
        (90 * 60, "90 minutes"),
        (2 * 3600 - 20, "2 hours"),
        (5 * 3600, "5 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (90 * 86400, "90 days"),
    ],
)
def test_durations_are_said_in_one_unit(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (None, "–"),
        (0, "0%"),
        (1e-6, "under 0.01%"),
        (0.0004, "0.04%"),
        (0.00094, "0.09%"),
        (0.00096, "0.1%"),
        (0.0321, "3.2%"),
        (0.5, "50.0%"),
        (0.9999, "99.9%"),
        (1, "100%"),
    ],
)
def test_shares_are_percent(part, words):
    assert share(part) == words


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_a_share_is_said_to_be_none_or_all_only_if_it_is(part):
    assert share(part) not in {"0%", "0.00%", "0.0%", "100%", "100.0%"}


def test_one_is_one_and_many_are_many():
    assert [count(number, "mail") for number in (0, 1, 2345)] == [
        "0 mails",
        "1 mail",
        "2,345 mails",
    ]
    assert count(2, "reply", "replies") == "2 replies"


def test_a_moment_is_shown_in_the_readers_zone_and_in_utc_where_it_cannot_be():
    noon = datetime(2026, 11, 26, 13, tzinfo=timezone(timedelta(hours=1)))
    assert when(noon) == "<!date^1795694400^{date_short_pretty} {time}|2026-11-26 12:00 UTC>"
    assert datetime.fromtimestamp(1795694400, UTC) == noon


def test_days_are_named():
    assert named(date(2026, 11, 6)) == "Friday 6 November"


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (date(2026, 11, 26), date(2026, 11, 26), "26 November"),
        (date(2026, 11, 20), date(2026, 11, 26), "20–26 November"),
        (date(2026, 10, 28), date(2026, 11, 26), "28 October – 26 November"),
        (date(2026, 12, 28), date(2027, 1, 3), "28 December 2026 – 3 January 2027"),
    ],
)
def test_spans_say_no_month_twice(first, last, words):
    assert between(first, last) == words
