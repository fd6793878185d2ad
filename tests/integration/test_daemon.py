"""`filterd serve` as its operators meet it: started, refused, signalled, killed, looked at."""

import os
import re
import select
import shutil
import signal
import smtplib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from daemon_process import HAM, PATIENCE, SPAM, environment, finish, open_transaction
from tiny_bundle import make_tiny_bundle

pytest_plugins = ("daemon_fixtures",)

DOCUMENTED_METRICS = (
    "filterd_messages_total",
    "filterd_sentiment_total",
    "filterd_judge_seconds_bucket",
    "filterd_message_bytes_bucket",
    "filterd_spam_score_bucket",
    "filterd_connections",
    "filterd_records",
    "filterd_model_loaded_timestamp_seconds",
)


def said_in_a_line(daemon):
    """Exit code and the one line on standard error of a daemon that would not start."""
    code = daemon.wait()
    assert "Traceback" not in daemon.log
    lines = daemon.log.splitlines()
    assert len(lines) == 1, daemon.log
    assert lines[0].startswith("filterd: ")
    return code, lines[0].removeprefix("filterd: ")


def wait_for_end(pidfd):
    """Wait for a process that is not our child."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(PATIENCE * 1000)
    os.close(pidfd)


def nobody_serves(port):
    with socket.socket() as sock:
        sock.settimeout(PATIENCE)
        return sock.connect_ex(("127.0.0.1", port)) != 0


# Start


def test_it_starts_says_that_it_is_ready_and_delivers_what_it_judged(serve):
    daemon = serve()
    assert daemon.get("/readyz") == (200, "1 of 1 workers ready, 0 restarts\n")
    code, text = daemon.send(SPAM)
    assert (code, text[:6]) == (250, b"2.0.0 ")
    (message,) = daemon.delivered()
    assert b"X-Filterd-Verdict: spam; score=1.0000; threshold=0.9000" in message
    assert b"X-Filterd-Model: tiny.1" in message
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_a_port_that_another_program_has_is_said_with_the_address(start):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        code, line = said_in_a_line(start(listen=address))
    assert code == 69
    assert line.startswith(f"listen = {address}: another program listens there")


def test_a_second_instance_on_the_same_port_is_refused_and_the_first_goes_on(serve, start):
    first = serve()
    code, line = said_in_a_line(start(listen=f"127.0.0.1:{first.port}"))
    assert code == 69
    assert line.startswith(f"listen = 127.0.0.1:{first.port}: ")
    for _ in range(5):
        assert first.send()[0] == 250


def test_a_metrics_port_that_is_taken_is_said_with_the_address(start):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        code, line = said_in_a_line(start(metrics=address))
    assert code == 69
    assert line.startswith(f"metrics = {address}: another program listens there")


# What is wrong, the exit code of docs/operations.md, and what the line must name.
REFUSED = {
    "unknown setting": ({"lisen": "x"}, 78, "filterd.toml: unknown setting 'lisen' (did you mean 'listen'?)"),
    "wrong type": ({"workers": "many"}, 78, "filterd.toml: 'workers': Input should be a valid integer"),
    "out of range": ({"max_message_size": 1}, 78, "filterd.toml: 'max_message_size': Input should be greater"),
    "no address": ({"listen": "here"}, 78, "filterd.toml: 'listen': 'here' is not HOST:PORT"),
    "no network": ({"allowed_clients": ["lan"]}, 78, "filterd.toml: 'allowed_clients'"),
    "half of TLS": ({"tls_key": "key.pem"}, 78, "tls_certificate and tls_key must be set together"),
    "no certificate": ({"tls_key": "k.pem", "tls_certificate": "c.pem"}, 78, "tls_certificate c.pem, tls_key k.pem: "),
    "no URL": ({"next_hop": "mail.example:25"}, 78, "next_hop: next hop 'mail.example:25' is not smtp://HOST:PORT"),
    "unknown host": ({"listen": "nowhere.invalid:25"}, 69, "listen = nowhere.invalid:25: "),
    "not our address": ({"listen": "192.0.2.1:2525"}, 69, "listen = 192.0.2.1:2525: this machine does not have"),
    "no Maildir": ({"next_hop": "maildir:/proc/mail"}, 69, "next_hop: maildir:/proc/mail: "),
    "no database folder": ({"database": "sqlite:////proc/no/filterd.db"}, 74, "/proc/no/filterd.db: cannot be opened"),
    "a folder as database": ({"database": "sqlite:///var"}, 74, "var: cannot be opened for writing: Is a directory"),
    "not a database": ({"database": "sqlite:///filterd.toml"}, 74, "filterd.toml: not an SQLite database"),
    "no database URL": ({"database": "var/filterd.db"}, 74, "database: cannot be understood as a URL"),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_at_start_is_one_line_and_an_exit_code(start, settings, code, said):
    found, line = said_in_a_line(start(**settings))
    assert found == code
    assert said in line


def test_a_file_that_is_not_toml_is_said_with_its_name(site, start):
    path = site / "other.toml"
    path.write_text("workers = \n")
    code, line = said_in_a_line(start("--config", str(path)))
    assert code == 78
    assert line.startswith(f"{path}: not valid TOML: ")


def test_a_settings_file_that_is_not_there_is_said_with_its_name(start):
    code, line = said_in_a_line(start(env=environment(FILTERD_CONFIG="absent.toml")))
    assert (code, line) == (
        78,
        "absent.toml: cannot read the settings file: No such file or directory",
    )


def test_an_unknown_variable_is_said_with_its_name(start):
    code, line = said_in_a_line(start(env=environment(FILTERD_LISTEM="x")))
    assert code == 78
    assert "FILTERD_LISTEM (did you mean FILTERD_LISTEN?)" in line


@pytest.mark.parametrize("name", ["next_hop", "quarantine"])
def test_a_next_hop_that_does_not_answer_is_said_with_its_setting_and_url(start, name):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, and nobody listens
        url = f"smtp://127.0.0.1:{unused.getsockname()[1]}"
        code, line = said_in_a_line(start(**{name: url}))
    assert (code, line) == (69, f"{name}: {url}: Connection refused")


def test_what_is_wrong_in_every_worker_is_said_once(start):
    settings = {"tls_key": "k.pem", "tls_certificate": "c.pem", "workers": 3}
    code, line = said_in_a_line(start(**settings))
    assert code == 78
    assert line.startswith("tls_certificate c.pem")


# Bundles. In these the installed package is another: its shipped bundle is the tests' to spoil.


@pytest.fixture
def shipping(other_package, tmp_path):
    """A package that ships a tiny bundle, and the environment to run it."""
    package = tmp_path / "package"
    shutil.copytree(other_package, package)
    make_tiny_bundle(package / "filterd/shipped", version="shipped.1")
    return package / "filterd/shipped", environment(PYTHONPATH=str(package))


def change_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.scenario(
    "F52",
    "there is no bundle at all, at start",
    "it does not start; one line names the folder, exit code 66",
)
def test_without_a_bundle_it_does_not_start_and_names_the_folder(start, site, shipping):
    shipped, env = shipping
    (site / "var/filterd.db").unlink()
    shutil.rmtree(shipped)
    code, line = said_in_a_line(start(env=env))
    assert code == 66
    assert line == f"{shipped}: not a usable bundle: no bundle.json there; reinstall filterd"


@pytest.mark.scenario(
    "F51",
    "one byte of the shipped bundle is changed, at start",
    "it does not start; one line names the file, exit code 66",
)
def test_with_one_byte_changed_it_does_not_start_and_names_the_file(start, site, shipping):
    shipped, env = shipping
    (site / "var/filterd.db").unlink()
    change_a_byte(shipped / "model.onnx")
    code, line = said_in_a_line(start(env=env))
    assert code == 66
    assert f"{shipped}: not a usable bundle: model.onnx is not the file that was published" in line


@pytest.mark.scenario(
    "F53",
    "one byte of the champion's bundle is changed, at start",
    "the shipped bundle serves, the log says why; mail flows",
)
def test_a_champion_that_was_tampered_with_does_not_serve_and_the_shipped_bundle_does(
    serve, site, shipping
):
    change_a_byte(site / "var/models/tiny.1/model.onnx")
    daemon = serve(env=shipping[1])
    assert daemon.send()[0] == 250
    assert b"X-Filterd-Model: shipped.1" in daemon.delivered()[0]
    assert '"event": "champion_unusable"' in daemon.log
    assert "model.onnx is not the file that was published (SHA-256 differs)" in daemon.log


# Workers that die


def test_a_worker_that_is_killed_is_replaced_and_mail_goes_on(serve):
    daemon = serve()
    (killed,) = daemon.worker_pids
    os.kill(killed, signal.SIGKILL)
    # The socket is the supervisor's: this connection waits for the successor.
    assert daemon.send()[0] == 250
    assert daemon.heard("worker died")["code"] == -signal.SIGKILL
    assert daemon.worker_pids != [killed]
    assert daemon.get("/healthz") == (200, "1 of 1 workers ready, 1 restarts\n")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


@pytest.mark.scenario(
    "F57",
    "the supervisor is killed with SIGKILL",
    "its workers end, the port is free for the next start",
)
def test_workers_do_not_outlive_their_supervisor(serve):
    daemon = serve(workers=2)
    workers = [os.pidfd_open(pid) for pid in daemon.worker_pids]
    daemon.process.kill()
    for worker in workers:
        wait_for_end(worker)
    assert nobody_serves(daemon.port)


# SIGHUP


@pytest.mark.scenario(
    "F41",
    "SIGHUP under load",
    "no message is refused, lost or sent twice; the new setting holds",
)
def test_a_changed_setting_is_taken_under_load_without_a_refused_or_lost_message(serve):
    daemon = serve(workers=2)
    stop = threading.Event()
    replies = []

    def send():
        while not stop.is_set():
            replies.append(daemon.send(SPAM))

    with ThreadPoolExecutor(2) as pool:
        senders = [pool.submit(send) for _ in range(2)]
        daemon.configure(workers=2, spam_threshold=0.3)
        daemon.signal(signal.SIGHUP)
        daemon.reloaded(workers=2)
        stop.set()
    for sender in senders:
        sender.result()
    assert {code for code, _ in replies} == {250}
    assert len(daemon.delivered()) == len(replies)
    assert len({text for _, text in replies}) == len(replies)
    daemon.send(SPAM)
    assert any(b"; threshold=0.3000" in message for message in daemon.delivered())
    assert daemon.get("/readyz") == (200, "2 of 2 workers ready, 0 restarts\n")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mode": "delete"}, "filterd.toml: 'mode': Input should be 'tag', 'shadow', 'reject'"),
        (
            {"tls_key": "k.pem", "tls_certificate": "c.pem"},
            "tls_certificate c.pem, tls_key k.pem: ",
        ),
        ({"next_hop": "lmtp:///absent.sock"}, "next_hop: lmtp:///absent.sock: "),
    ],
    ids=["seen at once", "seen by a worker", "a next hop that is not there"],
)
@pytest.mark.scenario(
    "F56",
    "SIGHUP with settings that are wrong, seen at once, by a worker, or by the next hop's absence",
    "the old settings and workers stay; the log says why",
)
def test_with_wrong_settings_the_old_ones_stay_and_it_says_so(serve, settings, said):
    daemon = serve(spam_threshold=0.1)
    workers = daemon.worker_pids
    daemon.configure(spam_threshold=0.2, **settings)
    daemon.signal(signal.SIGHUP)
    assert said in daemon.heard("reload refused, the old settings stay")["error"]
    assert daemon.worker_pids == workers
    assert daemon.send(SPAM)[0] == 250
    assert b"; threshold=0.1000" in daemon.delivered()[0]


def test_the_successor_of_a_killed_worker_has_the_settings_in_force_not_those_of_the_file(serve):
    daemon = serve(spam_threshold=0.1)
    daemon.configure(workers="many")
    daemon.signal(signal.SIGHUP)
    daemon.heard("reload refused, the old settings stay")
    os.kill(daemon.worker_pids[0], signal.SIGKILL)
    assert daemon.send(SPAM)[0] == 250
    assert b"; threshold=0.1000" in daemon.delivered()[0]


def test_a_setting_that_takes_a_restart_is_named_and_left_as_it_is(serve, site):
    daemon = serve()
    daemon.configure(database="sqlite:///var/other.db")
    daemon.signal(signal.SIGHUP)
    assert daemon.heard("setting changes at the next restart only")["setting"] == "database"
    daemon.reloaded()
    assert daemon.send()[0] == 250
    assert not (site / "var/other.db").exists()


def test_a_second_sighup_during_a_reload_waits_for_its_turn(serve):
    daemon = serve()
    for _ in range(2):
        daemon.signal(signal.SIGHUP)
    daemon.reloaded()
    # Signals of a kind that wait for the same process may be joined into one.
    daemon.configure(spam_threshold=0.2)
    daemon.signal(signal.SIGHUP)
    while True:
        daemon.reloaded()
        daemon.send(SPAM)
        if b"; threshold=0.2000" in b"".join(daemon.delivered()):
            break
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


# SIGTERM


@pytest.mark.scenario(
    "F40",
    "SIGTERM within a transaction",
    "it is finished; newcomers are told 421; exit code 0",
)
def test_sigterm_finishes_the_open_transaction_answers_newcomers_421_and_exits_0(serve):
    daemon = serve()
    with open_transaction(daemon) as client:
        daemon.signal(signal.SIGTERM)
        daemon.heard("draining")
        with pytest.raises(smtplib.SMTPConnectError) as refused:
            daemon.client()
        assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (421, b"4.3.2")
        assert daemon.get("/healthz")[0] == 200
        assert daemon.get("/readyz") == (503, "draining\n")
        assert finish(client)[0] == 250
        client.close()
    assert daemon.wait() == 0
    assert HAM.replace(b"\r\n", b"\n") in daemon.delivered()[0]
    assert nobody_serves(daemon.port)


@pytest.mark.scenario(
    "F48",
    "SIGTERM, and a transaction that does not end",
    "it is cut off without a reply after `drain_timeout`; exit code 0",
)
def test_a_transaction_that_does_not_end_is_cut_off_after_drain_timeout(serve):
    daemon = serve(drain_timeout=0.2)
    with open_transaction(daemon) as client:
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert cut_off(client)


@pytest.mark.scenario(
    "F49",
    "SIGTERM twice",
    "it ends at once; what was open got no reply and was not delivered",
)
def test_a_second_sigterm_ends_at_once(serve):
    daemon = serve(drain_timeout=1000)
    workers = [os.pidfd_open(pid) for pid in daemon.worker_pids]
    with open_transaction(daemon) as client:
        daemon.signal(signal.SIGTERM)
        daemon.heard("draining")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert cut_off(client)
    for worker in workers:
        wait_for_end(worker)
    assert daemon.delivered() == []


def test_sigterm_ends_a_start_that_hangs(start):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE)
        daemon = start(next_hop=f"smtp://127.0.0.1:{silent.getsockname()[1]}")
        connection, _ = silent.accept()
        with connection:
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
    assert daemon.log == ""


def cut_off(client):
    """Whether the connection ends without a reply."""
    try:
        return client.sock.recv(1) == b""
    except ConnectionResetError:
        return True


# Metrics and logs


def test_metrics_health_and_readiness_are_as_documented(serve):
    daemon = serve()
    daemon.send(SPAM)
    daemon.send(HAM)
    status, text = daemon.get("/metrics")
    assert status == 200
    for name in DOCUMENTED_METRICS:
        assert re.search(rf"^{name}\b", text, re.MULTILINE), name
    assert 'filterd_messages_total{reply="2xx",verdict="spam"} 1.0' in text
    assert 'filterd_messages_total{reply="2xx",verdict="ham"} 1.0' in text
    assert 'filterd_sentiment_total{sentiment="positive"} 1.0' in text
    assert 'filterd_model_loaded_timestamp_seconds{version="tiny.1"}' in text
    assert "filterd_judge_seconds_count 2.0" in text
    assert daemon.get("/healthz") == (200, "1 of 1 workers ready, 0 restarts\n")
    assert daemon.get("/readyz")[0] == 200
    assert daemon.get("/else")[0] == 404


def test_what_cannot_be_judged_is_counted_with_its_reason(serve):
    daemon = serve(deadline=0.000_001)
    assert daemon.send()[0] == 250
    text = daemon.get("/metrics")[1]
    assert 'filterd_unjudged_total{reason="deadline"} 1.0' in text
    assert 'filterd_messages_total{reply="2xx",verdict="unjudged"} 1.0' in text


def test_without_a_metrics_address_it_serves_all_the_same(serve):
    daemon = serve(metrics="")
    assert daemon.send()[0] == 250


SECRETS = ("zebrasender", "quaggarecipient", "okapisubject", "tapirtext", "lemurlink", "gnufile", "yakname")  # fmt: skip
PRIVATE = b"""From: "Yakname" <zebrasender@zebrasender.example>\r
To: quaggarecipient@quaggarecipient.example\r
Subject: okapisubject lottery\r
Message-ID: <zebrasender@zebrasender.example>\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
Content-Type: text/html\r
\r
<p>tapirtext <a href="https://lemurlink.example/">x</a></p>\r
--b\r
Content-Type: application/x; name=gnufile.bin\r
Content-Disposition: attachment; filename=gnufile.bin\r
\r
tapirtext\r
--b--\r
"""


def send_private_mail(daemon):
    """Once as it should be, and once broken off."""
    with daemon.client() as client:
        client.ehlo("client.example")
        client.mail("zebrasender@zebrasender.example")
        client.rcpt("quaggarecipient@quaggarecipient.example")
        client.verify("quaggarecipient")
        assert client.data(PRIVATE)[0] == 250
    with open_transaction(daemon) as client:
        client.send(PRIVATE)
        client.close()


def test_logs_carry_no_address_subject_or_text(serve):
    daemon = serve(log_level="debug", log_format="json")
    send_private_mail(daemon)
    # The other format, and the way of what is not judged.
    daemon.configure(log_level="debug", log_format="text", deadline=0.000_001)
    daemon.signal(signal.SIGHUP)
    daemon.reloaded()
    send_private_mail(daemon)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert '"event": "message"' in daemon.log
    assert "judging overran its deadline" in daemon.log
    for secret in SECRETS:
        assert secret not in daemon.log.lower(), secret


def test_nothing_is_left_in_the_home_folder_where_onnx_runtime_would_note_its_telemetry(
    serve, tmp_path
):
    home = tmp_path / "home"
    home.mkdir()
    daemon = serve(env=environment(HOME=str(home)))
    assert daemon.send()[0] == 250
    assert list(home.iterdir()) == []


def test_serving_needs_neither_torch_nor_anything_of_the_trainers(serve):
    daemon = serve(env=environment(PYTHONPROFILEIMPORTTIME="1"))
    assert daemon.send(SPAM)[0] == 250
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    imported = {
        name.split(".")[0]
        for name in re.findall(r"import time:.*\|\s*(\S+)$", daemon.log, re.MULTILINE)
    }
    assert {"filterd", "onnxruntime", "aiosmtpd"} <= imported
    assert not imported & {
        "torch",
        "transformers",
        "sklearn",
        "datasets",
        "onnx",
        "trainer",
        "slack_bolt",
    }
