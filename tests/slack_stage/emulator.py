"""The emulator's process: found, started, asked and ended."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from slack_stage.workspace import BOT_ALIASES, STAGE_TOKENS, seed

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / ".venv/slack/node_modules/emulate"
LOOPBACK = "127.0.0.1"
START_SECONDS = 30.0
END_SECONDS = 5.0
CALL_SECONDS = 30.0
STARTS = 3


def emulator_entry() -> Path:
    """The emulator's program. Skips the test where it is not installed; in CI it must be."""
    entry = PACKAGE / "dist/index.js"
    if entry.exists() and shutil.which("node"):
        return entry
    missing = "Slack emulator not installed: make slack"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


class Emulator:
    """One emulator in a process group of its own. `public_url` is what its own links begin with."""

    def __init__(self, folder: Path, public_url: str, scopes: tuple[str, ...]) -> None:
        self.log_path = folder / "emulator.log"
        self._seed_path = folder / "seed.json"
        self._public_url = public_url
        self._scopes = scopes
        self._process: subprocess.Popen[bytes] | None = None
        # One of these each time: see workspace.BOT_ALIASES.
        self.bot_tokens = itertools.cycle(BOT_ALIASES)
        self.own_tokens = itertools.cycle(STAGE_TOKENS)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self) -> None:
        """Return when it answers. Another program may take the free port first: then once more."""
        entry = emulator_entry()
        self._seed_path.write_text(json.dumps(seed(self._scopes)))
        for _ in range(STARTS):
            self._run(entry)
            if self._answers():
                return
            self.stop()
        raise AssertionError(f"the Slack emulator did not start:\n{self.log}")

    def _run(self, entry: Path) -> None:
        self.port = _free_port()
        ours = {"EMULATE_BASE_URL", "PORTLESS_URL", "NODE_OPTIONS"}
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        command = ["node", entry, "start", "--service", "slack", "--port", str(self.port)]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--base-url", self._public_url, "--seed", self._seed_path],
                cwd=self.log_path.parent,
                env=environment | {"NO_COLOR": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _answers(self) -> bool:
        """Whether it answers before it ends or the time is over."""
        end = time.monotonic() + START_SECONDS
        while self._process is not None and self._process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.call("auth.test")["ok"]
            if time.monotonic() > end:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
        return False

    def stop(self) -> None:
        """Ask the whole group to end; whatever is left after that is killed."""
        if self._process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
        self._process = None

    def call(self, method: str, token: str | None = None, **arguments: Any) -> dict[str, Any]:
        """One call of the Web API, by default as the bot with all scopes; the answer, whether ok or not."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=CALL_SECONDS)
        try:
            headers = {
                "Authorization": f"Bearer {token or next(self.own_tokens)}",
                "Content-Type": "application/json",
                "Connection": "close",
            }
            connection.request("POST", f"/api/{method}", json.dumps(arguments), headers)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def ask(self, method: str, token: str | None = None, **arguments: Any) -> dict[str, Any]:
        """As `call`; AssertionError unless the answer is ok."""
        answer = self.call(method, token, **arguments)
        assert answer.get("ok"), f"{method}: {answer}"
        return answer

    def pages(self, method: str, key: str, **arguments: Any) -> list[dict[str, Any]]:
        """All items of a list that comes in pages."""
        items: list[dict[str, Any]] = []
        cursor = ""
        while True:
            answer = self.ask(method, limit=200, cursor=cursor, **arguments)
            items += answer[key]
            cursor = answer.get("response_metadata", {}).get("next_cursor", "")
            if not cursor:
                return items


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        return sock.getsockname()[1]
