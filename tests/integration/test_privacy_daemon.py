"""Marked sentences and marked secrets through real processes; then all they left is searched."""

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from bot_process import COMMAND as BOT
from daemon_process import PATIENCE, SPAM, environment, toml
from store_records import MORNING
from trainer_process import COMMAND as TRAINER

from bot.cards import mail_blocks
from bot.records import card_of
from filterd.commands.parts import open_store
from filterd.settings import load_settings
from filterd.store.messages import recent
from filterd.store.runs import request_run
from trainer.settings import TrainerSettings
from trainer.supervise import Supervisor, Ways

pytest_plugins = ("daemon_fixtures", "store_fixtures")

FILTERD = [sys.executable, "-m", "filterd"]
# Of the body; subjects lie open in the database, whatever the settings (docs/security.md).
SENTENCE = "the zebrafish merger with quagga is on friday"
MAIL = f"From: Ann <ann@example.org>\r\nSubject: lottery\r\n\r\nyou won; {SENTENCE}\r\n".encode()
PASSWORD = "pw-marked-7f3a"
TOKEN, APP_TOKEN, SIGNING = "xoxb-marked-1b2c", "xapp-marked-3d4e", "signing-marked-5f6a"


def call(site, *arguments, env=None):
    done = subprocess.run(
        [*FILTERD, *arguments],
        cwd=site,
        env=environment(**(env or {})),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def kept_somewhere(site, words=SENTENCE):
    """Files of the site that hold the words; the delivered mail is the next hop's."""
    files = [path for path in site.rglob("*") if path.is_file() and "mail" not in path.parts]
    return {path.name for path in files if words.encode() in path.read_bytes().lower()}


def of_process(pid):
    """What anyone of the same user sees of a process: its arguments and variables."""
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))


def recorded(daemon, count=1):
    """Send mails and wait until they are in the database; the newest record."""
    with open_store(load_settings(daemon.folder / "filterd.toml", {})) as database:
        before = len(recent(database, 100))
        for _ in range(count):
            assert daemon.send(MAIL)[0] == 250
        end = threading.Event()
        for _ in range(300):
            found = recent(database, 100)
            if len(found) == before + count:
                return found[0]
            end.wait(0.1)
    raise AssertionError(daemon.log)


@pytest.fixture
def in_site(site, monkeypatch):
    """Relative paths of the settings mean the site's, here too."""
    monkeypatch.chdir(site)
    return site


# Text


@pytest.mark.scenario("P27", "`store_text = none`: mail comes, is labelled, asked why of, shown on a card", "its text is in no file, log, figure or card")  # fmt: skip
def test_with_store_text_none_no_text_is_kept_anywhere(serve, in_site):
    daemon = serve(store_text="none", log_level="debug")
    record = recorded(daemon)
    assert record.text is record.head is record.embedding is None
    said = [
        call(in_site, "label", record.id, "spam", "--by", "ann"),
        call(in_site, "why", record.id),
        call(in_site, "queue"),
    ]
    assert [code for code, _ in said] == [0, 66, 0]
    assert "its text is not kept (any more)" in said[1][1]
    daemon.heard("labels learnt anew", labels=0)
    card = str([block.to_dict() for block in mail_blocks(card_of(record, (), excerpt=True))])
    assert "lottery" in card
    figures = daemon.get("/metrics")[1]
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert kept_somewhere(in_site) == set()
    assert "zebrafish" not in f"{daemon.log}{figures}{card}{said}".lower()


@pytest.mark.scenario("P28", "`store_text = labelled`, then set to none with a SIGHUP", "the text of new mail is kept so that staff can label it, and gone after the next housekeeping")  # fmt: skip
def test_a_text_that_is_kept_to_be_labelled_goes_when_none_is_to_be_kept(serve, start, in_site):
    daemon = serve(store_text="labelled")
    record = recorded(daemon)
    assert SENTENCE in record.text
    assert kept_somewhere(in_site)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    again = start(store_text="none").started()
    assert again.heard("retention")["texts"] == 1
    assert kept_somewhere(in_site) == set()


@pytest.fixture
def keys(site):
    code, said = call(site, "db", "key", "keys")
    assert (code, said) == (0, "keys: a new key\n")
    return site / "keys"


