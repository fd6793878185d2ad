"""The verbs: who answers them, how long they may be, and what an idle or erring client pays."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from filterd.smtp.commands import BAD_RECIPIENT, BAD_SENDER, CommandError
from filterd.smtp.conversation import NO_RECIPIENTS, OK, OUT_OF_ORDER, Conversation
from filterd.smtp.replies import BUSY, Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Verb = Callable[[Conversation, str], Awaitable[Reply]]

TOO_LONG: Final = Reply(500, "5.5.2 Command line too long")
NOT_RECOGNIZED: Final = Reply(500, "5.5.1 Command not recognized")
NOT_IMPLEMENTED: Final = Reply(502, "5.5.1 Command not implemented")
BAD_CHARACTER: Final = Reply(500, "5.5.2 Control character in command")
BARE_NEWLINE: Final = Reply(500, "5.5.2 Command does not end with CRLF")

CONVERSING: Final[Mapping[str, Verb]] = {
    "HELO": Conversation.helo,
    "EHLO": Conversation.ehlo,
    "LHLO": Conversation.lhlo,
    "XFORWARD": Conversation.xforward,
    "MAIL": Conversation.mail,
    "RCPT": Conversation.rcpt,
    "RSET": Conversation.rset,
    "QUIT": Conversation.quit,
}
# A browser made to speak to us, or a command whose content we would take for commands.
FORBIDDEN: Final = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "BDAT"})
FIXED: Final = {
    "NOOP": OK,
    "VRFY": Reply(252, "2.5.0 Cannot verify the address, but will try to deliver"),
    "HELP": Reply(214, "2.0.0 This is filterd; see RFC 5321"),
    **dict.fromkeys(("EXPN", "AUTH", "ETRN", *FORBIDDEN), NOT_IMPLEMENTED),
}

# Octets in a command line with its CRLF: 512, more where an extension says so (RFC 1870, 6152,
# 6531, 3461).
COMMAND_LIMIT: Final = 512
COMMAND_LIMITS: Final = {
    "MAIL": COMMAND_LIMIT + 26 + 17 + 10 + 9 + 107,
    "RCPT": COMMAND_LIMIT + 28 + 507,
}
# A bad character inside an address is about the address (RFC 3463).
_BAD_CHARACTERS: Final = {"MAIL": BAD_SENDER, "RCPT": BAD_RECIPIENT}
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")

# What a client may do without getting anywhere, in idle commands; a delivered message gives it
# all back. Refusals by the next hop cost nothing: it has limits of its own.
PATIENCE: Final = 100
ERROR_COST: Final = 10
_IDLE: Final = frozenset({*FIXED, "HELO", "EHLO", "LHLO", "RSET"})


def check_line(verb: str, text: str, length: int) -> None:
    """Refuse a line of `length` octets that is too long or holds a control character."""
    if length > COMMAND_LIMITS.get(verb, COMMAND_LIMIT):
        raise CommandError(TOO_LONG)
    if _CONTROLS.search(text):
        raise CommandError(_BAD_CHARACTERS.get(verb, BAD_CHARACTER))


def cost(verb: str, reply: Reply | None) -> int:
    """What an obeyed command costs of the session's patience."""
    return int(verb in _IDLE or reply in (OUT_OF_ORDER, NO_RECIPIENTS, BUSY))
