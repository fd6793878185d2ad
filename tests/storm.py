"""Bad weather for a daemon under mail: its processes killed, its database locked, its model changed.

Each strike is one misfortune. Before anything is killed it is stopped, and which clients it serves
is noted: only their replies can be lost with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from daemon_process import Daemon, environment, toml

START_SECONDS = 180.0
END_SECONDS = 90.0
AWAY_SECONDS = (0.1, 1.0)
# Longer than the 5 s for which SQLite is patient, now and then.
LOCKED_SECONDS = (0.3, 6.0)
SOCKET = re.compile(r"socket:\[([0-9]+)\]")
# How often each comes, of a hundred.
WEIGHTS = {
    "worker killed": 28,
    "all killed": 5,
    "supervisor killed": 2,
    "restarted": 3,
    "reloaded": 15,
    "database locked": 17,
    "model promoted": 12,
    "next hop away": 18,
}


@dataclass(frozen=True)
class Kill:
    """Processes that ended without a word, and the ports of the clients that they served."""

    what: str
    at: float  # monotonic
    ports: frozenset[int]


class Storm:
    """Owns the daemon in `folder` that listens on `port`; `proxy` is its way to the next hop."""

    def __init__(self, folder, port, proxy, dice, settings):
        self.daemon = None
        self.kills = []
        self.strikes = Counter()
        self._folder = folder
        self._port = port
        self._proxy = proxy
        self._dice = dice
        self._settings = settings | {"listen": f"127.0.0.1:{port}"}
        self._background = set()
        self._promoted = 0

    async def begin(self):
        (self._folder / "filterd.toml").write_text(toml(self._settings))
        await self._start()

    async def end(self):
        """The sky clears: what was begun is finished, the daemon ends as it should."""
        await asyncio.gather(*self._background)
        await self._terminate()

    def choose(self):
        return self._dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]

    async def strike(self, what):
        self.strikes[what] += 1
        await getattr(self, "_" + what.replace(" ", "_"))()

    def killer(self, attempt):
        """The kill that may have cost an attempt its reply, or None."""
        for kill in self.kills:
            if attempt.port in kill.ports and attempt.began <= kill.at <= attempt.ended + 1:
                return kill.what
        return None

    async def _start(self):
        """Start the daemon, again and again as systemd does, until it serves."""
        until = time.monotonic() + START_SECONDS
        while True:
            self.daemon = Daemon(self._folder)
            if await asyncio.to_thread(self._hear_serving, until):
                return
            await asyncio.to_thread(self.daemon.end)
            assert time.monotonic() < until, self.daemon.log
            await asyncio.sleep(0.2)

    def _hear_serving(self, until):
        """Whether it serves; False if it ended: the port or the database is taken still."""
        while time.monotonic() < until:
            with contextlib.suppress(queue.Empty):  # a slow machine
                try:
                    return bool(self.daemon.heard("serving"))
                except AssertionError:
                    return False
        return False

    async def _terminate(self):
        self.daemon.signal(signal.SIGTERM)
        assert await asyncio.to_thread(self.daemon.process.wait, END_SECONDS) == 0

    def _kill(self, what, pids):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        ports = frozenset().union(*(clients_of(pid, self._port) for pid in pids))
        self.kills.append(Kill(what, time.monotonic(), ports))
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    # Strikes

    async def _worker_killed(self):
        if pids := self.daemon.worker_pids:
            self._kill("kill -9 of a worker", [self._dice.choice(pids)])

    async def _all_killed(self):
        self._kill("kill -9 of all", [self.daemon.process.pid, *self.daemon.worker_pids])
        await asyncio.to_thread(self.daemon.end)
        await self._start()

    async def _supervisor_killed(self):
        """Its workers finish what they have, and until then hold the port."""
        await asyncio.to_thread(self.daemon.end)
        await self._start()

    async def _restarted(self):
        await self._terminate()
        await self._start()

    async def _reloaded(self):
        threshold = round(self._dice.uniform(0.1, 0.9), 2)
        (self._folder / "filterd.toml").write_text(
            toml(self._settings | {"spam_threshold": threshold})
        )
        self.daemon.signal(signal.SIGHUP)

    async def _database_locked(self):
        seconds = self._dice.uniform(*LOCKED_SECONDS)
        self._leave(asyncio.to_thread(hold_lock, self._folder / "var/filterd.db", seconds))

    async def _model_promoted(self):
        self._promoted += 1
        self._leave(asyncio.to_thread(promote, self._folder, f"tiny.{self._promoted % 2 + 1}"))

    async def _next_hop_away(self):
        await self._proxy.refuse()
        await asyncio.sleep(self._dice.uniform(*AWAY_SECONDS))
        await self._proxy.listen()

    def _leave(self, work):
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def hold_lock(path, seconds):
    """Keep everyone else from writing to an SQLite database."""
    with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")


def promote(folder, version):
    """`filterd models promote`; the database may be locked, which it says."""
    command = [sys.executable, "-m", "filterd", "models", "promote", version]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, check=False, text=True
    )
    assert done.returncode in (0, 74), done.stderr  # 74: locked for too long


def clients_of(pid, port):
    """Ports of the clients whose connections to `port` a process holds."""
    try:
        held = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return frozenset()
    inodes = {found[1] for one in held if (found := SOCKET.fullmatch(one))}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return frozenset(
        int(row[2].rpartition(":")[2], 16)
        for row in rows
        if row[9] in inodes and int(row[1].rpartition(":")[2], 16) == port
    )
