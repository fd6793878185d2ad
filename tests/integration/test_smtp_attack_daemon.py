"""The whole daemon under attack: who may use it, floods of connections, bombs. Short forms; with
E2E_LONG=1 the long ones.
"""

import contextlib
import dataclasses
import os
import re
import resource
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from daemon_process import PATIENCE, environment

from filterd.errors import SettingsError
from filterd.listening import require_clients
from filterd.settings import Settings

pytest_plugins = ("daemon_fixtures",)

LONG = bool(os.environ.get("E2E_LONG"))
IDLE = 10_000 if LONG else 1_000
MEBIBYTE = 1 << 20
# Seconds within which a mail is answered whatever others do; a machine may do much else meanwhile.
SOON = 5.0


def resident(daemon, name="VmRSS"):
    """MiB of its only worker."""
    (pid,) = daemon.worker_pids
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) / 1024


@contextlib.contextmanager
def growth(daemon):
    """How many MiB more than before its worker had at the most; known at the end of the block."""
    (pid,) = daemon.worker_pids
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # begins VmHWM anew (proc(5))
    before = resident(daemon)
    most = []
    yield most
    most.append(resident(daemon, "VmHWM") - before)


def descriptors(daemon):
    (pid,) = daemon.worker_pids
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def connect(daemon, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", daemon.port), PATIENCE, (source, 0))


def first_line(sock):
    with sock.makefile("rb") as file:
        return file.readline()


def seconds_for_a_mail(daemon):
    started = time.perf_counter()
    assert daemon.send()[0] == 250
    return time.perf_counter() - started


# Whom it serves


@pytest.mark.scenario(
    "A60",
    "an address that others can reach, and nobody said who may use it: 0.0.0.0, [::], no host at all",
    "refused at start with exit code 78 and a line that names `allowed_clients`",
)
@pytest.mark.parametrize("listen", ["0.0.0.0:0", ":0"])
def test_others_are_not_served_unless_somebody_said_so(start, listen):
    assert_asks_for_clients(start(listen=listen), listen)


def test_however_the_address_was_given_somebody_must_say_whom_it_serves(start):
    assert_asks_for_clients(start("--listen", "0.0.0.0:0"), "0.0.0.0:0")
    assert_asks_for_clients(start(env=environment(FILTERD_LISTEN=":0")), ":0")


@dataclasses.dataclass
class Bound:
    """A socket that is bound, for all that its name tells."""

    host: str

    def getsockname(self):
        return self.host, 25


@pytest.mark.parametrize(
    ("host", "asks"),
    [
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("0.0.0.0", True),
        ("::", True),
        ("192.0.2.1", True),
        ("2001:db8::1", True),
        ("::ffff:192.0.2.1", True),
        ("fe80::1%eth0", True),
    ],
)
def test_only_loopback_is_for_nobody_else(host, asks):
    refusal = pytest.raises(SettingsError, match="allowed_clients")
    with refusal if asks else contextlib.nullcontext():
        require_clients(Settings(), Bound(host))
    require_clients(Settings(allowed_clients=["192.0.2.0/24"]), Bound(host))


def assert_asks_for_clients(daemon, listen):
    assert daemon.wait() == 78
    assert daemon.lines[-1].startswith(f"filterd: listen = {listen} can be reached from other")
    assert "set `allowed_clients`" in daemon.lines[-1]


@pytest.mark.scenario(
    "A61",
    "clients from an address that is not among `allowed_clients`, on a listener that others can reach",
    "554 5.7.1 at connect, nothing they say is obeyed; those who are allowed are served",
)
def test_a_stranger_is_refused_at_connect(serve):
    daemon = serve(listen="0.0.0.0:0", allowed_clients=["127.0.0.1/32"])
    for words in (b"", b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"):
        with connect(daemon, source="127.0.0.2") as stranger:
            stranger.sendall(words)
            with contextlib.suppress(ConnectionResetError):  # closed with input unread
                assert stranger.recv(1000) == b"554 5.7.1 Access denied\r\n"
                assert stranger.recv(1000) == b""
    assert daemon.send()[0] == 250
    assert len(daemon.delivered()) == 1


def test_all_the_world_as_clients_is_worth_a_warning(serve):
    daemon = serve(listen="0.0.0.0:0", allowed_clients=["0.0.0.0/0", "::/0"])
    assert "everyone may send mail through this filter" in daemon.log


def test_a_reload_that_forgets_who_may_use_it_is_refused(serve):
    daemon = serve(listen="0.0.0.0:0", allowed_clients=["127.0.0.1/32"])
    daemon.configure(listen="0.0.0.0:0")
    daemon.signal(signal.SIGHUP)
    refused = daemon.heard("reload refused, the old settings stay")
    assert "allowed_clients" in refused["error"]
    assert daemon.send()[0] == 250


# Floods


@pytest.mark.scenario(
    "A69",
    "the daemon is started where a process may open 256 files unless it asks for more",
    "each worker asks for what max_connections clients and as many next hops take",
)
def test_a_worker_asks_for_the_descriptors_it_needs(serve):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        daemon = serve(max_connections=700)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    limits = Path(f"/proc/{daemon.worker_pids[0]}/limits").read_text()
    assert int(re.search(r"Max open files +(\d+)", limits)[1]) >= 1500


@pytest.fixture
def many_descriptors():
    """Room for a connection each; the limit of this process as it was afterwards."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + 1_000
    if before[0] < wanted:
        assert before[1] >= wanted, f"this test needs {wanted} descriptors: ulimit -Hn {wanted}"
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.scenario(
    "A62",
    f"{IDLE:,} connections that are greeted and then say nothing",
    "all are held; mail of others is answered as quickly as before; all descriptors come back",
)
def test_idle_connections_leave_others_served(serve, many_descriptors, record_property):
    daemon = serve(max_connections=IDLE + 50)
    alone = min(seconds_for_a_mail(daemon) for _ in range(10))
    before, files = resident(daemon), descriptors(daemon)
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connect(daemon)) for _ in range(IDLE)]
        for client in idle:
            assert first_line(client).startswith(b"220 ")
        crowded = min(seconds_for_a_mail(daemon) for _ in range(10))
        grown = resident(daemon) - before
    assert crowded < SOON
    assert grown / IDLE < 0.1, "more than 100 KiB for a client that says nothing"
    _wait_for(lambda: descriptors(daemon) <= files + 2, "descriptors stay open")
    record_property(
        "figure",
        f"{IDLE:,} idle: {grown * 1024 / IDLE:.0f} KiB each; a mail {alone * 1000:.0f} ms alone, "
        f"{crowded * 1000:.0f} ms in the crowd",
    )


@pytest.mark.scenario(
    "A63",
    "a flood of connections that come and go, some with garbage, some reset at once, beside mail",
    "every mail is delivered; no descriptor stays open",
)
def test_connections_that_come_and_go_beside_mail(serve, record_property):
    daemon = serve()
    daemon.send()
    files = descriptors(daemon)
    ended = threading.Event()
    count = [0, 0, 0]

    def flood(number):
        # At least some, then until the mail is through.
        while count[number] < 300 or not ended.is_set():
            with connect(daemon) as sock, contextlib.suppress(OSError):
                if number:
                    sock.sendall(os.urandom(200) if number == 1 else b"EHLO x\r\nMAIL FROM:<>\r\n")
                else:
                    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            count[number] += 1

    threads = [threading.Thread(target=flood, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        slowest = max(seconds_for_a_mail(daemon) for _ in range(20))
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert slowest < SOON
    assert len(daemon.delivered()) == 21
    _wait_for(lambda: descriptors(daemon) <= files + 2, "descriptors stay open")
    record_property(
        "figure", f"{sum(count)} connections, 20 mails of 20, slowest {slowest * 1000:.0f} ms"
    )


# Bombs

BODY = b"From: a@b.example\r\n\r\nHello.\r\n"
# What comes before, and what comes again and again until there are 64 MiB of it.
ENDLESS_COMMANDS = {"command": (b"", b"x" * 65_536), "MAIL": (b"MAIL FROM:<", b"a" * 65_536)}
ENDLESS_CONTENT = {
    "first line": (b"", b"x" * 65_536),
    "header": (b"Subject: ", b"x" * 65_536),
    "body": (b"Subject: x\r\n\r\n", b"x" * 65_536),
    "empty lines": (b"", b"\r\n" * 32_768),
    "LF": (b"", b"\n" * 65_536),
    "CR": (b"", b"\r" * 65_536),
    "dots": (b"", b"\r\n.." * 16_384),
}
BOMBS = {
    "fields": b"a:\r\n" * 200_000,
    "long": b"X-Long: " + b"\r\n\t".join([b"z" * 60_000] * 15) + b"\r\n",
    "folds": b"X-Folded: a" + b"\r\n b" * 200_000 + b"\r\n",
    "Received": b"Received: from x by y; z\r\n" * 30_000,
    "Subject": b"Subject: x\r\n" * 60_000,
    "forged": b"X-Filterd-Verdict: ham\r\n" * 30_000,
}


def transaction(client):
    client.ehlo("client.example")
    client.mail("a@example.org")
    client.rcpt("you@example.com")


def send_without_end(client, start, block):
    client.sock.sendall(start)
    for _ in range(64 * MEBIBYTE // len(block)):
        client.sock.sendall(block)


@pytest.mark.scenario(
    "A64",
    "64 MiB in one line of a command, of a header, of a body; 64 MiB of empty lines, of CR, of LF, of dots",
    "refused; memory grows by a few times max_message_size (here 1 MiB); the next mail is delivered",
)
def test_lines_without_end_are_refused_in_bounded_memory(serve, record_property):
    daemon = serve(max_message_size=MEBIBYTE)
    daemon.send()
    with growth(daemon) as most:
        for start, block in ENDLESS_COMMANDS.values():
            with daemon.client() as client:
                # Cut off while it sends on and on; the last word may be lost with it.
                with pytest.raises((ConnectionResetError, BrokenPipeError)):
                    send_without_end(client, start, block)
                client.close()
        for name, (start, block) in ENDLESS_CONTENT.items():
            with daemon.client() as client:
                transaction(client)
                assert client.docmd("DATA")[0] == 354
                send_without_end(client, start, block)
                client.sock.sendall(b"\r\n.\r\n")
                code, text = client.getreply()
                assert (code, text[:5]) == (552, b"5.3.4"), name
        assert seconds_for_a_mail(daemon) < SOON
    assert most[0] < 10
    assert len(daemon.delivered()) == 2
    record_property("figure", f"{most[0]:.1f} MiB more at the most")


@pytest.mark.scenario(
    "A65",
    "headers of 200,000 fields, of 15 lines of 60 KB, of 200,000 folds, 30,000 Received, 30,000 forged verdicts; and twice as much",
    "below max_header_size delivered with every octet but forged verdicts, above it 552 5.3.4; others are served meanwhile",
)
def test_header_bombs_are_delivered_or_refused_and_others_served(serve, record_property):
    daemon = serve()
    daemon.send()
    answers = []

    def send_bombs():
        for bomb in BOMBS.values():
            assert len(bomb) < MEBIBYTE
            answers.append(daemon.send(bomb + BODY)[0])
            with daemon.client() as client:
                transaction(client)
                answers.append(client.data(bomb * (2 * MEBIBYTE // len(bomb) + 1) + BODY)[0])

    thread = threading.Thread(target=send_bombs)
    thread.start()
    waits = [seconds_for_a_mail(daemon)]
    while thread.is_alive():
        waits.append(seconds_for_a_mail(daemon))
    thread.join()
    assert max(waits) < SOON
    assert answers == [250, 552] * len(BOMBS)
    delivered = daemon.delivered()
    assert len(delivered) == 1 + len(waits) + len(BOMBS)
    assert all(mail.count(b"X-Filterd-Verdict") == 1 for mail in delivered)
    for name, bomb in BOMBS.items():
        if name != "forged":
            assert sum((bomb + BODY).replace(b"\r\n", b"\n") in mail for mail in delivered) == 1
    record_property(
        "figure", f"{len(waits)} other mails meanwhile, slowest {max(waits) * 1000:.0f} ms"
    )


def _wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)
