import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.model.encoder import softmax
from trainer.dataset import Example
from trainer.errors import TrainingError
from trainer.evaluate import (
    choose_threshold,
    class_figures,
    error_of_difference,
    fit_temperature,
    logistic_average,
    missed_area,
    recall_at,
    score_groups,
    score_tasks,
    spam_figures,
)
from trainer.gate import compare_graphs, refuse_unless_equal

NAMES = {"spam": ("ham", "spam"), "sentiment": ("negative", "neutral", "positive")}


def example(task, label, corpus="notes"):
    return Example(("text",), {task: label}, corpus, "validation", "00")


def test_the_missed_area_is_the_share_of_pairs_in_the_wrong_order():
    scores, is_spam = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
    assert missed_area(scores, is_spam) == pytest.approx(25.0)


def test_one_class_alone_has_no_missed_area():
    assert missed_area(np.array([0.1, 0.2]), np.array([False, False])) is None


def test_recall_counts_spam_above_what_the_permitted_share_of_ham_reaches():
    ham, spam = np.linspace(0, 0.999, 1000), np.array([0.9975, 0.9985, 0.5, 1.0])
    scores, is_spam = np.concatenate([ham, spam]), np.arange(1004) >= 1000
    assert recall_at(scores, is_spam, 0.001) == 0.5  # one ham of 1,000 may be above
    assert recall_at(scores, is_spam, 0.005) == 0.75


def test_the_logistic_average_lies_between_both_shares_and_nearer_the_smaller():
    # 1% and 10%: odds of 1:99 and 1:9 have 1:29.8 between them, or 3.2%; halves are added.
    assert logistic_average(10, 1000, 100, 1000) == pytest.approx(3.33, abs=0.01)


def test_as_many_times_fewer_mistakes_of_either_kind_are_worth_the_same():
    fewer_blamed = logistic_average(10, 100_000, 1000, 100_000)
    fewer_missed = logistic_average(100, 100_000, 100, 100_000)
    assert fewer_blamed == pytest.approx(fewer_missed, rel=0.05)


@pytest.mark.parametrize("mistakes", [(0, 0), (100, 100), (0, 100)])
def test_no_mistake_and_nothing_but_mistakes_have_a_logistic_average(mistakes):
    blamed, missed = mistakes
    assert 0 < logistic_average(blamed, 100, missed, 100) < 100


def test_without_mistakes_more_mail_says_more():
    assert logistic_average(0, 1000, 0, 1000) < logistic_average(0, 100, 0, 100)


def test_one_class_alone_has_no_logistic_average():
    assert logistic_average(0, 100, 0, 0) is None


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=50),
    st.lists(st.floats(0, 1), max_size=50),
)
def test_the_threshold_is_always_within_its_bounds(ham, spam):
    scores = np.array([*ham, *spam])
    is_spam = np.arange(len(scores)) >= len(ham)
    assert 0.5 <= choose_threshold(scores, is_spam) <= 0.99


def test_of_many_hams_as_many_as_may_be_are_above_the_threshold():
    ham = np.random.default_rng(0).uniform(0, 0.9, 5000)
    threshold = choose_threshold(ham, np.zeros(5000, dtype=np.bool_))
    assert 1 <= (ham >= threshold).sum() <= 5


@pytest.mark.parametrize("seed", range(5))
def test_of_few_hams_the_threshold_lies_where_the_thousandth_would(seed):
    odds = np.random.default_rng(seed).exponential(0.5, 400) - 1
    wanted = 0.5 * np.log(1000) - 1  # the log odds that one in a thousand exceeds
    found = choose_threshold(1 / (1 + np.exp(-odds)), np.zeros(400, dtype=np.bool_))
    assert np.log(found / (1 - found)) == pytest.approx(wanted, abs=0.9)
    assert found > (1 / (1 + np.exp(-odds))).max()


def test_two_hams_are_both_below_the_threshold():
    scores = np.array([0.1, 0.7, 0.9, 0.99])
    assert choose_threshold(scores, np.array([False, False, True, True])) > 0.7


def test_temperature_finds_by_how_much_logits_boast():
    chance = np.random.default_rng(0)
    honest = chance.normal(0, 2, (4000, 3))
    draws = chance.random(4000)
    labels = (softmax(honest).cumsum(axis=1) < draws[:, None]).sum(axis=1)
    assert fit_temperature(honest * 2.5, labels) == pytest.approx(2.5, rel=0.1)


