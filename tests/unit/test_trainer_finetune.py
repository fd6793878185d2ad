import dataclasses

import pytest
import torch
from tiny_bert import BAD, GOOD, HAM, SPAM, make_checkpoint

from filterd.model.runtime import open_tokenizer
from trainer.batches import UNKNOWN
from trainer.dataset import TASKS, Example
from trainer.errors import TrainingError
from trainer.finetune import Recipe, Trainer, loss_of, schedule
from trainer.network import start_from
from trainer.pretrained import BaseModel

RECIPE = Recipe(epochs=2, batch=4, max_tokens=32, checkpoint_every=1, encoder_rate=1e-3)
EXAMPLES = [
    Example((f"{word} {other}",), {task: label}, "notes", split, f"{word}{other}")
    for words, task, label in (
        (SPAM, "spam", "spam"),
        (HAM, "spam", "ham"),
        (GOOD, "sentiment", "positive"),
        (BAD, "sentiment", "negative"),
    )
    for split, pairs in (("train", zip(words[:4], words[1:5])), ("validation", zip(words[5:7], words[6:8])))
    for word, other in pairs
]  # fmt: skip
TRAIN = [each for each in EXAMPLES if each.split == "train"]
HELD = [each for each in EXAMPLES if each.split == "validation"]


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def make_trainer(tmp_path):
    folder = make_checkpoint(tmp_path / "base")
    tokenizer = open_tokenizer(folder / "tokenizer.json", 32)

    def make(work, recipe=RECIPE):
        torch.manual_seed(0)
        network = start_from(BaseModel(str(folder), "tiny", "x"), TASKS)
        return Trainer(network, tokenizer, recipe, tmp_path / work)

    return make


def test_a_text_without_a_label_for_a_task_does_not_move_that_task():
    logits = torch.zeros(2, 3, requires_grad=True)
    other = torch.zeros(2, 2, requires_grad=True)
    labels = {"sentiment": torch.tensor([1, UNKNOWN]), "spam": torch.tensor([UNKNOWN, UNKNOWN])}
    loss_of({"sentiment": logits, "spam": other}, labels, {"spam": 0.05}).backward()
    assert logits.grad[0].abs().sum() > 0
    assert logits.grad[1].abs().sum() == 0
    assert other.grad.abs().sum() == 0


def test_the_rate_rises_to_its_peak_and_falls_to_nothing():
    rates = [schedule(step, 100, 0.1) for step in range(101)]
    assert max(rates) == rates[9] == 1.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == 0.0


def test_training_learns_both_tasks_from_mixed_batches(make_trainer):
    recipe = dataclasses.replace(
        RECIPE, epochs=15, patience=15, encoder_rate=3e-3, head_rate=1e-2, checkpoint_every=1000
    )
    trainer = make_trainer("work", recipe)
    trainer.run(TRAIN, TRAIN, lambda _: None)
    logits = trainer.predict(TRAIN)
    for task, names in TASKS.items():
        labelled = [row for row, each in enumerate(TRAIN) if task in each.labels]
        right = [names[logits[task][row].argmax()] == TRAIN[row].labels[task] for row in labelled]
        assert sum(right) / len(right) >= 0.9


def test_a_run_killed_midway_ends_as_if_it_had_not_been(make_trainer, tmp_path):
    whole = make_trainer("whole")
    whole.run(TRAIN, HELD, lambda _: None)

    def kill(step):
        if step.number == 3:
            raise Killed

    with pytest.raises(Killed):
        make_trainer("cut").run(TRAIN, HELD, kill)
    steps = []
    resumed = make_trainer("cut")
    resumed.run(TRAIN, HELD, lambda step: steps.append(step.number))
    assert steps[0] == 3  # the step that was reported but not yet kept
    for name, tensor in whole.network.state_dict().items():
        assert torch.allclose(tensor, resumed.network.state_dict()[name], atol=1e-6), name


def test_a_finished_run_is_not_trained_again(make_trainer):
    first = make_trainer("work").run(TRAIN, HELD, lambda _: None)
    steps = []
    assert make_trainer("work").run(TRAIN, HELD, steps.append) == first
    assert steps == []


def test_a_loss_that_is_no_number_ends_the_run(make_trainer):
    trainer = make_trainer("work")
    with torch.no_grad():
        trainer.network.heads["spam"].weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="no longer a number"):
        trainer.run(TRAIN, HELD, lambda _: None)


def test_progress_tells_the_steps_that_are_left(make_trainer):
    steps = []
    make_trainer("work").run(TRAIN, HELD, steps.append)
    assert [step.number for step in steps] == list(range(1, steps[-1].total + 1))
    assert steps[-1].eta == 0
