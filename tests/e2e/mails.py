"""Mails as they come by the thousand, made up by us: 1 to 30 kB, all kinds of MIME, each unique.

The same seed gives the same mails. Each knows what it must look like behind filterd: `clean` is
`raw` without the headers that only filterd may write, and not an octet else is different.
"""

from __future__ import annotations

import base64
import quopri
import random
from dataclasses import dataclass
from email.header import Header
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    # Makes a body of about so many octets, and the header lines that belong to it.
    Kind = Callable[[random.Random, int], tuple[list[bytes], bytes]]

DOMAIN: Final = "example.test"
MAILBOXES: Final = tuple(f"{number}user@{DOMAIN}" for number in range(10))

OPENINGS = (
    "Hello {name},",
    "Dear {name},",
    "Good morning,",
    "Hi all,",
    "Dear customer {number},",
    "{name}, one thing before the weekend.",
)
SENTENCES = (
    "the minutes of Tuesday's meeting are in the shared folder, please read section {number}.",
    "Our order {number} was due last week and nobody on your side picks up the phone.",
    "The crane arrives at seven, so the yard has to be clear by half past six.",
    "I have moved the dentist to the afternoon; can you fetch the children?",
    "Please find the invoice {number} attached, payable within fourteen days.",
    "Thank you for the quick help, the printer works again and everyone is happy.",
    "Attached are the drawings for the second floor with the new stairs.",
    "We changed the password policy: at least twelve characters, no expiry any more.",
    "The tomatoes on the balcony are ripe, come over whenever you like.",
    "Nobody told us that the road would be closed, the lorry stood there for four hours.",
    "Build {number} failed on the second machine, the log says that the disk is full.",
    "Could you look over the contract before {name} signs it on Friday?",
    "The heating engineer wants 480 for the pump, which I find outrageous.",
    "Minutes, agenda and the list of those who are coming: see below.",
    "If the parcel is not here by noon I shall cancel the whole thing.",
    "The library has your book for you until the end of the month.",
)
TEMPTATIONS = (
    "You have been selected: claim your prize of {number} dollars before midnight!",
    "Cheap pills without prescription, discreet parcel, no questions asked.",
    "Your mailbox is full, confirm your password here or lose all messages.",
    "Make {number} a week from home, this secret is what banks do not want you to know.",
    "Lonely hearts in your street wait for an answer, click and see photos.",
    "I am the widow of a general and need your help to move eleven million.",
)
FOREIGN = (
    "Grüße aus Köln, die Brötchen sind alle und der Zug fährt später.",
    "La réunion est reportée à jeudi, merci d'apporter les clés du dépôt.",
    "Za chwilę dzwoni księgowa, proszę przygotować żółtą teczkę.",
    "請求書を添付いたします。ご確認ください。",
    "Встреча в среду в девять, кофе за мой счёт ☕.",
)
# What a careless relay trips over: ends of data that are none, things that look like headers.
TRAPS = (
    ".",
    "..",
    "...and so on",
    ".hidden",
    "From here it is ten minutes on foot.",
    "X-Filterd-Verdict: ham; score=0.0000; threshold=0.9000",
    "a line with blanks at its end   ",
    "\tan indented line with a tab\tinside",
    "",
    "-- ",
)
NAMES = ("Anna", "Bertil", "Chidi", "Dunja", "Emre", "Fatou", "Goran", "Hana", "Ines", "Jonas")
SUBJECTS = (
    "Minutes",
    "Invoice {number}",
    "Re: the yard on Monday",
    "Fwd: stairs, second floor",
    "WINNER {number}!!!",
    "Grüße aus Köln",
    "請求書 {number}",
    "your parcel",
    "(no subject)",
)
# In all spellings that count as the same header, folded ones too.
FORGERIES = (
    b"X-Filterd-Verdict: ham; score=0.0001; threshold=0.9000",
    b"x-filterd-verdict: ham; score=0.0002;\r\n threshold=0.9000",
    b"X-FILTERD-SENTIMENT: positive; score=0.9999",
    b"X-Filterd-Id: 01FORGED00000000000000000",
    b"X-Filterd-Model:\r\n\t2000-01-01.1",
    b"X-Spam-Flag: NO",
    b"X-Spam-Score: -99.9",
    b"X-Spam-Status: No, score=-99.9 required=5.0\r\n\ttests=NONE autolearn=ham\r\n version=9",
)


@dataclass(frozen=True)
class Mail:
    """Envelope and content; `raw` as sent and `clean` as it must arrive, both with CRLF lines."""

    sender: str
    recipients: tuple[str, ...]
    message_id: str
    raw: bytes
    clean: bytes


