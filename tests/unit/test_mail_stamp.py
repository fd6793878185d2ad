"""Our headers in, forged ones out, and not one other octet changed."""

import email
import email.policy
import re
from email.header import decode_header, make_header

import pytest
from header_readers import (
    forged_fields,
    header_as_postfix_reads_it,
    header_with_all_line_ends,
    is_left_of,
)
from hypothesis import example, given
from hypothesis import strategies as st
from mail_fixtures import anything, unhurried

from filterd.mail.stamp import stamp

OURS = [("X-Filterd-Verdict", "spam; score=0.9871; threshold=0.9000"), ("X-Filterd-Id", "01J")]
IN_FRONT = b"X-Filterd-Verdict: spam; score=0.9871; threshold=0.9000\r\nX-Filterd-Id: 01J\r\n"
IN_FRONT_LF = IN_FRONT.replace(b"\r\n", b"\n")


def stamped(raw, **options):
    return stamp(raw, OURS, **options)


FORGERIES = {
    "verdict": b"X-Filterd-Verdict: ham; score=0\r\n",
    "a name that we do not use yet": b"X-Filterd-Whatever: x\r\n",
    "shouted": b"X-FILTERD-VERDICT: ham\r\n",
    "whispered": b"x-filterd-verdict: ham\r\n",
    "flag": b"X-Spam-Flag: NO\r\n",
    "score": b"x-SPAM-score: -9\r\n",
    "status": b"X-Spam-Status: No\r\n",
    "blank before the colon": b"X-Filterd-Verdict \t: ham\r\n",
    "folded": b"X-Spam-Status: No,\r\n\tscore=0\r\n required=5\r\n",
    "folded at once": b"X-Filterd-Model:\r\n\t2000-01-01.1\r\n",
    "folded with an empty line of blanks": b"X-Filterd-Id: 1\r\n \t\r\n 2\r\n",
    "empty": b"X-Filterd-Verdict:\r\n",
    "8-bit": b"X-Filterd-Verdict: \xff\xfe\r\n",
    "NUL": b"X-Filterd-Verdict: ham\x00\r\n",
    "many": b"X-Filterd-Id: 1\r\nX-Spam-Flag: NO\r\nX-Filterd-Id: 2\r\n" * 3,
}


@pytest.mark.parametrize("forged", FORGERIES.values(), ids=FORGERIES)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b"", b"Subject: x\r\n\r\nbody\r\n", id="first"),
        pytest.param(b"A: b\r\n c\r\n", b"Subject: x\r\n\r\nbody\r\n", id="between"),
        pytest.param(b"A: b\r\n", b"\r\nbody\r\n", id="last"),
        pytest.param(b"A: b\r\n", b"", id="at the end"),
    ],
)
def test_a_forged_header_goes_and_nothing_else(before, forged, after):
    assert stamped(before + forged + after) == IN_FRONT + before + after
    unix = stamped((before + forged + after).replace(b"\r\n", b"\n"))
    assert unix == stamped(before + forged + after).replace(b"\r\n", b"\n")


def test_a_forged_header_at_the_end_may_lack_its_line_end():
    assert stamped(b"A: b\r\nX-Spam-Flag: NO") == IN_FRONT + b"A: b\r\n"


@pytest.mark.parametrize(
    "line",
    [
        b"X-Filterd: not ours",
        b"X-Filterdog: woof",
        b"X-Spam-Level: ***",
        b"X-Spam-Flagged: x",
        b"Old-X-Spam-Flag: YES",
        b"Subject: x\r\n X-Filterd-Verdict: folded into the subject",
        b"X-Filterd-Verdict has no colon",
        b"X-Filterd-Verdict\xff: 8-bit is no name",
        b"A: X-Spam-Flag: YES",
    ],
)
def test_what_only_looks_like_ours_stays(line):
    raw = b"From: a@b\r\n" + line + b"\r\n\r\nbody"
    assert stamped(raw) == IN_FRONT + raw


