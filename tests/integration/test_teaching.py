"""Labels on their way from the database to the learner: in order, at once, and out again."""

import contextlib
import threading
import time
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lessons import evidence
from store_records import make_record

from filterd.errors import StoreError
from filterd.learner.features import pack
from filterd.learner.site import clues_of
from filterd.store.changes import LabelWait, change_mark
from filterd.store.labels import add_label, undo_label
from filterd.store.lessons import decided_labels, labelled_mails, new_lessons
from filterd.store.messages import write_batch
from filterd.store.scores import write_scores
from filterd.teaching import SiteWatch, lessons_of, open_learner

pytest_plugins = ("store_fixtures",)

MAILS = 6
PATIENCE = 10.0
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
PEOPLE = ("ann", "bob", "carol")
PROBES = [clues_of(evidence(number, kind)) for number in (1, 50) for kind in ("watch", "minute")]


def record_of(number, **changes):
    """The number-th mail, watches and minutes by turns, as the daemon records it."""
    found = evidence(number, ("watch", "minute")[number % 2])
    values = {"text": found.text, "head": pack(found.head), "helo": "", "client_address": ""}
    return make_record(number, **values | changes)


def say(database, number, label, by="ann", task="spam"):
    return add_label(database, make_record(number).id, task, label, by, "cli")


@pytest.fixture
def mail(database):
    write_batch(database, [record_of(number) for number in range(MAILS)])
    return database


def lessons(database):
    found = decided_labels(database, "spam", change_mark(database).labels)
    return [(one.label_id, int(one.message_id), one.label, one.by) for one in found]


def opinions(learner):
    return [learner.judge(0.4, clues, NOW).spam for clues in PROBES]


# What counts, and in which order


def test_a_lesson_is_numbered_by_the_row_that_decides_it(mail):
    say(mail, 1, "spam", "ann")
    say(mail, 2, "ham", "ann")
    say(mail, 1, "ham", "bob")
    say(mail, 1, "ham", "carol")
    assert lessons(mail) == [(2, 2, "ham", "ann"), (3, 1, "ham", "bob")]


def test_labels_of_other_tasks_are_no_lessons(mail):
    say(mail, 1, "negative", task="sentiment")
    assert lessons(mail) == []


def test_new_labels_of_mails_without_one_add_lessons(mail):
    say(mail, 1, "spam")
    mark = change_mark(mail).labels
    say(mail, 3, "ham")
    say(mail, 2, "spam")
    added = new_lessons(mail, "spam", mark, change_mark(mail).labels)
    assert [(int(one.message_id), one.label) for one in added] == [(3, "ham"), (2, "spam")]


def test_who_agrees_changes_nothing(mail):
    say(mail, 1, "spam", "ann")
    mark = change_mark(mail).labels
    say(mail, 1, "spam", "bob")
    assert new_lessons(mail, "spam", mark, change_mark(mail).labels) == []


def test_a_label_that_is_changed_or_undone_changes_earlier_lessons(mail):
    first = say(mail, 1, "spam", "ann")
    mark = change_mark(mail).labels
    say(mail, 1, "ham", "ann")
    assert new_lessons(mail, "spam", mark, change_mark(mail).labels) is None
    mark = change_mark(mail).labels
    undo_label(mail, first.id + 1, "ann", "cli")
    assert new_lessons(mail, "spam", mark, change_mark(mail).labels) is None


def test_a_label_given_and_undone_between_two_looks_is_nothing(mail):
    undo_label(mail, say(mail, 1, "spam").id, "ann", "cli")
    assert new_lessons(mail, "spam", 0, change_mark(mail).labels) == []


def test_a_mail_whose_text_is_not_kept_teaches_nothing(database):
    write_batch(database, [record_of(1, text=None), record_of(2, head=None), record_of(3)])
    for number in (1, 2, 3):
        say(database, number, "spam")
    found = labelled_mails(database, decided_labels(database, "spam", 3))
    assert [int(one.decided.message_id) for one in found] == [3]


def test_a_damaged_record_teaches_nothing_and_the_others_do(database):
    write_batch(database, [record_of(1, head=b"damaged"), record_of(2, scores={}), record_of(3)])
    for number in (1, 2, 3):
        say(database, number, "spam")
    assert open_learner(database).labels == 1


# The watch


def test_a_label_changes_the_opinion_of_mail_like_it_and_undo_changes_it_back(mail):
    watch = SiteWatch(mail)
    before = opinions(watch.learner)
    label = say(mail, 1, "spam")
    assert watch.look()
    assert max(opinions(watch.learner)) > 0.99
    undo_label(mail, label.id, "ann", "cli")
    assert watch.look()
    assert opinions(watch.learner) == before == [0.4] * len(PROBES)


