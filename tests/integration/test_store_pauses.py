"""What is on hold, and which deliveries of Slack were taken up."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from store_records import MORNING

from filterd.errors import StoreError
from filterd.store.deliveries import take_up
from filterd.store.pauses import pauses, set_pause

pytest_plugins = ("store_fixtures",)

NOON = MORNING + timedelta(hours=4)


# Pauses


def test_nothing_is_on_hold_at_first(database):
    assert pauses(database) == {}


def test_a_pause_says_who_and_since_when_until_it_is_over(database):
    set_pause(database, "cards", paused=True, by="U1", now=MORNING)
    assert (pauses(database)["cards"].by, pauses(database)["cards"].at) == ("U1", MORNING)
    set_pause(database, "cards", paused=False, by="U2", now=NOON)
    assert pauses(database) == {}


def test_cards_and_nights_are_on_hold_each_for_itself(database):
    set_pause(database, "cards", paused=True, by="U1", now=MORNING)
    set_pause(database, "nights", paused=True, by="U1", now=MORNING)
    set_pause(database, "cards", paused=False, by="U1", now=NOON)
    assert set(pauses(database)) == {"nights"}


def test_who_pauses_what_is_on_hold_gets_the_row_that_stands(database):
    first = set_pause(database, "cards", paused=True, by="U1", now=MORNING)
    assert set_pause(database, "cards", paused=True, by="U2", now=NOON) == first


def test_of_many_who_pause_at_once_one_does(database):
    with ThreadPoolExecutor(8) as threads:
        rows = list(
            threads.map(
                lambda number: set_pause(
                    database, "cards", paused=True, by=f"U{number}", now=MORNING
                ),
                range(8),
            )
        )
    assert len({row.id for row in rows}) == 1


# Deliveries


def test_a_delivery_is_new_once(database):
    assert take_up(database, "click:1", MORNING)
    assert not take_up(database, "click:1", NOON)
    assert take_up(database, "click:2", NOON)


def test_of_many_replicas_that_get_a_delivery_at_once_one_takes_it_up(database):
    keys = [f"click:{number}" for number in range(20)]
    with ThreadPoolExecutor(8) as threads:
        for key in keys:
            taken = list(threads.map(lambda _, key=key: take_up(database, key, MORNING), range(8)))
            assert taken.count(True) == 1


def test_a_key_that_no_row_can_hold_is_an_error_and_not_taken_for_old(database):
    with pytest.raises(StoreError):
        take_up(database, None, MORNING)
