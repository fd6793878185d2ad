"""Ports on loopback: free ones, and the two that the Postfix fragments fix."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"
# As written in deploy/postfix, which the tests use as it is.
FILTERD_PORT = 10025
REINJECTION_PORT = 10026


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        return sock.getsockname()[1]


def require_free(port: int) -> None:
    """AssertionError if something listens on `port`: a clear reason before a puzzling failure."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
        except OSError:
            raise AssertionError(
                f"port {port} on {LOOPBACK} is in use; the end-to-end tests need it because "
                "deploy/postfix names it. Stop what listens there (ss -ltnp) and run them again."
            ) from None
