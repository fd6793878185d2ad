"""`filterd-bot serve` as an administrator runs it, with the Slack of this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slack_stage import Slack

# The script beside the interpreter that runs the tests: what a user types.
COMMAND = str(Path(sys.executable).with_name("filterd-bot"))
LOOPBACK = "127.0.0.1"
PATIENCE = 30.0
HASTY = Path(__file__).with_name("hasty_bot.py")


class Bot:
    """One bot, running in `folder` with the database that its settings name.

    `hasty`: with shorter waits than in life. `env`: variables besides, or in place of ours.
    `prefix`: what starts it, with its command as arguments.
    """

    def __init__(
        self,
        folder: Path,
        slack: Slack,
        mode: str,
        channel: str,
        *,
        hasty: bool = False,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        **settings: str,
    ) -> None:
        self.folder = folder
        self._slack = slack
        self._log = folder / f"bot-{time.monotonic_ns()}.log"
        self.port = _free_port()
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("FILTERD_", "SLACK_"))
        }
        own = {
            "mode": mode,
            "channel": channel,
            "listen": f"{LOOPBACK}:{self.port}",
            "api_url": slack.api_url,
            **settings,
        }
        database = own.pop("database", "")
        self._environment = inherited | {
            **{f"FILTERD_BOT_{name.upper()}": value for name, value in own.items()},
            **({"FILTERD_DATABASE": database} if database else {}),
            "SLACK_BOT_TOKEN": slack.bot_token,
            "SLACK_APP_TOKEN": slack.app_token,
            "SLACK_SIGNING_SECRET": slack.signing_secret,
            **(env or {}),
        }
        own_command = [sys.executable, str(HASTY)] if hasty else [COMMAND, "serve"]
        self._command = [*map(str, prefix), *own_command]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it takes Slack's requests in mode http."""
        return f"http://{LOOPBACK}:{self.port}/slack/events"

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, wait: bool = True) -> Bot:
        """Start it, again perhaps, and return when it says that it serves."""
        before = self.count("serving")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait_for_log("serving", before + 1)
        return self

    def wait_for_log(self, event: str, count: int = 1, seconds: float = PATIENCE) -> None:
        """Until the log has an event so many times."""
        deadline = time.monotonic() + seconds
        while self.count(event) < count:
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def count(self, event: str) -> int:
        """How often the log has an event."""
        return sum(one["event"] == event for one in self.events())

    def events(self) -> list[dict[str, Any]]:
        """Its log lines."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def log(self) -> str:
        """All it said."""
        return self._log.read_text(errors="replace") if self._log.exists() else "(no log)"

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Until it ends by itself; its exit code."""
        return self._process.wait(seconds)

    def kill(self) -> None:
        """kill -9."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        return int(sock.getsockname()[1])
