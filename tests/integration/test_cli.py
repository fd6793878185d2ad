"""The command line as people and their scripts use it: what it prints, and how it exits."""

import getpass
import io
import json
import mailbox
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from daemon_process import PATIENCE, entries, environment, free_port
from tiny_bundle import make_tiny_bundle

from filterd.cli import main
from filterd.store.database import open_database
from filterd.store.labels import history
from filterd.store.messages import MessageRecord, write_batch

pytest_plugins = ("daemon_fixtures",)

SPAM = b"From: a@example.org\nSubject: lottery\n\nyou won the lottery\n"
HAM = b"From: b@example.org\nSubject: minutes\n\nthanks, great minutes\n"
KEYS = ["path", "verdict", "spam", "sentiment", "sentiment_scores", "model", "ms", "error"]
ID = "01JD0000000000000000000001"
COMMANDS = (
    *("serve", "check", "scan", "label", "settings", "demo", "models", "db"),
    *("models list", "models show", "models verify", "models promote", "models rollback"),
    *("db upgrade", "db backup", "db check"),
)


class Ran:
    def __init__(self, code, captured):
        self.code = code
        self.out = captured.out
        self.err = captured.err
        assert "Traceback" not in self.err

    @property
    def json(self):
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def line(self):
        """The one line on standard error."""
        (line,) = self.err.splitlines()
        return line.removeprefix("filterd: ")


