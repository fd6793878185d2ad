"""From root to a user of its own: for good, and before any mail is read.

Sockets that are open already stay open. What that user cannot reach is said at once, with path and
user, not when it is needed.
"""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from filterd.errors import SettingsError
from filterd.settings import find_settings_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from filterd.settings import Settings

ROOT: Final = 0
# https://docs.kernel.org/userspace-api/no_new_privs.html
PR_SET_NO_NEW_PRIVS: Final = 38
CAPABILITIES: Final = ("CapInh", "CapPrm", "CapEff", "CapAmb")
SECRET_VARIABLES: Final = ("FILTERD_", "SLACK_")
MAILDIR: Final = "maildir:"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Account:
    """Whom to become; `groups` are all of that user, `group` among them."""

    name: str
    user: int
    group: int
    groups: tuple[int, ...]


def is_root() -> bool:
    """Whether this process may do everything."""
    return ROOT in os.getresuid()


def account(settings: Settings) -> Account | None:
    """Whom the settings say to become; None to stay. Raises SettingsError.

    Who is that user already stays it; anyone but root cannot become another.
    """
    if not settings.user:
        if settings.group:
            raise SettingsError("group: goes with `user`, which is not set")
        return None
    try:
        found = pwd.getpwnam(settings.user)
    except KeyError:
        raise SettingsError(f"user = {settings.user}: this machine has no such user") from None
    try:
        group = grp.getgrnam(settings.group).gr_gid if settings.group else found.pw_gid
    except KeyError:
        raise SettingsError(f"group = {settings.group}: this machine has no such group") from None
    if ROOT in {found.pw_uid, group}:
        raise SettingsError(f"user = {settings.user}: name one that may do less than root")
    if not is_root():
        if os.getresuid() != (found.pw_uid,) * 3:
            raise SettingsError(
                f"user = {settings.user}: only root can become another user; start it as root, or "
                f"as {settings.user}"
            )
        return None
    return Account(settings.user, found.pw_uid, group, _groups(settings.user, group))


def drop(
    settings: Settings, config: Path | None, also: Iterable[tuple[Path, str]] = ()
) -> Account | None:
    """Become whom the settings name, if root is here, and see that it reaches what it needs.

    `also` are more paths that it must be able to write, and the settings that name them. Who that
    is now; None if nothing had to be dropped. Raises SettingsError.
    """
    who = account(settings)
    if who is not None:
        become(who)
        require_access(settings, config, who.name, also)
    return who


def warn_of_root() -> None:
    """Say so in the log if this process is root."""
    if is_root():
        log.warning(
            "running as root: who takes it over has the machine; set `user` to one of its own"
        )


def become(who: Account) -> None:
    """Drop root in this process, all its threads and all its children. Raises SettingsError.

    That there is no way back is tried out.
    """
    try:
        os.setgroups(who.groups)
        os.setresgid(who.group, who.group, who.group)
        os.setresuid(who.user, who.user, who.user)
    except OSError as error:
        raise SettingsError(f"user = {who.name}: cannot become it: {error.strerror}") from None
    forbid_new_privileges()
    os.environ.update(HOME=pwd.getpwuid(who.user).pw_dir, USER=who.name, LOGNAME=who.name)
    require_dropped()


def prepare(settings: Settings) -> None:
    """For the first moments of a process that will drop root: while it has one thread. OSError."""
    if settings.user:
        forbid_new_privileges()


def forbid_new_privileges() -> None:
    """From here on no program that belongs to root (su, sudo) makes this thread root again.

    For this thread and those that it starts later: best called before there are any. OSError.
    """
    arguments = [ctypes.c_ulong(each) for each in (1, 0, 0, 0)]
    if ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, *arguments) != 0:
        raise OSError("the kernel takes no promise to stay without root (PR_SET_NO_NEW_PRIVS)")


