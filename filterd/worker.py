"""One worker process: composition root of the mail path.

Started by the supervisor (`filterd.daemon`) with a listening socket and a channel, on which it is
told its settings and reports that it is ready, or why not.
Signals: SIGTERM finishes open transactions and answers everything new 421; SIGUSR1 does the same
but leaves new connections to another worker on the same socket.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import signal
import socket
import ssl
import sys
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog
import uvloop
from ulid import ULID

from filterd import metrics, standstill
from filterd.errors import FilterdError, SettingsError
from filterd.incidents import Incidents, probe_while_down
from filterd.judging import Handling, MailExaminer
from filterd.logs import configure_logs
from filterd.model.batcher import Batcher
from filterd.model.champion import ChampionWatch
from filterd.policy import Policy
from filterd.privileges import is_root
from filterd.settings import Settings, next_hop_options
from filterd.smtp.config import ServerConfig, SessionLimits
from filterd.smtp.nexthop import open_next_hop
from filterd.smtp.server import Server
from filterd.store.database import open_database
from filterd.store.models import champion
from filterd.store.recorder import Recorder
from filterd.store.sealing import open_sealing
from filterd.teaching import SiteWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from filterd.learner.site import SiteLearner
    from filterd.model.encoder import Encoder
    from filterd.smtp.transaction import NextHop
    from filterd.store.database import Database
    from filterd.store.sealing import Sealing

log = structlog.get_logger()

GAUGE_SECONDS = 5.0
# What a client between EHLO and MAIL gets before 421, when another worker is there for the next.
GOODBYE_SECONDS = 5.0
GOODBYE_STEP = 0.05
LONGEST_REPORT = 1000  # characters
# Beside one descriptor for each client and one for its next hop: database, bundle, logs, metrics.
SPARE_DESCRIPTORS = 100
# For so long a new bundle waits for its learner; then it serves, with the learner of the old one.
LEARNER_SECONDS = 10.0


def open_tls(settings: Settings) -> ssl.SSLContext | None:
    """The context for STARTTLS, or None without a certificate; SettingsError if it is no good."""
    if settings.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"tls_certificate {settings.tls_certificate}, tls_key {settings.tls_key}: {error}"
        ) from None
    return context


def open_server(
    settings: Settings,
    examiner: MailExaminer,
    next_hop: NextHop,
    quarantine: NextHop | None,
    exhausted: Callable[[], None],
) -> Server:
    """The SMTP server as the settings describe it."""
    return Server(
        ServerConfig(
            examiner=examiner,
            next_hop=next_hop,
            quarantine=quarantine,
            limits=SessionLimits(
                max_message_size=settings.max_message_size,
                max_recipients=settings.max_recipients,
                max_line_length=settings.max_line_length,
                max_header_size=settings.max_header_size,
                command_timeout=settings.command_timeout,
                data_timeout=settings.data_timeout,
                bare_newline=settings.bare_newline,
            ),
            hostname=settings.hostname,
            allowed_clients=settings.allowed_clients,
            trusted_peers=settings.trusted_peers,
            max_connections=settings.max_connections,
            max_connections_per_client=settings.max_connections_per_client,
            tls=open_tls(settings),
            proxy_protocol=settings.proxy_protocol,
            exhausted=exhausted,
            may_begin=examiner.may_begin,
            may_connect=examiner.may_connect,
        )
    )


def handling(settings: Settings) -> Handling:
    """What is done with judged and unjudged mail, from the settings."""
    return Handling(
        policy=Policy(settings.mode, settings.spam_threshold, settings.reject_threshold),
        on_failure=settings.on_failure,
        deadline=settings.deadline,
        subject_tag=settings.subject_tag,
        spam_headers=settings.spam_headers,
        keep_text=settings.store_text != "none",
        cascade=settings.cascade,
        on_overload=settings.on_overload,
    )


class Worker:
    """The parts of one worker and their life: `run` until a signal ends it."""

    def __init__(self, settings: Settings, database: Database, number: int = 0) -> None:
        self._settings = settings
        self._incidents = Incidents(database, f"{socket.gethostname()} worker {number}")
        self._watch = ChampionWatch(
            lambda: champion(database),
            settings.models,
            tried=partial(self._incidents.tell, "bundle"),
        )
        self._recorder = Recorder(database)
        self._database = database
        self._stop: asyncio.Future[bool] | None = None

    async def run(self, sock: socket.socket, channel: socket.socket) -> None:
        """Serve `sock` until told to stop, then drain.

        Says on `channel` when it is ready, and ends when the other side of it closes.
        """
        settings = self._settings
        encoder = await asyncio.to_thread(self._watch.open)
        batcher = Batcher(encoder)
        site = SiteWatch(self._database, serving=lambda: batcher.bundle.version, changed=_learnt)
        examiner = MailExaminer(
            batcher,
            self._recorder,
            handling(settings),
            new_id=lambda: str(ULID()),
            now=lambda: datetime.now(UTC),
            learner=site.learner_for,
            exhausted=partial(self._end, True),
        )
        options = next_hop_options(settings)
        next_hop = open_next_hop(
            settings.next_hop, options, partial(self._incidents.tell, "next_hop")
        )
        quarantine = open_next_hop(settings.quarantine, options) if settings.quarantine else None
        server = open_server(settings, examiner, next_hop, quarantine, partial(self._end, True))
        stop = self._stop = asyncio.get_running_loop().create_future()
        self._listen_to_signals()
        # The supervisor's death closes the channel: better no worker than one nobody can stop.
        asyncio.get_running_loop().add_reader(channel.fileno(), self._end, False)
        await server.start(sock)
        _loaded(encoder)
        site.start()
        following = self._watch.follow(batcher, prepare=partial(_learn_for, site), swapped=_loaded)
        background = [
            asyncio.create_task(following, name="champion"),
            asyncio.create_task(self._publish_gauges(server), name="gauges"),
            asyncio.create_task(probe_while_down(next_hop, self._incidents), name="probe"),
            asyncio.create_task(
                standstill.watch(lambda: examiner.stuck_for, partial(self._end, True)),
                name="standstill",
            ),
        ]
        channel.sendall(f"ready {encoder.bundle.version}\n".encode())
        log.info("ready", model=encoder.bundle.version, next_hop=settings.next_hop)
        try:
            replaced = await stop
            log.info("draining", seconds=settings.drain_timeout, replaced=replaced)
            if replaced:
                server.stop_accepting()
                await _wait_for_goodbyes(server, min(settings.drain_timeout, GOODBYE_SECONDS))
            await server.drain(settings.drain_timeout)
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await batcher.close()
            await examiner.close()
            await asyncio.to_thread(site.close)
            # At once, since each may wait some seconds for a database that is away.
            await asyncio.gather(
                asyncio.to_thread(self._recorder.close), asyncio.to_thread(self._incidents.close)
            )
            await next_hop.close()
            if quarantine is not None:
                await quarantine.close()
            log.info("stopped")

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end, False)
        loop.add_signal_handler(signal.SIGUSR1, self._end, True)
        # What is sent to every process of a service is meant for the supervisor.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _end(self, replaced: bool) -> None:
        if self._stop is not None and not self._stop.done():
            self._stop.set_result(replaced)

    async def _publish_gauges(self, server: Server) -> None:
        while True:
            metrics.CONNECTIONS.set(server.connections)
            for state in ("written", "dropped", "failed"):
                metrics.RECORDS.labels(state).set(getattr(self._recorder, state))
            await asyncio.sleep(GAUGE_SECONDS)


async def _wait_for_goodbyes(server: Server, seconds: float) -> None:
    """Let clients end their sessions themselves, so that a reload refuses nobody who just came."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while server.connections:  # noqa: ASYNC110  # the server has no event to tell of it
                await asyncio.sleep(GOODBYE_STEP)


