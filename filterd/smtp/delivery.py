"""From a judged message to the next hop's answer. Once content goes out, this runs to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from filterd.errors import NextHopError
from filterd.smtp.replies import INTERNAL, NEXT_HOP_DOWN, NEXT_HOP_LOST, START_INPUT, Reply

if TYPE_CHECKING:
    from filterd.smtp.commands import Parameter
    from filterd.smtp.examiner import Envelope, Outcome
    from filterd.smtp.transaction import Capabilities, NextHop, Transaction

# Which parameters may be passed on to a hop that offers the keyword.
KEYWORDS: Final = {
    "SIZE": "SIZE",
    "BODY": "8BITMIME",
    "SMTPUTF8": "SMTPUTF8",
    "RET": "DSN",
    "ENVID": "DSN",
    "NOTIFY": "DSN",
    "ORCPT": "DSN",
}
NO_QUARANTINE: Final = Reply(451, "4.3.5 No quarantine is configured")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An accepted envelope with what was said about it, enough to say it again elsewhere."""

    envelope: Envelope
    mail_parameters: tuple[Parameter, ...]
    rcpt_parameters: tuple[tuple[Parameter, ...], ...]  # as long as the envelope's recipients
    xforward: tuple[str, ...]  # arguments of the XFORWARD commands
    expected_replies: int  # one, or one per recipient for an LMTP client


def pass_on(parameters: tuple[Parameter, ...], capabilities: Capabilities) -> str:
    """Those of `parameters` that the hop understands, as the client wrote them."""
    return " ".join(
        parameter.raw
        for parameter in parameters
        if KEYWORDS.get(parameter.keyword) in capabilities.names
    )


async def hand_over(
    delivery: Delivery, outcome: Outcome, transaction: Transaction, quarantine: NextHop | None
) -> tuple[Reply, ...]:
    """Do what `outcome` says with a message whose transaction stands at 354.

    Returns as many replies as the client expects. The transaction is over afterwards, whatever
    happens; a bug in here is 451 to the client.
    """
    expected = delivery.expected_replies
    try:
        replies = await _follow(delivery, outcome, transaction, quarantine)
    except Exception:  # the message's fate is unknown, so its sender has to keep it
        log.exception("hand_over_failed")
        replies = (NEXT_HOP_LOST,)
    finally:
        await transaction.abort()
    return replies if len(replies) == expected else (replies[0],) * expected


async def _follow(
    delivery: Delivery, outcome: Outcome, transaction: Transaction, quarantine: NextHop | None
) -> tuple[Reply, ...]:
    if outcome.message is None:
        return (outcome.reply or INTERNAL,)
    if outcome.quarantine:
        # The main hop waits for content that will not come; it need not wait for the quarantine.
        await transaction.abort()
        return await _send_to_quarantine(delivery, outcome.message, quarantine)
    replies = await transaction.content(outcome.message)
    await transaction.release()
    return replies


async def _send_to_quarantine(
    delivery: Delivery, message: bytes, quarantine: NextHop | None
) -> tuple[Reply, ...]:
    """A whole transaction at once. All recipients or none: the first refusal is the answer."""
    if quarantine is None:
        return (NO_QUARANTINE,)
    try:
        capabilities = await quarantine.capabilities()
        transaction = await quarantine.begin()
    except NextHopError as error:
        log.warning("quarantine_unreachable", reason=str(error))
        return (NEXT_HOP_DOWN,)
    try:
        refusal = await _open_envelope(delivery, capabilities, transaction)
        if refusal is not None:
            await transaction.release()
            return (refusal,)
        replies = await transaction.content(message)
        await transaction.release()
    except NextHopError as error:
        log.warning("quarantine_failed", reason=str(error))
        return (NEXT_HOP_DOWN,)
    else:
        return replies
    finally:
        await transaction.abort()


async def _open_envelope(
    delivery: Delivery, capabilities: Capabilities, transaction: Transaction
) -> Reply | None:
    """XFORWARD to DATA; the first refusal, or None after a 354."""
    if "XFORWARD" in capabilities.names:
        for arguments in delivery.xforward:
            await transaction.xforward(arguments)
    envelope = delivery.envelope
    reply = await transaction.mail(envelope.sender, pass_on(delivery.mail_parameters, capabilities))
    for recipient, parameters in zip(envelope.recipients, delivery.rcpt_parameters, strict=True):
        if not reply.is_success:
            return reply
        reply = await transaction.rcpt(recipient, pass_on(parameters, capabilities))
    if reply.is_success:
        reply = await transaction.data()
    return None if reply.code == START_INPUT else reply