MESSAGES = {
    "CRLF": (b"Subject: x\r\n\r\nbody\r\n", IN_FRONT),
    "LF": (b"Subject: x\n\nbody\n", IN_FRONT_LF),
    "LF with a CRLF in its body": (b"Subject: x\n\nbody\r\n", IN_FRONT_LF),
    "CRLF with an LF in its body": (b"Subject: x\r\n\r\nbody\n", IN_FRONT),
    "an LF first in a CRLF header": (b"A: b\nSubject: x\r\n\r\nbody", IN_FRONT),
    "CR only": (b"Subject: x\r\rbody\r", IN_FRONT),
    "no body": (b"Subject: x\r\n", IN_FRONT),
    "no line end": (b"Subject: x", IN_FRONT),
    "no header": (b"\r\nbody\r\n", IN_FRONT),
    "no header, LF": (b"\nbody\n", IN_FRONT_LF),
    "nothing": (b"", IN_FRONT),
    "an empty line only": (b"\r\n", IN_FRONT),
    "8-bit and NUL": (b"Subject: caf\xe9\x00\r\n\r\n\xff\x00\r\n", IN_FRONT),
    "a broken line among fields": (b"junk\r\nSubject: x\r\n\r\nbody", IN_FRONT),
    "forged headers in the body": (b"A: b\r\n\r\nX-Spam-Flag: NO\r\n", IN_FRONT),
    "forged headers behind an empty line of CRs": (b"A: b\r\n\r\r\nX-Spam-Flag: NO\r\n", IN_FRONT),
    "forged headers behind nothing but CRs": (b"\r\r\nX-Spam-Flag: NO\r\n", IN_FRONT),
    "forged headers in an attached mail": (
        b"Content-Type: message/rfc822\r\n\r\nX-Filterd-Id: 1\r\n\r\nx",
        IN_FRONT,
    ),
}


@pytest.mark.parametrize(("raw", "in_front"), MESSAGES.values(), ids=MESSAGES)
def test_our_headers_stand_in_front_of_a_message_that_stays_as_it_is(raw, in_front):
    assert stamped(raw) == in_front + raw


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"only text\r\nin two lines\r\n", id="text without a header"),
        pytest.param(b"one line", id="one line"),
        pytest.param(b" folded: first\r\nSubject: x\r\n\r\nbody", id="a blank first"),
        pytest.param(b"\tfolded: first\r\nSubject: x\r\n\r\nbody", id="a tab first"),
        pytest.param(b" ", id="a blank"),
    ],
)
def test_text_that_would_continue_or_follow_our_headers_becomes_a_body(raw):
    assert stamped(raw) == IN_FRONT + b"\r\n" + raw


def test_what_a_forged_header_leaves_may_be_a_body_too():
    assert stamped(b"X-Spam-Flag: NO\r\ntext\r\n") == IN_FRONT + b"\r\ntext\r\n"


@pytest.mark.parametrize(
    "line", [b"From a@b Tue May  3 10:12:00 2022\r\n", b">From a@b\r\n", b"From a\nFrom b\r\n"]
)
def test_an_mbox_line_stays_first(line):
    forged = b"X-Filterd-Id: 1\r\n"
    raw = b"Subject: x\r\n\r\nbody"
    assert stamped(line + forged + raw) == line + IN_FRONT + raw


def test_an_mbox_line_that_hides_a_header_is_no_mbox_line():
    raw = b"From a\rX-Filterd-Verdict: ham\r\nSubject: x\r\n\r\n"
    assert stamped(raw) == IN_FRONT + b"From a\r\nSubject: x\r\n\r\n"


def test_a_file_without_headers_to_add_only_loses_forged_ones():
    assert stamp(b"A: b\r\nX-Filterd-Id: 1\r\n\r\nx", []) == b"A: b\r\n\r\nx"
    assert stamp(b"text", []) == b"text"


OUR_NAMES = [name.encode() for name, _ in OURS]
ATTACKS = {
    "bare CR": b"A: b\rX-Filterd-Verdict: ham\r\n\r\nx",
    "bare LF": b"A: b\nX-Filterd-Verdict: ham\r\n\r\nx",
    "CR CR LF": b"A: b\r\r\nX-Filterd-Verdict: ham\r\n\r\nx",
    "LF CR": b"A: b\n\rX-Filterd-Verdict: ham\r\n\r\nx",
    "an empty line of CRs": b"A: b\r\rX-Filterd-Verdict: ham\r\n\r\nx",
    "first, behind a bare CR": b"\rX-Filterd-Verdict: ham\r\n\r\nx",
    "two, one hidden in the other": b"A: b\r\nX-Spam-Flag: a\rX-Spam-Flag: b\nX-Spam-Flag: c\r\n\r\n",
    "a name that is whole when another is gone": b"X-Filterd-\r\nX-Filterd-Id: 1\r\nId: ham\r\n\r\n",
    "a name in two lines": b"A: b\r\nX-Filterd-\rVerdict: ham\r\nX-Spam-\nFlag: NO\r\n\r\n",
    "behind a line of blanks": b"A: b\r\n \t\r\nX-Filterd-Verdict: ham\r\n\r\nx",
    "behind a line without a colon": b"A: b\r\njunk\r\nX-Filterd-Verdict: ham\r\n\r\nx",
    "behind a folded forgery": b"X-Spam-Flag: a\r b\n c\r\nX-Filterd-Verdict: ham\r\n\r\nx",
    "behind an mbox line": b"From x\r\rX-Filterd-Verdict: ham\r\n\r\nx",
    "CR before a forgery, LF behind": b"A: b\r\rX-Spam-Flag: a\nX-Filterd-Verdict: ham\r\n\r\nx",
}  # fmt: skip


