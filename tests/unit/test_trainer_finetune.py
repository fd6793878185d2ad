import dataclasses

import pytest
import torch
from safetensors.torch import load_file
from tiny_bert import BAD, GOOD, HAM, SPAM, make_checkpoint

from filterd.model.runtime import open_tokenizer
from trainer.batches import UNKNOWN
from trainer.dataset import TASKS, Example
from trainer.errors import TrainingError
from trainer.finetune import Recipe, Trainer
from trainer.loss import hard_loss
from trainer.network import load_network, start_from
from trainer.optimizer import schedule
from trainer.pretrained import BaseModel

RECIPE = Recipe(
    epochs=2, batch=4, max_tokens=32, checkpoint_every=1, encoder_rate=1e-3, head_rate=5e-4,
    average=0.0, dropout=None,
)  # fmt: skip
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


@pytest.fixture(autouse=True)
def _on_one_thread():
    """Two threads wait for each other longer than a tiny BERT computes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Killed(Exception):
    """Stands for the end of the process."""


def weights(folder):
    return load_file(folder / "model.safetensors")


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
    hard_loss({"sentiment": logits, "spam": other}, labels, {"spam": 0.05}).backward()
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


@pytest.mark.parametrize(
    "ways",
    [{}, {"average": 0.9}, {"dropout": 0.1, "gradient_checkpoint": True, "frozen_layers": 1}],
    ids=["plain", "averaged", "dropout"],
)
def test_a_run_killed_midway_ends_as_if_it_had_not_been(make_trainer, tmp_path, ways):
    recipe = dataclasses.replace(RECIPE, **ways)
    make_trainer("whole", recipe).run(TRAIN, HELD, lambda _: None)

    def kill(step):
        if step.number == 3:
            raise Killed

    with pytest.raises(Killed):
        make_trainer("cut", recipe).run(TRAIN, HELD, kill)
    steps = []
    make_trainer("cut", recipe).run(TRAIN, HELD, lambda step: steps.append(step.number))
    assert steps[0] == 3  # the step that was reported but not yet kept
    for kept in ("last", "best"):
        whole, resumed = weights(tmp_path / "whole" / kept), weights(tmp_path / "cut" / kept)
        for name, tensor in whole.items():
            assert torch.allclose(tensor, resumed[name], atol=1e-6), (kept, name)


def test_the_averaged_weights_are_what_is_judged_and_exported(make_trainer, tmp_path):
    trainer = make_trainer("work", dataclasses.replace(RECIPE, epochs=1, average=0.9))
    steps = []

    def note(_):
        steps.append({name: each.clone() for name, each in trainer.network.named_parameters()})

    means = {name: each.clone() for name, each in trainer.network.named_parameters()}
    trainer.run(TRAIN, HELD, note)
    exported = load_network(tmp_path / "work" / "best")
    for name, mean in means.items():
        for number, found in enumerate(steps):
            mean.lerp_(found[name], 1 - min(0.9, (1 + number) / (10 + number)))
        assert torch.allclose(exported.get_parameter(name), mean, atol=1e-6), name
    judged = trainer.predict(HELD)["spam"]
    again = Trainer(exported, trainer.tokenizer, RECIPE, tmp_path / "again").predict(HELD)["spam"]
    assert abs(judged - again).max() < 1e-5


def test_judging_leaves_the_weights_that_are_trained_alone(make_trainer):
    trainer = make_trainer("work", dataclasses.replace(RECIPE, epochs=1, average=0.9))
    trainer.run(TRAIN, HELD, lambda _: None)
    before = {name: each.clone() for name, each in trainer.network.named_parameters()}
    trainer.predict(HELD)
    for name, each in trainer.network.named_parameters():
        assert torch.equal(each, before[name]), name


def test_frozen_layers_and_the_embeddings_stay_as_they_are(make_trainer, tmp_path):
    make_trainer("work", dataclasses.replace(RECIPE, frozen_layers=1)).run(TRAIN, HELD, print)
    start = weights(tmp_path / "base")
    after = weights(tmp_path / "work" / "last")
    for name, tensor in start.items():
        frozen = name.startswith(("embeddings.", "encoder.layer.0."))
        assert torch.equal(after[f"bert.{name}"], tensor) == frozen, name


def test_what_is_frozen_costs_no_optimizer_state(make_trainer, tmp_path):
    trainer = make_trainer("work", dataclasses.replace(RECIPE, frozen_layers=2))
    trainer.run(TRAIN, HELD, print)
    state = torch.load(tmp_path / "work" / "last" / "state.pt", weights_only=True)
    assert len(state["optimizer"]["state"]) == len(list(trainer.network.heads.parameters()))


def test_a_recipe_with_fewer_layers_trains_and_keeps_a_smaller_network(make_trainer, tmp_path):
    make_trainer("work", dataclasses.replace(RECIPE, layers=1)).run(TRAIN, HELD, print)
    assert load_network(tmp_path / "work" / "best").config.num_hidden_layers == 1


def test_computing_layers_twice_trains_the_same_weights(make_trainer, tmp_path):
    for work, twice in (("once", False), ("twice", True)):
        recipe = dataclasses.replace(RECIPE, dropout=0.1, gradient_checkpoint=twice)
        make_trainer(work, recipe).run(TRAIN, HELD, print)
    once, twice = (weights(tmp_path / work / "last") for work in ("once", "twice"))
    for name, tensor in once.items():
        assert torch.allclose(tensor, twice[name], atol=1e-6), name


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


def test_each_epoch_is_told_with_what_it_came_to(make_trainer):
    found = []
    position = make_trainer("work").run(
        TRAIN, HELD, lambda _: None, lambda *epoch: found.append(epoch)
    )
    assert [epoch for epoch, _ in found] == [1, 2]
    best = max(found, key=lambda epoch: epoch[1]["objective"])
    assert position.best == {**best[1], "epoch": best[0]}
