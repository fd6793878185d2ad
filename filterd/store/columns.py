"""How values lie in columns where SQLite and PostgreSQL, or mail and databases, differ."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np
from sqlalchemy import DateTime, LargeBinary, Text
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    import numpy.typing as npt
    from sqlalchemy import Dialect

HALF: Final = np.dtype("<f2")
LARGEST_HALF: Final = float(np.finfo(HALF).max)
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
SURROGATES: Final = range(0xD800, 0xE000)
UNSTORABLE: Final = dict.fromkeys((0, *SURROGATES), REPLACEMENT)
# What sealed values begin with (`filterd.store.sealing`); no rendered text and no vector does.
SEAL_MARK: Final = b"\x01sealed\x02"


def storable(text: str) -> str:
    """Text that both databases take: NUL and lone surrogates become U+FFFD."""
    if text.isascii():
        return text.replace("\0", REPLACEMENT)
    return text.translate(UNSTORABLE)


def is_sealed(value: bytes) -> bool:
    """Whether a value was sealed before it was stored."""
    return value.startswith(SEAL_MARK)


def bytes_of_vector(value: npt.NDArray[np.float32]) -> bytes:
    """A vector [n] as n little-endian float16; what float16 does not hold goes to its ends."""
    return np.clip(value, -LARGEST_HALF, LARGEST_HALF).astype(HALF).tobytes()


def vector_of_bytes(value: bytes) -> npt.NDArray[np.float32]:
    """The float32 [n] of these bytes."""
    return np.frombuffer(value, HALF).astype(np.float32)


class SafeText(TypeDecorator[str]):
    """Text that may come from mail: whatever Python holds can be stored."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Replace what neither database takes."""
        return None if value is None else storable(value)


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime, stored and read as UTC; SQLite itself keeps no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; ValueError for a naive datetime, whose moment cannot be known."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class HalfVector(TypeDecorator["npt.NDArray[np.float32] | bytes"]):
    """A vector [n], stored as n little-endian float16: half the room, angles kept to 1e-3.

    A sealed one goes in and comes out as the bytes that it is.
    """

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(
        self,
        value: npt.NDArray[np.float32] | bytes | None,
        dialect: Dialect,  # noqa: ARG002  # SQLAlchemy's signature
    ) -> bytes | None:
        """To bytes; values beyond what float16 holds are brought to its ends."""
        return value if value is None or isinstance(value, bytes) else bytes_of_vector(value)

    def process_result_value(
        self,
        value: bytes | None,
        dialect: Dialect,  # noqa: ARG002  # SQLAlchemy's signature
    ) -> npt.NDArray[np.float32] | bytes | None:
        """To float32 [n], unless it is sealed."""
        return value if value is None or is_sealed(value) else vector_of_bytes(value)
