"""What is sent in an hour: our letters, MIME of all sizes, broken mail, and mail made to be dear."""

import base64
import random
import re
from pathlib import Path

from mail_bombs import THEMES
from mail_fixtures import attachment, html_mail, mail, multipart

ROOT = Path(__file__).resolve().parents[2]
WORDS = re.findall(r"\w+", (ROOT / "tests/data/golden/labels.tsv").read_text())
LETTERS_A_WORD = 7  # with the blank
WORDS_A_LINE = 12
FORGED = re.compile(rb"(?i)x-(filterd|spam)")
LARGEST_BOMB = 3_000_000  # bytes; larger ones would make it an hour of bombs alone
# In percent. Bombs are dear, so few of them are much of the work.
SHARES = {"letter": 45, "mime": 25, "plain": 15, "broken": 12, "large": 2.5, "bomb": 0.5}


class MailBag:
    """Mails by chance, the same for the same seed."""

    def __init__(self, seed):
        self._random = random.Random(seed)
        golden = ROOT / "tests/data/golden"
        self._letters = [crlf(path.read_bytes()) for path in sorted(golden.glob("*/*.eml"))]
        self._makers = [make for _, _, bombs in THEMES for make in bombs.values()]
        self._bombs = {}  # made once: making one may take longer than judging it

    def draw(self):
        """A kind, and a mail of it."""
        (kind,) = self._random.choices(list(SHARES), list(SHARES.values()))
        return kind, getattr(self, f"_{kind}")()

    def _letter(self):
        return self._random.choice(self._letters)

    def _plain(self):
        return mail(self._prose(self._size(200, 8_000)), **self._fields())

    def _mime(self):
        prose = self._prose(self._size(500, 20_000))
        parts = [html_mail(f"<p>{prose.replace('.', '.</p><p>')}</p>")]
        if self._random.random() < 0.5:
            parts.append(attachment(f"{self._word()}.pdf"))
        if self._random.random() < 0.3:
            parts.append(self._file(self._size(5_000, 400_000)))
        return multipart(*parts, **self._fields())

    def _large(self):
        return multipart(
            html_mail(self._prose(2_000)),
            self._file(self._size(1_000_000, 8_000_000)),
            **self._fields(),
        )

    def _broken(self):
        """A letter with octets taken out, put in and doubled; half of them with other line ends."""
        raw = bytearray(self._letter())
        for _ in range(self._random.randint(1, 20)):
            at = self._random.randrange(len(raw))
            how = self._random.random()
            if how < 0.4:
                raw[at : at + self._random.randrange(60)] = b""
            elif how < 0.7:
                raw[at:at] = self._random.randbytes(self._random.randrange(12))
            else:
                raw[at:at] = raw[at : at + self._random.randrange(200)]
            if not raw:
                raw = bytearray(b"x")
        return bytes(raw).replace(b"\r\n", self._random.choice([b"\r\n", b"\r\n", b"\n"]))

    def _bomb(self):
        while True:
            make = self._random.choice(self._makers)
            if make not in self._bombs:
                self._bombs[make] = make()
            if len(self._bombs[make]) <= LARGEST_BOMB:
                return self._bombs[make]
            self._makers.remove(make)
            del self._bombs[make]

    def _size(self, least, most):
        """Small ones are more frequent: evenly spread over the logarithm."""
        return int(least * (most / least) ** self._random.random())

    def _word(self):
        return self._random.choice(WORDS)

    def _prose(self, size):
        words = self._random.choices(WORDS, k=size // LETTERS_A_WORD + 1)
        return ".\r\n".join(
            " ".join(words[at : at + WORDS_A_LINE]) for at in range(0, len(words), WORDS_A_LINE)
        )

    def _fields(self):
        return {
            "From": f"{self._word()} <{self._word().lower()}@example.org>",
            "To": "you@example.com",
            "Subject": " ".join(self._word() for _ in range(self._random.randint(1, 9))),
            "Message_ID": f"<{self._random.getrandbits(64):x}@example.org>",
        }

    def _file(self, size):
        head = (
            f"Content-Type: application/octet-stream; name={self._word()}.bin\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n"
        )
        body = base64.encodebytes(self._random.randbytes(size * 3 // 4))
        return head.encode() + body.replace(b"\n", b"\r\n")


def crlf(raw):
    """What comes out of it: every line end a CRLF, and one more where it does not end in one."""
    return re.sub(rb"\r\n|\r|\n", b"\r\n", raw if raw.endswith(b"\r\n") else raw + b"\r\n")


def is_forged(raw):
    """Whether filterd may take headers out of it."""
    return FORGED.search(raw) is not None
