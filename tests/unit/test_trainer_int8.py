import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from test_trainer_graph import POSITIONS, figures, make_network, texts

from trainer.export import quantize
from trainer.graph import build_graph
from trainer.int8 import LARGEST, divisors, parted, round_weights

pytestmark = pytest.mark.trainer
HEADS = ("spam", "topic")


@pytest.fixture
def graphs(tmp_path):
    """The fp32 graph and the int8 graph of a BERT in which one channel of a norm is huge."""
    network = make_network()
    with torch.no_grad():
        network.bert.encoder.layer[0].attention.output.LayerNorm.weight[5] = 30
    onnx.save(build_graph(network), tmp_path / "fp32.onnx")
    quantize(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", HEADS, texts(40, POSITIONS).tolist())
    return tmp_path / "fp32.onnx", tmp_path / "int8.onnx"


def constants(file):
    found = onnx.load(file).graph.initializer
    return {each.name: numpy_helper.to_array(each) for each in found}


def test_scores_of_int8_are_near_those_of_full_precision(graphs):
    ids = np.random.default_rng(1).integers(0, 50, (1, 20))
    full, int8 = (figures(file, ids) for file in graphs)
    for name, values in full.items():
        assert 0 < np.abs(values - int8[name]).max() < 0.1 * np.abs(values).max(), name


def test_weights_fit_processors_that_add_products_in_16_bits(graphs):
    packed = [each for name, each in constants(graphs[1]).items() if name.endswith("/int8")]
    products = [each for each in packed if len(each) < 50]
    assert len(products) == 9  # of the last layer, [CLS] is queried by itself
    assert max(np.abs(each.astype(int)).max() for each in products) == LARGEST
    assert np.iinfo(np.int16).max >= 2 * 255 * LARGEST


def test_heads_and_attention_stay_in_full_precision(graphs):
    model = onnx.load(graphs[1])
    makers = {node.output[0]: node.op_type for node in model.graph.node}
    assert makers["layer.0/context"] == "MultiHeadAttention"
    for head in HEADS:
        assert makers[f"{head}/product"] == "MatMul"
        assert constants(graphs[1])[f"{head}/weight"].dtype == np.float32


def test_nothing_stays_in_the_file_that_is_not_read(graphs):
    model = onnx.load(graphs[1])
    read = {name for node in model.graph.node for name in node.input}
    assert {each.name for each in model.graph.initializer} <= read
    onnx.checker.check_model(model)


def test_the_largest_inner_channels_are_kept_and_no_channel_is_lost():
    peaks = np.ones(100, dtype=np.float32)
    peaks[[3, 50]] = 9
    kept, rest = parted(peaks)
    assert {3, 50} <= set(kept)
    assert len(kept) == 16
    assert sorted([*kept, *rest]) == list(range(100))


def test_large_channels_are_brought_down_and_the_others_left():
    peaks = np.array([1, 1, 1, 1, 40], dtype=np.float32)
    assert divisors(peaks).tolist() == [1, 1, 1, 1, 20]


def test_channels_of_like_size_are_left_alone():
    assert divisors(np.linspace(1, 2, 64, dtype=np.float32)).tolist() == [1] * 64
    assert divisors(np.zeros(4, dtype=np.float32)).tolist() == [1] * 4


def test_rounding_in_turn_is_several_times_closer_than_rounding_to_the_nearest():
    dice = np.random.default_rng(0)
    shared = dice.normal(size=(2000, 8)) @ dice.normal(size=(8, 64))
    seen = (shared + 0.1 * dice.normal(size=shared.shape)).astype(np.float32)
    weight = dice.normal(size=(64, 16)).astype(np.float32)
    rounded, scale = round_weights(weight, seen.T @ seen)
    nearest = np.rint(weight / scale) * scale
    errors = [np.abs(seen @ (each - weight)).mean() for each in (rounded * scale, nearest)]
    assert errors[0] < errors[1] / 3


def test_outputs_without_weights_and_channels_never_seen_are_rounded_too():
    weight = np.array([[0, 1], [0, -2], [0, 4]], dtype=np.float32)
    moments = np.diag([1, 0, 1]).astype(np.float32)
    rounded, scale = round_weights(weight, moments)
    np.testing.assert_allclose(rounded * scale, weight, atol=0.05)
