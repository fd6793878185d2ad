"""Many senders at once, each with a connection of its own."""

from __future__ import annotations

import smtplib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from servers.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mails import Mail


def send_all(mails: Sequence[Mail], port: int, senders: int = 16) -> None:
    """Send every mail; AssertionError unless each is answered 250."""
    shares = [mails[first::senders] for first in range(senders)]
    with ThreadPoolExecutor(senders) as pool:
        for refused in pool.map(lambda share: _send_share(share, port), shares):
            assert not refused, refused


def _send_share(mails: Sequence[Mail], port: int) -> list[tuple[str, dict]]:
    """Send over one connection; what was refused, with the replies."""
    refused = []
    with smtplib.SMTP(LOOPBACK, port, "client.example.net", timeout=120) as client:
        client.ehlo()
        for mail in mails:
            answer = client.sendmail(
                mail.sender, mail.recipients, mail.raw, mail_options=["BODY=8BITMIME"]
            )
            if answer:
                refused.append((mail.message_id, answer))
    return refused
