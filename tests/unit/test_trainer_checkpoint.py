import pytest

pytest.importorskip("torch")

import torch
from tiny_bert import make_checkpoint

from trainer.average import Average
from trainer.checkpoint import Position, load_position, save_network, save_position
from trainer.network import load_network, start_from
from trainer.pretrained import BaseModel


@pytest.fixture
def network(tmp_path):
    base = BaseModel(str(make_checkpoint(tmp_path / "base")), "tiny", "x")
    return start_from(base, {"spam": ("ham", "spam")})


def tools(network, decay=0.0):
    """An optimizer and an average over all of a network."""
    parameters = list(network.parameters())
    return torch.optim.AdamW(parameters, lr=0.1), Average(parameters, decay)


def move(network, optimizer, average, step=0):
    for each in network.parameters():
        each.grad = torch.ones_like(each)
    optimizer.step()
    average.update(step)


def test_a_run_without_a_checkpoint_begins_at_the_beginning(network, tmp_path):
    assert load_position(tmp_path / "last", network, *tools(network)) == Position()


def test_weights_optimizer_average_and_position_come_back(network, tmp_path):
    optimizer, average = tools(network, 0.9)
    move(network, optimizer, average)
    position = Position(epoch=1, step=7, loss=0.25, best={"objective": 1.5})
    save_position(tmp_path / "last", network, optimizer, average, position)
    weights = {name: each.clone() for name, each in network.state_dict().items()}
    means = [each.clone() for each in average.state()]
    move(network, optimizer, average, 1)
    again = tools(network, 0.9)
    assert load_position(tmp_path / "last", network, *again) == position
    for name, each in network.state_dict().items():
        assert torch.equal(each, weights[name]), name
    assert all(map(torch.equal, again[1].state(), means))
    assert len(again[0].state_dict()["state"]) == len(means)


def test_a_run_killed_between_two_renames_goes_on_from_the_old_checkpoint(network, tmp_path):
    save_position(tmp_path / "last", network, *tools(network), Position(epoch=3))
    (tmp_path / "last").rename(tmp_path / "last.old")
    assert load_position(tmp_path / "last", network, *tools(network)).epoch == 3


def test_a_checkpoint_replaces_the_one_before_and_leaves_nothing_beside_it(network, tmp_path):
    for epoch in (1, 2):
        save_position(tmp_path / "run" / "last", network, *tools(network), Position(epoch=epoch))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["last"]
    assert load_position(tmp_path / "run" / "last", network, *tools(network)).epoch == 2


def test_the_network_alone_is_there_to_load_and_not_to_go_on_from(network, tmp_path):
    save_network(tmp_path / "best", network)
    assert load_network(tmp_path / "best").config.tasks == {"spam": ["ham", "spam"]}
    assert load_position(tmp_path / "best", network, *tools(network)) == Position()


def test_only_a_better_epoch_is_the_best(network):
    position = Position()
    for objective in (1.0, 1.5, 1.2, 1.4):
        position.end_epoch({"objective": objective})
    assert (position.best, position.stale) == ({"objective": 1.5, "epoch": 2}, 2)
