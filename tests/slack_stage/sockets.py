"""Socket Mode: who is connected gets the envelopes in turn, and acknowledges them."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from slack_stage.records import Ack, Delivery
from slack_stage.workspace import APP_ID

if TYPE_CHECKING:
    from slack_stage.records import Records

HOST = "applink-stage"
CLOSE_SECONDS = 2.0


class Sockets:
    """Lives in the shim's event loop; only `count` may be read from elsewhere."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._tickets: set[str] = set()
        self._open: deque[web.WebSocketResponse] = deque()
        self._transports: dict[web.WebSocketResponse, asyncio.Transport] = {}
        self._awaited: dict[str, tuple[web.WebSocketResponse, asyncio.Future[dict[str, Any]]]] = {}

    @property
    def count(self) -> int:
        return len(self._open)

    def new_ticket(self) -> str:
        """Good for one connection."""
        ticket = secrets.token_urlsafe(12)
        self._tickets.add(ticket)
        return ticket

    async def connection(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection to its end."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=403)
        self._tickets.remove(ticket)
        socket = web.WebSocketResponse(timeout=CLOSE_SECONDS)
        await socket.prepare(request)
        self._transports[socket] = request.transport
        try:
            await socket.send_json(_hello(self.count + 1))
            self._open.append(socket)
            self._records.touch()
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._acknowledged(message.data)
        except ConnectionError:
            pass  # the bot was killed, or the test hung up
        finally:
            self._gone(socket)
        return socket

    def _acknowledged(self, text: str) -> None:
        at = time.monotonic()
        ack = json.loads(text)
        payload = ack.get("payload") or {}
        _, awaited = self._awaited.get(ack["envelope_id"], (None, None))
        if awaited is not None and not awaited.done():
            awaited.set_result(payload)
        self._records.add("acks", Ack(ack["envelope_id"], payload, at))

    def _gone(self, socket: web.WebSocketResponse) -> None:
        if socket in self._open:
            self._open.remove(socket)
        self._transports.pop(socket, None)
        for holder, awaited in self._awaited.values():
            if holder is socket and not awaited.done():
                awaited.set_exception(ConnectionResetError("the socket closed before the ack"))
        self._records.touch()

    async def deliver(self, envelope: dict[str, Any], seconds: float) -> Delivery:
        """Send an envelope to the next socket and wait for its ack."""
        start = time.monotonic()
        if not self._open:
            return Delivery(0, {}, 0.0, "no socket is connected")
        self._open.rotate(-1)
        socket = self._open[-1]
        awaited: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._awaited[envelope["envelope_id"]] = (socket, awaited)
        try:
            await socket.send_json(envelope)
            body = await asyncio.wait_for(awaited, seconds)
        except (ConnectionError, TimeoutError) as error:
            reason = str(error) or f"no ack within {seconds:g} s"
            return Delivery(0, {}, time.monotonic() - start, reason)
        finally:
            del self._awaited[envelope["envelope_id"]]
        return Delivery(200, body, time.monotonic() - start)

    async def disconnect(self, reason: str) -> None:
        """Tell every socket to connect anew, then close it."""
        leaving = list(self._open)
        self._open.clear()
        await asyncio.gather(*(_dismiss(socket, reason) for socket in leaving))

    def hang_up(self) -> None:
        """Cut all connections without a word."""
        self._open.clear()
        for transport in list(self._transports.values()):
            transport.abort()


async def _dismiss(socket: web.WebSocketResponse, reason: str) -> None:
    try:
        note = {"type": "disconnect", "reason": reason, "debug_info": {"host": HOST}}
        await socket.send_json(note)
        await socket.close()
    except ConnectionError:
        return  # it had left already


def _hello(connections: int) -> dict[str, Any]:
    return {
        "type": "hello",
        "num_connections": connections,
        "connection_info": {"app_id": APP_ID},
        "debug_info": {"host": HOST, "build_number": 1, "approximate_connection_time": 18060},
    }