@pytest.mark.parametrize("raw", ATTACKS.values(), ids=ATTACKS)
def test_no_reader_finds_a_forged_header_behind_odd_line_ends(raw):
    sent = stamped(raw)
    assert sent.startswith(IN_FRONT)
    assert forged_fields(header_as_postfix_reads_it(sent)) == OUR_NAMES
    assert forged_fields(header_with_all_line_ends(sent)) == OUR_NAMES


# Lines that attack each other, with every line end between them.
pieces = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b"A: b", b"Subject: s", b"From x", b"\x00",
    b"X-Filterd-Verdict: ham", b"x-filterd-", b"X-Spam-Flag : NO", b"X-", b"text", b"\xff", b">"]
)  # fmt: skip
headers = st.lists(pieces, max_size=14).map(b"".join)
messages = st.one_of(headers, anything)


@given(messages)
@unhurried
def test_whatever_comes_in_no_reader_finds_a_forged_header(raw):
    sent = stamped(raw)
    assert forged_fields(header_as_postfix_reads_it(sent)) == OUR_NAMES
    assert forged_fields(header_with_all_line_ends(sent)) == OUR_NAMES


@given(messages)
@example(b"A: b\rX-Spam-Flag: NO\r\n\nbody")
@example(b"A: b\r\rX-Spam-Flag: NO\nB: c")
@unhurried
def test_octets_are_taken_out_never_changed(raw):
    """The stamped message is ours, at most an empty line, and the input with lines left out."""
    sent = stamped(raw)
    ours, line_end = (IN_FRONT, b"\r\n") if IN_FRONT in sent else (IN_FRONT_LF, b"\n")
    before, _, after = sent.partition(ours)
    kept = (before + after, before + after.removeprefix(line_end))
    assert any(is_left_of(rest, raw) for rest in kept)


@given(messages.map(lambda raw: re.sub(rb"\r(?!\n)", b"", raw)))
@unhurried
def test_stamping_twice_is_stamping_once(raw):
    once = stamped(raw)
    assert stamped(once) == once


# Messages made of whole lines, so that what is to be left of them is known for sure.
ordinary = st.sampled_from(
    [
        [b"Subject: x"],
        [b"A: b", b" X-Filterd-Id: folded"],
        [b"DKIM-Signature: v=1;", b"\tb=aGk="],
        [b"X-Spam-Level: *"],
        [b"X-Byte: \xff\x00"],
        [b"X-Filterdog: a"],
        [b"Received: x", b" \t"],
    ]
)
forged = st.sampled_from(
    [
        [b"X-Filterd-Verdict: ham"],
        [b"X-SPAM-FLAG: NO", b"\tfolded", b" twice"],
        [b"x-filterd-: "],
        [b"X-Spam-Score\t : 1"],
        [b"X-Filterd-Model:", b" a", b" "],
        [b"X-Spam-Status: \xff\x00"],
    ]
)
fields = st.lists(st.one_of(ordinary.map(lambda x: (x, True)), forged.map(lambda x: (x, False))))


@given(fields, st.sampled_from([b"\r\n", b"\n"]), st.one_of(st.none(), st.binary(), headers))
@unhurried
def test_taking_our_headers_off_again_gives_the_message_without_forgeries(fields, end, body):
    rest = b"" if body is None else end + body
    raw = b"".join(line + end for lines, _ in fields for line in lines) + rest
    honest = b"".join(line + end for lines, kept in fields if kept for line in lines) + rest
    sent = stamped(raw)
    used = IN_FRONT_LF if end == b"\n" and raw else IN_FRONT
    assert sent.startswith(used)
    assert sent.removeprefix(used) == honest