def make_mails(count: int, seed: int = 1) -> list[Mail]:
    """`count` mails; every third carries forged verdicts, every tenth has several recipients."""
    return [
        make_mail(number, random.Random(f"{seed}/{number}")) for number in range(count)
    ]  # not for secrets


def make_mail(number: int, dice: random.Random, kind: Kind | None = None) -> Mail:
    """One mail, of a kind that `dice` chooses unless it is given."""
    message_id = f"<{number}.{dice.getrandbits(48):012x}@sender.example.net>"
    recipients = dice.sample(MAILBOXES, 1 if number % 10 else dice.randint(2, 3))
    kind = kind or dice.choices(KINDS, WEIGHTS)[0]
    # Most mails are small, some are not: what is aimed at goes from 1 to 30 kB.
    own_headers, body = kind(dice, min(int(1000 * dice.lognormvariate(1.1, 0.8)), 26_000) or 1)
    headers = [*trace_headers(dice), *common_headers(dice, message_id), *own_headers]
    forged = list(headers)
    if number % 3 == 0:
        for forgery in dice.sample(FORGERIES, dice.randint(1, 4)):
            forged.insert(dice.randint(0, len(forged)), forgery)
    return Mail(
        sender=f"{dice.choice(NAMES).lower()}@sender.example.net",
        recipients=tuple(recipients),
        message_id=message_id,
        raw=b"\r\n".join([*forged, b"", body]),
        clean=b"\r\n".join([*headers, b"", body]),
    )


def mail_of_size(size: int, dice: random.Random) -> Mail:
    """A mail of exactly so many octets from one mailbox of ours to another: a bounce shows too."""
    message_id = f"<size.{dice.getrandbits(48):012x}@sender.example.net>"
    headers = b"\r\n".join([*common_headers(dice, message_id), b"", b""])
    line = SENTENCES[0].encode() + b"\r\n"
    count, rest = divmod(size - len(headers) - 2, len(line))
    raw = headers + count * line + rest * b"." + b"\r\n"
    return Mail(MAILBOXES[0], (MAILBOXES[1],), message_id, raw, raw)


def trace_headers(dice: random.Random) -> list[bytes]:
    """Where the mail came by, some of it folded."""
    return [
        f"Received: from host{hop}.example.net (host{hop}.example.net [192.0.2.{hop}])\r\n"
        f"\tby relay{hop}.example.org with ESMTPS id {dice.getrandbits(40):010x}\r\n"
        f"        for <someone@{DOMAIN}>; Tue, 24 Nov 2026 09:{hop:02}:00 +0000".encode()
        for hop in range(1, dice.randint(1, 4))
    ]


def common_headers(dice: random.Random, message_id: str) -> list[bytes]:
    """Who, to whom, what about; with the quirks that real ones have."""
    name = dice.choice(NAMES)
    subject = fill(dice, dice.choice(SUBJECTS))
    if not subject.isascii():
        # Mostly encoded as RFC 2047 has it, now and then raw, as some programs send it.
        subject = Header(subject, "utf-8").encode() if dice.random() < 0.8 else subject
    elif dice.random() < 0.1:
        # Continuation lines that look like a header: they are part of the subject.
        subject += "\r\n X-Filterd-Verdict: ham"
    headers = [
        f"From: {name} <{name.lower()}@sender.example.net>",
        f"To: staff <someone@{DOMAIN}>,\r\n\tothers@{DOMAIN}",
        f"Subject: {subject}",
        f"Message-ID: {message_id}",
        "Date: Tue, 24 Nov 2026 10:11:12 +0100",
        "MIME-Version: 1.0",
    ]
    if dice.random() < 0.3:
        listed = " ".join(f"<{dice.getrandbits(64):016x}@list.example.org>\r\n" for _ in range(8))
        headers.append(f"References: {listed.removesuffix(chr(13) + chr(10))}")
    if dice.random() < 0.3:
        signature = base64.b64encode(dice.randbytes(256)).decode()
        folded = "\r\n\t ".join(signature[i : i + 70] for i in range(0, len(signature), 70))
        headers.append(f"X-Signature: v=1; a=rsa-sha256;\r\n\tb={folded}")
    dice.shuffle(headers)
    return [header.encode() for header in headers]


def fill(dice: random.Random, template: str) -> str:
    """A sentence with a name and a number of its own."""
    return template.format(name=dice.choice(NAMES), number=dice.randint(1, 99_999))


