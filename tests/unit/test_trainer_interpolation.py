"""How far a night goes from the champion towards what it learnt."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from transformers import BertConfig

from trainer.dataset import Example
from trainer.golden_losses import MOST_AREA, MOST_F1, golden_losses
from trainer.interpolation import SHARES, between, farthest
from trainer.network import MultiTaskBert, add_task

pytestmark = pytest.mark.trainer


@pytest.fixture
def ends():
    config = BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=8,
        tasks={"spam": ["ham", "spam"]},
    )
    torch.manual_seed(1)
    return MultiTaskBert(config), MultiTaskBert(config)


def share_of(network, ends):
    """So far on the way lies a network, by one of its weights."""
    networks = (*ends, network)
    old, new, found = (each.heads["spam"].weight.flatten()[0].item() for each in networks)
    return (found - old) / (new - old)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_all_weights_lie_so_far_on_the_way(ends, share):
    network = between(*ends, share)
    for old, new, found in zip(*(each.parameters() for each in (*ends, network)), strict=True):
        torch.testing.assert_close(found, old + share * (new - old))


def test_a_head_that_the_champion_lacks_stays_as_it_was_learnt(ends):
    before, after = ends
    add_task(after, "topic", ("billing", "other"))
    found = between(before, after, 0.25)
    assert torch.equal(found.heads["topic"].weight, after.heads["topic"].weight)


@pytest.mark.parametrize(
    ("area", "f1", "share"),
    [
        (0.0, 0.0, 1.0),
        (0.99 * MOST_AREA, 0.0, 1.0),
        (1.9 * MOST_AREA, 0.0, 0.5),
        (0.0, 1.3 * MOST_F1, 0.75),
        (1.9 * MOST_AREA, 1.3 * MOST_F1, 0.5),
        (99.0, -0.3, 0.25),
    ],
)
def test_a_night_goes_as_far_as_other_mail_lets_it(ends, area, f1, share):
    def judge(network):
        way = share_of(network, ends)
        return {"spam": 1.5 + area * way, "sentiment": 0.3 + f1 * way}

    way = farthest(*ends, judge, {})
    assert way.share == share
    assert share_of(way.network, ends) == pytest.approx(share, abs=1e-5)
    assert way.losses["spam"] == pytest.approx(1.5 + area * share, abs=1e-3)
    assert way.first == pytest.approx({"spam": 1.5, "sentiment": 0.3}, abs=1e-6)


def test_with_nothing_to_go_by_a_night_goes_all_the_way(ends):
    way = farthest(*ends, lambda _: {}, {})
    assert way.share == SHARES[0]
    assert share_of(way.network, ends) == 1.0


@pytest.mark.parametrize(
    ("first", "share"),
    [
        (1.5, 1.0),
        (1.9, 1.0),
        (1.5 - 2.2 * MOST_AREA, 0.75),
        (1.5 - 2.9 * MOST_AREA, 0.25),
        (1.0, 0.25),
    ],
)
def test_nights_together_go_no_further_than_the_first_bundle_lets_them(ends, first, share):
    def judge(network):
        return {"spam": 1.5 + 0.9 * MOST_AREA * share_of(network, ends)}

    way = farthest(*ends, judge, {"spam": first, "a task that is gone": 0.0})
    assert way.share == share
    assert way.first == {"spam": first}


def test_what_is_missed_is_counted_by_task():
    golden = [
        Example(("text",), labels, "golden", "test", "group")
        for labels in (
            {"spam": "spam", "mood": "good"},
            {"spam": "ham", "mood": "bad"},
            {"spam": "ham"},
        )
    ]
    logits = {
        "spam": np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 0.0]]),
        "mood": np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]),
        "topic": np.zeros((3, 2)),
    }
    tasks = {"spam": ["ham", "spam"], "mood": ["bad", "good"], "topic": ["a", "b"]}
    assert golden_losses(logits, golden, tasks) == {"spam": 50.0, "mood": 0.0}
    rest = {task: each[1:] for task, each in logits.items()}
    assert golden_losses(rest, golden[1:], tasks) == {"mood": 0.0}