async def _learn_for(site: SiteWatch, encoder: Encoder) -> None:
    """Have the learner ready that changes with this encoder, beside the one in use."""
    version = encoder.bundle.version
    if not await asyncio.to_thread(site.prepare, version, LEARNER_SECONDS):
        log.warning("labels not learnt in time for the new bundle, it serves", version=version)


def _loaded(encoder: Encoder) -> None:
    metrics.MODEL_LOADED.labels(encoder.bundle.version).set(time.time())


def _learnt(learner: SiteLearner) -> None:
    metrics.LABELS_LEARNT.set(learner.labels)
    metrics.LABELLERS_LEFT_OUT.set(len(learner.distrusted))


def main() -> None:
    """Entry point of the process that the supervisor starts; not for people."""
    parser = argparse.ArgumentParser(prog="filterd-worker")
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--channel-fd", type=int, required=True)
    arguments = parser.parse_args()
    sock = socket.socket(fileno=arguments.listen_fd)
    channel = socket.socket(fileno=arguments.channel_fd)
    try:
        settings, sealing = _hear_settings(channel)
        configure_logs(settings, worker=arguments.number)
        raise_descriptor_limit(settings.max_connections)
        if not metrics.IS_SEEN:
            log.warning("no room on the disk for metrics, this worker's are not exposed")
        with closing(open_database(settings.database, sealing)) as database:
            worker = Worker(settings, database, arguments.number)
            uvloop.run(worker.run(sock, channel))
    except FilterdError as error:
        text = str(error)[:LONGEST_REPORT]
        with suppress(OSError):  # nobody is left to hear it
            channel.sendall(f"failed {error.exit_code} {text}".encode())
        sys.exit(error.exit_code)


def raise_descriptor_limit(connections: int) -> None:
    """Ask for the descriptors that so many clients take; says so where there cannot be as many.

    Many systems give a process 1,024 and more only to who asks: too few for the default.
    """
    wanted = 2 * connections + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, reachable), hard))
    if reachable < wanted:
        log.warning("few descriptors", limit=reachable, max_connections=connections, wanted=wanted)


def _hear_settings(channel: socket.socket) -> tuple[Settings, Sealing]:
    """The settings and keys as the supervisor has them: one line of JSON.

    Raises SettingsError if they say that root is to be dropped and it was not.
    """
    with channel.makefile("rb") as lines:
        line = lines.readline()
    if not line:
        sys.exit(0)  # the supervisor is gone
    told = json.loads(line)
    settings = Settings(**told["settings"])
    if settings.user and is_root():
        raise SettingsError(f"user = {settings.user}: this worker is root all the same")
    return settings, open_sealing(told["text_keys"])


if __name__ == "__main__":
    main()
