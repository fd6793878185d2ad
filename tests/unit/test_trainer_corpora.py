import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.mail.message import Link, Message
from trainer.corpora import (
    Source,
    arrived_on,
    find_corpora,
    join_tokens,
    list_sources,
    read_message,
    scrub,
)
from trainer.errors import CorporaError


def test_a_missing_folder_is_named_with_what_it_should_hold(tmp_path):
    with pytest.raises(CorporaError, match=r"nowhere: no such folder; it should hold <name>/"):
        find_corpora(tmp_path / "nowhere")


def test_an_empty_folder_is_named_with_what_it_should_hold(tmp_path):
    with pytest.raises(CorporaError, match=r"no corpora in it; it should hold"):
        find_corpora(tmp_path)


def test_folders_of_mail_and_files_of_lines_are_both_corpora(tmp_path):
    (tmp_path / "letters" / "ham").mkdir(parents=True)
    (tmp_path / "torture" / "exotic").mkdir(parents=True)
    (tmp_path / "tweets.jsonl").write_text("")
    assert find_corpora(tmp_path) == ["letters", "tweets"]


@pytest.mark.parametrize(
    "line", ["no json", '{"label": "spam"}', '{"text": "x", "label": "maybe"}', "[1]"]
)
def test_a_line_that_cannot_be_read_is_named_by_file_and_number(tmp_path, line):
    good = json.dumps({"text": "hello", "label": "ham"})
    (tmp_path / "notes.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(CorporaError, match=r"notes.jsonl:2: "):
        list_sources(tmp_path, "notes", seed=0)


def test_the_same_seed_shuffles_alike_and_another_does_not(tmp_path):
    lines = [json.dumps({"text": f"text {number}", "label": "ham"}) for number in range(50)]
    (tmp_path / "notes.jsonl").write_text("\n".join(lines))
    first = list_sources(tmp_path, "notes", seed=1)
    assert list_sources(tmp_path, "notes", seed=1) == first
    assert list_sources(tmp_path, "notes", seed=2) != first


def test_five_classes_of_sentiment_collapse_to_three(tmp_path):
    given_labels = ["very negative", "negative", "neutral", "positive", "very positive"]
    lines = [json.dumps({"text": "film", "label": label}) for label in given_labels]
    (tmp_path / "films.jsonl").write_text("\n".join(lines))
    found = sorted(source.label for source in list_sources(tmp_path, "films", seed=0))
    assert found == ["negative", "negative", "neutral", "positive", "positive"]


def test_the_subject_line_of_a_text_becomes_its_subject():
    fields = {"text": "Subject: new rates\nplease see below", "label": "ham"}
    message = read_message(Source("notes", {"spam": "ham"}, fields=fields))
    assert (message.subject, message.text.strip()) == ("new rates", "please see below")


def test_a_text_with_a_sender_begins_with_its_subject():
    fields = {"text": "Your account\n\nLog in.", "sender": "Bank <a@bank.example>"}
    message = read_message(Source("notes", {"spam": "spam"}, fields=fields))
    assert message.subject == "Your account"
    assert (message.from_name, message.from_domain) == ("Bank", "bank.example")


def test_punctuation_that_a_tokenizer_cut_off_goes_back():
    cut = (
        "it does n't matter , he said . call ( 713 ) 555 - 0100 at 2 : 30 or mail me @ home . com !"
    )
    assert join_tokens(cut) == (
        "it doesn't matter, he said. call (713) 555-0100 at 2:30 or mail me@home.com!"
    )


def test_text_that_was_never_cut_stays_as_it_is():
    text = "Dear Sir, the sum - all of it - is due. Call 12 / 14 : now!"
    assert join_tokens(text) == text


@settings(deadline=None)  # the machine may be busy
@given(st.text())
def test_no_text_breaks_the_joining(text):
    join_tokens(text)


def test_marks_of_a_collection_are_removed():
    message = Message(
        subject="Hello [removed]",
        from_name="Jane Roe via Some-List",
        from_domain="lists.example.org",
        text="to [removed] with thanks",
        links=(Link("lists.example.org", ""), Link("shop.example", "")),
    )
    scrubbed = scrub("anything", message)
    assert (scrubbed.subject, scrubbed.from_name, scrubbed.from_domain) == ("Hello", "Jane Roe", "")
    assert scrubbed.text == "to  with thanks"
    assert scrubbed.links == (Link("shop.example", ""),)


def write_labelled(folder, *rows):
    (folder / "kept").mkdir()
    (folder / "kept" / "a.eml").write_text("Subject: minutes\n\nthanks, great minutes\n")
    table = ["path\tspam\tsentiment", *rows]
    (folder / "kept" / "labels.tsv").write_text("\n".join(table) + "\n")


def test_a_table_gives_both_labels_of_a_mail(tmp_path):
    write_labelled(tmp_path, "a.eml\tham\tpositive")
    assert find_corpora(tmp_path) == ["kept"]
    (source,) = list_sources(tmp_path, "kept", 0)
    assert source.labels == {"spam": "ham", "sentiment": "positive"}
    assert (source.task, source.label) == ("spam", "ham")
    assert read_message(source).subject == "minutes"


@pytest.mark.parametrize("row", ["a.eml\tham\tcheerful", "a.eml\tpositive\tham", "\tham\tneutral"])
def test_a_row_of_a_table_that_is_wrong_is_named(tmp_path, row):
    write_labelled(tmp_path, "a.eml\tham\tneutral", row)
    with pytest.raises(CorporaError, match=r"labels\.tsv:3: needs path, spam and sentiment"):
        list_sources(tmp_path, "kept", 0)


@pytest.mark.parametrize(
    ("headers", "day"),
    [
        ((("Received", "from a by b; Tue, 4 Jan 2022 10:00:00 +0100"),
          ("Received", "from c by a; Mon, 3 Jan 2022 10:00:00 +0100")), "2022-01-04"),
        ((("Date", "Fri, 31 Dec 2038 10:00:00 +0000"),
          ("received", "by b; Tue, 4 Jan 2022 10:00:00 +0100")), "2022-01-04"),
        ((("Received", "by b, nobody knows when"), ("Date", "4 Jan 2022 10:00 +0100")), "2022-01-04"),
        ((("Date", "soon"),), None),
        ((), None),
    ],
)  # fmt: skip
def test_a_mail_arrived_when_the_last_who_took_it_says(headers, day):
    found = arrived_on(Message(headers=headers))
    assert (None if found is None else found.isoformat()) == day


def test_encoded_words_of_a_line_are_read_as_those_of_a_mail():
    fields = {
        "text": "=?utf-8?Q?Dear=20Client?=\n\nyour account",
        "sender": "=?utf-8?Q?Acc=6Funt?= <a@b.example>",
    }
    message = read_message(Source("phish", {"spam": "spam"}, fields=fields))
    assert (message.subject, message.from_name) == ("Dear Client", "Account")
