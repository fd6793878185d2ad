import pytest

from trainer.dataset import Example
from trainer.readings import READINGS, read_as

TEXT = "Watches\nfrom: Ann shop.example\nlinks: a.example\n\nBuy them now.\n\nAnn"


def read(name, text, max_tokens=128):
    (found,) = read_as(
        name, [Example((text, text), {"spam": "spam"}, "c", "train", "g")], max_tokens
    )
    assert found.texts[0] == found.texts[1]
    return found.texts[0]


@pytest.mark.parametrize("name", READINGS)
def test_a_text_of_a_line_stays_one(name):
    assert read(name, "from: Ann shop.example") in ("from: Ann shop.example", "")


def test_the_subject_goes_and_the_fields_stay():
    assert read("without-subject", TEXT) == TEXT.removeprefix("Watches\n")
    assert read("without-subject", "from: Ann\n\nBuy") == "from: Ann\n\nBuy"


def test_the_sender_goes_and_nothing_else():
    assert read("without-sender", TEXT) == "Watches\nlinks: a.example\n\nBuy them now.\n\nAnn"
    assert read("without-sender", "S\n\nfrom: a quotation") == "S\n\nfrom: a quotation"


def test_a_long_text_gives_its_head_and_its_end():
    text = "a" * 300 + "b" * 300
    assert read("head-and-tail", text, 25) == "a" * 75 + " " + "b" * 25
    assert read("head-and-tail", TEXT) == TEXT
