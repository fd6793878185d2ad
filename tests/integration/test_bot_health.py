"""What ails the mail path is seen in the database, and what is well raises no alarm."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from store_records import MORNING, make_record

from bot.drift import Drift, look_for_drift, stability_index
from bot.health import Ailment, ailments
from filterd.settings import Settings
from filterd.store.incidents import begin, end
from filterd.store.messages import write_batch

pytest_plugins = ("store_fixtures",)

NOW = MORNING + timedelta(hours=12)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Disk:
    total: int
    free: int


ROOMY = Disk(total=100 * 10**9, free=50 * 10**9)


def ails(database, now=NOW, *, disk=ROOMY, drift=None, **settings):
    return ailments(
        database, now, Settings(**settings), drift=lambda *_: drift, usage=lambda _: disk
    )


def arrived(database, failures, first=0, at=NOW - 5 * MINUTE):
    """One mail for each of `failures`; None is one that was judged."""
    unjudged = {"verdict": None, "spam": None, "scores": None, "model": None}
    write_batch(
        database,
        [
            make_record(
                first + number,
                received_at=at + timedelta(milliseconds=number),
                **({"failure": failure} | unjudged if failure else {}),
            )
            for number, failure in enumerate(failures)
        ],
    )


def test_a_healthy_site_ails_nothing(database):
    arrived(database, [None] * 100)
    assert ails(database) == []


# What workers say


def test_what_a_worker_says_is_an_ailment_until_it_is_over(database):
    number = begin(database, "next_hop", "mx1 worker 0", "smtp://hop: refused", NOW - MINUTE)
    assert ails(database) == [Ailment("next_hop", "smtp://hop: refused", NOW - MINUTE)]
    end(database, number, NOW)
    assert ails(database) == []


def test_what_several_workers_say_is_one_ailment_from_the_first_on(database):
    for minutes, source in ((1, "mx1 worker 1"), (2, "mx1 worker 0"), (1.5, "mx1 worker 1")):
        begin(database, "next_hop", source, "smtp://hop: refused", NOW - minutes * MINUTE)
    (ailment,) = ails(database)
    assert ailment.text == "smtp://hop: refused (2 workers say so)"
    assert ailment.since == NOW - 2 * MINUTE


def test_different_kinds_are_different_ailments(database):
    for kind in ("next_hop", "bundle"):
        begin(database, kind, "mx1 worker 0", "text", NOW - MINUTE)
    assert [ailment.kind for ailment in ails(database)] == ["bundle", "next_hop"]


def test_a_restart_of_the_mail_server_is_no_ailment(database):
    for kind in ("next_hop", "bundle"):
        begin(database, kind, "mx1 worker 0", "text", NOW - 9 * SECOND)
    assert [ailment.kind for ailment in ails(database)] == ["bundle"]
    assert [one.kind for one in ails(database, NOW + SECOND)] == ["bundle", "next_hop"]


def test_a_next_hop_away_is_told_though_a_worker_saw_it_only_just_now(database):
    begin(database, "next_hop", "mx1 worker 0", "text", NOW - MINUTE)
    begin(database, "next_hop", "mx1 worker 1", "text", NOW)
    assert [ailment.kind for ailment in ails(database)] == ["next_hop"]


# Mail that is not judged


def test_more_than_a_twentieth_unjudged_is_told_with_its_commonest_reason(database):
    arrived(database, ["overload", "deadline", "deadline"] + [None] * 37)
    (ailment,) = ails(database)
    assert ailment.kind == "unjudged"
    assert ailment.text == (
        "8% of the last 10 minutes' 40 mails were delivered unjudged; "
        "the commonest reason is deadline"
    )
    assert ailment.since == NOW - 5 * MINUTE


def test_with_tempfail_the_text_says_what_became_of_the_mail(database):
    arrived(database, ["error"] * 20)
    assert "100% of the last 10 minutes' 20 mails were answered 451" in (
        ails(database, on_failure="tempfail")[0].text
    )


@pytest.mark.parametrize(
    ("failed", "judged"), [(1, 19), (19, 0)], ids=["a twentieth", "of few mails"]
)
def test_a_twentieth_at_the_most_or_of_few_mails_is_no_alarm(database, failed, judged):
    arrived(database, ["deadline"] * failed + [None] * judged)
    assert ails(database) == []


def test_what_failed_earlier_is_past(database):
    arrived(database, ["deadline"] * 100, at=NOW - 11 * MINUTE)
    arrived(database, [None] * 20, first=1000)
    assert ails(database) == []


# Drift


def scored(database, counts, *, first, at):
    """So many mails in each bin of spam scores; half of them from the edge of the bin."""
    scores = [
        (number + (0.5 if one % 2 else 0.0)) / 10
        for number, count in enumerate(counts)
        for one in range(count)
    ]
    write_batch(
        database,
        [
            make_record(
                first + number, received_at=at, spam=spam, verdict="spam" if spam > 0.9 else "ham"
            )
            for number, spam in enumerate(scores)
        ],
    )


USUAL = (400, 40, 10, 10, 10, 10, 10, 20, 40, 50)
OTHER = (200, 40, 10, 10, 10, 10, 10, 20, 40, 250)


def test_the_same_mix_of_mail_is_no_drift(database):
    scored(database, USUAL, first=0, at=NOW - 3 * DAY)
    scored(database, USUAL, first=10_000, at=NOW - 0.5 * DAY)
    assert look_for_drift(database, NOW) is None


def test_another_mix_of_mail_is(database):
    scored(database, USUAL, first=0, at=NOW - 3 * DAY)
    scored(database, OTHER, first=10_000, at=NOW - 0.5 * DAY)
    found = look_for_drift(database, NOW)
    assert found.index == pytest.approx(stability_index(USUAL, OTHER))
    assert found.index > 0.25
    assert found.share_before == pytest.approx(25 / 600)
    assert found.share_now == pytest.approx(125 / 600)


def test_a_score_of_one_is_in_the_last_bin(database):
    ones = [make_record(number, received_at=NOW - 3 * DAY, spam=1.0) for number in range(600)]
    write_batch(database, ones)
    scored(database, (0,) * 9 + (600,), first=10_000, at=NOW - 0.5 * DAY)
    assert look_for_drift(database, NOW) is None


@pytest.mark.parametrize(("before", "recent"), [(499, 1000), (1000, 499)])
def test_of_few_mails_nothing_is_said(database, before, recent):
    scored(database, (before, *(0,) * 9), first=0, at=NOW - 3 * DAY)
    scored(database, (*(0,) * 9, recent), first=10_000, at=NOW - 0.5 * DAY)
    assert look_for_drift(database, NOW) is None


def test_mail_older_than_two_weeks_and_unjudged_mail_do_not_count(database):
    scored(database, (600, *(0,) * 9), first=0, at=NOW - 15.1 * DAY)
    arrived(database, ["deadline"] * 600, first=5000, at=NOW - 3 * DAY)
    scored(database, (*(0,) * 9, 600), first=10_000, at=NOW - 0.5 * DAY)
    assert look_for_drift(database, NOW) is None


def test_the_index_is_nothing_for_the_same_shares_and_has_no_direction():
    assert stability_index([95, 5], [95, 5]) == 0.0
    # By hand: shares .5 and .5 against .75 and .25, twice .25 ln 1.5 and .25 ln 2.
    assert stability_index([499_999, 499_999], [749_999, 249_999]) == pytest.approx(0.27465, 1e-4)
    assert stability_index([9, 1], [1, 9]) == pytest.approx(stability_index([1, 9], [9, 1]))


def test_drift_says_how_the_share_of_spam_moved_and_what_to_look_at(database):
    (ailment,) = ails(database, drift=Drift(index=0.4, share_before=0.31, share_now=0.58))
    assert ailment.kind == "drift"
    assert ailment.text.startswith(
        "the share of spam was 31.0% in the two weeks before and is 58.0% in the last 24 hours"
    )
    assert "look at the newest mails" in ailment.text


# The disk


@pytest.mark.parametrize(
    "disk",
    [Disk(100 * 10**9, 4 * 10**9), Disk(5 * 10**9, 499 * 10**6)],
    ids=["a share", "megabytes"],
)
def test_a_disk_almost_full_is_told_with_what_is_left(sqlite_database, disk):
    (ailment,) = ails(sqlite_database, disk=disk)
    assert ailment.kind == "disk"
    assert f"has {disk.free // 10**6:,} MB left" in ailment.text


def test_the_disk_of_a_server_is_not_ours_to_see(database):
    found = ails(database, disk=Disk(1000, 0))
    assert [ailment.kind for ailment in found] == (["disk"] if database.path else [])


def test_the_disk_that_is_asked_about_is_that_of_the_database(sqlite_database):
    asked = []

    def usage(path):
        asked.append(path)
        return ROOMY

    ailments(sqlite_database, NOW, Settings(), usage=usage)
    assert asked == [sqlite_database.path.parent]


def test_by_default_the_real_disk_is_asked(sqlite_database):
    kinds = [ailment.kind for ailment in ailments(sqlite_database, NOW, Settings())]
    assert set(kinds) <= {"disk"}
