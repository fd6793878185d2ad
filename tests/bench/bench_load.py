"""What comes of several times more mail than can be judged, with the shipped bundle.

    python tests/bench/bench_load.py [--times 3] [--seconds 16] [--core 0] [--overload defer]

One worker, held to one core; the senders, on the others, do not wait for each other. Prints how
many of the letters in tests/data/golden are judged a second at best, and then under the flood.
"""

import argparse
import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "load"), str(TESTS / "bench")]

from load_flood import best_rate, flood, one_by_one  # noqa: E402
from load_peers import Sink  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from soak import Site  # noqa: E402
from soak_mails import crlf  # noqa: E402
from soak_watch import family, look  # noqa: E402

CLIENTS = 16
WARM_UP_SECONDS = 3.0
BEST_SECONDS = 6.0
FULL_AFTER = 4.0  # seconds; by then what can wait does


def ms(seconds):
    return f"{seconds * 1000:.0f} ms"


def share(values, part):
    ordered = sorted(values) or [0.0]
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def hold(pid, core):
    """Keep all threads of a process on one core."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


async def measure(options, site, sink):
    """Rows of two for the table."""
    letters = [crlf(path.read_bytes()) for path in sorted(TESTS.glob("data/golden/*/*.eml"))]
    numbers = itertools.count(1)
    (_, worker) = family(site.process.pid)[1]
    hold(worker, options.core)
    await best_rate(site.port, 4, WARM_UP_SECONDS, letters, numbers)
    calm = [made.seconds for made in await one_by_one(site.port, 60, letters, numbers)]
    best = await best_rate(site.port, CLIENTS, BEST_SECONDS, letters, numbers)
    before = look(worker)["rss"]
    began = time.monotonic()
    attempts = await flood(site.port, options.times * best, options.seconds, letters, numbers)
    rest = time.monotonic() - began - options.seconds
    after = [made.seconds for made in await one_by_one(site.port, 60, letters, numbers)]
    again = await best_rate(site.port, CLIENTS, BEST_SECONDS, letters, numbers)
    accepted = [made for made in attempts if made.accepted]
    steady = [made for made in accepted if FULL_AFTER <= made.at + made.seconds <= options.seconds]
    told = Counter((made.text[:9] or "nothing") for made in attempts if not made.accepted)
    unjudged = [
        line.split()[-1]
        for line in site.get("/metrics").decode().splitlines()
        if line.startswith("filterd_unjudged_total{")
    ]
    wrong = sum(sink.taken[made.number] != made.accepted for made in attempts)
    return [
        ("latency before, median and p95", f"{ms(share(calm, 0.5))}, {ms(share(calm, 0.95))}"),
        (f"best, {CLIENTS} clients that wait; and afterwards", f"{best:.1f}/s, {again:.1f}/s"),
        (f"flood, {options.times:g} times that", f"{options.times * best:.0f}/s"),
        ("accepted under it", f"{len(steady) / (options.seconds - FULL_AFTER):.1f}/s"),
        ("their latency, median and p99", ", ".join(f"{share([m.seconds for m in steady], p):.1f} s" for p in (0.5, 0.99))),
        ("told to come again", ", ".join(f"{code}: {count:,}" for code, count in told.items())),
        ("after, median", ms(share([m.seconds for m in attempts if not m.accepted], 0.5))),
        ("unjudged", f"{sum(map(float, unjudged)):.0f}"),
        ("lost, twice or stray", str(wrong)),
        ("worker's RSS before and after", f"{before:.0f}, {look(worker)['rss']:.0f} MiB"),
        ("the last reply after the flood", f"{rest:.1f} s"),
        ("latency after, median and p95", f"{ms(share(after, 0.5))}, {ms(share(after, 0.95))}"),
    ]  # fmt: skip


async def run(options):
    sink = await Sink().start()
    settings = {"workers": 1, "on_overload": options.overload}
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), sink.port, **settings)
        try:
            await site.ready()
            return await measure(options, site, sink)
        finally:
            await site.end()
            sink.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=float, default=3.0)
    parser.add_argument("--seconds", type=float, default=16.0)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--overload", choices=["defer", "pass"], default="defer")
    table = Table("figure", "measured")
    for row in asyncio.run(run(parser.parse_args())):
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
