"""From mail to card to click to the next mail: real daemon, real bot, Slack by HTTP and by socket."""

from __future__ import annotations

import smtplib
import time
from typing import TYPE_CHECKING

import pytest
from bot_process import Bot
from servers.ports import LOOPBACK

from filterd.store.database import open_database
from filterd.store.labels import history

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.filterd import Filterd
    from servers.nexthop import NextHop
    from servers.stage import Stage
    from slack_stage import Person, Slack

pytest_plugins = ("slack_fixtures",)
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SECOND = 1.0
CARD_SECONDS = 2.0
ACK_SECONDS = 1.0
# The shipped bundle takes it for spam. Names, links and figures differ from copy to copy.
LETTER = """\
From: {name} <{name}@{host}>
To: office@example.test
Subject: You have been chosen, claim your prize now
Message-ID: <{number}@{host}>

Congratulations! Your address won $ {number},000,000 in the international lottery. To claim your
prize send your full name, telephone number and bank details to {name} at https://{host}/claim
today. The money is transferred at once, free of all taxes. Act now, this offer ends tonight!
"""
NAMES = ("Marta", "Jonas", "Elif", "Pierre", "Ana", "Tomasz", "Ingrid", "Carlo")


class Site:
    """A daemon and a bot that share a database."""

    def __init__(self, filterd: Filterd, hop: NextHop, bot: Bot, slack: Slack, desk: str) -> None:
        self.filterd, self.hop, self.bot, self.slack, self.desk = filterd, hop, bot, slack, desk
        self._number = 0

    def send(self) -> dict[str, str]:
        """Another copy of the letter by SMTP; the headers that arrived at the next hop."""
        self._number += 1
        name = NAMES[self._number % len(NAMES)]
        host = f"{name.lower()}{'abcdefghijkl'[self._number % 12] * 3}.example"
        text = LETTER.format(name=name, host=host, number=100 + 7 * self._number)
        before = len(self.hop.taken)
        with smtplib.SMTP(LOOPBACK, self.filterd.port, "client.example.net", timeout=60) as client:
            message = text.replace("\n", "\r\n").encode()
            client.sendmail("sender@example.net", ["office@example.test"], message)
        (received,) = self.hop.taken[before:]
        lines = received.content.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        return dict(line.split(": ", 1) for line in lines if ": " in line)

    def card(self, mail_id: str) -> dict[str, object]:
        """The card of a mail in the channel, once it is there."""
        return self.slack.wait_until(lambda: self._card(mail_id), f"a card of {mail_id}")

    def _card(self, mail_id: str) -> dict[str, object] | None:
        for message in self.slack.messages(self.desk):
            if mail_id in str(message.get("blocks")):
                return message
        return None

    def rows(self, mail_id: str) -> list[tuple[str, str, str, bool]]:
        """Label rows of a mail: label, by, source, whether an undo."""
        database = open_database(f"sqlite:///{self.filterd.folder / 'var/filterd.db'}")
        try:
            found = history(database, mail_id)
        finally:
            database.close()
        return [(one.label, one.by, one.source, one.undoes is not None) for one in found]


@pytest.fixture(params=["http", "socket"])
def site(request: pytest.FixtureRequest, stage: Stage, slack: Slack, desk: str) -> Iterator[Site]:
    hop = stage.next_hop()
    filterd = stage.filterd(hop.url)
    bot = Bot(filterd.folder, slack, request.param, desk, cards="spam").start()
    slack.bot_url = bot.url
    yield Site(filterd, hop, bot, slack, desk)
    assert bot.stop() == 0, bot.log()
    filterd.stop()


@pytest.fixture
def by(request: pytest.FixtureRequest) -> str:
    return request.node.callspec.params["site"]


def verdict(headers: dict[str, str]) -> str:
    return headers["X-Filterd-Verdict"].partition(";")[0]


def test_a_click_counts_for_the_next_mail_and_undo_ends_that(
    site: Site, by: str, anna: Person, slack: Slack
) -> None:
    first = site.send()
    assert verdict(first) == "spam"
    arrived = time.monotonic()
    number = first["X-Filterd-Id"]
    card = site.card(number)
    assert time.monotonic() - arrived < CARD_SECONDS

    click = anna.click(card, "label:ham")
    for _ in range(3):  # Slack may deliver it again
        delivery = slack.send(click, by=by)
        assert delivery.ok
        assert delivery.seconds < ACK_SECONDS
    assert site.rows(number) == [("ham", anna.id, "slack", False)]
    labelled = slack.wait_until(
        lambda: found if "undo:" in str((found := site.card(number))["blocks"]) else None
    )
    assert f"<@{anna.id}> said *Not spam*" in str(labelled["blocks"])
    time.sleep(SECOND)  # the promise itself
    assert verdict(site.send()) == "ham"

    undo = next(one for one in _action_ids(labelled) if one.startswith("undo:"))
    assert slack.send(anna.click(labelled, undo), by=by).ok
    slack.wait_until(lambda: "undo:" not in str(site.card(number)["blocks"]), "no Undo")
    assert site.rows(number)[-1] == ("ham", anna.id, "slack", True)
    time.sleep(SECOND)
    assert verdict(site.send()) == "spam"


def _action_ids(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["action_id"]] if "action_id" in value else []
        return own + [found for each in value.values() for found in _action_ids(each)]
    if isinstance(value, list):
        return [found for each in value for found in _action_ids(each)]
    return []
