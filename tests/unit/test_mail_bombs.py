"""Mails made to be dear: none costs more than a second of CPU and 100 MB beyond itself.

Each is judged in a process of its own (tests/weighing.py): parsed, rendered, its features taken,
and stamped. The model is not asked; what it gets is bounded by then.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from machine import slowness
from mail_bombs import THEMES

from filterd.mail.parse import MAX_TEXT
from filterd.pipeline import RENDERED_CHARACTERS

MOST_SECONDS = 1.0  # at the reference speed
MOST_MEBIBYTES = 100
WEIGHING = Path(__file__).resolve().parents[1] / "weighing.py"


@pytest.fixture(scope="module")
def weigh():
    """Of a bomb, by its name, what judging it cost."""
    with subprocess.Popen(
        [sys.executable, WEIGHING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def weigh(name):
            process.stdin.write(f"{name}\n")
            process.stdin.flush()
            line = process.stdout.readline()
            assert line, f"no answer to {name}"
            return json.loads(line)

        yield weigh
        process.stdin.close()


@pytest.mark.parametrize(
    ("theme", "bombs"),
    [
        pytest.param(
            theme,
            bombs,
            id=number,
            marks=pytest.mark.scenario(
                number, theme, "each costs at most 1 s of CPU and 100 MB beyond the mail"
            ),
        )
        for number, theme, bombs in THEMES
    ],
)
def test_a_bomb_costs_no_more_than_a_second_and_100_mb(theme, bombs, weigh, record_property):
    allowed = MOST_SECONDS * slowness()
    found = {name: weigh(name) for name in bombs}
    assert {name: cost["cpu"] for name, cost in found.items() if cost["cpu"] > allowed} == {}
    assert {
        name: cost["mebibytes"]
        for name, cost in found.items()
        if cost["mebibytes"] > MOST_MEBIBYTES
    } == {}
    for cost in found.values():
        assert cost["text"] <= MAX_TEXT
        assert cost["rendered"] <= RENDERED_CHARACTERS
        assert cost["stamped"]
    seconds = max(cost["cpu"] for cost in found.values())
    memory = max(cost["mebibytes"] for cost in found.values())
    record_property("figure", f"{len(found)} mails: {seconds:.2f} s CPU, {memory:.0f} MiB at most")
