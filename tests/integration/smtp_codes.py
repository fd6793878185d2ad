"""What every reply of ours must look like: one code, an RFC 3463 code of the same class, and words
of our own.
"""

import re

CODED = re.compile(rb"(?P<code>[245]\d\d)[ -](?P<class>[245])\.\d{1,3}\.\d{1,3} [ -~]+\r\n")
# RFC 2034 3: neither the greeting nor the answer to HELO and EHLO has one; RFC 3463 knows no 3xx.
UNCODED = re.compile(rb"220 \S+ ESMTP filterd\r\n|(?:250[ -][ -~]+\r\n)+|354 [ -~]+\r\n")
# How Python spells an error, and what only code says.
CODE_SPEAK = re.compile(
    rb"Traceback|Error:|Error\(|Exception|<class|object at 0x|\.py\b|NoneType|Errno|\\x|b'", re.IGNORECASE
)  # fmt: skip


def assert_proper(reply, *, to=b""):
    """One whole reply of ours (or of a proper next hop) to the command `to`."""
    assert not CODE_SPEAK.search(reply), reply
    match = CODED.fullmatch(reply)
    if match:
        assert match["code"][:1] == match["class"], (to, reply)
        return
    assert to[:4].upper() in {b"", b"HELO", b"EHLO", b"LHLO", b"DATA"}, (to, reply)
    assert UNCODED.fullmatch(reply), (to, reply)
