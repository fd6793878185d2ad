import json
from dataclasses import replace

import pytest

from filterd.mail.message import Message
from filterd.mail.render import message_from_fields
from trainer import dataset
from trainer.dataset import (
    Plan,
    Seen,
    choose_split,
    digest,
    fingerprint,
    load_examples,
    load_left_out,
    read_examples,
    save_examples,
)
from trainer.errors import CorporaError

PLAN = Plan(max_characters=512)


def read(folder, plan=PLAN):
    return read_examples(folder, plan, lambda *_: None)


def write_lines(folder, name, rows):
    (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))


def test_a_body_that_comes_twice_is_read_once_in_all_corpora(tmp_path):
    for name in ("first", "second"):
        write_lines(
            tmp_path,
            name,
            [
                {"text": "You have won 100 dollars, call now", "label": "spam"},
                {"text": "You have won 999 dollars: CALL NOW!", "label": "spam"},
                {"text": f"The minutes of {name}", "label": "ham"},
            ],
        )
    assert len(read(tmp_path)) == 3


def test_bodies_without_letters_are_told_apart_by_their_subjects():
    assert fingerprint(Message(subject="one", text="1")) != fingerprint(
        Message(subject="two", text="1")
    )


def test_equal_bodies_always_fall_into_the_same_split():
    groups = [fingerprint(Message(text=f"letter number {'x' * n}")) for n in range(400)]
    splits = [choose_split("", group, has_train=False) for group in groups]
    assert splits == [choose_split("", group, has_train=False) for group in groups]
    assert 5 <= splits.count("validation") <= 40


def test_what_a_corpus_keeps_for_testing_is_never_trained_on(tmp_path):
    rows = [
        {"text": f"opinion {'abcdefgh'[n % 8]}{'xyz'[n % 3]}q{chr(97 + n)}", "label": "neutral",
         "split": "test" if n % 2 else "val"}
        for n in range(20)
    ]  # fmt: skip
    write_lines(tmp_path, "tweets", rows)
    splits = {each.texts[0][-1]: each.split for each in read(tmp_path)}
    assert all((splits[chr(97 + n)] == "test") == bool(n % 2) for n in range(20))


def test_a_limit_holds_per_corpus_and_label(tmp_path):
    rows = [
        {"text": f"letter of {chr(97 + n % 26)}{chr(97 + n // 26)}", "label": label}
        for n in range(100)
        for label in ("spam", "ham")
        if n % 2 == (label == "spam")
    ]
    write_lines(tmp_path, "notes", rows)
    examples = read(tmp_path, Plan(512, limit=7))
    trained = [each for each in examples if each.split == "train"]
    assert sorted(each.labels["spam"] for each in trained) == ["ham"] * 7 + ["spam"] * 7


def test_a_limit_leaves_all_that_a_corpus_keeps_for_testing(tmp_path):
    rows = [
        {"text": f"letter of {chr(97 + n % 26)}{chr(97 + n // 26)}", "label": "neutral",
         "split": "train" if n % 2 else "test"}
        for n in range(60)
    ]  # fmt: skip
    write_lines(tmp_path, "notes", rows)
    splits = [each.split for each in read(tmp_path, Plan(512, limit=7))]
    assert (splits.count("train"), splits.count("test")) == (7, 30)


def test_a_cut_parts_a_corpus_by_the_day_of_arrival_and_no_other(tmp_path):
    folder = tmp_path / "lists" / "ham"
    folder.mkdir(parents=True)
    for number, year in enumerate(("2020", "2021", "2022", "2023")):
        letters = chr(97 + number) * 9
        (folder / f"{number}.eml").write_text(
            f"Date: Tue, 4 Jan {year} 10:00:00 +0000\nSubject: {year}\n\nabout {letters}\n"
        )
    (folder / "9.eml").write_text("Subject: undated\n\nabout qqqqqqqqq\n")
    write_lines(tmp_path, "notes", [{"text": "some other letter", "label": "ham"}])
    plan = Plan(512, cut=("lists", "2022-01-01"), variants=0)
    found = [
        sorted(each.texts[0].split("\n")[0] for each in read(tmp_path, chosen))
        for chosen in (plan, replace(plan, only=("lists",), after_cut=True))
    ]
    assert found == [["2020", "2021", "some other letter"], ["2022", "2023"]]


