"""Which of Slack's deliveries goes where: acknowledged in time, taken up once, never unanswered.

Work begins at once and is acknowledged when it is done, or after half a second if it is not: so
what Slack shows as failed was not done, and nobody waits for a slow database.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import structlog
from slack_bolt.response import BoltResponse

from bot.answers import said
from bot.commands import parse
from bot.errors import RefusedError
from bot.modals import BULK, FIND, modal, waiting_modal
from bot.payloads import Place, click_of, submission_of
from bot.text import escaped
from filterd.errors import FilterdError, ImpossibleError, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from slack_bolt.app.async_app import AsyncApp
    from slack_bolt.context.ack.async_ack import AsyncAck
    from slack_sdk.models.views import View

    from bot.actions import Actions
    from bot.answering import Answering
    from bot.front import Front
    from bot.parts import Parts

ACK_SECONDS = 0.5
NOT_SAVED = (
    ":warning: That could not be saved, the database does not answer: {error}. Nothing was "
    "changed; please click again in a minute."
)
BUG = ":warning: Something went wrong on my side, it is in the log. Nothing more will come of it."

log = structlog.get_logger(__name__)


class Listeners:
    """What Slack calls. `drain` before the loop ends, so that no click is cut off."""

    def __init__(self, parts: Parts, actions: Actions, answering: Answering, front: Front) -> None:
        self._parts = parts
        self._actions = actions
        self._answering = answering
        self._front = front
        self._tasks: set[asyncio.Task[None]] = set()

    def attach(self, app: AsyncApp) -> None:
        """Have an app call them."""
        app.action(re.compile(".*"))(self._on_click)
        app.command("/filterd")(self._on_command)
        app.shortcut("label_mail")(self._on_shortcut)
        app.view(re.compile(f"{BULK}|{FIND}"))(self._on_submit)
        app.event("app_home_opened")(self._on_home)
        app.error(_not_understood)

    async def drain(self, seconds: float) -> None:
        """Let what was begun come to its end."""
        if not self._tasks:
            return
        _, left = await asyncio.wait(set(self._tasks), timeout=seconds)
        if left:
            log.error("the database did not answer in time, clicks are lost", count=len(left))

    async def _on_click(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        place, user = _place_of(body)
        try:
            click = click_of(body)
        except RefusedError as error:
            await ack()
            await self._tell(place, user, str(error))
            return
        await self._work(ack, click.key, place, user, lambda: self._actions.clicked(click))

    async def _on_command(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        user, channel = str(body["user_id"]), str(body["channel_id"])
        place = Place("message", channel=channel, response_url=str(body.get("response_url", "")))

        async def answer() -> None:
            command = parse(str(body.get("text") or ""))
            blocks = await self._answering.answer(user, channel, command)
            await self._parts.show.privately(place, user, blocks, f"/filterd {command.name}")

        await self._work(ack, f"command:{body['trigger_id']}", place, user, answer)

    async def _on_shortcut(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        place, user = _place_of(body)
        trigger, message = str(body["trigger_id"]), body.get("message") or {}
        await self._work(
            ack,
            f"shortcut:{trigger}",
            place,
            user,
            lambda: self._actions.shortcut(user, trigger, message),
        )

    async def _on_home(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        """Bolt has acknowledged it already, as it does with all events."""
        if event.get("tab") != "home":
            return
        user = str(event["user"])
        await self._once(
            f"event:{body['event_id']}", Place("home"), user, lambda: self._front.publish(user)
        )

    async def _on_submit(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        try:
            sent = submission_of(body)
        except RefusedError as error:
            await ack(response_action="update", view=_telling(str(error)))
            return
        callback_id = str(body["view"]["callback_id"])
        found: asyncio.Future[View] = asyncio.get_running_loop().create_future()

        async def submit() -> None:
            try:
                found.set_result(await self._actions.submitted(sent, callback_id))
            except (RefusedError, FilterdError) as error:
                found.set_result(_telling(str(error)))

        place = Place("modal", view_id=sent.view_id)
        task = self._start(self._once(sent.key, place, sent.user, submit))
        await asyncio.wait({task}, timeout=ACK_SECONDS)
        if found.done():
            await ack(response_action="update", view=found.result())
        elif task.done():
            await ack(response_action="clear")  # a second delivery of what is done
        else:
            await ack(response_action="update", view=waiting_modal("One moment"))
            await task
            if found.done():
                await self._parts.show.change(sent.view_id, found.result())

    async def _work(
        self,
        ack: AsyncAck,
        key: str,
        place: Place,
        user: str,
        work: Callable[[], Awaitable[None]],
    ) -> None:
        task = self._start(self._once(key, place, user, work))
        await asyncio.wait({task}, timeout=ACK_SECONDS)
        await ack()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # Kept here: the loop itself holds tasks weakly.
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _once(
        self, key: str, place: Place, user: str, work: Callable[[], Awaitable[None]]
    ) -> None:
        """Do it if Slack delivers it for the first time; tell the person what goes wrong."""
        log.debug("delivered", key=key, by=user)
        try:
            if not await self._parts.desk.take_up(key):
                log.info("delivered again", key=key)
                return
            await work()
        except RefusedError as error:
            await self._tell(place, user, str(error))
        except ImpossibleError as error:
            await self._tell(place, user, f":warning: {escaped(str(error))}")
        except StoreError as error:
            log.error("not saved", key=key, by=user, error=str(error))  # noqa: TRY400  # its one line says it
            await self._tell(place, user, NOT_SAVED.format(error=escaped(str(error))))
        except FilterdError as error:
            log.warning("not done", key=key, by=user, error=str(error))
            await self._tell(place, user, f":warning: {escaped(str(error))}")
        except Exception:
            log.exception("not done", key=key, by=user)
            await self._tell(place, user, BUG)

    async def _tell(self, place: Place, user: str, text: str) -> None:
        if place.surface == "modal":
            await self._parts.show.change(place.view_id, _telling(text))
        else:
            await self._parts.show.privately(place, user, said(text), text)


async def _not_understood(error: Exception) -> BoltResponse:
    """A payload that lacks what Slack promises. What goes wrong with work is not for here."""
    log.error("a delivery was not understood", error=repr(error))
    return BoltResponse(status=400)


def _telling(text: str) -> View:
    return modal("filterd", said(text))


def _place_of(body: Mapping[str, Any]) -> tuple[Place, str]:
    """Where to answer what is not understood, and whom."""
    user = str((body.get("user") or {}).get("id", ""))
    container = body.get("container") or {}
    channel = body.get("channel") or {}
    url = str(body.get("response_url") or "")
    if container.get("type") == "view" and (body.get("view") or {}).get("type") == "modal":
        return Place("modal", view_id=str(body["view"]["id"])), user
    return Place("message", channel=str(channel.get("id", "")), response_url=url), user
