"""An hour of mixed mail through the real daemon: does it lose, leak or slow down?

    python tests/bench/soak.py [--minutes 60] [--share 0.3] [--out build/soak]

Letters, MIME of all sizes, broken mail and bombs, from clients that come by chance and leave as
they like; labels are given and undone, /metrics is read, settings are read anew. In the first
third workers are replaced (SIGHUP); then the same ones stay, and SIGHUPs are refused for wrong
settings. A worker takes some ten minutes to find its size, so the check of memory means nothing
in less than half an hour. Writes soak.json and soak.svg, prints the checks, exits 1 if one fails.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "load")]

from daemon_process import environment, free_port, toml  # noqa: E402
from load_peers import Sink  # noqa: E402
from rich.console import Console  # noqa: E402
from soak_mails import MailBag  # noqa: E402
from soak_people import Crowd  # noqa: E402
from soak_report import checks, draw, table  # noqa: E402
from soak_watch import look_at_all  # noqa: E402

from filterd.store.database import open_database  # noqa: E402
from filterd.store.labels import add_label, undo_label  # noqa: E402
from filterd.store.messages import recent  # noqa: E402

SAMPLE_SECONDS = 5.0
LABEL_SECONDS = 20.0
SCRAPE_SECONDS = 15.0
MOST_STANDING = 40  # labels; older ones are undone
WARM_UP_SECONDS = 15.0
IDLE_HOP_SECONDS = 5.0
READY_SECONDS = 60.0
# In parts of the whole time.
RELOADS = (0.08, 0.16, 0.24)
FIRST_SILENCE = 1 / 3
REFUSALS = (0.45, 0.6, 0.75, 0.9)


class Site:
    """The daemon, in a folder of its own, with two workers and the shipped bundle."""

    def __init__(self, folder, next_hop_port, **settings):
        self.folder = folder
        self.port = free_port()
        self.metrics = f"127.0.0.1:{free_port()}"
        self._settings = {
            "listen": f"127.0.0.1:{self.port}",
            "metrics": self.metrics,
            "next_hop": f"smtp://127.0.0.1:{next_hop_port}",
            "next_hop_idle": IDLE_HOP_SECONDS,
            "hostname": "filter.example",
            "workers": 2,
            **settings,
        }
        self.configure()
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "filterd", "serve"],
            cwd=folder,
            env=environment(),
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def configure(self, **changes):
        (self.folder / "filterd.toml").write_text(toml(self._settings | changes))

    async def ready(self):
        async with asyncio.timeout(READY_SECONDS):
            while self.process.poll() is None:
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(self.get, "/readyz")
                    return
                await asyncio.sleep(0.1)
        sys.exit((self.folder / "log").read_text())

    def get(self, path):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self.metrics}{path}", timeout=30) as answer:
            return answer.read()

    async def end(self):
        self.process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(self.process.wait, 60)
        self._log.close()
        return code

    def errors(self):
        """Log lines of severity error or critical, but for the reloads that had to be refused."""
        found = []
        for line in (self.folder / "log").read_text(errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                entry = json.loads(line)
                refused = str(entry.get("event", "")).startswith("reload refused")
                if entry.get("level") in ("error", "critical") and not refused:
                    found.append(line)
        return found


class Soak:
    """One run: `run` gives its record."""

    def __init__(self, options, site, sink):
        self._minutes = options.minutes
        self._options = options
        self._site = site
        self._random = random.Random(options.seed)
        self._crowd = Crowd(site.port, sink, MailBag(options.seed), options.seed)
        self._sink = sink
        self._began = time.monotonic()
        self._record = {
            "minutes": options.minutes,
            "seed": options.seed,
            "samples": [],
            "events": [],
            "quiet": {},
        }

    async def run(self):
        rate = await self._calibrate()
        self._record["mails_per_second"] = round(rate, 2)
        await self._be_silent("start")
        self._crowd.tally.latencies.clear()
        self._began = time.monotonic()
        beside = [
            asyncio.create_task(work)
            for work in (self._sample(), self._label(), self._scrape(), self._hang_up())
        ]
        total = self._minutes * 60
        await self._crowd.come(rate, self._began + FIRST_SILENCE * total)
        await self._be_silent("first third")
        await self._crowd.come(rate, self._began + total)
        self._record["cpu_share"] = self._cpu_share()
        for task in beside:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._be_silent("end")
        self._record["exit_code"] = await self._site.end()
        self._record["errors"] = len(self._site.errors())
        self._record["error_lines"] = self._site.errors()[:20]
        self._record["mail"] = self._ledger()
        return self._record

    async def _calibrate(self):
        """Mails a second that take the wished share of one core: some are sent and weighed."""
        before, sent = self._cpu(), sum(self._crowd.tally.sent.values())
        await self._crowd.come(8, time.monotonic() + WARM_UP_SECONDS)
        await self._crowd.leave()
        sent = sum(self._crowd.tally.sent.values()) - sent
        return self._options.share * sent / (self._cpu() - before)

    def _cpu(self):
        return sum(row["cpu"] for row in look_at_all(self._site.process.pid))

    def _cpu_share(self):
        """Of one core, over the last third, where no process was replaced."""
        samples = self._record["samples"]
        first, last = samples[len(samples) * 2 // 3], samples[-1]
        used = sum(row["cpu"] for row in last["processes"]) - sum(
            row["cpu"] for row in first["processes"]
        )
        return round(used / (last["minute"] - first["minute"]) / 60, 3)

    async def _be_silent(self, name):
        """All clients gone and idle connections closed: what is held now is held for good."""
        await self._crowd.leave()
        await asyncio.sleep(IDLE_HOP_SECONDS + 3)
        self._record["quiet"][name] = look_at_all(self._site.process.pid)

    def _minute(self):
        return round((time.monotonic() - self._began) / 60, 3)

    # Beside the mail

    async def _sample(self):
        tally = self._crowd.tally
        while True:
            latencies, tally.latencies = tally.latencies, []
            self._record["samples"].append(
                {
                    "minute": self._minute(),
                    "processes": look_at_all(self._site.process.pid),
                    "messages": len(tally.accepted),
                    "clients": self._crowd.present,
                    "latencies": [round(seconds, 4) for seconds in latencies],
                }
            )
            if len(self._record["samples"]) % 12 == 0:
                write(self._record, self._options.out)
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _label(self):
        """Three people correct recent mail, and take the oldest of their corrections back."""
        standing = []
        with contextlib.closing(
            open_database(f"sqlite:///{self._site.folder}/var/filterd.db")
        ) as database:
            while True:
                await asyncio.sleep(LABEL_SECONDS)
                records = await asyncio.to_thread(recent, database, 100)
                if not records:
                    continue
                chosen = self._random.choice(records).id
                label, by = (
                    self._random.choice(["spam", "ham"]),
                    self._random.choice(["ann", "bo", "cy"]),
                )
                given = await asyncio.to_thread(
                    add_label, database, chosen, "spam", label, by, "cli"
                )
                if given.id not in [label.id for label in standing]:
                    standing.append(given)
                if len(standing) > MOST_STANDING or self._random.random() < 0.3:
                    oldest = standing.pop(0)
                    await asyncio.to_thread(undo_label, database, oldest.id, oldest.by, "cli")

    async def _scrape(self):
        while True:
            await asyncio.sleep(SCRAPE_SECONDS)
            await asyncio.to_thread(self._site.get, "/metrics")

    async def _hang_up(self):
        planned = [(part, "reload") for part in RELOADS] + [(part, "refused") for part in REFUSALS]
        for part, what in planned:
            await asyncio.sleep(self._began + part * self._minutes * 60 - time.monotonic())
            self._site.configure(**({"lisen": "nowhere"} if what == "refused" else {}))
            self._site.process.send_signal(signal.SIGHUP)
            self._record["events"].append({"minute": self._minute(), "what": what})

    def _ledger(self):
        """Each message against what came out at the far end."""
        tally, taken = self._crowd.tally, self._sink.taken
        return {
            "sent": dict(tally.sent),
            "accepted": len(tally.accepted),
            "lost": sum(taken[number] == 0 for number in tally.accepted),
            "twice": sum(count > 1 for count in taken.values()),
            "stray": len(set(taken) - tally.accepted),
            "spoilt": len(self._sink.spoilt),
            "refused": dict(tally.refused),
            "deferred": dict(tally.deferred),
            "broken": dict(tally.broken),
        }


def write(record, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "soak.json").write_text(json.dumps(record, indent=None))


async def soak(options, folder):
    sink = await Sink().start()
    site = Site(folder, sink.port)
    try:
        await site.ready()
        return await Soak(options, site, sink).run()
    finally:
        if site.process.poll() is None:
            site.process.kill()
        sink.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--share", type=float, default=0.3, help="of one core (default 0.3)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/soak"))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="filterd-soak-"))
    try:
        record = asyncio.run(soak(options, folder))
        options.out.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "log", options.out / "soak.log")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    write(record, options.out)
    found = checks(record)
    record["checks"] = [check.__dict__ for check in found]
    write(record, options.out)
    draw(record, options.out / "soak.svg")
    Console(width=min(os.get_terminal_size().columns, 120) if sys.stdout.isatty() else 120).print(
        table(record, found)
    )
    sys.exit(0 if all(check.holds for check in found) else 1)


if __name__ == "__main__":
    main()
