"""What one replica alone may do: cards, digest, alerts; and that another takes over."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from datetime import UTC, datetime, timedelta

import pytest
from bot_replicas import Replicas, locked
from sqlalchemy import update

from filterd.store import incidents, posts
from filterd.store.pauses import set_pause
from filterd.store.tables import Leases

pytest_plugins = ("slack_fixtures", "store_fixtures", "daemon_fixtures")

LASTS = 3.0  # of a hasty bot's lease, and of an attempt to say something
MOMENT = 4.0  # for all else, on a busy machine


def now():
    return datetime.now(UTC)


@pytest.fixture
def begin(site, slack):
    """Bots with these settings, on the site's own database or on another."""
    begun = []

    def begin(url=None, **settings):
        url = url or f"sqlite:///{site / 'var/filterd.db'}"
        begun.append(Replicas(site, slack, url, **settings))
        return begun[-1]

    yield begin
    for replicas in begun:
        replicas.end()


def one_on_duty(replicas):
    replicas.slack.wait_until(replicas.on_duty, "somebody on duty", 20)
    (bot,) = replicas.on_duty()
    return bot


def assert_one_card_each(replicas, ids):
    found = replicas.cards()
    assert [len(found[id_]) for id_ in ids] == [1] * len(ids)


def freeze(bot, database):
    """Have it stand still, but not in the middle of a transaction: all would wait for it."""
    while True:
        os.kill(bot.pid, signal.SIGSTOP)
        # The signal is only on its way: until all threads stand, one may yet begin a transaction.
        os.waitid(os.P_PID, bot.pid, os.WSTOPPED)
        try:
            with sqlite3.connect(database.path, timeout=0, isolation_level=None) as other:
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
        except sqlite3.OperationalError:
            os.kill(bot.pid, signal.SIGCONT)
        else:
            return
        finally:
            other.close()


# Who


def test_one_replica_is_on_duty_and_the_other_takes_over_when_it_is_killed(begin, url, slack):
    replicas = begin(url).start()
    holder = one_on_duty(replicas)
    before = replicas.spam(3)
    replicas.wait_for_cards(before)
    assert replicas.on_duty() == [holder]
    holder.kill()
    killed = time.monotonic()
    after = replicas.spam(2)
    replicas.wait_for_cards(after)
    assert time.monotonic() - killed < LASTS + MOMENT
    assert len(replicas.on_duty()) == 1
    assert_one_card_each(replicas, before + after)


def test_who_is_told_to_end_leaves_the_duty_to_the_other_at_once(begin):
    replicas = begin().start()
    holder = one_on_duty(replicas)
    assert holder.stop() == 0
    stopped = time.monotonic()
    one_on_duty(replicas)
    assert time.monotonic() - stopped < LASTS


def test_who_stood_still_for_too_long_finds_that_another_does_the_duty(begin, slack):
    replicas = begin().start()
    holder = one_on_duty(replicas)
    freeze(holder, replicas.database)
    try:
        ids = replicas.spam(2)
        replicas.wait_for_cards(ids)
    finally:
        os.kill(holder.pid, signal.SIGCONT)
    holder.wait_for_log("off duty")
    assert len(replicas.on_duty()) == 1
    ids += replicas.spam(2)
    replicas.wait_for_cards(ids)
    assert_one_card_each(replicas, ids)


def test_a_lease_that_was_taken_away_is_taken_again_when_it_is_free(begin):
    replicas = begin(count=1).start()
    bot = one_on_duty(replicas)
    with replicas.database.write() as connection:
        connection.execute(
            update(Leases).values(
                holder="another", token=Leases.token + 1, expires_at=now() + timedelta(seconds=2)
            )
        )
    bot.wait_for_log("off duty")
    (id_,) = replicas.spam()
    bot.wait_for_log("on duty", 2)
    replicas.wait_for_cards([id_])


def test_a_database_that_is_away_ends_the_duty_only_until_it_is_back(begin):
    replicas = begin(count=1).start()
    bot = one_on_duty(replicas)
    with locked(replicas.database):
        bot.wait_for_log("off duty")
    ids = replicas.spam(2)
    replicas.wait_for_cards(ids)
    assert_one_card_each(replicas, ids)


