"""Mail made to be dear, through the whole daemon: delivered as it came, and nobody else waits.

Large bombs take their time on the way: those above 6 MiB are sent with E2E_LONG=1 only.
"""

import contextlib
import os
import re
import shutil
import signal
import smtplib
import threading
import time
from pathlib import Path

import pytest
from daemon_process import HAM, PATIENCE, environment
from mail_bombs import THEMES, zeros

pytest_plugins = ("daemon_fixtures",)

MEBIBYTE = 1 << 20
LONGEST = 52_428_800  # max_message_size
MOST = LONGEST if os.environ.get("E2E_LONG") else 6 * MEBIBYTE
# Seconds within which a mail is answered whatever others do; a machine may do much else meanwhile.
SOON = 5.0
PAUSE = 0.1  # between two mails of somebody else
# Wide enough for each bomb to get to the judge; what is refused before is tested with SMTP's.
WIDE = {"max_header_size": LONGEST, "max_line_length": LONGEST, "deadline": PATIENCE}
# What stands before a mail in the Maildir: the delivery's lines and our own.
OURS = re.compile(
    rb"(?:(?:Return-Path|Delivered-To|X-Filterd-[\w-]+|X-Spam-(?:Flag|Score|Status)): [^\n]*\n)*+"
)
FORGED = re.compile(rb"(?:X-Filterd-[!-9;-~]*|X-Spam-(?:Flag|Score|Status))[ \t]*:", re.IGNORECASE)


def status_of(daemon, name):
    """MiB of its only worker, by a line of its status."""
    (pid,) = daemon.worker_pids
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024


@contextlib.contextmanager
def growth(daemon):
    """How many MiB more than before its worker had at the most; known at the end of the block."""
    (pid,) = daemon.worker_pids
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # begins VmHWM anew (proc(5))
    before = status_of(daemon, "VmRSS")
    most = []
    yield most
    most.append(status_of(daemon, "VmHWM") - before)


def whole(raw):
    """A mail with a line end at its end, which SMTP would give it."""
    return raw if raw.endswith(b"\r\n") else raw + b"\r\n"


