"""What an hour of soaking showed: the checks, a table of them, and the picture."""

import statistics
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure
from rich.table import Table

from trainer.plots import LINES, MUTED, PLAIN, STYLE

FLAT = 0.05  # of resident memory
# More than before in silence. Descriptors: two connections of a bounded pool to SQLite, three each.
SPARE = {"fds": 6, "threads": 2}


@dataclass(frozen=True)
class Check:
    """One promise, and what was measured."""

    what: str
    first: str
    last: str
    holds: bool


def checks(record):
    """All of them, from the record as it is written to the JSON file."""
    return [*_memory(record), *_counts(record), *_mail(record)]


def _memory(record):
    """Medians of the second and the last third, of the processes that served in both.

    The first third is left out: caches fill, the allocator finds its size, workers are replaced.
    The median of hundreds of looks is not moved by a 8 MB mail that is just being read.
    """
    for name, series in by_process(record, "rss", serving=True).items():
        second, last = thirds(record, series)
        change = statistics.median(last) / statistics.median(second) - 1
        yield Check(
            f"{name}: RSS, median MiB ({change:+.1%})",
            f"{statistics.median(second):.1f}",
            f"{statistics.median(last):.1f}",
            abs(change) <= FLAT,
        )


def _counts(record):
    """Descriptors and threads when all clients have left, before and after.

    The supervisor's before is that of the start: it saw the workers replaced, they did not.
    """
    quiet = record["quiet"]
    for key in ("fds", "threads"):
        for after in quiet["end"]:
            when = "start" if after["process"] == "supervisor" else "first third"
            (before,) = [row for row in quiet[when] if row["pid"] == after["pid"]]
            yield Check(
                f"{after['process']}: {'descriptors' if key == 'fds' else key} in silence",
                str(before[key]),
                str(after[key]),
                after[key] <= before[key] + SPARE[key],
            )


def _mail(record):
    mail = record["mail"]
    lost, twice = mail["lost"], mail["twice"]
    yield Check("messages answered 250, lost", f"{mail['accepted']:,}", str(lost), lost == 0)
    yield Check("messages that came twice", "", str(twice), twice == 0)
    yield Check("messages not answered 250 that came", "", str(mail["stray"]), mail["stray"] == 0)
    yield Check("messages that came altered", "", str(mail["spoilt"]), mail["spoilt"] == 0)
    broken = sum(mail["broken"].values())
    yield Check("connections lost without a reply", "", str(broken), broken == 0)
    yield Check("log lines of errors of ours", "", str(record["errors"]), record["errors"] == 0)
    yield Check("daemon's exit code", "", str(record["exit_code"]), record["exit_code"] == 0)


def by_process(record, key, *, serving=False):
    """(minutes, value) of each process by its name; `serving`: only of those that never changed."""
    series = {}
    for sample in record["samples"]:
        for row in sample["processes"]:
            series.setdefault((row["process"], row["pid"]), []).append((sample["minute"], row[key]))
    if not serving:
        return {f"{name} ({pid})": points for (name, pid), points in series.items()}
    third = record["minutes"] / 3
    return {
        name: points
        for (name, _), points in sorted(series.items())
        if points[0][0] <= third and points[-1][0] >= 2 * third
    }


def thirds(record, series):
    """Values of the second and of the last third."""
    third = record["minutes"] / 3
    second = [value for minute, value in series if third <= minute < 2 * third]
    return second, [value for minute, value in series if minute >= 2 * third]


def latencies(record):
    """Seconds at the median, the 95th and the 99th percentile, of each third."""
    third = record["minutes"] / 3
    rows = []
    for number in range(3):
        within = [
            seconds
            for sample in record["samples"]
            if number * third <= sample["minute"] < (number + 1) * third
            for seconds in sample["latencies"]
        ]
        rows.append(percentiles(within))
    return rows


def percentiles(values):
    """The 50th, 95th and 99th; zeros of nothing."""
    ordered = sorted(values)
    if not ordered:
        return 0.0, 0.0, 0.0
    return tuple(
        ordered[min(int(len(ordered) * share), len(ordered) - 1)] for share in (0.5, 0.95, 0.99)
    )


def table(record, found):
    """Checks in rows, for the terminal."""
    made = Table(title=f"{record['minutes']:.0f} minutes of mixed mail, seed {record['seed']}")
    for name, justify in (("what", "left"), ("before", "right"), ("after", "right"), ("", "left")):
        made.add_column(name, justify=justify)
    for check in found:
        made.add_row(
            check.what,
            check.first,
            check.last,
            "[green]holds[/]" if check.holds else "[red]fails[/]",
        )
    made.add_section()
    for name, (median, high, highest) in zip(
        ("first", "second", "last"), latencies(record), strict=True
    ):
        made.add_row(
            f"latency of the {name} third: median, p95, p99",
            f"{median * 1000:.0f} ms",
            f"{high * 1000:.0f}, {highest * 1000:.0f} ms",
            "",
        )
    return made


def draw(record, path):
    """Memory, descriptors and latency over time, as a picture of its own."""
    style = {key: PLAIN.get(value, value) for key, value in STYLE.items()}
    with mpl.rc_context({**style, "figure.facecolor": "white", "svg.hashsalt": "soak"}):
        figure = Figure(figsize=(7.5, 8.5), layout="constrained")
        memory, descriptors, delay = figure.subplots(3, 1, sharex=True)
        colours = {name: LINES[n] for n, name in enumerate(("worker 0", "worker 1", "supervisor"))}
        for axes, key, title in (
            (memory, "rss", "resident memory, MiB"),
            (descriptors, "fds", "open descriptors"),
        ):
            named = set()
            for name, points in by_process(record, key).items():
                role = name.partition(" (")[0]
                label = None if role in named else role
                named.add(role)
                minutes, values = zip(*points, strict=True)
                axes.plot(
                    minutes, values, color=colours.get(role, PLAIN[MUTED]), label=label, linewidth=1
                )
            axes.set_title(title, loc="left", fontsize=11)
            axes.set_ylim(bottom=0)
        memory.legend(frameon=False, ncols=3, loc="lower right")
        _draw_latencies(record, delay)
        for axes in (memory, descriptors, delay):
            for event in record["events"]:
                line = "solid" if event["what"] == "reload" else "dotted"
                axes.axvline(event["minute"], color=PLAIN[MUTED], linewidth=0.7, linestyle=line)
        delay.set_xlabel("minutes (upright lines: reloads; dotted: reloads that were refused)")
        figure.savefig(path, metadata={"Date": None})


def _draw_latencies(record, axes):
    """Percentiles of each minute."""
    minutes = {}
    for sample in record["samples"]:
        minutes.setdefault(int(sample["minute"]), []).extend(sample["latencies"])
    kept = [(minute, percentiles(values)) for minute, values in minutes.items() if values]
    for place, name in enumerate(("median", "p95", "p99")):
        axes.plot(
            [minute + 0.5 for minute, _ in kept],
            [1000 * found[place] for _, found in kept],
            color=LINES[place],
            linewidth=1,
            label=name,
        )
    axes.set_yscale("log")
    axes.set_title("from the end of a message to its reply, ms", loc="left", fontsize=11)
    axes.legend(frameon=False, ncols=3, loc="lower right")
