"""Socket Mode: a connection to Slack, opened anew whenever it ends.

Not slack_sdk's own client: that tries one address for ever, though Slack lets each be used once,
and a token that is refused, too.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import structlog
from slack_bolt.request.async_request import AsyncBoltRequest

from bot.faults import FAULTS, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aiohttp import ClientWebSocketResponse
    from slack_bolt.app.async_app import AsyncApp
    from slack_bolt.response import BoltResponse
    from slack_sdk.web.async_client import AsyncWebClient

# Who hears nothing for so long asks whether Slack is still there; half of it later it is not.
HEARTBEAT: Final = 20.0
CALL_SECONDS: Final = 15.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
# A connection that lasted so long was a good one: the next is opened at once.
STEADY_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 2.0

log = structlog.get_logger(__name__)


class Link:
    """`open`, then `close` when all is over. `clock` gives seconds that only grow."""

    def __init__(
        self, app: AsyncApp, client: AsyncWebClient, token: str, clock: Callable[[], float]
    ) -> None:
        self._app = app
        self._client = client
        self._token = token
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._newest: ClientWebSocketResponse | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._listening: set[asyncio.Task[None]] = set()
        self._answering: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Connect; from now on that is kept up. Raises one of FAULTS, and may be tried again."""
        socket = await self._connect()
        self._keeper = asyncio.create_task(self._keep(socket), name="link")

    async def close(self) -> None:
        """Let what has come be acknowledged, then hang up."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._answering:
            await asyncio.wait(set(self._answering), timeout=CLOSE_SECONDS)
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _connect(self) -> ClientWebSocketResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        answer = await self._client.apps_connections_open(app_token=self._token)
        async with asyncio.timeout(CALL_SECONDS):
            return await self._session.ws_connect(
                str(answer["url"]),
                heartbeat=HEARTBEAT,
                proxy=self._client.proxy,
                ssl=self._client.ssl or True,
            )

    async def _keep(self, socket: ClientWebSocketResponse) -> None:
        """One connection after the other, for ever."""
        pause = 0.0
        while True:
            begun, leave = self._clock(), asyncio.Event()
            self._newest = socket
            _kept(self._listening, self._listen(socket, leave))
            log.info("connected")
            await leave.wait()
            steady = self._clock() - begun >= STEADY_SECONDS
            pause = 0.0 if steady else _longer(pause)
            socket = await self._connect_again(pause)

    async def _connect_again(self, pause: float) -> ClientWebSocketResponse:
        while True:
            await asyncio.sleep(pause)
            try:
                return await self._connect()
            except FAULTS as error:
                pause = _longer(pause)
                log.warning("no socket, trying again", error=reason_of(error), seconds=pause)

    async def _listen(self, socket: ClientWebSocketResponse, leave: asyncio.Event) -> None:
        """Take what comes until the connection ends; `leave` says that another is needed."""
        try:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                envelope = json.loads(message.data)
                if envelope.get("type") == "disconnect":
                    log.info("slack wants another connection", reason=envelope.get("reason"))
                    leave.set()  # and this one is heard until Slack closes it
                elif "envelope_id" in envelope:
                    _kept(self._answering, self._answer(socket, envelope))
        finally:
            leave.set()
            await socket.close()

    async def _answer(self, socket: ClientWebSocketResponse, envelope: dict[str, Any]) -> None:
        """Have the app work on it, and acknowledge it, by the way it came if that is still open."""
        request = AsyncBoltRequest(mode="socket_mode", body=envelope.get("payload") or {})
        response = await self._app.async_dispatch(request)
        if response.status != 200:
            log.warning("not acknowledged", status=response.status)
            return
        sent = json.dumps({"envelope_id": envelope["envelope_id"], **_payload(response)})
        for each in (socket, self._newest):
            if each is None or each.closed:
                continue
            try:
                await each.send_str(sent)
            except FAULTS:
                continue
            return
        log.warning("acknowledged too late, the connection has ended")


def _payload(response: BoltResponse) -> dict[str, Any]:
    if not response.body:
        return {}
    is_json = "".join(response.headers.get("content-type", [])).startswith("application/json")
    return {"payload": json.loads(response.body) if is_json else {"text": response.body}}


def _longer(pause: float) -> float:
    return min(max(FIRST_PAUSE, 2 * pause), LONGEST_PAUSE)


def _kept(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    """Begin it; the loop itself holds tasks weakly."""
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    task.add_done_callback(_told)


def _told(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a delivery failed", exc_info=error)
