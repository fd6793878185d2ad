"""Bundles and the champion among them."""

from datetime import UTC, datetime

import pytest
from store_records import MORNING

from filterd.errors import StoreError
from filterd.store.changes import change_mark
from filterd.store.models import (
    bundles,
    champion,
    champions,
    register_bundle,
    rollback,
    set_champion,
)

pytest_plugins = ("store_fixtures",)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def register(database, version, digest="d1"):
    return register_bundle(
        database,
        version,
        f"/models/{version}",
        created_at=MORNING,
        data_digest=digest,
        metrics={"spam": {"auc": 0.99}},
        now=lambda: NOON,
    )


def promote(database, *versions):
    for version in versions:
        register(database, version)
        set_champion(database, version, "trainer", "passed the gate", now=lambda: NOON)


def go_back(database):
    return rollback(database, "ann", "too many complaints", now=lambda: NOON)


def test_a_registered_bundle_is_listed_with_its_facts(database):
    row = register(database, "1")
    assert bundles(database) == [row]
    assert (row.path, row.created_at, row.published_at) == ("/models/1", MORNING, NOON)
    assert row.metrics == {"spam": {"auc": 0.99}}


def test_registering_again_after_a_crash_is_no_change(database):
    assert register(database, "1") == register(database, "1")
    assert len(bundles(database)) == 1


def test_a_version_cannot_be_taken_twice(database):
    register(database, "1")
    with pytest.raises(StoreError, match="bundle 1 is registered already, from /models/1"):
        register(database, "1", digest="d2")


def test_before_the_first_promotion_there_is_no_champion(database):
    register(database, "1")
    assert champion(database) is None
    assert champions(database) == []


def test_the_last_promoted_bundle_is_champion(database):
    promote(database, "1", "2")
    found = champion(database)
    assert (found.version, found.by, found.why, found.at) == (
        "2",
        "trainer",
        "passed the gate",
        NOON,
    )
    assert [row.version for row in champions(database)] == ["1", "2"]


def test_a_bundle_that_is_not_registered_cannot_serve(database):
    with pytest.raises(StoreError, match="no bundle 9 is registered"):
        set_champion(database, "9", "ann", "why not")


def test_rollback_puts_the_one_before_into_service_and_says_which_it_took_out(database):
    promote(database, "1", "2")
    before = champion(database)
    row = go_back(database)
    assert (row.version, row.by, row.takes_back) == ("1", "ann", before.id)
    assert champion(database) == row


def test_rollback_again_goes_further_back(database):
    promote(database, "1", "2", "3")
    assert [go_back(database).version for _ in range(2)] == ["2", "1"]
    with pytest.raises(StoreError, match="no champion came before 1"):
        go_back(database)


def test_after_a_rollback_and_a_promotion_rollback_goes_to_what_served_before(database):
    promote(database, "1", "2")
    go_back(database)
    promote(database, "3")
    assert go_back(database).version == "1"


def test_a_bundle_promoted_twice_in_a_row_is_one_step_back(database):
    promote(database, "1", "2", "2")
    assert go_back(database).version == "1"


def test_rollback_without_any_champion_is_refused(database):
    with pytest.raises(StoreError, match="no champion came before the shipped bundle"):
        go_back(database)


def test_the_change_mark_moves_with_each_promotion_and_rollback(database):
    marks = [change_mark(database).champions]
    promote(database, "1")
    marks.append(change_mark(database).champions)
    promote(database, "2")
    marks.append(change_mark(database).champions)
    go_back(database)
    marks.append(change_mark(database).champions)
    assert marks == sorted(set(marks))
