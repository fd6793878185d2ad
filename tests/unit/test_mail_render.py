"""What the model reads: the sender's own words in a fixed layout, and nothing of the mail's way."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mail_fixtures import anything, attachment, html_mail, mail, multipart, part, unhurried

from filterd.mail.footers import without_footers
from filterd.mail.message import Message, Signals
from filterd.mail.parse import parse
from filterd.mail.quotes import without_quotes
from filterd.mail.render import RENDERER_VERSION, bare_subject, is_reply, render, render_text


def rendered(raw, max_characters=4096):
    return render(parse(raw), max_characters=max_characters)


def test_a_mail_is_laid_out_as_subject_sender_links_files_notes_and_body():
    raw = multipart(
        part(
            '<p>Dear customer, your vi\u200bagra waits.</p><a href="http://pay.evil.example/x?y">here</a>',
            "text/html; charset=utf-8",
        ),
        attachment("invoice.pdf"),
        Subject="Your order",
        From='"The Shop" <shop@shop.example>',
        Reply_To="shop@gmail.com",
    )
    assert rendered(raw) == (
        "Your order\n"
        "from: The Shop shop.example\n"
        "links: pay.evil.example\n"
        "files: invoice.pdf\n"
        "notes: invisible letters, replies go to gmail.com\n"
        "\n"
        "Dear customer, your viagra waits.\n"
        "here"
    )


def test_what_is_not_there_has_no_line():
    assert rendered(mail("body", Subject="subject")) == "subject\n\nbody"
    assert rendered(b"") == ""


def test_this_layout_is_the_third_version():
    # Whoever changes a text in this file makes another version, and trains another model.
    assert RENDERER_VERSION == 3


def test_an_emoji_is_spelt_and_a_row_of_them_is_one():
    text = render_text(
        "\U0001f525\U0001f525\U0001f525 Sale", "", "thanks \U0001f44d\U0001f3fc", max_characters=99
    )
    assert text.split() == ["fire", "Sale", "thanks", "thumbs", "up", "sign"]


def test_text_that_was_kept_without_its_mail_renders_alike():
    kept = render_text(
        "Re: order", "Ann <a@a.example>", "see http://b.example/1\n\nnow", max_characters=99
    )
    raw = mail("see http://b.example/1\r\n\r\nnow", Subject="Re: order", From="Ann <a@a.example>")
    assert kept == rendered(raw, 99)


@pytest.mark.parametrize("most", [0, 1, 7, 50, 51, 400])
def test_no_more_characters_come_out_than_asked_for(most):
    text = rendered(mail("word " * 1000, Subject="s" * 200, From="Ann <a@a.example>"), most)
    assert len(text) <= most
    assert len(text) >= most - 1  # a blank at the end is not counted on


def test_a_long_head_leaves_the_body_its_place():
    raw = mail("the body", Subject="s" * 500, From=f"{'n' * 500} <a@{'d' * 60}.{'e' * 60}.example>")
    text = rendered(raw, 300)
    assert text.endswith("the body")
    assert max(map(len, text.split("\n"))) <= 120


@pytest.mark.parametrize(
    ("written", "bare"),
    [
        ("Re: minutes", "minutes"),
        ("RE : Re[2]: AW: minutes", "minutes"),
        ("Fwd: Fw: minutes", "minutes"),
        ("[list] Re: [list] minutes", "minutes"),
        ("Re: [ANN][x] minutes", "minutes"),
        ("SV: VS: Odp: RIF: minutes", "minutes"),
        ("回复：转发: minutes", "minutes"),
        ("Reminder: minutes", "Reminder: minutes"),
        ("minutes Re: more", "minutes Re: more"),
        ("Buy now!!!!!!", "Buy now!!"),
        ("Re:", "Re:"),
        ("[list]", "[list]"),
        ("", ""),
    ],
)
def test_replies_and_lists_leave_no_mark_on_the_subject(written, bare):
    assert bare_subject(written) == bare


@pytest.mark.parametrize(
    ("fields", "reply"),
    [
        ({"Subject": "Re: minutes"}, True),
        ({"Subject": "[list] AW: minutes"}, True),
        ({"Subject": "minutes", "In_Reply_To": "<1@a>"}, True),
        ({"Subject": "minutes", "references": "<1@a>"}, True),
        ({"Subject": "Fwd: minutes", "References": "<1@a>"}, False),
        ({"Subject": "minutes"}, False),
    ],
)
def test_a_reply_is_known_by_subject_or_headers(fields, reply):
    assert is_reply(parse(mail("x", **fields))) is reply


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("mine\n> yours\n> yours too", "mine"),
        ("mine\n\nOn 3 May 2022, Bob wrote:\n> yours", "mine"),
        ("mine\n\nOn Tue, 3 May 2022 at 10:12 Bob Bell\n<bob@b.example> wrote:\n> yours", "mine"),
        ("mine\n\nAm 3.5.2022 schrieb Bob:\n> yours\nmore of mine", "mine\n\nmore of mine"),
        ("mine\n-----Original Message-----\nyours", "mine"),
        ("mine\nFrom: Bob\nSent: Tuesday\nSubject: x\nyours", "mine"),
        ("mine\nVon: Bob\nGesendet: Dienstag\nyours", "mine"),
        ("mine\n\nOn 3 May 2022, Bob wrote:", "mine"),
        ("> only yours\n> here", "only yours\nhere"),
        ("no quotation: none", "no quotation: none"),
    ],
)
def test_a_reply_is_read_without_what_it_quotes(text, own):
    assert without_quotes(text).strip() == own


def test_a_first_mail_is_read_whole_even_behind_marks_of_quotation():
    assert rendered(mail("look:\r\n> buy this", Subject="new")) == "new\n\nlook:\nbuy this"
    assert rendered(mail("look:\r\n> buy this", Subject="Re: new")) == "new\n\nlook:"


def test_a_reply_in_html_loses_its_quotation_too():
    page = "<p>mine</p><div class=gmail_quote>On 3 May, Bob wrote:<p>yours</div>"
    assert rendered(html_mail(page, Subject="Re: x")) == "x\n\nmine"


RULE = "_" * 47


@pytest.mark.parametrize(
    "footer",
    [
        f"{RULE}\nUsers mailing list\nUsers@lists.example.org\nhttp://example.org/mailman/listinfo/x",
        "-- \nTo unsubscribe, write to users-unsubscribe@example.org",
        "-----------\nYou get this because of your subscription.",
        "To unsubscribe from this group, write to the group",
        f"{RULE}\nlist one, mailman/listinfo/one\n{RULE}\nlist two, mailman/listinfo/two",
        f"{RULE}",
        "---------- Yahoo! Groups Sponsor ---------~-->\nbuy\nYahoo! Groups is subject to terms",
    ],
)
def test_what_a_list_puts_under_a_mail_is_taken_off(footer):
    assert without_footers(f"the mail\n{footer}\n") == "the mail"


@pytest.mark.parametrize(
    "text",
    [
        "the mail\n-- \nAnn Bell, Bell & Sons",
        "the mail\n==========\na table\n==========\nbelow it",
        "Write to the mailing list.\nRegards",
    ],
)
def test_a_signature_and_a_ruled_line_are_not_a_lists(text):
    assert without_footers(text) == text


def test_a_footer_is_not_in_what_the_model_reads():
    raw = mail(f"the mail\n{RULE}\nUsers mailing list\nmailman/listinfo/users", Subject="[users] x")
    assert rendered(raw) == "x\n\nthe mail"


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"From": "Ann <ann@a.example>"}, "from: Ann a.example"),
        ({"From": "ann@a.example"}, "from: a.example"),
        ({"From": '"ann@a.example" <ann@a.example>'}, "from: a.example"),
        ({"From": '"pay@bank.example" <x@evil.example>'}, "from: pay@bank.example evil.example"),
        (
            {"From": "'Bob' via Users <u@lists.example.org>", "Reply_To": "bob@b.example"},
            "from: Bob b.example",
        ),
    ],
)
def test_the_sender_is_who_wrote_the_mail(fields, line):
    assert rendered(mail("x", Subject="s", **fields)) == f"s\n{line}\n\nx"


@pytest.mark.parametrize(
    "fields",
    [
        {"From": "users@lists.example.org", "List_Post": "<mailto:users@lists.example.org>"},
        {"From": "me@corp.example", "To": "you@corp.example"},
    ],
    ids=["a list", "the recipient's own domain"],
)
def test_a_sender_who_says_nothing_is_left_out(fields):
    assert rendered(mail("x", Subject="s", **fields)) == "s\n\nx"


def test_who_received_a_mail_is_not_in_what_the_model_reads():
    raw = mail(
        "Dear joe234@corp.example, joe234's box at http://corp.example/x is full",
        Subject="For joe234@corp.example",
        To="Joe <joe234@corp.example>",
    )
    text = rendered(raw)
    assert text == "For you\n\nDear you, you's box at your domain is full"


def test_a_recipients_domain_is_replaced_only_where_it_is_one():
    assert rendered(mail("cheap pills", Subject="s", To="x@e")) == "s\n\ncheap pills"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("go to https://www.shop.example/a?b=c now", "go to shop.example now"),
        ("key: " + "A1b2C3d4" * 10, "key: A1b2C3d4A1b2"),
        ("=====\ntext\n* * * * *\n-----", "text"),
        ("wow!!!!!!!!! ......", "wow!! ."),
        ("one\n\n\n\ntwo", "one\ntwo"),
        ("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA1\n\ntext\n-----BEGIN PGP SIGNATURE-----\nx", "text"),
    ],
)  # fmt: skip
def test_a_body_is_tidied(written, read):
    assert rendered(mail(written, Subject="s")) == f"s\n\n{read}"


def test_links_are_named_if_the_text_does_not_name_them_three_at_most():
    page = "a.example " + "".join(f"<a href=//x.{c}.example>y</a>" for c in "abcde")
    assert "links: x.b.example, x.c.example, x.d.example\n" in rendered(html_mail(page))


def test_signatures_and_pictures_are_no_files():
    raw = multipart(
        part("x"),
        attachment("", "image/png"),
        attachment("smime.p7s", "application/pkcs7-signature"),
        attachment("a.zip", "application/zip"),
        attachment("", "application/x-secret"),
        attachment("not named any more.doc"),
    )
    assert "files: a.zip, application/x-secret\n" in rendered(raw)


@pytest.mark.parametrize(
    ("signals", "note"),
    [
        (Signals(hidden_characters=300), "hidden text"),
        (Signals(lookalikes=1), "look-alike letters"),
        (Signals(zero_width=1), "invisible letters"),
        (Signals(bidi_controls=1), "reversed text"),
        (Signals(mismatched_links=1), "link shows another host"),
    ],
)
def test_tricks_are_noted(signals, note):
    message = Message(subject="s", text="x", signals=signals)
    assert render(message, max_characters=99) == f"s\nnotes: {note}\n\nx"


@pytest.mark.parametrize("signals", [Signals(hidden_characters=299), Signals(defects=9), Signals()])
def test_what_honest_mail_does_too_is_not_noted(signals):
    message = Message(subject="s", text="x", signals=signals)
    assert render(message, max_characters=99) == "s\n\nx"


@given(anything, st.integers(0, 300))
@unhurried
def test_rendering_is_bounded_and_always_the_same(raw, most):
    message = parse(raw)
    text = render(message, max_characters=most)
    assert len(text) <= most
    assert text == render(parse(raw), max_characters=most)
    assert has_no_controls(text)


@given(st.text(), st.text(), st.text())
@example("a", "b@\x00c", "d")
@unhurried
def test_any_text_can_be_rendered(subject, sender, body):
    text = render_text(subject, sender, body, max_characters=200)
    assert len(text) <= 200
    assert has_no_controls(text)


def has_no_controls(text):
    return not any(unicodedata.category(c) in ("Cc", "Cs") for c in text.replace("\n", ""))


def test_a_recipients_domain_is_replaced_as_a_whole_word_only():
    written = "see port.example and sport.example and www.port.example"
    text = rendered(mail(written, Subject="s", To="x@port.example"))
    assert text == "s\n\nsee your domain and sport.example and www.your domain"
