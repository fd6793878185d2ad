"""A night's training by two processes, as with two GPUs, but on the CPU."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hasty_parts
import pytest
import torch
from night_site import make_champion, make_site
from tiny_run import EXAMPLES

from filterd.model.bundle import verify
from filterd.store.database import open_database
from filterd.store.leases import take_lease
from filterd.store.models import champion
from filterd.store.runs import get_run, request_run, take_run
from trainer import finetune
from trainer.candidate import Order, train
from trainer.errors import TrainingError
from trainer.finetune import Recipe
from trainer.stages import LEASE
from trainer.together import how_many, train_together

pytestmark = [pytest.mark.trainer, pytest.mark.timeout(300)]

RECIPE = Recipe(epochs=2, batch=7, max_tokens=32, encoder_rate=1e-3, dropout=0.0)
PATIENCE = 60.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_champion(tmp_path_factory.mktemp("champion"))


@pytest.fixture
def order(bundle, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    return Order(verify(bundle), work, RECIPE, "2026-11-02.1", {})


class Steps:
    """An observer that counts."""

    def __init__(self):
        self.numbers = []

    def step(self, step):
        self.numbers.append(step.number)


def test_two_processes_bring_what_one_does(order, tmp_path, capfd, monkeypatch):
    examples = EXAMPLES + [replace(each, split="validation") for each in EXAMPLES]
    together = train_together(order, examples, 2, 2, hasty_parts.in_full_precision)
    said = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line[:1] == "{"]
    work = tmp_path / "alone"
    work.mkdir()
    steps = Steps()
    monkeypatch.setattr(finetune, "choose_precision", lambda _device: None)
    alone = train(replace(order, work=work), examples, steps)
    assert together.loss == pytest.approx(alone.loss, abs=1e-4)
    assert (together.epoch, together.best["epoch"]) == (alone.epoch, alone.best["epoch"])
    assert [each["step"]["number"] for each in said if "step" in each] == steps.numbers
    assert (order.work / "best" / "model.safetensors").exists()


def test_they_share_the_threads(order):
    assert train_together(order, [], 2, 5, hasty_parts.threads) == 2


@pytest.mark.parametrize(
    ("training", "error", "text"),
    [
        (hasty_parts.out_of_memory, MemoryError, "one of the processes that train ran out"),
        # The kernel does so to whoever holds the most memory.
        (hasty_parts.killed, MemoryError, "one of the processes that train ran out"),
        (hasty_parts.wrong, TrainingError, "one of 2 processes that train ended with exit code 1"),
        (hasty_parts.fruitless, TrainingError, "^the loss is no longer a number; try a smaller"),
    ],
)
def test_what_happens_to_one_ends_all(order, training, error, text):
    began = time.monotonic()
    with pytest.raises(error, match=text):
        train_together(order, [], 2, 2, training)
    assert time.monotonic() - began < hasty_parts.LONG


def test_there_is_one_for_each_gpu(monkeypatch):
    for gpus, wanted, expected in ((0, 0, 1), (1, 0, 1), (4, 0, 4), (4, 2, 2), (0, 2, 2)):
        monkeypatch.setattr(torch.cuda, "device_count", lambda gpus=gpus: gpus)
        assert how_many(wanted) == expected


@pytest.fixture
def night(bundle, tmp_path):
    """Starts a night by two processes; the process, and its run's row when it is asked for."""
    site = make_site(tmp_path / "site", bundle)
    database = open_database(site.database)
    now = datetime.now(UTC)
    lease = take_lease(database, LEASE, "test", now=now, lasts=timedelta(hours=1))
    run = request_run(database, "anna", "cli", now)
    assert take_run(database, "test", lease.token, now) is not None
    config = tmp_path / "site/filterd.toml"
    config.write_text(
        f'database = "{site.database}"\nmodels = "{site.models}"\n'
        "[trainer]\nreplay = 40\nepochs = 4\nrate = 1e-3\nthreads = 2\nprocesses = 2\n"
    )
    command = [sys.executable, "-m", "trainer.night", str(run.id), "--token", str(lease.token)]
    process = subprocess.Popen(
        [*command, "--config", str(config)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process, lambda: get_run(database, run.id), database
    if group_of(process):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    database.close()


def group_of(process):
    """The processes of its group that are there, but for what only waits to be collected."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = stat.read_text().rsplit(")", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _, group = rest.split()[:3]
        if int(group) == process.pid and state != "Z":
            found.append(int(name.split()[0]))
    return found


def wait_for_step(process):
    for line in process.stdout:
        if line.startswith("{") and "step" in json.loads(line):
            return
    pytest.fail("it ended without a step")


def test_a_night_by_two_processes_goes_to_its_end(night):
    process, run, database = night
    wait_for_step(process)
    assert len(group_of(process)) >= 3
    process.stdout.read()
    assert process.wait() == 0
    found = run()
    assert found.state in {"promoted", "refused"}, found.reason
    assert found.figures["gate"]
    assert (champion(database).version == found.candidate) == (found.state == "promoted")


def test_none_of_them_outlives_the_trainer(night):
    process, run, _ = night
    wait_for_step(process)
    process.stdin.close()
    until = time.monotonic() + PATIENCE
    while group_of(process):
        assert time.monotonic() < until, group_of(process)
        time.sleep(0.05)
    assert run().state == "running"  # for the next trainer to go on with
