"""What arrived against what was sent: each mail once, and no octet different that is not ours."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mails import Mail

# What MTAs put in front of a mail on its way.
TRACE = {b"return-path", b"delivered-to", b"received"}
VERDICT = {
    b"x-filterd-verdict": re.compile(rb"(spam|ham); score=[01]\.\d{4}; threshold=[01]\.\d{4}"),
    b"x-filterd-sentiment": re.compile(rb"(negative|neutral|positive); score=[01]\.\d{4}"),
    b"x-filterd-id": re.compile(rb"[0-9A-HJKMNP-TV-Z]{26}"),
    b"x-filterd-model": re.compile(rb"\S+"),
    b"x-spam-flag": re.compile(rb"YES|NO"),
    b"x-spam-score": re.compile(rb"-?\d+\.\d"),
    b"x-spam-status": re.compile(rb"(Yes|No), score=-?\d+\.\d required=\d+\.\d tests=\S+"),
}
MESSAGE_ID = re.compile(rb"^Message-ID: (<\S+>)", re.IGNORECASE | re.MULTILINE)
HEADER = re.compile(rb"([!-9;-~]+):[ \t]*(.*(?:\n[ \t].*)*)\n")


def assert_each_once(delivered: Iterable[tuple[str, bytes]], mails: Iterable[Mail]) -> None:
    """Every mail came to each of its recipients exactly once, and nothing else came."""
    found = Counter((recipient, message_id(content)) for recipient, content in delivered)
    expected = Counter((each, mail.message_id) for mail in mails for each in mail.recipients)
    lost, surplus = expected - found, found - expected
    assert not lost, (
        f"{lost.total()} of {expected.total()} not delivered, such as {next(iter(lost))}"
    )
    assert not surplus, f"{surplus.total()} too many, such as {next(iter(surplus))}"


def assert_unaltered(delivered: Iterable[tuple[str, bytes]], mails: Iterable[Mail]) -> None:
    """Every octet of every mail is there, below headers that only MTAs and filterd add."""
    by_id = {mail.message_id: mail for mail in mails}
    for _, content in delivered:
        assert_has_arrived(content, by_id[message_id(content)].clean)


def assert_has_arrived(content: bytes, clean: bytes) -> None:
    """`content`, a file of a Maildir, is `clean` with LF line ends under trace and verdict."""
    original = clean.replace(b"\r\n", b"\n")
    assert content.endswith(original), f"altered: {message_id(content)}\n{content!r}\n{original!r}"
    added = headers_in(content.removesuffix(original))
    names = Counter(name for name, _ in added)
    assert set(names) <= TRACE | set(VERDICT), f"strange headers: {set(names)}"
    for name, pattern in VERDICT.items():
        assert names[name] == 1, f"{name!r} {names[name]} times: {added}"
        value = next(value for added_name, value in added if added_name == name)
        assert pattern.fullmatch(value), (name, value)


def headers_in(block: bytes) -> list[tuple[bytes, bytes]]:
    """Name in lower case and value of each header; AssertionError if there is anything else."""
    matches = list(HEADER.finditer(block))
    assert b"".join(match[0] for match in matches) == block, f"not only headers: {block!r}"
    return [(match[1].lower(), match[2]) for match in matches]


def message_id(content: bytes) -> str:
    """The Message-ID of the outermost header."""
    match = MESSAGE_ID.search(content.partition(b"\n\n")[0])
    assert match, f"no Message-ID: {content[:500]!r}"
    return match[1].decode()
