"""How commands talk to people and machines: consoles, options they share, progress, JSON."""

from __future__ import annotations

import getpass
import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

out = Console()
err = Console(stderr=True)

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="Settings file; else ./filterd.toml, then /etc/filterd/filterd.toml."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def say(text: str) -> None:
    """A line for people, as it is: no markup is read from it, and it is not wrapped."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def complain(text: str) -> None:
    """As `say`, on standard error."""
    err.print(text, markup=False, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One value, one line; a file name that is not UTF-8 is escaped as JSON has it."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        text = json.dumps(value)
    sys.stdout.write(text + "\n")


def printable(path: str) -> str:
    """A path as a terminal can show it: bytes that are not UTF-8 in hex."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def who(by: str) -> str:
    """The name given, else that of the account; typer.BadParameter if it has none."""
    if by.strip():
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        raise typer.BadParameter("this account has no name; say --by NAME") from None


@contextmanager
def working(what: str) -> Iterator[None]:
    """A sign of life on standard error, while it is a terminal, for what may take seconds."""
    if not err.is_terminal:
        yield
        return
    with err.status(what):
        yield


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[], None]]:
    """A bar on standard error while it is a terminal; call what you get after each step."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
