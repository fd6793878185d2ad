"""What a night learns from, out of the records and labels of a site."""

from datetime import timedelta

import pytest
from store_records import MORNING, make_record

from filterd.learner.local import log_odds, probability
from filterd.learner.site import Opinion
from filterd.store.labels import add_label, undo_label
from filterd.store.messages import write_batch
from trainer.corpora import SPAM
from trainer.site_data import (
    LABELLED,
    LETTERS,
    REPLAYED,
    DataRule,
    gather,
    held_recent,
    load_data,
    new_tasks,
    only_known,
    save_data,
    spam_among,
    too_little,
)
from trainer.trust import Trust

pytest_plugins = ("store_fixtures",)
pytestmark = pytest.mark.trainer

NOW = MORNING + timedelta(days=20)
WORDS = [
    "".join(chr(97 + (number // 26**place) % 26) for place in range(3)) + "ing"
    for number in range(17_000)
]


def text(number, of=None):
    """A text of its own, or one nearly the same as that of `of`."""
    base = (number if of is None else of) * 30
    words = [*WORDS[base : base + 30], WORDS[number]]
    return f"subject {WORDS[number]}\nfrom: someone\n\n{' '.join(words)}"


def mail(number, *, day=1, **changes):
    values = {
        "text": text(number),
        "digest": f"{number * 7919:016x}" * 4,
        "received_at": MORNING + timedelta(days=day, seconds=number),
        "from_address": f"person{number}@host{number}.example",
    }
    return make_record(number, **values | changes)


@pytest.fixture
def site(database):
    """Forty mails of the second day; twenty are labelled by ann, ten of them corrections."""
    write_batch(database, [mail(number) for number in range(40)])
    for number in range(20):
        add_label(database, mail(number).id, "spam", ("ham", "spam")[number % 2], "ann", "slack")
    return database


def data_of(database, **rule):
    values = {"trust": Trust(), "replay": 100, "labeller_cap": 0.5, "sender_cap": 0.5}
    return gather(database, DataRule(**values | rule), NOW)


def of_corpus(data, corpus):
    return [each for each in data.examples if each.corpus == corpus]


def test_labels_train_and_unlabelled_mail_is_replayed_without_a_label(site):
    data = data_of(site)
    assert len(data.mails) + len(data.corrected) + len(data.newest) == 20
    assert len(of_corpus(data, REPLAYED)) == 20
    assert all(each.labels == {} for each in of_corpus(data, REPLAYED))
    assert len(of_corpus(data, LABELLED)) == len(data.mails)
    assert of_corpus(data, LETTERS)
    assert too_little(data) is None


def test_what_the_site_believes_is_taught_and_counted_where_nobody_labelled(site):
    def opinion_on(record):
        is_spam = record.id in {mail(number).id for number in range(20, 30)}
        return Opinion(0.995, 0.5, anchor=2.0) if is_spam else None

    rule = DataRule(Trust(), 100, 0.5, 0.5, threshold=0.99)
    data = gather(site, rule, NOW, opinion_on)
    beliefs = {each.texts[0]: each.belief for each in of_corpus(data, REPLAYED)}
    taught = probability(log_odds(0.995) - 2.0)
    assert [beliefs[text(number)] for number in range(20, 30)] == [taught] * 10
    assert [beliefs[text(number)] for number in range(30, 40)] == [None] * 10
    assert all(each.belief is None for each in of_corpus(data, LABELLED))
    replayed = of_corpus(data, REPLAYED)
    assert (len(replayed), spam_among(data, replayed)) == (20, 10)
    assert all(each in replayed for each in held_recent(data))


def test_a_correction_is_read_more_often(site):
    data = data_of(site)
    repeats = {mail.is_correction: mail.example.repeat for mail in data.mails}
    assert repeats == {False: 1, True: 3}


def test_what_was_undone_and_what_is_disputed_does_not_train(site):
    first = add_label(site, mail(30).id, "spam", "spam", "ann", "slack")
    undo_label(site, first.id, "ann", "slack")
    add_label(site, mail(0).id, "spam", "spam", "bob", "slack")
    data = data_of(site)
    used = {one.id for one in data.mails + data.corrected + data.newest}
    assert mail(30).id not in used
    assert mail(0).id not in used
    assert {(id_, by, why) for id_, by, why in data.left_out} == {
        (mail(0).id, "ann", "disputed"),
        (mail(0).id, "bob", "disputed"),
    }


def test_the_newest_labels_are_held_out_forward_in_time(site):
    write_batch(site, [mail(number, day=18) for number in range(50, 60)])
    for number in range(50, 60):
        add_label(site, mail(number).id, "spam", "ham", "ann", "slack")
    data = data_of(site)
    assert {one.id for one in data.newest} == {mail(number).id for number in range(54, 60)}
    assert max(one.received_at for one in data.mails) < min(one.received_at for one in data.newest)


def test_a_campaign_never_stands_on_both_sides(site):
    copies = [mail(100 + number, text=text(100 + number, of=number % 20)) for number in range(60)]
    write_batch(site, copies)
    for number, copy in enumerate(copies):
        add_label(site, copy.id, "spam", ("ham", "spam")[number % 2], "ann", "slack")
    data = data_of(site)
    sides = [
        {one.example.group for one in side} for side in (data.mails, data.corrected, data.newest)
    ]
    assert sides[0]
    assert sides[1]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    # Nor is an unlabelled copy replayed as what the champion wrongly said of it.
    labelled = {text(number) for number in range(20)}
    assert not labelled & {each.texts[0] for each in of_corpus(data, REPLAYED)}


def test_nobodys_share_exceeds_the_cap(site):
    data = data_of(site, labeller_cap=0.005)
    total = len(data.mails) + len(of_corpus(data, REPLAYED)) + len(of_corpus(data, LETTERS))
    assert len(data.mails) <= max(1, 0.006 * total)
    assert {why for _, _, why in data.left_out} == {"labeller cap"}


def test_too_few_labels_of_one_kind_are_no_reason_to_train(database):
    write_batch(database, [mail(number) for number in range(20)])
    for number in range(20):
        add_label(database, mail(number).id, "spam", "spam", "ann", "slack")
    assert too_little(data_of(database)).startswith("too few labels of one kind: ")


def test_a_mail_whose_text_is_gone_teaches_nothing(site):
    write_batch(site, [mail(70, text=None, head=None)])
    add_label(site, mail(70).id, "spam", "spam", "ann", "slack")
    assert mail(70).id not in {one.id for one in data_of(site).mails}


def test_a_run_that_goes_on_has_the_same_data(site, tmp_path):
    data = data_of(site)
    save_data(tmp_path / "data.json", data)
    assert load_data(tmp_path / "data.json") == data


def test_sentiment_alone_trains_its_task(site):
    add_label(site, mail(35).id, "sentiment", "negative", "ann", "slack")
    data = data_of(site)
    (one,) = [each for each in data.mails + data.newest if each.id == mail(35).id]
    assert one.example.labels == {"sentiment": "negative"}
    assert SPAM not in one.example.labels
    assert not one.is_correction


def test_a_task_of_the_sites_own_needs_fifty_examples_of_each_label(database):
    write_batch(database, [mail(number) for number in range(165)])
    for number in range(165):
        label = ("billing", "delivery")[number % 2] if number < 162 else "rare"
        add_label(database, mail(number).id, "topic", label, "ann", "slack")
        add_label(database, mail(number).id, "spam", ("ham", "spam")[number % 2], "ann", "slack")
    data = data_of(database, labeller_cap=1.0)
    known = {"spam": ("ham", "spam")}
    assert new_tasks(data, known) == {"topic": ("billing", "delivery")}
    trimmed = only_known(data, known | new_tasks(data, known))
    said = {each.labels.get("topic") for each in trimmed.examples}
    assert said == {"billing", "delivery", None}
    assert new_tasks(data_of(database, sender_cap=0.0001, labeller_cap=0.02), known) == {}
