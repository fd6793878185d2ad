"""The sockets that workers accept from: one each, all on one address, and for whom."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import TYPE_CHECKING

from filterd.errors import ListenError, SettingsError
from filterd.settings import split_address

if TYPE_CHECKING:
    from filterd.settings import Settings

BACKLOG = 1024


def require_clients(settings: Settings, sock: socket.socket) -> None:
    """SettingsError if `sock` can be reached from elsewhere and nobody said who may use it.

    The next hop takes filterd for a neighbour and relays for it, so whoever may send to filterd
    may send anywhere: that is for a person to decide, not for a default.
    """
    host = sock.getsockname()[0]
    address = ipaddress.ip_address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    if (mapped or address).is_loopback or "allowed_clients" in settings.model_fields_set:
        return
    raise SettingsError(
        f"listen = {settings.listen} can be reached from other machines; set `allowed_clients` to "
        "the networks that may send mail to it, the address of your mail server for example"
    )


def bind(address: str, count: int) -> list[socket.socket]:
    """`count` listening sockets on one address, shared by SO_REUSEPORT; raises ListenError.

    The address is first bound without SO_REUSEPORT: two filterds of one user would otherwise
    share a port and each get half of the mail.
    """
    host, port = split_address(address)
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, where = found[0]
        if port:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(where)
                probe.listen()
        sockets: list[socket.socket] = []
        for _ in range(count):
            sock = socket.socket(family, kind, protocol)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(sockets[0].getsockname() if sockets else where)
            sock.listen(BACKLOG)
            sockets.append(sock)
    except OSError as error:
        hint = {
            errno.EADDRINUSE: "another program listens there; stop it or set another `listen`",
            errno.EACCES: "not permitted; ports below 1024 need root or CAP_NET_BIND_SERVICE",
            errno.EADDRNOTAVAIL: "this machine does not have that address",
        }.get(error.errno or 0, error.strerror or str(error))
        raise ListenError(f"listen = {address}: {hint}") from None
    return sockets
