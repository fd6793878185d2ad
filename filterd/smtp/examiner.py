"""The port between the session and whoever judges: the session knows nothing of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from filterd.smtp.replies import Reply


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sent a message to whom, as the client said it."""

    client_address: str
    helo: str
    sender: str  # "" for the null sender
    recipients: tuple[str, ...]  # those the next hop accepted
    smtputf8: bool
    xforward: dict[str, str]  # attributes of a trusted peer's XFORWARD, upper-case names, decoded


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to happen with a message: handed on (`message`), or refused (`reply`)."""

    message: bytes | None
    reply: Reply | None
    quarantine: bool = False


class Examiner(Protocol):
    """Judges messages and keeps the record of them."""

    async def examine(self, envelope: Envelope, message: bytes) -> tuple[Outcome, object]:
        """What to do with `message` (CRLF lines), and a token for `delivered`; must not raise."""

    def delivered(self, token: object, replies: tuple[Reply, ...]) -> None:
        """Called once per examined message, after the replies went out to the client."""
