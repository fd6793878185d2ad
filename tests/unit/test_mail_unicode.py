"""Text as a reader sees it: what is drawn alike is alike, what is not drawn is not there."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mail_fixtures import unhurried

from filterd.mail.unicode import NormalText, collapse, normalise

# Characters with which texts are made to look like other texts.
tricky = st.lists(
    st.one_of(
        st.sampled_from("aа\u0301\u200b\u202e\u202c\u00ad\ufdfa\U000e0041\U0001f3f4𝐚Ａᴀ🅰Ω\r\n\x85\u2028\x00 "),
        st.characters(),
    ),
    max_size=80,
).map("".join)  # fmt: skip

INVISIBLE = {
    "zero-width space": "vi\u200bagra",
    "zero-width joiner": "vi\u200dagra",
    "zero-width non-joiner": "vi\u200cagra",
    "word joiner": "vi\u2060agra",
    "byte order mark": "vi\ufeffagra",
    "soft hyphen after one letter": "v\u00adiagra",
    "variation selector": "vi\ufe0fagra",
    "combining grapheme joiner": "vi\u034fagra",
    "Hangul filler": "vi\u3164agra",
    "right-to-left mark": "vi\u200fagra",
    "several at one place": "vi\u200b\u200c\u200dagra",
    "tag characters": "viagra\U000e0041\U000e0042",
}


@pytest.mark.parametrize("text", INVISIBLE.values(), ids=INVISIBLE)
def test_invisible_characters_in_a_word_are_found_and_taken_out(text):
    assert normalise(text) == NormalText("viagra", zero_width=1)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        pytest.param("Donau\u00addampf\u00adschiff", "Donaudampfschiff", id="hyphenation"),
        pytest.param("\ufefftext", "text", id="byte order mark in front"),
        pytest.param("one \u200b two", "one two", id="between words"),
        pytest.param("می\u200cخواهم", "میخواهم", id="Persian joiner"),
        pytest.param("क्\u200dष", "क्ष", id="Devanagari joiner"),
        pytest.param("a 👨\u200d👩\u200d👧 b", "a 👨👩👧 b", id="a family in one picture"),
        pytest.param("❤\ufe0f", "❤", id="a picture's variant"),
    ],
)
def test_invisible_characters_that_belong_there_are_no_tricks(text, seen):
    assert normalise(text) == NormalText(seen)


LOOKALIKES = {
    "Cyrillic a": ("pаypal", "paypal"),
    "Cyrillic at the start": ("Аpple", "Apple"),
    "Greek omicron": ("micrοsoft", "microsoft"),
    "mathematical bold": ("𝐯𝐢𝐚𝐠𝐫𝐚", "viagra"),
    "mathematical script": ("𝒱𝓲agra", "Viagra"),
    "circled": ("ⓥⓘⓐⓖⓡⓐ", "viagra"),
    "full width": ("ｖｉａｇｒａ", "viagra"),
    "small capitals": ("ᴠɪᴀɢʀᴀ", "viagra"),
    "negative squared": ("🆅🅸🅰🅶🆁🅰", "VIAGRA"),
}


@pytest.mark.parametrize(("text", "latin"), LOOKALIKES.values(), ids=LOOKALIKES)
def test_look_alike_letters_become_latin_and_are_counted(text, latin):
    assert normalise(text) == NormalText(latin, lookalikes=1)


def test_every_word_with_look_alikes_is_counted():
    assert normalise("frее mоnеy now").lookalikes == 2


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Сегодня в школе праздник", id="Russian"),
        pytest.param("Καλημέρα σε όλους", id="Greek"),
        pytest.param("Windows и Linux", id="two scripts, a word each"),
        pytest.param("emailов", id="an honest mixture"),
        pytest.param("10 kΩ", id="a unit"),
        pytest.param("𝑥 plus 𝑦", id="symbols of mathematics"),
    ],
)
def test_other_scripts_are_not_look_alikes(text):
    assert normalise(text) == NormalText(unicodedata.normalize("NFKC", text))


def test_full_width_letters_among_chinese_ones_are_no_trick():
    assert normalise("请访问ＡＢＣ公司") == NormalText("请访问ABC公司")


def test_what_an_override_reverses_is_read_as_it_is_seen():
    assert normalise("file \u202efdp.exe\u202c end") == NormalText(
        "file exe.pdf end", bidi_controls=1
    )


def test_an_override_reaches_no_further_than_its_line():
    assert normalise("\u202eab\ncd") == NormalText("ba\ncd", bidi_controls=1)


def test_direction_marks_in_right_to_left_text_are_no_trick():
    assert normalise("\u202eשלום\u202c \u202babc\u202c").bidi_controls == 0


@pytest.mark.parametrize(
    ("text", "one_form"),
    [
        ("cafe\u0301", "café"),
        ("ﬁne print", "fine print"),
        ("①②③ ½", "123 1⁄2"),
        ("a\u00a0b\u3000c", "a b c"),
        ("a\x00b\x08c\x7fd", "abcd"),
        ("é\x00\x9f\ufffe\ud800!", "é!"),
        ("é\x85x\u2028y\u2029z", "é\nx\ny\nz"),
        ("a\rb\r\nc", "a\nb\nc"),
    ],
)
def test_text_has_one_form(text, one_form):
    assert normalise(text).text == one_form


@pytest.mark.parametrize(
    ("text", "collapsed"),
    [
        ("  a \t b  ", "a b"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("\n\n a \n", "a"),
        ("a\n \n\t\nb\n\n", "a\n\nb"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_white_space_is_collapsed(text, collapsed):
    assert collapse(text) == collapsed


@given(st.one_of(tricky, st.text()))
@unhurried
def test_nothing_unseen_is_left_whatever_comes_in(text):
    seen = normalise(text).text
    assert not any(unicodedata.category(c) in ("Cc", "Cs") and c != "\n" for c in seen)
    assert not any(c in seen for c in "\u200b\u200d\u202e\u202c\u00ad\ufeff\U000e0041")
    assert "\n\n\n" not in seen
    assert "  " not in seen


@given(tricky)
@unhurried
def test_what_is_collapsed_stays_as_it_is(text):
    assert collapse(collapse(text)) == collapse(text)


@given(st.text(st.characters(max_codepoint=127)))
@unhurried
def test_ascii_has_no_tricks(text):
    found = normalise(text)
    assert (found.lookalikes, found.zero_width, found.bidi_controls) == (0, 0, 0)


@pytest.mark.parametrize("length", [255, 256, 257, 600])
def test_pieces_that_bound_the_cost_leave_no_seam(length):
    assert normalise("é" + "ﬁ" * length).text == "é" + "fi" * length