def test_without_news_there_is_nothing_to_learn(mail):
    watch = SiteWatch(mail)
    assert not watch.look()
    say(mail, 1, "spam")
    assert watch.look()
    assert not watch.look()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_is_labelled_and_undone_the_watch_knows_what_a_new_start_would(
    sqlite_database, data
):
    database = sqlite_database
    write_batch(database, [record_of(number) for number in range(MAILS)])
    watch = SiteWatch(database)
    given_labels = []
    for _ in range(data.draw(st.integers(1, 25), label="steps")):
        if given_labels and data.draw(st.booleans(), label="undo"):
            number = given_labels.pop(data.draw(st.integers(0, len(given_labels) - 1)))
            with contextlib.suppress(StoreError):  # replaced by the person's later label
                undo_label(database, number, "ann", "cli")
        else:
            label = say(
                database,
                data.draw(st.integers(0, MAILS - 1), label="mail"),
                data.draw(st.sampled_from(("spam", "ham")), label="label"),
                data.draw(st.sampled_from(PEOPLE), label="by"),
            )
            given_labels.append(label.id)
        if data.draw(st.booleans(), label="look"):
            watch.look()
    watch.look()
    anew = open_learner(database)
    assert opinions(watch.learner) == opinions(anew)
    assert watch.learner.labels == anew.labels


@pytest.fixture
def running(mail):
    """A watch that runs, and an event that is set at each change."""
    changed = threading.Event()
    watch = SiteWatch(mail, changed=lambda _: changed.set())
    watch.start()
    yield mail, watch, changed
    watch.close()


def test_a_running_watch_learns_within_a_second(running):
    database, watch, changed = running
    say(database, 1, "spam")
    assert changed.wait(PATIENCE)
    changed.clear()
    started = time.monotonic()
    say(database, 3, "ham")
    assert changed.wait(PATIENCE)
    assert time.monotonic() - started < 1.0
    assert watch.learner.labels == 2


def test_postgresql_says_so_by_itself(postgres_url):
    from filterd.store.database import open_database
    from filterd.store.schema import upgrade

    database = open_database(postgres_url)
    upgrade(database)
    write_batch(database, [record_of(1)])
    wait, never = LabelWait(database), threading.Event()
    wait.wait(never)  # begins to listen, and returns so that what came before is found
    threading.Timer(0.2, say, (database, 1, "spam")).start()
    started = time.monotonic()
    wait.wait(never)
    assert time.monotonic() - started < 2.0  # not the five seconds after which it looks anyway
    assert change_mark(database).labels == 1
    wait.close()
    database.close()


def test_a_database_that_fails_is_said_once_and_then_learnt_from(mail, monkeypatch, caplog):
    failures = iter([OSError("gone"), OSError("gone")])
    watch = SiteWatch(mail)
    real, learnt = watch.look, threading.Event()

    def look():
        for error in failures:
            raise error
        found = real()
        learnt.set()
        return found

    monkeypatch.setattr(watch, "look", look)
    monkeypatch.setattr("filterd.teaching.PAUSE_AFTER_ERROR", 0.01)
    say(mail, 1, "spam")
    watch.start()
    assert learnt.wait(PATIENCE)
    watch.close()
    assert watch.learner.labels == 1


def test_labels_that_could_not_all_be_read_are_not_learnt_twice(mail, monkeypatch):
    say(mail, 1, "spam")
    watch = SiteWatch(mail)
    watch.look()
    say(mail, 2, "ham")
    say(mail, 3, "spam")

    def broken(database, decided, version):
        yield from list(lessons_of(database, decided, version))[:1]
        raise StoreError("gone")

    with monkeypatch.context() as patched:
        patched.setattr("filterd.teaching.lessons_of", broken)
        with pytest.raises(StoreError):
            watch.look()
    assert watch.learner.labels == 1
    watch.look()
    assert watch.learner.labels == 3
    assert opinions(watch.learner) == opinions(open_learner(mail))


# Another bundle

OLD, NEW = "2026-11-23.1", "2026-11-24.1"
SOON = 0.05  # seconds


def id_of(number):
    return make_record(number).id


def berts(database, version):
    """What the BERT gives each labelled mail, for the learner of a bundle."""
    found = decided_labels(database, "spam", change_mark(database).labels)
    return {lesson.label_id: lesson.bert for lesson in lessons_of(database, found, version)}


def test_a_mail_counts_by_what_the_serving_bundle_gives_it(mail):
    say(mail, 1, "spam")
    write_scores(mail, NEW, {id_of(1): 0.75})
    assert berts(mail, NEW) == {1: 0.75}
    assert berts(mail, OLD) == {1: 0.02}


def test_a_mail_that_was_never_judged_anew_counts_by_what_it_got_when_it_came(mail):
    say(mail, 1, "spam")
    say(mail, 2, "ham")
    write_scores(mail, NEW, {id_of(2): 0.75})
    assert berts(mail, NEW) == {1: 0.02, 2: 0.75}


