"""Mails made to be dear to read, by what they attack. Each is made when it is called for.

None may cost more than a second and 100 MB beyond itself: tests/unit/test_mail_bombs.py weighs
them, tests/integration/test_hostile_content.py sends them through the daemon.
"""

import base64
import bz2
import gzip
import io
import zipfile
import zlib

from mail_fixtures import nested_multiparts

TEXT = b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
HTML = b"Content-Type: text/html; charset=utf-8\r\n\r\n"
MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
FILE = b"Content-Type: application/zip; name=a.zip\r\nContent-Disposition: attachment\r\n"
BASE64 = b"Content-Transfer-Encoding: base64\r\n"
QP = b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
MEGABYTE = 1_000_000


def zeros(size):
    """So many octets of base64, in lines."""
    return (b"A" * 76 + b"\r\n") * (size // 78)


def words(count, word):
    return b"Subject: " + word * count + b"\r\n\r\nx"


def lines_of(count, line):
    """Fields in lines of 4 KB: each is decoded whole."""
    return (b"Subject: " + line + b"\r\n") * count + b"\r\nx"


def many(character, count=200_000):
    return TEXT + character.encode() * count


def footers(line):
    below = ["to unsubscribe write to the list@example.org"] * 4
    return TEXT + "\r\n".join(["a", *[line] * 23, *below]).encode()


def labelled(charset, body, kind=b"text/plain"):
    return b"Content-Type: " + kind + b"; charset=" + charset + b"\r\n\r\n" + body


def packed(inside):
    """A mail with a zip of gzips of zeros: a thousandth of what it holds, and a thousandth again."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as files:
        for number in range(100):
            files.writestr(f"{number}.gz", inside)
    return FILE + BASE64 + b"\r\n" + base64.encodebytes(archive.getvalue())


PARTS = {
    "100,000 parts": lambda: MIXED + b"--b\r\nContent-Type: text/html\r\n\r\nx\r\n" * 100_000,
    "100,000 parts without a header": lambda: MIXED + b"--b\r\n\r\n\r\n" * 100_000,
    "a million lines that begin like a boundary": lambda: MIXED + b"--bb\r\n" * 1_000_000,
    "5,000 nested multiparts": lambda: nested_multiparts(5000),
    "5,000 nested mails": lambda: b"Content-Type: message/rfc822\r\n\r\n" * 5000 + b"x",
    "5,000 nested multiparts that all end": lambda: (
        nested_multiparts(5000) + b"".join(b"--b%d--\r\n" % n for n in reversed(range(5000)))
    ),
    "5,000 boundaries that each begin the next": lambda: (
        b"Content-Type: multipart/mixed; boundary=" + b"b" * 200 + b"\r\n\r\n"
        + b"".join(b"--" + b"b" * (n % 250) + b"\r\n" for n in range(5000))
    ),
    "20 nested digests of 1,000 mails": lambda: (
        b"".join(
            b"Content-Type: multipart/digest; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(20)
        ) + b"\r\nSubject: a\r\n\r\nx\r\n--b19\r\n" * 1000
    ),
}  # fmt: skip

HEADERS = {
    "10 MB header in one line": lambda: b"X: " + b"a" * 10_000_000 + b"\r\n\r\nx",
    "10 MB header without a colon": lambda: b"a" * 10_000_000,
    "10 MB header folded": lambda: b"X: a\r\n" + b" aaaaaaaa\r\n" * 1_000_000 + b"\r\nx",
    "10 MB header of ours folded": lambda: b"X-Filterd-Id: a\r\n" + b" a\r\n" * 2_500_000,
    "10 MB header of white space": lambda: b"X-Spam-Flag" + b" \t" * 5_000_000 + b"\r\n\r\nx",
    "200,000 short headers": lambda: b"A: b\r\n" * 200_000 + b"\r\nx",
    "200,000 forged headers": lambda: b"X-Filterd-Id: a\r\n" * 200_000 + b"\r\nx",
    "200,000 forged headers among others": lambda: b"A: b\r\nX-Spam-Flag: a\r\n" * 100_000,
    "5 million CRs": lambda: b"A: b" + b"\r" * 5_000_000 + b"x",
    "CRs without LF in a header": lambda: b"A: b\n" + b"\r" * 5_000_000 + b"x",
    "5 MB of empty lines": lambda: b"\n" * 5_000_000,
    "5 MB of NUL": lambda: b"\x00" * 5_000_000,
    "a million header lines": lambda: b"A: b\r\n" * MEGABYTE + b"\r\nx",
    "a million Content-Types": lambda: b"Content-Type: a/b\r\n" * MEGABYTE + b"\r\nx",
    "a million header lines without a colon": lambda: b"a\r\n" * MEGABYTE + b"\r\nx",
}  # fmt: skip

WORDS = {
    "1 MB of encoded words": lambda: words(71_000, b"=?utf-8?q?a?= "),
    "1 MB of encoded words folded": lambda: words(52_000, b"=?utf-8?b?YQ==?=\r\n "),
    "1 MB of encoded words in many fields": lambda: lines_of(250, b"=?utf-8?q?a?= " * 280),
    "1 MB of encoded words that never end": lambda: lines_of(250, b"=?a?q?" * 660),
    "1 MB of encoded words to guess at": lambda: lines_of(250, b"=?x?q?=FF=FE?= a " * 250),
    "1 MB of blanks between encoded words": lambda: lines_of(250, b"=??=" + b" " * 4000),
    "a million quotes in an address": lambda: b"From: " + b'"' * 1_000_000 + b"\r\n\r\nx",
    "a million comments in an address": lambda: b"From: " + b"(" * 1_000_000 + b"\r\n\r\nx",
    "a million angles in an address": lambda: b"From: " + b"<a" * 1_000_000 + b"\r\n\r\nx",
    "a million backslashes in an address": lambda: b"From: " + b"\\" * 1_000_000 + b"\r\n\r\nx",
    "unclosed quotes in every From": lambda: (b"From: " + b'"<(' * 1300 + b"\r\n") * 250 + b"\r\nx",
    "a million recipients": lambda: b"To: " + b"a@" * 1_000_000 + b"\r\n\r\nx",
    "recipients without an address": lambda: (b"To: " + b"a" * 4000 + b"\r\n") * 60 + b"\r\nx",
    "a million parameters": lambda: b"Content-Type: a/b" + b";c" * 1_000_000 + b"\r\n\r\nx",
    "unclosed quotes in parameters": lambda: (
        MIXED + (b"--b\r\nContent-Type: a/b" + b';a="\\' * 800 + b"\r\n\r\nx\r\n") * 200
    ),
    "parameters in many segments": lambda: (
        MIXED
        + (b"--b\r\nContent-Type: a/b" + b";a*1*=%e9" * 450 + b"\r\n\r\nx\r\n") * 200
    ),
    "a million segments of a name": lambda: (
        b"Content-Type: a/b" + b"".join(b"; name*%d*=%%e2%%82" % (n % 1000) for n in range(MEGABYTE // 17))
    ),
    "segments in the charset of others": lambda: (
        MIXED + (b"--b\r\nContent-Type: a/b; name*0*=utf-7'x'" + b"+AD" * 1300 + b"\r\n\r\nx\r\n") * 200
    ),
    "encoded words of punycode and rot13": lambda: lines_of(
        250, b"=?punycode?q?a-b?= =?rot13?b?YQ==?= =?zlib?b?eJw=?= " * 70
    ),
    "encoded words of UTF-7": lambda: lines_of(250, b"=?utf-7?q?+AD?= " * 250),
}  # fmt: skip

HTML_BOMBS = {
    "80 KB of mis-nested b and i": lambda: HTML + b"<b><i>x</b></i>" * (80_000 // 15),
    "80 KB of b and i never closed": lambda: HTML + b"<b><i>" * (80_000 // 6),
    "500 KB of b and i, half closed": lambda: HTML + b"<b><i>" * 40_000 + b"</b></i>" * 30_000,
    "500 KB of nested tables": lambda: HTML + b"<table><tr><td><p>" * 28_000,
    "500 KB of list items": lambda: HTML + b"<li>" * 125_000,
    "500 KB of quotations": lambda: HTML + b"<div class=gmail_quote>x" * 21_000,
    "a million HTML entities": lambda: HTML + b"&amp;" * 1_000_000,
    "a million broken HTML entities": lambda: HTML + b"&a" * 1_000_000,
    "an entity of a million digits": lambda: HTML + b"&#" + b"9" * 1_000_000,
    "100,000 comments opened": lambda: HTML + b"<!--" * 100_000,
    "70,000 attributes": lambda: HTML + b"<a " + b" ".join(b"a%d=1" % n for n in range(70_000)),
    "20,000 different styles": lambda: (
        HTML + b"".join(b"<p style='color:#%06x'>" % n for n in range(20_000))
    ),
    "a style sheet without a brace": lambda: HTML + b"<style>" + b"a" * 500_000,
    "a style sheet of comments never closed": lambda: HTML + b"<style>" + b"/*" * 250_000,
    "a style sheet of braces": lambda: HTML + b"<style>" + b"{" * 500_000,
    "a style sheet of selectors": lambda: HTML + b"<style>" + b".a ," * 100_000 + b"{display:none}",
    "16,000 style sheets": lambda: HTML + b"<style>.a{display:none}</style>" * 16_000,
    "6,000 links in punycode": lambda: HTML + b"<a href=//xn--aaaaaaaaa.b>www.c.d</a>" * 6000,
    "200 HTML parts": lambda: MIXED + (b"--b\r\n" + HTML + b"<b>x" * 25_000 + b"\r\n") * 200,
    "a line of 5 MB in HTML": lambda: HTML + b"a " * 2_500_000,
    "an attribute of 500 KB": lambda: HTML + b"<p title='" + b"a " * 250_000 + b"'>x",
    "a style attribute of 500 KB": lambda: HTML + b"<p style='" + b"color:#fff;" * 45_000 + b"'>x",
    "100 style attributes of 4 KB": lambda: (
        HTML + b"".join(b"<p style='left:%dpx;" % n + b"color:red;" * 400 + b"'>x" for n in range(100))
    ),
    "an element whose name has 500 KB": lambda: HTML + b"<" + b"a" * 500_000 + b">x",
    "a class attribute of 100,000 names": lambda: (
        HTML + b"<style>.h{display:none}</style>" + b"<p class='" + b"a " * 100_000 + b"h'>x"
    ),
    "a style sheet that hides 30,000 classes": lambda: (
        HTML + b"<style>" + b"".join(b".a%d{display:none}" % n for n in range(30_000)) + b"</style><p class=a1>x"
    ),
    "40,000 hidden elements, one in another": lambda: HTML + b"<div hidden>a" * 40_000,
    "20,000 hidden paragraphs": lambda: HTML + b"<p style='display:none'>a</p>" * 20_000,
    "20,000 links that close nothing": lambda: HTML + b"<a href=//a.example>b" * 20_000,
    "a data URL of 5 MB": lambda: HTML + b"<img src='data:image/png;base64," + b"A" * 5_000_000 + b"'>x",
    "5,000 data URLs": lambda: HTML + b"<a href='data:text/html;base64,PGI+PC9iPg=='>a</a>" * 10_000,
    "a link of 500 KB": lambda: HTML + b"<a href='http://" + b"a." * 250_000 + b"'>b</a>",
    "a link through 10,000 gateways": lambda: (
        HTML + b"<a href='https://urldefense.com/v3/__" + b"https://urldefense.com/" * 10_000 + b"'>b</a>"
    ),
    "100,000 end tags of nothing": lambda: HTML + b"<table>" + b"</p></b>" * 60_000,
    "100,000 bogus comments": lambda: HTML + b"<!a><?b></ c>" * 40_000,
    "60,000 pictures with a text": lambda: HTML + b"<img alt=a>" * 46_000,
}  # fmt: skip

ENCODINGS = {
    "20 MB of base64 zeros": lambda: FILE + BASE64 + b"\r\n" + zeros(20_000_000),
    "20 MB of base64 zeros as text": lambda: BASE64 + TEXT + zeros(20_000_000),
    "20 MB of base64 zeros as HTML": lambda: BASE64 + HTML + zeros(20_000_000),
    "200 attachments of base64": lambda: (
        MIXED
        + (b"--b\r\nContent-Type: a/b\r\n" + BASE64 + b"\r\n" + zeros(100_000) + b"\r\n") * 200
    ),
    "6 MB of quoted-printable blanks": lambda: QP + b"=20" * 2_000_000,
    "6 MB of quoted-printable soft breaks": lambda: QP + b"=\r\n" * 2_000_000,
    "5 MB of equals signs": lambda: QP + b"=" * 5_000_000,
    "5 MB of quoted-printable tags": lambda: (
        b"Content-Type: text/html\r\n" + QP + b"=3Cb=3E" * 700_000
    ),
    "6 MB of uuencoded lines": lambda: (
        b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 a\r\n" + b"!\r\n" * 2_000_000
    ),
    "200 MB of base64 zeros": lambda: FILE + BASE64 + b"\r\n" + zeros(200_000_000),
    "200 MB of base64 zeros as text": lambda: BASE64 + TEXT + zeros(200_000_000),
    "200 MB of base64 zeros as HTML": lambda: BASE64 + HTML + zeros(200_000_000),
    "50 MB of base64 zeros": lambda: FILE + BASE64 + b"\r\n" + zeros(50_000_000),
    "a zip of gzips of zeros": lambda: packed(gzip.compress(bytes(10 * MEGABYTE))),
    "a zip of gzips of zeros as text": lambda: BASE64 + TEXT + packed(gzip.compress(bytes(MEGABYTE))),
    "base64 of equals signs": lambda: BASE64 + TEXT + b"=" * 5_000_000,
    "base64 without one letter of it": lambda: BASE64 + TEXT + b"!" * 5_000_000,
    "uuencoded zeros": lambda: (
        b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 a\r\n" + (b"M" + b"`" * 60 + b"\r\n") * 80_000
    ),
    "uuencode in a text": lambda: TEXT + (b"begin 644 a\r\nM" + b"`" * 60 + b"\r\n`\r\nend\r\n") * 60_000,
    "yEnc in a text": lambda: (
        TEXT + b"=ybegin line=128 size=5000000 name=a\r\n" + (b"=}*" * 42 + b"\r\n") * 40_000
    ),
    "quoted-printable of soft breaks in a word": lambda: QP + b"a=\r\n" * 1_500_000,
    "quoted-printable blanks at the ends of lines": lambda: QP + (b" " * 70 + b"\r\n") * 70_000,
}  # fmt: skip

CHARSETS = {
    "UTF-7 that lies": lambda: b"Content-Type: a; charset=utf-7\r\n\r\n" + b"+\xff" * 200_000,
    "ISO-2022 that lies": lambda: (
        b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n" + b"\x1b$B!" * 200_000
    ),
    "bodies in the name of Python's own codecs": lambda: (
        MIXED
        + b"".join(
            b"--b\r\n" + labelled(name, b"a-" + b"z" * 25_000 + b"\r\n")
            for name in (b"punycode", b"idna", b"rot13", b"hex", b"unicode_escape", b"undefined", b"mbcs", b"oem")
            * 20
        )
    ),
    "5 MB in the name of punycode": lambda: labelled(b"punycode", b"a-" + b"z9" * 2_500_000),
    "5 MB in the name of idna": lambda: labelled(b"idna", b"xn--a." * 800_000),
    "what zlib would make 50 MB of": lambda: labelled(b"zlib", zlib.compress(bytes(50 * MEGABYTE))),
    "what bz2 would make 50 MB of": lambda: labelled(b"bz2", bz2.compress(bytes(50 * MEGABYTE))),
    "100,000 names of charsets": lambda: (
        MIXED + b"".join(b"--b\r\n" + labelled(b"x-%d" % n, b"\xff\r\n") for n in range(100_000))
    ),
    "a name of a charset of 5 MB": lambda: labelled(b"x" * 5_000_000, b"\xff"),
    "no text in the name of UTF-16": lambda: labelled(b"utf-16", b"\x00\xd8" * 2_500_000),
    "no text in the name of UTF-32": lambda: labelled(b"utf-32", b"\xff" * 5_000_000),
    "no text in the name of HZ": lambda: labelled(b"hz-gb-2312", b"~{~" * 1_500_000),
    "HTML in the name of UTF-7": lambda: labelled(b"utf-7", b"+ADw-b+AD4-" * 450_000, b"text/html"),
    "no text in the name of GB 18030": lambda: labelled(b"gb18030", b"\x84\x31\xff" * 1_500_000),
    "no text in any name": lambda: labelled(b"x-none", bytes(range(128, 256)) * 40_000),
}  # fmt: skip

UNICODE = {
    "bidi overrides": lambda: many("\u202ea\u202c"),
    "bidi overrides never ended": lambda: many("\u202e"),
    "tag characters": lambda: many("\U000e0041"),
    "tag characters behind flags": lambda: many("\U0001f3f4\U000e0041"),
    "zero-width spaces": lambda: many("a\u200b"),
    "soft hyphens": lambda: many("ab\u00ad"),
    "combining marks out of order": lambda: many("\u0301\u0316"),
    "ligatures of eighteen letters": lambda: many("\ufdfa"),
    "mixed scripts": lambda: many("aа"),
    "isolates never ended": lambda: many("\u2066a"),
    "overrides in overrides": lambda: many("\u202ea\u202eb\u202c"),
    "joiners between letters": lambda: many("a\u200d"),
    "variation selectors": lambda: many("a\ufe0f\U000e0100"),
    "Hangul that composes": lambda: many("\u1100\u1161\u11a8"),
    "marks that no letter bears": lambda: many("\u0345\u0315"),
    "drawn letters": lambda: many("\U0001d4d0"),
    "small capitals": lambda: many("\u1d00\u0299"),
    "emoji, each with a name": lambda: many("\U0001f389\u2600"),
    "line ends of Unicode": lambda: many("\u2028\u2029"),
    "Greek among Latin": lambda: many("\u03b1b \u03a9a "),
}  # fmt: skip

TEXTS = {
    "a line of 5 MB": lambda: TEXT + b"a" * 5_000_000,
    "a line of 5 MB of words": lambda: TEXT + b"a " * 2_500_000,
    "footers of underscores": lambda: footers("_" * 299 + "x"),
    "footers of dashes and tildes": lambda: footers("-----" + "-~" * 140 + "x"),
    "quotations with introductions": lambda: (
        b"Subject: Re: x\r\n\r\n" + b"On 1 May, a wrote:\r\n> b\r\n" * 10_000
    ),
    "30,000 URLs without a host": lambda: TEXT + b"http://" * 30_000,
    "a million lines": lambda: TEXT + b"a\r\n" * MEGABYTE,
    "a million marks of quotation": lambda: b"Subject: Re: x\r\n\r\n" + b">" * MEGABYTE + b"\r\nx",
    "a million empty quotations": lambda: b"Subject: Re: x\r\n\r\n" + b"> \r\n\r\n" * 200_000,
    "introductions without a quotation": lambda: b"Subject: Re: x\r\n\r\n" + b"on a wrote " * 100_000,
    "originals below originals": lambda: b"Subject: Re: x\r\n\r\n" + b"From: a\r\nSent b\r\n" * 60_000,
    "subjects of prefixes": lambda: b"Subject: " + b"Re: [x] " * 500_000 + b"\r\n\r\nx",
    "keys and ruled lines": lambda: TEXT + (b"A1b2" * 100 + b"* " * 100 + b"\r\n") * 5000,
    "PGP in PGP": lambda: TEXT + b"-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: a\r\n" * 60_000,
    "a recipient who is named again and again": lambda: (
        b"To: joe77@b.example, j.j.j@c.example\r\n\r\n" + b"joe77@b.example b.example joe77 " * 100_000
    ),
    "links again and again": lambda: TEXT + b"http://www.a.example/b " * 200_000,
}  # fmt: skip

# What they attack: the scenario's id, what it is, and the bombs.
THEMES = (
    ("C02", "100,000 parts, 5,000 in one another, boundaries that are none", PARTS),
    ("C03", "headers of 10 MB, of a million lines, of CRs, of blanks, of forged verdicts", HEADERS),
    ("C04", "encoded words, addresses and parameters without end (RFC 2047, 2231)", WORDS),
    (
        "C05",
        "tags mis-nested, a million entities, hiding styles, huge attributes, data URLs",
        HTML_BOMBS,
    ),
    (
        "C06",
        "200 MB of base64 zeros, zips of gzips, uuencode, yEnc, floods of soft breaks",
        ENCODINGS,
    ),
    ("C07", "charsets that lie, are none, or are codecs that would unpack or never end", CHARSETS),
    ("C08", "bidi controls, tags, invisible letters, marks without end, drawn letters", UNICODE),
    ("C09", "a million lines, quotations, footers, keys, links", TEXTS),
)
