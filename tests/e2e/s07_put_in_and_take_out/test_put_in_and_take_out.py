"""deploy/postfix/README.md, followed to the letter on Debian's own main.cf and master.cf."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from servers.client import RawClient
from servers.postfix import FRAGMENTS, Postfix
from servers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.filterd import Filterd
    from servers.nexthop import NextHop
    from servers.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

README = (FRAGMENTS / "README.md").read_text()
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SESSION = re.compile(r"^```console (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)\n((?:[^$].*\n)*)", re.MULTILINE)
FILES = ("main.cf", "master.cf")
SENDER = "anna@sender.example.net"
MESSAGE = b"From: a@sender.example.net\r\nSubject: minutes\r\n\r\nSee the shared folder.\r\n"


@dataclass(frozen=True)
class Site:
    """A mail server as an administrator has it, and what its files were before."""

    wiring: str
    postfix: Postfix
    hop: NextHop
    filterd: Filterd
    before: dict[str, bytes]

    def files(self) -> dict[str, bytes]:
        """What the files are now."""
        return {name: (self.postfix.config / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module", params=["after-queue", "before-queue"])
def put_in(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Site]:
    """The site once all is put in."""
    way_back, way_there, *_ = BLOCK.findall(README)
    hop = stage.next_hop()
    postfix = stage.stock_postfix(f"smtp:[127.0.0.1]:{hop.port}")
    before = {name: (postfix.config / name).read_bytes() for name in FILES}
    run(way_back, postfix, request.param)
    filterd = stage.filterd()
    run(way_there, postfix, request.param)
    yield Site(request.param, postfix, hop, filterd, before)
    filterd.stop()
    postfix.stop()


@pytest.fixture(scope="module")
def taken_out(put_in: Site) -> Site:
    """The site once all is taken out, with one mail in the queue that was meant for filterd."""
    *_, way_there, way_back = BLOCK.findall(README)
    postfix = put_in.postfix
    put_in.filterd.stop()
    put_in.hop.taken.clear()
    if put_in.wiring == "after-queue":
        send(postfix)
        wait_until(
            lambda: [entry["queue_name"] for entry in postfix.queue()] == ["deferred"],
            "Postfix did not try",
        )
    run(way_there, postfix, put_in.wiring)
    wait_until(lambda: not postfix.queue(), postfix.log)
    run(way_back, postfix, put_in.wiring)
    return put_in


def test_mail_is_judged_once_filterd_is_put_in(put_in: Site) -> None:
    [content] = pass_one(put_in)
    assert content.count(b"X-Filterd-Verdict: ") == 1
    assert put_in.postfix.check() == ""


def test_the_commands_to_look_print_what_the_readme_says(put_in: Site) -> None:
    session = dict(SESSION.findall(README))[put_in.wiring]
    commands = COMMAND.findall(session)
    assert len(commands) == 2
    for command, expected in commands:
        # Prometheus' port is another one in the tests.
        here = command.replace("127.0.0.1:9925", put_in.filterd.metrics)
        assert run(here, put_in.postfix, put_in.wiring).strip() == expected.strip(), command


def test_while_filterd_is_down_happens_what_the_readme_says(put_in: Site) -> None:
    put_in.filterd.stop()
    with RawClient(put_in.postfix.port) as client:
        client.say("EHLO client.example.net")
        client.say(f"MAIL FROM:<{SENDER}>")
        reply = client.say("RCPT TO:<one@example.test>").decode().strip()
    if put_in.wiring == "before-queue":
        assert f"\n    {reply}\n" in README
    else:
        assert reply.startswith("250")
    put_in.filterd.start()


def test_mail_that_was_meant_for_filterd_is_delivered_when_it_is_taken_out(taken_out: Site) -> None:
    waited = 1 if taken_out.wiring == "after-queue" else 0
    assert len(taken_out.hop.taken) == waited
    assert all(b"X-Filterd-Id: " not in message.content for message in taken_out.hop.taken)


def test_taken_out_the_files_are_what_they_were(taken_out: Site) -> None:
    assert taken_out.files() == taken_out.before


def test_taken_out_mail_flows_as_before(taken_out: Site) -> None:
    [content] = pass_one(taken_out)
    assert b"X-Filterd-" not in content
    assert taken_out.postfix.check() == ""


def run(commands: str, postfix: Postfix, wiring: str) -> str:
    """Commands of the README as root would run them, on our files instead of the system's."""
    commands = re.sub(r"^wiring=\S+", f"wiring={wiring}", commands, flags=re.MULTILINE)
    # Postfix waits a second or two for whoever may still be writing to a file that is younger.
    age = f"trap 'touch -d \"1 hour ago\" {postfix.config}/*.cf' DEBUG\n"
    done = subprocess.run(
        ["bash", "-e", "-c", age + commands.replace("/etc/postfix", str(postfix.config))],
        cwd=FRAGMENTS,
        env={
            "PATH": f"/usr/sbin:/sbin:{os.environ['PATH']}",
            "MAIL_CONFIG": str(postfix.config),
            "wiring": wiring,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, (commands, done.stdout, done.stderr)
    assert "warning" not in done.stderr, (commands, done.stderr)
    return done.stdout


def send(postfix: Postfix) -> None:
    """One mail; returns when Postfix has taken it."""
    with RawClient(postfix.port) as client:
        client.begin(SENDER, ["one@example.test"])
        client.content(MESSAGE)
        assert client.reply().startswith(b"250")


def pass_one(site: Site) -> list[bytes]:
    """Send one mail; what the server behind got."""
    site.hop.taken.clear()
    send(site.postfix)
    wait_until(lambda: site.hop.taken and not site.postfix.queue(), site.postfix.log)
    return [message.content for message in site.hop.taken]
