"""The whole way of a mail: client → Postfix → filterd → Postfix → Dovecot, in one of two wirings."""

from __future__ import annotations

import random
import smtplib
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivered import assert_each_once, assert_has_arrived, assert_unaltered
from mails import DOMAIN, mail_of_size, make_mail, make_mails, plain
from sending import send_all
from servers.ports import LOOPBACK
from servers.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from mails import Mail
    from servers.dovecot import Dovecot
    from servers.filterd import Filterd
    from servers.postfix import Postfix, Wiring
    from servers.stage import Stage

SENDERS = 16
MESSAGES = 1000
ARRIVAL_SECONDS = 200
# Small, so that a mail of just this size is quick to send; larger than all that `make_mails` makes.
MESSAGE_SIZE_LIMIT = 200_000
# Postfix counts parts of the envelope too when it writes a mail to its queue.
LARGEST_ENVELOPE = 5_000
STEP = 50


@dataclass(frozen=True)
class Chain:
    """The servers that a mail passes."""

    postfix: Postfix
    filterd: Filterd
    dovecot: Dovecot

    def wait_for(self, count: int) -> None:
        """Until `count` messages lie in mailboxes and none is on its way."""
        wait_until(
            lambda: self.dovecot.count() >= count and not self.postfix.queue(),
            lambda: (
                f"{self.dovecot.count()} of {count} delivered, "
                f"{len(self.postfix.queue())} in the queue"
            ),
            ARRIVAL_SECONDS,
        )


def raise_chain(stage: Stage, wiring: Wiring, **overrides: str) -> Chain:
    """Start all three, Postfix with `overrides`, the daemon with default settings but for paths."""
    overrides = {"message_size_limit": str(MESSAGE_SIZE_LIMIT), **overrides}
    dovecot = stage.dovecot()
    postfix = stage.postfix(wiring, dovecot.transport, **overrides)
    return Chain(postfix, stage.filterd(), dovecot)


def pass_distinct_mails(chain: Chain) -> None:
    """1,000 different mails from 16 clients at once: each arrives once, as it was, judged."""
    chain.dovecot.empty()
    mails = make_mails(MESSAGES)
    send_all(mails, chain.postfix.port, SENDERS)
    chain.wait_for(sum(len(mail.recipients) for mail in mails))
    delivered = chain.dovecot.delivered()
    assert_each_once(delivered, mails)
    assert_unaltered(delivered, mails)


def pass_smtp_source(chain: Chain, path: Path) -> None:
    """1,000 times one mail from Postfix' load generator, 16 at once, each to its own recipient."""
    chain.dovecot.empty()
    mail = make_mail(0, random.Random(3), kind=plain)  # not for secrets
    path.write_bytes(mail.raw.replace(b"\r\n", b"\n"))
    command = ["smtp-source", "-N", "-s", str(SENDERS), "-m", str(MESSAGES), "-F", str(path)]
    command += ["-M", "client.example.net", "-f", mail.sender, "-t", f"load@{DOMAIN}"]
    run = subprocess.run(
        [*command, f"inet:{LOOPBACK}:{chain.postfix.port}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=ARRIVAL_SECONDS,
    )
    assert run.returncode == 0, run.stderr
    chain.wait_for(MESSAGES)
    delivered = chain.dovecot.delivered()
    recipients = [recipient for recipient, _ in delivered]
    assert len(recipients) == len(set(recipients)) == MESSAGES
    for _, content in delivered:
        # smtp-source sends an empty line behind the file.
        assert_has_arrived(content, mail.clean + b"\r\n")


def pass_largest_mail(chain: Chain) -> int:
    """The largest mail that Postfix takes arrives, though its verdict makes it larger than that.

    Returns its size.
    """
    chain.dovecot.empty()
    dice = random.Random(4)  # not for secrets
    for size in range(MESSAGE_SIZE_LIMIT, MESSAGE_SIZE_LIMIT - LARGEST_ENVELOPE, -STEP):
        mail = mail_of_size(size, dice)
        if is_taken(mail, chain.postfix.port):
            break
    chain.wait_for(1)
    delivered = chain.dovecot.delivered()
    # A bounce would have come to the sender, who has a mailbox here.
    assert_each_once(delivered, [mail])
    assert_unaltered(delivered, [mail])
    grown = len(delivered[0][1].replace(b"\n", b"\r\n"))
    assert grown > size + STEP, "the test is no good: Postfix would have taken that size anyway"
    return size


def is_taken(mail: Mail, port: int) -> bool:
    """Send a mail; False if it is refused for its size."""
    try:
        send_all([mail], port, senders=1)
    except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as refusal:
        if refusal.smtp_code != 552:  # RFC 1870
            raise
        return False
    return True