def test_figures_of_a_task_without_examples_are_none_and_not_an_error():
    empty = class_figures(np.zeros((0, 3)), np.zeros(0, dtype=np.int64), NAMES["sentiment"])
    assert (empty["count"], empty["accuracy"], empty["macro_f1"]) == (0, None, None)


def test_a_corpus_of_two_classes_is_judged_by_its_two():
    logits = np.array([[2.0, 1, 0], [0, 1, 2.0]])
    found = class_figures(logits, np.array([0, 2]), NAMES["sentiment"])
    assert found["macro_f1"] == 1.0


def test_mistakes_of_both_kinds_are_counted_at_the_threshold():
    found = spam_figures(
        np.array([0.2, 0.8, 0.6, 0.9]), np.array([False, False, True, True]), threshold=0.7
    )
    assert (found["false_positives"], found["false_negatives"]) == (1, 1)
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)


def test_each_task_is_scored_on_the_examples_that_know_it():
    examples = [
        example("spam", "spam"),
        example("spam", "ham", "letters"),
        example("sentiment", "neutral"),
    ]
    logits = {
        "spam": np.array([[0, 3.0], [3.0, 0], [9.0, 0]]),
        "sentiment": np.array([[9.0, 0, 0], [9.0, 0, 0], [0, 3.0, 0]]),
    }
    found = score_tasks(NAMES, logits, examples)
    assert found["spam"]["one_minus_roca_percent"] == 0.0
    assert (found["spam"]["ham"], found["spam"]["spam"]) == (1, 1)
    assert sorted(found["spam"]["corpora"]) == ["letters", "notes"]
    assert found["sentiment"]["accuracy"] == 1.0
    assert found["objective"] == 2.0


def test_figures_of_a_group_are_of_its_examples_alone():
    examples = [example("spam", "spam"), example("spam", "ham"), example("spam", "ham")]
    logits = {"spam": np.array([[0, 3.0], [0, 3.0], [3.0, 0]]), "sentiment": np.zeros((3, 3))}
    found = score_groups(NAMES, logits, examples, ["de", "de", "en"])
    assert list(found) == ["spam"]
    assert {name: figures["accuracy"] for name, figures in found["spam"].items()} == {
        "de": 0.5,
        "en": 1.0,
    }


def test_the_error_of_a_difference_is_what_chance_makes_of_it():
    chance = np.random.default_rng(1)
    differences, errors = [], []
    for _ in range(300):
        is_spam = np.arange(120) % 3 == 0
        common = chance.normal(is_spam * 1.5, 1)
        first, second = (common + chance.normal(0, 0.5, 120) for _ in range(2))
        areas = [missed_area(scores, is_spam) / 100 for scores in (first, second)]
        differences.append(areas[0] - areas[1])
        errors.append(error_of_difference(first, second, is_spam))
    assert np.std(differences) == pytest.approx(np.mean(errors), rel=0.15)


def test_scores_that_are_alike_have_no_error_and_one_text_has_none():
    scores, is_spam = np.array([0.1, 0.2, 0.3, 0.4]), np.array([False, True, False, True])
    assert error_of_difference(scores, scores, is_spam) == 0.0
    assert error_of_difference(scores[:3], scores[:3], is_spam[:3]) is None


def graphs(moved):
    labels = ["ham", "spam"] * 100
    examples = [example("spam", label) for label in labels]
    full = np.array([[1.0, -1.0] if label == "ham" else [-1.0, 1.0] for label in labels])
    int8 = full.copy()
    int8[:moved] *= -1
    return compare_graphs(
        {"spam": NAMES["spam"]}, {"spam": full}, {"spam": int8}, examples, (1.0, 0.5)
    )


def test_a_graph_that_decides_alike_passes():
    comparison = graphs(moved=0)
    assert comparison["same_decisions"]["spam"] == 1.0
    assert comparison["compared"] == {"spam": 200}
    refuse_unless_equal(comparison)


def test_a_graph_that_lost_accuracy_is_refused():
    with pytest.raises(TrainingError, match="AUC 0.98000, full precision has 1"):
        refuse_unless_equal(graphs(moved=4))


def test_a_graph_that_moves_verdicts_is_refused():
    comparison = {"auc": {"fp32": 0.99, "int8": 0.99}, "same_decisions": {"spam": 0.994}}
    with pytest.raises(TrainingError, match=r"changes 0.60% of the verdicts"):
        refuse_unless_equal(comparison)
