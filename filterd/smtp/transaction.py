"""The network seam: what a next hop is to a session, whatever protocol lies behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from filterd.errors import NextHopError
    from filterd.smtp.replies import Reply

    # Told of each attempt to connect: why it failed, or None. Returns at once, never raises.
    Reached = Callable[[NextHopError | None], None]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a next hop offers: upper-case EHLO keywords, its SIZE in bytes (None: no limit)."""

    size: int | None
    names: frozenset[str]
    xforward: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NextHopOptions:
    """How to reach a next hop; times in seconds, `pool_size` in idle connections.

    `tls`: `opportunistic` uses STARTTLS where offered and checks no certificate; `required`
    refuses to send without it and checks the certificate and its name against `tls_context`,
    or the system's authorities (SSL_CERT_FILE). Unix sockets and maildirs need none.
    """

    hostname: str
    tls: Literal["none", "opportunistic", "required"] = "none"
    connect_timeout: float = 10.0
    timeout: float = 300.0
    pool_size: int = 20
    idle: float = 30.0
    tls_context: ssl.SSLContext | None = None


class Transaction(Protocol):
    """One mail transaction on a next hop. Every method but the last two raises NextHopError
    when the hop is gone; the transaction is then over and nothing was delivered.
    """

    async def xforward(self, arguments: str) -> Reply:
        """Pass on XFORWARD attributes as they came."""

    async def mail(self, sender: str, parameters: str) -> Reply:
        """MAIL FROM; `parameters` holds only what the next hop offers."""

    async def rcpt(self, recipient: str, parameters: str) -> Reply:
        """RCPT TO."""

    async def data(self) -> Reply:
        """DATA: 354, or the next hop's refusal."""

    async def content(self, message: bytes) -> tuple[Reply, ...]:
        """Hand over the message after a 354: CRLF lines, not dot-stuffed.

        One reply, or one per accepted recipient if the hop is `per_recipient`. Never raises
        NextHopError: a reply that did not come is 451 4.4.2 here. Never sends content twice.
        """

    async def reset(self) -> Reply:
        """RSET, and its reply."""

    async def abort(self) -> None:
        """Drop the connection: nothing was delivered. Harmless when the transaction is over."""

    async def release(self) -> None:
        """The transaction is over, its connection may serve another. Never raises."""


class NextHop(Protocol):
    """Where mail goes."""

    url: str
    per_recipient: bool  # one reply per recipient after the content (LMTP)

    async def capabilities(self) -> Capabilities:
        """The last known; NextHopError if none is known and the hop cannot be reached."""

    async def probe(self) -> None:
        """See whether it can be reached now; raises NextHopError."""

    async def begin(self) -> Transaction:
        """A transaction on an idle or a new connection; raises NextHopError."""

    async def close(self) -> None:
        """Close idle connections; transactions underway may finish."""
