"""What the daemon's processes hold: memory, descriptors, threads, CPU, from /proc."""

import os
import re
from pathlib import Path

KEPT = ("Rss", "Pss", "Private_Clean", "Private_Dirty", "Anonymous")
SIZE = re.compile(r"^(\w+): +(\d+) kB", re.MULTILINE)
THREADS = re.compile(r"Threads:\s+(\d+)")
TICKS = os.sysconf("SC_CLK_TCK")


def family(supervisor):
    """Name and pid of the supervisor and its workers; while one is replaced there are two of it."""
    listing = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text()
    found = [("supervisor", supervisor)]
    for pid in map(int, listing.split()):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue
        if "--number" in words:
            found.append((f"worker {words[words.index('--number') + 1]}", pid))
    return found


def look(pid):
    """MiB, counts and CPU seconds of one process; None if it has just ended."""
    process = Path(f"/proc/{pid}")
    try:
        sizes = dict(SIZE.findall((process / "smaps_rollup").read_text()))
        threads = int(THREADS.search((process / "status").read_text())[1])
        descriptors = len(list((process / "fd").iterdir()))
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except (OSError, TypeError):
        return None
    mebibytes = {name: int(sizes.get(name, 0)) / 1024 for name in KEPT}
    return {
        "rss": round(mebibytes["Rss"], 2),
        "pss": round(mebibytes["Pss"], 2),
        "private": round(mebibytes["Private_Clean"] + mebibytes["Private_Dirty"], 2),
        "anonymous": round(mebibytes["Anonymous"], 2),
        "fds": descriptors,
        "threads": threads,
        "cpu": round((int(fields[11]) + int(fields[12])) / TICKS, 2),
    }


def look_at_all(supervisor):
    """One row per process."""
    rows = []
    for name, pid in family(supervisor):
        held = look(pid)
        if held is not None:
            rows.append({"process": name, "pid": pid, **held})
    return rows
