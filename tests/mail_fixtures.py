"""Mails written for the tests of filterd.mail: short ones, endless ones, and broken ones."""

import base64

from hypothesis import settings
from hypothesis import strategies as st

# A machine that trains a model at the same time may stand still for longer than Hypothesis allows.
unhurried = settings(deadline=None)

BLANK = b"\r\n\r\n"


def mail(body="", content_type="text/plain; charset=utf-8", **fields):
    """A mail; a field's name is written with "_" for "-", text is sent as UTF-8."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    return "\r\n".join(lines).encode() + BLANK + octets(body)


def part(body="", content_type="text/plain; charset=utf-8", **fields):
    """What stands between two boundaries."""
    return mail(body, content_type, **fields)


def attachment(name, content_type="application/pdf"):
    return part(
        base64.b64encode(b"%PDF" * 10),
        f'{content_type}; name="{name}"',
        Content_Disposition="attachment",
        Content_Transfer_Encoding="base64",
    )


def multipart(*parts, subtype="mixed", boundary="cut", **fields):
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    body += b"--" + boundary.encode() + b"--\r\n"
    return mail(body, f"multipart/{subtype}; boundary={boundary}", **fields)


def html_mail(body, **fields):
    return mail(body, "text/html; charset=utf-8", **fields)


def octets(text):
    return text.encode() if isinstance(text, str) else text


def nested_multiparts(count):
    opened = (
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(count)
    )
    return b"".join(opened) + b"\r\nhere\r\n"


# What parsers trip over, to be strung together.
_LINE_ENDS = st.sampled_from([b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n ", b"", b"\x00"])
_CHARSETS = st.sampled_from(
    [
        "utf-8",
        "utf-16",
        "utf-7",
        "gb2312",
        "hz-gb-2312",
        "iso-2022-jp",
        "iso-2022-kr",
        "koi8-r",
        "johab",
        "big5",
        "rot13",
        "base64",
        "idna",
        "punycode",
        "unicode_escape",
        "x" * 300,
        "",
        "é",
    ]
)
_ENCODINGS = st.sampled_from(
    ["base64", "quoted-printable", "x-uuencode", "7bit", "binary", "BASE64 ", "rot13", ""]
)
_TYPES = st.sampled_from(
    [
        "text/plain",
        "text/html",
        "multipart/mixed",
        "multipart/alternative",
        "multipart/digest",
        "message/rfc822",
        "message/delivery-status",
        "application/zip",
        "image/png",
        "text",
        "/",
        "",
    ]
)
_BOUNDARIES = st.sampled_from(["cut", '"cut"', "cut ", "'", "", '"', "--", "cut\\", "c" * 100])
_NAMES = st.sampled_from(
    [
        "Subject",
        "From",
        "To",
        "Reply-To",
        "In-Reply-To",
        "List-Post",
        "Content-Disposition",
        "X",
        "Content-Type",
        "Content-Transfer-Encoding",
        "Subject ",
        "X-Filterd-Id",
        "x-spam-FLAG",
        "",
    ]
)
_VALUES = st.one_of(
    st.sampled_from(
        [
            b"=?utf-8?q?=",
            b"=?utf-8?b?w6k=?=",
            b"=?utf-16?b?2D0=?= =?utf-16?b?3gA=?=",
            b"=?x?b?a",
            b'"a" <b@c>',
            b"<<>>@",
            b'"',
            b"(((",
            b"a@b, c@d",
            b"=?=?=?",
            b"Re: [x] Re[2]: y",
            b"attachment; filename*0*=utf-8''%e2; filename*1*=%9",
            b"a; filename*999=b; a*=b''c",
            b"text/html; charset=utf-16",
            b'multipart/mixed; boundary="',
            b"\xff\xfe\x00",
        ]
    ),
    st.binary(max_size=40),
)
_SNIPPETS = st.one_of(
    st.sampled_from(
        [
            b"<b><i></b></i>",
            b"<p style='display:none'>x",
            b"</",
            b"<!--",
            b"<style>.a{display:none",
            b"<a href=//xn--a.b>",
            b"<![CDATA[",
            b"&#x110000;&#xd800;&#0;",
            b"<div class=gmail_quote>",
            b"begin 644 a\r\n#a\r\n",
            b"=\r\n=E9=",
            b"//79/w==",
            b"+2D0-+",
            b"\x1b$B\x1b",
            b"~{~",
            "\u202e\U000e0041\u200b\u0301".encode(),
            b"\xed\xa0\x80",
            b"\xff\xfe<\x00b\x00>",
            b"\r\n--cut\r\n",
            b"\r\n--cut--\r\n",
            b"> a\r\n",
            b"-----\r\nlist@\r\n",
            b"http://[::1]/",
        ]
    ),
    st.binary(max_size=60),
)


@st.composite
def broken_parts(draw, depth=3):
    """A part, most likely not well-formed; parts inside it, `depth` deep."""
    line_end = draw(_LINE_ENDS)
    kind, charset = draw(_TYPES), draw(_CHARSETS)
    lines = [draw(_NAMES).encode() + b": " + draw(_VALUES) for _ in range(draw(st.integers(0, 3)))]
    lines += [
        f"Content-Type: {kind}; charset={charset}; boundary={draw(_BOUNDARIES)}".encode(),
        b"Content-Transfer-Encoding: " + draw(_ENCODINGS).encode(),
    ]
    inside = broken_parts(depth - 1) if depth else _SNIPPETS
    pieces = draw(st.lists(st.one_of(_SNIPPETS, inside), max_size=4))
    body = draw(st.sampled_from([b"", b"\r\n--cut\r\n", b"\n--cut\n"])).join(pieces)
    return (
        line_end.join(draw(st.permutations(lines)))
        + draw(st.sampled_from([BLANK, b"\n\n", line_end]))
        + body
    )


def cut_and_spliced(raws):
    """The same octets with a few taken out, and others put where they were."""

    def splice(drawn):
        raw, cuts = drawn
        for place, length, put in cuts:
            start = place % (len(raw) + 1)
            raw = raw[:start] + put + raw[start + length :]
        return raw

    cuts = st.lists(
        st.tuples(st.integers(0, 4000), st.integers(0, 30), st.binary(max_size=4)), max_size=4
    )
    return st.tuples(raws, cuts).map(splice)


anything = st.one_of(st.binary(max_size=300), broken_parts(), cut_and_spliced(broken_parts()))
