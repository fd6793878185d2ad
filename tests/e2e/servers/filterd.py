"""`filterd serve` as an administrator runs it: a process with settings, a port and signals."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from servers.ports import FILTERD_PORT, LOOPBACK, free_port, require_free
from servers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

# The script beside the interpreter that runs the tests: what a user types.
COMMAND = str(Path(sys.executable).with_name("filterd"))
# What it says after SIGHUP.
RELOADED = '"event": "reloaded"'
REFUSED = '"event": "reload refused'


def settings_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """An environment with these settings and no other filterd settings of whoever runs the tests."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FILTERD_") and name != "PROMETHEUS_MULTIPROC_DIR"
    }
    return inherited | {f"FILTERD_{name.upper()}": value for name, value in settings.items()}


class Filterd:
    """One daemon, on the default port unless it is given `listen`, in its own folder. It may be started again after its end."""

    def __init__(self, folder: Path, next_hop: str, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.metrics = f"{LOOPBACK}:{free_port()}"
        self._settings = {"next_hop": next_hop, "metrics": self.metrics, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = int(settings.get("listen", f":{FILTERD_PORT}").rpartition(":")[2])

    def start(self) -> None:
        """Start and return when it says that it is ready for mail."""
        require_free(self.port)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [COMMAND, "serve"],
                cwd=self.folder,
                env=settings_environment(self._settings),
                stdout=log,
                stderr=log,
                # Ctrl-C is for the tests, which then end it in order.
                start_new_session=True,
            )
        wait_until(lambda: self._process.poll() is not None or self.is_ready(), self.log, 60)
        assert self._process.poll() is None, self.log()

    def is_ready(self) -> bool:
        """Whether /readyz says yes."""
        try:
            with urllib.request.urlopen(f"http://{self.metrics}/readyz", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def reload(self, **changes: str) -> None:
        """SIGHUP with these settings in its file; returns when all workers are the new ones."""
        self._hang_up(changes, RELOADED)

    def refuse_to_reload(self, **changes: str) -> None:
        """SIGHUP with settings that are wrong; returns when it said so."""
        self._hang_up(changes, REFUSED)

    def _hang_up(self, changes: Mapping[str, str], answer: str) -> None:
        lines = [f'{name} = "{value}"\n' for name, value in changes.items()]
        (self.folder / "filterd.toml").write_text("".join(lines))
        before = self.log().count(answer)
        self._process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.log().count(answer) > before, self.log, 60)

    def terminate(self) -> None:
        """Ask it to drain and end; `wait` says how it ended."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 40) -> int:
        """The exit code, once it has ended by itself."""
        return self._process.wait(seconds)

    def stop(self) -> None:
        """End it; by force if it does not go by itself."""
        if self._process is None or self._process.poll() is not None:
            return
        self.terminate()
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """kill -9 of supervisor and workers at once; returns when none of them is left."""
        if self._process.poll() is not None:
            return
        # Stopped, it starts no successor to a worker that we miss.
        self._process.send_signal(signal.SIGSTOP)
        victims = {self._process.pid, *_children(self._process.pid)}
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        wait_until(
            lambda: not any(_is_alive(pid) for pid in victims), "parts of filterd survive kill -9"
        )

    def log(self) -> str:
        """All it said on standard output and standard error, over all its lives."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else "(no log)"


def _children(pid: int) -> set[int]:
    """Processes that it started and that are not reaped."""
    return {
        int(child)
        for listing in Path(f"/proc/{pid}/task").glob("*/children")
        for child in listing.read_text().split()
    }


def _is_alive(pid: int) -> bool:
    """Whether it runs; one that only waits to be reaped does not, and holds no sockets."""
    process = Path(f"/proc/{pid}")
    try:
        # After the name in brackets comes the state (proc(5)).
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        # Its first thread may be a zombie while others still hold its sockets.
        return state not in "ZX" or len(list((process / "task").iterdir())) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False
