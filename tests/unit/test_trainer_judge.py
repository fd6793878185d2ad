import json

import pytest
from tiny_bundle import make_tiny_bundle

from filterd.model.encoder import Encoder
from trainer.errors import CorporaError
from trainer.judge import EXCERPT, figures, judge_corpora, shorten
from trainer.language import UNKNOWN, language_of


class Silent:
    def progress(self, name, done, total):
        pass


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return Encoder(make_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny"))


def write_lines(folder, name, *rows):
    lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
    (folder / f"{name}.jsonl").write_text("\n".join(lines))


def judge(encoder, folder, only, limit):
    """The figures of a folder."""
    return figures(judge_corpora(encoder, folder, only, limit, Silent()), encoder.bundle)


def numbered(count):
    """Texts that differ by more than figures."""
    return [f"the minutes of the {chr(97 + number) * 3} meeting" for number in range(count)]


def test_a_text_that_comes_twice_counts_once(encoder, tmp_path):
    write_lines(tmp_path, "one", ("you won the lottery", "spam"), ("You won the LOTTERY!", "spam"))
    write_lines(tmp_path, "two", ("you won the lottery", "spam"), ("minutes of today", "ham"))
    judged = judge_corpora(encoder, tmp_path, (), None, Silent())
    assert [each.example.corpus for each in judged] == ["one", "two"]


def test_a_limit_is_of_each_corpus_and_label(encoder, tmp_path):
    texts = numbered(6)
    for name, words in (("one", "now"), ("two", "later")):
        rows = [(f"{text} {words}", "ham") for text in texts]
        write_lines(tmp_path, name, *rows, ("you won the lottery " + words, "spam"))
    found = judge(encoder, tmp_path, (), 2)
    assert (found["spam"]["ham"], found["spam"]["spam"]) == (4, 2)


def test_only_the_named_corpora_are_judged(encoder, tmp_path):
    write_lines(tmp_path, "one", ("you won the lottery", "spam"))
    write_lines(tmp_path, "two", ("minutes of today", "ham"))
    found = judge(encoder, tmp_path, ("two",), None)
    assert sorted(found["spam"]["corpora"]) == ["two"]


def test_a_corpus_that_is_not_there_is_named(encoder, tmp_path):
    write_lines(tmp_path, "one", ("you won the lottery", "spam"))
    with pytest.raises(CorporaError, match="no corpus 'three' in it"):
        judge(encoder, tmp_path, ("three",), None)


def test_corpora_without_a_message_are_an_error(encoder, tmp_path):
    (tmp_path / "mail" / "ham").mkdir(parents=True)
    with pytest.raises(CorporaError, match="no message in it; nothing to judge"):
        judge(encoder, tmp_path, (), None)


def test_a_mail_keeps_its_file_and_a_line_has_none(encoder, tmp_path):
    (tmp_path / "mail" / "ham").mkdir(parents=True)
    file = tmp_path / "mail" / "ham" / "1.eml"
    file.write_bytes(b"Subject: Minutes\n\nThe minutes,\nas promised.\n")
    write_lines(tmp_path, "lines", ("you won the lottery", "spam"))
    line, mail = judge_corpora(encoder, tmp_path, (), None, Silent())
    assert (mail.place, mail.subject) == (str(file), "Minutes")
    assert mail.excerpt == "The minutes, as promised."
    assert line.place == ""


def test_how_many_threads_judge_changes_nothing(encoder, tmp_path):
    write_lines(tmp_path, "one", *((text, "ham") for text in numbered(20)))
    alone = judge_corpora(encoder, tmp_path, (), None, Silent())
    assert judge_corpora(encoder, tmp_path, (), None, Silent(), threads=3) == alone


def test_figures_are_told_by_language_and_few_texts_are_put_together(encoder, tmp_path):
    german = [f"Wir treffen uns am {day} im großen Saal" for day in ("Montag", "Dienstag", "Freitag", "Samstag", "Sonntag")]  # fmt: skip
    french = ["Nous avons le plaisir de vous inviter à la réunion"]
    write_lines(tmp_path, "mixed", *((text, "ham") for text in german + french))
    found = judge(encoder, tmp_path, (), None)["spam"]["languages"]
    assert {name: figures["ham"] for name, figures in found.items()} == {"de": 5, "others": 1}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Thank you for your order, it will arrive tomorrow", "en"),
        ("Vielen Dank für Ihre Bestellung, sie kommt morgen an", "de"),
        ("Merci pour votre commande, elle arrivera demain", "fr"),
        ("Gracias por su pedido, llegará mañana", "es"),
        ("", UNKNOWN),
        ("12 34 56", UNKNOWN),
        ("\ud800", UNKNOWN),
    ],
)
def test_the_language_of_a_sentence_is_told_and_of_no_words_is_not(text, language):
    assert language_of(text) == language


def test_an_excerpt_is_one_line_of_bounded_length():
    found = shorten("word \n" * 1000)
    assert len(found) <= EXCERPT
    assert found.endswith("word…")
    assert "\n" not in found


def test_an_excerpt_holds_nothing_that_turns_or_hides_text():
    assert shorten("pay\u202elive\u200b\x00") == "pay�live��"
