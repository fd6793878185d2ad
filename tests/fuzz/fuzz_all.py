"""`make fuzz`: each target in turn under the fuzzer, its state as it goes, a table in the end.

What it finds stays in build/fuzz/found, one file an input; the exit code is 1 then. Inputs that
reached something new are kept in build/fuzz/corpus and are where the next run begins.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent)]
BUILD = ROOT / "build/fuzz"
SEED = 20_261_124
MEMORY = 2048  # MiB
HANGS = 60  # seconds for one input, on a machine that may do much else
STARTS = 300.0  # seconds that instrumenting and the last input may take on top, likewise
STATE = re.compile(rb"#(\d+)\s+[A-Za-z]+\s.*?cov: (\d+) ft: (\d+) corp: (\d+)/")
DONE = re.compile(rb"Done (\d+) runs in")
SHOWN_LINES = 40


@dataclass
class Run:
    """One target's run: what the fuzzer said of it."""

    target: str
    executions: int = 0
    branches: int = 0
    features: int = 0
    corpus: int = 0
    seconds: float = 0.0
    findings: list[Path] = field(default_factory=list)
    failed: bool = False
    said: deque[bytes] = field(default_factory=lambda: deque(maxlen=SHOWN_LINES))

    def hear(self, line):
        if state := STATE.search(line):
            numbers = map(int, state.groups())
            self.executions, self.branches, self.features, self.corpus = numbers
        elif done := DONE.search(line):
            self.executions = int(done[1])
        elif not line.startswith((b"INFO:", b"WARNING:")):
            self.said.append(line)

    @property
    def state(self):
        return f"{self.executions:,} inputs, {self.branches:,} branches, {self.features:,} features"


def main():
    from fuzz_targets import TARGETS

    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=600, help="for all targets together")
    arguments = parser.parse_args()
    targets = arguments.targets or list(TARGETS)
    if unknown := set(targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    console = Console()
    each = arguments.seconds / len(targets)
    runs = []
    with Progress(
        TextColumn("{task.description:8}"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
        console=console,
    ) as progress:
        for target in targets:
            runs.append(fuzz(target, each, progress))
            if not console.is_terminal:
                console.print(f"{target}: {runs[-1].state}", soft_wrap=True)
    tell(console, runs)
    return int(any(run.failed for run in runs))


def fuzz(target, seconds, progress):
    """Run one target for so long; never raises for what it finds."""
    from fuzz_seeds import LONGEST, seeds

    run = Run(target)
    task = progress.add_task(target, total=seconds, state="")
    corpus, first, found = (
        BUILD / name for name in (f"corpus/{target}", f"seeds/{target}", "found")
    )
    for folder in (corpus, first, found):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds(target):
        (first / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    before = set(found.iterdir())
    words = BUILD / "words"
    words.write_text(dictionary())
    started = time.monotonic()
    with subprocess.Popen(
        [
            sys.executable,
            HERE / "fuzz_one.py",
            target,
            f"-max_total_time={max(int(seconds), 1)}",
            f"-seed={SEED}",
            f"-max_len={LONGEST}",
            f"-timeout={HANGS}",
            f"-report_slow_units={HANGS}",
            f"-rss_limit_mb={MEMORY}",
            f"-artifact_prefix={found}/{target}-",
            f"-dict={words}",
            corpus,
            first,
        ],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # tracebacks go there, all else to the other
    ) as child:
        for line in child.stdout:
            run.hear(line)
            run.seconds = time.monotonic() - started
            progress.update(task, completed=min(run.seconds, seconds), state=run.state)
            if run.seconds > seconds + STARTS:
                child.kill()  # libFuzzer has no way to end within an input
                run.said.append(b"did not end in time\n")
    progress.update(task, completed=seconds)
    run.findings = sorted(set(found.iterdir()) - before)
    run.failed = child.returncode != 0
    return run


def dictionary():
    """The words in libFuzzer's own syntax."""
    from fuzz_seeds import WORDS

    escaped = ("".join(f"\\x{octet:02x}" for octet in word) for word in WORDS)
    return "".join(f'"{word}"\n' for word in escaped)


def tell(console, runs):
    """What came of it: a table, and of each finding where it is and the end of what was said."""
    table = Table(title="Fuzzing", title_justify="left")
    for heading in ("target", "inputs", "a second", "branches", "features", "corpus", "findings"):
        table.add_column(heading, justify="left" if heading == "target" else "right")
    for run in runs:
        rate = f"{run.executions / max(run.seconds, 1):,.0f}"
        counts = (run.executions, run.branches, run.features, run.corpus)
        findings = len(run.findings) or ("failed" if run.failed else 0)
        table.add_row(
            run.target,
            *(f"{n:,}" for n in counts[:1]),
            rate,
            *(f"{n:,}" for n in counts[1:]),
            str(findings),
        )
    console.print(table)
    for run in runs:
        if run.failed:
            said = b"".join(run.said).decode(errors="replace")
            console.print(f"\n{run.target}:\n{said}", markup=False, highlight=False)
        for finding in run.findings:
            console.print(f"kept: {finding.relative_to(ROOT)}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
