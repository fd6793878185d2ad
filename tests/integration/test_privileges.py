"""Started as root: ports are bound, then root is gone, in every process and thread, for good.

The Python of the tests may lie where only its owner may look, below /root for example; then Debian's
runs the same code with the same packages, if it is of the same version.
"""

import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import pytest
from daemon_process import BASE, PATIENCE, ROOT, SPAM, Daemon, environment, toml

from filterd.errors import SettingsError
from filterd.privileges import account, environment_of_children
from filterd.settings import Settings

pytest_plugins = ("daemon_fixtures",)

USER = "nobody"
NOBODY = pwd.getpwnam(USER)
DEBIAN = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")


def _can_run(path):
    """Whether everybody may look into each folder above it."""
    above = [path, *path.parents]
    return all(each.stat().st_mode & 0o001 for each in above)


@pytest.fixture(scope="session")
def python():
    """A Python that another user can run, after which comes `-m filterd`."""
    missing = None
    if os.geteuid() != 0:
        missing = "only root can become another user: run the tests as root"
    for candidate in (Path(sys.executable), DEBIAN):
        if candidate.exists() and _can_run(candidate.resolve()):
            break
    else:
        missing = f"no Python that another user can run; install {DEBIAN.name}"
    if missing is not None:
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return str(candidate)


@pytest.fixture(scope="session")
def packages():
    """Variables with which that Python finds our code and its packages."""
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])}


@pytest.fixture
def open_site(site_template):
    """A site's folder that belongs to the other user, where every user may go."""
    folder = Path(tempfile.mkdtemp(prefix="filterd-user-"))
    shutil.copytree(site_template, folder, dirs_exist_ok=True)
    folder.chmod(0o755)
    give(folder)
    yield folder
    shutil.rmtree(folder)


def give(folder, name=USER):
    """All of it belongs to that user from here on."""
    account = pwd.getpwnam(name)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid)


def status_of(pid):
    """What the kernel says of all threads of a process: name -> values, one for each thread."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        lines = (thread / "status").read_text().splitlines()
        found.append(
            {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
        )
    return found


@pytest.fixture
def start(open_site, python, packages):
    """As `daemon_fixtures.start`, in the open folder and by a Python that every user can run.

    `keep` may take things from the other user before it starts.
    """
    running = []

    def start(keep=lambda site: None, **settings):
        (open_site / "filterd.toml").write_text(toml(BASE | settings))
        (open_site / "filterd.toml").chmod(0o644)
        keep(open_site)
        prefix = ["/bin/sh", "-c", 'shift; exec "$0" "$@"', python]
        running.append(Daemon(open_site, env=environment(**packages), prefix=prefix))
        return running[-1]

    yield start
    for daemon in running:
        daemon.end()


def said_in_a_line(daemon):
    assert daemon.wait() == 78, daemon.log
    (line,) = daemon.log.splitlines()
    return line.removeprefix("filterd: ")


def low_port():
    """A free port that only root may bind."""
    for port in range(600, 1024):
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port below 1024")


def is_nobody(pid):
    """Whether every thread of a process is the other user, with no power and no way to get any."""
    threads = status_of(pid)
    assert threads
    for thread in threads:
        assert thread["Uid"] == [str(NOBODY.pw_uid)] * 4
        assert thread["Gid"] == [str(NOBODY.pw_gid)] * 4
        assert "0" not in thread["Groups"]
        assert thread["NoNewPrivs"] == ["1"]
        for power in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(thread[power][0], base=16) == 0, power
    return True


@pytest.mark.scenario("P01", "root starts it with `user` set, on a port below 1024", "supervisor and workers are that user in every thread, without capabilities; mail flows")  # fmt: skip
def test_root_is_gone_before_any_mail_is_read(start, open_site):
    port = low_port()
    daemon = start(user=USER, workers=2, listen=f"127.0.0.1:{port}").started()
    assert daemon.port == port
    assert all(is_nobody(pid) for pid in (daemon.process.pid, *daemon.worker_pids))
    assert daemon.send(SPAM)[0] == 250
    (mail,) = (open_site / "var/mail/new").iterdir()
    assert (mail.owner(), (open_site / "var/filterd.db").owner()) == (USER, USER)
    assert daemon.get("/readyz")[0] == 200
    assert "running as root" not in daemon.log
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


@pytest.mark.scenario("P02", "a worker dies, and SIGHUP comes, after root was dropped", "successors take the same port as the same user")  # fmt: skip
def test_workers_are_replaced_after_the_drop(start):
    daemon = start(user=USER, listen=f"127.0.0.1:{low_port()}").started()
    os.kill(daemon.worker_pids[0], signal.SIGKILL)
    assert daemon.send()[0] == 250
    (daemon.folder / "filterd.toml").write_text(
        toml(BASE | {"user": USER, "listen": f"127.0.0.1:{daemon.port}", "spam_threshold": 0.3})
    )
    daemon.signal(signal.SIGHUP)
    daemon.reloaded()
    daemon.send(SPAM)
    assert any(b"; threshold=0.3000" in message for message in daemon.delivered())
    assert all(is_nobody(pid) for pid in daemon.worker_pids)


NO_WAY_BACK = """
import os, subprocess, sys, threading
from filterd.privileges import account, become
from filterd.settings import Settings
idle = threading.Event()
for _ in range(3):
    threading.Thread(target=idle.wait, daemon=True).start()
