"""Opening a connection to a mail server: address, greeting, EHLO or LHLO, STARTTLS."""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import aiosmtplib
import structlog

from filterd.errors import NextHopError
from filterd.smtp.commands import is_size
from filterd.smtp.transaction import Capabilities
from filterd.smtp.wire import Wire

if TYPE_CHECKING:
    from filterd.smtp.transaction import NextHopOptions

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a mail server listens: host and port, or a Unix socket."""

    host: str
    port: int
    socket_path: str
    lmtp: bool


@dataclass(slots=True)
class Connection:
    """An open connection, past its greetings."""

    wire: Wire
    capabilities: Capabilities
    expiry: asyncio.TimerHandle | None = None


class _TlsFailedError(Exception):
    """STARTTLS was offered and did not work out."""


class Connector:
    """Opens connections to one mail server; holds what is costly to make."""

    def __init__(self, target: Target, options: NextHopOptions) -> None:
        self._target = target
        self._options = options
        self._tls = "none" if target.socket_path else options.tls
        self._context = None if self._tls == "none" else _make_context(options)

    async def connect(self) -> Connection:
        """A connection ready for MAIL, within `connect_timeout`; raises NextHopError."""
        try:
            return await self._connect(self._tls)
        except _TlsFailedError as error:
            if self._tls == "required":
                raise NextHopError(f"STARTTLS failed: {error}") from None
            log.warning("next_hop_tls_failed", host=self._target.host, reason=str(error))
        try:
            return await self._connect("none")
        except _TlsFailedError as error:  # pragma: no cover  # not without TLS
            raise NextHopError(str(error)) from None

    async def _connect(self, tls: str) -> Connection:
        target, options = self._target, self._options
        client = aiosmtplib.SMTP(
            hostname=target.host,
            port=None if target.socket_path else target.port,
            socket_path=target.socket_path or None,
            local_hostname=options.hostname,
            timeout=options.connect_timeout,
            start_tls=False,
        )
        try:
            async with asyncio.timeout(options.connect_timeout):
                await client.connect()
                await self._greet(client)
                if tls != "none":
                    await self._start_tls(client)
        except TimeoutError:
            client.close()
            raise NextHopError(f"no greeting within {options.connect_timeout:g} s") from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            client.close()
            raise NextHopError(_describe(error)) from None
        except BaseException:
            client.close()
            raise
        wire = Wire(cast("asyncio.Transport", client.transport))
        return Connection(wire, _read_capabilities(client))

    async def _greet(self, client: aiosmtplib.SMTP) -> None:
        if self._target.lmtp:
            reply = await client.execute_command(b"LHLO", self._options.hostname.encode("ascii"))
            if reply.code != aiosmtplib.SMTPStatus.completed:
                raise aiosmtplib.SMTPHeloError(reply.code, reply.message)
            client.last_ehlo_response = reply
            return
        try:
            await client.ehlo()
        except aiosmtplib.SMTPHeloError as refused:
            if not 500 <= refused.code < 600:  # only 5xx means "no ESMTP here"
                raise
            await client.helo()

    async def _start_tls(self, client: aiosmtplib.SMTP) -> None:
        if not client.supports_extension("STARTTLS"):
            if self._tls == "required":
                raise NextHopError("does not offer STARTTLS, which next_hop_tls requires")
            return
        try:
            await client.starttls(tls_context=self._context)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _TlsFailedError(_describe(error)) from None
        await self._greet(client)


def _make_context(options: NextHopOptions) -> ssl.SSLContext:
    if options.tls == "required":
        return options.tls_context or ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # Opportunistic: the alternative is plain text, so an unknown certificate is no worse.
    context.verify_mode = ssl.CERT_NONE
    return context


def _read_capabilities(client: aiosmtplib.SMTP) -> Capabilities:
    """EHLO keywords with upper-case names; SIZE 0 or without a figure means no limit (RFC 1870)."""
    extensions = {name.upper(): value for name, value in client.esmtp_extensions.items()}
    size = extensions.get("SIZE", "").strip()
    return Capabilities(
        size=(int(size) or None) if is_size(size) else None,
        names=frozenset(extensions),
        xforward=tuple(extensions.get("XFORWARD", "").upper().split()),
    )


def _describe(error: Exception) -> str:
    """An error in one line, for logs and for the person at the terminal."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"refused us: {error.code} {' '.join(error.message.split())}"
    # aiosmtplib and asyncio wrap what the system says; that alone is news to who knows the address.
    cause = error.__cause__ if isinstance(error, aiosmtplib.SMTPException) else error
    text = str(error)
    if isinstance(cause, ConnectionError) and cause.errno:
        text = os.strerror(cause.errno)
    elif isinstance(cause, OSError) and cause.strerror:
        text = cause.strerror
    return " ".join(text.split()) or type(error).__name__
