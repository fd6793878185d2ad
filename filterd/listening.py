"""The sockets that workers accept from: one each, all on one address."""

from __future__ import annotations

import errno
import socket

from filterd.errors import ListenError
from filterd.settings import split_address

BACKLOG = 1024


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
