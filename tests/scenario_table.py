"""Scenarios and what became of them: from the marker in a test to the table in docs/reliability.md.

`pytest --scenarios build/scenarios/TARGET.json` keeps the outcome of every test that is marked
`scenario(id, what, holds)`; TARGET is the make target that asked for it. `python
tests/scenario_table.py FILE…` turns such files into the page. Where CI is set in the environment
a scenario that was skipped is one that failed.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

LETTERS = {
    "A": "Attack on SMTP",
    "C": "Hostile content",
    "F": "Faults",
    "L": "Load",
    "S": "Store",
    "P": "Secrets and privacy",
}
NUMBER = re.compile(f"[{''.join(LETTERS)}][0-9]{{2}}")
MOST_FIGURES = 3
HEAD = """\
# What was thrown at it, and what held

Every line is a test of this repository (`tests/scenario_table.py` says how it gets here). *Holds*
means that each of its cases passed; *not run* that this machine lacks what the test needs, which
in CI is a failure. What we know not to hold stands in [known limits](known-limits.md).
"""


@dataclass
class Scenario:
    """One numbered scenario: `cases` counts its tests, `figures` what they measured."""

    id: str
    what: str
    holds: str
    cases: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    figures: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """In words. Skipped in part is not run: nobody should read more into it."""
        if self.failed:
            return "**fails**"
        return "not run" if self.skipped or not self.cases else "holds"


@dataclass(frozen=True)
class Run:
    """The scenarios of one run of pytest; `target` is what was typed after `make`."""

    target: str
    date: str
    machine: str
    scenarios: list[Scenario]


KEPT = pytest.StashKey[dict[str, Scenario]]()


def pytest_addoption(parser):
    parser.addoption(
        "--scenarios", type=Path, metavar="FILE", help="write what became of each scenario here"
    )


def pytest_configure(config):
    config.stash[KEPT] = {}


def pytest_collection_modifyitems(items):
    """A number means one thing. Raises UsageError where two tests disagree about it."""
    known = {}
    for item in items:
        for found in of_item(item):
            if not NUMBER.fullmatch(found.id):
                raise pytest.UsageError(f"{item.nodeid}: {found.id!r} is no number of a scenario")
            first, said = known.setdefault(found.id, (item.nodeid, (found.what, found.holds)))
            if said != (found.what, found.holds):
                raise pytest.UsageError(f"{found.id} is told twice: {first} and {item.nodeid}")


def of_item(item):
    """The scenarios that a test is marked with, fresh."""
    return [Scenario(*mark.args, **mark.kwargs) for mark in item.iter_markers("scenario")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    scenarios = of_item(item)
    if scenarios and report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"a scenario must not be skipped in CI: {report.longrepr}"
    for one in scenarios:
        count(item.config.stash[KEPT].setdefault(one.id, one), report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """A module that skips itself would take its scenarios along unseen."""
    report = yield
    if not (report.skipped and os.environ.get("CI") and isinstance(collector, pytest.Module)):
        return report
    if "mark.scenario(" in collector.path.read_text():
        report.outcome = "failed"
        report.longrepr = f"scenarios must not be skipped in CI: {report.longrepr}"
    return report


def count(scenario, report):
    """Add one phase of a test: its call, or whatever else did not go well."""
    scenario.seconds += report.duration
    if report.when == "call" or report.skipped or report.failed:
        scenario.cases += 1
        scenario.failed += report.failed
        scenario.skipped += report.skipped
    if report.when == "call":
        said = [str(value) for name, value in report.user_properties if name == "figure"]
        scenario.figures += [figure for figure in said if figure not in scenario.figures]


def pytest_sessionfinish(session):
    path = session.config.getoption("--scenarios")
    if path is None:
        return
    kept = sorted(session.config.stash[KEPT].values(), key=lambda one: one.id)
    today = datetime.now(UTC).date().isoformat()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(Run(path.stem, today, describe_machine(), kept)), indent=1))


def pytest_terminal_summary(terminalreporter, config):
    """What the page will say, for who watches."""
    if config.getoption("--scenarios") is None:
        return
    kept = sorted(config.stash[KEPT].values(), key=lambda one: one.id)
    terminalreporter.section("scenarios")
    for one in kept:
        figures = "; ".join(one.figures[:MOST_FIGURES])
        terminalreporter.line(f"{one.id}  {one.outcome.strip('*'):8} {one.what}  [{figures}]")
    terminalreporter.line(summary(kept))


def describe_machine():
    """What kind of machine this is; nothing that names it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} core{'s' * (cores > 1)}, {memory:.0f} GiB, {platform.machine()}, {system}, "
        f"Python {platform.python_version()}"
    )


def read_run(path):
    """A run as `pytest_sessionfinish` wrote it."""
    values = json.loads(path.read_text())
    return Run(**values | {"scenarios": [Scenario(**one) for one in values["scenarios"]]})


def page(runs):
    """docs/reliability.md: the first run's scenarios, and what longer runs say of the same."""
    rows, lines = {}, [HEAD]
    for run in runs:
        mine = {one.id: (one, run) for one in run.scenarios}
        rows |= mine
        of = "" if run is runs[0] else f", for {', '.join(sorted(mine))}"
        lines.append(f"Made by `make {run.target}` on {run.date}{of}: {run.machine}.\n")
    lines.append(f"{summary([one for one, _ in rows.values()])}\n")
    for letter, title in LETTERS.items():
        group = [rows[number] for number in sorted(rows) if number[0] == letter]
        if group:
            lines += [f"## {letter}: {title}\n", "| | What | What holds | Outcome | Figure |"]
            lines.append("|---|---|---|---|---|")
            lines += [row(one, "" if run is runs[0] else run.target) for one, run in group]
            lines.append("")
    return "\n".join(lines)


def summary(scenarios):
    """All outcomes in a line."""
    outcomes = [one.outcome for one in scenarios]
    cases = sum(one.cases for one in scenarios)
    return (
        f"{len(scenarios)} scenarios of {cases} cases: {outcomes.count('holds')} hold, "
        f"{outcomes.count('**fails**')} fail, {outcomes.count('not run')} not run."
    )


def row(scenario, target):
    """A line of the table; `target` names the longer run that it comes from."""
    outcome = scenario.outcome
    if scenario.cases > 1:
        outcome += f", {scenario.cases} cases"
    figures = scenario.figures[:MOST_FIGURES] + ["…"] * (len(scenario.figures) > MOST_FIGURES)
    if target:
        figures.append(f"(`make {target}`, {scenario.seconds / 60:.0f} min)")
    cells = [scenario.id, scenario.what, scenario.holds, outcome, "; ".join(figures)]
    return "| " + " | ".join(map(cell, cells)) + " |"


def cell(text):
    """Text that cannot break out of its cell, nor be taken for HTML."""
    for mark, instead in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("\n", " ")):
        text = text.replace(mark, instead)
    return text


if __name__ == "__main__":
    print(page([read_run(Path(name)) for name in sys.argv[1:]]), end="")
