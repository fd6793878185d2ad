"""The process that does a night's work: its start, what it says, its end. Both sides of it.

It leads a process group of its own, so that whatever it started ends with it; and it ends itself
when its trainer dies, which it sees by its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Heard = Callable[[Mapping[str, Any]], None]

STDOUT, STDERR = 1, 2
# A line longer than this is cut: a library may write anything.
LONGEST_LINE = 65_536
CHUNK = 65_536
# Until what it left behind has closed its output, once it has ended.
CLOSING_SECONDS = 5.0
LONGEST_REMARK = 200
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# What libraries bound their threads by: OpenMP (torch), BLAS (numpy), Rust (tokenizers).
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended: its exit code, or minus the signal, and the last line it wrote to stderr."""

    code: int
    remark: str


class Child(asyncio.SubprocessProtocol):
    """A process of `start`. What it says is given to `heard`, from the event loop."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._lines = {STDOUT: Lines(), STDERR: Lines()}
        self._remark = ""
        self._exited = asyncio.Event()
        self._silent = asyncio.Event()

    @classmethod
    async def start(
        cls, command: Sequence[str], environment: Mapping[str, str], nice: int, heard: Heard
    ) -> Child:
        """Run a command with at least this niceness."""
        transport, child = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(heard), *command, env=environment, start_new_session=True
        )
        with contextlib.suppress(ProcessLookupError):
            nicest = max(nice, os.getpriority(os.PRIO_PROCESS, 0))
            os.setpriority(os.PRIO_PROCESS, transport.get_pid(), nicest)
        return child

    async def wait(self) -> Ended:
        """Until it has ended, and all it said was heard."""
        await self._exited.wait()
        # Its own children may hold its output open, and would work on for nobody.
        self.kill()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._silent.wait(), CLOSING_SECONDS)
        self._transport.close()
        return Ended(self._transport.get_returncode() or 0, self._remark)

    async def stop(self, grace: float) -> None:
        """Ask all of it to end, and after `grace` seconds make it."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._exited.wait(), grace)
        self.kill()

    def kill(self) -> None:
        """End all of it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._transport.get_pid(), number)

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It runs."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It says something: on standard output to us, on standard error for the log."""
        for line in self._lines[fd].feed(data):
            if fd == STDOUT:
                self._hear(line)
            elif line.strip():
                sys.stderr.write(f"{line}\n")
                self._remark = _short(line) or self._remark

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """It says no more there; its last line may have no end."""
        if fd in self._lines:
            self.pipe_data_received(fd, b"\n")

    def process_exited(self) -> None:
        """It has ended; what it started may not have."""
        self._exited.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # as above
        """It has ended, and nobody holds its output open."""
        self._silent.set()

    def _hear(self, line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:  # print() in some library
            return
        if isinstance(said, dict):
            self._heard(said)


class Lines:
    """Bytes as they come, to whole lines. Of one without end the beginning is kept."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are whole now."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:LONGEST_LINE]
        return [line.decode(errors="replace") for line in lines]


def bounds_of_threads(threads: int) -> dict[str, str]:
    """Variables that keep a process to so many threads, which wait without spinning."""
    variables = dict.fromkeys(THREAD_VARIABLES, str(threads))
    return variables | {"OMP_WAIT_POLICY": "PASSIVE", "ORT_DISABLE_TELEMETRY": "1"}


def end_with_trainer() -> None:
    """For the child: end this process group when the trainer that started it is gone.

    Else it would work on beside the next one, in the same folder.
    """
    threading.Thread(target=_watch_input, name="trainer", daemon=True).start()


def _watch_input() -> None:
    while os.read(0, CHUNK):
        pass
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)  # not started by a trainer: the group is somebody else's


def _short(line: str) -> str:
    plain = COLOURS.sub("", line)
    shown = "".join(letter if letter.isprintable() else " " for letter in plain).strip()
    return shown if len(shown) <= LONGEST_REMARK else f"{shown[: LONGEST_REMARK - 1]}…"
