"""Content on the wire: ends, dots, line ends, bounds."""

import asyncio
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.smtp import SessionLimits
from filterd.smtp.content import END, SLICE, begin, normalise, prepare, receive
from filterd.smtp.content import stuff as stuff_in_slices

LIMITS = SessionLimits(100_000, 10, 998, 4096, 1, 1, "normalize")

# Everything that can go wrong is made of these.
tricky = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"..", b"a", b"\x00", b"\r\n.", b"\n.\n"]),
    max_size=30,
).map(b"".join)
bodies = st.one_of(tricky, st.binary(max_size=300))


def stuff(message):
    return b"".join(stuff_in_slices(message))


def read(chunks, max_size=100_000, limit=65_536):
    async def run():
        reader = asyncio.StreamReader(limit=limit)
        begin(reader)
        task = asyncio.ensure_future(receive(reader, max_size))
        for chunk in chunks:
            await asyncio.sleep(0)
            reader.feed_data(chunk)
        reader.feed_eof()
        return await task, await reader.read()

    return asyncio.run(run())


@given(bodies)
def test_whatever_is_sent_comes_back_with_crlf_line_ends_and_no_end_inside(message):
    stuffed = stuff(message)
    expected = normalise(message)
    if expected and not expected.endswith(b"\r\n"):
        expected += b"\r\n"
    assert read([stuffed]) == (expected, b"")
    assert (b"\r\n" + stuffed).count(END) == 1


@given(bodies)
def test_no_laxer_server_finds_an_end_inside_what_we_send(message):
    inner = (b"\r\n" + stuff(message))[: -len(END)]
    for end in (b"\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r.\r", b"\r\n.\r", b"\r\n.\n", b"\r.\n"):
        assert end not in inner + b"\r\n"


@given(bodies, st.integers(1, 7), st.sampled_from([1, 4, 16, 64]))
def test_pieces_and_small_buffers_make_no_difference(message, step, limit):
    stuffed = stuff(message)
    pieces = [stuffed[start : start + step] for start in range(0, len(stuffed), step)]
    assert read(pieces, limit=limit) == read([stuffed])


def test_what_follows_the_end_is_left_alone():
    assert read([b"one\r\n.\r\nQUIT\r\n"]) == (b"one\r\n", b"QUIT\r\n")


def test_an_empty_message_is_empty():
    assert read([b".\r\nQUIT\r\n"]) == (b"", b"QUIT\r\n")
    assert stuff(b"") == b".\r\n"


@pytest.mark.parametrize("lines", [0, 1, 2, 333])
def test_a_message_up_to_the_limit_is_kept_whatever_its_dots(lines):
    message = b".\r\n" * lines
    assert read([stuff(message)], max_size=len(message)) == (message, b"")


def test_a_message_over_the_limit_is_read_to_its_end_and_dropped():
    assert read([b"x" * 1001 + b"\r\n.\r\nQUIT\r\n"], max_size=1000) == (None, b"QUIT\r\n")
    assert read([(b"x" * 70 + b"\r\n") * 90_000, b".\r\nQUIT\r\n"], max_size=1000) == (
        None,
        b"QUIT\r\n",
    )


def test_a_client_that_leaves_before_the_end_has_sent_nothing():
    with pytest.raises(asyncio.IncompleteReadError):
        read([b"Subject: x\r\n\r\nhalf\r\n."])


def test_unstuffing_takes_one_dot_from_each_line():
    assert read([b"..a\r\n.b\r\n...\r\n.\r\n"]) == (b".a\r\nb\r\n..\r\n", b"")


@pytest.mark.parametrize("shift", range(8))
def test_dots_are_stuffed_where_two_slices_meet(shift):
    message = b"x" * (SLICE - shift) + b"\r\n..\r\n.\r\nend\r\n"
    assert stuff(message).endswith(b"x\r\n...\r\n..\r\nend\r\n.\r\n")
    assert read([stuff(message)]) == (message, b"")


@pytest.mark.parametrize("bad", [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"\r\n\n"])
def test_bare_line_ends_are_made_whole_or_refused(bad):
    message = b"Subject: x\r\n\r\na" + bad + b"b\r\n"
    fixed = prepare(message, LIMITS)
    assert fixed.count(b"\r\n") == fixed.count(b"\r") == fixed.count(b"\n")
    refused = prepare(message, dataclasses.replace(LIMITS, bare_newline="reject"))
    assert (refused.code, refused.text[:6]) == (550, "5.6.11")


def test_line_ends_that_are_whole_are_left_alone():
    message = b"Subject: x\r\n\r\n\x00caf\xe9\r\n"
    assert prepare(message, dataclasses.replace(LIMITS, bare_newline="reject")) is message


@pytest.mark.parametrize("line", [b"\x00.", b"\x00.\x00", b"\x00\x00.\x00\x00"])
@pytest.mark.parametrize("before", [b"", b"Subject: x\r\n\r\n", b"a\n", b"a\r"])
@pytest.mark.parametrize("mode", ["normalize", "reject"])
def test_an_end_hidden_by_nuls_is_refused(line, before, mode):
    # stuff() would not see it, and a next hop that drops NULs would.
    limits = dataclasses.replace(LIMITS, bare_newline=mode)
    assert prepare(before + line + b"\r\nMAIL\r\n", limits).code in {550, 554}


@pytest.mark.parametrize("line", [b".\x00", b"\x00..", b"\x00.a", b"a\x00.", b"\x00"])
def test_other_nuls_are_only_bytes(line):
    message = b"Subject: x\r\n\r\n" + line + b"\r\n"
    assert prepare(message, LIMITS) is message


@pytest.mark.parametrize(("length", "passes"), [(998, True), (999, False), (5000, False)])
def test_a_line_may_be_as_long_as_the_limit(length, passes):
    message = b"Subject: x\r\n\r\n" + b"y" * length + b"\r\nz\r\n"
    prepared = prepare(message, LIMITS)
    assert (prepared == message) is passes
    if not passes:
        assert (prepared.code, prepared.text[:5]) == (554, "5.6.0")


@pytest.mark.parametrize(("size", "passes"), [(4096, True), (4097, False), (50_000, False)])
def test_a_header_section_may_be_as_large_as_the_limit(size, passes):
    lines = b"X: " + b"y" * 93 + b"\r\n"
    header = lines * (size // 98 - 1)
    header += b"Z: " + b"z" * (size - len(header) - 5) + b"\r\n"
    assert len(header) == size
    prepared = prepare(header + b"\r\nbody\r\n", LIMITS)
    assert isinstance(prepared, bytes) is passes
    if not passes:
        assert (prepared.code, prepared.text[:5]) == (552, "5.3.4")


def test_a_body_without_header_may_be_larger_than_any_header():
    message = b"\r\n" + b"body\r\n" * 2000
    assert prepare(message, LIMITS) == message


def test_a_message_that_outgrows_the_limit_by_its_line_ends_is_refused():
    prepared = prepare(b"\n" * 60_000, LIMITS)
    assert (prepared.code, prepared.text[:5]) == (552, "5.3.4")
