"""What mail said, sealed by a key that lies outside the database; the one place that opens it.

Text, head and embedding of a message, and the reasons on its card, are sealed when they are written
if there is a key. What was written before there was one is read all the same. Keys are Fernet's
(AES-128-CBC with HMAC-SHA256, https://github.com/fernet/spec); the first of several seals.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from filterd.errors import ImpossibleError, SettingsError
from filterd.store.columns import (
    REPLACEMENT,
    SEAL_MARK,
    bytes_of_vector,
    is_sealed,
    vector_of_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cryptography.fernet import Fernet, MultiFernet

# Columns of `messages` that hold what a mail said.
SEALED: Final = ("text", "head", "embedding")
# Of a card's content in `slack_posts`.
QUOTES: Final = "why"
TEXT_MARK: Final = SEAL_MARK.decode()
MOST_KEYS: Final = 100
COMMENT: Final = "#"


class SealedError(ImpossibleError):
    """What a mail said is sealed, and no key that is there opens it."""


@dataclass(frozen=True, slots=True)
class Sealing:
    """Seals with `first` and opens with any key. Without keys it seals nothing."""

    first: Fernet | None = None
    every: MultiFernet | None = None

    @property
    def is_on(self) -> bool:
        """Whether what is written is sealed."""
        return self.first is not None

    def seal(self, content: bytes) -> bytes:
        """Bytes to be kept in place of `content`: without a key, `content` itself."""
        return content if self.first is None else SEAL_MARK + self.first.encrypt(content)

    def open(self, kept: bytes) -> bytes:
        """What `seal` was given. Raises SealedError."""
        if not is_sealed(kept):
            return kept
        found = _decrypted(self.every, kept)
        if found is None:
            raise SealedError("it is sealed, and `text_key_file` has no key that opens it")
        return found

    def is_fresh(self, kept: bytes) -> bool:
        """Whether this is as it would be written now: sealed by the first key, or by none."""
        if self.first is None or not is_sealed(kept):
            return self.is_on == is_sealed(kept)
        return _decrypted(self.first, kept) is not None

    def seal_text(self, text: str) -> str:
        """As `seal`. No text of a mail can pass for a sealed one."""
        if self.is_on:
            return self.seal(text.encode(errors="surrogatepass")).decode("ascii")
        return REPLACEMENT + text[1:] if text.startswith(TEXT_MARK) else text

    def open_text(self, kept: str) -> str:
        """What `seal_text` was given. Raises SealedError."""
        if not kept.startswith(TEXT_MARK):
            return kept
        return self.open(kept.encode(errors="replace")).decode(errors="surrogatepass")


def sealed(row: Mapping[str, Any], sealing: Sealing) -> dict[str, Any]:
    """A row of `messages` as it is written: what the mail said is sealed if there is a key."""
    found = dict(row)
    if found.get("text") is not None:
        found["text"] = sealing.seal_text(found["text"])
    if found.get("head") is not None:
        found["head"] = sealing.seal(found["head"])
    if found.get("embedding") is not None:
        found["embedding"] = sealing.seal(bytes_of_vector(found["embedding"]))
    return found


def opened(row: Mapping[str, Any], sealing: Sealing) -> dict[str, Any]:
    """A row, or a part of one with its id, as it was before `sealed`. Raises SealedError."""
    found = dict(row)
    try:
        if found.get("text") is not None:
            found["text"] = sealing.open_text(found["text"])
        if found.get("head") is not None:
            found["head"] = sealing.open(found["head"])
        if isinstance(found.get("embedding"), bytes):
            found["embedding"] = vector_of_bytes(sealing.open(found["embedding"]))
    except SealedError as error:
        raise SealedError(f"{found['id']}: what it said cannot be read: {error}") from None
    return found


def sealed_content(content: Mapping[str, Any], sealing: Sealing) -> dict[str, Any]:
    """A post's content as it is written: reasons quote the mail, so they are sealed as its text."""
    if QUOTES not in content:
        return dict(content)
    return {**content, QUOTES: [sealing.seal_text(each) for each in content[QUOTES]]}


def opened_content(content: Mapping[str, Any], sealing: Sealing) -> dict[str, Any]:
    """What `sealed_content` was given; without reasons if no key opens them: a card can do so."""
    if QUOTES not in content:
        return dict(content)
    try:
        return {**content, QUOTES: [sealing.open_text(each) for each in content[QUOTES]]}
    except SealedError:
        return {**content, QUOTES: []}


def make_key() -> str:
    """A new key, a line of a key file. Raises SettingsError without the library."""
    return str(_fernet().Fernet.generate_key().decode("ascii"))


def add_key(path: Path) -> int:
    """Put a new key first in a file that only its owner can read; how many were there before.

    The file is whole at every moment. Raises SettingsError, OSError.
    """
    known = read_keys(path) if path.exists() else ()
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(f"{key}\n" for key in (make_key(), *known))
            file.flush()
            os.fsync(file.fileno())
        if known:
            owner = path.stat()
            os.chown(partial, owner.st_uid, owner.st_gid)
            partial.chmod(owner.st_mode & 0o777)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return len(known)


def read_keys(path: Path | None) -> tuple[str, ...]:
    """The keys of a file, a line each, the one that seals first; none without a file.

    Empty lines and what begins with # are no keys. Raises SettingsError, which quotes none.
    """
    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file of keys"
        raise SettingsError(f"text_key_file {path}: cannot be read: {reason}") from None
    found = []
    for number, line in enumerate(lines, start=1):
        key = line.strip()
        if key and not key.startswith(COMMENT):
            _require_key(key, f"text_key_file {path}, line {number}")
            found.append(key)
    if not 0 < len(found) <= MOST_KEYS:
        raise SettingsError(
            f"text_key_file {path}: holds no key, or more than {MOST_KEYS}; "
            "`filterd db key FILE` makes one"
        )
    return tuple(found)


def open_sealing(keys: Sequence[str]) -> Sealing:
    """The sealing of these keys. Raises SettingsError."""
    if not keys:
        return Sealing()
    fernet = _fernet()
    found = [fernet.Fernet(key) for key in keys]
    return Sealing(found[0], fernet.MultiFernet(found))


def _decrypted(key: Fernet | MultiFernet | None, kept: bytes) -> bytes | None:
    if key is None:
        return None
    try:
        return key.decrypt(kept[len(SEAL_MARK) :])
    except _fernet().InvalidToken:
        return None


def _require_key(key: str, place: str) -> None:
    try:
        _fernet().Fernet(key)
    except ValueError:
        raise SettingsError(f"{place}: is no key; `filterd db key FILE` makes one") from None


def _fernet() -> Any:
    try:
        from cryptography import fernet  # noqa: PLC0415  # an extra
    except ModuleNotFoundError:
        raise SettingsError(
            "text_key_file: sealing needs the extra `encryption`: pip install 'filterd[encryption]'"
        ) from None
    return fernet
