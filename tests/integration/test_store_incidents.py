"""Incidents: they begin, go on and end, or go stale with the process that saw them."""

from datetime import timedelta

import pytest
from store_records import MORNING

from filterd.store.incidents import Incident, begin, end, going_on, keep, since

pytest_plugins = ("store_fixtures",)

MINUTE = timedelta(minutes=1)


def began(database, kind="next_hop", minutes=0, source="mx1 worker 0"):
    return begin(
        database, kind, source, "smtp://hop: Connection refused", MORNING + minutes * MINUTE
    )


def ids(incidents):
    return [incident.id for incident in incidents]


def test_what_has_begun_goes_on(database):
    number = began(database)
    assert going_on(database, MORNING) == [
        Incident(
            id=number,
            kind="next_hop",
            source="mx1 worker 0",
            text="smtp://hop: Connection refused",
            began_at=MORNING,
            seen_at=MORNING,
            ended_at=None,
        )
    ]


def test_what_has_ended_goes_on_no_more_and_is_remembered(database):
    number = began(database)
    end(database, number, MORNING + MINUTE)
    assert going_on(database, MORNING + MINUTE) == []
    (incident,) = since(database, MORNING)
    assert incident.ended_at == MORNING + MINUTE


def test_the_first_end_counts(database):
    number = began(database)
    for minutes in (1, 2):
        end(database, number, MORNING + minutes * MINUTE)
    assert since(database, MORNING)[0].ended_at == MORNING + MINUTE


def test_what_is_not_said_to_go_on_is_stale_after_three_minutes(database):
    number = began(database)
    assert ids(going_on(database, MORNING + 3 * MINUTE)) == [number]
    assert going_on(database, MORNING + 3.1 * MINUTE) == []


def test_what_is_said_to_go_on_does(database):
    kept, left = began(database), began(database)
    keep(database, [kept], MORNING + 2 * MINUTE)
    assert ids(going_on(database, MORNING + 4 * MINUTE)) == [kept]
    assert left not in ids(going_on(database, MORNING + 4 * MINUTE))


def test_what_has_ended_cannot_be_kept(database):
    number = began(database)
    end(database, number, MORNING)
    keep(database, [number], MORNING + 2 * MINUTE)
    assert since(database, MORNING)[0].seen_at == MORNING


def test_the_oldest_comes_first(database):
    later, earlier = began(database, minutes=2), began(database, minutes=1)
    assert ids(going_on(database, MORNING + 2 * MINUTE)) == [earlier, later]
    assert ids(since(database, MORNING)) == [earlier, later]


@pytest.mark.parametrize(("moment", "found"), [(5, 1), (6, 0)])
def test_what_reached_into_a_time_counts_for_it(database, moment, found):
    number = began(database)
    keep(database, [number], MORNING + 4 * MINUTE)
    end(database, number, MORNING + 5 * MINUTE)
    assert len(since(database, MORNING + moment * MINUTE)) == found
