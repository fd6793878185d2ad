import pytest
from lessons import evidence

from filterd.learner.site import clues_of
from trainer.feedback import Feedback
from trainer.lessons import Lessons


def run(feedback, count, bert=0.5):
    """Spams and hams by turns, to which the BERT gives `bert`: what they got, and what was told."""
    lessons = Lessons(feedback, count, threshold=0.9)
    kinds = (("watch", "spam"), ("minute", "ham"))
    return [
        lessons.take(bert, clues_of(evidence(number, kind)), label)
        for number, (kind, label) in ((number, kinds[number % 2]) for number in range(count))
    ]


def test_immediately_each_label_is_told_and_helps():
    found = run(Feedback("immediate"), 60)
    assert all(taught for _, taught in found)
    assert found[0][0] == 0.5
    assert [spam > 0.5 for spam, _ in found[20:]] == [True, False] * 20


def test_a_delayed_label_helps_no_mail_before_its_time():
    found = run(Feedback("delayed", 30), 60)
    assert [spam for spam, _ in found[:31]] == [0.5] * 31
    assert [spam > 0.5 for spam, _ in found[50:]] == [True, False] * 5
    assert [taught for _, taught in found] == [True] * 30 + [False] * 30


def test_no_more_labels_are_asked_for_than_there_may_be():
    assert sum(taught for _, taught in run(Feedback("active", 1), 60)) == 1
    assert 1 < sum(taught for _, taught in run(Feedback("active", 9), 60)) <= 9


@pytest.mark.parametrize("spam", [0.0, 0.001, 0.999, 1.0])
def test_nothing_is_asked_where_the_bert_is_sure(spam):
    assert run(Feedback("active", 50), 20, spam) == [(spam, False)] * 20
