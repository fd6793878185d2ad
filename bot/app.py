"""Composition root of the bot: builds the parts, connects to Slack, serves until told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
)
from slack_sdk.web.async_client import AsyncWebClient

from bot.actions import Actions
from bot.answering import Answering
from bot.desk import Desk
from bot.duty import Duty
from bot.errors import SlackError
from bot.explainer import Explainer
from bot.front import Front
from bot.gate import Gate
from bot.labelling import Labelling
from bot.listeners import Listeners
from bot.manifest import PATH
from bot.parts import Parts
from bot.pictures import Pictures
from bot.poster import Poster
from bot.rendering import Rendering
from bot.settings import rules
from bot.showing import FAULTS, Show, reason_of
from bot.watch import Watch
from filterd.settings import split_address

if TYPE_CHECKING:
    from bot.settings import BotSettings, Tokens
    from filterd.settings import Settings
    from filterd.store.database import Database

# Between attempts to reach Slack at the start.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
DRAIN_SECONDS = 15.0
CALL_SECONDS = 15

log = structlog.get_logger(__name__)


class Bot:
    """The parts of one bot process. `run` until SIGTERM or SIGINT."""

    def __init__(
        self, settings: Settings, own: BotSettings, tokens: Tokens, database: Database
    ) -> None:
        self._own = own
        self._tokens = tokens
        self._client = _client(own, tokens)
        self._desk = Desk(database, settings.models, now=now)
        self._explainer = Explainer(database, settings, now=now)
        pictures = Pictures(self._client, time.monotonic)
        gate = Gate(self._client, rules(own), time.monotonic)
        rendering = Rendering(self._desk, self._explainer, pictures, excerpt=own.excerpt)
        parts = Parts(
            settings=own,
            models=settings.models,
            desk=self._desk,
            gate=gate,
            explainer=self._explainer,
            rendering=rendering,
            pictures=pictures,
            show=Show(self._client),
            now=now,
        )
        front = Front(parts)
        labelling = Labelling(self._desk, gate)
        actions = Actions(parts, labelling, front)
        answering = Answering(parts, labelling, actions)
        self._listeners = Listeners(parts, actions, answering, front)
        watch = Watch(self._desk, self._explainer, own, now=now)
        poster = Poster(self._client, self._desk, rendering.said, now=now, clock=time.monotonic)
        holder = f"{socket.gethostname()}:{os.getpid()}"
        self._duty = Duty(parts, settings, watch, poster, holder)

    async def run(self) -> None:
        """Serve. Raises SlackError if Slack does not take the tokens."""
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        identity = await self._introduce(ended)
        if identity is None:
            return
        async with AsyncExitStack() as exits:
            exits.push_async_callback(self._desk.close)
            self._explainer.start()
            exits.callback(self._explainer.close)
            duty = asyncio.create_task(self._duty.run(), name="duty")
            exits.push_async_callback(_cancelled, duty)
            exits.push_async_callback(self._listeners.drain, DRAIN_SECONDS)
            await self._connect(self._app(identity), exits)
            log.info("serving", mode=self._own.mode, channel=self._own.channel)
            stop = asyncio.create_task(ended.wait())
            await asyncio.wait({stop, duty}, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            log.info("stopping")
        if duty.done() and not duty.cancelled():
            duty.result()

    async def _introduce(self, ended: asyncio.Event) -> AuthorizeResult | None:
        """Who we are for Slack; waits for a Slack that is away. None if told to stop meanwhile."""
        pause = FIRST_PAUSE
        while not ended.is_set():
            try:
                answer = await self._client.auth_test()
            except SlackApiError as error:
                raise SlackError(
                    f"Slack does not take the bot token: {reason_of(error)}; docs/slack.md says "
                    "where it is shown"
                ) from None
            except FAULTS as error:
                log.warning("slack away, trying again", error=reason_of(error), seconds=pause)
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return AuthorizeResult(
                    enterprise_id=answer.get("enterprise_id"),
                    team_id=answer.get("team_id"),
                    bot_user_id=answer.get("user_id"),
                    bot_id=answer.get("bot_id"),
                    bot_token=self._tokens.bot.get_secret_value(),
                )
        return None

    def _app(self, identity: AuthorizeResult) -> AsyncApp:
        async def authorize() -> AuthorizeResult:
            """Without asking Slack each time: a click counts while its API is away, too."""
            return identity

        app = AsyncApp(
            client=self._client,
            authorize=authorize,
            signing_secret=self._tokens.signing_secret.get_secret_value() or "unused",
            request_verification_enabled=self._own.mode == "http",
            ignoring_self_events_enabled=True,
        )
        self._listeners.attach(app)
        return app

    async def _connect(self, app: AsyncApp, exits: AsyncExitStack) -> None:
        if self._own.mode == "socket":
            await self._open_socket(app, exits)
            return
        runner = web.AppRunner(_web_app(app), access_log=None)
        await runner.setup()
        exits.push_async_callback(runner.cleanup)
        host, port = split_address(self._own.listen)
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise SlackError(f"listen {self._own.listen}: {error.strerror or error}") from None

    async def _open_socket(self, app: AsyncApp, exits: AsyncExitStack) -> None:
        """Connect; from then on the handler connects anew by itself."""
        handler = AsyncSocketModeHandler(app, self._tokens.app.get_secret_value())
        exits.push_async_callback(handler.client.close)
        pause = FIRST_PAUSE
        while True:
            try:
                await handler.client.connect()  # type: ignore[no-untyped-call]
            except SlackApiError as error:
                raise SlackError(
                    f"Slack does not take the app token: {reason_of(error)}; it needs the scope "
                    "connections:write"
                ) from None
            except FAULTS as error:
                log.warning("no socket, trying again", error=reason_of(error), seconds=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return


def now() -> datetime:
    """The bot's clock."""
    return datetime.now(UTC)


def _client(own: BotSettings, tokens: Tokens) -> AsyncWebClient:
    return AsyncWebClient(
        token=tokens.bot.get_secret_value(),
        base_url=own.api_url,
        timeout=CALL_SECONDS,
        retry_handlers=[
            AsyncConnectionErrorRetryHandler(),
            AsyncRateLimitErrorRetryHandler(max_retry_count=1),
        ],
    )


def _web_app(app: AsyncApp) -> web.Application:
    async def healthy(_request: web.Request) -> web.Response:
        return web.Response(text="serving\n")

    application = app.web_app(PATH)
    application.router.add_get("/healthz", healthy)
    return application


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
