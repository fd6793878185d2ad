"""A Dovecot of our own: LMTP on a Unix socket in, Maildir out, ten or so for all recipients."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

from servers.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

# Mail belongs to someone who may do nothing else. Dovecot refuses uid 0.
MAIL_USER = "nobody"
MAIL_GROUP = "nogroup"
DELIVERED_TO = re.compile(rb"^Delivered-To: (\S+)", re.MULTILINE)

CONFIGURATION = """\
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
mail_log_prefix = "lmtp: "
protocols = lmtp
ssl = no
# By the first letter of the address: a mailbox each for 1,000 recipients would only cost time.
mail_location = maildir:{folder}/mail/%1n
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
first_valid_gid = 1
mailbox_list_index = no
# A slow disk is not what is tested.
mail_fsync = never
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/home/%n allow_all_users=yes
}}
service lmtp {{
  process_limit = 20
  unix_listener {folder}/lmtp {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


class Dovecot:
    """One instance: `start`, mail to `transport` (or `url`), read `delivered`, `stop`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mail = folder / "mail"
        self.transport = f"lmtp:unix:{folder}/lmtp"
        self.url = f"lmtp://{folder}/lmtp"
        for name in ("run", "mail", "home"):
            (folder / name).mkdir(parents=True)
        for name in ("mail", "home"):
            shutil.chown(folder / name, MAIL_USER, MAIL_GROUP)
        (folder / "dovecot.conf").write_text(
            CONFIGURATION.format(folder=folder, user=MAIL_USER, group=MAIL_GROUP)
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and return when it takes LMTP connections."""
        with (self._folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                ["dovecot", "-F", "-c", str(self._folder / "dovecot.conf")],
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            )
        wait_until(
            lambda: self._process.poll() is not None or (self._folder / "lmtp").exists(), self.log
        )
        assert self._process.poll() is None, self.log()

    def stop(self) -> None:
        """End it; by force if it does not go by itself."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        # Dovecot leaves it, and `start` takes it for a sign of life.
        (self._folder / "lmtp").unlink(missing_ok=True)

    def count(self) -> int:
        """How many messages there are, over all mailboxes."""
        return sum(len(list(folder.iterdir())) for folder in self._mail.glob("*/new"))

    def delivered(self) -> list[tuple[str, bytes]]:
        """Every message, with the recipient that it was delivered to."""
        contents = [path.read_bytes() for path in sorted(self._mail.glob("*/new/*"))]
        return [(DELIVERED_TO.search(content)[1].decode(), content) for content in contents]

    def mailbox(self, recipient: str) -> list[bytes]:
        """What lies in the mailbox that `recipient` shares with all of the same first letter."""
        return [path.read_bytes() for path in sorted(self._mail.glob(f"{recipient[0]}/new/*"))]

    def spoil(self, recipient: str) -> None:
        """Let nobody write into the mailbox of `recipient` any more."""
        (self._mail / recipient[0]).write_bytes(b"a file where a folder has to be")

    def empty(self) -> None:
        """Throw all delivered mail away."""
        for path in self._mail.glob("*/new/*"):
            path.unlink()

    def log(self) -> str:
        """What Dovecot said."""
        paths = (self._folder / "output", self._folder / "dovecot.log")
        return "".join(path.read_text(errors="replace") for path in paths if path.exists())
