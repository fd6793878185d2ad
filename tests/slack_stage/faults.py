"""Slack's bad days, on demand. A method is a Web API method, or `response_url`."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One refused call: an error, or (with `retry_after`) a 429."""

    error: str
    retry_after: int | None = None

    @property
    def status(self) -> int:
        return 200 if self.retry_after is None else 429

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class Faults:
    """Planned faults, taken one by one in the order in which they were planned."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self.down = False
        self._planned: dict[str, deque[Fault]] = {}
        self._delays: dict[str, float] = {}

    def plan(self, method: str, fault: Fault, times: int) -> None:
        with self._lock:
            self._planned.setdefault(method, deque()).extend([fault] * times)

    def take(self, method: str) -> Fault | None:
        with self._lock:
            planned = self._planned.get(method)
            return planned.popleft() if planned else None

    def delay(self, method: str, seconds: float) -> None:
        """Every answer to the method from now on; 0 ends it."""
        self._delays[method] = seconds

    def delay_of(self, method: str) -> float:
        return self._delays.get(method, 0.0)
