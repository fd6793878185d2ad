"""Bundles that change on the disk, and a disk that is full: the champion serves on."""

import asyncio
import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import onnx
import pytest
from daemon_process import BASE, HAM, PATIENCE, Daemon, environment, toml
from night_site import CHAMPION, Silent, begin, make_champion, make_site
from onnx import helper
from tiny_bundle import write_changed

from filterd.model.bundle import LINEAR, MANIFEST, MODEL, TOKENIZER, WEIGHTS, verify
from filterd.store.database import open_database
from filterd.store.incidents import since
from filterd.store.models import champion, register_bundle, set_champion
from filterd.store.runs import get_run
from trainer.candidate import CANDIDATE
from trainer.nights import once
from trainer.settings import TrainerSettings
from trainer.stages import GATE, PROMOTE, PUBLISH
from trainer.supervise import Ways

pytestmark = [pytest.mark.trainer, pytest.mark.timeout(300)]

WORKERS = 2
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
TICK = 0.05  # seconds between two looks at the database, which cannot be waited for
CHILD = Path(__file__).parents[1] / "night_child.py"
DISK = "64m"
NIGHT = {"schedule": "", "replay": 40, "epochs": 1, "rate": 1e-3, "threads": 1, "nice": 0}
OTHERWISE = "The golden scores come out otherwise when the bundle is loaded again"


class Running:
    """A site whose daemon runs: what it says of a mail, and its database."""

    def __init__(self, settings):
        self.settings = settings
        self.folder = settings.models.parent
        own = {"database": settings.database, "models": str(settings.models), "workers": WORKERS}
        (self.folder / "filterd.toml").write_text(f"{toml(BASE | own)}\n[trainer]\n{toml(NIGHT)}")
        self.database = open_database(settings.database)
        self.daemon = Daemon(self.folder).started()

    def close(self):
        self.daemon.end()
        self.database.close()

    def model(self):
        """Which bundle judges a mail that is sent now."""
        folder = self.folder / "var/mail/new"
        before = set(folder.iterdir()) if folder.exists() else set()
        assert self.daemon.send(HAM)[0] == 250
        (found,) = set(folder.iterdir()) - before
        head = found.read_text().partition("\n\n")[0].splitlines()
        (said,) = [line for line in head if line.startswith("X-Filterd-Model: ")]
        return said.partition(": ")[2]

    def incidents(self, *, over):
        """Wait until each worker's champion cannot serve, or can again; what was written last."""
        for _ in range(int(PATIENCE / TICK)):
            found = [one for one in since(self.database, LONG_AGO) if one.kind == "bundle"]
            found = found[-WORKERS:]
            if len(found) == WORKERS and {one.ended_at is not None for one in found} == {over}:
                return found
            select.select([], [], [], TICK)
        return pytest.fail(f"{since(self.database, LONG_AGO)}\n{self.daemon.log}")

    def command(self, *arguments):
        """`filterd`, as typed in the site's folder."""
        return subprocess.run(
            [sys.executable, "-m", "filterd", *arguments],
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def goes_back(self, version):
        """A champion that cannot serve is taken back, and its folder removed."""
        assert {self.model() for _ in range(4)} == {CHAMPION}
        done = self.command("models", "rollback", "--by", "anna")
        assert (done.returncode, done.stdout) == (0, f"{CHAMPION} is champion again\n")
        self.incidents(over=True)
        shutil.rmtree(self.settings.models / version)
        self.serves_on()

    def serves_on(self):
        """Nothing but the champion is there to serve, and it does."""
        assert champion(self.database).version == CHAMPION
        visible = {path.name for path in self.settings.models.iterdir() if path.name[0] != "."}
        assert visible - {"reports", "trainer.prom"} == {CHAMPION}
        verify(self.settings.models / CHAMPION)
        assert self.model() == CHAMPION


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_champion(tmp_path_factory.mktemp("champion"))


@pytest.fixture(scope="module")
def running(bundle, tmp_path_factory):
    """For tests after which the champion serves on, as before."""
    with closing(Running(make_site(tmp_path_factory.mktemp("site") / "site", bundle))) as running:
        yield running


def passes(_rules):
    return True, ""


def place(settings, run, stage):
    """Where the candidate's bundle is when a stage begins."""
    if stage == PROMOTE:
        (version,) = {path.name for path in settings.models.glob("2*")} - {CHAMPION}
        return settings.models / version
    return settings.models / f".work/run-{run}" / CANDIDATE


def change_a_byte(file):
    """The least that can change: a bit. In `bundle.json` it leaves another threshold."""
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    if file.name == MANIFEST:
        middle = content.index(b'"threshold": 0.') + len(b'"threshold": 0.')
    content[middle] ^= 1
    file.write_bytes(content)


def answer_the_opposite(folder):
    """Another graph, written as a bundle is: each file has the digest that is listed."""
    bundle = verify(folder)
    linear = None if bundle.linear is None else (folder / LINEAR, bundle.linear)
    graph = onnx.load(folder / MODEL)
    (last,) = [node for node in graph.graph.node if "spam" in node.output]
    last.output[list(last.output).index("spam")] = "spam before"
    graph.graph.node.append(helper.make_node("Neg", ["spam before"], ["spam"]))
    other = folder.with_name("other")
    shutil.rmtree(other, ignore_errors=True)
    other.mkdir()
    onnx.save(graph, other / MODEL)
    write_changed(bundle, other / "bundle", model=other / MODEL, linear=linear)
    shutil.rmtree(folder)
    (other / "bundle").rename(folder)
    shutil.rmtree(other)
    return verify(folder)


# Before it serves


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        (GATE, LINEAR),
        (PUBLISH, MODEL),
        (PUBLISH, MANIFEST),
        (PROMOTE, WEIGHTS),
        (PROMOTE, TOKENIZER),
    ],
)
def test_a_candidate_with_one_byte_changed_fails_and_leaves_nothing(running, stage, name):
    def at(reached):
        if reached == stage:
            change_a_byte(place(running.settings, number, stage) / name)

    assert running.model() == CHAMPION
    night, number = begin(running.settings, at, decide=passes)
    assert night.go() == "failed"
    run = get_run(running.database, number)
    assert run.reason.startswith("The candidate's bundle was damaged: ")
    assert f"{name} is not the file that was published" in run.reason or name == MANIFEST
    assert "own_digest differs" in run.reason or name != MANIFEST
    running.serves_on()


