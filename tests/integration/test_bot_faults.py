"""Whatever fails around the bot: a click counts once or is told to have failed, and never twice."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest
from bot_office import Office
from bot_replicas import Replicas, locked
from slack_stage import together
from slack_stage.posting import FORM, post
from slack_stage.signing import signature_headers

from filterd.store.labels import effective, history

pytest_plugins = ("slack_fixtures", "store_fixtures", "daemon_fixtures")

ACK_SECONDS = 1.0
# Of one callback in the event loop, on a machine that runs other things besides.
LONGEST_STEP = 0.3


@pytest.fixture(scope="module")
def module_folder(site_template, tmp_path_factory):
    folder = tmp_path_factory.mktemp("office") / "site"
    shutil.copytree(site_template, folder)
    return folder


@pytest.fixture(scope="module")
def module_office(module_folder, slack_stage):
    """A bot that most tests here share; at debug level, since that must not say more than it may."""
    office = Office(module_folder, slack_stage, cards="spam", env={"FILTERD_LOG_LEVEL": "debug"})
    yield office
    office.end()


@pytest.fixture
def office(module_office, slack):
    module_office.begin()
    yield module_office
    assert "Traceback" not in module_office.log


def spam(office):
    return office.card(office.mail(spam=0.95))


def mail_of(card):
    return re.search(r"mail:(\w{26})", str(card["blocks"]))[1]


def rows(office, card):
    return office.rows(mail_of(card))


def wait_for_rows(office, card, count=1):
    office.slack.wait_until(lambda: len(rows(office, card)) >= count, f"{count} rows", 20)
    return rows(office, card)


# Who is not Slack


def test_a_click_signed_by_somebody_else_is_refused(office, slack, anna):
    card = spam(office)
    click = anna.click(card, "label:ham")
    assert slack.send(click, secret="another").status == 401
    assert slack.send(click, secret=None).status == 401
    assert slack.send(click, age=301.0).status == 401
    assert rows(office, card) == []
    assert slack.send(click).ok
    assert rows(office, card) == [("ham", anna.id, "given")]


GARBAGE = {
    "nothing": b"",
    "no JSON": b"{not json",
    "JSON that is no object": b"[1, 2]",
    "null": b"null",
    "a form without payload": b"a=b",
    "a payload that is no JSON": b"payload=%7Bnot",
    "a payload that is no object": b"payload=17",
    "an unknown type": b'{"type": "riddle"}',
    "a click on nothing": b"payload=%7B%22type%22%3A%22block_actions%22%2C%22actions%22%3A%5B%5D%7D",
    "half a command": b"command=%2Ffilterd&text=help",
    "bytes": bytes(range(256)),
    "5 MB": b"x" * 5_000_000,
}


@pytest.mark.parametrize("kind", [FORM, "application/json", "text/plain", "image/png"])
@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_refused_without_a_traceback(office, slack, body, kind):
    headers = {"Content-Type": kind}
    unsigned = post(office.bot.url, body, headers, 10)
    assert 400 <= unsigned.status < 500, unsigned
    signed = post(
        office.bot.url,
        body,
        headers | signature_headers(slack.signing_secret, int(time.time()), body),
        10,
    )
    assert signed.status == 200 or 400 <= signed.status < 500, signed


def test_other_paths_and_methods_are_refused(office):
    base = office.bot.url.removesuffix("/slack/events")
    assert post(f"{base}/else", b"", {}, 10).status == 404
    assert post(f"{base}/healthz", b"", {}, 10).status == 405


# The same click more than once


def test_spam_then_ham_then_the_first_again_stays_ham(office, slack, anna):
    card = spam(office)
    first, second = anna.click(card, "label:spam"), anna.click(card, "label:ham")
    for click in (first, second):
        assert slack.send(click).ok
    assert slack.send(first, retry=1).ok
    assert [label for label, *_ in rows(office, card)] == ["spam", "ham"]


@pytest.fixture
def replicas(site, slack, url):
    replicas = Replicas(site, slack, url).start()
    yield replicas
    replicas.end()


def test_a_click_delivered_many_times_to_two_replicas_is_one_row(replicas, slack, anna, ben):
    (mail,) = replicas.spam()
    replicas.wait_for_cards([mail])
    (shown,) = replicas.cards()[mail]
    one, other = replicas.bots
    at_once, one_by_one = anna.click(shown, "label:ham"), ben.click(shown, "label:ham")
    sent = together(
        *[lambda bot=bot: replicas.deliver(bot, at_once) for bot in (one, other, one, other)]
    )
    sent += [replicas.deliver(bot, one_by_one) for bot in (one, other, other, one)]
    assert all(each.status == 200 and each.seconds < ACK_SECONDS for each in sent), sent
    slack.wait_until(lambda: len(history(replicas.database, mail)) >= 2, "rows")
    assert [row.by for row in history(replicas.database, mail)] == [anna.id, ben.id]


# A database that is away


def test_clicks_on_a_locked_database_are_stored_later_in_their_order(office, slack, anna, ben):
    cards = [spam(office) for _ in range(3)]
    with locked(office.database):
        for card in cards:
            for person, label in ((anna, "spam"), (anna, "ham"), (ben, "spam")):
                delivery = slack.send(person.click(card, f"label:{label}"))
                assert delivery.ok
                assert delivery.seconds < ACK_SECONDS
        # Longer than SQLite itself waits, so that it has to be tried again.
        office.bot.wait_for_log("the database is away, trying again")
        assert [rows(office, card) for card in cards] == [[], [], []]
    for card in cards:
        found = wait_for_rows(office, card, 3)
        assert [(label, who) for label, who, _ in found] == [
            ("spam", anna.id),
            ("ham", anna.id),
            ("spam", ben.id),
        ]


def test_who_clicks_while_the_database_is_away_for_long_is_told(site, slack, anna, ben):
    office = Office(site, slack, cards="spam", hasty=True)
    office.begin()
    card = spam(office)
    with locked(office.database):
        for person in (anna, ben):
            assert slack.send(person.click(card, "label:ham")).ok
        for person in (anna, ben):
            told = slack.wait_until(lambda who=person: slack.ephemerals(who), "an answer", 20)[0]
            assert "could not be saved" in told.text
            assert "locked by another process" in told.text
    assert rows(office, card) == []
    assert slack.send(anna.click(card, "label:ham")).ok
    assert wait_for_rows(office, card) == [("ham", anna.id, "given")]
    office.end()
    assert "Traceback" not in office.log


# What may not be told


def test_no_token_is_in_a_log_or_in_the_list_of_processes(office, slack, anna):
    card = spam(office)
    slack.send(anna.click(card, "label:ham"))
    slack.send(anna.click(card, "label:ham"), secret="another")
    slack.send(anna.home_opened())
    slack.wait_for_call("views.publish")
    slack.fail("views.publish", "invalid_auth")
    slack.send(anna.home_opened())
    slack.wait_for_call("views.publish", 2)
    seen = office.bot.log() + Path(f"/proc/{office.bot.pid}/cmdline").read_text()
    for secret in (slack.bot_token, slack.app_token, slack.signing_secret):
        assert secret not in seen


# Answers that do not reach Slack


@pytest.mark.parametrize("fault", ["404", "500", "slow"])
def test_a_card_whose_answer_is_lost_is_changed_by_the_poster(office, slack, anna, fault):
    card = spam(office)
    click = anna.click(card, "label:ham")
    if fault == "404":
        click["response_url"] = f"{slack.url}/response/unknown"
    elif fault == "500":
        slack.fail("response_url", "internal_error", 10)
    else:
        slack.delay("response_url", 4.0)
    assert slack.send(click).ok
    update = slack.wait_for_call("chat.update")
    assert update.arguments["ts"] == card["ts"]
    assert f"<@{anna.id}> said *Not spam*" in str(update.arguments["blocks"])
    assert not slack.responses


def test_a_card_that_the_answer_has_changed_is_left_alone_by_the_poster(office, slack, anna):
    card = spam(office)
    slack.send(anna.click(card, "label:ham"))
    slack.wait_for_response()
    # The second of them comes a second later, and would come after what is older.
    for _ in range(3):
        spam(office)
    assert slack.calls("chat.update") == []
    assert effective(office.database, mail_of(card))["spam"].label == "ham"


# Nobody waits for somebody else's work


def test_the_event_loop_is_never_held_up(site, slack, crowd):
    office = Office(site, slack, cards="spam", env={"PYTHONASYNCIODEBUG": "1"})
    office.begin()
    cards = [spam(office) for _ in range(4)]
    actions = ["label:ham", "why", "label:spam"]

    def act(person):
        for card, action in zip(cards, [*actions, "why"]):
            assert slack.send(person.click(card, action)).seconds < ACK_SECONDS
        assert slack.send(person.home_opened()).ok
        assert slack.send(person.slash(office.desk, "stats")).ok
        assert slack.send(person.slash(office.desk, "queue")).ok

    together(*[lambda person=person: act(person) for person in crowd[:5]])
    slack.wait_until(lambda: len(slack.calls("views.publish")) == 5, "all Homes", 30)
    office.end()
    steps = [float(each) for each in re.findall(r"took ([\d.]+) seconds", office.bot.log())]
    assert [each for each in steps if each > LONGEST_STEP] == []