@pytest.mark.scenario("P41", "`text_key_file` is set: mail comes, is labelled, looked for, explained", "each command reads it; in files, logs and figures it is nowhere")  # fmt: skip
def test_sealed_from_end_to_end(serve, in_site, keys):
    daemon = serve(text_key_file="keys", log_level="debug")
    record_id = recorded_sealed(daemon, in_site)
    assert call(in_site, "label", record_id, "ham", "--by", "ann")[0] == 0
    daemon.heard("labels learnt anew", labels=1)
    code, said = call(in_site, "why", record_id)
    assert code == 0
    assert "zebrafish" in said
    assert daemon.send(MAIL)[0] == 250
    assert b"X-Filterd-Verdict: ham" in daemon.delivered()[-1]  # the label counts for the next copy
    figures = daemon.get("/metrics")[1]
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert kept_somewhere(in_site) == set()
    key = keys.read_text().strip()
    assert key not in daemon.log + figures
    assert "zebrafish" not in (daemon.log + figures).lower()


def recorded_sealed(daemon, site):
    """The id of a mail that was sent and is recorded."""
    assert daemon.send(MAIL)[0] == 250
    entry = daemon.heard("message")
    with contextlib.closing(sqlite3.connect(site / "var/filterd.db")) as database:
        for _ in range(300):
            if database.execute("SELECT 1 FROM messages WHERE id = ?", [entry["id"]]).fetchone():
                return entry["id"]
            threading.Event().wait(0.1)
    raise AssertionError(daemon.log)


@pytest.mark.scenario("P42", "the key file vanishes under the running daemon; a worker dies; SIGHUP", "mail goes on and is sealed; the reload is refused with the file's name")  # fmt: skip
def test_without_its_key_file_the_running_daemon_goes_on(serve, in_site, keys):
    daemon = serve(text_key_file="keys")
    keys.rename(in_site / "lost")
    os.kill(daemon.worker_pids[0], signal.SIGKILL)
    recorded_sealed(daemon, in_site)
    daemon.signal(signal.SIGHUP)
    said = daemon.heard("reload refused, the old settings stay")["error"]
    assert said == "text_key_file keys: cannot be read: No such file or directory"
    recorded_sealed(daemon, in_site)
    assert kept_somewhere(in_site) == set()
    code, said = call(in_site, "queue")
    assert (code, said) == (78, "filterd: text_key_file keys: cannot be read: No such file or directory\n")  # fmt: skip


@pytest.mark.scenario("P43", "the daemon starts without the key of what it has kept", "it says so once, and mail is judged and delivered")  # fmt: skip
def test_without_the_key_of_what_is_kept_mail_flows(serve, start, in_site, keys):
    daemon = serve(text_key_file="keys")
    record_id = recorded_sealed(daemon, in_site)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    again = start().started()
    assert "kept mail cannot be read, labels of it teach nothing" in again.log
    assert again.send(SPAM)[0] == 250
    code, said = call(in_site, "why", record_id)
    assert code == 74
    assert f"{record_id}: what it said cannot be read" in said


# Secrets


def searched(*texts):
    """Which of the secrets stand in these."""
    every = "".join(
        text.decode(errors="replace") if isinstance(text, bytes) else text for text in texts
    )
    return {secret for secret in (PASSWORD, TOKEN, APP_TOKEN, SIGNING) if secret in every}


@pytest.mark.scenario("P51", "the database's password in the settings, or in a file of its own; then the database is away", "it is in no log, error, settings dump, figure, argument, nor in a worker's variables")  # fmt: skip
@pytest.mark.parametrize("where", ["URL", "file"])
def test_the_databases_password_is_nowhere_to_be_seen(serve, site, postgres_url, where):
    user = "filterd" if where == "file" else f"filterd:{PASSWORD}"
    (site / "password").write_text(f"{PASSWORD}\n")
    variables = {
        "FILTERD_DATABASE": postgres_url.replace("//filterd@", f"//{user}@"),
        **({"FILTERD_DATABASE_PASSWORD_FILE": "password"} if where == "file" else {}),
        "SLACK_BOT_TOKEN": TOKEN,
    }
    daemon = serve(env=environment(**variables), log_level="debug")
    assert daemon.send(SPAM)[0] == 250
    dumps = [call(site, "settings", *more, env=variables) for more in ([], ["--json"])]
    assert [code for code, _ in dumps] == [0, 0]
    seen = [of_process(pid) for pid in daemon.worker_pids]
    seen.append(Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes())
    seen.append(daemon.get("/metrics")[1] + daemon.get("/healthz")[1])
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    away = postgres_url.replace("//filterd@/", f"//{user}@127.0.0.1:1/").partition("?")[0]
    wrong = [
        {"FILTERD_DATABASE": away},
        {"FILTERD_DATABASE": f"postgresql://filterd@/x?password={PASSWORD}"},
        {"FILTERD_DATABASE": f"mysql://filterd:{PASSWORD}@host/x"},
        {"FILTERD_DATABASE": f"//filterd:{PASSWORD}@host"},
    ]
    errors = [call(site, "queue", env=variables | each) for each in wrong]
    assert {code for code, _ in errors} == {74}
    assert searched(daemon.log, *seen, *(said for _, said in dumps + errors)) == set()


