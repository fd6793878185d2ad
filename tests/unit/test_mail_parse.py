"""Bytes to a message: headers, charsets, parts, attachments. Bombs are in test_mail_bombs."""

import base64

import pytest
from mail_fixtures import attachment, html_mail, mail, multipart, part

from filterd.mail.charset import codec_of, decode
from filterd.mail.hosts import host_of, hosts_in, shown_host_of
from filterd.mail.message import Link, registrable
from filterd.mail.parse import domain_of, parse, split_address

RUSSIAN = "Дешёвые кредиты для всех"


@pytest.mark.parametrize(
    ("text", "charset", "label"),
    [
        pytest.param("Déjà vu, très bien", "latin-1", "iso-8859-1", id="latin-1"),
        pytest.param("it’s “quoted” here", "cp1252", "us-ascii", id="windows-1252 called ASCII"),
        pytest.param("Grüße aus Köln", "utf-8", "utf-8", id="utf-8"),
        pytest.param("Grüße aus Köln", "utf-16", "utf-16", id="utf-16"),
        pytest.param("Grüße aus Köln", "utf-16-le", "UTF-16LE", id="utf-16, little end first"),
        pytest.param("免费发票，请联系", "gb2312", "gb2312", id="gb2312"),
        pytest.param("朱镕基喆", "gb18030", "gb2312", id="gb18030 called gb2312"),
        pytest.param("免費發票", "big5", "Big5", id="big5"),
        pytest.param("無料のお知らせ", "iso2022_jp", "ISO-2022-JP", id="iso-2022-jp"),
        pytest.param("無料のお知らせ", "shift_jis", "Shift_JIS", id="shift-jis"),
        pytest.param("무료 광고입니다", "euc_kr", "ks_c_5601-1987", id="korean"),
        pytest.param(RUSSIAN, "koi8-r", "koi8-r", id="koi8-r"),
        pytest.param(RUSSIAN, "cp1251", "windows-1251", id="windows-1251"),
        pytest.param(RUSSIAN, "utf-7", "utf-7", id="utf-7"),
        pytest.param(RUSSIAN, "utf-8", "", id="utf-8 without a label"),
        pytest.param(RUSSIAN, "koi8-r", "", id="koi8-r without a label"),
        pytest.param(RUSSIAN, "utf-8", "iso-8859-1", id="utf-8 called latin-1"),
        pytest.param(RUSSIAN, "utf-8", "no-such-charset", id="utf-8 with a label nobody knows"),
        pytest.param(RUSSIAN, "cp1251", "utf-8", id="windows-1251 called utf-8"),
        pytest.param("免费发票，请联系", "gb2312", "utf-8", id="gb2312 called utf-8"),
    ],
)
def test_text_is_decoded_whatever_its_label_says(text, charset, label):
    kind = f"text/plain; charset={label}" if label else "text/plain"
    assert parse(mail(text.encode(charset), kind, Subject="x")).text == text.replace("，", ",")


@pytest.mark.parametrize("word", ["café", "olé a"])
def test_an_accent_near_the_end_of_latin_1_is_kept(word):
    assert decode(word.encode("latin-1"), "iso-8859-1") == word


def test_one_broken_byte_costs_one_character():
    body = b"The price is " + "gültig".encode() + b" \xff until the end of this month."
    text = parse(mail(body, "text/plain; charset=utf-8")).text
    assert text == "The price is gültig \ufffd until the end of this month."


def test_a_character_that_a_bound_cut_in_half_is_dropped():
    assert decode("zwölf ö".encode()[:-1], "utf-8", is_cut=True) == "zwölf "


def test_html_without_a_label_says_its_charset_itself():
    body = b'<meta charset="koi8-r"><p>' + RUSSIAN.encode("koi8-r")
    assert parse(mail(body, "text/html")).text == RUSSIAN


@pytest.mark.parametrize("label", ["rot13", "base64", "idna", "unicode_escape", "zip", "mbcs"])
def test_codecs_of_python_that_are_no_charsets_are_not_known(label):
    assert codec_of(label) is None


