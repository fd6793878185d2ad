"""A worker as its supervisor sees it: how it is started, told its settings, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from filterd.errors import FilterdError
from filterd.privileges import environment_of_children

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filterd.settings import Settings

START_SECONDS = 60.0
FIRST_BACKOFF_SECONDS = 0.5
HEALTHY_SECONDS = 60.0
REPORT_BYTES = 4096


class WorkerFailedError(FilterdError):
    """A worker ended before it was ready; the text is what it said of that."""

    def __init__(self, text: str, exit_code: int = 70) -> None:  # 70: EX_SOFTWARE
        super().__init__(text)
        self.exit_code = exit_code


@dataclass(eq=False)
class Process:
    """One running worker."""

    child: asyncio.subprocess.Process
    channel: socket.socket  # the worker reports on it, and ends when it closes
    started: float
    retired: bool = False

    @property
    def is_healthy(self) -> bool:
        """It has run for long enough to say that it can."""
        return time.monotonic() - self.started >= HEALTHY_SECONDS


@dataclass
class Slot:
    """A listening socket and the worker that serves it now."""

    number: int
    sock: socket.socket
    current: Process | None = None
    backoff: float = FIRST_BACKOFF_SECONDS
    # Held while its worker is being replaced: a crash during a reload must not give it two.
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


async def spawn_worker(slot: Slot, metrics_folder: str) -> Process:
    """A process on the slot's socket, and our end of its channel; WorkerFailedError."""
    with contextlib.ExitStack() as ends:
        try:
            ours, theirs = map(ends.enter_context, socket.socketpair())
            ours.setblocking(False)
            listen, channel = slot.sock.fileno(), theirs.fileno()
            command = [sys.executable, "-m", "filterd.worker", "--number", str(slot.number)]
            child = await asyncio.create_subprocess_exec(
                *[*command, "--listen-fd", str(listen), "--channel-fd", str(channel)],
                pass_fds=(listen, channel),
                env={
                    **environment_of_children(os.environ),
                    "PROMETHEUS_MULTIPROC_DIR": metrics_folder,
                },
                start_new_session=True,  # Ctrl-C is for the supervisor
            )
        except (OSError, RuntimeError, MemoryError) as error:
            # No descriptor, process, thread or memory to be had now. RuntimeError: no thread
            # for asyncio to wait for the child; without its channel that one ends by itself.
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise WorkerFailedError(f"worker {slot.number}: {reason}") from None
        ends.pop_all()
        theirs.close()
    return Process(child, ours, time.monotonic())


async def hear_ready(
    slot: Slot, process: Process, settings: Settings, text_keys: Sequence[str]
) -> None:
    """Tell a worker its settings and wait until it serves; WorkerFailedError if it does not.

    They are told, keys too, not read by the worker: one that takes the place of another after
    a crash must not take up a file that is just being edited, was refused, or is gone.
    """
    loop = asyncio.get_running_loop()
    told = {"settings": settings.model_dump(mode="json"), "text_keys": text_keys}
    line = json.dumps(told).encode() + b"\n"
    report = b""
    try:
        async with asyncio.timeout(START_SECONDS):
            with contextlib.suppress(ConnectionError):  # its end is news enough
                await loop.sock_sendall(process.channel, line)
                report = await loop.sock_recv(process.channel, REPORT_BYTES)
    except TimeoutError:
        raise WorkerFailedError(
            f"worker {slot.number} was not ready within {START_SECONDS:.0f} s"
        ) from None
    word, _, rest = report.decode(errors="replace").partition(" ")
    if word == "failed":
        exit_code, _, text = rest.partition(" ")
        raise WorkerFailedError(text, int(exit_code))
    if word != "ready":
        code = await process.child.wait()
        raise WorkerFailedError(f"worker {slot.number} ended before it was ready (code {code})")


def how_it_ended(code: int) -> str:
    """In words: by a signal, if the code is negative."""
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


def send_signal(process: Process, number: signal.Signals) -> None:
    """Unless it has ended."""
    # Not child.send_signal: it polls first, and if it meets the end of the child before asyncio's
    # watcher does, it takes the exit code that the watcher then reports as 255.
    if process.child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.child.pid, number)
