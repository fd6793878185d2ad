"""What happened on the stage, for tests to look at and to wait for. Safe from any thread."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
PATIENCE = 10.0
LOOK_AGAIN = 0.1  # seconds; a condition may look at more than the stage


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the Web API. Arguments that came as JSON text are decoded; `at` is when it came."""

    method: str
    arguments: dict[str, Any]
    at: float
    answer: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Response:
    """A POST to a response_url."""

    token: str
    body: dict[str, Any]
    at: float


@dataclass(frozen=True, slots=True)
class Ack:
    """An acknowledgement that came through a socket."""

    envelope_id: str
    payload: dict[str, Any]
    at: float


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """What one person alone was shown. `replaces`: the ephemeral message that it took the place of."""

    user: str
    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]] = field(default_factory=list)
    thread_ts: str | None = None
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the bot took a payload: HTTP's status, 200 for an ack, 0 if no answer came (see `error`).

    `body` is the answer's JSON; plain text is {"text": …}. `seconds` is the time until the answer.
    """

    status: int
    body: dict[str, Any]
    seconds: float
    error: str = ""

    @property
    def ok(self) -> bool:
        return self.status == 200


class Records:
    """Lists that only grow until `clear`. `homes` and `owners` stay: they belong to the workspace."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._version = 0
        self.homes: dict[str, dict[str, Any]] = {}
        self.owners: dict[str, str] = {}  # view id -> who sees it
        self._empty()

    def _empty(self) -> None:
        self.calls: list[Call] = []
        self.unanswered: list[Call] = []
        self.responses: list[Response] = []
        self.acks: list[Ack] = []
        self.ephemerals: list[Ephemeral] = []
        self.views: list[dict[str, Any]] = []

    def clear(self) -> None:
        with self._changed:
            self._empty()

    def add(self, name: str, item: Any) -> None:
        """Append to one of the lists and wake who waits."""
        with self._changed:
            getattr(self, name).append(item)
        self.touch()

    def touch(self) -> None:
        """Wake who waits: something else has changed."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def copy(self, name: str) -> list[Any]:
        with self._changed:
            return list(getattr(self, name))

    def wait_until(self, condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
        """The first true value of `condition`, asked anew after each event on the stage and at
        least ten times a second."""
        end = time.monotonic() + seconds
        while True:
            seen = self._version
            if value := condition():
                return value
            left = end - time.monotonic()
            assert left > 0, f"waited {seconds:g} s in vain: {what}"
            with self._changed:
                self._changed.wait_for(
                    lambda seen=seen: self._version != seen, min(left, LOOK_AGAIN)
                )