def test_a_duty_that_fails_does_not_end_the_others(begin):
    replicas = begin(count=1)
    content = {"of": "a version that is not written yet"}
    posts.add_post(
        replicas.database,
        key="alert:riddle",
        kind="alert",
        channel=replicas.alerts,
        content=content,
        now=now(),
    )
    (bot,) = replicas.start().bots
    bot.wait_for_log("a duty failed, it begins anew")
    replicas.wait_for_cards(replicas.spam())
    assert posts.get_post(replicas.database, "alert:riddle").given_up.startswith("cannot be shown")
    assert bot.stop() == 0
    replicas.bots.clear()  # its traceback is meant


def test_a_restart_gives_no_second_card_and_forgets_no_new_mail_for_the_old(begin):
    replicas = begin(count=1, cards_per_hour="4").start()
    (bot,) = replicas.bots
    ids = replicas.spam(3)
    replicas.wait_for_cards(ids)
    assert bot.stop() == 0
    ids += replicas.spam(1)
    bot.start()
    replicas.wait_for_cards(ids)
    waiting = replicas.spam(2)
    bot.wait_for_log("mails wait in the queue")
    assert_one_card_each(replicas, ids)
    assert not replicas.cards().keys() & set(waiting)


# The digest


def digests(replicas):
    found = [
        call
        for call in replicas.slack.calls("chat.postMessage")
        if call.answer["ok"] and call.arguments["text"].startswith("Yesterday, ")
    ]
    rows = posts.posts_of(replicas.database, "digest", now() - timedelta(days=2))
    return found, rows


def wait_for_digest(replicas):
    replicas.slack.wait_until(lambda: digests(replicas)[0], "a digest", 30)


def due():
    """A minute ago, as people write it."""
    return f"{now() - timedelta(minutes=1):%H:%M}"


def test_the_digest_comes_once_a_day_whoever_is_on_duty_and_after_a_restart(begin):
    replicas = begin(digest_at=due()).start()
    wait_for_digest(replicas)
    for bot in replicas.bots:
        assert bot.stop() == 0
        bot.start()
    one_on_duty(replicas)
    replicas.wait_for_cards(replicas.spam())
    said, rows = digests(replicas)
    assert (len(said), len(rows)) == (1, 1)
    assert said[0].arguments["channel"] == replicas.desk


def test_without_a_time_there_is_no_digest(begin):
    replicas = begin(count=1, digest_at="").start()
    replicas.wait_for_cards(replicas.spam())
    assert digests(replicas) == ([], [])


def test_while_cards_are_on_hold_there_is_neither_card_nor_digest(begin):
    replicas = begin(count=1, digest_at=due())
    (bot,) = replicas.bots
    set_pause(replicas.database, "cards", paused=True, by="U1", now=now())
    replicas.start()
    (held,) = replicas.spam()
    bot.wait_for_log("mails wait in the queue")
    assert digests(replicas) == ([], [])
    assert bot.stop() == 0
    set_pause(replicas.database, "cards", paused=False, by="U1", now=now())
    bot.start()
    wait_for_digest(replicas)
    # What has come meanwhile is recent enough for a card.
    replicas.wait_for_cards([held])


# Alerts


def alert(replicas, word):
    found = [
        message
        for message in replicas.slack.messages(replicas.alerts)
        if word in str(message.get("blocks"))
    ]
    return found[-1] if found else None


def test_an_alert_begins_turns_green_and_gets_a_line_in_its_thread(begin, slack):
    replicas = begin().start()
    number = incidents.begin(
        replicas.database,
        "next_hop",
        "mx1 worker 0",
        "smtp://hop: refused",
        now() - timedelta(minutes=3),
    )
    incidents.keep(replicas.database, [number], now())
    red = slack.wait_until(lambda: alert(replicas, ":red_circle:"), "an alert", 20)
    assert "smtp://hop: refused" in str(red["blocks"])
    incidents.end(replicas.database, number, now())
    green = slack.wait_until(lambda: alert(replicas, ":large_green_circle:"), "its end", 20)
    assert green["ts"] == red["ts"]
    thread = slack.wait_until(
        lambda: slack.thread(replicas.alerts, red["ts"])[1:], "a line in the thread", 20
    )
    assert [message["text"] for message in thread] == ["Over after 3 minutes."]
    assert len(posts.posts_of(replicas.database, "alert", now() - timedelta(hours=1))) == 1


def test_a_brief_restart_of_the_mail_server_is_no_alert(begin):
    replicas = begin(count=1).start()
    number = incidents.begin(replicas.database, "next_hop", "mx1 worker 0", "refused", now())
    replicas.wait_for_cards(replicas.spam())
    incidents.end(replicas.database, number, now())
    assert posts.posts_of(replicas.database, "alert", now() - timedelta(hours=1)) == []