become(account(Settings(user=sys.argv[1])))
ways = [
    lambda: os.setuid(0), lambda: os.seteuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgid(0),
    lambda: os.setgroups([0]), lambda: os.chown("/etc/passwd", 0, 0), lambda: open("/etc/shadow"),
]
for way in ways:
    try:
        way()
    except PermissionError:
        continue
    print("a way back", way)
print(subprocess.run([sys.argv[2], "-p", "-c", "id -u"], capture_output=True, text=True).stdout.strip())
print(os.environ["HOME"], os.environ["USER"])
"""


@pytest.mark.scenario("P03", "after the drop it tries setuid, setgid, chown and a set-user-id program", "each is refused, in a process with several threads too")  # fmt: skip
def test_there_is_no_way_back(python, packages, open_site):
    # A shell that belongs to root and would make everybody root.
    shell = open_site / "shell"
    shell.write_bytes(Path("/bin/sh").resolve().read_bytes())
    os.chown(shell, 0, 0)
    shell.chmod(0o4755)
    done = subprocess.run(
        [python, "-c", NO_WAY_BACK, USER, str(shell)],
        env=environment(**packages),
        capture_output=True,
        text=True,
        check=True,
        cwd=open_site,
    )
    assert done.stdout.splitlines() == [str(NOBODY.pw_uid), f"{NOBODY.pw_dir} {USER}"]


@pytest.mark.scenario("P04", "root starts it without `user`", "it serves, and says in its log that it is root")  # fmt: skip
def test_as_root_without_a_user_it_says_so(start):
    daemon = start().started()
    assert daemon.heard("running as root: who takes it over has the machine; set `user` to one of its own")["level"] == "warning"  # fmt: skip
    assert daemon.send()[0] == 250


def to_root(path, mode):
    os.chown(path, 0, 0)
    path.chmod(mode)


def make(path, content=""):
    path.write_text(content)
    return path


# What root keeps from that user, the settings besides, and what the line begins with.
KEPT = {
    "database": (lambda site: to_root(site / "var/filterd.db", 0o644), {}, "database var/filterd.db: user nobody cannot write var/filterd.db"),
    "database's log": (lambda site: to_root(make(site / "var/filterd.db-wal"), 0o644), {}, "database var/filterd.db-wal: user nobody cannot write"),
    "database's folder": (lambda site: to_root(site / "var", 0o755), {}, "database var/filterd.db: user nobody cannot write var;"),
    "Maildir": (lambda site: (to_root(site, 0o755), (site / "mail").mkdir()), {"next_hop": "maildir:mail"}, "next_hop mail/tmp: user nobody cannot write mail;"),
    "quarantine": (lambda site: None, {"quarantine": "maildir:/etc/filterd-spam"}, "quarantine /etc/filterd-spam/tmp: user nobody cannot write /etc;"),
    "models": (lambda site: to_root(site / "var/models", 0o700), {}, "models var/models: user nobody cannot read it"),
    "settings": (lambda site: to_root(site / "filterd.toml", 0o600), {}, "settings file filterd.toml: user nobody cannot read it"),
    "text keys": (lambda site: to_root(make(site / "keys"), 0o600), {"text_key_file": "keys"}, "text_key_file keys: user nobody cannot read it"),
    "TLS key": (lambda site: to_root(make(site / "tls.key"), 0o600), {"tls_key": "tls.key", "tls_certificate": "tls.key"}, "tls_certificate tls.key: user nobody cannot read it"),
}  # fmt: skip


@pytest.mark.scenario("P05", "root keeps from that user what it must read or write", "it does not start, and says in a line which path and which user")  # fmt: skip
@pytest.mark.parametrize(("keep", "settings", "said"), KEPT.values(), ids=KEPT)
def test_what_that_user_cannot_reach_is_said_at_once(start, keep, settings, said):
    assert said_in_a_line(start(keep, user=USER, **settings)).startswith(said)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"user": "no-such-user"}, "user = no-such-user: this machine has no such user"),
        ({"user": USER, "group": "no-such"}, "group = no-such: this machine has no such group"),
        ({"user": "root"}, "user = root: name one that may do less than root"),
        ({"group": "mail"}, "group: goes with `user`, which is not set"),
    ],
)
def test_a_user_that_cannot_be_is_said_at_once(settings, said):
    with pytest.raises(SettingsError) as raised:
        account(Settings(**settings))
    assert str(raised.value) == said


def test_a_group_besides_the_users_own_is_taken(python):
    who = account(Settings(user=USER, group="mail"))
    assert who.group == grp.getgrnam("mail").gr_gid
    assert who.group in who.groups
    assert 0 not in who.groups


WHO = """
import sys
from filterd.errors import SettingsError
from filterd.privileges import account
from filterd.settings import Settings
for name in sys.argv[1:]:
    try:
        print(account(Settings(user=name)))
    except SettingsError as error:
        print(error)