def test_a_mail_whose_label_is_known_to_be_wrong_is_left_out(tmp_path, monkeypatch):
    rows = [{"text": f"letter of {'x' * n}", "label": "spam"} for n in range(9, 12)]
    write_lines(tmp_path, "notes", rows)
    wrong = fingerprint(message_from_fields("", "", rows[1]["text"]))
    listed = tmp_path / "listed.tsv"
    listed.write_text(f"corpus\tfingerprint\twhat it is\nnotes\t{wrong}\ta bounce\n")
    monkeypatch.setattr(dataset, "LEFT_OUT", listed)
    load_left_out.cache_clear()
    try:
        found = {each.group for each in read(tmp_path)}
    finally:
        load_left_out.cache_clear()
    assert len(found) == 2
    assert wrong not in found


def test_the_list_of_wrong_labels_names_corpora_that_train():
    assert {corpus for corpus, _ in load_left_out()} <= set(dataset.SHARES)


def test_only_training_examples_get_variants(tmp_path):
    rows = [
        {"text": f"letter of {'abcdefghij'[n % 10] * (1 + n)}", "label": "ham"} for n in range(60)
    ]
    write_lines(tmp_path, "notes", rows)
    for each in read(tmp_path):
        assert len(each.texts) == (3 if each.split == "train" else 1)


def test_the_digest_knows_the_data_and_not_its_order(tmp_path):
    write_lines(
        tmp_path, "notes", [{"text": f"letter {'x' * n}", "label": "ham"} for n in range(9)]
    )
    examples = read(tmp_path)
    assert digest(examples) == digest(examples[::-1])
    assert digest(examples) != digest(examples[1:])


def test_examples_come_back_from_disk_as_they_went(tmp_path):
    write_lines(tmp_path, "notes", [{"text": "caf\u00e9 \U0001f600 \ud83d", "label": "ham"}])
    examples = read(tmp_path)
    save_examples(tmp_path / "examples.out", examples)
    assert load_examples(tmp_path / "examples.out") == examples


def test_a_corpus_to_leave_out_must_exist(tmp_path):
    write_lines(tmp_path, "notes", [{"text": "hello there", "label": "ham"}])
    with pytest.raises(CorporaError, match="no corpus 'letters' in it"):
        read(tmp_path, Plan(512, exclude=("letters",)))


def test_a_corpus_left_out_is_not_read(tmp_path):
    write_lines(tmp_path, "notes", [{"text": "hello there", "label": "ham"}])
    write_lines(tmp_path, "other", [{"text": "good day to you", "label": "ham"}])
    examples = read(tmp_path, Plan(512, exclude=("notes",)))
    assert [each.corpus for each in examples] == ["other"]


CAMPAIGN = (
    "Dear {}, your account was used from a new place this morning and we have locked it for your "
    "safety. Open it again with the button below and confirm the card that you pay with, or the "
    "account will be closed for good and the rest of your balance sent to the address we hold."
)


def test_one_campaign_with_many_names_is_read_once_whatever_the_corpus(tmp_path):
    for name, names in (("first", ("Ann", "Ben")), ("second", ("Cem", "Dora"))):
        write_lines(
            tmp_path, name, [{"text": CAMPAIGN.format(who), "label": "spam"} for who in names]
        )
    assert len(read(tmp_path)) == 1


def test_what_was_seen_is_not_read_again_for_judging(tmp_path):
    write_lines(tmp_path, "first", [{"text": CAMPAIGN.format("Ann"), "label": "spam"}])
    rows = [CAMPAIGN.format("Ben"), "The minutes of the meeting of the harbour board on Tuesday"]
    write_lines(tmp_path, "second", [{"text": text, "label": "spam"} for text in rows])
    seen = Seen()
    read_examples(tmp_path, Plan(512, only=("first",)), lambda *_: None, seen)
    plan = Plan(512, only=("second",), by_share=False, variants=0)
    (left,) = read_examples(tmp_path, plan, lambda *_: None, seen)
    assert left.texts[0].startswith("The minutes")


def test_variants_are_made_by_the_changes_of_the_plan_alone(tmp_path):
    rows = [
        {"text": f"letter of {'abcdefghij'[n % 10] * (1 + n)}", "label": "ham"} for n in range(30)
    ]
    write_lines(tmp_path, "notes", rows)
    assert all(len(set(each.texts)) == 1 for each in read(tmp_path, Plan(512, changes=())))
    assert any(len(set(each.texts)) > 1 for each in read(tmp_path))
