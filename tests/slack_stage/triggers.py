"""Trigger ids: each opens one view, for the person who clicked, within three seconds."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass

SECONDS = 3.0


@dataclass(slots=True)
class Trigger:
    """`view`: the modal in which the click was, or None. Time runs from the first delivery on."""

    user: str
    view: str | None
    delivered: float | None = None
    used: bool = False


class Triggers:
    """`seconds` may be raised by a test that is slow for reasons of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, Trigger] = {}
        self.seconds = SECONDS

    def new(self, user: str, view: str | None = None) -> str:
        number = f"{time.time_ns() // 1000}.{secrets.randbelow(10**6)}.{secrets.token_hex(16)}"
        with self._lock:
            self._known[number] = Trigger(user, view)
        return number

    def delivered(self, number: str) -> None:
        with self._lock:
            trigger = self._known.get(number)
            if trigger is not None and trigger.delivered is None:
                trigger.delivered = time.monotonic()

    def take(self, number: str) -> Trigger | str:
        """The trigger, which is used up by this; or Slack's error."""
        with self._lock:
            trigger = self._known.get(number)
            if trigger is None:
                return "invalid_trigger_id"
            if trigger.used:
                return "exchanged_trigger_id"
            if (
                trigger.delivered is not None
                and time.monotonic() - trigger.delivered > self.seconds
            ):
                return "expired_trigger_id"
            trigger.used = True
            return trigger
