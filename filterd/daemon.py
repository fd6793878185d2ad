"""The supervisor: owns the port, starts one process per worker, replaces those that die.

It touches no mail. Listening sockets belong to it, one per worker with SO_REUSEPORT, so a worker
that crashes or is replaced on SIGHUP loses no connection: its successor accepts from the same
socket. SIGTERM and Ctrl-C drain, SIGHUP reads the settings anew and replaces the workers one by
one, a second SIGTERM ends at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
import time
from typing import TYPE_CHECKING, Any

import structlog

from filterd.errors import FilterdError, NextHopError, SettingsError
from filterd.listening import bind, require_clients
from filterd.privileges import account, drop, warn_of_root
from filterd.processes import (
    FIRST_BACKOFF_SECONDS,
    HEALTHY_SECONDS,
    Process,
    Slot,
    WorkerFailedError,
    hear_ready,
    how_it_ended,
    send_signal,
    spawn_worker,
)
from filterd.settings import (
    FIXED_SETTINGS,
    Settings,
    load_settings,
    next_hop_options,
)
from filterd.store.sealing import read_keys

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from pathlib import Path

    from filterd.incidents import Incidents
    from filterd.store.database import Database

log = structlog.get_logger()

# On top of drain_timeout: for records on their way to the database.
KILL_GRACE_SECONDS = 15.0
LONGEST_BACKOFF_SECONDS = 30.0
CANCEL_SECONDS = 0.1
# A reload that changes these is refused if what they name does not answer.
NEXT_HOP_SETTINGS = ("next_hop", "quarantine", "next_hop_tls")


class Supervisor:
    """Runs the daemon: `run` returns when it has drained."""

    def __init__(self, settings: Settings, config: Path | None) -> None:
        self._settings = settings
        self._config = config
        self._text_keys: tuple[str, ...] = ()
        self._slots: list[Slot] = []
        self._processes: set[Process] = set()  # serving, starting, and on their way out
        self._tasks: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        self._restarts = 0
        self._metrics_folder = ""
        self._database: Database | None = None
        self._incidents: Incidents | None = None
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Check, bind, start, watch, and drain in the end. Raises FilterdError if it cannot."""
        from filterd.admin import AdminServer
        from filterd.housekeeping import keep_house

        settings = self._settings
        self._slots = [
            Slot(number, sock)
            for number, sock in enumerate(bind(settings.listen, settings.workers))
        ]
        self._metrics_folder = tempfile.mkdtemp(prefix="filterd-metrics-")
        admin: AdminServer | None = None
        housekeeping: asyncio.Task[None] | None = None
        try:
            self._check_clients(settings)
            if settings.metrics:
                admin = AdminServer(
                    settings.metrics, self._metrics_folder, alive=self.alive, ready=self.ready
                )
            self._drop_root(settings)
            self._listen_to_signals()
            await self._unless_stopped(self._open(admin.address if admin else ""))
            housekeeping = asyncio.create_task(
                keep_house(lambda: self._settings), name="housekeeping"
            )
            await self._ended.wait()
        finally:
            if housekeeping is not None:
                housekeeping.cancel()
            await self._stop()
            await asyncio.to_thread(self._close_incidents)
            if admin is not None:
                admin.close()
            for slot in self._slots:
                slot.sock.close()
            shutil.rmtree(self._metrics_folder, ignore_errors=True)

    def alive(self) -> tuple[bool, str]:
        """Whether workers run, in a line. Called from the admin thread."""
        running = sum(slot.current is not None for slot in self._slots)
        return (
            running > 0,
            f"{running} of {len(self._slots)} workers ready, {self._restarts} restarts",
        )

    def ready(self) -> tuple[bool, str]:
        """Whether mail is taken, in a line. Called from the admin thread."""
        fine, text = self.alive()
        return (False, "draining") if self._ended.is_set() else (fine, text)

    def _drop_root(self, settings: Settings) -> None:
        """Every port is bound: from here on as the user that the settings name. SettingsError."""
        who = account(settings)
        if who is not None:
            os.chown(self._metrics_folder, who.user, who.group)
            drop(settings, self._config)

    def _check_clients(self, settings: Settings) -> None:
        """Whom these settings let in on the bound address; SettingsError if nobody said."""
        require_clients(settings, self._slots[0].sock)
        everyone = [str(network) for network in settings.allowed_clients if not network.prefixlen]
        if everyone:
            log.warning("everyone may send mail through this filter", allowed_clients=everyone)

    async def _open(self, metrics: str) -> None:
        """Everything that must be right before the first mail, then the workers."""
        async with self._reloading:
            self._text_keys = read_keys(self._settings.text_key_file)
            await asyncio.to_thread(_upgrade, self._settings.database, self._text_keys)
            await asyncio.to_thread(self._open_incidents)
            await _reach_next_hops(self._settings)
            await asyncio.gather(*(self._start(slot) for slot in self._slots))
        host, port = self._slots[0].sock.getsockname()[:2]
        log.info("serving", listen=f"{host}:{port}", workers=len(self._slots), metrics=metrics)
        warn_of_root()

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work`, or give it up on SIGTERM."""
        task = asyncio.create_task(work)
        stopped = asyncio.create_task(self._ended.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            task.result()
        while not task.done():
            # More than once: Python 3.11's wait_for, in our libraries, may swallow one.
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_SECONDS)

    def _open_incidents(self) -> None:
        """Where it is written that workers die; blocks. Raises StoreError."""
        from filterd.incidents import Incidents
        from filterd.store.database import open_database

        self._database = open_database(self._settings.database)
        self._incidents = Incidents(self._database, f"{socket.gethostname()} supervisor")

    def _close_incidents(self) -> None:
        """Write what is left and let the database go; blocks for some seconds at most."""
        if self._incidents is not None:
            self._incidents.close()
        if self._database is not None:
            self._database.close()

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self._reload(), "reload"))

    def _asked_to_stop(self) -> None:
        if self._ended.is_set():
            log.warning("second signal: ending at once, open transactions are cut off")
            self._signal_all(signal.SIGKILL)
        self._ended.set()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self) -> None:
        """New settings for new workers; what is wrong leaves the old ones in service."""
        async with self._reloading:
            before = self._settings, self._text_keys
            try:
                settings = load_settings(self._config)
                self._text_keys = read_keys(settings.text_key_file)
                self._check_clients(settings)
                if _differ(before[0], settings, NEXT_HOP_SETTINGS):
                    await _reach_next_hops(settings)
                for name in _differ(before[0], settings, FIXED_SETTINGS):
                    log.warning("setting changes at the next restart only", setting=name)
                fixed = {name: getattr(before[0], name) for name in FIXED_SETTINGS}
                self._settings = settings.model_copy(update=fixed)
                for slot in self._slots:
                    await self._replace(slot)
            except FilterdError as error:
                self._settings, self._text_keys = before
                if not self._ended.is_set():
                    log.error("reload refused, the old settings stay", error=str(error))  # noqa: TRY400  # one line says it
            else:
                log.info("reloaded")

    async def _replace(self, slot: Slot) -> None:
        """A new worker on the slot's socket, and then the old one's leave; WorkerFailedError."""
        async with slot.changing:
            old = slot.current
            await self._start(slot)
            if old is not None:
                old.retired = True
                send_signal(old, signal.SIGUSR1)

    async def _start(self, slot: Slot) -> None:
        """Start a worker on the slot's socket and wait until it is ready; WorkerFailedError."""
        process = await spawn_worker(slot, self._metrics_folder)
        child = process.child
        self._processes.add(process)
        if self._ended.is_set():
            send_signal(process, signal.SIGTERM)
        try:
            await hear_ready(slot, process, self._settings, self._text_keys)
        except BaseException:
            send_signal(process, signal.SIGKILL)
            await child.wait()
            self._forget(process)
            raise
        slot.current = process
        self._spawn(self._watch(slot, process), f"worker {slot.number}")
        asyncio.get_running_loop().call_later(HEALTHY_SECONDS, self._see_whether_all_is_well)

    async def _watch(self, slot: Slot, process: Process) -> None:
        """Wait for a worker's end and start its successor unless the end was asked for."""
        code = await process.child.wait()
        self._forget(process)
        if slot.current is process:
            slot.current = None
        if self._ended.is_set():
            # Or the kernel would go on giving it connections that nobody answers.
            slot.sock.close()
            return
        if process.retired:
            return
        log.error("worker died", worker=slot.number, code=code)
        if self._incidents is not None:
            self._incidents.started("worker", f"worker {slot.number} {how_it_ended(code)}")
        if process.is_healthy:
            slot.backoff = FIRST_BACKOFF_SECONDS
        while slot.current is None and not await self._ends_within(slot.backoff):
            slot.backoff = min(slot.backoff * 2, LONGEST_BACKOFF_SECONDS)
            async with slot.changing:
                await self._succeed(slot)

    async def _succeed(self, slot: Slot) -> None:
        """A worker for a slot that has none, unless a reload has given it one meanwhile."""
        if slot.current is not None:
            return
        self._restarts += 1
        try:
            await self._start(slot)
        except WorkerFailedError as error:
            if not self._ended.is_set():
                log.error("worker did not start", worker=slot.number, error=str(error))  # noqa: TRY400  # one line says it

    def _see_whether_all_is_well(self) -> None:
        """No worker is missing and none has just started: whatever was wrong is over."""
        current = [slot.current for slot in self._slots]
        if self._incidents is not None and all(
            one is not None and one.is_healthy for one in current
        ):
            self._incidents.over("worker")

    async def _ends_within(self, seconds: float) -> bool:
        """Wait for `seconds` or until told to stop; whether that was it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        return self._ended.is_set()

    def _forget(self, process: Process) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        process.channel.close()
        self._processes.discard(process)
        mark_process_dead(process.child.pid, path=self._metrics_folder)  # type: ignore[no-untyped-call]

    def _signal_all(self, number: signal.Signals) -> None:
        for process in self._processes:
            send_signal(process, number)

    async def _stop(self) -> None:
        """Drain every worker; kill what has not ended when its time is over."""
        self._ended.set()
        self._signal_all(signal.SIGTERM)
        limit = time.monotonic() + self._settings.drain_timeout + KILL_GRACE_SECONDS
        while self._tasks and (left := limit - time.monotonic()) > 0:
            await asyncio.wait(set(self._tasks), timeout=left)
        if self._tasks:
            log.warning("workers did not drain in time", count=len(self._processes))
            self._signal_all(signal.SIGKILL)
            tasks = set(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _reach_next_hops(settings: Settings) -> None:
    """Ask each next hop what it can; NextHopError if it cannot be reached, else SettingsError."""
    from filterd.smtp.nexthop import open_next_hop

    for name in ("next_hop", "quarantine"):
        url = getattr(settings, name)
        if not url:
            continue
        try:
            hop = open_next_hop(url, next_hop_options(settings))
        except NextHopError as error:
            raise SettingsError(f"{name}: {error}") from None
        try:
            await hop.capabilities()
        except NextHopError as error:
            raise NextHopError(f"{name}: {error}") from None
        finally:
            await hop.close()


def _upgrade(url: str, text_keys: Sequence[str]) -> None:
    """Bring the database's schema up to date; blocks. Raises StoreError."""
    from filterd.store.database import open_database
    from filterd.store.resealing import require_keys
    from filterd.store.schema import upgrade
    from filterd.store.sealing import SealedError, open_sealing

    with contextlib.closing(open_database(url, open_sealing(text_keys))) as database:
        upgrade(database)
        try:
            require_keys(database)
        except SealedError as error:
            # Mail needs none of it.
            log.error("kept mail cannot be read, labels of it teach nothing", error=str(error))  # noqa: TRY400  # one line says it


def _differ(one: Settings, other: Settings, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if getattr(one, name) != getattr(other, name)]