@pytest.mark.parametrize(
    ("written", "subject"),
    [
        ("=?utf-8?q?Gr=C3=BC=C3=9Fe_an_alle?=", "Grüße an alle"),
        ("=?UTF-8?B?R3LDvMOfZQ==?=", "Grüße"),
        ("=?utf-8?B?R3LDvMOf?=\r\n =?utf-8?B?ZSE=?=", "Grüße!"),
        ("=?utf-8?q?caf=C3?= =?utf-8?q?=A9?=", "café"),
        ("=?koi8-r?b?98HOxQ==?= and =?utf-8?b?4oKs?=", "Ване and €"),
        ("=?utf-8*de?q?Gr=C3=BC=C3=9Fe_an?=", "Grüße an"),
        ("=?utf-8?q?never closed", "never closed"),
        ("=?no-such?q?gr=C3=BC=C3=9Fe?=", "grüße"),
        ("=?utf-8?x?what?= stays", "=?utf-8?x?what?= stays"),
        ("folded\r\n\tonce\r\n  and again", "folded once and again"),
        ("Grüße, in UTF-8 as it is", "Grüße, in UTF-8 as it is"),
        ("a\x00b\x07c", "a b c"),
        ("", ""),
    ],
)
def test_a_subject_is_one_decoded_line(written, subject):
    assert parse(mail("x", Subject=written)).subject == subject


def test_only_the_first_of_many_subjects_counts():
    assert parse(b"Subject: first\r\nSubject: second\r\n\r\nx").subject == "first"


def test_headers_come_decoded_in_order_with_their_names_as_written():
    raw = b"X-B: 1\r\nx-a : =?utf-8?q?=C3=A9?=\r\nX-B: 2\r\n\r\nx"
    assert parse(raw).headers == (("X-B", "1"), ("x-a", "é"), ("X-B", "2"))


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n", b"\r"], ids=["CRLF", "LF", "CR"])
def test_line_ends_make_no_difference(line_end):
    raw = b"Subject: a\r\n b\r\nX: y\r\n\r\nfirst\r\n\r\nsecond\r\n".replace(b"\r\n", line_end)
    message = parse(raw)
    assert (message.subject, message.text) == ("a b", "first\n\nsecond")


@pytest.mark.parametrize(
    ("raw", "subject", "text"),
    [
        pytest.param(b"", "", "", id="nothing"),
        pytest.param(b"\r\nonly a body", "", "only a body", id="no header"),
        pytest.param(b"Subject: only", "only", "", id="no body"),
        pytest.param(b"no header at all\r\nnone", "", "no header at all none", id="no field"),
        pytest.param(b"Subject: a\r\nand text\r\nmore", "a", "and text\nmore", id="no empty line"),
        pytest.param(b"From x y\r\nSubject: a\r\n\r\nb", "a", "b", id="mbox line"),
        pytest.param(b" x\r\nSubject: a\r\n\r\nb", "a", "b", id="white space first"),
        pytest.param(b"junk\r\nSubject: a\r\n\r\nb", "a", "b", id="a broken line among fields"),
    ],
)
def test_half_a_message_is_read_as_far_as_it_goes(raw, subject, text):
    message = parse(raw)
    assert (message.subject, message.text.replace("\n", " ")) == (subject, text.replace("\n", " "))


@pytest.mark.parametrize(
    ("value", "name", "address"),
    [
        ('"Ann Bell" <ann@Bell.Example>', "Ann Bell", "ann@bell.example"),
        ("Ann Bell <ann@bell.example>", "Ann Bell", "ann@bell.example"),
        ("ann@bell.example (Ann Bell)", "Ann Bell", "ann@bell.example"),
        ("ann@bell.example", "", "ann@bell.example"),
        ('"service@bank.example" <x@spam.example>', "service@bank.example", "x@spam.example"),
        (r'"Ann \"B\" Bell" <a@b.example>', 'Ann "B" Bell', "a@b.example"),
        ("Nobody", "Nobody", ""),
        ("<>", "<>", ""),
        ("", "", ""),
    ],
)
def test_a_sender_has_a_name_and_an_address(value, name, address):
    assert split_address(value) == (name, address)


def test_the_domain_of_an_address_is_what_a_reader_would_see():
    assert domain_of("a@xn--bcher-kva.example") == "bücher.example"
    assert domain_of("nobody") == ""


