"""A Postfix of our own in a temporary folder, wired by the fragments of deploy/postfix as they are."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from servers.ports import LOOPBACK, REINJECTION_PORT, require_free
from servers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

FRAGMENTS = Path(__file__).parents[3] / "deploy" / "postfix"
Wiring = Literal["before-queue", "after-queue"]
DOMAIN = "example.test"
HOSTNAME = "mx.example.test"

# Debian's own main.cf and master.cf.
STOCK = Path("/usr/share/postfix")
COMPATIBILITY = "compatibility_level = 3.6\n"

# What an administrator has before filterd comes: an MX for one domain that delivers over LMTP.
# Only paths, names and times are ours.
MAIN = """\
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = {hostname}
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
smtputf8_enable = yes
virtual_mailbox_domains = {domain}
virtual_transport = {transport}
# Two things Postfix does to mail of local clients and to long lines, whether filterd is there or
# not: switched off, so that every difference found is filterd's.
local_header_rewrite_clients =
lmtp_line_length_limit = 0
# Each copy says whom it was for: Dovecot writes Delivered-To for a single recipient only.
lmtp_destination_recipient_limit = 1
# No mail of Postfix' own.
notify_classes =
# Nobody waits minutes in a test.
queue_run_delay = 5s
minimal_backoff_time = 5s
maximal_backoff_time = 10s
"""

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """One instance: `start`, mail to `port`, look into its queue, `stop`."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        wiring: Wiring | None,
        transport: str,
        stock: bool = False,
        overrides: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port
        self.config = folder / "etc"
        self._folder = folder
        self.config.mkdir(parents=True)
        (folder / "queue").mkdir()
        (folder / "data").mkdir()
        shutil.chown(folder / "data", "postfix")
        main = MAIN.format(folder=folder, hostname=HOSTNAME, domain=DOMAIN, transport=transport)
        main += "".join(f"{name} = {value}\n" for name, value in (overrides or {}).items())
        if stock:
            main = (STOCK / "main.cf.debian").read_text() + main
            master = (STOCK / "master.cf.dist").read_text()
            master = re.sub(r"^smtp +inet", f"{LOOPBACK}:{port} inet", master, flags=re.MULTILINE)
        else:
            main, master = COMPATIBILITY + main, MASTER.format(port=port)
        self._write("main.cf", main, wiring)
        self._write("master.cf", master, wiring)

    def _write(self, name: str, own: str, wiring: Wiring | None) -> None:
        """What README.md tells the administrator to do: our fragment behind what is there."""
        fragment = (FRAGMENTS / wiring / name).read_text() if wiring else ""
        path = self.config / name
        path.write_text(own + fragment)
        # Postfix waits a second for whoever may still be writing to a file that is younger.
        an_hour_ago = path.stat().st_mtime - 3600
        os.utime(path, (an_hour_ago, an_hour_ago))

    def start(self) -> None:
        """Start and return when Postfix takes connections."""
        require_free(REINJECTION_PORT)
        self._run("postfix", "start")
        wait_until(self._master_pid, lambda: f"Postfix did not start\n{self.log()}")

    def stop(self) -> None:
        """End it; by force if it does not go by itself."""
        pid = self._master_pid()
        if not pid:
            return
        self._run("postfix", "stop", check=False)
        if self._master_pid():
            os.killpg(pid, signal.SIGKILL)

    def queue(self) -> list[dict]:
        """What `postqueue -j` says: a dictionary per message with its recipients."""
        listing = self._run("postqueue", "-j").stdout
        return [json.loads(line) for line in listing.splitlines()]

    def queued_recipients(self) -> set[str]:
        """Addresses of all recipients that some message in the queue still has."""
        return {recipient["address"] for entry in self.queue() for recipient in entry["recipients"]}

    def flush(self) -> None:
        """Try every deferred message now."""
        self._run("postqueue", "-f")

    def log(self) -> str:
        """The mail log."""
        path = self._folder / "mail.log"
        return path.read_text(errors="replace") if path.exists() else "(no mail log)"

    def complaints(self) -> list[str]:
        """Lines of the log that say something is wrong with the set-up."""
        bad = (" warning: ", " error: ", " fatal: ", " panic: ")
        return [line for line in self.log().splitlines() if any(word in line for word in bad)]

    def check(self) -> str:
        """All that `postfix check` and `postconf` have to say about the configuration."""
        check = self._run("postfix", "check", check=False)
        files = self._run("postconf", "-n", check=False), self._run("postconf", "-M", check=False)
        return check.stderr + check.stdout + "".join(run.stderr for run in files)

    def _master_pid(self) -> int:
        """Process id of a running master, else 0."""
        try:
            pid = int((self._folder / "queue" / "pid" / "master.pid").read_text())
            os.kill(pid, 0)
        except (FileNotFoundError, ValueError, ProcessLookupError):
            return 0
        return pid

    def _run(
        self, command: str, *arguments: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [command, "-c", str(self.config), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
        if check and done.returncode:
            raise AssertionError(f"{command} {arguments}: {done.stderr}{done.stdout}\n{self.log()}")
        return done
