import io

import pytest

pytest.importorskip("torch")
pytest.importorskip("optuna")

from rich.console import Console

from trainer.errors import TrainingError
from trainer.finetune import Recipe
from trainer.search import Space, best_recipe, best_table, search

BASE = Recipe(seed=3)
SPACE = Space(epochs=(2, 2), batch=(16, 32), layers=(None, 3))


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


def closeness(recipe, report):
    """Best at a rate of 1e-4 without smoothing, whatever else."""
    return -abs(recipe.encoder_rate - 1e-4) * 1e4 - recipe.smoothing


@pytest.fixture
def storage(tmp_path):
    return tmp_path / "work" / "search.db"


def drawn(study):
    return [trial.params["rate"] for trial in study.trials]


def test_a_search_finds_better_recipes_than_its_first_draws(storage):
    study = search(closeness, 20, storage, 0, BASE, SPACE)
    values = [trial.value for trial in study.trials]
    assert max(values[10:]) > max(values[:10])
    assert study.best_value == max(values)


def test_what_is_tried_is_within_the_space_and_the_rest_is_the_base(storage):
    recipes = []

    def note(recipe, report):
        recipes.append(recipe)
        return 0.0

    search(note, 8, storage, 0, BASE, SPACE)
    assert {each.batch for each in recipes} <= {16, 32}
    assert {each.layers for each in recipes} <= {None, 3}
    assert all(3e-5 <= each.encoder_rate <= 4e-4 for each in recipes)
    assert all(each.head_rate == 5 * each.encoder_rate for each in recipes)
    assert all((each.seed, each.epochs, each.clip) == (3, 2, BASE.clip) for each in recipes)


def test_the_best_recipe_is_the_one_that_was_tried(storage):
    tried = {}

    def note(recipe, report):
        tried[closeness(recipe, report)] = recipe
        return closeness(recipe, report)

    study = search(note, 6, storage, 0, BASE, SPACE)
    assert best_recipe(study, BASE, SPACE) == tried[max(tried)]


def test_the_same_seed_draws_the_same_recipes(storage, tmp_path):
    first = search(closeness, 5, storage, 7, BASE, SPACE)
    assert drawn(search(closeness, 5, tmp_path / "other.db", 7, BASE, SPACE)) == drawn(first)


def test_a_search_given_again_does_only_what_is_left(storage):
    search(closeness, 4, storage, 0, BASE, SPACE)
    calls = []

    def note(recipe, report):
        calls.append(recipe)
        return 0.0

    study = search(note, 6, storage, 0, BASE, SPACE)
    assert len(calls) == 2
    assert len(set(drawn(study))) == 6  # nothing is drawn twice
    search(note, 6, storage, 0, BASE, SPACE)
    assert len(calls) == 2


def test_a_killed_search_tries_the_interrupted_recipe_again(storage):
    recipes = []

    def die_at_the_third(recipe, report):
        recipes.append(recipe)
        if len(recipes) == 3:
            raise Killed
        return closeness(recipe, report)

    with pytest.raises(Killed):
        search(die_at_the_third, 5, storage, 0, BASE, SPACE)
    study = search(die_at_the_third, 5, storage, 0, BASE, SPACE)
    assert recipes[3] == recipes[2]
    assert len(recipes) == 6  # five, and one of them twice
    assert "5 trials to the end, 0 given up, 0 failed" in shown(study)


def test_a_trial_that_falls_behind_is_given_up(storage):
    epochs = []

    def worse_each_time(recipe, report):
        figure = -len(epochs)
        epochs.append(0)
        for epoch in (1, 2, 3):
            epochs[-1] = epoch
            report(epoch, figure)
        return figure

    search(worse_each_time, 8, storage, 0, BASE, SPACE)
    assert epochs == [3, 3, 3, 3, 3, 2, 2, 2]  # five set the pace; none is judged by one epoch


def test_a_recipe_that_cannot_be_trained_fails_alone(storage):
    def fail_once(recipe, report):
        calls.append(recipe)
        if len(calls) == 1:
            raise TrainingError("the loss is no longer a number")
        return 1.0

    calls = []
    study = search(fail_once, 3, storage, 0, BASE, SPACE)
    assert len(calls) == 3
    assert "2 trials to the end, 0 given up, 1 failed" in shown(study)


def test_there_is_no_best_recipe_before_a_trial_has_ended(storage):
    study = search(closeness, 0, storage, 0, BASE, SPACE)
    with pytest.raises(TrainingError, match="no trial"):
        best_recipe(study, BASE, SPACE)


def test_the_table_begins_with_the_best(storage):
    study = search(closeness, 6, storage, 0, BASE, SPACE)
    rows = [line for line in shown(study).splitlines() if "32" in line or "16" in line]
    assert len(rows) == 6
    assert rows[0].split()[1] == str(study.best_trial.number)


def shown(study):
    text = io.StringIO()
    Console(file=text, width=160).print(best_table(study))
    return text.getvalue()