def test_a_graph_that_answers_otherwise_does_not_pass_the_gate(running):
    def at(reached):
        if reached == GATE:
            answer_the_opposite(place(running.settings, number, GATE))

    night, number = begin(running.settings, at)
    assert night.go() == "refused"
    assert get_run(running.database, number).reason.startswith(OTHERWISE)
    running.serves_on()


def test_a_graph_that_answers_otherwise_after_the_gate_is_not_promoted(running):
    def at(reached):
        if reached == PROMOTE:
            answer_the_opposite(place(running.settings, number, PROMOTE))

    night, number = begin(running.settings, at, decide=passes)
    assert night.go() == "failed"
    assert "task 'spam' of golden message" in get_run(running.database, number).reason
    running.serves_on()


# Once it is champion


def test_a_champion_damaged_before_workers_load_it_serves_in_none_and_can_be_taken_back(running):
    workers = running.daemon.worker_pids

    def at(reached):
        if reached == PROMOTE:
            for worker in workers:
                os.kill(worker, signal.SIGSTOP)

    assert running.model() == CHAMPION
    night, number = begin(running.settings, at, decide=passes)
    assert night.go() == "promoted"
    version = get_run(running.database, number).candidate
    change_a_byte(running.settings.models / version / MODEL)
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    for one in running.incidents(over=False):
        assert f"{version}: not a usable bundle: {MODEL} is not the file" in one.text
    running.goes_back(version)


def test_a_champion_that_answers_otherwise_serves_in_no_worker(running):
    folder = running.settings.models / "twin.1"
    served = verify(running.settings.models / CHAMPION)
    linear = (served.path / LINEAR, served.linear)
    twin = write_changed(served, folder, version="twin.1", linear=linear)
    answer_the_opposite(folder)
    register_bundle(
        running.database,
        twin.version,
        str(twin.path),
        created_at=datetime.fromisoformat(twin.created),
        data_digest=twin.data_digest,
        metrics={},
    )
    set_champion(running.database, twin.version, "anna", "past all checks")
    for one in running.incidents(over=False):
        assert "task 'spam' of golden message" in one.text
    running.goes_back(twin.version)


# A full disk


@contextmanager
def small_disk(folder):
    """A file system of its own, of 64 MB, for as long as it is needed."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        if os.environ.get("CI"):
            pytest.fail(done.stderr)
        pytest.skip(f"only root can have a small disk: {done.stderr}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_full_when_the_candidate_is_written_costs_one_night(bundle, tmp_path):
    models = tmp_path / "site/models"
    with small_disk(models), closing(Running(make_site(tmp_path / "site", bundle))) as site:
        assert site.model() == CHAMPION
        ballast = models / "ballast"
        ways = Ways(
            TrainerSettings(**NIGHT),
            site.folder / "filterd.toml",
            command=(sys.executable, str(CHILD), "fill", str(ballast)),
        )
        failed = asyncio.run(once(site.database, ways, Silent(), by="anna", force=True))
        assert failed.state == "failed"
        assert "nothing was published: No space left on device" in failed.reason
        ballast.unlink()
        assert [*models.glob(".work/*/.*"), *models.glob(".work/*/candidate")] == []
        site.serves_on()
        night, number = begin(site.settings, decide=passes)
        assert night.go() == "promoted"
        version = get_run(site.database, number).candidate
        workers = set()
        while len(workers) < WORKERS:
            workers.add(site.daemon.heard("champion_changed", version=version)["worker"])
        assert site.model() == version
