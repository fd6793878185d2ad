"""Gathers what a person's App Home shows, and publishes it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from bot.access import Role
from bot.charts import figures_chart
from bot.home import HomeData, MyLabel, home_view, stranger_view
from bot.serving import serving
from filterd.model.manifest import SPAM_TASK
from filterd.store import labels, messages, pauses, runs
from filterd.store.figures import figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slack_sdk.models.views import View

    from bot.parts import Parts
    from filterd.store.database import Database
    from filterd.store.figures import Figures
    from filterd.store.messages import MessageRecord

DAYS = 7
NIGHTS = timedelta(days=14)
MY_LABELS = 8
STRANGER = (
    "filterd learns which mail is spam from the people here. You have no role in it yet; an admin "
    "can give you one."
)


class Front:
    """Publishes Home tabs."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def publish(self, user: str) -> None:
        """A person's Home as things are now. Raises StoreError."""
        await self._parts.show.home(user, await self.view(user))

    async def view(self, user: str) -> View:
        """The same, to be shown."""
        role = await self._parts.gate.role(user)
        if role is Role.NOBODY:
            return stranger_view(STRANGER)
        parts = self._parts
        asked = await waiting(parts)
        found, chart = await week(parts)
        now = parts.now()
        return home_view(
            HomeData(
                role=role,
                queue=[parts.rendering.card_of(record) for record in asked],
                waiting=len(asked),
                mine=await parts.desk.read(_mine, user),
                figures=found,
                chart=chart,
                serving=await parts.desk.read(serving, parts.models),
                runs=await parts.desk.read(runs.runs, now - NIGHTS),
                paused=await parts.desk.read(pauses.pauses),
            )
        )


async def week(parts: Parts, days: int = DAYS) -> tuple[Figures, str | None]:
    """The figures of the last days, and the id of their chart in Slack. Raises StoreError."""
    zone = parts.settings.zone
    today = parts.now().astimezone(zone).date()
    found = await parts.desk.read(figures, days, today, zone)
    draw = partial(figures_chart, found)
    chart = await parts.pictures.file(f"figures:{days}:{today}", draw, f"filterd, {days} days")
    return found, chart


async def waiting(parts: Parts, after: str = "") -> list[MessageRecord]:
    """The mails to judge that nobody has judged meanwhile; those after one, if it is among them.

    Raises StoreError.
    """
    asked = [one.record for one in await asyncio.to_thread(parts.explainer.questions)]
    ids = [record.id for record in asked]
    start = ids.index(after) + 1 if after in ids else 0
    return await parts.desk.read(_unjudged, asked[start:])


def _unjudged(database: Database, records: Sequence[MessageRecord]) -> list[MessageRecord]:
    return [
        record
        for record in records
        if not any(label.task == SPAM_TASK for label in labels.standing(database, record.id))
        and messages.get(database, record.id) is not None
    ]


def _mine(database: Database, user: str) -> list[MyLabel]:
    found = []
    for label in labels.newest_standing(database, MY_LABELS, by=user):
        record = messages.get(database, label.message_id)
        found.append(MyLabel(label, "" if record is None else record.subject))
    return found
