"""Sealing of what mail said: what goes in comes out, and nothing else does."""

import numpy as np
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from filterd.errors import SettingsError
from filterd.store.columns import storable
from filterd.store.sealing import (
    TEXT_MARK,
    SealedError,
    Sealing,
    add_key,
    make_key,
    open_sealing,
    opened,
    opened_content,
    read_keys,
    sealed,
    sealed_content,
)

KEY, OTHER = Fernet.generate_key().decode(), Fernet.generate_key().decode()
SENTENCE = "the merger with Initech is on Friday"


@pytest.fixture
def key_file(tmp_path):
    def write(*lines):
        path = tmp_path / "keys"
        path.write_text("\n".join(lines))
        return path

    return write


@given(st.text())
def test_a_sealed_text_comes_out_as_it_went_in(text):
    sealing = open_sealing([KEY])
    kept = sealing.seal_text(text)
    assert sealing.open_text(kept) == text
    assert storable(kept) == kept


@given(st.binary())
def test_sealed_bytes_come_out_as_they_went_in(content):
    sealing = open_sealing([KEY])
    assert sealing.open(sealing.seal(content)) == content


def test_nothing_of_a_text_is_left_in_what_is_kept():
    assert SENTENCE not in open_sealing([KEY]).seal_text(SENTENCE)
    assert b"Initech" not in open_sealing([KEY]).seal(SENTENCE.encode())


def test_the_same_text_is_sealed_in_another_way_each_time():
    sealing = open_sealing([KEY])
    assert sealing.seal_text(SENTENCE) != sealing.seal_text(SENTENCE)


def test_without_a_key_a_text_is_kept_as_it_is():
    assert Sealing().seal_text(SENTENCE) == SENTENCE
    assert Sealing().seal(b"head") == b"head"


def test_what_was_kept_before_there_was_a_key_is_read_all_the_same():
    assert open_sealing([KEY]).open_text(SENTENCE) == SENTENCE


@pytest.mark.scenario("P31", "a mail's text begins with the mark of sealed texts, without a key", "it is kept as plain text; no reader takes it for a sealed one")  # fmt: skip
@given(st.text())
def test_no_text_of_a_mail_can_pass_for_a_sealed_one(text):
    kept = Sealing().seal_text(TEXT_MARK + text)
    assert Sealing().open_text(kept)[1:] == (TEXT_MARK + text)[1:]


@pytest.mark.parametrize("sealing", [Sealing(), open_sealing([OTHER])], ids=["none", "another"])
def test_without_its_key_nothing_is_opened_and_the_error_quotes_nothing(sealing):
    kept = open_sealing([KEY]).seal_text(SENTENCE)
    with pytest.raises(SealedError) as raised:
        sealing.open_text(kept)
    assert KEY not in str(raised.value)
    assert kept[-20:] not in str(raised.value)


def test_one_changed_byte_is_noticed():
    sealing = open_sealing([KEY])
    kept = bytearray(sealing.seal(b"head"))
    kept[-5] ^= 1
    with pytest.raises(SealedError):
        sealing.open(bytes(kept))


def test_the_first_of_several_keys_seals_and_each_opens():
    old, new = open_sealing([KEY]), open_sealing([OTHER, KEY])
    assert new.open_text(old.seal_text(SENTENCE)) == SENTENCE
    assert open_sealing([OTHER]).open_text(new.seal_text(SENTENCE)) == SENTENCE


def test_what_another_key_or_none_has_sealed_is_not_fresh():
    sealing = open_sealing([KEY, OTHER])
    assert sealing.is_fresh(sealing.seal(b"x"))
    assert not sealing.is_fresh(open_sealing([OTHER]).seal(b"x"))
    assert not sealing.is_fresh(b"x")
    assert Sealing().is_fresh(b"x")
    assert not Sealing().is_fresh(sealing.seal(b"x"))


def test_text_head_and_embedding_of_a_row_are_sealed_and_the_rest_is_not():
    sealing = open_sealing([KEY])
    vector = np.ones(4, np.float32)
    row = {"id": "1", "text": SENTENCE, "head": b"head", "embedding": vector, "subject": "minutes"}
    kept = sealed(row, sealing)
    assert kept["subject"] == "minutes"
    assert SENTENCE not in kept["text"]
    assert b"head" not in kept["head"]
    found = opened(kept, sealing)
    assert np.array_equal(found.pop("embedding"), vector)
    assert found == {name: value for name, value in row.items() if name != "embedding"}


def test_what_a_row_does_not_have_stays_away():
    nothing = {"id": "1", "text": None, "head": None, "embedding": None}
    assert sealed(nothing, open_sealing([KEY])) == nothing == opened(nothing, Sealing())


def test_an_error_about_a_row_names_the_mail():
    kept = sealed({"id": "01JD", "text": SENTENCE}, open_sealing([KEY]))
    with pytest.raises(SealedError, match="01JD: .*`text_key_file` has no key"):
        opened(kept, Sealing())


def test_the_reasons_on_a_card_are_sealed_and_without_the_key_there_are_none():
    content = {"asked": "near the threshold", "why": [f"🔴 spam: “{SENTENCE}”"]}
    kept = sealed_content(content, open_sealing([KEY]))
    assert SENTENCE not in str(kept)
    assert opened_content(kept, open_sealing([KEY])) == content
    assert opened_content(kept, Sealing()) == {"asked": "near the threshold", "why": []}


# Key files


def test_a_file_has_a_key_on_a_line_and_may_have_remarks(key_file):
    assert read_keys(key_file("# 2026", KEY, "", f"  {OTHER} ")) == (KEY, OTHER)


def test_without_a_file_there_are_no_keys():
    assert read_keys(None) == ()
    assert not open_sealing(()).is_on


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "holds no key"),
        (["# none yet"], "holds no key"),
        ([KEY, KEY[:-2]], "line 2: is no key"),
        (["hunter2"], "line 1: is no key"),
        (["schlüssel"], "not a file of keys"),
    ],
)
def test_a_file_that_is_none_of_keys_is_refused_without_quoting_it(key_file, lines, said):
    with pytest.raises(SettingsError, match=said) as raised:
        read_keys(key_file(*lines))
    assert "hunter2" not in str(raised.value)
    assert KEY[:20] not in str(raised.value)


def test_a_file_that_is_not_there_is_said_with_its_name(tmp_path):
    with pytest.raises(SettingsError, match="text_key_file .*absent: cannot be read: No such file"):
        read_keys(tmp_path / "absent")


def test_a_new_key_comes_first_in_a_file_that_only_its_owner_reads(tmp_path):
    path = tmp_path / "keys"
    assert add_key(path) == 0
    (first,) = read_keys(path)
    assert add_key(path) == 1
    second, still = read_keys(path)
    assert still == first != second
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_something_else_is_not_overwritten_by_keys(key_file):
    path = key_file("my diary")
    with pytest.raises(SettingsError):
        add_key(path)
    assert path.read_text() == "my diary"


def test_keys_are_made_anew_each_time():
    assert make_key() != make_key()
