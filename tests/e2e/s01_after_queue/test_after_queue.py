"""Postfix' queue → filterd → Postfix → Dovecot: what goes in comes out once, with a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from chain import Chain, pass_distinct_mails, pass_largest_mail, pass_smtp_source, raise_chain
from mails import make_mails
from sending import send_all
from servers.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from servers.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def chain(stage: Stage) -> Chain:
    return raise_chain(stage, "after-queue")


def test_the_fragments_give_no_warning(chain: Chain) -> None:
    assert chain.postfix.check() == ""


def test_a_thousand_different_mails_arrive_once_unaltered_and_judged(chain: Chain) -> None:
    pass_distinct_mails(chain)


def test_a_thousand_mails_of_smtp_source_arrive_once_unaltered_and_judged(
    chain: Chain, tmp_path: Path
) -> None:
    pass_smtp_source(chain, tmp_path / "mail")


def test_the_largest_mail_that_postfix_takes_is_not_bounced_for_its_verdict(chain: Chain) -> None:
    pass_largest_mail(chain)


def test_the_log_behind_filterd_names_the_client_and_the_first_queue_id(chain: Chain) -> None:
    lines = [line for line in chain.postfix.log().splitlines() if "/after-filterd/smtpd" in line]
    clients = [line for line in lines if " client=" in line]
    assert clients
    assert all(" orig_queue_id=" in line and " orig_client=" in line for line in clients)


def test_mail_waits_in_the_queue_while_filterd_is_down(chain: Chain) -> None:
    chain.dovecot.empty()
    mails = make_mails(5, seed=2)
    chain.filterd.stop()
    send_all(mails, chain.postfix.port, senders=1)
    wait_until(
        lambda: all(entry["queue_name"] == "deferred" for entry in chain.postfix.queue()),
        "Postfix did not try",
    )
    assert len(chain.postfix.queue()) == len(mails)
    chain.filterd.start()
    chain.postfix.flush()
    chain.wait_for(sum(len(mail.recipients) for mail in mails))
