"""A label counts for the next mail of its campaign a second later, in all workers; undo ends that.

With the bundle that ships, a real next hop, and the command as it is typed.
"""

from __future__ import annotations

import json
import smtplib
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from servers.filterd import COMMAND, settings_environment
from servers.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.filterd import Filterd
    from servers.nexthop import NextHop
    from servers.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

WORKERS = 2
COPIES = 12
SECOND = 1.0
# "Shared with you": the shipped bundle takes it for ham. Names, links and figures differ.
LETTER = """\
From: {name} <{name}@{host}>
To: office@example.test
Subject: The plan for the new building
Message-ID: <{number}@{host}>

Good morning,

{name} has shared a document with you: the plan for the new building, version {number}.
Everyone in the group has been asked to read it and to write remarks until Friday. You find
it at https://{host}/{number}. If you have questions, ask in the next meeting.

Best wishes,
{name}
"""
NAMES = (
    "Marta",
    "Jonas",
    "Elif",
    "Pierre",
    "Ana",
    "Tomasz",
    "Ingrid",
    "Carlo",
    "Bea",
    "Olu",
    "Kim",
    "Rui",
)


@pytest.fixture
def site(stage: Stage) -> Iterator[tuple[Filterd, NextHop]]:
    hop = stage.next_hop()
    filterd = stage.filterd(hop.url, workers=str(WORKERS))
    yield filterd, hop
    filterd.stop()


def letter(number: int) -> bytes:
    """The number-th letter of the campaign."""
    name = NAMES[number % len(NAMES)]
    host = f"{name.lower()}{'abcdefghijkl'[number % 12] * 3}.example"
    text = LETTER.format(name=name, host=host, number=100 + 7 * number)
    return text.replace("\n", "\r\n").encode()


def send(site: tuple[Filterd, NextHop], numbers: range) -> list[dict[str, str]]:
    """Each letter over a connection of its own; the headers that arrived at the next hop."""
    filterd, hop = site
    before = len(hop.taken)
    for number in numbers:
        with smtplib.SMTP(LOOPBACK, filterd.port, "client.example.net", timeout=60) as client:
            client.sendmail("sender@example.net", ["office@example.test"], letter(number))
    return [headers(received.content) for received in hop.taken[before:]]


def headers(message: bytes) -> dict[str, str]:
    lines = message.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def command(site: tuple[Filterd, NextHop], *arguments: str) -> dict[str, object]:
    """`filterd …` in the folder of the daemon; its JSON."""
    done = subprocess.run(
        [COMMAND, *arguments, "--json"],
        cwd=site[0].folder,
        env=settings_environment({}),
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)


def verdicts(found: list[dict[str, str]]) -> set[str]:
    return {each["X-Filterd-Verdict"].partition(";")[0] for each in found}


def workers_that_judged(filterd: Filterd) -> set[int]:
    entries = [json.loads(line) for line in filterd.log().splitlines() if line.startswith("{")]
    return {entry["worker"] for entry in entries if entry["event"] == "message"}


def test_a_label_counts_after_a_second_in_all_workers_and_undo_ends_it(
    site: tuple[Filterd, NextHop],
) -> None:
    (first,) = send(site, range(1))
    assert verdicts([first]) == {"ham"}
    number = first["X-Filterd-Id"]
    given = command(site, "label", number, "spam", "--by", "anna")
    time.sleep(SECOND)  # the promise itself
    found = send(site, range(1, COPIES))
    assert verdicts(found) == {"spam"}
    assert {each["X-Spam-Flag"] for each in found} == {"YES"}
    assert workers_that_judged(site[0]) == set(range(WORKERS))
    why = command(site, "why", found[-1]["X-Filterd-Id"])
    assert (why["near"]["id"], why["near"]["by"]) == (number, "anna")
    command(site, "label", "--undo", str(given["id"]))
    time.sleep(SECOND)
    assert verdicts(send(site, range(COPIES, 2 * COPIES))) == {"ham"}