"""


def test_who_is_not_root_can_only_stay_who_he_is(python, packages, open_site):
    done = subprocess.run(
        [python, "-c", WHO, USER, "mail"],
        env=environment(**packages),
        capture_output=True,
        text=True,
        check=True,
        cwd=open_site,
        user=NOBODY.pw_uid,
        group=NOBODY.pw_gid,
        extra_groups=[],
    )
    stays, cannot = done.stdout.splitlines()
    assert stays == "None"
    assert cannot.startswith("user = mail: only root can become another user")


def test_children_that_are_told_their_settings_get_no_variable_that_may_hold_a_secret():
    inherited = {"PATH": "/bin", "FILTERD_DATABASE": "x", "SLACK_BOT_TOKEN": "x", "TZ": "UTC"}
    assert environment_of_children(inherited) == {"PATH": "/bin", "TZ": "UTC"}


# The other two have no port of the mail's to bind; they drop root before they open the database.


@pytest.fixture
def other(open_site, python, packages):
    """Start another process of filterd's in the open folder, its log in `log`."""
    running = []

    def other(module, *arguments, env=None, **settings):
        (open_site / "filterd.toml").write_text(toml(settings))
        variables = environment(**packages, **(env or {}))
        with (open_site / "log").open("wb") as log:
            command = [python, "-c", f"from {module} import main; main()", *arguments]
            running.append(
                subprocess.Popen(command, cwd=open_site, env=variables, stdout=log, stderr=log)
            )
        return running[-1]

    yield other
    for process in running:
        process.kill()
        process.wait()


def wait_for(log, word, process):
    deadline = time.monotonic() + PATIENCE
    while word not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


BOT = {"channel": "C0000001", "api_url": "http://127.0.0.1:1/api/"}
TOKENS = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}


@pytest.mark.scenario("P06", "root starts the bot or the trainer with `user` set", "they are that user, too, before they open the database")  # fmt: skip
@pytest.mark.parametrize(
    ("module", "env", "said"),
    [
        ("bot.cli", {f"FILTERD_BOT_{n.upper()}": v for n, v in BOT.items()} | TOKENS, "slack away"),
        ("trainer.cli", {"FILTERD_TRAINER_SCHEDULE": ""}, '"serving"'),
    ],
    ids=["bot", "trainer"],
)
def test_bot_and_trainer_drop_root_too(other, open_site, module, env, said):
    process = other(module, "serve", env=env, user=USER)
    wait_for(open_site / "log", said, process)
    assert is_nobody(process.pid)
    assert "running as root" not in (open_site / "log").read_text()


def test_a_trainer_that_cannot_write_its_models_says_so_at_once(other, open_site):
    to_root(open_site / "var/models", 0o755)
    process = other("trainer.cli", "serve", user=USER)
    assert process.wait(PATIENCE) == 78
    said = (open_site / "log").read_text()
    assert said.startswith(
        "filterd-trainer: models var/models: user nobody cannot write var/models;"
    )
