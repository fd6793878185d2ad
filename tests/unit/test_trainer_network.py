import json

import pytest
import torch
from safetensors import safe_open
from tiny_bert import make_checkpoint
from transformers import BertModel

from trainer.errors import BaseModelError
from trainer.network import load_network, save_half, start_from
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
