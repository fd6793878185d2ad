"""What an SMTP client may say, and what it is told: the order of commands of RFC 5321 4.1.4.

No sockets in here. Each verb is mirrored to the next hop while the client waits, and the client
gets the next hop's reply; our own are given only where the next hop was not or could not be
asked. A 2xx to content is never ours.

Replies and recipients. LMTP answers once per recipient after the content, SMTP once:

    client  next hop
    SMTP    SMTP      one reply, passed on
    LMTP    LMTP      passed on one to one
    LMTP    SMTP      the one reply is given for every accepted recipient
    SMTP    LMTP      one recipient per transaction: the second RCPT is answered 452 4.5.3 and the
                      client sends it a transaction of its own (RFC 5321 4.5.3.1.10), so that no
                      recipient's reply is lost and no one gets the message twice
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final, Literal

import structlog

from filterd.errors import NextHopError
from filterd.smtp.commands import (
    CommandError,
    Parameter,
    check_parameters,
    parse_mail,
    parse_rcpt,
    parse_xforward,
)
from filterd.smtp.config import is_within
from filterd.smtp.delivery import KEYWORDS, Delivery, hand_over, pass_on
from filterd.smtp.examiner import Envelope, Outcome
from filterd.smtp.replies import (
    BUSY,
    CLOSING,
    INTERNAL,
    NEXT_HOP_DOWN,
    NEXT_HOP_LOST,
    NEXT_HOP_UNKNOWN,
    Reply,
)
from filterd.smtp.transaction import Capabilities

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from filterd.smtp.config import ServerConfig
    from filterd.smtp.transaction import Transaction

    Answer = Callable[[tuple[Reply, ...]], Awaitable[None]]
    Keep = Callable[[Coroutine[None, None, None]], asyncio.Task[None]]

OK: Final = Reply(250, "2.0.0 OK")
OUT_OF_ORDER: Final = Reply(503, "5.5.1 Bad sequence of commands")
NO_RECIPIENTS: Final = Reply(554, "5.5.1 No valid recipients")
TOO_MANY_RECIPIENTS: Final = Reply(452, "4.5.3 Too many recipients")
TOO_MANY_XFORWARDS: Final = Reply(503, "5.5.1 Too many XFORWARD commands")
NOT_ASCII: Final = Reply(553, "5.6.7 Address is not ASCII and SMTPUTF8 was not asked for")

# What we can carry if the next hop can.
MIRRORED: Final = ("8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")
# Postfix needs two or three before a mail; each is kept until then.
MOST_XFORWARDS: Final = 10
UNKNOWN: Final = Capabilities(size=None, names=frozenset())
_HELO_NAME: Final = re.compile(r"[^\x00-\x20\x7f-\x9f]{1,255}")

log = structlog.get_logger(__name__)


class Conversation:
    """The state of one client's session, by its address; `keep` runs what must not be cancelled."""

    def __init__(self, config: ServerConfig, client_address: str, keep: Keep) -> None:
        self.closing = False  # the session ends after the current reply
        self.handing_over = False  # content is on its way, nothing may stop it
        self.offers_starttls = False
        self._config = config
        self._client_address = client_address
        self._is_trusted = is_within(client_address, config.trusted_peers)
        self._keep = keep
        self._mode: Literal["", "HELO", "EHLO", "LHLO"] = ""
        self._helo = ""
        self._hop = UNKNOWN
        self._transaction: Transaction | None = None
        self._forget_envelope()

    def _forget_envelope(self) -> None:
        self._sender: str | None = None
        self._smtputf8 = False
        self._mail_parameters: tuple[Parameter, ...] = ()
        self._recipients: list[str] = []
        self._overshoot = 0  # recipients beyond the limit
        self._rcpt_parameters: list[tuple[Parameter, ...]] = []
        self._xforward: dict[str, str] = {}
        self._xforward_arguments: list[str] = []
        self._lost = False  # the next hop went away in this transaction

    @property
    def in_transaction(self) -> bool:
        """MAIL was accepted and the message is not yet answered."""
        return self._sender is not None

    @property
    def _max_size(self) -> int:
        most = self._config.limits.max_message_size
        return min(most, self._hop.size or most)

    # Verbs. Each takes the text behind the verb and returns the reply to give. What is plainly the
    # client's fault is raised as CommandError: it costs more patience.

    async def helo(self, name: str) -> Reply:
        """HELO: no extensions."""
        return await self._greet("HELO", name)

    async def ehlo(self, name: str) -> Reply:
        """EHLO: our extensions that the next hop has too."""
        return await self._greet("EHLO", name)

    async def lhlo(self, name: str) -> Reply:
        """LHLO: LMTP, with a reply per recipient after the content (RFC 2033)."""
        return await self._greet("LHLO", name)

    async def _greet(self, mode: Literal["HELO", "EHLO", "LHLO"], name: str) -> Reply:
        if not _HELO_NAME.fullmatch(name):
            raise CommandError(Reply(501, f"5.5.4 Syntax: {mode} hostname"))
        await self._end_transaction()
        self._mode, self._helo = mode, name
        if mode == "HELO":
            return Reply(250, self._config.hostname)
        try:
            self._hop = await self._config.next_hop.capabilities()
        except NextHopError as error:
            # Offered less than the next hop has, a client might bounce what it could send a
            # minute later (RFC 6531 3.3), or use a parameter that we would refuse for good.
            log.warning("next_hop_unreachable", reason=str(error))
            await self.restart()
            self.closing = True
            return NEXT_HOP_UNKNOWN
        offers = ["PIPELINING", f"SIZE {self._max_size}"]
        offers += [keyword for keyword in MIRRORED if keyword in self._hop.names]
        if self.offers_starttls:
            offers.append("STARTTLS")
        if self._is_trusted and self._hop.xforward:
            offers.append(" ".join(("XFORWARD", *self._hop.xforward)))
        return Reply(250, "\n".join([self._config.hostname, *offers]))

    async def xforward(self, arguments: str) -> Reply:
        """XFORWARD, from trusted peers, mirrored on the connection of the MAIL that follows."""
        if not self._is_trusted:
            raise CommandError(Reply(550, "5.7.0 XFORWARD is for trusted peers only"))
        if self._mode in ("", "HELO") or self.in_transaction:
            return OUT_OF_ORDER
        if not self._hop.xforward:
            raise CommandError(Reply(502, "5.5.1 Command not implemented"))
        if len(self._xforward_arguments) >= MOST_XFORWARDS:
            raise CommandError(TOO_MANY_XFORWARDS)
        attributes = parse_xforward(arguments, self._hop.xforward)
        reply = await self._mirror(lambda transaction: transaction.xforward(arguments))
        if reply.is_success:
            self._xforward |= attributes
            self._xforward_arguments.append(arguments)
        return reply

    async def mail(self, argument: str) -> Reply:
        """MAIL FROM: begins a transaction here and on the next hop."""
        if not self._mode or self.in_transaction:
            return OUT_OF_ORDER
        sender, parameters = parse_mail(argument)
        check_parameters(
            parameters, self._accepted("SIZE", "BODY", "SMTPUTF8", "RET", "ENVID"),
            max_size=self._max_size,
        )  # fmt: skip
        smtputf8 = any(parameter.keyword == "SMTPUTF8" for parameter in parameters)
        if not _is_sayable(sender, parameters, smtputf8=smtputf8):
            raise CommandError(NOT_ASCII)
        if not self._config.may_begin():
            return BUSY
        self._lost = False
        allowed = pass_on(parameters, self._hop)
        reply = await self._mirror(lambda transaction: transaction.mail(sender, allowed))
        if reply.is_success:
            self._sender, self._mail_parameters, self._smtputf8 = sender, parameters, smtputf8
        elif not self._xforward:
            await self._release()
        return reply

    async def rcpt(self, argument: str) -> Reply:
        """RCPT TO: each with the next hop's own reply."""
        if not self.in_transaction:
            return OUT_OF_ORDER
        recipient, parameters = parse_rcpt(argument)
        check_parameters(parameters, self._accepted("NOTIFY", "ORCPT"), max_size=self._max_size)
        if not _is_sayable(recipient, parameters, smtputf8=self._smtputf8):
            raise CommandError(NOT_ASCII)
        if self._lost:
            return NEXT_HOP_DOWN
        if len(self._recipients) >= self._most_recipients():
            return self._refuse_recipient()
        allowed = pass_on(parameters, self._hop)
        reply = await self._mirror(lambda transaction: transaction.rcpt(recipient, allowed))
        if reply.is_success:
            self._recipients.append(recipient)
            self._rcpt_parameters.append(parameters)
        return reply

    def _refuse_recipient(self) -> Reply:
        """One too many. That is no error until there are as many again as were allowed."""
        self._overshoot += 1
        if self._overshoot > self._config.limits.max_recipients:
            raise CommandError(TOO_MANY_RECIPIENTS)
        return TOO_MANY_RECIPIENTS

    async def data(self, argument: str) -> Reply:
        """DATA: after a 354 the caller reads the content and calls `deliver` or `refuse`."""
        if argument:
            raise CommandError(Reply(501, "5.5.4 Syntax: DATA"))
        if not self.in_transaction:
            return OUT_OF_ORDER
        if self._lost:
            return NEXT_HOP_DOWN
        if not self._recipients:
            return NO_RECIPIENTS
        return await self._mirror(lambda transaction: transaction.data())

    async def rset(self, argument: str) -> Reply:
        """RSET: mirrored if there is a transaction to reset."""
        if argument:
            raise CommandError(Reply(501, "5.5.4 Syntax: RSET"))
        reply = OK
        if self.in_transaction and not self._lost:
            reply = await self._mirror(lambda transaction: transaction.reset())
            if self._lost:  # nothing is left to reset
                reply = OK
        await self._end_transaction()
        return reply

    async def quit(self, argument: str) -> Reply:  # noqa: ARG002  # verbs share one signature
        """QUIT."""
        await self._end_transaction()
        self.closing = True
        return Reply(221, "2.0.0 Bye")

    # Content.

    async def deliver(self, message: bytes, answer: Answer) -> None:
        """Have `message` examined and handed on, and pass the replies to `answer`, exactly once.

        Until the message is examined this may be cancelled, and then nothing was delivered.
        Afterwards it goes on to the next hop's reply and its record even if the client is gone.
        """
        assert self._sender is not None  # noqa: S101  # data() answered 354
        assert self._transaction is not None  # noqa: S101
        envelope = Envelope(
            client_address=self._client_address,
            helo=self._helo,
            sender=self._sender,
            recipients=tuple(self._recipients),
            smtputf8=self._smtputf8,
            xforward=self._xforward,
        )
        try:
            outcome, token = await self._config.examiner.examine(envelope, message)
        except Exception:  # a bug of the examiner must not become mail lost or a 5xx
            log.exception("examiner_failed")
            await answer(await self.refuse(INTERNAL))
            return
        delivery = Delivery(
            envelope,
            self._mail_parameters,
            tuple(self._rcpt_parameters),
            tuple(self._xforward_arguments),
            self._expected_replies(),
        )
        transaction, self._transaction = self._transaction, None
        self.handing_over = True
        try:
            await asyncio.shield(
                self._keep(self._conclude(delivery, outcome, token, transaction, answer))
            )
        finally:
            self.handing_over = False

    async def _conclude(
        self,
        delivery: Delivery,
        outcome: Outcome,
        token: object,
        transaction: Transaction,
        answer: Answer,
    ) -> None:
        replies = (NEXT_HOP_LOST,) * delivery.expected_replies
        try:
            replies = await hand_over(delivery, outcome, transaction, self._config.quarantine)
        finally:
            self._forget_envelope()
            self.closing |= any(reply.code == CLOSING for reply in replies)
            await self._report(token, replies, answer)

    async def _report(self, token: object, replies: tuple[Reply, ...], answer: Answer) -> None:
        """Tell the client, if it is still there, then whoever keeps the record."""
        try:
            await answer(replies)
        except OSError:  # gone, or not reading (TimeoutError is one)
            self.closing = True
            log.info("client_left_before_reply", codes=[reply.code for reply in replies])
        finally:
            try:
                self._config.examiner.delivered(token, replies)
            except Exception:  # the mail is where it should be; only its record is at stake
                log.exception("record_failed")

    async def refuse(self, reply: Reply) -> tuple[Reply, ...]:
        """Give up the transaction after a 354; `reply` as often as the client expects it."""
        replies = (reply,) * self._expected_replies()
        await self.abandon()
        return replies

    async def abandon(self) -> None:
        """Drop the transaction and its connection: nothing was delivered."""
        transaction, self._transaction = self._transaction, None
        self._forget_envelope()
        if transaction is not None:
            await transaction.abort()

    async def restart(self) -> None:
        """Forget all the client said, as after STARTTLS (RFC 3207 4.2)."""
        await self.abandon()
        self._mode, self._helo = "", ""

    def _expected_replies(self) -> int:
        """How many replies the client expects after its content."""
        return len(self._recipients) if self._mode == "LHLO" else 1

    def _accepted(self, *keywords: str) -> frozenset[str]:
        """Parameters that the client may use: those whose extension it was offered."""
        if self._mode == "HELO":
            return frozenset()
        offered = {"SIZE", *self._hop.names}
        return frozenset(word for word in keywords if KEYWORDS[word] in offered)

    def _most_recipients(self) -> int:
        hops = (self._config.next_hop, self._config.quarantine)
        if self._mode != "LHLO" and any(hop.per_recipient for hop in hops if hop is not None):
            return 1
        return self._config.limits.max_recipients

    async def _mirror(self, say: Callable[[Transaction], Awaitable[Reply]]) -> Reply:
        """Say it to the next hop too; its reply, or ours if it is gone. 421 ends the session."""
        try:
            if self._transaction is None:
                self._transaction = await self._config.next_hop.begin()
            reply = await say(self._transaction)
        except NextHopError as error:
            log.warning("next_hop_failed", reason=str(error))
            transaction, self._transaction = self._transaction, None
            if transaction is not None:
                await transaction.abort()
            self._lost = True
            return NEXT_HOP_DOWN
        if reply.code == CLOSING:
            self.closing = True
        return reply

    async def _end_transaction(self) -> None:
        self._forget_envelope()
        await self._release()

    async def _release(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            await transaction.release()


def _is_sayable(address: str, parameters: tuple[Parameter, ...], *, smtputf8: bool) -> bool:
    """Whether all is ASCII, or valid UTF-8 with SMTPUTF8 asked for (RFC 6531 3.3)."""
    text = "".join([address, *(parameter.raw for parameter in parameters)])
    if text.isascii():
        return True
    return smtputf8 and not any("\ud800" <= character <= "\udfff" for character in text)
