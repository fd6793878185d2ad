"""What must hold for any octets: a function for each target, which raises if it does not.

The fuzzer calls them with octets that it made up, the tests with the seeds and with what the
fuzzer found before. They know nothing of either.
"""

import re
import time
import unicodedata

from header_readers import (
    forged_fields,
    header_as_postfix_reads_it,
    header_with_all_line_ends,
    is_left_of,
)

from filterd.learner.features import BUCKETS, HEAD_BYTES, Evidence, features, unpack
from filterd.learner.features import pack as pack_head
from filterd.mail import headers
from filterd.mail.charset import decode
from filterd.mail.html import MAX_HTML, MAX_LINKS, visible_text
from filterd.mail.html import MAX_TEXT as MAX_HTML_TEXT
from filterd.mail.mime import MAX_PARTS, decode_body
from filterd.mail.parse import MAX_TEXT, parse, split_address
from filterd.mail.render import bare_subject, message_from_fields, render
from filterd.mail.stamp import stamp
from filterd.mail.unicode import collapse, normalise
from filterd.pipeline import RENDERED_CHARACTERS, read

CUT = b"\xff"  # between the fields of an input that has several: in no UTF-8 text
NFKC_AT_MOST = 18  # letters that it makes of one
LABELS = (
    "", "utf-8", "us-ascii", "utf-16", "utf-16le", "utf-32", "utf-7", "gb2312", "gb18030",
    "hz-gb-2312", "big5", "cp950", "shift_jis", "euc-jp", "iso-2022-jp", "iso-2022-jp-2", "iso-2022-kr",
    "euc-kr", "johab", "koi8-r", "iso-8859-1", "iso-8859-8-i", "windows-1255", "tis-620", "macintosh",
    "ibm437", "csgb2312", "idna", "punycode", "rot13", "zlib", "unicode_escape", "x" * 99,
)  # fmt: skip
ENCODINGS = ("base64", "quoted-printable", "x-uuencode", "7bit")


def check_parse(data):
    """A mail from any octets: bounded, and with nothing in it that could break a line or a log."""
    message = parse(data)
    assert len(message.text) <= MAX_TEXT
    assert len(message.subject) <= NFKC_AT_MOST * 998
    assert len(message.from_name) <= NFKC_AT_MOST * 256
    assert len(message.from_address) <= 2 * 576  # lower case may take two characters for one
    assert len(message.headers) <= headers.MAX_FIELDS
    assert all(len(value) <= headers.MAX_VALUE for _, value in message.headers)
    assert len(message.links) <= 100
    assert all(0 < len(link.host) <= 2 * 253 for link in message.links)
    assert len(message.attachments) <= 100
    for attachment in message.attachments:
        assert len(attachment.name) <= 255
        assert 0 <= attachment.size <= len(data)
    assert 0 <= message.signals.defects <= len(data) + 2 * MAX_PARTS
    shown = [message.subject, message.from_name, message.text.replace("\n", "")]
    shown += [attachment.name for attachment in message.attachments]
    shown += [value for _, value in message.headers]
    assert not any(unicodedata.category(c) in ("Cc", "Cs") for text in shown for c in text)
    check_split(data)


def check_split(data):
    """Header fields are parts of the message in their order, and the body is its end."""
    found, body, defects = headers.split(data, 0, len(data))
    assert 0 <= body <= len(data)
    assert defects >= 0
    position = 0
    for name, value in found:
        position = data.index(name, position) + len(name)
        assert value in data


def check_html(data):
    """Text from any HTML: bounded, and with hosts for links. What is no text is not shown."""
    html = text_of(data)
    text = visible_text(html)
    assert len(text.text) <= 2 * MAX_HTML_TEXT + 4 * MAX_HTML
    assert 0 <= text.hidden_characters <= 2 * len(html)
    assert len(text.links) <= MAX_LINKS
    assert all(link.host for link in text.links)
    plain = html.replace("\x00", "").replace("\r", " ")
    escaped = plain.replace("&", "&amp;").replace("<", "&lt;")
    assert visible_text(f"<div>{escaped}</div>").text.split() == plain.split()


def check_unicode(data):
    """Text from any octets under any name of a charset, and what a reader sees of it."""
    label, encoding = LABELS[data[0] % len(LABELS)] if data else "", data[0] % 4 if data else 0
    octets = data[1:]
    decoded = decode_body(octets, 0, len(octets), ENCODINGS[encoding], 1000)
    assert len(decoded) <= 1000
    text = decode(octets, label)
    assert len(text) <= len(octets) + 1
    seen = normalise(text)
    assert len(seen.text) <= NFKC_AT_MOST * len(text)
    assert all(0 <= n <= len(text) for n in (seen.lookalikes, seen.zero_width, seen.bidi_controls))
    assert collapse(seen.text) == seen.text
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\ud800-\udfff]", seen.text
    )
    line = headers.text_of(octets)
    assert len(line) <= headers.MAX_VALUE
    assert "\n" not in line
    headers.parameters(line)
    split_address(line)


