"""A label given on the command line, and the next mail by SMTP: in every worker, and back again."""

import json
import subprocess
import sys

import pytest
from daemon_process import environment

pytest_plugins = ("daemon_fixtures",)

WORKERS = 2
COPIES = 12
BODY = (
    "Dear {name}, your parcel {number} could not be delivered since the shipping fee is unpaid."
    " Please confirm your address at https://{name}.example/{number} and pay the fee within two"
    " days, or it will be sent back. Kind regards, your parcel service"
)


def parcel(number):
    """The number-th mail of a campaign: names, links and figures of its own."""
    name = f"{'abcdefghijklmnop'[number % 16]}ubert"
    text = BODY.format(name=name, number=7000 + number)
    return f"From: {name}@{name}.example\r\nSubject: Your parcel\r\n\r\n{text}\r\n".encode()


def header(message, name):
    lines = message.partition(b"\n\n")[0].decode().splitlines()
    return next(line.partition(": ")[2] for line in lines if line.startswith(f"{name}: "))


def verdict(message):
    return header(message, "X-Filterd-Verdict").partition(";")[0]


def filterd(folder, *arguments):
    """The command, as typed in the site's folder; its JSON."""
    command = [sys.executable, "-m", "filterd", *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture
def daemon(serve):
    return serve(workers=WORKERS)


def send(daemon, numbers):
    """Copies of the campaign through SMTP; what was delivered of them."""
    before = set(daemon.delivered())
    for number in numbers:
        assert daemon.send(parcel(number))[0] == 250
    return [message for message in daemon.delivered() if message not in before]


def label(daemon, *arguments):
    return filterd(daemon.folder, "label", *arguments)


def test_a_label_counts_for_the_next_mail_in_every_worker_and_undo_takes_it_back(daemon):
    (first,) = send(daemon, [0])
    assert verdict(first) == "ham"
    given = label(daemon, header(first, "X-Filterd-Id"), "spam", "--by", "ann")
    # The workers may say it in any order.
    awaited = {("labels learnt anew", worker) for worker in range(WORKERS)}
    hear_all(daemon, awaited)
    copies = send(daemon, range(1, COPIES))
    assert {verdict(message) for message in copies} == {"spam"}
    assert len(copies) == COPIES - 1
    assert workers_that_judged(daemon) == set(range(WORKERS))
    label(daemon, "--undo", str(given["id"]))
    hear_all(daemon, awaited)
    assert {verdict(message) for message in send(daemon, range(20, 26))} == {"ham"}


def hear_all(daemon, awaited):
    left = set(awaited)
    while left:
        entry = daemon.next_entry()
        left.discard((entry["event"], entry.get("worker")))


def workers_that_judged(daemon):
    return {
        entry["worker"]
        for line in daemon.lines
        if line.startswith("{")
        for entry in [json.loads(line)]
        if entry["event"] == "message"
    }


def test_check_and_scan_know_what_staff_taught(daemon, tmp_path):
    (first,) = send(daemon, [0])
    label(daemon, header(first, "X-Filterd-Id"), "spam")
    file = tmp_path / "copy.eml"
    file.write_bytes(parcel(9))
    assert filterd(daemon.folder, "check", str(file))["verdict"] == "spam"
    assert filterd(daemon.folder, "scan", str(file))["verdict"] == "spam"


def test_why_names_the_labelled_mail_and_who_labelled_it(daemon, tmp_path):
    first, second = send(daemon, [0, 1])
    ids = [header(message, "X-Filterd-Id") for message in (first, second)]
    label(daemon, ids[0], "spam", "--by", "ann")
    found = filterd(daemon.folder, "why", ids[1])
    assert (found["id"], found["verdict"], found["recorded"]["verdict"]) == (ids[1], "spam", "ham")
    assert (found["near"]["id"], found["near"]["by"], found["near"]["label"]) == (
        ids[0],
        "ann",
        "spam",
    )
    assert found["voices"]["total"] == pytest.approx(
        sum(found["voices"][name] for name in ("bert", "site", "near")), abs=0.01
    )
    assert found["voices"]["near"] > 0
    assert {part["kind"] for part in found["parts"]} >= {"subject", "text"}
    file = tmp_path / "copy.eml"
    file.write_bytes(parcel(9))
    assert filterd(daemon.folder, "why", str(file))["near"]["subject"] == "Your parcel"
    shown = typed(daemon.folder, "why", ids[1])
    assert f"like {ids[0]} “Your parcel”" in shown.stdout
    assert "said ann on" in shown.stdout


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("01JD0000000000000000000001", "no such file, and no message with that id"),
        ("no/such.eml", "no such file, and no message with that id"),
    ],
)
def test_why_of_what_is_not_there(site, target, said):
    done = typed(site, "why", target)
    assert done.returncode == 66
    assert f"filterd: {target}: {said}" in done.stderr


def test_why_of_a_mail_whose_text_is_not_kept(serve):
    daemon = serve(store_text="none")
    (first,) = send(daemon, [0])
    number = header(first, "X-Filterd-Id")
    label(daemon, number, "spam")
    done = typed(daemon.folder, "why", number)
    assert done.returncode == 66
    assert f"{number}: its text is not kept" in done.stderr


def typed(folder, *arguments):
    command = [sys.executable, "-m", "filterd", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


def test_queue_names_the_mails_worth_a_label(daemon):
    (first,) = send(daemon, [0])
    number = header(first, "X-Filterd-Id")
    label(daemon, number, "spam")  # waits for the record
    (second,) = send(daemon, [1])
    other = header(second, "X-Filterd-Id")
    label(daemon, other, "neutral")
    command = [sys.executable, "-m", "filterd", "queue", "--json"]
    done = subprocess.run(
        command, cwd=daemon.folder, env=environment(), capture_output=True, check=True
    )
    (line,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (line["id"], line["subject"]) == (other, "Your parcel")
    shown = typed(daemon.folder, "queue")
    assert other in shown.stdout
    assert number not in shown.stdout


def test_a_queue_of_nothing_says_so(site):
    shown = typed(site, "queue")
    assert shown.returncode == 0
    assert "nothing to ask about" in shown.stdout


def test_why_of_the_labelled_mail_itself_says_who_labelled_it(daemon):
    (first,) = send(daemon, [0])
    number = header(first, "X-Filterd-Id")
    label(daemon, number, "spam", "--by", "ann")
    assert "it is labelled: spam, said ann on" in typed(daemon.folder, "why", number).stdout