def send(daemon, message):
    """One message; the code and text of its reply."""
    with daemon.client() as client:
        client.ehlo("client.example")
        client.mail("a@example.org")
        client.rcpt("you@example.com")
        assert client.docmd("DATA")[0] == 354
        client.sock.sendall(message.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        return client.getreply()


@contextlib.contextmanager
def others(daemon):
    """Somebody else's mail all the while; how long each of it took, in seconds."""
    took = []
    over = threading.Event()

    def go_on():
        while not over.wait(PAUSE):
            started = time.monotonic()
            assert daemon.send(HAM)[0] == 250
            took.append(time.monotonic() - started)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join(PATIENCE)


def take(folder):
    """The only mail in a Maildir that somebody else did not send, and the Maildir is empty again."""
    found = []
    for path in folder.iterdir():
        mail = path.read_bytes()
        path.unlink()
        if HAM.replace(b"\r\n", b"\n") not in mail:
            found.append(mail)
    (mail,) = found
    return mail


def with_newlines(raw):
    return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def without_forgeries(raw):
    """A mail without the header lines that only we may write, in the plainest way there is."""
    if not FORGED.search(raw):
        return raw
    lines = raw.split(b"\n")
    header = lines.index(b"") if b"" in lines else len(lines)
    kept, skipping = [], False
    for line in lines[:header]:
        if line[:1] not in (b" ", b"\t"):
            skipping = bool(FORGED.match(line))
        if not skipping:
            kept.append(line)
    return b"\n".join(kept + lines[header:])


def is_unchanged(mail, sent):
    """Whether a delivered mail is what was sent, but for forgeries, behind lines of ours.

    Text that has no header got an empty line before it, for it would have become one.
    """
    came = mail[OURS.match(mail).end() :]
    return came.removeprefix(b"\n") == without_forgeries(sent).removeprefix(b"\n")


def verdict(mail):
    return re.search(rb"X-Filterd-Verdict: ([^\n]*)", mail)[1]


@pytest.mark.scenario(
    "C10",
    "the bombs of C02 to C09 through the daemon, while others send their mail",
    "judged and delivered with every octet but forged verdicts; the others' mail is answered within seconds",
)
def test_bombs_are_judged_and_delivered_as_they_came(serve, site, record_property):
    daemon = serve(**WIDE)
    folder = site / "var/mail/new"
    daemon.send(HAM)
    count = 0
    with others(daemon) as took, growth(daemon) as most:
        for _, _, bombs in THEMES:
            for name, make in bombs.items():
                raw = whole(make())
                if len(raw) > MOST:
                    continue
                assert send(daemon, raw)[0] == 250, name
                mail = take(folder)
                assert not verdict(mail).startswith(b"unjudged"), name
                assert is_unchanged(mail, with_newlines(raw)), name
                count += 1
    assert max(took) < SOON
    record_property(
        "figure",
        f"{count} bombs; {len(took)} other mails, slowest {max(took):.2f} s; {most[0]:.0f} MiB more",
    )


@pytest.mark.scenario(
    "C11",
    "200 MB of base64 zeros, announced and not; 50 MB of them, the most that is taken",
    "552 before a byte of it, or at its end with no more memory spent than on what is taken; 50 MB delivered as it came",
)
def test_what_is_larger_than_may_be_is_refused_before_it_costs_memory(serve, site, record_property):
    daemon = serve()
    daemon.send(HAM)
    head = b"Content-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    with growth(daemon) as announced, daemon.client() as client:
        client.ehlo("client.example")
        code, text = client.mail("a@example.org", ["SIZE=200000000"])
        assert (code, text[:5]) == (552, b"5.3.4")
    with growth(daemon) as unannounced, daemon.client() as client:
        client.ehlo("client.example")
        client.mail("a@example.org")
        client.rcpt("you@example.com")
        assert client.docmd("DATA")[0] == 354
        client.sock.sendall(head)
        block = zeros(MEBIBYTE)
        for _ in range(200):
            client.sock.sendall(block)
        client.sock.sendall(b".\r\n")
        code, text = client.getreply()
        assert (code, text[:5]) == (552, b"5.3.4")
    raw = head + zeros(LONGEST - 1000)
    with growth(daemon) as largest:
        assert send(daemon, raw)[0] == 250
    mail = take(site / "var/mail/new")
    assert not verdict(mail).startswith(b"unjudged")
    assert is_unchanged(mail, with_newlines(raw))
    assert announced[0] < 10
    assert unannounced[0] < 100
    assert largest[0] < 2.3 * LONGEST / MEBIBYTE
    record_property(
        "figure",
        f"{announced[0]:.0f} MiB more where announced, {unannounced[0]:.0f} where not; "
        f"{largest[0]:.0f} for 50 MB that are taken",
    )


# A stand-in for a bug in reading: what a mail with such a line does to the thread that reads it.
STAND_IN = """


_read = read


def read(raw: bytes) -> Reading:
    if b"turn in circles" in raw:
        while True:
            pass
    if b"keep the lock" in raw:
        re.match("(a+)+$", "a" * 64 + "b")
    return _read(raw)
"""
CIRCLES = HAM.replace(b"thanks", b"turn in circles")
LOCK = HAM.replace(b"thanks", b"keep the lock")


@pytest.fixture
def hurt(other_package, tmp_path):
    """The environment of a package whose reading has that bug, and other patience if one wants."""

    def hurt(**patience):
        package = tmp_path / "hurt"
        shutil.copytree(other_package, package)
        pipeline, standstill = (
            package / f"filterd/{name}.py" for name in ("pipeline", "standstill")
        )
        pipeline.write_text(
            pipeline.read_text().replace("import time\n", "import re\nimport time\n") + STAND_IN
        )
        text = standstill.read_text()
        for name, seconds in patience.items():
            text, count = re.subn(
                rf"^{name}: Final = .*$", f"{name} = {seconds}", text, flags=re.MULTILINE
            )
            assert count == 1
        standstill.write_text(text)
        return environment(PYTHONPATH=str(package))

    return hurt


@pytest.mark.scenario(
    "C12",
    "a mail that reading never comes to the end of, while others send theirs",
    "decided by on_failure when its deadline is over; the others' mail is judged and answered as ever",
)
@pytest.mark.parametrize(
    ("on_failure", "code"), [("pass", 250), ("tempfail", 451)], ids=["pass", "tempfail"]
)
def test_a_mail_that_overruns_its_clock_holds_up_nobody(
    serve, site, hurt, on_failure, code, record_property
):
    daemon = serve(env=hurt(), deadline=1.0, on_failure=on_failure)
    daemon.send(HAM)
    started = time.monotonic()
    with others(daemon) as took:
        assert send(daemon, CIRCLES)[0] == code
        seconds = time.monotonic() - started
        for _ in range(10):
            assert daemon.send(HAM)[0] == 250
    assert max(took) < SOON
    mails = daemon.delivered()
    verdicts = {verdict(mail) for mail in mails if b"circles" in mail}
    assert verdicts == ({b"unjudged; reason=deadline"} if on_failure == "pass" else set())
    assert not any(
        verdict(mail).startswith(b"unjudged") for mail in mails if b"circles" not in mail
    )
    record_property(
        "figure",
        f"given up after {seconds:.1f} s; {len(took)} other mails, slowest {max(took):.2f} s",
    )


@pytest.mark.scenario(
    "C13",
    "as many mails that reading never comes to the end of as may be lost",
    "mail passes unjudged at once and says so; the worker makes room for another, which judges",
)
def test_a_worker_that_can_read_no_more_makes_room_for_another(serve, hurt, record_property):
    daemon = serve(env=hurt(STUCK_SECONDS=2.0, LOOK_EVERY=0.5), deadline=0.5)
    for _ in range(2):
        assert send(daemon, CIRCLES)[0] == 250
    started = time.monotonic()
    assert daemon.send(HAM)[0] == 250
    took = time.monotonic() - started
    assert took < SOON
    daemon.heard("reading is stuck, another worker takes over")
    daemon.heard("worker died")
    daemon.heard("ready")
    assert daemon.send(HAM)[0] == 250
    verdicts = [verdict(mail) for mail in daemon.delivered()]
    assert verdicts.count(b"unjudged; reason=deadline") == 2
    assert verdicts.count(b"unjudged; reason=overload") == 1
    assert sum(text.startswith(b"ham; ") for text in verdicts) == 1
    record_property("figure", f"unjudged in {took:.2f} s")


@pytest.mark.scenario(
    "C14",
    "a mail whose reading keeps Python's lock, so that nothing else of the worker runs",
    "the worker is ended by a clock outside of Python; that mail stays with its sender, the next is judged",
)
def test_a_worker_that_stands_still_is_ended_and_another_goes_on(serve, hurt):
    daemon = serve(env=hurt(STALLED_SECONDS=2.0, LOOK_EVERY=0.5))
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionResetError)):
        send(daemon, LOCK)
    assert daemon.heard("worker died")["code"] == 1
    daemon.heard("ready")
    assert daemon.send(HAM)[0] == 250
    (mail,) = daemon.delivered()
    assert verdict(mail).startswith(b"ham; ")
    assert "pipeline.py" in daemon.log  # where it stood still
    assert "minutes" not in daemon.log


@pytest.mark.scenario(
    "C15",
    "SIGTERM while a mail that was given up is still being read",
    "the daemon ends at once, with code 0",
)
def test_the_end_does_not_wait_for_a_mail_that_was_given_up(serve, hurt):
    daemon = serve(env=hurt(), deadline=0.5)
    assert send(daemon, CIRCLES)[0] == 250
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert "workers did not drain in time" not in daemon.log
