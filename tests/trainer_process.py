"""Trainers as processes, with the stand-in for a night; what they did, and what they said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

HASTY = Path(__file__).with_name("hasty_trainer.py")
# The script beside the interpreter that runs the tests: what a user types.
COMMAND = str(Path(sys.executable).with_name("filterd-trainer"))
PATIENCE = 30.0


class Trainers:
    """Trainers of one site, all in `folder`, and ended with it."""

    def __init__(self, folder: Path, url: str, **settings: str) -> None:
        self.folder = folder
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("FILTERD_")
        }
        own = {f"FILTERD_TRAINER_{name.upper()}": value for name, value in settings.items()}
        self._environment = {
            **inherited,
            **own,
            "FILTERD_DATABASE": url,
            "PYTHONPATH": str(HASTY.parents[1]),
        }
        self._running: list[subprocess.Popen[bytes]] = []

    def serve(self, plan: str | None = None) -> subprocess.Popen[bytes]:
        """A trainer that keeps the nights, from when it says so; without a plan the real one."""
        command = [COMMAND, "serve"] if plan is None else [sys.executable, HASTY, "serve", plan]
        before = self.log().count('"serving"')
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running.append(process)
        self.wait_for(lambda: self.log().count('"serving"') > before)
        return process

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One run of the stand-in, to its end."""
        return self._call(sys.executable, str(HASTY), "run", *arguments)

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command as a user types it, to its end."""
        return self._call(COMMAND, *arguments)

    def _call(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def starts(self) -> list[dict[str, Any]]:
        """Each start of the stand-in: what it was told, and whether it was alone."""
        file = self.folder / "starts"
        lines = file.read_text().splitlines() if file.exists() else []
        return [json.loads(line) for line in lines]

    def log(self) -> str:
        """All that trainers said."""
        file = self.folder / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    def wait_for(self, holds: Callable[[], object]) -> None:
        """Until that holds."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def close(self) -> None:
        """End those that run."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.wait()


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask it to end; its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(PATIENCE)
