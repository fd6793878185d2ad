"""The systemd units: sound, strict, and yet all works under them."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bot_office import Office
from daemon_process import ROOT, SPAM, Daemon, environment
from sandbox import allowed, setting

pytest_plugins = ("slack_fixtures", "daemon_fixtures")

UNITS = ROOT / "deploy/systemd"
SANDBOX = ROOT / "tests/sandbox.py"
DAEMON, BOT, TRAINER = (
    UNITS / f"{name}.service" for name in ("filterd", "filterd-bot", "filterd-trainer")
)
EVERY = (DAEMON, BOT, TRAINER)
# Of 10; systemd calls less than 2 "OK". With no network at all, and with it.
EXPOSURE = {DAEMON: 1.3, BOT: 1.3, TRAINER: 0.9}


@pytest.fixture(scope="module", autouse=True)
def systemd():
    if shutil.which("systemd-analyze") is None:
        missing = "no systemd-analyze here; install Debian's package `systemd`"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


def analyze(*arguments):
    command = ["systemd-analyze", "--no-pager", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def each(*units):
    return pytest.mark.parametrize("unit", units or EVERY, ids=lambda unit: unit.stem)


@pytest.mark.scenario("P11", "systemd verifies the three units", "no line is unknown or wrong, and the commands are there")  # fmt: skip
@each()
def test_systemd_finds_nothing_wrong_with_a_unit(unit, tmp_path):
    # Where filterd is installed on this machine.
    here = unit.read_text().replace("/opt/filterd/.venv/bin/", f"{Path(sys.executable).parent}/")
    copy = tmp_path / unit.name
    copy.write_text(here)
    assert analyze("verify", "--man=no", copy) == (0, "")


@pytest.mark.scenario("P12", "systemd rates what a service that was taken over could do", "exposure 1.3 of 10 at most for daemon and bot, 0.9 for the trainer, which has no network")  # fmt: skip
@each()
def test_a_unit_leaves_little_to_who_takes_its_process_over(unit, record_property):
    code, said = analyze(
        "security", "--offline=true", f"--threshold={10 * EXPOSURE[unit]:.0f}", unit
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    record_property("figure", f"{unit.stem}: {found[1]}")
    assert code == 0, said
    assert float(found[1]) <= EXPOSURE[unit]


@each()
def test_a_unit_runs_as_a_user_of_its_own_without_any_right_of_roots(unit):
    assert setting(unit, "User") == ["filterd"]
    assert setting(unit, "CapabilityBoundingSet") == [""]
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateUsers"):
        assert setting(unit, name) == ["yes"], name
    assert setting(unit, "ProtectSystem") == ["strict"]
    assert setting(unit, "LimitCORE") == ["0"]  # a dump would hold mail


@pytest.mark.scenario("P13", "what each service sees of files and network", "the bot and the daemon cannot write models, bot and trainer cannot read delivered mail, the trainer has no network")  # fmt: skip
def test_each_service_sees_what_it_needs_and_no_more():
    models, mail = "-/var/lib/filterd/var/models", "-/var/lib/filterd/var/mail"
    assert setting(DAEMON, "ReadOnlyPaths") == setting(BOT, "ReadOnlyPaths") == [models]
    assert setting(TRAINER, "ReadOnlyPaths") == []
    assert mail in setting(BOT, "InaccessiblePaths")[0].split()
    assert setting(TRAINER, "InaccessiblePaths") == [mail]
    assert setting(TRAINER, "PrivateNetwork") == ["yes"]
    assert setting(TRAINER, "RestrictAddressFamilies") == ["AF_UNIX"]


@each()
def test_no_secret_stands_in_a_unit(unit):
    for line in setting(unit, "Environment"):
        name, _, value = line.partition("=")
        assert value.startswith(("%d/", "%C/")), name


@each()
def test_calls_that_would_lead_out_of_the_sandbox_are_not_allowed(unit):
    out = {"ptrace", "process_vm_readv", "mount", "unshare", "setns", "bpf", "kexec_load", "setuid"}
    assert not out & allowed(unit)


@pytest.mark.scenario("P14", "the daemon runs under the unit's system-call filter, without writable code", "it starts, judges, delivers, replaces a dead worker, reloads and drains")  # fmt: skip
def test_the_daemon_works_under_the_filter_of_its_unit(site):
    daemon = Daemon(site, env=environment(), prefix=[sys.executable, SANDBOX, DAEMON]).started()
    try:
        (status,) = [Path(f"/proc/{pid}/status").read_text() for pid in daemon.worker_pids]
        assert re.search(r"^Seccomp:\s2$", status, re.MULTILINE)
        assert daemon.send(SPAM)[0] == 250
        os.kill(daemon.worker_pids[0], signal.SIGKILL)
        assert daemon.send(SPAM)[0] == 250
        daemon.signal(signal.SIGHUP)
        daemon.reloaded()
        assert daemon.send(SPAM)[0] == 250
        assert all(b"X-Filterd-Verdict: spam" in mail for mail in daemon.delivered())
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        wrong = [line for line in daemon.lines if '"level": "error"' in line]
        assert len(wrong) == daemon.log.count('"worker died"') == 1, daemon.log
    finally:
        daemon.end()


def test_nothing_works_under_a_filter_that_allows_too_little(tmp_path):
    unit = tmp_path / "strict.service"
    unit.write_text("[Service]\nSystemCallFilter=@basic-io execve\n")
    done = subprocess.run(
        [sys.executable, SANDBOX, unit, sys.executable, "-c", "pass"],
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0


@pytest.mark.scenario("P16", "the bot runs under its unit's system-call filter, without writable code", "it starts, posts a card, takes clicks by HTTP and by socket, and ends")  # fmt: skip
@pytest.mark.parametrize("by", ["http", "socket"])
def test_the_bot_works_under_the_filter_of_its_unit(site, slack, anna, by):
    prefix = [sys.executable, str(SANDBOX), str(BOT)]
    office = Office(site, slack, by=by, cards="spam", prefix=prefix)
    office.begin()
    try:
        status = Path(f"/proc/{office.bot.pid}/status").read_text()
        assert re.search(r"^Seccomp:\s2$", status, re.MULTILINE)
        if by == "socket":
            slack.wait_for_sockets()
        mail = office.mail(spam=0.95)
        assert slack.send(anna.click(office.card(mail), "label:ham"), by=by).ok
        assert office.rows(mail) == [("ham", anna.id, "given")]
    finally:
        office.end()
    assert '"level": "error"' not in office.log
