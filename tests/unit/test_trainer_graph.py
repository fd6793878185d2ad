import numpy as np
import onnx
import pytest
import torch
from transformers import BertConfig

from filterd.model.runtime import open_session
from trainer.errors import TrainingError
from trainer.export import export, export_with_optimum
from trainer.graph import build_graph
from trainer.network import MultiTaskBert

pytestmark = pytest.mark.trainer
TASKS = {"spam": ["ham", "spam"], "topic": ["a", "b", "c", "d"]}
POSITIONS = 24


def make_network(*, layers=2, **settings):
    """Random weights, biases and norms, all large enough to matter."""
    config = BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        **settings,
    )
    config.tasks = TASKS
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    network = MultiTaskBert(config).eval()
    with torch.no_grad():
        for tensor in network.parameters():
            tensor.add_(0.2 * torch.randn_like(tensor))
    return network


def texts(rows, tokens):
    return np.random.default_rng(0).integers(0, 50, (rows, tokens))


def figures(file, ids):
    session = open_session(file)
    feed = {each.name: ids if each.name == "input_ids" else ids**0 for each in session.get_inputs()}
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, feed)))


@pytest.mark.parametrize("layers", [1, 2, 4])
@pytest.mark.parametrize(("rows", "tokens"), [(1, 1), (1, POSITIONS), (3, 7)])
def test_the_graph_computes_what_the_network_does(tmp_path, layers, rows, tokens):
    network, ids = make_network(layers=layers), texts(rows, tokens)
    onnx.save(build_graph(network), tmp_path / "graph.onnx")
    with torch.no_grad():
        expected = network(torch.from_numpy(ids), torch.ones(rows, tokens))
    found = figures(tmp_path / "graph.onnx", ids)
    assert list(found) == ["spam", "topic", "embedding"]
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5, rtol=0)


def test_the_graph_computes_what_the_one_of_optimum_does(tmp_path):
    network, ids = make_network(), texts(2, POSITIONS)
    onnx.save(build_graph(network), tmp_path / "ours.onnx")
    export_with_optimum(network, tmp_path / "theirs.onnx")
    ours, theirs = (figures(tmp_path / name, ids) for name in ("ours.onnx", "theirs.onnx"))
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], atol=1e-5, rtol=0)


def test_the_graph_is_valid_and_takes_nothing_but_token_ids():
    model = build_graph(make_network())
    onnx.checker.check_model(model, full_check=True)
    assert [each.name for each in model.graph.input] == ["input_ids"]


def test_the_last_layer_is_computed_for_the_first_token_alone(tmp_path):
    model = build_graph(make_network())
    for name in ("layer.0/inner", "layer.1/inner"):
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        )
    onnx.save(model, tmp_path / "graph.onnx")
    found = figures(tmp_path / "graph.onnx", texts(1, 9))
    assert found["layer.0/inner"].shape == (1, 9, 64)
    assert found["layer.1/inner"].shape == (1, 1, 64)


def test_an_export_says_how_far_off_it_is_and_leaves_one_file(tmp_path):
    assert 0 < export(make_network(), tmp_path / "model.onnx") < 1e-5
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]


def test_a_bert_of_another_build_is_refused_not_exported_wrongly():
    with pytest.raises(TrainingError, match="a BERT with relu and absolute positions"):
        build_graph(make_network(hidden_act="relu"))