@pytest.fixture
def filterd(site, monkeypatch, capsys):
    """Run a command in the site's folder, in this process."""
    monkeypatch.chdir(site)
    for name in os.environ:
        if name.startswith("FILTERD_"):
            monkeypatch.delenv(name)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["filterd", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Ran(ended.value.code or 0, capsys.readouterr())

    return run


@pytest.fixture
def mail(site):
    """Write files below `mail/`; their paths as given to commands."""

    def write(**files):
        for name, content in files.items():
            path = site / "mail" / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return site / "mail"

    return write


def change_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


# Usage


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_says_what_a_command_does(filterd, command):
    ran = filterd(*command.split(), "--help")
    assert ran.code == 0
    assert f"Usage: filterd {command}".rstrip() in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


def test_the_version_is_printed(filterd):
    assert re.fullmatch(r"filterd \d+\.\d+\.\d+\n", filterd("--version").out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope"], "No such command 'nope'"),
        (["check"], "Missing argument 'FILE'"),
        (["scan"], "Missing argument 'PATH"),
        (["check", "--jsn", "x"], "No such option: --jsn"),
        (["models", "nope"], "No such command 'nope'"),
        (["serve", "--listen", "here"], "'here' is not HOST:PORT"),
        (["label", ID], "which label? e.g. filterd label ID spam"),
        (["label", ID, "spamm"], "no label 'spamm'; there are: ham, spam, negative, neutral"),
        (["label", "--undo", "x"], "--undo takes a label's number, not 'x'"),
        (["label", "--undo", "²"], "--undo takes a label's number, not '²'"),
        (["label", "--undo", "9" * 30], "--undo takes a label's number"),
        (["label", "--undo", "1", "spam"], "--undo takes the label's number alone"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2_and_says_what_is_wrong(filterd, arguments, said):
    ran = filterd(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in " ".join(ran.err.replace("│", " ").split())


@pytest.mark.parametrize(
    "command",
    [["check", "x"], ["scan", "x"], ["settings"], ["models", "list"], ["db", "check"], ["label", ID, "spam"]],
)  # fmt: skip
def test_a_wrong_setting_is_one_line_and_exit_code_78(filterd, site, command):
    (site / "filterd.toml").write_text("lisen = 'x'\n")
    ran = filterd(*command)
    assert ran.code == 78
    assert ran.line.startswith("filterd.toml: unknown setting 'lisen' (did you mean 'listen'?)")


def test_an_account_without_a_name_must_give_one(filterd, monkeypatch):
    def nobody():
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    ran = filterd("models", "promote", "tiny.1")
    assert ran.code == 2
    assert "this account has no name; say --by NAME" in ran.err
    assert filterd("models", "promote", "tiny.1", "--by", "anna").code == 0


# check


def test_check_prints_verdict_scores_and_why(filterd, mail):
    folder = mail(**{"1.eml": SPAM})
    ran = filterd("check", folder / "1.eml")
    assert ran.code == 0
    first, second = ran.out.splitlines()
    assert re.fullmatch(r"SPAM  1\.0000   neutral  0\.\d{4}   \d+ ms, model tiny\.1", first)
    assert second == "spam 1.0000 ≥ threshold 0.9000"


def test_check_reads_standard_input_and_prints_json(filterd, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(HAM)))
    (entry,) = filterd("check", "-", "--json").json
    assert list(entry) == [*KEYS, "why"]
    assert (entry["path"], entry["verdict"], entry["error"]) == ("-", "ham", None)
    assert entry["sentiment"] == "positive"
    assert entry["sentiment_scores"].keys() == {"negative", "neutral", "positive"}
    assert 0 <= entry["spam"] < 0.1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("absent.eml", "absent.eml: cannot read the message: No such file or directory"),
        ("var", "var: cannot read the message: Is a directory"),
    ],
)
def test_check_says_in_a_line_what_it_cannot_read(filterd, name, said):
    ran = filterd("check", name)
    assert (ran.code, ran.line) == (66, said)


def test_check_refuses_what_smtp_would_not_take(filterd, site, mail):
    (site / "filterd.toml").write_text("max_message_size = 1024\n")
    path = mail(**{"1.eml": SPAM + b"x" * 1024}) / "1.eml"
    ran = filterd("check", path)
    assert (ran.code, ran.line) == (66, f"{path}: larger than max_message_size, 1024 bytes")


# scan


def make_box(path):
    box = mailbox.mbox(path)
    box.add(SPAM)
    box.add(HAM)
    box.close()


def test_scan_takes_files_folders_mboxes_and_maildirs_and_answers_in_input_order(
    filterd, site, mail
):
    folder = mail(**{"2.eml": HAM, "1.eml": SPAM, "sub__3.eml": HAM, "notes.md": b"no mail"})
    make_box(site / "box")
    maildir = mailbox.Maildir(site / "Maildir")
    maildir.add(SPAM)
    maildir.add_folder("Junk").add(HAM)
    # Written by others beside the mail, and mail that has not quite arrived.
    (site / "Maildir/dovecot-uidlist").write_text("3 V1\n")
    (site / "Maildir/tmp/half").write_bytes(HAM)
    ran = filterd("scan", folder, "box", "Maildir", folder / "1.eml", "--json")
    assert ran.code == 0
    entries = ran.json
    assert all(list(entry) == KEYS for entry in entries)
    assert [entry["path"] for entry in entries][:5] == [
        *(f"{folder}/{name}" for name in ("1.eml", "2.eml", "sub/3.eml")),
        *("box#1", "box#2"),
    ]
    assert entries[5]["path"].startswith("Maildir/.Junk/new/")
    assert entries[6]["path"].startswith("Maildir/new/")
    assert [entry["verdict"] for entry in entries] == [
        *("spam", "ham", "ham", "spam", "ham", "ham", "spam", "spam"),
    ]


def test_scan_reports_what_it_cannot_read_in_its_place_and_judges_the_rest(filterd, mail, site):
    (site / "filterd.toml").write_text("max_message_size = 1024\n")
    folder = mail(**{"1.eml": SPAM, "3.eml": HAM, "5.eml": SPAM + b"x" * 1024, "6.eml": SPAM})
    (folder / "2.eml").symlink_to("nowhere")
    os.mkfifo(folder / "4.eml")
    ran = filterd("scan", folder, "--json")
    assert ran.code == 1
    assert [(entry["verdict"], entry["error"]) for entry in ran.json] == [
        ("spam", None),
        (None, "cannot be read: No such file or directory"),
        ("ham", None),
        (None, "cannot be read: not a plain file"),
        (None, "larger than max_message_size, 1024 bytes"),
        ("spam", None),
    ]
    assert all(list(entry) == KEYS for entry in ran.json)


def test_a_path_that_cannot_be_looked_at_is_an_entry_too(filterd, mail):
    folder = mail(**{"1.eml": HAM})
    ran = filterd("scan", "x" * 300, folder, "--json")
    assert ran.code == 1
    assert [entry["error"] for entry in ran.json] == ["cannot be read: File name too long", None]


def test_scan_for_people_shows_the_spam_and_counts_the_rest(filterd, mail):
    folder = mail(**{"[Gmail]__1.eml": SPAM, "2.eml": HAM, "3.eml": HAM})
    (folder / "4.eml").symlink_to("nowhere")
    ran = filterd("scan", "mail")
    assert ran.code == 1
    assert "mail/[Gmail]/1.eml │ spam    │ 1.0000 │ neutral" in ran.out
    assert "2.eml" not in ran.out
    assert ran.out.splitlines()[-1] == "4 messages: 2 ham, 1 spam, 1 unreadable"
    assert ran.line == "mail/4.eml: cannot be read: No such file or directory"


def test_scan_of_nothing_says_so(filterd, site):
    (site / "empty").mkdir()
    ran = filterd("scan", "empty")
    assert (ran.code, ran.out) == (0, "0 messages\n")


def test_scan_of_a_path_that_is_not_there_is_one_line(filterd):
    ran = filterd("scan", "absent")
    assert (ran.code, ran.line) == (66, "absent: no such file or folder")


def test_names_that_are_not_utf8_are_printed_all_the_same(filterd, mail):
    folder = mail(**{"1.eml": HAM})
    (folder / "1.eml").rename(folder / os.fsdecode(b"caf\xe9.eml"))
    (entry,) = filterd("scan", "mail", "--json").json
    assert os.fsencode(entry["path"]) == b"mail/caf\xe9.eml"
    assert filterd("scan", "mail").code == 0


def test_scan_ends_quietly_when_nobody_reads_on(site, mail):
    mail(**{f"{number:04}.eml": SPAM for number in range(3000)})
    with subprocess.Popen(
        [sys.executable, "-m", "filterd", "scan", "mail", "--json"],
        cwd=site,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as scan:
        assert json.loads(scan.stdout.readline())["path"] == "mail/0000.eml"
        scan.stdout.close()
        assert scan.stderr.read() == b""
        assert scan.wait(PATIENCE) == 1


# label


@pytest.fixture
def message(site):
    """A message in the site's database."""
    database = open_database(f"sqlite:///{site}/var/filterd.db")
    record = MessageRecord(
        id=ID,
        received_at=datetime(2026, 11, 24, tzinfo=UTC),
        client_address="192.0.2.1",
        helo="client.example",
        sender="a@example.org",
        recipients=("you@example.com",),
        size=100,
        ms=10.0,
        digest="0" * 64,
    )
    write_batch(database, [record])
    yield database
    database.close()


def test_a_label_is_recorded_with_a_name_and_taken_back(filterd, message):
    ran = filterd("label", ID, "ham", "--by", "anna")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"label 1: {ID} is ham, says anna",
        "to take it back: filterd label --undo 1",
    ]
    assert filterd("label", "--undo", "1", "--by", "bert").out == "label 1 taken back by bert\n"
    rows = history(message, ID)
    assert [(row.task, row.label, row.by, row.source, row.undoes) for row in rows] == [
        ("spam", "ham", "anna", "cli", None),
        ("spam", "ham", "bert", "cli", 1),
    ]


def test_a_task_of_the_sites_own_can_be_labelled(filterd, message):
    (printed,) = filterd("label", ID, "billing", "--task", "topic", "--json").json
    assert printed == {"id": 1, "message": ID, "task": "topic", "label": "billing"}
    assert filterd("label", ID, "billing", "--task", "Topic!").code == 2
    assert filterd("label", ID, "<script>", "--task", "topic").code == 2
    assert filterd("label", ID, "billing", "--task", "spam").code == 2


def test_labels_are_listed_and_the_log_has_what_was_taken_back(filterd, message):
    assert filterd("labels").out == "no labels of the last 30 days\n"
    filterd("label", ID, "ham", "--by", "anna")
    filterd("label", ID, "spam", "--by", "anna")
    filterd("label", ID, "negative", "--by", "bert")
    filterd("label", "--undo", "3", "--by", "carl")
    assert [one["label"] for one in filterd("labels", "--json").json] == ["spam"]
    trail = filterd("labels", "--log", "--json").json
    assert [(one["id"], one["by"], one["replaces"], one["undoes"]) for one in trail] == [
        (4, "carl", None, 3),
        (3, "bert", None, None),
        (2, "anna", 1, None),
        (1, "anna", None, None),
    ]
    assert [one["id"] for one in filterd("labels", "--log", "--by", "anna", "--json").json] == [
        2,
        1,
    ]
    shown = filterd("labels", "--log").out
    assert "takes back 3" in shown
    assert "of 1 " in shown


def test_a_label_names_its_task_and_the_account_is_the_name_if_none_is_given(filterd, message):
    (printed,) = filterd("label", ID, "negative", "--json").json
    assert printed == {"id": 1, "message": ID, "task": "sentiment", "label": "negative"}
    assert history(message, ID)[0].by == getpass.getuser()


def test_a_label_for_a_message_that_is_not_there_says_so(filterd):
    ran = filterd("label", "01JD9", "spam")
    assert ran.code == 74
    assert ran.line.startswith("no message 01JD9: the id is wrong, or retention has removed it")


def test_what_cannot_be_undone_says_why(filterd, message):
    ran = filterd("label", "--undo", "7")
    assert (ran.code, ran.line) == (74, "no label 7")
    filterd("label", ID, "spam", "--by", "anna")
    filterd("label", "--undo", "1", "--by", "anna")
    assert filterd("label", "--undo", "1").line == "label 1 was undone already, by anna"


# models


@pytest.fixture
def second(site):
    return make_tiny_bundle(site / "var/models/tiny.2", version="tiny.2")


def test_bundles_are_listed_and_the_one_that_serves_is_marked(filterd, second):
    shipped, first, other = filterd("models", "list", "--json").json[0]
    assert shipped["path"] == "shipped"
    assert [shipped["serves"], first["serves"], other["serves"]] == [False, True, False]
    assert [first["version"], other["version"]] == ["tiny.1", "tiny.2"]
    assert [first["promoted"], other["promoted"]] == [True, False]
    table = filterd("models", "list").out
    assert re.search(r"tiny\.1 +│ var/models/tiny\.1 +│ 2026-11-24 00:00 │ serves", table)
    assert re.search(r"tiny\.2 +│ var/models/tiny\.2 +│ 2026-11-24 00:00 │ not promoted", table)


def test_a_champion_that_is_gone_is_listed_as_what_it_is(filterd, site):
    shutil.rmtree(site / "var/models/tiny.1")
    ran = filterd("models", "list", "--json")
    first = ran.json[0][1]
    assert (ran.code, first["version"], first["serves"]) == (0, "tiny.1", True)
    assert "no bundle.json there" in first["error"]
    assert "champion, but" in filterd("models", "list").out


def test_a_bundle_shows_what_it_is(filterd):
    (shown,) = filterd("models", "show", "--json").json
    assert shown["version"] == "tiny.1"
    assert shown["tasks"]["spam"] == {
        "labels": ["ham", "spam"],
        "temperature": 1.0,
        "threshold": 0.9,
    }
    text = filterd("models", "show", "tiny.1").out
    assert shown["files"]["model.onnx"][:20] in text
    assert "…" not in text


def test_a_bundle_is_verified_by_version_by_folder_and_as_the_one_that_serves(filterd, site):
    for arguments in ([], ["tiny.1"], [site / "var/models/tiny.1"]):
        ran = filterd("models", "verify", *arguments)
        assert ran.code == 0
        assert ran.out.endswith("version tiny.1 is whole and gives its golden scores\n")


def test_a_bundle_is_promoted_and_rolled_back(filterd, second):
    assert filterd("models", "promote", "tiny.2").out == "tiny.2 is champion now\n"
    assert filterd("models", "show", "--json").json[0]["version"] == "tiny.2"
    assert filterd("models", "rollback").out == "tiny.1 is champion again\n"
    assert filterd("models", "show", "--json").json[0]["version"] == "tiny.1"
    ran = filterd("models", "rollback")
    assert ran.code == 74
    assert ran.line.startswith("nothing to go back to: no champion came before tiny.1")


def test_the_shipped_bundle_can_be_promoted_by_its_version(filterd):
    version = filterd("models", "list", "--json").json[0][0]["version"]
    assert filterd("models", "promote", version).code == 0
    assert filterd("models", "list", "--json").json[0][0]["serves"]


def test_a_folder_may_be_promoted_from_where_workers_look_for_it_and_nowhere_else(
    filterd, site, second
):
    assert filterd("models", "promote", site / "var/models/tiny.2").code == 0
    (site / "var/models/tiny.2").rename(site / "elsewhere")
    ran = filterd("models", "promote", site / "elsewhere")
    assert ran.code == 2
    assert "workers look for that in" in ran.err
    (site / "elsewhere").rename(site / "var/models/tiny.2")
    assert filterd("models", "promote", "tiny.2").code == 0


def test_a_bundle_that_was_tampered_with_is_refused(filterd, second):
    change_a_byte(second.path / "model.onnx")
    for command in ("verify", "promote"):
        ran = filterd("models", command, "tiny.2")
        assert ran.code == 66
        assert ran.line.startswith(
            "var/models/tiny.2: not a usable bundle: model.onnx is not the file that was published"
        )
    assert filterd("models", "show", "--json").json[0]["version"] == "tiny.1"


def test_a_rollback_to_a_bundle_that_cannot_serve_says_so(filterd, site, second):
    filterd("models", "promote", "tiny.2")
    change_a_byte(site / "var/models/tiny.1/tokenizer.json")
    ran = filterd("models", "rollback")
    assert (ran.code, ran.out) == (66, "tiny.1 is champion again\n")
    assert "tokenizer.json is not the file that was published" in ran.line


@pytest.mark.parametrize("command", ["show", "verify", "promote"])
def test_a_version_that_is_not_there_is_one_line(filterd, command):
    ran = filterd("models", command, "nope")
    assert ran.code == 66
    assert ran.line.startswith("var/models/nope: not a usable bundle: no bundle.json there")


# db


def test_a_database_is_made_and_brought_up_to_date(filterd, site):
    (site / "var/filterd.db").unlink()
    first = filterd("db", "upgrade")
    assert (first.code, first.out[:10]) == (0, "schema at ")
    assert filterd("db", "upgrade").out == first.out


def test_a_sound_database_is_said_to_be_sound(filterd):
    ran = filterd("db", "check")
    assert (ran.code, ran.out) == (0, "the database is sound\n")


def test_damage_is_found_and_exit_code_1(filterd, site, message):
    filterd("label", ID, "spam")
    with sqlite3.connect(site / "var/filterd.db") as database:
        database.execute("DELETE FROM messages")
    database.close()
    ran = filterd("db", "check")
    assert ran.code == 1
    assert ran.line.startswith("labels: row 1 refers to a row of messages that is not there: ")


def test_a_backup_is_a_whole_database(filterd, site):
    ran = filterd("db", "backup", "copy [1].db")
    assert ran.out == f"copy [1].db: {(site / 'copy [1].db').stat().st_size} bytes\n"
    (site / "copy [1].db").rename(site / "var/filterd.db")
    assert filterd("db", "check").code == 0


def test_a_backup_that_cannot_be_written_is_one_line(filterd):
    ran = filterd("db", "backup", "/proc/copy.db")
    assert ran.code == 74
    assert "copy.db" in ran.line


# settings


def test_settings_are_printed_as_a_file_that_can_be_read_again(filterd, site):
    (site / "filterd.toml").write_text('subject_tag = "[SPAM] \\"x\\""\nworkers = 3\n')
    before = filterd("settings", "--json").json
    text = filterd("settings").out
    assert text.startswith("# From filterd.toml and the environment.")
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert {line for line in lines if line and not line.startswith("#")} == {
        'subject_tag = "[SPAM] \\"x\\""',
        "workers = 3",
    }
    assert '#listen = "127.0.0.1:10025"' in lines
    (site / "filterd.toml").write_text(text)
    assert filterd("settings", "--json").json == before


def test_settings_do_not_show_a_password(filterd, site):
    (site / "filterd.toml").write_text('database = "postgresql://filterd:secret@db/filterd"\n')
    for arguments in ([], ["--json"]):
        out = filterd("settings", *arguments).out
        assert "secret" not in out
        assert "filterd:…@db" in out


# demo


def test_the_demo_shows_a_table_and_exits_0(site):
    (site / "filterd.toml").unlink()
    variables = {
        "FILTERD_LISTEN": f"127.0.0.1:{free_port()}",
        "FILTERD_METRICS": f"127.0.0.1:{free_port()}",
        "http_proxy": "http://192.0.2.1:9",  # must not be asked for our own machine
    }
    ran = subprocess.run(
        [sys.executable, "-m", "filterd", "demo"],
        cwd=site,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert re.search(r"subject +┃ verdict ┃ +score ┃ sentiment ┃ +ms ┃", ran.stdout)
    rows = [line for line in lines if line.startswith("│")]
    assert len(rows) == 8
    assert all(
        re.search(r"│ (ham|spam) +│ \d\.\d{4} │ (negative|neutral|positive) ", row) for row in rows
    )
    assert max(len(line) for line in lines if not line.startswith("  curl")) <= 80
    assert "  X-Filterd-Verdict: ham; score=" in ran.stdout
    log = (site / "var/demo.log").read_text().splitlines()
    assert sum(entry["event"] == "message" for line in log for entry in entries(line)) == 8


def test_a_demo_that_cannot_start_says_why_in_a_line(site):
    ran = subprocess.run(
        [sys.executable, "-m", "filterd", "demo"],
        cwd=site,
        env=environment(
            FILTERD_LISTEN="192.0.2.1:2525", FILTERD_METRICS=f"127.0.0.1:{free_port()}"
        ),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ran.returncode == 69
    assert (
        ran.stderr == "filterd: listen = 192.0.2.1:2525: this machine does not have that address\n"
    )
