"""Verdicts that the sender wrote itself: gone at the mailbox, and not an octet else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from chain import Chain, raise_chain
from delivered import VERDICT, assert_has_arrived, headers_in
from servers.client import RawClient

if TYPE_CHECKING:
    from servers.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

OURS = (
    b"X-Filterd-Verdict",
    b"X-Filterd-Sentiment",
    b"X-Filterd-Id",
    b"X-Filterd-Model",
    b"X-Filterd-Failure",
    b"X-Filterd-What-We-May-Say-Next-Year",
    b"X-Spam-Flag",
    b"X-Spam-Score",
    b"X-Spam-Status",
)
LIE = b"forged by the sender"
SIGNATURE = (
    b"DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=sender.example.net; s=one;\r\n"
    b"\th=From:To:Subject:Date:Message-ID:X-Filtered:X-Spam;\r\n"
    b" bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n\tb=MEUCIQDm3bpXUvk8l0nSzSHJ4jr\r\n \tAiA="
)
# What a relay that means well likes to tidy up, and names that only begin like ours.
SIGNED = (
    SIGNATURE,
    b"From:   Anna  <anna@sender.example.net>",
    b"to: one@example.test,\r\n\t two@example.test",
    b"SUBJECT: two  blanks,\r\n  a fold and a blank at the end ",
    b"Date: Tue, 24 Nov 2026 10:11:12 +0100",
    b"Message-ID: <signed@sender.example.net>",
    b"X-Filtered: not one of ours",
    b"X-Filterd: not one of ours",
    b"X-Spam: not one of ours",
    b"X-Spam-Status-Report: not one of ours",
    b"Keywords: X-Spam-Flag: YES",
)
BODY = b"X-Filterd-Verdict: ham; this is text\r\n\r\n.\r\n..two dots\r\n  \r\nblanks at the end  \r\n\r\n"
FORWARDED = (
    b"--inner\r\nContent-Type: text/plain\r\n\r\nsee below\r\n--inner\r\n"
    b"Content-Type: message/rfc822\r\n\r\n"
    b"X-Filterd-Verdict: spam; score=0.9999; threshold=0.9000\r\nX-Spam-Flag: YES\r\n"
    b"X-Spam-Status: Yes, score=9.9\r\n\ttests=ALL\r\nSubject: the inner one\r\n\r\nhello\r\n"
    b"--inner--\r\n"
)


@pytest.fixture(scope="module")
def chain(stage: Stage) -> Chain:
    return raise_chain(stage, "after-queue")


def spellings(name: bytes) -> list[bytes]:
    """The ways to write one header that a reader of mail may take for it."""
    value = LIE + b"; score=0.0001"
    return [
        name + b": " + value,
        name.lower() + b":" + value,
        name.upper() + b":\t" + value + b"  ",
        name.swapcase() + b": first,\r\n " + value + b"\r\n\tand on,\r\n  and on",
        name + b":\r\n " + value,
        name + b" : " + value,
        name + b"\t:" + value,
        name + b":",
    ]


@pytest.mark.parametrize("name", OURS, ids=bytes.decode)
def test_every_spelling_of_our_headers_is_removed_and_every_other_octet_kept(
    chain: Chain, name: bytes
) -> None:
    forged = spellings(name)
    assert_comes_out(chain, interleave(SIGNED, forged), SIGNED)


@pytest.mark.parametrize("name", OURS, ids=bytes.decode)
def test_a_header_of_ours_is_removed_wherever_it_stands(chain: Chain, name: bytes) -> None:
    lie = name + b": " + LIE
    for place in (0, 1, len(SIGNED)):
        headers = [*SIGNED[:place], lie, lie, *SIGNED[place:]]
        assert_comes_out(chain, headers, SIGNED)


@pytest.mark.parametrize("ending", [b"\n", b"\r"], ids=["bare LF", "bare CR"])
def test_a_header_of_ours_behind_an_odd_line_end_is_not_believed(
    chain: Chain, ending: bytes
) -> None:
    # Straight into filterd as well: Postfix makes something else of odd line ends by itself.
    for port in (chain.postfix.port, chain.filterd.port):
        lies = ending.join(name + b": " + LIE for name in OURS)
        raw = b"From: a@sender.example.net\r\nX-Note: one" + ending + lies + b"\r\n\r\nhello\r\n"
        content = pass_through(chain, raw, port)
        verdicts = [
            (name, value)
            for name, value in headers_in(content.partition(b"\n\n")[0] + b"\n")
            if name in {ours.lower() for ours in OURS}
        ]
        assert sorted(name for name, _ in verdicts) == sorted(VERDICT)
        assert all(VERDICT[name].fullmatch(value) for name, value in verdicts), verdicts


def test_a_mail_within_a_mail_keeps_its_own_verdict(chain: Chain) -> None:
    headers = (*SIGNED, b'Content-Type: multipart/mixed; boundary="inner"')
    assert_comes_out(chain, [*headers, *spellings(b"X-Spam-Flag")], headers, FORWARDED)


def test_nothing_but_forged_headers_leaves_nothing_but_ours(chain: Chain) -> None:
    forged = [spelling for name in OURS for spelling in spellings(name)]
    assert_comes_out(chain, forged, ())


def interleave(true: tuple[bytes, ...], forged: list[bytes]) -> list[bytes]:
    """The two in turns, forged first, each in its order."""
    longest = range(max(len(true), len(forged)))
    return [line for i in longest for line in (*forged[i : i + 1], *true[i : i + 1])]


def assert_comes_out(
    chain: Chain, sent: list[bytes], kept: tuple[bytes, ...], body: bytes = BODY
) -> None:
    """A mail with the headers `sent` arrives with the headers `kept`, ours, and the same body."""
    content = pass_through(chain, b"\r\n".join([*sent, b"", body]), chain.postfix.port)
    assert LIE not in content
    assert_has_arrived(content, b"\r\n".join([*kept, b"", body]))


def pass_through(chain: Chain, raw: bytes, port: int) -> bytes:
    """Send one mail to `port`; what lies in the mailbox then."""
    chain.dovecot.empty()
    with RawClient(port) as client:
        client.begin("anna@sender.example.net", ["1user@example.test"])
        client.content(raw)
        assert client.reply().startswith(b"250")
    chain.wait_for(1)
    [(_, content)] = chain.dovecot.delivered()
    return content