def check_render(data):
    """What model and learner get of any mail, or of any three fields: bounded, always the same."""
    most = (RENDERED_CHARACTERS, 400, 50, 1, 0)[data[0] % 5] if data else 0
    subject, _, rest = data[1:].partition(CUT)
    sender, _, body = rest.partition(CUT)
    kept = message_from_fields(text_of(subject), text_of(sender), text_of(body))
    for message in (kept, parse(data[1:])):
        text = render(message, max_characters=most)
        assert len(text) <= most
        assert text == render(message, max_characters=most)
        assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in text.replace("\n", ""))
    bare_subject(text_of(subject))
    reading = read(data[1:])
    assert len(reading.text) <= RENDERED_CHARACTERS
    assert len(reading.head) <= HEAD_BYTES
    assert unpack(pack_head(reading.head)) == reading.head
    found = features(Evidence(reading.head, reading.text, text_of(sender), "192.0.2.1"))
    assert all(0 <= bucket < BUCKETS for bucket in found.buckets)


OURS = [("X-Filterd-Verdict", "spam; score=0.9871; threshold=0.9000"), ("X-Filterd-Id", "01J")]
OUR_NAMES = [name.encode() for name, _ in OURS]
IN_FRONT = b"".join(f"{name}: {value}\r\n".encode() for name, value in OURS)
IN_FRONT_LF = IN_FRONT.replace(b"\r\n", b"\n")


def check_stamp(data):
    """Ours in, forgeries out, and not one other octet changed, whatever a reader takes for a line."""
    sent = stamp(data, OURS)
    assert forged_fields(header_as_postfix_reads_it(sent)) == OUR_NAMES
    assert forged_fields(header_with_all_line_ends(sent)) == OUR_NAMES
    ours, line_end = (IN_FRONT, b"\r\n") if IN_FRONT in sent else (IN_FRONT_LF, b"\n")
    before, _, after = sent.partition(ours)
    assert any(is_left_of(before + rest, data) for rest in (after, after.removeprefix(line_end)))
    assert sent.endswith(body_of(data))
    if b"\r" not in data.replace(b"\r\n", b""):
        assert stamp(sent, OURS) == sent
    if not forged_fields(header_with_all_line_ends(data.replace(b"\x00", b""))):
        check_tag(data)


def check_tag(data):
    """A tag changes the subject and nothing else; who has it has it once."""
    tagged = stamp(data, OURS, subject_tag="[SPAM]")
    assert tagged.count(b"[SPAM]") <= data.count(b"[SPAM]") + 1
    assert b"[SPAM]" in tagged
    assert tagged.endswith(body_of(data))


def body_of(raw):
    """What follows the first empty line, CRs before its LF not counted; b"" if there is none."""
    found = re.search(rb"(?:\A|\n)\r*\n", raw)
    return raw[found.end() :] if found else b""


SMALL, LARGE = 2048, 16_384  # octets
WORTH_A_LOOK = 0.05  # CPU seconds
# Eight times the input: linear work takes eight times as long, quadratic 64 times.
TOO_STEEP = 24.0
TOO_LONG = 1.0  # CPU seconds
READERS = (
    parse,
    lambda raw: visible_text(text_of(raw)),
    lambda raw: normalise(text_of(raw)),
    lambda raw: render(message_from_fields("", "", text_of(raw)), max_characters=4096),
    lambda raw: stamp(raw, OURS, subject_tag="[SPAM]"),
    lambda raw: read(b"Subject: Re: a\r\nTo: " + raw),
    lambda raw: parse(b"Content-Type: text/html\r\n\r\n" + raw),
    lambda raw: read(b"Subject: Re: a\r\nTo: joe77@b.example\r\n\r\n" + raw),
)
LINES = (0, 0, 256, 4000)  # octets of a line that is itself repeated


def check_growth(data):
    """Time is linear in the input: a few octets repeated, and eight times as often."""
    if len(data) < 2:
        return
    reader, line = READERS[data[0] % 8], LINES[data[0] // 8 % 4]
    head, _, rest = data[1:].partition(CUT)
    unit, _, tail = rest.partition(CUT)
    if not unit:
        return
    long = swollen(head, unit, tail, line, LARGE)
    took = seconds(reader, long)
    if took < WORTH_A_LOOK:
        return
    # Seen once may be the machine's doing.
    took = min(took, *(seconds(reader, long) for _ in range(3)))
    short = max(
        min(seconds(reader, swollen(head, unit, tail, line, SMALL)) for _ in range(3)), 1e-3
    )
    assert took <= TOO_LONG, f"{took:.2f} s of CPU for {len(long)} octets"
    assert took <= WORTH_A_LOOK or took / short <= TOO_STEEP, (
        f"{short:.4f} s, eight times: {took:.4f} s"
    )


def swollen(head, unit, tail, line, size):
    """`size` octets, more or less: head, the unit repeated, tail; or lines like that, repeated."""
    if not line:
        return head + unit * (size // len(unit)) + tail
    once = head + unit * (line // len(unit) + 1) + tail
    return once * (size // len(once) + 1)


def seconds(reader, raw):
    started = time.process_time()
    reader(raw)
    return time.process_time() - started


def text_of(octets):
    return octets.decode("utf-8", "replace")


TARGETS = {
    "parse": check_parse,
    "html": check_html,
    "unicode": check_unicode,
    "render": check_render,
    "stamp": check_stamp,
    "growth": check_growth,
}
