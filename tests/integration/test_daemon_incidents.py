"""The real daemon loses its next hop, or is given a broken bundle: it is written, and when it ends."""

import select
import socket
import socketserver
import threading
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime

import pytest
from daemon_process import HAM, PATIENCE
from tiny_bundle import make_tiny_bundle

from filterd.store.database import open_database
from filterd.store.incidents import since
from filterd.store.models import register_bundle, set_champion

pytest_plugins = ("daemon_fixtures",)

TICK = 0.05  # seconds between two looks at the database, which cannot be waited for
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Peer(socketserver.StreamRequestHandler):
    """As much of a mail server as a greeting and a mail need."""

    def handle(self):
        with suppress(ConnectionError):  # either side may hang up
            self.converse()

    def converse(self):
        self.wfile.write(b"220 hop.example ESMTP\r\n")
        for line in self.rfile:
            verb = line[:4].upper().strip()
            if verb == b"DATA":
                self.wfile.write(b"354 Go on\r\n")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
            self.wfile.write(b"221 Bye\r\n" if verb == b"QUIT" else b"250 hop.example\r\n")


class Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments):
        self.open = []
        super().__init__(*arguments)

    def process_request(self, request, client_address):
        self.open.append(request)
        super().process_request(request, client_address)


@contextmanager
def next_hop(port=0):
    """A mail server that, in the end, hangs up on everyone; its port."""
    with Listener(("127.0.0.1", port), Peer) as server:
        threading.Thread(target=server.serve_forever, args=(TICK,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
    for connection in server.open:
        with suppress(OSError):  # the daemon may have gone first
            connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def database(site):
    with closing(open_database(f"sqlite:///{site / 'var/filterd.db'}")) as database:
        yield database


def incident(database, *, over, number=0):
    """Wait until so many incidents were before it and it goes on, or is over."""
    looks = int(PATIENCE / TICK)
    for _ in range(looks):
        found = since(database, LONG_AGO)[number:]
        if found and (found[0].ended_at is not None) == over:
            return found[0]
        select.select([], [], [], TICK)
    pytest.fail(f"not within {PATIENCE} s: {since(database, LONG_AGO)}")


@pytest.mark.scenario(
    "F54",
    "the next hop goes away and comes back",
    "an incident is written, and its end, even without mail",
)
def test_a_next_hop_that_is_down_is_written_until_it_is_back_even_without_mail(serve, database):
    with next_hop() as port:
        daemon = serve(next_hop=f"smtp://127.0.0.1:{port}")
        assert daemon.send(HAM)[0] == 250
    with daemon.client() as client:
        client.ehlo("client.example")
        assert client.mail("a@example.org")[0] == 451
        found = incident(database, over=False)
    assert (found.kind, found.text) == (
        "next_hop",
        f"smtp://127.0.0.1:{port}: Connection refused",
    )
    assert found.source.endswith(" worker 0")
    with next_hop(port):
        over = incident(database, over=True)
        assert over.id == found.id
        assert daemon.send(HAM)[0] == 250
    assert "a@example.org" not in found.text


@pytest.mark.scenario(
    "F55",
    "a damaged bundle is promoted",
    "the one before it serves on; an incident is written until another one serves",
)
def test_a_champion_that_cannot_serve_is_written_until_another_one_does(serve, site, database):
    def promote(version, *, damaged):
        bundle = make_tiny_bundle(site / "var/models" / version, version=version)
        if damaged:
            (bundle.path / "model.onnx").write_bytes(b"")
        register_bundle(
            database,
            version,
            str(bundle.path),
            created_at=datetime.fromisoformat(bundle.created),
            data_digest=bundle.data_digest,
            metrics=bundle.metrics,
        )
        set_champion(database, version, by="test", why="test")

    serve()
    promote("tiny.2", damaged=True)
    found = incident(database, over=False)
    assert found.kind == "bundle"
    assert "model.onnx" in found.text
    promote("tiny.3", damaged=False)
    assert incident(database, over=True).id == found.id