def test_a_message_knows_who_sent_it_and_where_replies_go():
    message = parse(
        mail("x", From="Ann <ann@a.example>", Reply_To="<bob@b.example>", Message_ID="<1@a>")
    )
    assert (message.from_name, message.from_address) == ("Ann", "ann@a.example")
    assert (message.from_domain, message.reply_to_domain) == ("a.example", "b.example")
    assert message.message_id == "<1@a>"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("base64", base64.encodebytes("Grüße an alle\n".encode())),
        ("BASE64", b"R3LDv-\r\n!!!MOfZSBhbiBhbGxl"),
        ("quoted-printable", b"Gr=C3=BC=C3=\r\n=9Fe an=20alle"),
        ("quoted-printable", b"Gr=C3=BC=C3=9fe an alle="),
        ("x-uuencode", b"begin 644 a\r\n/1W+#O,.?92!A;B!A;&QE\r\n`\r\nend\r\n"),
        ("8bit", "Grüße an alle".encode()),
        ("no-such-encoding", "Grüße an alle".encode()),
    ],
)  # fmt: skip
def test_transfer_encodings_are_undone(encoding, body):
    assert parse(mail(body, Content_Transfer_Encoding=encoding)).text == "Grüße an alle"


def test_of_alternatives_the_html_is_read_because_that_is_what_is_shown():
    raw = multipart(part("for machines"), part("<p>for people", "text/html"), subtype="alternative")
    assert parse(raw).text == "for people"


def test_of_alternatives_plain_text_is_read_if_the_html_shows_nothing():
    page = '<a href="http://a.example/"><img src=x></a>'
    message = parse(multipart(part("words"), part(page, "text/html"), subtype="alternative"))
    assert message.text == "words"
    assert message.links == (Link("a.example", ""),)


def test_parts_are_read_in_order_and_forwarded_mails_with_their_subject():
    inner = mail("inside", Subject="forwarded")
    raw = multipart(part("first"), part(inner, "message/rfc822"), part("last"))
    assert parse(raw).text == "first\nforwarded\ninside\nlast"


def test_a_part_of_a_digest_is_a_mail_without_saying_so():
    raw = multipart(b"\r\n" + mail("body", Subject="one"), subtype="digest")
    assert parse(raw).text == "one\nbody"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"--cut\r\n\r\nseen\r\n--cut--\r\n", id="closed"),
        pytest.param(b"--cut\r\n\r\nseen\r\n--cut--", id="without a last line end"),
        pytest.param(b"--cut\r\n\r\nseen\r\n", id="never closed"),
        pytest.param(b"before\r\n--cut\r\n\r\nseen\r\n--cut--\r\nafter", id="text around it"),
        pytest.param(b"--cut \t\r\n\r\nseen\r\n--cut-- \r\n", id="blanks behind boundaries"),
        pytest.param(b"--cut\n\nseen\n--cut--\n", id="LF"),
    ],
)
def test_a_multipart_shows_what_is_between_its_boundaries(body):
    assert parse(mail(body, 'multipart/mixed; boundary="cut"')).text == "seen"


def test_a_longer_boundary_is_not_a_boundary():
    raw = mail(b"--cut\r\n\r\na\r\n--cutter\r\nb\r\n--cut--", "multipart/x; boundary=cut")
    assert parse(raw).text == "a\n--cutter\nb"


def test_a_multipart_without_a_boundary_is_text_and_a_defect():
    message = parse(mail("all of it", "multipart/mixed"))
    assert (message.text, message.signals.defects) == ("all of it", 1)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        (b'Content-Disposition: attachment; filename="report.pdf"', "report.pdf"),
        (b"Content-Type: application/pdf; name=report.pdf", "report.pdf"),
        (b"Content-Disposition: attachment; filename*=utf-8''%E2%82%AC%20rates.pdf", "€ rates.pdf"),
        (b"Content-Disposition: attachment; filename*=koi8-r'ru'%F7%C1%CE%D1.pdf", "Ваня.pdf"),
        (b'Content-Disposition: attachment; filename*0="in"; filename*1="voice.pdf"', "invoice.pdf"),
        (
            b"Content-Disposition: attachment; filename*1*=%9C.pdf; filename*0*=utf-8''%C3",
            "Ü.pdf",
        ),
        (b'Content-Disposition: attachment;\r\n filename="=?utf-8?q?=C3=9C.pdf?="', "Ü.pdf"),
        (b'Content-Disposition: attachment; filename="C:\\\\x\\\\evil.exe"', "evil.exe"),
        (b'Content-Disposition: attachment; filename="../../etc/passwd"', "passwd"),
        (b'Content-Disposition: attachment; filename="a\xe2\x80\xaefdp.exe"', "afdp.exe"),
        (b'Content-Disposition: attachment; filename="never closed.pdf', "never closed.pdf"),
        (b"Content-Disposition: attachment", ""),
    ],
)  # fmt: skip
def test_attachments_have_the_name_that_a_mail_program_shows(fields, name):
    kind = b"" if b"Content-Type" in fields else b"Content-Type: application/pdf\r\n"
    [found] = parse(kind + fields + b"\r\n\r\nx").attachments
    assert (found.name, found.content_type) == (name, "application/pdf")


