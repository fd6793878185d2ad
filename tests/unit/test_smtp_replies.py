"""Replies as read from and written to the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.smtp.replies import MAX_REPLY_BYTES, MAX_REPLY_LINES, Reply, parse_reply

codes = st.integers(200, 599)


def test_one_line_is_encoded_with_its_code():
    assert Reply(250, "2.0.0 OK").encode() == b"250 2.0.0 OK\r\n"


def test_every_line_of_a_long_reply_has_the_code():
    assert Reply(452, "4.3.1 one\ntwo\nthree").encode() == (
        b"452-4.3.1 one\r\n452-two\r\n452 three\r\n"
    )


def test_a_reply_without_text_keeps_its_space():
    assert Reply(250, "").encode() == b"250 \r\n"


def test_control_characters_do_not_go_out():
    reply = Reply(550, "a\rb\x00c\x1b[31md\x7fe\x85f\u2028g")
    assert reply.encode() == "550 a b c [31md e f\u2028g\r\n".encode()


def test_bytes_that_are_not_utf8_go_out_as_they_came():
    reply, _ = parse_reply(b"550 caf\xe9 ferm\xe9\r\n")
    assert reply.encode() == b"550 caf\xe9 ferm\xe9\r\n"


def test_text_that_no_reply_can_hold_is_still_sent():
    assert Reply(550, "\ud800!").encode() == b"550 ?!\r\n"


@pytest.mark.parametrize(
    ("code", "kind"), [(250, "is_success"), (421, "is_transient"), (599, "is_permanent")]
)
def test_a_code_has_one_kind(code, kind):
    reply = Reply(code, "")
    kinds = ["is_success", "is_transient", "is_permanent"]
    assert [name for name in kinds if getattr(reply, name)] == [kind]


def test_a_code_between_the_kinds_has_none():
    reply = Reply(354, "")
    assert [reply.is_success, reply.is_transient, reply.is_permanent] == [False] * 3


@given(codes, st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126)), min_size=1))
def test_what_is_written_is_read(code, lines):
    reply = Reply(code, "\n".join(lines[:MAX_REPLY_LINES]))
    wire = reply.encode()
    assert parse_reply(wire + b"250 next\r\n") == (reply, len(wire))


@given(codes, st.text())
def test_whatever_the_text_one_reply_comes_out(code, text):
    wire = Reply(code, text).encode()
    assert wire.count(b"\r") == wire.count(b"\n") == wire.count(b"\r\n")
    lines = wire.split(b"\r\n")
    assert lines.pop() == b""
    assert all(line.startswith(b"%d-" % code) for line in lines[:-1])
    assert lines[-1].startswith(b"%d " % code)


@given(st.binary(max_size=200))
def test_parsing_reads_a_reply_asks_for_more_or_says_it_is_none(data):
    try:
        parsed = parse_reply(data)
    except ValueError:
        return
    if parsed is not None:
        reply, length = parsed
        assert 200 <= reply.code <= 599
        assert data[:length].endswith(b"\n")


@given(codes, st.integers(0, 40))
def test_a_reply_that_is_not_whole_yet_is_none(code, cut):
    wire = Reply(code, "first line\nsecond line").encode()
    assert parse_reply(wire[: min(cut, len(wire) - 1)]) is None


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n",
        b"2 0 OK\r\n",
        b"150 soon\r\n",
        b"650 what\r\n",
        b"250_OK\r\n",
        b"25\r\n",
        b"\r\n",
        b"250-one\r\n550 two\r\n",
        b"\xef\xbc\x92\xef\xbc\x95\xef\xbc\x90 OK\r\n",  # full-width digits
        b"250-more\r\n" * (MAX_REPLY_LINES + 1),
        b"250 " + b"x" * MAX_REPLY_BYTES,
    ],
)
def test_what_is_no_reply_is_refused(garbage):
    with pytest.raises(ValueError, match="reply"):
        parse_reply(garbage)


def test_a_bare_newline_ends_a_line_too():
    assert parse_reply(b"250-one\n250 two\n") == (Reply(250, "one\ntwo"), 16)
