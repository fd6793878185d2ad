import json

import pytest
import torch
from safetensors import safe_open
from tiny_bert import make_checkpoint
from transformers import BertConfig, BertModel

from trainer.errors import BaseModelError
from trainer.export import export
from trainer.network import (
    MultiTaskBert,
    freeze,
    keep_layers,
    load_half,
    load_network,
    save_half,
    set_dropout,
    start_from,
)
from trainer.pretrained import BaseModel

TASKS = {"spam": ("ham", "spam"), "topic": ("a", "b", "c", "d")}


@pytest.fixture
def base(tmp_path):
    return BaseModel(str(make_checkpoint(tmp_path / "base")), "tiny", "Apache-2.0")


def some_texts():
    ids = torch.randint(5, 90, (3, 20))
    mask = torch.ones_like(ids)
    mask[0, 7:] = 0
    return ids, mask


def test_the_last_layer_for_cls_alone_gives_what_the_whole_layer_gives(base):
    network = start_from(base, TASKS).eval()
    ids, mask = some_texts()
    with torch.no_grad():
        whole = BertModel.from_pretrained(base.source)(ids, mask).last_hidden_state[:, 0]
        found = network(ids, mask)
    assert torch.allclose(found["embedding"], whole, atol=1e-5)
    assert torch.allclose(found["spam"], network.heads["spam"](whole), atol=1e-5)


def test_each_task_has_a_logit_per_label(base):
    found = start_from(base, TASKS)(*some_texts())
    assert {name: tuple(values.shape) for name, values in found.items()} == {
        "spam": (3, 2),
        "topic": (3, 4),
        "embedding": (3, 32),
    }


def test_a_saved_network_comes_back_with_its_tasks(base, tmp_path):
    network = start_from(base, TASKS).eval()
    network.save_pretrained(tmp_path / "saved")
    again = load_network(tmp_path / "saved", attention="eager").eval()
    ids, mask = some_texts()
    with torch.no_grad():
        assert torch.allclose(again(ids, mask)["topic"], network(ids, mask)["topic"], atol=1e-5)


def test_half_weights_carry_the_configuration(base, tmp_path):
    save_half(start_from(base, TASKS), tmp_path / "weights.safetensors")
    with safe_open(tmp_path / "weights.safetensors", "pt") as file:
        config = json.loads(file.metadata()["config"])
        assert file.get_tensor("heads.topic.weight").dtype == torch.float16
    assert config["tasks"] == {"spam": ["ham", "spam"], "topic": ["a", "b", "c", "d"]}


def test_a_folder_that_holds_no_bert_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(BaseModelError, match="a gpt2 model, but BERT is needed"):
        start_from(BaseModel(str(tmp_path), "x", "x"), TASKS)


def deep_network(layers):
    config = BertConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=layers, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=64, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    config.tasks = {name: list(labels) for name, labels in TASKS.items()}
    return MultiTaskBert(config)


@pytest.mark.parametrize(
    ("layers", "count", "kept"),
    [(6, 3, [1, 3, 5]), (12, 6, [1, 3, 5, 7, 9, 11]), (6, 4, [0, 2, 3, 5]), (6, 6, list(range(6)))],
)
def test_the_layers_that_are_kept_are_spread_evenly_and_the_last_is_one(layers, count, kept):
    network = deep_network(layers)
    before = list(network.bert.encoder.layer)
    keep_layers(network, count)
    assert [before.index(layer) for layer in network.bert.encoder.layer] == kept


def test_a_network_of_fewer_layers_is_saved_and_comes_back(tmp_path):
    network = deep_network(6).eval()
    keep_layers(network, 2)
    network.save_pretrained(tmp_path / "saved")
    again = load_network(tmp_path / "saved").eval()
    ids, mask = some_texts()
    with torch.no_grad():
        assert torch.allclose(again(ids, mask)["topic"], network(ids, mask)["topic"], atol=1e-5)


def test_a_network_of_fewer_layers_is_exported(tmp_path):
    network = deep_network(4)
    keep_layers(network, 2)
    network.save_pretrained(tmp_path / "saved")
    eager = load_network(tmp_path / "saved", attention="eager")
    assert export(eager, tmp_path / "model.onnx") < 1e-4


def test_more_layers_than_there_are_cannot_be_kept():
    with pytest.raises(BaseModelError, match="cannot keep 3 of the base's 2 layers"):
        keep_layers(deep_network(2), 3)


def test_more_layers_than_there_are_cannot_be_frozen():
    with pytest.raises(BaseModelError, match="cannot freeze 3 layers of 2"):
        freeze(deep_network(2), 3)


def test_without_dropout_nothing_is_called_in_its_place():
    network = deep_network(2)
    set_dropout(network, 0.0)
    left = [name for name, each in network.named_modules() if isinstance(each, torch.nn.Dropout)]
    assert all(name.endswith("attention.self.dropout") for name in left)  # unused by sdpa
    ids, mask = some_texts()
    with torch.profiler.profile() as seen, torch.no_grad():
        network.train()(ids, mask)
    assert not [event.key for event in seen.key_averages() if "dropout" in event.key]


def test_dropout_is_what_was_asked_for():
    network = deep_network(2)
    set_dropout(network, 0.3)
    found = {each.p for each in network.modules() if isinstance(each, torch.nn.Dropout)}
    assert found == {0.0, 0.3}  # attention's own, which stays off, and all others
    assert network.config.hidden_dropout_prob == 0.3


def test_a_trained_network_is_a_base_to_start_from(tmp_path):
    trained = deep_network(2)
    trained.save_pretrained(tmp_path / "trained")
    student = start_from(
        BaseModel(str(tmp_path / "trained"), "trained", "x"), {"spam": TASKS["spam"]}
    )
    for name, tensor in student.bert.state_dict().items():
        assert torch.equal(tensor, trained.bert.state_dict()[name]), name
    assert student.config.tasks == {"spam": ["ham", "spam"]}


def test_weights_of_a_bundle_come_back_as_the_network_they_were(base, tmp_path):
    start_from(base, TASKS).save_pretrained(tmp_path / "saved")
    network = load_network(tmp_path / "saved").eval()
    save_half(network, tmp_path / "weights.safetensors")
    again = load_half(tmp_path / "weights.safetensors").eval()
    ids, mask = some_texts()
    with torch.no_grad():
        assert torch.allclose(again(ids, mask)["topic"], network(ids, mask)["topic"], atol=1e-2)
    assert again.config.tasks == network.config.tasks
    assert str(tmp_path).encode() not in (tmp_path / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("content", [b"", b"{}" * 40])
def test_a_file_that_holds_no_weights_is_named(tmp_path, content):
    (tmp_path / "weights.safetensors").write_bytes(content)
    with pytest.raises(BaseModelError, match=r"weights\.safetensors: no weights to go on from"):
        load_half(tmp_path / "weights.safetensors")