@given(fields, st.lists(st.sampled_from([b"\r\n", b"\n", b"\r"]), min_size=1, max_size=9))
@unhurried
def test_every_other_line_stays_a_line_of_its_own_whatever_ends_it(fields, ends):
    lines = [line for lines, _ in fields for line in lines]
    honest = [line for lines, kept in fields if kept for line in lines]
    raw = b"".join(line + ends[number % len(ends)] for number, line in enumerate(lines))
    assert header_with_all_line_ends(stamped(raw + b"\r\n"))[len(OURS) :] == honest


@given(messages, st.binary(max_size=200))
@unhurried
def test_the_body_is_never_looked_into(raw, body):
    header = header_with_all_line_ends(raw)
    message = b"\r\n".join(header) + b"\r\n\r\n" if any(header) else b"\r\n"
    assert stamped(message + body).endswith(message[-2:] + body)


@pytest.mark.parametrize(
    ("raw", "tagged"),
    [
        (b"A: b\r\nSubject: hi\r\n\r\nx", b"A: b\r\nSubject: [SPAM] hi\r\n\r\nx"),
        (b"subject:hi\r\n\r\nx", b"subject: [SPAM] hi\r\n\r\nx"),
        (b"Subject:\r\n folded\r\n\r\nx", b"Subject: [SPAM] \r\n folded\r\n\r\nx"),
        (b"Subject: =?utf-8?q?a?=\r\n\r\n", b"Subject: [SPAM] =?utf-8?q?a?=\r\n\r\n"),
        (b"Subject: [SPAM] hi\r\n\r\nx", b"Subject: [SPAM] hi\r\n\r\nx"),
        (b"Subject: a\r\nSubject: b\r\n\r\n", b"Subject: [SPAM] a\r\nSubject: b\r\n\r\n"),
        (b"A: b\r\n\r\nSubject: body", b"Subject: [SPAM]\r\nA: b\r\n\r\nSubject: body"),
        (b"\r\nSubject: body", b"Subject: [SPAM]\r\n\r\nSubject: body"),
        (b" first\r\nSubject: x", b"Subject: [SPAM]\r\n\r\n first\r\nSubject: x"),
        (b"A-Subject: x\r\n\r\n", b"Subject: [SPAM]\r\nA-Subject: x\r\n\r\n"),
        (b"", b"Subject: [SPAM]\r\n"),
    ],
)
def test_spam_is_tagged_in_its_subject(raw, tagged):
    assert stamped(raw, subject_tag="[SPAM]") == IN_FRONT + tagged


def test_a_tag_beyond_ascii_is_an_encoded_word():
    sent = stamped(b"Subject: hi\r\n\r\nx", subject_tag="[Müll]")
    subject = email.message_from_bytes(sent, policy=email.policy.default)["Subject"]
    assert subject == "[Müll] hi"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=900))
@unhurried
def test_a_value_is_read_as_it_was_written(value):
    sent = stamp(b"A: b\r\n\r\n", [("X-Filterd-Model", value)])
    header, _, rest = sent.partition(b"\r\nA: b")
    assert rest == b"\r\n\r\n"
    assert max(map(len, header.split(b"\r\n"))) <= 998
    written = header.decode().partition(": ")[2]
    assert value.isascii() or str(make_header(decode_header(written))) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Filterd-Id", "a\r\nBcc: x@y"),
        ("X-Filterd-Id", "a\nb"),
        ("X-Filterd-Id", "a\rb"),
        ("X-Filterd-Id", "a\x00b"),
        ("X-Filterd-Id", "a\u2028b"),
        ("X-Filterd-Id", "\ud800"),
        ("X-Filterd-Id", "a" * 901),
        ("X-Filterd-Id\r\nBcc", "a"),
        ("X Filterd", "a"),
        ("X-Filterd:", "a"),
        ("Ü", "a"),
        ("", "a"),
    ],
)
def test_a_header_that_could_break_out_of_its_line_is_refused(name, value):
    with pytest.raises(ValueError, match="header"):
        stamp(b"A: b\r\n\r\n", [(name, value)])


def test_a_tag_that_could_break_out_of_its_line_is_refused():
    with pytest.raises(ValueError, match="header"):
        stamped(b"A: b\r\n\r\n", subject_tag="a\r\nBcc: x")
