import random

import pytest

from filterd.mail.render import render
from trainer.dataset import LETTERS, Plan, read_examples
from trainer.errors import CorporaError
from trainer.letters import Template, choose, load_templates, unfold
from trainer.letters.words import CITY, SLOT, Words

TEMPLATES = load_templates()
LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pl", "pt")


def by(language, label):
    return [each for each in TEMPLATES if (each.language, each.labels["spam"]) == (language, label)]


def test_there_are_wanted_and_unwanted_letters_in_every_language():
    for language in ("de", "en", "es", "fr", "pt"):
        assert len(by(language, "ham")) >= 10
        assert len(by(language, "spam")) >= 5
    assert {each.language for each in TEMPLATES} <= set(LANGUAGES) == set(CITY)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda each: f"{each.language}-{each.kind}")
def test_a_letter_unfolds_without_a_trace_of_its_template(template):
    text = render(unfold(template, random.Random(1)), max_characters=4096)
    assert len(text) > 20
    assert not set("{}|") & set(text.replace(" | ", ""))
    assert not SLOT.search(text)


def test_letters_of_a_template_differ_and_the_same_seed_gives_the_same_letter():
    template = TEMPLATES[0]
    letters = {unfold(template, random.Random(seed)).text for seed in range(30)}
    assert len(letters) > 10
    assert unfold(template, random.Random(7)) == unfold(template, random.Random(7))


def test_options_are_chosen_from_the_inside_out():
    assert {choose("a{b|{c|d}|}e", random.Random(seed)) for seed in range(40)} == {
        "abe",
        "ace",
        "ade",
        "ae",
    }


def test_one_company_writes_one_letter():
    words = Words("en", random.Random(3))
    assert words.fill("<company>") == words.fill("<company>")
    assert words.fill("<host>") == words.fill("<host>")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_slot_has_words_in_every_language(language):
    words = Words(language, random.Random(0))
    assert all(words.fill(f"<{slot}>").strip("<>") != slot for slot in Words.SLOTS)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("no json", "JSONDecodeError"),
        ('{"kind": "x"}', "from"),
        ('{"from": "a", "subject": "{a|b", "body": "c"}', "braces of subject"),
        ('{"from": "a", "subject": "b", "body": "<colour>"}', "no word for <colour>"),
    ],
)
def test_a_line_that_is_no_template_is_named(tmp_path, line, reason):
    (tmp_path / "x.jsonl").write_text(f"\n{line}\n".lstrip("\n"))
    with pytest.raises(CorporaError, match=rf"x\.jsonl:1: not a template: .*{reason}"):
        load_templates(tmp_path)


def test_a_link_of_a_button_is_seen_by_its_host():
    template = Template("x", "en", {}, "A <a@b.example>", "s", "words", ("https://<host>/path",))
    message = unfold(template, random.Random(0))
    assert [link.host.partition(".")[2].startswith("example") for link in message.links] == [True]


def test_letters_train_both_tasks_and_can_be_left_out(tmp_path):
    (tmp_path / "notes.jsonl").write_text('{"text": "hello there, you", "label": "ham"}\n')
    found = read_examples(tmp_path, Plan(500, letters=True), lambda *_: None)
    letters = [each for each in found if each.corpus == LETTERS]
    assert {tuple(sorted(each.labels)) for each in letters} == {("sentiment", "spam")}
    assert {each.split for each in letters} == {"train", "validation"}
    without = read_examples(tmp_path, Plan(500), lambda *_: None)
    assert [each.corpus for each in without] == ["notes"]