def test_a_mail_that_the_bert_was_spared_counts_by_what_a_later_bundle_gives_it(database):
    write_batch(database, [record_of(1, scores=None)])
    say(database, 1, "spam")
    assert berts(database, NEW) == {1: 0.5}
    write_scores(database, NEW, {id_of(1): 0.75})
    assert berts(database, NEW) == {1: 0.75}


class Served:
    """A site whose two bundles are at odds about the labelled mail, and its watch."""

    def __init__(self, database):
        self.database = database
        self.version = OLD
        self.watch = SiteWatch(database, serving=lambda: self.version)
        for number in range(MAILS):
            say(database, number, ("spam", "ham")[number % 2])
        write_scores(database, NEW, {id_of(number): number % 2 for number in range(MAILS)})

    def anew(self, version):
        return opinions(open_learner(self.database, version))


@pytest.fixture
def served(mail):
    served = Served(mail)
    yield served
    served.watch.close()


def test_the_learner_is_that_of_the_bundle_that_serves(served):
    served.watch.look()
    assert opinions(served.watch.learner) == served.anew(OLD)
    served.version = NEW
    served.watch.look()
    assert opinions(served.watch.learner) == served.anew(NEW)
    assert served.anew(NEW) != served.anew(OLD)


def test_a_learner_is_prepared_beside_the_one_in_use(served):
    served.watch.start()
    assert served.watch.prepare(NEW, PATIENCE)
    assert opinions(served.watch.learner) == served.anew(OLD)
    assert opinions(served.watch.learner_for(OLD)) == served.anew(OLD)
    assert opinions(served.watch.learner_for(NEW)) == served.anew(NEW)


def test_mail_of_the_bundle_before_keeps_its_learner_until_it_is_judged(served):
    served.watch.start()
    served.watch.prepare(NEW, PATIENCE)
    served.version = NEW
    served.watch.look()
    assert opinions(served.watch.learner_for(OLD)) == served.anew(OLD)


def test_a_learner_that_judges_no_mail_any_more_is_let_go(served, monkeypatch):
    monkeypatch.setattr("filterd.teaching.SECONDS_IN_FLIGHT", 0.0)
    served.watch.look()
    served.version = NEW
    served.watch.look()
    # What nobody has is answered by the one that serves.
    assert served.watch.learner_for(OLD) is served.watch.learner


def test_while_a_bundle_has_no_learner_that_of_the_one_before_is_used(served):
    served.watch.look()
    assert served.watch.learner_for(NEW) is served.watch.learner


def test_labels_between_preparing_and_swapping_are_in_both_learners(served):
    served.watch.start()
    served.watch.prepare(NEW, PATIENCE)
    say(served.database, 0, "ham", "bob")
    say(served.database, 0, "ham", "carol")
    assert served.watch.prepare(NEW, PATIENCE)
    assert opinions(served.watch.learner_for(OLD)) == served.anew(OLD)
    assert opinions(served.watch.learner_for(NEW)) == served.anew(NEW)


def test_a_rollback_at_once_finds_the_labels_given_meanwhile(served):
    served.watch.look()
    served.version = NEW
    served.watch.look()
    say(served.database, 0, "ham", "bob")
    say(served.database, 0, "ham", "carol")
    served.watch.look()
    served.watch.start()
    assert served.watch.prepare(OLD, PATIENCE)
    assert opinions(served.watch.learner_for(OLD)) == served.anew(OLD)


def test_preparing_ends_when_its_time_is_up_and_the_learner_comes_later(served, monkeypatch):
    real, broken = served.watch.look, threading.Event()
    broken.set()

    def look():
        if broken.is_set():
            raise StoreError("gone")
        return real()

    monkeypatch.setattr(served.watch, "look", look)
    monkeypatch.setattr("filterd.teaching.PAUSE_AFTER_ERROR", 0.01)
    served.watch.start()
    assert not served.watch.prepare(NEW, SOON)
    served.version = NEW
    broken.clear()
    assert served.watch.prepare(NEW, PATIENCE)
    assert opinions(served.watch.learner_for(NEW)) == served.anew(NEW)


def test_whoever_waits_for_a_learner_is_let_go_at_the_end(served):
    waited = []
    waiting = threading.Thread(target=lambda: waited.append(served.watch.prepare(NEW, 60)))
    waiting.start()  # the watch does not run: nobody makes the learner
    served.watch.close()
    waiting.join(PATIENCE)
    assert waited == [False]


def test_labels_and_undos_go_on_after_a_swap(served):
    served.watch.look()
    served.version = NEW
    served.watch.look()
    label = say(served.database, 1, "spam", "bob")
    served.watch.look()
    assert opinions(served.watch.learner) == served.anew(NEW)
    undo_label(served.database, label.id, "bob", "cli")
    served.watch.look()
    assert opinions(served.watch.learner) == served.anew(NEW)