def require_dropped() -> None:
    """Raise SettingsError if any thread of this process is root or could be."""
    for status in _statuses():
        users, groups = set(status["Uid"].split()), set(status["Gid"].split())
        is_one = len(users) == len(groups) == 1
        has_root = str(ROOT) in users | groups | set(status["Groups"].split())
        has_power = any(int(status[name], base=16) for name in CAPABILITIES)
        if has_root or has_power or not is_one:
            raise SettingsError("user: root was dropped and is still there; this is not safe")
    with suppress(PermissionError):
        os.setuid(ROOT)
        raise SettingsError("user: root was dropped and could be had again; this is not safe")


def require_access(
    settings: Settings,
    config: Path | None,
    name: str,
    also: Iterable[tuple[Path, str]] = (),
) -> None:
    """Raise SettingsError if this process, of user `name`, cannot reach what it will need.

    What is not there must be possible to make. Nothing is made here.
    """
    for path, what in (*_written(settings), *also):
        wrong = _not_writable(path)
        if wrong is not None:
            raise SettingsError(
                f"{what} {path}: user {name} cannot write {wrong}; `chown -R {name}` it"
            )
    if not os.access(sys.executable, os.X_OK) or not os.access(__file__, os.R_OK):
        raise SettingsError(
            f"user {name} cannot run {sys.executable} with {Path(__file__).parent}: install "
            "filterd where that user can read it"
        )
    for path, what in _read(settings, config):
        if not _is_readable(path):
            raise SettingsError(f"{what} {path}: user {name} cannot read it")


def environment_of_children(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what may hold a secret: for children that are told what they need."""
    return {
        name: value for name, value in environment.items() if not name.startswith(SECRET_VARIABLES)
    }


def _groups(user: str, group: int) -> tuple[int, ...]:
    """All groups of a user but root's: a socket of the mail server may be for one of them."""
    return tuple(each for each in os.getgrouplist(user, group) if each != ROOT)


def _statuses() -> Iterator[dict[str, str]]:
    for thread in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended just now
            lines = (thread / "status").read_text().splitlines()
            yield {name: rest for name, _, rest in (line.partition(":") for line in lines)}


def _written(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Files and folders that the daemon writes, and the settings that name them."""
    # Not at the top: it is long to import, and this module is for the first moments of a process.
    from filterd.store.engine import parse_url, sqlite_path  # noqa: PLC0415

    path = sqlite_path(parse_url(settings.database))
    if path is not None:
        # Whoever made the database as root may have left its log to root.
        yield from ((path.with_name(path.name + end), "database") for end in ("", "-wal", "-shm"))
    for name in ("next_hop", "quarantine"):
        url: str = getattr(settings, name)
        if url.startswith(MAILDIR):
            folder = Path(url.removeprefix(MAILDIR))
            yield from ((folder / each, name) for each in ("tmp", "new", "cur"))


def _read(settings: Settings, config: Path | None) -> Iterator[tuple[Path, str]]:
    """What is read now, at a reload, or when a bundle is published."""
    found = (
        (find_settings_file(config), "settings file"),
        (settings.models, "models"),
        (settings.tls_certificate, "tls_certificate"),
        (settings.tls_key, "tls_key"),
        (settings.text_key_file, "text_key_file"),
        (settings.database_password_file, "database_password_file"),
    )
    return ((path, what) for path, what in found if path is not None)


def _is_readable(path: Path) -> bool:
    """Whether it can be read; what is not there is for those who need it to tell."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0))


def _not_writable(path: Path) -> Path | None:
    """What stands in the way of writing `path`: itself or a folder above it; None if nothing."""
    if _is_there(path) and not os.access(path, os.W_OK):
        return path
    folder = path if path.is_dir() else path.parent
    while not _is_there(folder) and folder != folder.parent:
        folder = folder.parent
    return None if os.access(folder, os.W_OK | os.X_OK) else folder


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except OSError:
        return False
    return True
