"""A mail to hashed features, for a linear model that learns one site's mail.

Three kinds: sequences of four bytes of the head of the raw message, words and word pairs of the
rendered text, and marks (the order of header fields, the sender's and the links' hosts, the
client's network). Bytes and words are hashed by array operations: some 0.1 ms a mail in all.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from filterd.learner.words import (
    LETTERS_FIGURES_MARKS,
    TEXT_BYTES,
    pair_hashes,
    word_hashes,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Buckets = NDArray[np.uint32]

BITS = 21
BUCKETS = 1 << BITS
HEAD_BYTES = 3500
# What a feature of each kind counts for: bytes are many and say little each, marks are few.
_VALUES = np.array([1.0, 2.0, 4.0], dtype=np.float32)
_KIND_BITS, _KIND_MASK = np.uint32(2), np.uint32(3)

# What filters before us held of the mail would be learnt at once, and missed as soon as the way
# of the mail changes.
_VERDICTS = (b"x-spam", b"x-filterd", b"x-virus", b"x-bogosity", b"x-rspamd", b"x-dspam")
_GRAM_PRIME = np.uint32(2654435761)  # of Knuth's multiplicative hashing
_FIELD = re.compile(rb"^(?![ \t])([^:\n]{0,40}+)[^:\n]*+:", re.MULTILINE)
_LINKS = re.compile(r"^links: (.*)$", re.MULTILINE)
_SENDER = re.compile(r"^from: (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a mail when it is judged and, from its record, when a label comes later.

    `head` is as `head_of` cut it, `text` is what the model read.
    """

    head: bytes
    text: str
    helo: str = ""
    client_address: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Buckets int64 [n] below BUCKETS, ascending, none twice, and their values float32 [n]."""

    buckets: NDArray[np.int64]
    values: NDArray[np.float32]


def head_of(message: bytes) -> bytes:
    """The first bytes of a raw message, without the verdicts of filters. Linear."""
    head = message[: 4 * HEAD_BYTES]
    end = _end_of_header(head)
    kept, skipping = [], False
    for line in head[:end].split(b"\n"):
        if line[:1] not in (b" ", b"\t"):
            skipping = line[:12].lower().startswith(_VERDICTS)
        if not skipping:
            kept.append(line)
    return (b"\n".join(kept) + head[end:])[:HEAD_BYTES]


def pack(head: bytes) -> bytes:
    """A head as a record keeps it: deflated, below 4 kB."""
    return zlib.compress(head[:HEAD_BYTES])


def unpack(packed: bytes) -> bytes:
    """What `pack` was given. ValueError if these bytes are nothing of the kind."""
    try:
        return zlib.decompressobj().decompress(packed, HEAD_BYTES)
    except zlib.error as error:
        raise ValueError(f"not a packed head: {error}") from None


def features(evidence: Evidence) -> Features:
    """All features of a mail. Never raises; linear in what `Evidence` holds."""
    marked = np.fromiter({bucket_of(mark) for mark in marks(evidence)}, dtype=np.uint32)
    kinds = (grams(evidence.head), words(evidence.text), marked)
    # The kind in the two lowest bits: sorting 32 bits is fast, and of a bucket that several kinds
    # share the first one is kept.
    keys = np.concatenate([(found << _KIND_BITS) | kind for kind, found in enumerate(kinds)])
    keys.sort()
    buckets = keys >> _KIND_BITS
    is_first = np.ones(len(keys), dtype=np.bool_)
    np.not_equal(buckets[1:], buckets[:-1], out=is_first[1:])
    return Features(buckets[is_first].astype(np.int64), _VALUES[keys[is_first] & _KIND_MASK])


def grams(head: bytes, bits: int = BITS) -> Buckets:
    """Buckets below 2^bits of each sequence of four bytes, once or more often."""
    if len(head) < 4:
        return np.zeros(0, dtype=np.uint32)
    units = np.frombuffer(head, dtype=np.uint8).astype(np.uint32)
    sequences = units[:-3] | (units[1:-2] << 8) | (units[2:-1] << 16) | (units[3:] << 24)
    return ((sequences * _GRAM_PRIME) >> np.uint32(32 - bits)).astype(np.uint32, copy=False)


def words(text: str) -> Buckets:
    """Buckets of each word and of each pair of neighbours, once or more often."""
    hashes = word_hashes(text, LETTERS_FIGURES_MARKS)
    return _spread(np.concatenate([hashes, pair_hashes(hashes)]))


def word_names(text: str) -> list[str]:
    """What each of the buckets of `words` stands for, in their order."""
    names = words_of(text, LETTERS_FIGURES_MARKS)
    return names + [f"{one} {other}" for one, other in pairwise(names)]


def marks(evidence: Evidence) -> Iterator[str]:
    """What a mail shows beside its words, each as a person may read it (`filterd why`)."""
    names = ["start", *field_names(evidence.head), "end"]
    for before, after in pairwise(names):
        yield f"header: {before}, then {after}"
    for found in _SENDER.findall(evidence.text[:TEXT_BYTES])[:1]:
        yield f"sender: {found}"
        yield f"sender's domain: {found.rpartition(' ')[2]}"
    for found in _LINKS.findall(evidence.text[:TEXT_BYTES])[:1]:
        yield from (f"link to {host}" for host in found.split(", "))
    if evidence.helo:
        yield f"client calls itself {evidence.helo.lower()[-60:]}"
    if evidence.client_address:
        yield f"client's network: {network_of(evidence.client_address)}"


def field_names(head: bytes) -> list[str]:
    """Names of the header fields of a head, in lower case, in their order."""
    found = _FIELD.findall(head[: _end_of_header(head)])
    names = b"\n".join(found).decode("ascii", "replace").lower()
    return [name.strip() for name in names.split("\n")] if found else []


def network_of(address: str) -> str:
    """The /24 of an IPv4 address, the /48 of an IPv6 one."""
    if ":" in address:
        return ":".join(address.split(":")[:3])
    return address.rpartition(".")[0]


def _end_of_header(head: bytes) -> int:
    ends = [place for place in (head.find(b"\n\n"), head.find(b"\n\r\n")) if place >= 0]
    return min(ends, default=len(head))


def _spread(hashes: NDArray[np.uint64]) -> Buckets:
    mixed = hashes * np.uint64(0x9E3779B97F4A7C15)
    return (mixed >> np.uint64(64 - BITS)).astype(np.uint32)


def bucket_of(mark: str) -> int:
    """The bucket of a mark."""
    return zlib.crc32(mark.encode(errors="replace")) % BUCKETS
