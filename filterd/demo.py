"""The first minute: the real daemon with its defaults, sample mails through SMTP, a table.

Nothing is faked: the samples go in by SMTP, come out in the Maildir that is the default next
hop, and the table shows the headers found there.
"""

from __future__ import annotations

import email.parser
import email.policy
import shlex
import signal
import smtplib
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from filterd.errors import FilterdError, ListenError
from filterd.settings import load_settings, split_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from filterd.settings import Settings

SAMPLES = Path(__file__).resolve().parent / "samples"
START_SECONDS = 60
MAILDIR = "maildir:"
SENDER = "sender@example.org"
RECIPIENT = "you@example.com"


@dataclass(frozen=True, slots=True)
class Delivered:
    """One sample as it came out at the far end."""

    name: str
    subject: str
    verdict: str
    sentiment: str
    milliseconds: float
    path: Path


def run_demo(console: Console, *, stay: bool) -> None:
    """Start `filterd serve`, send the samples, print the table; with `stay`, until Ctrl-C.

    Raises FilterdError when the daemon does not start or a sample does not arrive.
    """
    settings = load_settings()
    if not settings.next_hop.startswith(MAILDIR):
        raise FilterdError(
            f"next_hop = {settings.next_hop}: the demo shows what arrived in a maildir; unset it"
        )
    with console.status("starting filterd"):
        daemon = _start(settings)
    try:
        with console.status("sending sample mails through SMTP"):
            delivered = [_send(sample, settings) for sample in sorted(SAMPLES.glob("*.eml"))]
        console.print(_table(delivered))
        folder = settings.next_hop.removeprefix(MAILDIR)
        console.print(
            f"Each mail is in [bold]{escape(folder)}/new[/] with these headers in front:\n"
        )
        for line in _our_headers(delivered[0].path):
            console.print(f"  {line}", highlight=False, markup=False)
        _show_next_steps(console, settings)
        if stay:
            console.print("\nListening until Ctrl-C.")
            daemon.wait()
    except KeyboardInterrupt:
        console.print("\nstopping")
    finally:
        _end(daemon)
    if daemon.returncode:
        raise FilterdError(f"filterd serve ended with exit code {daemon.returncode}")


def _start(settings: Settings) -> subprocess.Popen[bytes]:
    """The daemon, ready; its log goes to var/demo.log."""
    if not settings.metrics:
        raise FilterdError("metrics is empty: the demo waits for /readyz; set it or unset it")
    log = Path("var/demo.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stream:
        daemon = subprocess.Popen(  # our own program
            [sys.executable, "-m", "filterd", "serve"], stderr=stream, start_new_session=True
        )
    try:
        _wait_until_ready(daemon, settings, log)
    except BaseException:
        _end(daemon)
        raise
    return daemon


def _wait_until_ready(daemon: subprocess.Popen[bytes], settings: Settings, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(settings):
        if daemon.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace").strip().splitlines()
            raise ListenError(said[-1].removeprefix("filterd: ") if said else f"see {log}")
        time.sleep(0.05)


def _is_ready(settings: Settings) -> bool:
    # No proxy, whatever http_proxy says: it is our own machine that is asked.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    host, port = split_address(settings.metrics)
    try:
        with opener.open(f"http://{_in_url(host)}:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)  # HTTP
    except (urllib.error.URLError, OSError):
        return False


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _end(daemon: subprocess.Popen[bytes]) -> None:
    if daemon.poll() is None:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()


def _send(sample: Path, settings: Settings) -> Delivered:
    """One sample through SMTP, and what the Maildir then holds."""
    host, port = split_address(settings.listen)
    started = time.perf_counter()
    with smtplib.SMTP(host, port, timeout=30) as client:
        client.ehlo()
        client.mail(SENDER)
        client.rcpt(RECIPIENT)
        code, answer = client.data(sample.read_bytes())
    milliseconds = (time.perf_counter() - started) * 1000
    if code != 250:  # RFC 5321
        raise FilterdError(f"{sample.name} was answered {code} {answer.decode(errors='replace')}")
    name = answer.decode().split()[-1]
    path = Path(settings.next_hop.removeprefix(MAILDIR), "new", name)
    parser = email.parser.BytesHeaderParser(policy=email.policy.default)
    headers = parser.parsebytes(path.read_bytes())
    return Delivered(
        sample.stem,
        str(headers["Subject"] or ""),
        str(headers["X-Filterd-Verdict"] or "none"),
        str(headers["X-Filterd-Sentiment"] or "none"),
        milliseconds,
        path,
    )


def _table(delivered: list[Delivered]) -> Table:
    table = Table(title="Sample mails, in over SMTP and out into a Maildir")
    # Where room is short rich takes it from the columns that may wrap: from the subject alone.
    table.add_column("subject")
    table.add_column("verdict", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("sentiment", no_wrap=True)
    table.add_column("ms", justify="right", no_wrap=True)
    for mail in delivered:
        verdict, score = _first_two(mail.verdict)
        sentiment, _ = _first_two(mail.sentiment)
        colour = {"spam": "red", "ham": "green"}.get(verdict, "yellow")
        mood = {"negative": "red", "positive": "green"}.get(sentiment, "default")
        table.add_row(
            Text(mail.subject, no_wrap=True, overflow="ellipsis"),
            f"[{colour}]{verdict}[/]",
            score,
            f"[{mood}]{sentiment}[/]",
            f"{mail.milliseconds:.0f}",
        )
    return table


def _first_two(value: str) -> tuple[str, str]:
    """`spam; score=0.98; …` to `spam` and `0.98`."""
    word, _, rest = value.partition(";")
    return word, rest.strip().removeprefix("score=").partition(";")[0]


def _our_headers(path: Path) -> Iterator[str]:
    with path.open(errors="replace") as file:
        for line in file:
            if line.startswith(("X-Filterd-", "X-Spam-")):
                yield line.rstrip()
            elif not line.strip():
                return


def _show_next_steps(console: Console, settings: Settings) -> None:
    host, port = split_address(settings.listen)
    console.print("\nYour own mail:")
    program = shlex.quote(sys.argv[0])
    send = (
        f"curl smtp://{_in_url(host)}:{port} --mail-from me@example.org --mail-rcpt you@example.com"
    )
    for line in (
        f"{send} --upload-file MAIL.eml",
        f"{program} check MAIL.eml",
        f"{program} scan FOLDER",
        f"curl http://{settings.metrics}/metrics",
    ):
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