def test_settings_in_a_traceback_would_not_show_the_password():
    settings = load_settings(None, {})
    held = settings.model_copy(update={"database": f"postgresql://u:{PASSWORD}@h/n"})
    assert (
        searched(repr(held), str(held), f"{dataclasses.make_dataclass('X', ['s'])(held)}") == set()
    )


class _Refusal(BaseHTTPRequestHandler):
    """A Slack that takes no token."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps({"ok": False, "error": "invalid_auth"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def refusing_slack():
    server = HTTPServer(("127.0.0.1", 0), _Refusal)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.scenario("P52", "the bot's tokens are refused, mixed up, or in a file that is none", "the error names file or variable, and no token")  # fmt: skip
def test_the_bots_tokens_are_in_no_error(site, refusing_slack):
    (site / "token").write_bytes(b"\xff\xfe" + TOKEN.encode())
    (site / "filterd.toml").write_text(toml({}) + f'[bot]\nchannel = "C00001"\napi_url = "{refusing_slack}"\n')  # fmt: skip
    tokens = {
        "SLACK_BOT_TOKEN": TOKEN,
        "SLACK_APP_TOKEN": APP_TOKEN,
        "SLACK_SIGNING_SECRET": SIGNING,
    }
    proxies = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    free = {name: value for name, value in environment().items() if name not in proxies}
    said = []
    for changes, code in (
        ({}, 69),
        ({"FILTERD_BOT_MODE": "http"}, 69),
        ({"SLACK_BOT_TOKEN": APP_TOKEN}, 78),
        ({"FILTERD_BOT_BOT_TOKEN_FILE": "token"}, 78),
    ):
        done = subprocess.run(
            [BOT, "serve"],
            cwd=site,
            env=free | tokens | {"FILTERD_LOG_LEVEL": "debug"} | changes,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == code, done.stderr
        said.append(done.stdout + done.stderr)
    assert "Slack does not take the bot token" in said[0]
    assert searched(*said) == set()


@pytest.mark.scenario("P53", "the trainer is started with the secrets of all three in its variables", "its night gets none of Slack's; no secret is in its log, status or arguments")  # fmt: skip
async def test_a_night_gets_no_token_and_a_trainer_tells_no_secret(
    monkeypatch, database, url, tmp_path
):
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    monkeypatch.setenv("FILTERD_DATABASE", url)
    heard = []
    tell = "import json, os; print(json.dumps(dict(os.environ)))"
    ways = Ways(TrainerSettings(), command=(sys.executable, "-c", tell))

    request_run(database, "ann", "cli", MORNING)
    supervisor = Supervisor(
        database,
        ways,
        "here:1",
        stop=asyncio.Event(),
        heard=lambda _, said: heard.append(said),
        now=lambda: MORNING,
    )
    await supervisor.work()
    (variables,) = heard
    assert variables["FILTERD_DATABASE"] == url
    assert searched(json.dumps(variables)) == set()


def test_a_trainer_tells_no_secret(site, postgres_url):
    address = postgres_url.replace("//filterd@", f"//filterd:{PASSWORD}@")
    variables = {"FILTERD_DATABASE": address, "SLACK_BOT_TOKEN": TOKEN}
    away = {"FILTERD_DATABASE": f"postgresql://filterd:{PASSWORD}@127.0.0.1:1/x"}
    said = []
    for more, code in (({}, 0), (away, 74)):
        done = subprocess.run(
            [TRAINER, "status"],
            cwd=site,
            env=environment(**(variables | more)),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == code, done.stderr
        said.append(done.stdout + done.stderr)
    assert searched(*said) == set()