def test_an_attachment_is_measured_without_being_decoded():
    [found] = parse(multipart(part("text"), attachment("a.pdf"))).attachments
    assert found.size == 40


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "text/csv"])
def test_text_sent_as_an_attachment_is_not_in_the_text(kind):
    raw = multipart(part("shown"), part("not shown", kind, Content_Disposition="attachment"))
    message = parse(raw)
    assert message.text == "shown"
    assert [a.content_type for a in message.attachments] == [kind]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Shop.Example/a?b#c", "shop.example"),
        ("https://bank.example@evil.example:8080/", "evil.example"),
        ("//evil.example/x", "evil.example"),
        ("http:\\\\evil.example\\x", "evil.example"),
        (" h\nttp://evil.exa\tmple/", "evil.example"),
        ("http://xn--pypal-4ve.example/", "pаypal.example"),
        ("http://192.0.2.1/login", "192.0.2.1"),
        ("https://urldefense.com/v3/__https://evil.example/x__;!!", "evil.example"),
        ("mailto:a@b.example", ""),
        ("javascript:alert(1)", ""),
        ("/only/a/path", ""),
        ("http://", ""),
        ("http://a b/", "a"),
        ("http://[::1]/", ""),
    ],
)
def test_the_host_of_a_link_is_where_it_really_leads(url, host):
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("www.bank.example", "www.bank.example"),
        ("Log in at https://bank.example/login now", "bank.example"),
        ("bank.com/login", "bank.com"),
        ("setup.py", ""),
        ("ann@bank.com", ""),
        ("Click here. Now.", ""),
    ],
)
def test_a_link_text_shows_a_host_or_none(text, host):
    assert shown_host_of(text) == host


def test_links_written_out_in_plain_text_are_found_once_each():
    text = "http://b.example/1 and http://a.example/ or HTTPS://B.example/2 http://c.example"
    assert hosts_in(text, 2) == ["b.example", "a.example"]
    assert parse(mail(text)).links == tuple(Link(f"{x}.example", "") for x in "bac")


@pytest.mark.parametrize(
    ("host", "shown", "mismatched"),
    [
        ("evil.example", "bank.example", True),
        ("login.bank.example", "www.bank.example", False),
        ("evil.co.uk", "bank.co.uk", True),
        ("a.bank.co.uk", "bank.co.uk", False),
        ("evil.example", "", False),
    ],
)
def test_a_link_is_mismatched_if_it_shows_somebody_elses_host(host, shown, mismatched):
    assert Link(host, shown).is_mismatched is mismatched


def test_what_is_registered_is_two_labels_or_three():
    assert registrable("a.b.example") == "b.example"
    assert registrable("a.b.com.br") == "b.com.br"
    assert registrable("localhost") == "localhost"


def test_mismatched_links_are_counted_each_once():
    page = '<a href="http://evil.example/">www.bank.com</a>' * 3
    page += (
        '<a href="http://bad.example/">www.bank.com</a><a href="http://www.bank.com/">bank.com</a>'
    )
    assert parse(html_mail(page)).signals.mismatched_links == 2


def test_tricks_in_subject_and_sender_count_like_those_in_the_text():
    signals = parse(mail("vi\u200bagra", Subject="раypal", From='"bаnk" <a@b.example>')).signals
    assert (signals.zero_width, signals.lookalikes) == (1, 2)


def test_a_well_formed_mail_has_no_defects():
    assert parse(multipart(part("a"), attachment("b.pdf"), Subject="c")).signals.defects == 0
