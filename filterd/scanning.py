"""Many messages from files, mbox files and folders, judged in input order.

Reads lazily: a folder of a million mails costs no more memory than some batches of them.
"""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filterd.errors import MessageError
from filterd.pipeline import Origin, judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from filterd.learner.site import SiteLearner
    from filterd.model.encoder import Encoder
    from filterd.pipeline import Judgement
    from filterd.policy import Policy

BATCH = 32
BATCH_BYTES = 16 * 1024 * 1024
# Batches underway: one is read and parsed while another is at the encoder.
AHEAD = 2
# What lies beside mail in folders of mail and is none.
NOT_MAIL = frozenset(
    f".{ending}"
    for ending in (
        *("bz2", "csv", "db", "gif", "gz", "htm", "html", "idx", "index", "jpeg", "jpg", "json"),
        *("jsonl", "lock", "log", "md", "pdf", "png", "py", "sh", "sql", "sqlite", "tar", "tgz"),
        *("tsv", "xz", "zip", "zst", "7z"),
    )
)
MBOX_START = b"From "
MAILDIR = frozenset({"cur", "new"})
# What is read of an mbox at once: a line, or as much of a longer one.
LINE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Source:
    """Where one message lies: a whole file, or bytes `start`..`end` of an mbox.

    `size` in bytes as it was found; `error` says why there is nothing to read.
    """

    path: Path
    name: str
    start: int = 0
    end: int | None = None
    size: int = 0
    error: str = ""

    def read(self, max_size: int | None = None) -> bytes:
        """The message's bytes; MessageError if they cannot be had or are more than `max_size`."""
        if self.error:
            raise MessageError(self.error)
        most = -1 if max_size is None else max_size + 1
        if self.end is not None:
            length = self.end - self.start
            most = length if max_size is None else min(length, most)
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                raw = file.read(most)
        except OSError as error:
            raise MessageError(f"cannot be read: {error.strerror}") from None
        if max_size is not None and len(raw) > max_size:
            raise MessageError(f"larger than max_message_size, {max_size} bytes")
        return raw


def find_messages(paths: Iterable[Path]) -> list[Source]:
    """Every message under `paths`, folders in the order of their names.

    A file that is named is taken whatever it is called; in folders, hidden files and those that
    are plainly no mail (`NOT_MAIL`) are passed over, and of a Maildir only `cur` and `new` are
    read, its folders (`.Junk`) included. What cannot be read is found too, with an `error`. Raises
    MessageError for a path that is not there.
    """
    found: list[Source] = []
    for path in paths:
        try:
            is_folder = stat.S_ISDIR(path.stat().st_mode)
        except FileNotFoundError:
            raise MessageError(f"{path}: no such file or folder") from None
        except OSError as error:
            found.append(_unreadable(path, error))
            continue
        found += _messages_under(path) if is_folder else _messages_in(path)
    return found


def scan_messages(
    sources: Iterable[Source],
    encoder: Encoder,
    policy: Policy,
    *,
    max_size: int | None = None,
    learner: SiteLearner | None = None,
) -> Iterator[tuple[str, Judgement | None, str | None]]:
    """(name, judgement, error) of every source, in order; one of the last two is None.

    Messages of more than `max_size` bytes are not judged, as they would not be taken by SMTP.
    `learner` is what staff taught, if it is to have a say.
    """
    origin = Origin(at=time.time())

    def judge_batch(
        batch: Sequence[Source],
    ) -> list[tuple[str, Judgement | None, str | None]]:
        raws: list[bytes] = []
        errors: list[str | None] = []
        for source in batch:
            try:
                raws.append(source.read(max_size))
                errors.append(None)
            except MessageError as error:
                errors.append(str(error))
        judged = iter(judge(raws, encoder, policy, learner=learner, origin=origin))
        return [
            (source.name, next(judged) if error is None else None, error)
            for source, error in zip(batch, errors, strict=True)
        ]

    with ThreadPoolExecutor(AHEAD) as pool:
        underway: deque[Future[list[tuple[str, Judgement | None, str | None]]]] = deque()
        for batch in _batches(sources):
            underway.append(pool.submit(judge_batch, batch))
            if len(underway) > AHEAD:
                yield from underway.popleft().result()
        while underway:
            yield from underway.popleft().result()


def _batches(sources: Iterable[Source]) -> Iterator[list[Source]]:
    """Sources in order, so many at once that their bytes do no harm to memory."""
    batch: list[Source] = []
    size = 0
    for source in sources:
        if batch and (len(batch) == BATCH or size + source.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(source)
        size += source.size
    if batch:
        yield batch


def _messages_under(root: Path) -> list[Source]:
    found: list[Source] = []

    def complain(error: OSError) -> None:
        found.append(_unreadable(Path(error.filename), error))

    for folder, folders, names in os.walk(root, onerror=complain):
        here = Path(folder)
        is_maildir = MAILDIR.issubset(folders)
        is_inside = here.name in MAILDIR and all((here.parent / name).is_dir() for name in MAILDIR)
        folders[:] = sorted(
            name
            for name in folders
            if not (is_maildir and name == "tmp")
            and (not name.startswith(".") or _is_maildir(here / name))
        )
        if is_maildir:
            continue  # the files beside `cur` and `new` are the mail server's
        for name in sorted(names):
            is_mail = is_inside or Path(name).suffix.lower() not in NOT_MAIL
            if is_mail and not name.startswith("."):
                found += _messages_in(here / name)
    return found


def _is_maildir(path: Path) -> bool:
    return all((path / name).is_dir() for name in MAILDIR)


def _messages_in(path: Path) -> list[Source]:
    """The messages of one file: many if it is an mbox, else the file itself."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a FIFO would hold us up for ever
            return [Source(path, str(path), error="cannot be read: not a plain file")]
        starts, bodies, size = _find_in_mbox(path)
    except OSError as error:
        return [_unreadable(path, error)]
    if not starts:
        return [Source(path, str(path), size=status.st_size)]
    if len(starts) == 1:
        return [Source(path, str(path), bodies[0], size, size - bodies[0])]
    ends = [*starts[1:], size]
    return [
        Source(path, f"{path}#{number}", body, end, end - body)
        for number, (body, end) in enumerate(zip(bodies, ends, strict=True), 1)
    ]


def _find_in_mbox(path: Path) -> tuple[list[int], list[int], int]:
    """Where the "From " lines begin, where they end, and the file's size; no lines, no mbox."""
    starts: list[int] = []
    bodies: list[int] = []
    offset = 0
    after_empty = at_start = True
    with path.open("rb") as file:
        if file.read(len(MBOX_START)) != MBOX_START:
            return starts, bodies, offset
        file.seek(0)
        while line := file.readline(LINE_BYTES):
            is_mark = at_start and after_empty and line.startswith(MBOX_START)
            if is_mark:
                starts.append(offset)
                bodies.append(offset + len(line))
            after_empty = at_start and line in (b"\n", b"\r\n")
            at_start = line.endswith(b"\n")
            offset += len(line)
    return starts, bodies, offset


def _unreadable(path: Path, error: OSError) -> Source:
    return Source(path, str(path), error=f"cannot be read: {error.strerror}")
