"""The real `filterd serve` for tests: a process in a folder of its own, heard line by line.

Ports are the kernel's choice. Nothing here sleeps: all waiting is for a log line, an answer or an
end, for at most PATIENCE seconds.
"""

import json
import os
import queue
import smtplib
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

PATIENCE = 30.0
ROOT = Path(__file__).resolve().parent.parent
BASE = {"listen": "127.0.0.1:0", "metrics": "127.0.0.1:0", "hostname": "filter.example"}
SPAM = b"From: a@example.org\r\nSubject: lottery\r\n\r\nyou won the lottery\r\n"
HAM = b"From: b@example.org\r\nSubject: minutes\r\n\r\nthanks, great minutes\r\n"


def toml(settings):
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


def environment(**variables):
    """Our own without anybody's settings of filterd."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FILTERD_")}
    return kept | {"COLUMNS": "80"} | variables


def entries(line):
    """The JSON log entries in a line; processes that log at once may share one."""
    while line.startswith("{"):
        entry, end = json.JSONDecoder().raw_decode(line)
        yield entry
        line = line[end:]


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Daemon:
    """A `filterd serve` whose settings are the `filterd.toml` of its folder."""

    def __init__(self, folder, *arguments, env=None, prefix=()):
        self.folder = folder
        self.lines = []
        self._said = queue.Queue()
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "filterd", "serve", *arguments],
            cwd=folder,
            env=env or environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.decode())
            for entry in entries(line.decode()):
                self._said.put(entry)
        self._said.put(None)

    def heard(self, event, **fields):
        """Wait for the next log line with this event and these fields; what came before is past."""
        while True:
            entry = self.next_entry(event)
            if entry["event"] == event and fields.items() <= entry.items():
                return entry

    def next_entry(self, awaited="the next line"):
        """The next log entry, waited for."""
        entry = self._said.get(timeout=PATIENCE)
        assert entry is not None, f"ended without {awaited!r}:\n{self.log}"
        return entry

    def reloaded(self, workers=1):
        """Wait until new workers have taken over: the old ones accept nothing once they drain."""
        awaited = ["reloaded", *["draining"] * workers]
        while awaited:
            entry = self._said.get(timeout=PATIENCE)
            assert entry is not None, f"ended without {awaited}:\n{self.log}"
            if entry["event"] in awaited:
                awaited.remove(entry["event"])

    def started(self):
        serving = self.heard("serving")
        self.port = int(serving["listen"].rpartition(":")[2])
        self.metrics = serving["metrics"]
        return self

    @property
    def log(self):
        return "".join(self.lines)

    @property
    def worker_pids(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def configure(self, **settings):
        (self.folder / "filterd.toml").write_text(toml(BASE | settings))

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def client(self):
        return smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE)

    def send(self, message=HAM):
        """One message in a connection of its own; its reply."""
        with self.client() as client:
            client.ehlo("client.example")
            client.mail("a@example.org")
            client.rcpt("you@example.com")
            return client.data(message)

    def get(self, path):
        """Status and text of a page of the admin server."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{self.metrics}{path}", timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def delivered(self):
        return [path.read_bytes() for path in sorted((self.folder / "var/mail/new").iterdir())]

    def end(self):
        """Whatever became of the test, nothing of it stays."""
        self.process.kill()  # its workers end when they notice
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self.process.stderr.close()


def open_transaction(daemon):
    """A client that has been told to send its message, and has not yet."""
    client = daemon.client()
    client.ehlo("client.example")
    client.mail("a@example.org")
    client.rcpt("you@example.com")
    assert client.docmd("DATA")[0] == 354
    return client


def finish(client, message=HAM):
    client.send(message + b".\r\n")
    return client.getreply()