def paragraphs(dice: random.Random, size: int, *, foreign: bool = False) -> list[str]:
    """Lines of text, about `size` characters, every tenth of them a trap."""
    choice = SENTENCES if dice.random() < 0.6 else TEMPTATIONS
    choice = choice + FOREIGN if foreign else choice
    lines = [fill(dice, dice.choice(OPENINGS)), ""]
    written = 0
    while written < size:
        line = dice.choice(TRAPS) if dice.random() < 0.1 else fill(dice, dice.choice(choice))
        lines.append(line)
        written += len(line.encode()) + 2
    return [*lines, "", dice.choice(NAMES)]


def plain(dice: random.Random, size: int) -> tuple[list[bytes], bytes]:
    """ASCII text."""
    body = "\r\n".join([*paragraphs(dice, size), ""])
    return [b"Content-Type: text/plain; charset=us-ascii"], body.encode()


def eight_bit(dice: random.Random, size: int) -> tuple[list[bytes], bytes]:
    """UTF-8 or Latin-1 as it is, with or without a word about it in the header."""
    charset = dice.choice(("utf-8", "utf-8", "iso-8859-1"))
    body = "\r\n".join([*paragraphs(dice, size, foreign=True), ""])
    headers = [f'Content-Type: text/plain; charset="{charset}"'.encode()]
    if dice.random() < 0.8:
        headers.append(b"Content-Transfer-Encoding: 8bit")
    return headers, body.encode(charset, "replace")


def quoted_printable(dice: random.Random, size: int) -> tuple[list[bytes], bytes]:
    """Foreign text, made ASCII the old way."""
    body = "\n".join([*paragraphs(dice, size, foreign=True), ""])
    encoded = quopri.encodestring(body.encode()).replace(b"\n", b"\r\n")
    return [
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Transfer-Encoding: quoted-printable",
    ], encoded


def newsletter(dice: random.Random, size: int) -> tuple[list[bytes], bytes]:
    """Text and HTML side by side; the HTML is one line of up to 20 kB."""
    lines = paragraphs(dice, size // 2)
    html = "".join(f"<p style='margin:0'>{line}</p>" for line in lines)
    html = f"<html><body>{html}<a href='https://news.example.net/{size}'>more</a></body></html>"
    return multipart(
        dice,
        "alternative",
        (b"Content-Type: text/plain; charset=utf-8", "\r\n".join(lines).encode()),
        (b"Content-Type: text/html; charset=utf-8", html.encode()),
    )


def with_attachment(dice: random.Random, size: int) -> tuple[list[bytes], bytes]:
    """A few lines and a file in base64."""
    content = base64.encodebytes(dice.randbytes(size * 2 // 3)).replace(b"\n", b"\r\n")
    name = dice.choice((b"invoice.pdf", b"drawing.png", b"backup.zip"))
    return multipart(
        dice,
        "mixed",
        (b"Content-Type: text/plain", "\r\n".join(paragraphs(dice, size // 8)).encode()),
        (
            b'Content-Type: application/octet-stream; name="' + name + b'"\r\n'
            b"Content-Disposition: attachment\r\nContent-Transfer-Encoding: base64",
            content,
        ),
    )


def forwarded(dice: random.Random, size: int) -> tuple[list[bytes], bytes]:
    """A mail within a mail; the inner one's verdict is not ours to remove."""
    inner = b"X-Filterd-Verdict: spam; score=0.9999; threshold=0.9000\r\nX-Spam-Flag: YES\r\n"
    inner += b"\r\n".join([*common_headers(dice, "<inner@sender.example.net>"), b"", b""])
    inner += "\r\n".join(paragraphs(dice, size // 2)).encode()
    return multipart(
        dice,
        "mixed",
        (b"Content-Type: text/plain", "\r\n".join(paragraphs(dice, size // 4)).encode()),
        (b"Content-Type: message/rfc822", inner),
    )


def multipart(
    dice: random.Random, subtype: str, *parts: tuple[bytes, bytes]
) -> tuple[list[bytes], bytes]:
    """Parts of (header lines, content) with a boundary between them."""
    boundary = f"=_{dice.getrandbits(64):016x}".encode()
    body = b"This is a message in several parts.\r\n"
    for header, content in parts:
        body += b"--" + boundary + b"\r\n" + header + b"\r\n\r\n" + content + b"\r\n"
    kind = f'Content-Type: multipart/{subtype};\r\n boundary="'.encode() + boundary + b'"'
    return [kind], body + b"--" + boundary + b"--\r\n"


def empty(dice: random.Random, size: int) -> tuple[list[bytes], bytes]:  # as the others
    """Nothing but a header."""
    return [b"X-Nothing: to say"], b""


KINDS = (plain, eight_bit, quoted_printable, newsletter, with_attachment, forwarded, empty)
WEIGHTS = (25, 20, 10, 20, 15, 8, 2)
