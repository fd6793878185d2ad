"""filterd → a folder: each message a file, with its verdict, once it is answered 250."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from delivered import assert_each_once, assert_unaltered, message_id
from mails import make_mails
from sending import send_all
from servers.client import RawClient

if TYPE_CHECKING:
    from pathlib import Path

    from servers.filterd import Filterd
    from servers.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

DELIVERED_TO = re.compile(rb"^Delivered-To: (\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def folder(stage: Stage) -> Path:
    return stage.folder / "mail"


@pytest.fixture(scope="module")
def filterd(stage: Stage, folder: Path) -> Filterd:
    return stage.filterd(f"maildir:{folder}")


def test_messages_arrive_once_unaltered_and_judged(filterd: Filterd, folder: Path) -> None:
    mails = make_mails(100, seed=7)
    send_all(mails, filterd.port)
    contents = [path.read_bytes() for path in (folder / "new").iterdir()]
    # One file for all recipients of a message.
    assert sorted(map(message_id, contents)) == sorted(mail.message_id for mail in mails)
    copies = [(to.decode(), content) for content in contents for to in recipients_of(content)]
    assert_each_once(copies, mails)
    assert_unaltered(copies, mails)
    assert list((folder / "tmp").iterdir()) == []


def test_a_message_that_cannot_be_written_is_not_answered_250_and_the_next_one_is(
    filterd: Filterd, folder: Path
) -> None:
    before = list((folder / "new").iterdir())
    message = b"From: a@sender.example.net\r\nMessage-ID: <a@b>\r\n\r\nhello\r\n"
    (folder / "tmp").rename(folder / "gone")
    (folder / "tmp").write_bytes(b"a file where a folder has to be")
    with RawClient(filterd.port) as client:
        client.begin("anna@sender.example.net", ["one@example.test"])
        client.content(message)
        assert client.reply() == b"451 4.3.0 The message could not be written\r\n"
        assert list((folder / "new").iterdir()) == before
        (folder / "tmp").unlink()
        client.begin("anna@sender.example.net", ["one@example.test"])
        client.content(message)
        assert client.reply().startswith(b"250 2.0.0 Message delivered as ")
    assert len(list((folder / "new").iterdir())) == len(before) + 1


def recipients_of(content: bytes) -> list[bytes]:
    """Those that filterd wrote on top."""
    return DELIVERED_TO.findall(content.partition(b"X-Filterd-")[0])
