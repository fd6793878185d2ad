"""filterd → Dovecot's LMTP socket, with no Postfix behind: a reply for each recipient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from delivered import assert_each_once, assert_has_arrived, assert_unaltered
from mails import make_mails
from servers.client import RawClient
from servers.waiting import wait_until

if TYPE_CHECKING:
    from servers.dovecot import Dovecot
    from servers.filterd import Filterd
    from servers.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SENDER = "anna@sender.example.net"
ONE, TWO, SPOILT = (f"{name}@example.test" for name in ("one", "two", "spoilt"))
MESSAGE = b"From: a@sender.example.net\r\nMessage-ID: <a@b>\r\n\r\nSee the shared folder.\r\n"


@pytest.fixture(scope="module")
def dovecot(stage: Stage) -> Dovecot:
    server = stage.dovecot()
    server.spoil(SPOILT)
    return server


@pytest.fixture(autouse=True)
def _no_mail(dovecot: Dovecot) -> None:
    dovecot.empty()


@pytest.fixture(scope="module")
def filterd(stage: Stage, dovecot: Dovecot) -> Filterd:
    return stage.filterd(dovecot.url)


def test_an_lmtp_client_gets_the_reply_of_each_recipient_and_those_that_can_get_the_mail(
    filterd: Filterd, dovecot: Dovecot
) -> None:
    with RawClient(filterd.port) as client:
        client.begin(SENDER, [ONE, SPOILT, TWO], greeting="LHLO")
        client.content(MESSAGE)
        replies = [client.reply() for _ in range(3)]
        assert client.say("NOOP").startswith(b"250"), "there were more replies than recipients"
    assert replies[0].startswith(b"250 2.0.0 <one@example.test>")
    assert replies[1].startswith(b"451 4.2.0 <spoilt@example.test>")
    assert replies[2].startswith(b"250 2.0.0 <two@example.test>")
    for recipient in (ONE, TWO):
        [content] = dovecot.mailbox(recipient)
        assert_has_arrived(content, MESSAGE)


def test_an_smtp_client_is_given_one_recipient_a_transaction_and_each_gets_its_own_reply(
    filterd: Filterd, dovecot: Dovecot
) -> None:
    with RawClient(filterd.port) as client:
        replies = {}
        client.say("EHLO client.example.net")
        for recipient in (ONE, SPOILT, TWO):
            assert client.say(f"MAIL FROM:<{SENDER}>").startswith(b"250")
            assert client.say(f"RCPT TO:<{recipient}>").startswith(b"250")
            second = client.say("RCPT TO:<another@example.test>")
            assert second == b"452 4.5.3 Too many recipients\r\n"
            assert client.say("DATA").startswith(b"354")
            client.content(MESSAGE)
            replies[recipient] = client.reply()
    assert {recipient: reply[:3] for recipient, reply in replies.items()} == {
        ONE: b"250",
        SPOILT: b"451",
        TWO: b"250",
    }
    assert sorted(recipient for recipient, _ in dovecot.delivered()) == [ONE, TWO]


def test_mail_of_a_postfix_in_front_arrives_once_with_each_recipient(
    stage: Stage, filterd: Filterd, dovecot: Dovecot
) -> None:
    # As deploy/postfix/README.md advises; without it Postfix sends to one recipient a queue run.
    postfix = stage.postfix("after-queue", filterd_destination_recipient_limit="1")
    mails = make_mails(31, seed=6)
    assert any(len(mail.recipients) > 1 for mail in mails)
    with RawClient(postfix.port) as client:
        for mail in mails:
            client.begin(mail.sender, list(mail.recipients))
            client.content(mail.raw)
            assert client.reply().startswith(b"250")
    wait_until(lambda: not postfix.queue(), postfix.log, 30)
    assert "status=deferred" not in postfix.log()
    delivered = dovecot.delivered()
    assert_each_once(delivered, mails)
    assert_unaltered(delivered, mails)


def test_while_dovecot_is_down_mail_stays_with_its_sender(
    filterd: Filterd, dovecot: Dovecot
) -> None:
    dovecot.stop()
    with RawClient(filterd.port) as client:
        client.say("EHLO client.example.net")
        reply = client.say(f"MAIL FROM:<{SENDER}>")
        assert reply == b"451 4.4.1 The mail server behind this filter cannot be reached\r\n"
        dovecot.start()
        client.begin(SENDER, [ONE])
        client.content(MESSAGE)
        assert client.reply().startswith(b"250")
    [content] = dovecot.mailbox(ONE)
    assert_has_arrived(content, MESSAGE)
