"""What `serve`, `run` and `status` of `filterd-trainer` do. Composition root of the nights."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from filterd.commands.parts import open_store
from filterd.commands.terminal import out, print_json, say, who
from filterd.errors import FilterdError, ImpossibleError
from filterd.logs import configure_logs
from filterd.privileges import drop, warn_of_root
from filterd.settings import load_settings, load_table
from filterd.store.leases import current_lease
from filterd.store.pauses import pauses
from filterd.store.runs import OPEN, TRAINED, labels_since, last_run, latest_runs, request_run
from trainer.aftercare import look_after
from trainer.bell import HEARTBEAT_SECONDS, keep_nights, too_little
from trainer.progress import Display
from trainer.schedule import next_due
from trainer.settings import TABLE, TrainerSettings
from trainer.stages import EXIT_FAILED, LEASE
from trainer.supervise import COMMAND, Supervisor, Ways
from trainer.telling import pass_on

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from filterd.store.database import Database
    from filterd.store.leases import Lease
    from filterd.store.pauses import Pause
    from filterd.store.runs import TrainingRun
    from trainer.observer import Observer

SHOWN_RUNS = 10
# A run that was stopped goes on with the next start.
EXIT_LATER = 75  # EX_TEMPFAIL

log = structlog.get_logger(__name__)


class BusyError(FilterdError):
    """Another trainer is at work; its run is not disturbed."""

    exit_code = EXIT_LATER


@dataclass(frozen=True, slots=True)
class Status:
    """How the nights stand; `since` is the last training's start, `corrections` came after it."""

    next_night: datetime | None
    lease: Lease | None
    hold: Pause | None
    corrections: int
    since: datetime | None
    runs: list[TrainingRun]


def run_serve(config: Path | None) -> None:
    """Keep the nights until SIGTERM or SIGINT; a run that is at work then goes on later."""
    settings = load_settings(config)
    own = load_table(TrainerSettings, TABLE, config)
    configure_logs(settings, process="trainer")
    drop(settings, config, [(settings.models, "models")])
    with open_store(settings) as database:
        warn_of_root()
        care = partial(look_after, database, settings.models, own)
        asyncio.run(serve(database, Ways(own, config), care=care))


async def serve(
    database: Database,
    ways: Ways,
    *,
    care: Callable[[datetime], None] = lambda _: None,
    heartbeat: float = HEARTBEAT_SECONDS,
) -> None:
    """As `run_serve`, with an open database; `care` is called at each heartbeat."""
    own, stop = ways.own, _told_to_stop()
    supervisor = Supervisor(database, ways, _holder(), stop=stop, heard=_to_log, now=_now)
    due = next_due(own.schedule, own.zone, _now())
    log.info("serving", schedule=own.schedule, timezone=own.timezone, next_night=str(due))
    await keep_nights(
        database, own, supervisor, stop=stop, now=_now, care=care, heartbeat=heartbeat
    )
    log.info("stopped")


def run_once(
    config: Path | None,
    batch: int | None,
    *,
    force: bool,
    as_json: bool,
    command: Sequence[str] = COMMAND,
) -> int:
    """One run now, and how it ended; the exit code. Raises BusyError."""
    settings = load_settings(config)
    own = load_table(TrainerSettings, TABLE, config)
    quiet = {"info": "warning"}.get(settings.log_level, settings.log_level)
    configure_logs(settings.model_copy(update={"log_level": quiet}), process="trainer")
    by = who("")
    drop(settings, config, [(settings.models, "models")])
    ways = Ways(own, config, batch, command, environment={"FILTERD_LOG_LEVEL": quiet})
    with open_store(settings) as database, Display(Console(stderr=True)) as display:
        run = asyncio.run(once(database, ways, display, by=by, force=force))
    if as_json:
        print_json(_as_json(run))
    else:
        say(_in_words(run, forced=force))
    if run.state in OPEN:
        return EXIT_LATER
    return EXIT_FAILED if run.state == "failed" else 0


