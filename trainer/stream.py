"""A labelled stream of mail in arrival order, as TREC's spam track hands it out.

An INDEX has a line per message, `spam|ham PATH`, with paths relative to the INDEX. Lines are kept,
mails are not: they are read when their turn comes.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from filterd.mail.parse import parse
from trainer.corpora import arrived_at
from trainer.errors import CorporaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

Item = TypeVar("Item")
Result = TypeVar("Result")

SPAM_LABELS = frozenset({"ham", "spam"})
# Items underway per thread: enough that a long mail at the front holds nobody up.
AHEAD = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of an INDEX: `path` as it stands there, `label` in lower case."""

    index: Path
    line: int
    label: str
    path: str

    @property
    def file(self) -> Path:
        """Where the message lies."""
        return self.index.parent / self.path

    def read(self) -> bytes:
        """The message's bytes. Raises CorporaError."""
        try:
            return self.file.read_bytes()
        except OSError as error:
            raise self.wrong(f"{self.path} cannot be read: {error.strerror}") from None

    def wrong(self, what: str) -> CorporaError:
        """An error that names this line."""
        return CorporaError(f"{self.index}:{self.line}: {what}")


def read_index(index: Path) -> list[Entry]:
    """Every line of an INDEX; blank ones are skipped, labels may be written in any case.

    Each file is looked for now, since the last of 75,000 is a bad place to learn that it is
    missing. Raises CorporaError, with INDEX:line where there is one.
    """
    entries = []
    try:
        # A file's name is bytes; what is not UTF-8 comes back as the same bytes.
        with index.open(encoding="utf-8", errors="surrogateescape") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.isspace():
                    entries.append(_read_line(index, number, line))
    except OSError as error:
        raise CorporaError(f"{index}: cannot be read: {error.strerror}") from None
    if not entries:
        raise CorporaError(f"{index}: no message in it; a line is 'spam PATH' or 'ham PATH'")
    return entries


def arrival_index(folder: Path) -> list[str]:
    """Lines of an INDEX of FOLDER/{spam,ham}/*, in the order in which the mails arrived.

    A mail that does not say when comes first. Raises CorporaError.
    """
    found = []
    for label in sorted(SPAM_LABELS):
        for file in sorted(path for path in (folder / label).glob("*") if path.is_file()):
            entry = Entry(folder / "index", 0, label, f"{label}/{file.name}")
            when = arrived_at(parse(entry.read()))
            found.append((0.0 if when is None else _seconds(when), f"{label} {entry.path}"))
    if not found:
        raise CorporaError(f"{folder}: no message in its folders spam and ham")
    return [line for _, line in sorted(found)]


def _seconds(when: datetime) -> float:
    """Since the epoch; a time without zone is taken for UTC."""
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return (when - datetime.fromtimestamp(0, UTC)).total_seconds()


def _read_line(index: Path, number: int, line: str) -> Entry:
    label, path = (*line.split(maxsplit=1), "")[:2]
    entry = Entry(index, number, label.lower(), path.strip())
    if entry.label not in SPAM_LABELS or not entry.path:
        raise entry.wrong(f"needs 'spam PATH' or 'ham PATH', has '{line.strip()[:80]}'")
    try:
        is_file = entry.file.is_file()
    except ValueError:  # a NUL in the name
        is_file = False
    if not is_file:
        raise entry.wrong(f"no file {entry.path} beside the index")
    return entry


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """`work` of every item, on this many threads, in the order of `items`.

    `items` is drawn from this thread, never more than a few ahead of what has been yielded. What
    `work` raises is raised here in its turn. Pays where `work` leaves the interpreter, as the
    encoder does.
    """
    pool = ThreadPoolExecutor(threads)
    underway: deque[Future[Result]] = deque()
    try:
        for item in items:
            underway.append(pool.submit(work, item))
            if len(underway) > threads * AHEAD:
                yield underway.popleft().result()
        while underway:
            yield underway.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
