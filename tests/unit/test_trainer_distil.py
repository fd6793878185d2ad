import dataclasses
import math

import pytest

pytest.importorskip("torch")

import torch
from tiny_bert import BAD, GOOD, HAM, SPAM, make_checkpoint

from filterd.model.runtime import open_tokenizer
from trainer.dataset import TASKS, Example
from trainer.distil import load_teacher
from trainer.errors import BaseModelError, TrainingError
from trainer.finetune import Recipe, Trainer
from trainer.loss import belief_loss, soft_loss
from trainer.network import start_from
from trainer.pretrained import BaseModel

RECIPE = Recipe(
    epochs=8, batch=4, max_tokens=32, patience=99, encoder_rate=3e-3, head_rate=1e-2,
    smoothing=0.0, average=0.0, dropout=0.0,
)  # fmt: skip
MAILS = [
    Example((f"{word} {other}",), {"spam": label}, "notes", "train", f"{word}{other}")
    for words, label in ((SPAM, "spam"), (HAM, "ham"))
    for word, other in zip(words[:6], words[1:7])
]
FEELINGS = [
    Example((f"{word} {other}",), {"sentiment": label}, "notes", "train", f"{word}{other}")
    for words, label in ((GOOD, "positive"), (BAD, "negative"))
    for word, other in zip(words[:6], words[1:7])
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A base, and beside it `teacher`, a run that has learned both tasks."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two wait for each other longer than a tiny BERT computes
    folder = tmp_path_factory.mktemp("distil")
    make_checkpoint(folder / "base")
    make_trainer(folder, "teacher", RECIPE).run(MAILS + FEELINGS, MAILS + FEELINGS, lambda _: None)
    yield folder
    torch.set_num_threads(threads)


def make_network(folder, seed=0):
    torch.manual_seed(seed)
    return start_from(BaseModel(str(folder / "base"), "tiny", "x"), TASKS)


def make_trainer(folder, work, recipe, teacher=None):
    tokenizer = open_tokenizer(folder / "base" / "tokenizer.json", 32)
    return Trainer(make_network(folder), tokenizer, recipe, folder / work, teacher)


def agreement(logits, labels):
    return (torch.tensor(logits).argmax(-1) == torch.tensor(labels)).float().mean()


def test_a_student_that_says_what_the_teacher_says_has_nothing_to_learn():
    logits = {"spam": torch.randn(4, 2), "topic": torch.randn(4, 3)}
    assert soft_loss(logits, logits, ["spam", "topic"], 2.0).item() == pytest.approx(0, abs=1e-6)


def test_the_soft_loss_is_the_divergence_at_the_temperature_times_its_square():
    teacher, student = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    p, q = (torch.softmax(each / 2, -1) for each in (teacher, student))
    wanted = 4 * (p * (p / q).log()).sum()
    found = soft_loss({"spam": student}, {"spam": teacher}, ["spam"], 2.0)
    assert found.item() == pytest.approx(wanted.item())


def test_a_belief_is_a_label_by_halves():
    logits = torch.randn(3, 2, generator=torch.Generator().manual_seed(1))
    certain = belief_loss(logits, torch.tensor([1.0, 0.0, 1.0]))
    wanted = torch.tensor([1, 0, 1])
    assert certain.item() == pytest.approx(torch.nn.functional.cross_entropy(logits, wanted).item())
    half = belief_loss(torch.zeros(1, 2), torch.tensor([0.5]))
    assert half.item() == pytest.approx(math.log(2))


def test_where_nothing_is_believed_nothing_is_taught():
    logits = torch.zeros(2, 2, requires_grad=True)
    loss = belief_loss(logits, torch.tensor([math.nan, 0.9]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2) / 2)
    assert logits.grad[0].tolist() == [0.0, 0.0]
    nothing = belief_loss(torch.zeros(2, 2), torch.tensor([math.nan, math.nan]))
    assert nothing.item() == 0.0


def test_the_teacher_is_not_asked_where_the_site_believes_something(folder, tmp_path):
    believed = [dataclasses.replace(mail, labels={}, belief=0.99) for mail in MAILS]
    recipe = dataclasses.replace(RECIPE, distil_alpha=0.5, distil_unknown=True)
    taught = make_trainer(folder, tmp_path, recipe, make_network(folder, seed=3))
    taught.run(believed, believed, lambda _: None)
    logits = taught.predict(believed)["spam"]
    assert (logits[:, 1] > logits[:, 0]).all()


def test_a_student_of_fewer_layers_learns_a_task_from_the_teacher_alone(folder):
    """The mails have no label for sentiment: all that is said of it comes from the teacher."""
    recipe = dataclasses.replace(RECIPE, epochs=12, layers=1, distil_alpha=0.9)
    teacher = load_teacher(folder / "teacher" / "best", make_network(folder))
    unlabelled = [dataclasses.replace(each, labels={}) for each in FEELINGS]
    trainer = make_trainer(folder, "student", recipe, teacher)
    trainer.run(MAILS + unlabelled, MAILS, lambda _: None)
    assert trainer.network.config.num_hidden_layers == 1
    wanted = [TASKS["sentiment"].index(each.labels["sentiment"]) for each in FEELINGS]
    assert agreement(trainer.predict(FEELINGS)["sentiment"], wanted) >= 0.9


def test_the_teacher_is_not_trained(folder):
    teacher = load_teacher(folder / "teacher" / "best", make_network(folder))
    before = {name: each.clone() for name, each in teacher.state_dict().items()}
    recipe = dataclasses.replace(RECIPE, epochs=1)
    make_trainer(folder, "asked", recipe, teacher).run(MAILS, MAILS, lambda _: None)
    assert not any(each.requires_grad for each in teacher.parameters())
    for name, each in teacher.state_dict().items():
        assert torch.equal(each, before[name]), name


def test_with_an_alpha_of_nothing_the_teacher_has_no_say(folder):
    recipe = dataclasses.replace(RECIPE, epochs=1, distil_alpha=0.0)
    teacher = load_teacher(folder / "teacher" / "best", make_network(folder))
    with_one = make_trainer(folder, "with", recipe, teacher)
    without = make_trainer(folder, "without", recipe)
    for each in (with_one, without):
        each.run(MAILS, MAILS, lambda _: None)
    for name, each in without.network.state_dict().items():
        assert torch.allclose(each, with_one.network.state_dict()[name], atol=1e-6), name


def test_a_teacher_of_other_tasks_is_refused(folder):
    student = make_network(folder)
    student.config.tasks = {"spam": ["ham", "spam"]}
    with pytest.raises(TrainingError, match="the teacher's tasks"):
        load_teacher(folder / "teacher" / "best", student)


def test_a_folder_that_holds_no_teacher_is_named(folder, tmp_path):
    with pytest.raises(BaseModelError, match="no teacher can be loaded"):
        load_teacher(tmp_path / "nowhere", make_network(folder))
