"""What the encoder said of mails, kept in a file: a replay that is run again need not ask it again.

An SQLite file by digest of the mail and of the bundle, so that nothing stale can come out of it;
what a run that was killed has judged is there for the next.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from trainer.errors import CorporaError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from filterd.model.bundle import Bundle

COMMIT_EVERY = 200  # mails; so many are lost at most when the run is killed
_TABLE = """CREATE TABLE IF NOT EXISTS scores (
    bundle TEXT, mail BLOB, spam REAL, embedding BLOB, PRIMARY KEY (bundle, mail)
) WITHOUT ROWID"""


@dataclass(frozen=True, slots=True, eq=False)
class CachedScore:
    """The spam probability 0..1 and the embedding float32 [hidden] of one mail."""

    spam: float
    embedding: NDArray[np.float32]


class ScoreCache:
    """The file, open; safe to use from several threads. A context manager: leaving it commits.

    Raises CorporaError if the file is something else or cannot be written.
    """

    def __init__(self, path: Path, bundle: Bundle) -> None:
        self._path = path
        self._bundle = hashlib.sha256("".join(sorted(bundle.files.values())).encode()).hexdigest()
        self._lock = threading.Lock()
        self._uncommitted = 0
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False)
            self._connection.execute(_TABLE)
        except sqlite3.Error as error:
            raise self._wrong(error) from None

    def get(self, raw: bytes) -> CachedScore | None:
        """What is known of this mail by this bundle."""
        query = "SELECT spam, embedding FROM scores WHERE bundle = ? AND mail = ?"
        with self._lock:
            row = self._connection.execute(query, (self._bundle, _digest(raw))).fetchone()
        return None if row is None else CachedScore(row[0], np.frombuffer(row[1], np.float32))

    def put(self, raw: bytes, spam: float, embedding: NDArray[np.float32]) -> None:
        """Keep what this bundle says of this mail."""
        row = (self._bundle, _digest(raw), spam, embedding.astype(np.float32).tobytes())
        try:
            with self._lock:
                self._connection.execute("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)", row)
                self._uncommitted += 1
                if self._uncommitted >= COMMIT_EVERY:
                    self._connection.commit()
                    self._uncommitted = 0
        except sqlite3.Error as error:
            raise self._wrong(error) from None

    def __enter__(self) -> Self:
        """The cache itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit what is new, and close."""
        with self._lock:
            self._connection.commit()
            self._connection.close()

    def _wrong(self, error: sqlite3.Error) -> CorporaError:
        return CorporaError(f"{self._path}: cannot be used to keep scores in: {error}")


def _digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()
