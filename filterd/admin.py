"""/metrics, /healthz and /readyz on a local port, for Prometheus and for whoever restarts us.

Runs in a thread of the supervisor and only reads; what it may not do is touch mail.
"""

from __future__ import annotations

import errno
import socket
import threading
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.multiprocess import MultiProcessCollector

from filterd.errors import ListenError
from filterd.settings import split_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    Health = Callable[[], tuple[bool, str]]


CLOSE_SECONDS = 0.1  # how often the thread looks whether it is to end


class _QuietHandler(WSGIRequestHandler):
    """A probe every few seconds is not worth a log line each."""

    timeout = 10  # seconds; a probe that stalls must not hold a thread for ever

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class' name
        """Say nothing."""


class _ServerV6(ThreadingWSGIServer):
    address_family = socket.AF_INET6


class AdminServer:
    """The local HTTP server; `alive` and `ready` say yes or no and why, in a line."""

    def __init__(self, address: str, metrics_folder: str, *, alive: Health, ready: Health) -> None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=metrics_folder)  # type: ignore[no-untyped-call]
        self._metrics = make_wsgi_app(registry)
        self._health = {"/healthz": alive, "/readyz": ready}
        host, port = split_address(address)
        kind = _ServerV6 if ":" in host else ThreadingWSGIServer
        try:
            self._server = make_server(host, port, self._answer, kind, handler_class=_QuietHandler)
        except OSError as error:
            hint = {
                errno.EADDRINUSE: "another program listens there; stop it, set another `metrics`, "
                "or set it to nothing",
            }.get(error.errno or 0, error.strerror or str(error))
            raise ListenError(f"metrics = {address}: {hint}") from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(CLOSE_SECONDS,), name="admin", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """HOST:PORT as bound, which tells the port where 0 was asked for."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: WSGIEnvironment, respond: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            body: Iterable[bytes] = self._metrics(environ, respond)
            return body
        if path not in self._health:
            respond("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"filterd answers /metrics, /healthz and /readyz\n"]
        fine, text = self._health[path]()
        status = "200 OK" if fine else "503 Service Unavailable"
        respond(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{text}\n".encode()]
