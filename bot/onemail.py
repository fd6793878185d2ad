"""One mail as it is shown to a person who asked for it: its card, and what else is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.answers import details_blocks
from bot.cards import gone_blocks, mail_blocks, mail_text
from bot.errors import GoneError
from bot.modals import modal

if TYPE_CHECKING:
    from slack_sdk.models.blocks import Block
    from slack_sdk.models.views import View

    from bot.parts import Parts
    from filterd.store.messages import MessageRecord


async def card_of(parts: Parts, mail_id: str) -> tuple[list[Block], str]:
    """The card with a way to the next mail, and the same in a line. Raises StoreError."""
    card = await parts.rendering.card(mail_id)
    if card is None:
        return gone_blocks(), "This mail is no longer kept"
    return mail_blocks(card, in_queue=True), mail_text(card)


async def card_blocks(parts: Parts, mail_id: str) -> list[Block]:
    """The card alone. Raises StoreError."""
    return (await card_of(parts, mail_id))[0]


async def card_view(parts: Parts, mail_id: str) -> View:
    """The card as a modal. Raises StoreError."""
    return modal("Mail", await card_blocks(parts, mail_id))


async def details(parts: Parts, mail_id: str) -> list[Block]:
    """What is known of it beside its text. Raises GoneError, StoreError."""
    return details_blocks(await record_of(parts, mail_id))


async def record_of(parts: Parts, mail_id: str) -> MessageRecord:
    """Its record. Raises GoneError if there is none any more, StoreError."""
    record = await parts.desk.record(mail_id)
    if record is None:
        raise GoneError
    return record
