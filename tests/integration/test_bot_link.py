"""How the bot begins, stays connected and ends, whatever Slack does meanwhile."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from bot_office import Office
from bot_process import Bot
from bot_replicas import locked
from slack_stage.workspace import DESK

pytest_plugins = ("slack_fixtures", "daemon_fixtures")


@pytest.fixture(params=["http", "socket"])
def by(request):
    return request.param


@pytest.fixture
def new_office(site, slack, by):
    """A bot of this test's own, by HTTP or by socket."""
    office = Office(site, slack, by=by, cards="spam", env={"FILTERD_LOG_LEVEL": "debug"})
    office.begin()
    yield office
    office.end()
    assert "Traceback" not in office.log


def spam(office):
    return office.card(office.mail(spam=0.95))


def mail_of(card):
    return re.search(r"mail:(\w{26})", str(card["blocks"]))[1]


def rows(office, card):
    return office.rows(mail_of(card))


# Socket Mode


@pytest.fixture
def socket_office(site, slack):
    office = Office(site, slack, by="socket", cards="spam")
    office.begin()
    slack.wait_for_sockets()
    yield office
    office.end()
    assert "Traceback" not in office.log


def test_the_socket_is_opened_anew_when_slack_wants_that(socket_office, slack, anna):
    card = spam(socket_office)
    for label in ("ham", "spam"):
        slack.disconnect_sockets()
        slack.wait_for_sockets(seconds=15)
        assert slack.send(anna.click(card, f"label:{label}"), by="socket").ok
    assert [label for label, *_ in rows(socket_office, card)] == ["ham", "spam"]


def test_the_socket_is_opened_anew_after_an_outage_of_slack(socket_office, slack, anna):
    card = spam(socket_office)
    slack.go_down()
    slack.wait_until(lambda: slack.unanswered, "a call that nobody answers")
    slack.come_back()
    slack.wait_for_sockets(seconds=15)
    assert slack.send(anna.click(card, "label:ham"), by="socket").ok
    assert rows(socket_office, card) == [("ham", anna.id, "given")]


def test_a_socket_whose_address_is_refused_gets_another(socket_office, slack, anna):
    card = spam(socket_office)
    slack.fail("apps.connections.open", "internal_error")
    slack.fail("apps.connections.open", "invalid_auth")
    slack.disconnect_sockets("link_disabled")
    slack.wait_for_sockets(seconds=30)
    assert slack.send(anna.click(card, "label:ham"), by="socket").ok
    assert rows(socket_office, card) == [("ham", anna.id, "given")]


# Start and end


def start(site, slack, mode, **env):
    return Bot(site, slack, mode, slack.channel_id(DESK), env=env).start(wait=False)


@pytest.mark.parametrize(
    ("variable", "value", "what"),
    [
        ("SLACK_BOT_TOKEN", "xoxb-wr0ng-secret", "the bot token"),
        ("SLACK_APP_TOKEN", "xapp-wr0ng-secret", "the app token"),
    ],
)
def test_a_token_that_slack_refuses_ends_the_start_with_one_line(
    site, slack, variable, value, what
):
    bot = start(site, slack, "socket", **{variable: value})
    assert bot.wait() == 69
    said = [line for line in bot.log().splitlines() if not line.startswith("{")]
    assert len(said) == 1
    assert said[0].startswith(f"filterd-bot: Slack does not take {what}: invalid_auth; ")
    assert "wr0ng" not in bot.log()


@pytest.mark.parametrize(
    ("mode", "variable"),
    [
        ("socket", "SLACK_BOT_TOKEN"),
        ("socket", "SLACK_APP_TOKEN"),
        ("http", "SLACK_SIGNING_SECRET"),
        ("http", "FILTERD_BOT_CHANNEL"),
    ],
)
def test_what_is_missing_at_the_start_is_named(site, slack, mode, variable):
    bot = start(site, slack, mode, **{variable: ""})
    assert bot.wait() == 78
    assert "Traceback" not in bot.log()
    assert variable.removeprefix("FILTERD_BOT_").lower() in bot.log().lower()


def test_a_slack_that_is_away_at_the_start_is_waited_for(site, slack, by):
    slack.go_down()
    bot = start(site, slack, by)
    bot.wait_for_log("slack away, trying again")
    slack.come_back()
    bot.wait_for_log("serving")
    assert bot.stop() == 0


def test_who_waits_for_slack_can_be_told_to_end(site, slack):
    slack.go_down()
    bot = start(site, slack, "socket")
    bot.wait_for_log("slack away, trying again")
    assert bot.stop() == 0
    slack.come_back()
    slack.fail("apps.connections.open", "internal_error", 100)
    bot = start(site, slack, "socket")
    bot.wait_for_log("slack away, trying again")
    assert bot.stop() == 0
    assert "serving" not in bot.log()


def test_clicks_in_flight_at_the_end_are_acknowledged_and_stored(new_office, slack, by, crowd):
    card = spam(new_office)
    clicks = [person.click(card, "label:ham") for person in crowd]
    with ThreadPoolExecutor(len(clicks)) as threads, locked(new_office.database):
        sent = [threads.submit(slack.send, click, by) for click in clicks]
        new_office.bot.wait_for_log("delivered", len(clicks))
        stopping = threads.submit(new_office.bot.stop)
        deliveries = [each.result() for each in sent]
        new_office.bot.wait_for_log("stopping")
    assert stopping.result() == 0
    assert [each.error for each in deliveries if not each.ok] == []
    assert sorted(who for _, who, _ in rows(new_office, card)) == sorted(one.id for one in crowd)
