"""Listening, the set of open sessions, and the way down: drain."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, cast

import structlog

from filterd.smtp.replies import OVERLOADED, SHUTTING_DOWN, TOO_MANY_CONNECTIONS, Reply
from filterd.smtp.session import Session

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine

    from filterd.smtp.config import ServerConfig

BACKLOG: Final = 1024

log = structlog.get_logger(__name__)


class Server:
    """An SMTP listener. It owns its sessions, not the next hops, which the caller closes."""

    def __init__(self, config: ServerConfig) -> None:
        self.draining = False
        self._config = config
        self._listener: asyncio.Server | None = None
        self._sessions: set[Session] = set()
        self._addresses: dict[Session, str] = {}
        self._by_client: Counter[str] = Counter()
        # Since when each session waits for its client to speak; who waits longest comes first.
        self._waiting: dict[Session, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._became_idle = asyncio.Event()
        # aiosmtpd logs addresses and commands at INFO; what matters of that is logged here.
        logging.getLogger("mail.log").setLevel(logging.WARNING)

    async def start(self, sock: socket.socket) -> None:
        """Serve on a bound socket."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._admit, sock=sock, backlog=BACKLOG)

    def stop_accepting(self) -> None:
        """Leave new connections on the socket to whoever else listens on it."""
        if self._listener is not None:
            self._listener.close()

    async def drain(self, timeout: float) -> None:  # noqa: ASYNC109  # it bounds, not cancels
        """Stop: newcomers and idle sessions get 421 4.3.2, transactions `timeout` seconds to end.

        Then whatever is left is cut off: its message was not answered, so its sender has it.
        """
        self.draining = True
        for session in list(self._sessions):
            session.shut_down()
        try:
            async with asyncio.timeout(timeout):
                while self._sessions or self._tasks:
                    self._became_idle.clear()
                    await self._became_idle.wait()
        except TimeoutError:
            log.warning("drain_timed_out", sessions=self.connections, messages=len(self._tasks))
        self.stop_accepting()
        for session in list(self._sessions):
            session.kill()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # For sessions

    @property
    def connections(self) -> int:
        """Open client connections."""
        return len(self._sessions)

    def register(self, session: Session) -> None:
        """A session has a connection."""
        self._sessions.add(session)

    def forget(self, session: Session) -> None:
        """A session is over."""
        self._sessions.discard(session)
        self._let_client_go(session)
        self._waiting.pop(session, None)
        self._signal_idle()

    def is_within_share(self, session: Session, address: str) -> bool:
        """Count a session as its client's; False if that has as many as it may."""
        most = self._config.max_connections_per_client
        if most is not None and self._by_client[address] >= most:
            return False
        self._addresses[session] = address
        self._by_client[address] += 1
        return True

    def _let_client_go(self, session: Session) -> None:
        address = self._addresses.pop(session, None)
        if address is None:
            return
        self._by_client[address] -= 1
        if not self._by_client[address]:
            del self._by_client[address]

    def waits(self, session: Session) -> None:
        """A session waits for its client's next command."""
        self._waiting[session] = asyncio.get_running_loop().time()

    def works(self, session: Session) -> None:
        """Its client spoke."""
        self._waiting.pop(session, None)

    def keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` to its end even if the session that asked for it does not last."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._let_go)
        return task

    def _let_go(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._signal_idle()

    def _signal_idle(self) -> None:
        if not (self._sessions or self._tasks):
            self._became_idle.set()

    def _admit(self) -> asyncio.BaseProtocol:
        if self.draining:
            return _Refusal(SHUTTING_DOWN)
        if not self._config.may_connect(len(self._sessions)):
            return _Refusal(OVERLOADED)
        # Sessions count themselves again when connected; this is the cheap way out under a flood.
        if len(self._sessions) >= self._config.max_connections and not self._make_room():
            return _Refusal(TOO_MANY_CONNECTIONS)
        return cast("asyncio.BaseProtocol", Session(self._config, self))

    def _make_room(self) -> bool:
        """Send the longest silent client away; False if even that one spoke just now.

        A thousand connections that say nothing would otherwise lock everyone else out until
        `command_timeout`. What is sent away has no message underway, so its sender still has it.
        """
        session, since = next(iter(self._waiting.items()), (None, 0.0))
        silent = asyncio.get_running_loop().time() - since
        if session is None or silent < self._config.silence:
            return False
        session.make_room()
        self.forget(session)
        return True


class _Refusal(asyncio.Protocol):
    """A connection that gets one reply and no session."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say it and hang up."""
        writer = cast("asyncio.WriteTransport", transport)
        writer.write(self._reply.encode())
        writer.close()
