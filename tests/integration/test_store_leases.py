"""One holder at a time, by a token that only grows."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from store_records import MORNING

from filterd.store.leases import give_back_lease, take_lease

pytest_plugins = ("store_fixtures",)

SECOND = timedelta(seconds=1)
LASTS = 20 * SECOND


def take(database, holder, now=MORNING, name="slack"):
    return take_lease(database, name, holder, now=now, lasts=LASTS)


def test_who_comes_first_has_it_and_nobody_else_does(database):
    lease = take(database, "a")
    assert (lease.holder, lease.token, lease.expires_at) == ("a", 1, MORNING + LASTS)
    assert take(database, "b", MORNING + 19 * SECOND) is None


def test_of_many_who_want_a_new_lease_at_once_one_gets_it(database):
    with ThreadPoolExecutor(8) as threads:
        leases = list(threads.map(lambda number: take(database, str(number)), range(8)))
    assert len([lease for lease in leases if lease is not None]) == 1


def test_of_many_who_want_a_lease_that_ended_one_gets_it(database):
    take(database, "dead")
    with ThreadPoolExecutor(8) as threads:
        leases = list(
            threads.map(lambda number: take(database, str(number), MORNING + LASTS), range(8))
        )
    (lease,) = (lease for lease in leases if lease is not None)
    assert lease.token == 2


def test_the_holder_renews_it_under_the_same_token(database):
    take(database, "a")
    renewed = take(database, "a", MORNING + 15 * SECOND)
    assert (renewed.token, renewed.expires_at) == (1, MORNING + 35 * SECOND)
    assert take(database, "b", MORNING + 30 * SECOND) is None


def test_who_comes_back_too_late_finds_another_token(database):
    take(database, "a")
    assert take(database, "b", MORNING + LASTS).token == 2
    assert take(database, "a", MORNING + LASTS) is None
    assert take(database, "a", MORNING + 2 * LASTS).token == 3


def test_even_the_same_holder_has_a_new_token_after_the_end(database):
    take(database, "a")
    assert take(database, "a", MORNING + LASTS).token == 2


def test_what_is_given_back_is_free_at_once(database):
    give_back_lease(database, take(database, "a"))
    assert take(database, "b").token == 2


def test_giving_back_what_another_has_by_now_changes_nothing(database):
    old = take(database, "a")
    take(database, "b", MORNING + LASTS)
    give_back_lease(database, old)
    assert take(database, "c", MORNING + LASTS) is None


def test_leases_of_different_names_are_apart(database):
    take(database, "a")
    assert take(database, "b", name="trainer").token == 1
