"""Many people who click on many cards at once, and what that costs the bot."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lessons import evidence
from store_records import make_record

from bot.cards import mail_blocks, mail_text
from bot.records import card_of
from filterd.learner.features import pack
from filterd.store import labels, messages, posts
from filterd.store.messages import write_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slack_stage import Delivery, Person, Slack
    from slack_stage.slack import Way

    from filterd.store.database import Database

SPEAKING = ("chat.postMessage", "chat.update")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Crowded:
    """What came of it: deliveries, seconds from the first click to the last ack, CPU seconds."""

    deliveries: Sequence[Delivery]
    seconds: float
    cpu: float

    @property
    def acks(self) -> list[float]:
        """Seconds until each was acknowledged, the quickest first."""
        return sorted(each.seconds for each in self.deliveries)

    def lines(self) -> list[str]:
        """The same as a table."""
        acks, count = self.acks, len(self.deliveries)
        figures = {
            "clicks": f"{count:,}",
            "not acknowledged": f"{sum(not each.ok for each in self.deliveries)}",
            "ack, median": f"{1000 * statistics.median(acks):.0f} ms",
            "ack, 99 of 100": f"{1000 * acks[int(0.99 * (count - 1))]:.0f} ms",
            "ack, longest": f"{1000 * acks[-1]:.0f} ms",
            "clicks a second": f"{count / self.seconds:.1f}",
            "CPU of the bot a click": f"{1000 * self.cpu / count:.1f} ms",
        }
        return [f"{name:<34}{value:>12}" for name, value in figures.items()]


def put_up_cards(database: Database, slack: Slack, channel: str, count: int) -> list[Any]:
    """So many cards as if the bot had posted them at its pace: (mail, message)."""
    now = datetime.now(UTC)
    put_up = []
    for number in range(count):
        found = evidence(number, "watch")
        record = make_record(
            number,
            id=f"01JH{number:022d}",
            received_at=now,
            text=found.text,
            head=pack(found.head),
            verdict="spam",
            spam=0.95,
            scores={"spam": {"ham": 0.05, "spam": 0.95}},
        )
        write_batch(database, [record])
        card = card_of(record, (), excerpt=True)
        blocks = [block.to_dict() for block in mail_blocks(card)]
        answer = slack.ask("chat.postMessage", channel=channel, text=mail_text(card), blocks=blocks)
        key = posts.card_key(record.id)
        posts.add_post(
            database,
            key=key,
            kind=posts.CARD,
            channel=channel,
            content={"asked": "", "why": []},
            message_id=record.id,
            now=now,
        )
        posts.said_post(database, posts.get_post(database, key), answer["ts"], posts.FIRST)
        put_up.append((record.id, answer["message"] | {"channel": channel}))
    return put_up


def click_all(
    slack: Slack, by: Way, pid: int, clicks: Sequence[tuple[Person, Sequence[tuple[Any, str]]]]
) -> Crowded:
    """Each person, all at once, clicks what is his, one after the other: (message, action id)."""

    def click(person: Person, wanted: Sequence[tuple[Any, str]]) -> list[Delivery]:
        return [slack.send(person.click(card, action), by) for card, action in wanted]

    cpu, begun = cpu_of(pid), time.monotonic()
    with ThreadPoolExecutor(len(clicks)) as threads:
        done = list(threads.map(lambda each: click(*each), clicks))
    seconds = time.monotonic() - begun
    return Crowded([each for some in done for each in some], seconds, cpu_of(pid) - cpu)


def cards_behind(database: Database, slack: Slack, channel: str) -> list[str]:
    """Mails whose card in the channel is not what it should be by the labels of now."""
    shown = {message["ts"]: message for message in slack.messages(channel)}
    behind = []
    for post in posts.posts_of(database, posts.CARD, datetime.min.replace(tzinfo=UTC)):
        record = messages.get(database, post.message_id)
        card = card_of(record, labels.standing(database, post.message_id), excerpt=True)
        # Slack's stage keeps blocks as they came.
        if shown[post.ts]["blocks"] != [block.to_dict() for block in mail_blocks(card)]:
            behind.append(post.message_id)
    return behind


def all_said(database: Database) -> bool:
    """Whether Slack has been told all that there is to tell."""
    return not posts.first_pending(database, datetime.max.replace(tzinfo=UTC))


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def shortest_gap(slack: Slack, channel: str) -> float:
    """Seconds between two messages of the bot in a channel, at the least."""
    at = [
        call.at
        for call in slack.calls()
        if call.method in SPEAKING and call.arguments["channel"] == channel
    ]
    return min((later - earlier for earlier, later in itertools.pairwise(at)), default=60.0)


def calls_by_method(slack: Slack) -> Counter[str]:
    """How often the bot called what."""
    return Counter(call.method for call in slack.calls())
