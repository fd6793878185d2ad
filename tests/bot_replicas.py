"""Several bots that share a database, as behind a load balancer."""

from __future__ import annotations

import itertools
import sqlite3
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bot_process import Bot
from lessons import evidence
from slack_stage.posting import body_and_type, post
from slack_stage.signing import signature_headers
from slack_stage.workspace import ALERTS, DESK
from store_records import make_record

from filterd.store.database import open_database
from filterd.store.messages import write_batch
from filterd.store.schema import upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from slack_stage import Delivery, Slack

    from filterd.store.database import Database

NUMBERS = itertools.count(1)


class Replicas:
    """Bots by HTTP that run in `folder` with the database at `url`."""

    def __init__(
        self,
        folder: Path,
        slack: Slack,
        url: str,
        *,
        count: int = 2,
        hasty: bool = True,
        **own: str,
    ) -> None:
        self.slack = slack
        self.desk, self.alerts = slack.channel_id(DESK), slack.channel_id(ALERTS)
        self.database = open_database(url)
        upgrade(self.database)
        settings = {"digest_at": "", "cards": "spam", "alerts_channel": self.alerts, **own}
        self.bots = [
            Bot(folder, slack, "http", self.desk, hasty=hasty, database=url, **settings)
            for _ in range(count)
        ]

    def start(self) -> Replicas:
        """All of them."""
        for bot in self.bots:
            bot.start(wait=False)
        for bot in self.bots:
            bot.wait_for_log("serving")
        return self

    def end(self) -> None:
        """Stop those that run; nothing may have failed in a way that nobody foresaw."""
        running = [bot for bot in self.bots if bot.runs]
        assert [bot.stop() for bot in running] == [0] * len(running)
        self.database.close()
        for bot in self.bots:
            assert "Traceback" not in bot.log(), bot.log()

    def spam(self, count: int = 1) -> list[str]:
        """Mails that have just come and get a card; their ids."""
        records = []
        for _ in range(count):
            number = next(NUMBERS)
            found = evidence(number, "watch")
            records.append(
                make_record(
                    number,
                    id=f"01JG{number:022d}",
                    received_at=datetime.now(UTC),
                    text=found.text,
                    subject=f"Offer {number}",
                    verdict="spam",
                    spam=0.95,
                    scores={"spam": {"ham": 0.05, "spam": 0.95}},
                )
            )
        write_batch(self.database, records)
        return [record.id for record in records]

    def cards(self) -> dict[str, list[dict[str, Any]]]:
        """Mail -> its cards in the channel, of which there should be one."""
        found: dict[str, list[dict[str, Any]]] = {}
        for message in self.slack.messages(self.desk):
            for block in message.get("blocks", []):
                kind, _, mail = str(block.get("block_id")).partition(":")
                if kind == "mail":
                    found.setdefault(mail, []).append(message)
        return found

    def wait_for_cards(self, ids: list[str], seconds: float = 20.0) -> None:
        """Until each of these mails has a card."""
        self.slack.wait_until(lambda: set(ids) <= self.cards().keys(), "all cards", seconds)

    def on_duty(self) -> list[Bot]:
        """Those that have said, last of all, that they are on duty."""
        return [bot for bot in self.bots if bot.runs and _is_on_duty(bot)]

    def deliver(self, bot: Bot, payload: dict[str, Any]) -> Delivery:
        """A click, to a bot of our choice."""
        body, kind = body_and_type("interactive", payload)
        headers = signature_headers(self.slack.signing_secret, int(time.time()), body)
        return post(bot.url, body, headers | {"Content-Type": kind}, 10)


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Another process writes into an SQLite database, and does not come to an end."""
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def _is_on_duty(bot: Bot) -> bool:
    said = [one["event"] for one in bot.events() if one["event"] in {"on duty", "off duty"}]
    return bool(said) and said[-1] == "on duty"
