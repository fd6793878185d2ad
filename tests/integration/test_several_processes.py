"""One training run by two processes, as on a machine with two GPUs, but on the CPU (gloo)."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from safetensors.torch import load_file
from tiny_bert import make_checkpoint
from tiny_run import train

pytestmark = [pytest.mark.trainer, pytest.mark.timeout(300)]

TESTS = Path(__file__).parents[1]


def train_by_two(base, work):
    """Start the script twice, in the environment that torchrun makes; what each prints."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, TESTS / "tiny_run.py", base, work],
            env={**shared, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        printed = [process.communicate()[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0]
    return printed


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the same run by one process and by two, and what each of the two printed."""
    folder = tmp_path_factory.mktemp("runs")
    make_checkpoint(folder / "base")
    threads = torch.get_num_threads()
    train(folder / "base", folder / "one")
    torch.set_num_threads(threads)
    return folder, train_by_two(folder / "base", folder / "two")


@pytest.mark.parametrize("kept", ["last", "best"])
def test_two_processes_train_what_one_does(runs, kept):
    folder, _ = runs
    one, two = (load_file(folder / name / kept / "model.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], atol=1e-5), name


def test_two_processes_judge_as_one_does(runs):
    folder, _ = runs
    one, two = (
        json.loads((folder / name / "last" / "position.json").read_text())
        for name in ("one", "two")
    )
    assert two["best"] == one["best"]
    assert two["loss"] == pytest.approx(one["loss"], abs=1e-5)


def test_the_first_process_reports_and_the_other_is_silent(runs):
    _, (first, second) = runs
    assert first.splitlines() == ["2 processes", *(f"step {number}" for number in range(1, 9))]
    assert second == ""
