"""All servers of one scenario, in one folder, ended in reverse order."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from servers.dovecot import Dovecot
from servers.filterd import Filterd
from servers.nexthop import NextHop
from servers.ports import LOOPBACK, REINJECTION_PORT, free_port
from servers.postfix import STOCK, Postfix

if TYPE_CHECKING:
    from servers.postfix import Wiring

PROGRAMS = ("postfix", "postqueue", "smtp-source", "dovecot")
LOG_TAIL = 4000


class Stage:
    """Starts servers and ends what it started. Folders are readable for the servers' own users."""

    def __init__(self) -> None:
        self._exits = ExitStack()
        # Not pytest's own temporary folder: only its owner may enter that one, and the paths of
        # Unix sockets must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="filterd-e2e-"))
        self.folder.chmod(0o755)
        self._exits.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._number = 0
        self._logs: list[Postfix | Dovecot | Filterd] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def filterd(self, next_hop: str = f"smtp://{LOOPBACK}:{REINJECTION_PORT}", **settings: str) -> Filterd:  # fmt: skip
        """A ready filterd that hands its mail to `next_hop`, by default Postfix' second service."""
        server = Filterd(self._new_folder("filterd"), next_hop, **settings)
        self._exits.callback(server.stop)
        self._logs.append(server)
        server.start()
        return server

    def postfix(self, wiring: Wiring, transport: str = "discard:", **overrides: str) -> Postfix:
        """A running Postfix wired as deploy/postfix says, that delivers by `transport`."""
        return self._postfix(wiring=wiring, transport=transport, overrides=overrides)

    def bare_postfix(self, transport: str, **overrides: str) -> Postfix:
        """A running Postfix without filterd's fragments, that delivers by `transport`."""
        return self._postfix(wiring=None, transport=transport, overrides=overrides)

    def stock_postfix(self, transport: str) -> Postfix:
        """A running Postfix with Debian's files and no filterd, that delivers by `transport`."""
        if not (STOCK / "master.cf.dist").exists():
            pytest.skip(f"no files of Debian's postfix in {STOCK}")
        return self._postfix(wiring=None, transport=transport, stock=True)

    def _postfix(self, **settings: Any) -> Postfix:
        require_mail_servers()
        server = Postfix(self._new_folder("postfix"), free_port(), **settings)
        self._exits.callback(server.stop)
        self._logs.append(server)
        server.start()
        return server

    def dovecot(self) -> Dovecot:
        """A running Dovecot."""
        require_mail_servers()
        server = Dovecot(self._new_folder("dovecot"))
        self._exits.callback(server.stop)
        self._logs.append(server)
        server.start()
        return server

    def next_hop(self) -> NextHop:
        """A next hop that takes everything until told otherwise."""
        server = NextHop()
        self._exits.callback(server.stop)
        server.start()
        return server

    def logs(self) -> list[tuple[str, str]]:
        """Name and last words of each server."""
        return [(f"log of {type(one).__name__}", one.log()[-LOG_TAIL:]) for one in self._logs]

    def _new_folder(self, name: str) -> Path:
        self._number += 1
        return self.folder / f"{name}{self._number}"


def require_mail_servers() -> None:
    """Skip where there is no Postfix and Dovecot to run; fail in CI, where there must be."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=SEARCH_PATH) is None]
    if not missing and os.geteuid() == 0:
        return
    reason = (
        f"not installed: {', '.join(missing)} (Debian: apt install postfix dovecot-lmtpd)"
        if missing
        else "Postfix and Dovecot start as root only"
    )
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


SEARCH_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
