"""What happens on a click, on a menu's choice, on a modal that is sent, on the shortcut."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from bot.answers import lines_of, reason, said
from bot.bulk import kin_of, label_in_bulk
from bot.errors import GoneError, RefusedError
from bot.front import waiting
from bot.modals import (
    BULK,
    FIND,
    QUERY,
    bulk_modal,
    find_modal,
    modal,
    waiting_modal,
)
from bot.onemail import card_blocks, card_of, card_view, details, record_of
from bot.payloads import NO_MAIL, mail_id_in, numbers_in
from bot.reasons import why_blocks
from bot.text import escaped, in_one_line
from bot.words import count
from filterd.errors import FilterdError, StoreError
from filterd.model.manifest import SPAM_TASK
from filterd.store import messages, posts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from slack_sdk.models.blocks import Block
    from slack_sdk.models.views import View

    from bot.front import Front
    from bot.labelling import Labelling
    from bot.modals import Kinship
    from bot.parts import Parts
    from bot.payloads import Click, Submission

FOUND = 10
LATE = "Slack did not let me open a window in time. Please click again."
ALL_JUDGED = ":tada: That was the last one. Thank you."

log = structlog.get_logger(__name__)


class Actions:
    """Carries clicks out. Raises RefusedError, whose text is for the person, and FilterdError."""

    def __init__(self, parts: Parts, labelling: Labelling, front: Front) -> None:
        self._parts = parts
        self._labelling = labelling
        self._front = front
        self._by_name: Mapping[str, Callable[[Click], Awaitable[None]]] = {
            "label": self._label,
            "undo": self._undo,
            "undo_all": self._undo_all,
            "why": self._why,
            "more": self._more,
            "open": self._open,
            "next": self._next,
            "refresh": self._refresh,
        }

    async def clicked(self, click: Click) -> None:
        """Do what a button or menu is for."""
        work = self._by_name.get(click.action)
        if work is None:
            raise RefusedError(NO_MAIL)
        await work(click)

    async def submitted(self, sent: Submission, callback_id: str) -> View:
        """What a modal becomes that was sent."""
        if callback_id == BULK:
            return await label_in_bulk(self._labelling, sent)
        if callback_id == FIND:
            return await self._find(sent)
        raise RefusedError("That dialogue is from an older version of me.")

    async def shortcut(self, user: str, trigger: str, message: Mapping[str, Any]) -> None:
        """Open the mail that a message is about, to label it."""
        await self._parts.gate.require(user, "label")
        mail_id = mail_id_in(message)
        if mail_id is None:
            note = "I cannot see which mail this message is about. Which one do you mean?"
            if await self._parts.show.open(trigger, find_modal(note)) is None:
                raise RefusedError(LATE)
            return
        view_id = await self._parts.show.open(trigger, waiting_modal("Mail"))
        await self._fill(view_id, "Mail", lambda: card_view(self._parts, mail_id))

    async def _label(self, click: Click) -> None:
        task, label = SPAM_TASK, click.about
        if click.about not in ("spam", "ham"):
            task, label = click.about, click.value
        mail_id = _mail_of(click)
        try:
            await self._labelling.label(click.user, mail_id, task, label)
        except GoneError:
            await self._show_again(click)
            raise
        await self._show_again(click)

    async def _undo(self, click: Click) -> None:
        numbers = numbers_in(click.about)
        if not numbers:
            raise RefusedError(NO_MAIL)
        await self._labelling.undo(click.user, numbers[0])
        await self._show_again(click)

    async def _undo_all(self, click: Click) -> None:
        undone = await self._labelling.undo_all(click.user, numbers_in(click.value))
        text = f":leftwards_arrow_with_hook: {count(undone, 'label')} taken back."
        await self._put(click, said(text), text)

    async def _show_again(self, click: Click) -> None:
        """The card as it is now, in the place where it was clicked.

        What was said is saved by now: a database that goes away only delays what is seen of it.
        """
        try:
            await self._show_now(click)
        except StoreError as error:
            log.warning("saved, but not shown again", id=click.mail_id, error=str(error))

    async def _show_now(self, click: Click) -> None:
        if click.place.surface == "home":
            await self._front.publish(click.user)
        elif click.place.surface == "message":
            await self._show_post_again(click)
        else:
            await self._put(click, *await card_of(self._parts, _mail_of(click)))
        if click.place.surface == "modal":
            # It may have been opened from there, and lies under the modal.
            await self._front.publish(click.user)

    async def _show_post_again(self, click: Click) -> None:
        """At once, where Slack lets us; if not, the poster will."""
        place, desk = click.place, self._parts.desk
        post = await desk.read(posts.post_at, place.channel, place.ts)
        if post is None or post.ts is None:
            blocks, text = await card_of(self._parts, _mail_of(click))
            await self._parts.show.privately(place, click.user, blocks, text)
            return
        now = await self._parts.rendering.said(post)
        if await self._parts.show.in_place(place, now.blocks, now.text):
            await desk.write(posts.said_post, post, post.ts, now.change)

    async def _why(self, click: Click) -> None:
        await self._parts.gate.require(click.user, "why")
        await self._beside(click, "Why?", lambda: self.why(_mail_of(click)))

    async def why(self, mail_id: str) -> list[Block]:
        """The answer to "Why?"."""
        try:
            found = await asyncio.to_thread(self._parts.explainer.why, mail_id)
        except FilterdError as error:
            return said(f"I cannot say why: {reason(error)}.")
        return why_blocks(found, "" if found.recorded is None else found.recorded.subject)

    async def _more(self, click: Click) -> None:
        kind = click.value.partition(":")[0]
        if kind == "details":
            await self._parts.gate.require(click.user, "why")
            await self._beside(click, "Details", lambda: details(self._parts, _mail_of(click)))
        elif kind in ("similar", "sender"):
            await self._parts.gate.require(click.user, "bulk label")
            kin: Kinship = "similar" if kind == "similar" else "sender"
            await self.in_modal(click, "Mails like it", lambda: self._bulk_view(click, kin))
        else:
            raise RefusedError(NO_MAIL)

    async def _bulk_view(self, click: Click, kin: Kinship) -> View:
        record = await record_of(self._parts, _mail_of(click))
        found = await kin_of(self._parts, record.id, kin)
        return bulk_modal(kin, [self._parts.rendering.card_of(each) for each in found])

    async def _find(self, sent: Submission) -> View:
        await self._parts.gate.require(sent.user, "find")
        query = sent.choices.get(QUERY, "")
        found = await self._parts.desk.read(messages.find, query, FOUND)
        if not found:
            return find_modal(f"No mail with “{escaped(in_one_line(query, 60))}”. Another try?")
        if len(found) == 1:
            return await card_view(self._parts, found[0].id)
        cards = [self._parts.rendering.card_of(record) for record in found]
        return modal("Which one?", lines_of(cards, f"*{count(len(found), 'mail')}*, newest first"))

    async def _open(self, click: Click) -> None:
        await self._parts.gate.require(click.user, "find")
        mail_id = _mail_of(click)
        if click.place.surface in ("ephemeral", "modal"):
            await self._put(click, *await card_of(self._parts, mail_id))
        else:
            await self._beside(click, "Mail", lambda: card_blocks(self._parts, mail_id))

    async def _next(self, click: Click) -> None:
        """The next mail of the queue that nobody has labelled, after the one that is shown."""
        await self._parts.gate.require(click.user, "queue")
        left = await waiting(self._parts, after=click.mail_id)
        if left:
            await self._put(click, *await card_of(self._parts, left[0].id))
        else:
            await self._put(click, said(ALL_JUDGED), ALL_JUDGED)

    async def _refresh(self, click: Click) -> None:
        await self._front.publish(click.user)

    async def _beside(
        self, click: Click, title: str, blocks: Callable[[], Awaitable[Sequence[Block]]]
    ) -> None:
        """An answer for this person only: a modal where there is one, else a message."""
        if click.place.surface in ("modal", "home"):
            await self.in_modal(click, title, lambda: _shown(title, blocks))
        else:
            await self._parts.show.privately(click.place, click.user, await blocks(), title)

    async def in_modal(self, click: Click, title: str, view: Callable[[], Awaitable[View]]) -> None:
        """A modal, opened before the work begins: a trigger is good for three seconds."""
        show = self._parts.show
        opened = show.push if click.place.surface == "modal" else show.open
        await self._fill(await opened(click.trigger, waiting_modal(title)), title, view)

    async def _fill(
        self, view_id: str | None, title: str, view: Callable[[], Awaitable[View]]
    ) -> None:
        """Put into a modal what it was opened for, or what went wrong."""
        if view_id is None:
            raise RefusedError(LATE)
        show = self._parts.show
        try:
            await show.change(view_id, await view())
        except RefusedError as error:
            await show.change(view_id, modal(title, said(str(error))))
        except FilterdError as error:
            await show.change(view_id, modal(title, said(f":warning: {reason(error)}")))

    async def _put(self, click: Click, blocks: Sequence[Block], text: str) -> None:
        """In the place of what was clicked."""
        if click.place.surface == "modal":
            await self._parts.show.change(click.place.view_id, modal("Mail", blocks))
        else:
            await self._parts.show.in_place(click.place, blocks, text)


def _mail_of(click: Click) -> str:
    if not click.mail_id:
        raise RefusedError(NO_MAIL)
    return click.mail_id


async def _shown(title: str, blocks: Callable[[], Awaitable[Sequence[Block]]]) -> View:
    return modal(title, await blocks())
