"""The addresses that come with a click or a command: five answers each, whoever asks."""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from dataclasses import dataclass

USES = 5


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the person was: in a channel, and if a message was clicked, at that message."""

    user: str
    channel: str
    message_ts: str | None = None
    ephemeral: bool = False
    thread_ts: str | None = None


class ResponseUrls:
    """Tokens and what they stand for. Slack's half hour of life is not played."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._origins: dict[str, Origin] = {}
        self._used: Counter[str] = Counter()

    def new(self, origin: Origin) -> str:
        token = secrets.token_urlsafe(12)
        with self._lock:
            self._origins[token] = origin
        return token

    def origin(self, token: str) -> Origin | None:
        return self._origins.get(token)

    def use(self, token: str) -> Origin | None:
        """The origin if the token is known and has a use left."""
        with self._lock:
            if token not in self._origins or self._used[token] >= USES:
                return None
            self._used[token] += 1
            return self._origins[token]
