"""Next hops by URL. What one is, is in `transaction`; this is the door to the kinds there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from filterd.errors import NextHopError
from filterd.smtp.connect import Target
from filterd.smtp.maildir import MaildirNextHop
from filterd.smtp.pool import PooledNextHop
from filterd.smtp.transaction import Capabilities, NextHop, NextHopOptions, Transaction

if TYPE_CHECKING:
    from typing import Final

    from filterd.smtp.transaction import Reached

__all__ = ["Capabilities", "NextHop", "NextHopOptions", "Transaction", "open_next_hop"]

DEFAULT_PORTS: Final = {"smtp": 25, "lmtp": 24}
USAGE: Final = "smtp://HOST:PORT, lmtp://HOST:PORT, lmtp:///SOCKET or maildir:PATH"


def open_next_hop(url: str, options: NextHopOptions, reached: Reached = lambda _: None) -> NextHop:
    """The next hop that `url` names; nothing is connected or created yet.

    `reached` is told, on the event loop, of each attempt to connect to a server: why it failed, or
    None. Raises NextHopError, which quotes the URL, if it is none of the forms in USAGE.
    """
    if not re.fullmatch(r"[!-~]{1,255}", options.hostname):
        raise NextHopError(f"hostname {options.hostname!r} cannot be said in EHLO")
    scheme, colon, rest = url.partition(":")
    if scheme == "maildir" and colon and rest and "\0" not in rest:
        return MaildirNextHop(Path(rest), options.hostname)
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(scheme, 0)
        host = parts.hostname or ""
    except ValueError:
        raise NextHopError(f"next hop {url!r} is not {USAGE}") from None
    is_lmtp = parts.scheme == "lmtp"
    extras = parts.query or parts.fragment or parts.username is not None
    is_socket = is_lmtp and not parts.netloc and len(parts.path) > 1
    is_server = bool(host) and parts.path in ("", "/")
    if parts.scheme not in DEFAULT_PORTS or extras or not (is_socket or is_server):
        raise NextHopError(f"next hop {url!r} is not {USAGE}")
    target = Target(
        host=host or "localhost",
        port=port,
        socket_path=parts.path if is_socket else "",
        lmtp=is_lmtp,
    )
    return PooledNextHop(url, target, options, reached)
