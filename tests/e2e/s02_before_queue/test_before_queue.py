"""Postfix → filterd → Postfix' queue → Dovecot, while the client waits for the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from chain import (
    MESSAGE_SIZE_LIMIT,
    Chain,
    pass_distinct_mails,
    pass_largest_mail,
    pass_smtp_source,
    raise_chain,
)
from mails import make_mails
from sending import send_all
from servers.client import RawClient

if TYPE_CHECKING:
    from pathlib import Path

    from servers.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

# What Postfix puts on top counts as well.
RECEIVED_HEADER = 250
REFUSED = b"From: a@sender.example.net\r\nSubject: no such luck\r\n\r\nHello.\r\n"


@pytest.fixture(scope="module")
def chain(stage: Stage) -> Chain:
    checks = stage.folder / "header_checks"
    checks.write_text("/^Subject: no such luck/ REJECT Not with this subject\n")
    return raise_chain(stage, "before-queue", header_checks=f"regexp:{checks}")


def test_the_fragments_give_no_warning(chain: Chain) -> None:
    assert chain.postfix.check() == ""


def test_a_thousand_different_mails_arrive_once_unaltered_and_judged(chain: Chain) -> None:
    pass_distinct_mails(chain)


def test_a_thousand_mails_of_smtp_source_arrive_once_unaltered_and_judged(
    chain: Chain, tmp_path: Path
) -> None:
    pass_smtp_source(chain, tmp_path / "mail")


def test_a_mail_of_just_the_size_limit_is_not_refused_for_its_verdict(chain: Chain) -> None:
    assert pass_largest_mail(chain) > MESSAGE_SIZE_LIMIT - RECEIVED_HEADER


def test_the_log_behind_filterd_names_the_client(chain: Chain) -> None:
    lines = [line for line in chain.postfix.log().splitlines() if "/after-filterd/smtpd" in line]
    clients = [line for line in lines if " client=" in line]
    assert clients
    assert all(" orig_client=" in line for line in clients)


def test_a_refusal_behind_filterd_reaches_the_client_while_it_is_connected(chain: Chain) -> None:
    chain.dovecot.empty()
    with RawClient(chain.postfix.port) as client:
        client.begin("anna@sender.example.net", ["1user@example.test"])
        client.content(REFUSED)
        assert client.reply() == b"550 5.7.1 Not with this subject\r\n"
        assert client.say("QUIT").startswith(b"221")
    assert chain.postfix.queue() == []
    assert chain.dovecot.count() == 0


def test_while_filterd_is_down_the_client_is_told_to_come_again(chain: Chain) -> None:
    chain.dovecot.empty()
    mails = make_mails(2, seed=2)
    chain.filterd.stop()
    with RawClient(chain.postfix.port) as client:
        client.say("EHLO client.example.net")
        client.say(f"MAIL FROM:<{mails[0].sender}>")
        # Postfix' own words; it connects to filterd when the first recipient is fine.
        reply = client.say(f"RCPT TO:<{mails[0].recipients[0]}>")
        assert reply == b"451 4.3.0 Error: queue file write error\r\n"
    chain.filterd.start()
    send_all(mails, chain.postfix.port, senders=1)
    chain.wait_for(sum(len(mail.recipients) for mail in mails))
