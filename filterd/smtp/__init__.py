"""The SMTP side: a mirror between client and next hop that stops only at the content to look."""

from filterd.smtp.config import ServerConfig, SessionLimits
from filterd.smtp.examiner import Envelope, Examiner, Outcome
from filterd.smtp.nexthop import (
    Capabilities,
    NextHop,
    NextHopOptions,
    Transaction,
    open_next_hop,
)
from filterd.smtp.replies import Reply
from filterd.smtp.server import Server

__all__ = [
    "Capabilities",
    "Envelope",
    "Examiner",
    "NextHop",
    "NextHopOptions",
    "Outcome",
    "Reply",
    "Server",
    "ServerConfig",
    "SessionLimits",
    "Transaction",
    "open_next_hop",
]
