"""From rows to what Slack shows: cards with the labels of now, digests, alerts, replies."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from bot.alerts import alert_blocks, alert_text
from bot.answers import said
from bot.cards import gone_blocks, mail_blocks, mail_text
from bot.charts import figures_chart
from bot.digest import digest_blocks, digest_day, digest_figures, digest_text
from bot.poster import Said
from bot.records import card_of
from filterd.store import labels, messages, posts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.cards import MailCard
    from bot.desk import Desk
    from bot.explainer import Explainer
    from bot.pictures import Pictures
    from filterd.store.database import Database
    from filterd.store.labels import Label
    from filterd.store.messages import MessageRecord
    from filterd.store.posts import Post

DAY = 86_400.0  # seconds


class Rendering:
    """Shows mails and posts as they are now."""

    def __init__(
        self, desk: Desk, explainer: Explainer, pictures: Pictures, *, excerpt: bool
    ) -> None:
        self._desk = desk
        self._explainer = explainer
        self._pictures = pictures
        self._excerpt = excerpt

    async def card(self, mail_id: str, *, asked: str = "", why: bool = True) -> MailCard | None:
        """The card of a mail, with its reasons; None if it is no longer kept. StoreError."""
        record, given, _ = await self._desk.read(_mail_and_labels, mail_id)
        if record is None:
            return None
        lines = await asyncio.to_thread(self._explainer.lines, mail_id) if why else ()
        return card_of(record, given, excerpt=self._excerpt, asked=asked, why=lines)

    def card_of(self, record: MessageRecord) -> MailCard:
        """The card of a record as a line in a list: without labels and reasons."""
        return card_of(record, (), excerpt=False)

    async def said(self, post: Post) -> Said:
        """What a post should show now. Raises StoreError."""
        if post.kind == posts.CARD:
            return await self._said_card(post)
        content = post.content
        if post.kind == "digest":
            chart = await self._chart(post)
            return Said(digest_blocks(content, chart), digest_text(content), post.wanted)
        if post.kind == "alert":
            return Said(alert_blocks(content), alert_text(content), post.wanted)
        text = str(content["text"])
        return Said(said(text), text, post.wanted)

    async def _chart(self, post: Post) -> str | None:
        found, day = digest_figures(post.content), digest_day(post.content)
        draw = partial(figures_chart, found, day.date)
        return await self._pictures.file(post.key, draw, "filterd, the last days", fresh=DAY)

    async def _said_card(self, post: Post) -> Said:
        record, given, rows = await self._desk.read(_mail_and_labels, post.message_id or "")
        if record is None:
            return Said(gone_blocks(), "This mail is no longer kept", post.wanted)
        card = card_of(
            record,
            given,
            excerpt=self._excerpt,
            asked=post.content["asked"],
            why=post.content["why"],
        )
        return Said(mail_blocks(card), mail_text(card), max(post.wanted, posts.FIRST + rows))


def _mail_and_labels(
    database: Database, mail_id: str
) -> tuple[MessageRecord | None, Sequence[Label], int]:
    """A mail, the labels that stand, and how many rows were ever said of it."""
    # Labels first: what comes between the two looks only makes the card look older than it is.
    rows = labels.history(database, mail_id)
    return messages.get(database, mail_id), labels.still_standing(rows), len(rows)
