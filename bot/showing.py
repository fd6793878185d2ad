"""How answers reach a person: in the place of what was clicked, or beside it for that person alone.

A Slack that does not answer here costs an answer, never a label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.faults import FAULTS, reason_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from slack_sdk.models.blocks import Block
    from slack_sdk.models.views import View
    from slack_sdk.web.async_client import AsyncWebClient

    from bot.payloads import Place

RESPONSE_SECONDS = 10

log = structlog.get_logger(__name__)


class Show:
    """Shows things; each call says whether Slack took it, and raises nothing of `FAULTS`."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client

    async def in_place(self, place: Place, blocks: Sequence[Block], text: str) -> bool:
        """In the place of the message that was clicked."""
        return await self._respond(place.response_url, blocks, text, replace=True)

    async def privately(self, place: Place, user: str, blocks: Sequence[Block], text: str) -> bool:
        """Beside it, for that person only; by another way if the first is closed."""
        if place.response_url and await self._respond(
            place.response_url, blocks, text, replace=False
        ):
            return True
        if not place.channel:
            return await self.directly(user, blocks, text)
        return await self._took(
            self._client.chat_postEphemeral(
                channel=place.channel, user=user, blocks=list(blocks), text=text
            ),
            "chat.postEphemeral",
        )

    async def directly(self, user: str, blocks: Sequence[Block], text: str) -> bool:
        """In the person's own conversation with the bot."""
        return await self._took(
            self._client.chat_postMessage(channel=user, blocks=list(blocks), text=text),
            "chat.postMessage",
        )

    async def open(self, trigger: str, view: View) -> str | None:
        """A modal; its id, or None if Slack did not take it."""
        return await self._view(self._client.views_open(trigger_id=trigger, view=view))

    async def push(self, trigger: str, view: View) -> str | None:
        """A modal on top of the one that was clicked."""
        return await self._view(self._client.views_push(trigger_id=trigger, view=view))

    async def change(self, view_id: str, view: View) -> bool:
        """Another content for an open modal; False if it was closed meanwhile."""
        return await self._took(
            self._client.views_update(view_id=view_id, view=view), "views.update"
        )

    async def home(self, user: str, view: View) -> bool:
        """A person's Home tab."""
        return await self._took(
            self._client.views_publish(user_id=user, view=view), "views.publish"
        )

    async def _respond(
        self, url: str, blocks: Sequence[Block], text: str, *, replace: bool
    ) -> bool:
        if not url:
            return False
        webhook = AsyncWebhookClient(url, timeout=RESPONSE_SECONDS)
        try:
            answer = await webhook.send(
                text=text,
                blocks=list(blocks),
                response_type=None if replace else "ephemeral",
                replace_original=replace,
                unfurl_links=False,
                unfurl_media=False,
            )
        except FAULTS as error:
            log.warning("no answer to a click", error=reason_of(error))
            return False
        if answer.status_code != 200:
            log.warning("no answer to a click", status=answer.status_code)
            return False
        return True

    async def _view(self, call: Awaitable[Any]) -> str | None:
        try:
            return str((await call)["view"]["id"])
        except FAULTS as error:
            log.warning("no view", error=reason_of(error))
            return None

    async def _took(self, call: Awaitable[Any], method: str) -> bool:
        try:
            await call
        except FAULTS as error:
            log.warning("slack did not take it", method=method, error=reason_of(error))
            return False
        return True
