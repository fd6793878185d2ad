"""What a server is told: limits, neighbours, and who judges. Fixed for the life of a session."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from filterd.smtp.examiner import Examiner
    from filterd.smtp.transaction import NextHop


Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Bounds of one session; sizes in bytes, times in seconds."""

    max_message_size: int
    max_recipients: int
    max_line_length: int
    max_header_size: int
    command_timeout: float
    data_timeout: float
    bare_newline: Literal["normalize", "reject"]


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """All that sessions of one server share. A reload starts a new server with a new one."""

    examiner: Examiner
    next_hop: NextHop
    quarantine: NextHop | None
    limits: SessionLimits
    hostname: str
    allowed_clients: Networks
    trusted_peers: Networks
    max_connections: int
    # Of one address; no bound of its own if None.
    max_connections_per_client: int | None = None
    # Seconds a client may be silent before it must make room for a newcomer, if there is none.
    silence: float = 5.0
    tls: ssl.SSLContext | None = None
    proxy_protocol: bool = False
    exhausted: Callable[[], None] = lambda: None  # told when memory ran out in a session
    # Whether there is time for a message that is announced now; if not, MAIL is answered 451.
    may_begin: Callable[[], bool] = lambda: True
    # The same of a client that connects, given the number of those who are connected: else 421.
    may_connect: Callable[[int], bool] = lambda _: True


def is_within(address: str, networks: Networks) -> bool:
    """Whether `address` lies in one of `networks`; IPv4 in IPv6 clothes counts as IPv4."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)