async def once(
    database: Database, ways: Ways, observer: Observer, *, by: str, force: bool
) -> TrainingRun:
    """One run, asked for by somebody: the one that waits already, if there is one.

    Without `force` it is skipped if there is too little to learn from. Raises BusyError.
    """

    def ask() -> None:
        skip = None if force else too_little(database, ways.own, _now())
        with suppress(ImpossibleError):  # one waits, or has lost its trainer: then it is that one
            request_run(database, by, "cli", _now(), skip=skip)

    supervisor = Supervisor(
        database,
        ways,
        _holder(),
        stop=_told_to_stop(),
        heard=lambda _, said: pass_on(said, observer),
        now=_now,
    )
    done = await supervisor.work(most=1, ask=ask)
    if done is None:
        lease = current_lease(database, LEASE, _now())
        holder = "" if lease is None else f": {lease.holder}"
        raise BusyError(f"another trainer is at work{holder}; `filterd-trainer status` shows it")
    return done[0] if done else latest_runs(database, 1)[0]


def run_status(config: Path | None, *, as_json: bool) -> None:
    """Show how the nights stand."""
    settings = load_settings(config)
    own = load_table(TrainerSettings, TABLE, config)
    with open_store(settings) as database:
        status = look_up(database, own, _now())
    if as_json:
        print_json(
            {
                "next_night": _iso(status.next_night),
                "trainer": _plain(status.lease),
                "on_hold": _plain(status.hold),
                "corrections": status.corrections,
                "since": _iso(status.since),
                "runs": [_as_json(run) for run in status.runs],
            }
        )
    else:
        _show(status, own)


def look_up(database: Database, own: TrainerSettings, now: datetime) -> Status:
    """How the nights stand at this moment. Raises StoreError."""
    before = last_run(database, TRAINED)
    since = None if before is None else before.started_at
    return Status(
        next_night=next_due(own.schedule, own.zone, now),
        lease=current_lease(database, LEASE, now),
        hold=pauses(database).get("nights"),
        corrections=labels_since(database, since),
        since=since,
        runs=latest_runs(database, SHOWN_RUNS),
    )


def _show(status: Status, own: TrainerSettings) -> None:
    def when(moment: datetime | None) -> str:
        return "–" if moment is None else f"{moment.astimezone(own.zone):%Y-%m-%d %H:%M %Z}"

    hold, lease = status.hold, status.lease
    held = "" if hold is None else f"; on hold since {when(hold.at)}, by {hold.by}"
    since = "" if status.since is None else f" since {when(status.since)}"
    say(f"next night   {when(status.next_night)}{held}")
    say(f"at work      {'nobody' if lease is None else lease.holder}")
    say(f"labels       {status.corrections} new{since}; a night needs {own.min_labels}")
    if not status.runs:
        say("no run yet")
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("run", "made", "by", "state", "seconds", "candidate", "reason"):
        figure = name in {"run", "seconds"}
        table.add_column(
            name,
            justify="right" if figure else "left",
            no_wrap=name != "reason",
            overflow="fold",
        )
    for run in status.runs:
        seconds = _seconds(run)
        cells = [
            str(run.id),
            when(run.due_for or run.created_at),
            run.requested_by or run.trigger,
            f"{run.state}, {run.stage}" if run.state == "running" and run.stage else run.state,
            "" if seconds is None else f"{seconds:.0f}",
            run.candidate or "",
            run.reason or "",
        ]
        table.add_row(*map(escape, cells))
    out.print(table)


def _in_words(run: TrainingRun, *, forced: bool) -> str:
    if run.state in OPEN:
        return f"run {run.id}: stopped; the next start goes on with it"
    words = f"run {run.id}: {run.state}"
    words += f", {run.candidate}" if run.candidate else ""
    words += f": {run.reason}" if run.reason else ""
    trainable = run.state == "skipped" and run.started_at is None and not forced
    return f"{words}; --force trains all the same" if trainable else words


def _as_json(run: TrainingRun) -> dict[str, Any]:
    return {**_plain(run), "seconds": _seconds(run)}


def _plain(row: Any) -> Any:
    """A row of the store as JSON has it; None stays."""
    if row is None:
        return None
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(row).items()
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _seconds(run: TrainingRun) -> float | None:
    if run.started_at is None or run.finished_at is None:
        return None
    return round((run.finished_at - run.started_at).total_seconds(), 1)


def _to_log(run: TrainingRun, said: Mapping[str, Any]) -> None:
    if "stage" in said:
        log.info("stage", run=run.id, stage=said["stage"])


def _told_to_stop() -> asyncio.Event:
    """Set by SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _holder() -> str:
    """Host and process, and a few digits more: containers may have the same of both."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"


def _now() -> datetime:
    return datetime.now(UTC)
