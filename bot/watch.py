"""Looks for what is new in the database: mails that want a card, labels that change one.

Only the replica on duty runs it. Records come to the database in batches and not in order, so it
looks again at the last seconds each time, and at the last minute now and then; a card is made once
all the same.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from bot.records import ASKED
from filterd.errors import StoreError
from filterd.learner.local import log_odds
from filterd.model.manifest import SPAM_TASK
from filterd.store import changes, labels, messages, pauses, posts

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from bot.desk import Desk
    from bot.explainer import Explainer
    from bot.settings import BotSettings
    from filterd.store.messages import MessageRecord

LOOK_SECONDS = 0.3
# Most records are there within a second; those of a database that was locked take longer.
OVERLAP, LONG_OVERLAP = timedelta(seconds=5), timedelta(minutes=1)
LONG_LOOK_EVERY = timedelta(seconds=10)
# After a stop or an outage, so old mail still gets a card; older waits in the queue.
CATCH_UP = timedelta(minutes=10)
MAILS_AT_ONCE = 5000
# Log odds between score and threshold within which a mail is doubtful: e.g. 0.93 to 0.99 for
# a threshold of 0.99 have 2.
DOUBT = 2.0

log = structlog.get_logger(__name__)


class Watch:
    """`run` until cancelled."""

    def __init__(
        self,
        desk: Desk,
        explainer: Explainer,
        settings: BotSettings,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._desk = desk
        self._explainer = explainer
        self._settings = settings
        self._now = now
        # What came before it was looked at for the last time.
        self._since = now() - CATCH_UP
        self._long_look = now()
        self._seen: dict[str, datetime] = {}
        self._labels = -1

    async def run(self) -> None:
        """Look, for ever; an outage of the database only delays."""
        while True:
            try:
                await self.look()
            except StoreError as error:
                log.warning("cannot look for new mail", error=str(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """One look."""
        await self._look_for_labels()
        if self._settings.cards == "none":
            return
        started = self._now()
        is_long = started >= self._long_look
        wanted = await self._new_mails(
            self._since if is_long else max(self._since, started - OVERLAP)
        )
        if wanted:
            paused = "cards" in await self._desk.read(pauses.pauses)
            room = 0 if paused else await self._room()
            for record in wanted[:room]:
                await self._make_card(record)
                self._seen[record.id] = record.received_at
            if len(wanted) > room:
                log.info("mails wait in the queue", count=len(wanted) - room, paused=paused)
                self._seen.update({record.id: record.received_at for record in wanted[room:]})
        if is_long:
            self._long_look = started + LONG_LOOK_EVERY
            self._since = max(self._since, started - LONG_OVERLAP)
            self._seen = {id_: at for id_, at in self._seen.items() if at >= self._since}

    async def _look_for_labels(self) -> None:
        """Have cards shown anew whose mails were labelled, here or by the command line."""
        mark = (await self._desk.read(changes.change_mark)).labels
        if mark == self._labels:
            return
        # The first look is at all cards: labels may have come while nobody looked.
        touched = None if self._labels < 0 else await self._desk.read(labels.touched, self._labels)
        await self._desk.write(posts.refresh_cards, touched, due=self._now())
        self._labels = mark

    async def _new_mails(self, since: datetime) -> list[MessageRecord]:
        """Mails not looked at yet that want a card and have none, oldest first."""
        wanted: dict[str, MessageRecord] = {}
        while True:
            found = await self._desk.read(messages.arrived, since, MAILS_AT_ONCE)
            for record in found:
                if record.id in self._seen:
                    continue
                if wants_card(record, self._settings.cards):
                    wanted[record.id] = record
                else:
                    self._seen[record.id] = record.received_at
            if len(found) < MAILS_AT_ONCE or found[-1].received_at == since:
                break
            since = found[-1].received_at
        carded = await self._desk.read(posts.carded, list(wanted)) if wanted else set()
        self._seen.update({id_: wanted[id_].received_at for id_ in carded})
        return [record for id_, record in wanted.items() if id_ not in carded]

    async def _room(self) -> int:
        hour_ago = self._now() - timedelta(hours=1)
        return max(
            0, self._settings.cards_per_hour - await self._desk.read(posts.cards_since, hour_ago)
        )

    async def _make_card(self, record: MessageRecord) -> None:
        why = await asyncio.to_thread(self._explainer.lines, record.id)
        made = await self._desk.write(
            posts.add_post,
            key=posts.card_key(record.id),
            kind=posts.CARD,
            channel=self._settings.channel,
            content={"asked": asked_because(record), "why": list(why)},
            message_id=record.id,
            now=self._now(),
        )
        if made:
            log.info("card", id=record.id)


def wants_card(record: MessageRecord, which: str) -> bool:
    """Whether the setting `cards` wants a card of this mail."""
    if which == "doubtful":
        return bool(asked_because(record))
    return which in ("all", record.verdict)


def asked_because(record: MessageRecord) -> str:
    """In a line why a mail is doubtful; empty if it is not."""
    if record.spam is None or record.threshold is None:
        return ""
    bert = (record.scores or {}).get(SPAM_TASK, {}).get("spam")
    if bert is not None and (bert >= record.threshold) != (record.spam >= record.threshold):
        return ASKED["disputed"]
    near = abs(log_odds(record.spam) - log_odds(record.threshold)) < DOUBT
    return ASKED["doubtful"] if near else ""
