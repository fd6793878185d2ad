"""Searching for a recipe: which settings give the best figure, by trials that learn from the last.

The trials are kept in an SQLite file, so that a search can be killed, gone on with and extended.
One process at a time may search in a file. What a trial measures is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import optuna
from optuna.trial import FixedTrial, TrialState
from rich.table import Table

from trainer.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from optuna.trial import BaseTrial, FrozenTrial, Trial

    from trainer.finetune import Recipe

    Report = Callable[[int, float], None]
    Objective = Callable[[Recipe, Report], float]

STUDY = "recipe"
AGAIN = "again"  # marks a trial that repeats an interrupted one
HEAD_RATE = 5  # of the encoder's; a head starts from nothing


@dataclass(frozen=True, slots=True)
class Space:
    """What is tried: (lowest, highest) of what is drawn between, else each value there is."""

    rate: tuple[float, float] = (3e-5, 4e-4)
    smoothing: tuple[float, float] = (0.0, 0.15)
    epochs: tuple[int, int] = (1, 4)
    batch: tuple[int, ...] = (16, 32, 64)
    max_tokens: tuple[int, ...] = (96, 128, 192, 256)
    layers: tuple[int | None, ...] = (None, 4, 3)
    average: tuple[float, ...] = (0.0, 0.99, 0.998)


def search(
    objective: Objective,
    trials: int,
    storage: Path,
    seed: int,
    base: Recipe,
    space: Space | None = None,
) -> optuna.Study:
    """Try recipes until there are `trials` of them in the storage; the study, to be asked.

    `objective` gets a recipe and returns its figure, higher is better. It may report(epoch,
    figure) as it goes, which ends trials that are worse than the median of those before. After a
    kill it gets the interrupted recipe again. A TrainingError of it fails that trial alone.

    Sources: Bergstra et al. 2011 for the Tree-structured Parzen Estimator; Golovin et al. 2017
    (Vizier) for the median rule.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # the table tells of trials that failed
    storage.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=STUDY,
        storage=f"sqlite:///{storage}",
        direction="maximize",
        # Recipes of several epochs still have a high rate after the first: too soon to judge.
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
        load_if_exists=True,
    )
    _repeat_interrupted(study)
    # The sampler's own state is not kept: with one seed it would draw the first trials again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))

    def attempt(trial: Trial) -> float:
        def report(epoch: int, figure: float) -> None:
            trial.report(figure, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        return objective(suggest(trial, base, space or Space()), report)

    if (left := trials - len(_ended(study))) > 0:
        study.optimize(attempt, n_trials=left, catch=(TrainingError,))
    return study


def suggest(trial: BaseTrial, base: Recipe, space: Space) -> Recipe:
    """The base with what the trial says of each setting of the space."""
    rate = trial.suggest_float("rate", *space.rate, log=True)
    return replace(
        base,
        encoder_rate=rate,
        head_rate=HEAD_RATE * rate,
        smoothing=trial.suggest_float("smoothing", *space.smoothing),
        epochs=trial.suggest_int("epochs", *space.epochs),
        batch=trial.suggest_categorical("batch", space.batch),
        max_tokens=trial.suggest_categorical("max_tokens", space.max_tokens),
        layers=cast("int | None", trial.suggest_categorical("layers", space.layers)),
        average=trial.suggest_categorical("average", space.average),
    )


def best_recipe(study: optuna.Study, base: Recipe, space: Space | None = None) -> Recipe:
    """The recipe of the best trial. Raises TrainingError if none has come to its end."""
    if not study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
        raise TrainingError("no trial of the search has come to its end")
    return suggest(FixedTrial(study.best_params), base, space or Space())


def best_table(study: optuna.Study, count: int = 10) -> Table:
    """The best trials, the best first, and below how the others ended."""
    ended = _ended(study)
    complete = [trial for trial in ended if trial.state == TrialState.COMPLETE]
    ranked = sorted(complete, key=lambda trial: trial.value or 0.0, reverse=True)
    pruned = sum(trial.state == TrialState.PRUNED for trial in ended)
    failed = len(ended) - len(complete) - pruned
    table = Table(caption=f"{len(complete)} trials to the end, {pruned} given up, {failed} failed")
    names = sorted({name for trial in ranked for name in trial.params})
    for name in ("trial", "figure", *names):
        table.add_column(name, justify="right")
    for trial in ranked[:count]:
        settings = [_shown(trial.params.get(name)) for name in names]
        table.add_row(str(trial.number), _shown(trial.value), *settings)
    return table


def _shown(value: object) -> str:
    if value is None:
        return "all"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _repeat_interrupted(study: optuna.Study) -> None:
    """Trials that a kill left running are queued again."""
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params, user_attrs={AGAIN: trial.number})


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that have ended on their own, however they did."""
    trials = study.get_trials(deepcopy=False)
    interrupted = {trial.user_attrs.get(AGAIN) for trial in trials}
    return [each for each in trials if each.state.is_finished() and each.number not in interrupted]
