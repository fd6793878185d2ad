"""Whatever comes in: nothing raises, everything is bounded, and the same comes out again."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mail_fixtures import anything, broken_parts, mail, multipart, part, unhurried

from filterd.mail import headers
from filterd.mail.charset import codec_of, decode
from filterd.mail.footers import without_footers
from filterd.mail.hosts import host_of, hosts_in, shown_host_of, to_unicode
from filterd.mail.html import MAX_TEXT as MAX_HTML_TEXT
from filterd.mail.html import visible_text
from filterd.mail.mime import decode_body
from filterd.mail.parse import MAX_TEXT, Link, domain_of, parse, split_address
from filterd.mail.quotes import unmarked, without_quotes
from filterd.mail.recipients import recipients_of
from filterd.mail.render import bare_subject, render
from filterd.mail.style import colour_of
from filterd.mail.unicode import collapse, normalise

LABELS = [
    "utf-8", "utf-16", "utf-16le", "utf-32", "utf-7", "gb2312", "gb18030", "hz-gb-2312", "big5",
    "shift_jis", "euc-jp", "iso-2022-jp", "iso-2022-jp-2", "iso-2022-kr", "euc-kr", "johab", "koi8-r",
    "iso-8859-1", "iso-8859-8-i", "windows-1255", "tis-620", "macintosh", "ibm437", "csgb2312", "x" * 99,
]  # fmt: skip

# Pieces of the small languages that a mail is written in.
markup = st.lists(
    st.one_of(
        st.sampled_from(
            ["<b>", "</b>", "<p style='", "display:none", "font-size:0", "color:#fff'", ">", "<a href=",
            "http://a.b", "//xn--a.b", "</a>", "<style>", ".x{", "}", "/*", "*/", "</style>", "<td>",
            "<pre>", "<svg/>", "<svg>", "&#0;", "&", "<!--", "-->", "<![CDATA[", "<div class=gmail_quote>",
            "</div>", "<br>", "<img alt=x>", "www.a.example", "<script>", "</table>", "<li>", "\x00"]
        ),
        st.text(max_size=8),
    ),
    max_size=40,
).map("".join)  # fmt: skip
fields = st.lists(
    st.one_of(
        st.sampled_from(
            ["=?", "?=", "utf-8", "?q?", "?B?", "=C3", "w6k=", " ", "\r\n ", "<", ">", '"', "(", ")", "\\",
            "@", ",", ";", "name", "*0*", "*", "=", "utf-8''", "%E2", "a", "via", "Re:", "[x]", ":", "．"]
        ),
        st.text(max_size=4),
    ),
    max_size=40,
).map("".join)  # fmt: skip
plain = st.lists(
    st.one_of(
        st.sampled_from(
            ["\n", "> ", ">", "On 3 May, a wrote:", "-----Original Message-----", "From: a", "Sent: b",
            "_____", "-- ", "-~->", "mailing list", "unsubscribe@", "http://a.example/", "a@b.example",
            "-----BEGIN PGP SIGNED MESSAGE-----", "A1" * 20, "* * *", "!!!!", "&nbsp;", "schrieb:"]
        ),
        st.text(max_size=8),
    ),
    max_size=30,
).map("".join)  # fmt: skip

READERS = {
    "visible_text": visible_text,
    "normalise": normalise,
    "collapse": collapse,
    "decode_words": headers.decode_words,
    "parameters": headers.parameters,
    "split_address": split_address,
    "domain_of": domain_of,
    "host_of": host_of,
    "shown_host_of": shown_host_of,
    "to_unicode": to_unicode,
    "hosts_in": lambda text: hosts_in(text, 10),
    "colour_of": colour_of,
    "codec_of": codec_of,
    "bare_subject": bare_subject,
    "without_footers": without_footers,
    "without_quotes": without_quotes,
    "unmarked": unmarked,
    "recipients_of": lambda text: recipients_of([("To", text)]).masked(text),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@given(st.one_of(markup, fields, plain, st.text()))
@settings(max_examples=60, deadline=None)
def test_no_text_makes_it_raise(reader, text):
    reader(text)


@given(anything)
@example(b"\xff" * 300)
@example(b"Content-Type: text/plain; charset=utf-16\r\n\r\n\x00\xd8")
@unhurried
def test_every_message_can_be_read_and_is_bounded(raw):
    message = parse(raw)
    assert len(message.text) <= MAX_TEXT
    assert len(message.subject) <= 18 * 998  # NFKC makes of one letter at most eighteen
    assert len(message.from_name) <= 18 * 256
    assert len(message.links) <= 100
    assert len(message.attachments) <= 100
    render(message, max_characters=400)


@given(anything)
@unhurried
def test_no_control_or_half_character_gets_into_what_is_recorded(raw):
    message = parse(raw)
    shown = [message.subject, message.from_name, message.text.replace("\n", "")]
    shown += [a.name for a in message.attachments]
    shown += [value for _, value in message.headers]
    assert not any(unicodedata.category(c) in ("Cc", "Cs") for text in shown for c in text)


@given(anything)
@unhurried
def test_a_message_is_read_alike_every_time(raw):
    assert parse(raw) == parse(raw)


@given(st.lists(broken_parts(depth=1), max_size=3))
@unhurried
def test_broken_neighbours_do_not_hide_a_whole_part(parts):
    # Each stands in a multipart of its own, with a boundary that none of them can name.
    inside = [part(raw, "application/octet-stream") for raw in parts]
    raw = multipart(*inside, part("still here"), boundary="none-of-theirs")
    assert parse(raw).text == "still here"


@given(st.binary(max_size=300), st.sampled_from([*LABELS, ""]))
@settings(max_examples=400, deadline=None)
def test_any_bytes_decode_under_any_label(data, label):
    assert isinstance(decode(data, label), str)


@given(st.text(st.characters(codec="utf-8")), st.sampled_from(["", "utf-8", "iso-8859-1", "x"]))
@unhurried
def test_utf8_is_read_as_utf8_whatever_else_it_is_called(text, label):
    assert decode(text.encode(), label) == text


@given(
    st.binary(max_size=200),
    st.sampled_from(["base64", "quoted-printable", "x-uuencode", "7bit"]),
    st.integers(0, 100),
)
@unhurried
def test_no_more_is_decoded_than_asked_for(data, encoding, most):
    assert len(decode_body(data, 0, len(data), encoding, most)) <= most


@given(st.binary(max_size=200))
@unhurried
def test_header_and_body_are_parts_of_the_message_in_their_order(raw):
    found, body, defects = headers.split(raw, 0, len(raw))
    assert 0 <= body <= len(raw)
    assert defects >= 0
    position = 0
    for name, value in found:
        position = raw.index(name, position) + len(name)
        assert value in raw  # folded lines stay joined by their line ends


@given(markup)
@unhurried
def test_html_is_bounded_and_its_links_have_hosts(html):
    text = visible_text(html)
    assert len(text.text) <= 2 * MAX_HTML_TEXT
    assert all(isinstance(link, Link) and link.host for link in text.links)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])))
@unhurried
def test_text_in_html_comes_out_as_it_would_without(text):
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("\x00", "")
    assert collapse(visible_text(f"<div>{escaped}</div>").text) == collapse(text)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=60))
@unhurried
def test_a_subject_comes_back_from_its_encoded_words(text):
    words = "".join(f"=?utf-8?q?{''.join(f'={b:02X}' for b in c.encode())}?= " for c in text)
    assert parse(mail("x", Subject=words)).subject == parse(mail("x", Subject=text)).subject
