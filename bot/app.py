"""Composition root of the bot: builds the parts, connects to Slack, serves until told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import time
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from aiohttp import web
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.http_retry.builtin_async_handlers import AsyncConnectionErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.actions import Actions
from bot.answering import Answering
from bot.desk import PATIENCE, Desk
from bot.door import door
from bot.duty import Duty, Term
from bot.errors import SlackError
from bot.explainer import Explainer
from bot.faults import FAULTS, is_away, reason_of
from bot.front import Front
from bot.gate import Gate
from bot.labelling import Labelling
from bot.link import Link
from bot.listeners import Listeners
from bot.parts import Parts
from bot.pictures import Pictures
from bot.poster import Pace, Poster
from bot.rendering import Rendering
from bot.settings import rules
from bot.showing import Show
from bot.watch import Watch
from filterd.settings import split_address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from slack_sdk.http_retry.async_handler import AsyncRetryHandler

    from bot.settings import BotSettings, Tokens
    from filterd.settings import Settings
    from filterd.store.database import Database

T = TypeVar("T")

# Between attempts to reach Slack at the start.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
# For what was clicked before the end: what a locked database may take, within the half minute that
# Kubernetes gives.
DRAIN_SECONDS = 25.0
CALL_SECONDS = 15
TERM, PACE = Term(), Pace()

log = structlog.get_logger(__name__)


class Bot:
    """The parts of one bot process. `run` until SIGTERM or SIGINT."""

    def __init__(
        self,
        settings: Settings,
        own: BotSettings,
        tokens: Tokens,
        database: Database,
        *,
        term: Term = TERM,
        pace: Pace = PACE,
        patience: float = PATIENCE,
    ) -> None:
        self._own = own
        self._tokens = tokens
        # For what people wait for: tried once more if the connection breaks.
        self._client = _client(own, tokens, AsyncConnectionErrorRetryHandler())
        self._desk = Desk(
            database, settings.models, now=now, clock=time.monotonic, patience=patience
        )
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
        poster = Poster(
            # It must know of each call: one whose connection broke may have been taken.
            _client(own, tokens),
            self._desk,
            rendering.said,
            now=now,
            clock=time.monotonic,
            pace=pace,
        )
        self._duty = Duty(
            parts,
            settings,
            {"watch": watch.run, "poster": poster.run},
            # Replicas in containers may have all of it in common but the last.
            f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
            clock=time.monotonic,
            term=term,
        )

    async def run(self) -> None:
        """Serve. Raises SlackError if Slack does not take the tokens."""
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        who = await _patiently(
            self._client.auth_test, ended, "the bot token", "docs/slack.md says where it is shown"
        )
        if who is None:
            return
        async with AsyncExitStack() as exits:
            exits.push_async_callback(self._desk.close)
            self._explainer.start()
            exits.push_async_callback(asyncio.to_thread, self._explainer.close)
            duty = asyncio.create_task(self._duty.run(), name="duty")
            exits.push_async_callback(_cancelled, duty)
            exits.push_async_callback(self._listeners.drain, DRAIN_SECONDS)
            app = self._app(_identity(who, self._tokens))
            if self._own.mode == "socket":
                await self._open_socket(app, exits, ended)
            else:
                await self._listen(app, exits)
            if not ended.is_set():
                log.info("serving", mode=self._own.mode, channel=self._own.channel)
            stop = asyncio.create_task(ended.wait())
            await asyncio.wait({stop, duty}, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            log.info("stopping")
        if duty.done() and not duty.cancelled():
            duty.result()

    def _app(self, identity: AuthorizeResult) -> AsyncApp:
        async def authorize() -> AuthorizeResult:
            """Without asking Slack each time: a click counts while its API is away, too."""
            return identity

        app = AsyncApp(
            client=self._client,
            authorize=authorize,
            # The door has looked at the signature, and at a socket there is none.
            signing_secret="unused",  # noqa: S106  # no secret
            request_verification_enabled=False,
            ignoring_self_events_enabled=True,
            logger=_bolts_logger(),
        )
        self._listeners.attach(app)
        return app

    async def _listen(self, app: AsyncApp, exits: AsyncExitStack) -> None:
        runner = web.AppRunner(
            door(app, self._tokens.signing_secret.get_secret_value()),
            access_log=None,
            shutdown_timeout=DRAIN_SECONDS,
        )
        await runner.setup()
        exits.push_async_callback(runner.cleanup)
        host, port = split_address(self._own.listen)
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise SlackError(f"listen {self._own.listen}: {error.strerror or error}") from None

    async def _open_socket(
        self, app: AsyncApp, exits: AsyncExitStack, ended: asyncio.Event
    ) -> None:
        """Connect; from then on the link connects anew by itself."""
        link = Link(app, self._client, self._tokens.app.get_secret_value(), time.monotonic)
        exits.push_async_callback(link.close)
        scope = "it needs the scope connections:write"
        await _patiently(link.open, ended, "the app token", scope)


def now() -> datetime:
    """The bot's clock."""
    return datetime.now(UTC)


def _client(own: BotSettings, tokens: Tokens, *handlers: AsyncRetryHandler) -> AsyncWebClient:
    return AsyncWebClient(
        token=tokens.bot.get_secret_value(),
        base_url=own.api_url,
        timeout=CALL_SECONDS,
        retry_handlers=list(handlers),
    )


async def _patiently(
    call: Callable[[], Awaitable[T]], ended: asyncio.Event, token: str, advice: str
) -> T | None:
    """What a call to Slack gives, once Slack is there. None if told to stop meanwhile.

    Raises SlackError if Slack does not take the token.
    """
    pause = FIRST_PAUSE
    while not ended.is_set():
        try:
            return await call()
        except FAULTS as error:
            if not is_away(error):
                raise SlackError(
                    f"Slack does not take {token}: {reason_of(error)}; {advice}"
                ) from None
            log.warning("slack away, trying again", error=reason_of(error), seconds=pause)
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    return None


def _identity(who: Any, tokens: Tokens) -> AuthorizeResult:
    """Of what `auth.test` says."""
    return AuthorizeResult(
        enterprise_id=who.get("enterprise_id"),
        team_id=who.get("team_id"),
        bot_user_id=who.get("user_id"),
        bot_id=who.get("bot_id"),
        bot_token=tokens.bot.get_secret_value(),
    )


def _bolts_logger() -> logging.Logger:
    """Only for errors: its warnings are for who writes bots, and may quote what people wrote."""
    logger = logging.getLogger("slack_bolt")
    logger.setLevel(logging.ERROR)
    return logger


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
