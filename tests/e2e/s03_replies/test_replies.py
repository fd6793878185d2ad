"""Client → filterd → a next hop that says no: its words reach the client, and nothing is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from servers.client import RawClient
from servers.nexthop import TAKEN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.filterd import Filterd
    from servers.nexthop import NextHop
    from servers.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SENDER = "anna@sender.example.net"
ONE, TWO, THREE = (f"{name}@example.test" for name in ("one", "two", "three"))
# In no other message, and in no header: whatever holds these words holds the message.
SECRET = b"the quince marmalade is behind the encyclopaedia"
MESSAGE = b"From: a@sender.example.net\r\nSubject: pantry\r\n\r\n" + SECRET + b"\r\n"
OK = b"250 2.1.5 Ok\r\n"


@pytest.fixture(scope="module")
def hop(stage: Stage) -> NextHop:
    return stage.next_hop()


@pytest.fixture(scope="module")
def filterd(stage: Stage, hop: NextHop) -> Filterd:
    # The record of a message is meant to be kept; its text would be found by `holders_of` below.
    return stage.filterd(hop.url, store_text="none")


@pytest.fixture(autouse=True)
def _usual_next_hop(hop: NextHop) -> Iterator[None]:
    yield
    hop.at_rcpt, hop.at_dot = (lambda _recipient: OK), (lambda _message: TAKEN)
    hop.taken.clear()
    hop.refused.clear()


@pytest.mark.parametrize(
    "refusal",
    [
        b"550 5.1.1 <two@example.test>: no such user; ask postmaster\r\n",
        b"450 4.2.0 Greylisted, come back in 5 minutes\r\n",
        b"550-5.7.1 Two does not want your mail.\r\n550-\r\n550 5.7.1 Nor does anybody\r\n",
    ],
)
def test_a_refused_recipient_is_told_word_by_word_and_the_others_get_the_mail(
    hop: NextHop, filterd: Filterd, refusal: bytes
) -> None:
    hop.at_rcpt = lambda recipient: refusal if recipient == TWO else OK
    with RawClient(filterd.port) as client:
        client.say("EHLO client.example.net")
        client.say(f"MAIL FROM:<{SENDER}>")
        replies = [client.say(f"RCPT TO:<{recipient}>") for recipient in (ONE, TWO, THREE)]
        assert replies == [OK, refusal, OK]
        assert client.say("DATA").startswith(b"354")
        client.content(MESSAGE)
        assert client.reply() == TAKEN
    assert [message.recipients for message in hop.taken] == [(ONE, THREE)]


@pytest.mark.parametrize(
    "refusal",
    [
        b"452 4.3.1 Disk full here, not there\r\n",
        b"554 5.7.1 Not this one.  Two  blanks and a %s\r\n",
        b"554-5.6.0 First line\r\n554-\r\n554 last line without a status\r\n",
        b"421 4.3.2 Going down now\r\n",
    ],
)
def test_a_refused_message_is_told_word_by_word_and_kept_nowhere(
    stage: Stage, hop: NextHop, filterd: Filterd, refusal: bytes
) -> None:
    hop.at_dot = lambda _message: refusal
    with RawClient(filterd.port) as client:
        client.begin(SENDER, [ONE, TWO, THREE])
        client.content(MESSAGE)
        assert client.reply() == refusal
        if refusal.startswith(b"421"):
            assert client.reply() == b"", "421 closes the connection (RFC 5321 3.8)"
        else:
            assert client.say("NOOP").startswith(b"250")
    assert hop.taken == []
    assert [message.content.count(SECRET) for message in hop.refused] == [1]
    assert holders_of(SECRET, stage.folder) == []


def test_a_next_hop_that_went_away_is_a_temporary_error_until_it_is_back(
    hop: NextHop, filterd: Filterd
) -> None:
    deliver(filterd)
    hop.stop()
    with RawClient(filterd.port) as client:
        client.say("EHLO client.example.net")
        reply = client.say(f"MAIL FROM:<{SENDER}>")
        assert reply == b"451 4.4.1 The mail server behind this filter cannot be reached\r\n"
        hop.start()
        # The same session, the same daemon.
        assert client.say(f"MAIL FROM:<{SENDER}>").startswith(b"250")
    deliver(filterd)
    assert len(hop.taken) == 2


def test_a_next_hop_that_goes_away_within_a_transaction_is_a_temporary_error(
    stage: Stage, hop: NextHop, filterd: Filterd
) -> None:
    with RawClient(filterd.port) as client:
        client.begin(SENDER, [ONE])
        hop.stop()
        client.content(MESSAGE)
        reply = client.reply()
        assert reply == b"451 4.4.2 The mail server behind this filter did not answer\r\n"
    assert holders_of(SECRET, stage.folder) == []
    hop.start()
    deliver(filterd)
    assert [message.recipients for message in hop.taken] == [(ONE,)]


def deliver(filterd: Filterd) -> None:
    """One message to one recipient; AssertionError unless it is taken."""
    with RawClient(filterd.port) as client:
        client.begin(SENDER, [ONE])
        client.content(MESSAGE)
        assert client.reply() == TAKEN


def holders_of(text: bytes, folder: Path) -> list[Path]:
    """Files under `folder` that have `text` in them."""
    return [path for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]
