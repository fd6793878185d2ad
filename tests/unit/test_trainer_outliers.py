import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from filterd.model.runtime import open_session
from trainer.outliers import KEPT, outliers, split_outliers

pytestmark = pytest.mark.trainer
HIDDEN = 32
TEXTS = [[1, 2, 3], [4, 5, 6, 7], [8]]


@pytest.fixture
def graph(tmp_path):
    """Token vectors of which channel 5 is huge, times a weight: file and the name of the product."""
    dice = np.random.default_rng(0)
    vectors = dice.normal(size=(10, HIDDEN)).astype(np.float32)
    vectors[:, 5] *= 40
    weight = dice.normal(size=(HIDDEN, 8)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["vectors", "input_ids"], ["x"], "look-up"),
        helper.make_node("MatMul", ["x", "weight"], ["y"], "product"),
        helper.make_node("Unsqueeze", ["attention_mask", "last"], ["mask"], "mask"),
        helper.make_node("Cast", ["mask"], ["mask_float"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["y", "mask_float"], ["spam"], "masked"),
    ]
    axes = ["batch", "tokens"]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, axes)
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("spam", TensorProto.FLOAT, [*axes, 8])]
    constants = {"vectors": vectors, "weight": weight, "last": np.array([2])}
    made = helper.make_graph(
        nodes,
        "g",
        inputs,
        outputs,
        [numpy_helper.from_array(each, name) for name, each in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, str(tmp_path / "graph.onnx"))
    return tmp_path / "graph.onnx"


def figures(file):
    tokens = np.array([[1, 4, 9, 0]])
    feed = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
    return open_session(file).run(["spam"], feed)[0]


def test_a_split_graph_computes_what_the_whole_one_does(graph, tmp_path):
    added = split_outliers(graph, tmp_path / "split.onnx", TEXTS, skip=())
    assert added == ["product" + KEPT]
    np.testing.assert_allclose(figures(tmp_path / "split.onnx"), figures(graph), atol=1e-4)


def test_the_large_channel_is_all_that_stays_in_full_precision(graph, tmp_path):
    split_outliers(graph, tmp_path / "split.onnx", TEXTS, skip=())
    found = {
        each.name: numpy_helper.to_array(each)
        for each in onnx.load(str(tmp_path / "split.onnx")).graph.initializer
    }
    assert found["product/channels"].tolist() == [5]
    assert found["product/large"].shape == (1, 8)
    assert not found["product/rest"][5].any()
    assert "weight" not in found


def test_int8_after_the_split_is_several_times_closer(graph, tmp_path):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    skip = split_outliers(graph, tmp_path / "split.onnx", TEXTS, skip=())
    errors = {}
    for name, source in (("whole", graph), ("split", tmp_path / "split.onnx")):
        target = tmp_path / f"{name}_int8.onnx"
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=skip,
            extra_options={"DefaultTensorType": TensorProto.FLOAT},
        )
        errors[name] = np.abs(figures(target) - figures(graph)).mean()
    assert errors["split"] < errors["whole"] / 3


def test_a_product_to_skip_is_left_alone(graph, tmp_path):
    assert split_outliers(graph, tmp_path / "split.onnx", TEXTS, skip=["product"]) == []
    assert onnx.load(str(tmp_path / "split.onnx")) == onnx.load(str(graph))


def test_channels_of_like_size_hold_no_outliers():
    assert outliers(np.linspace(1, 2, 64, dtype=np.float32)).tolist() == []


def test_no_more_than_a_sixteenth_of_the_channels_are_outliers():
    peaks = np.ones(64, dtype=np.float32)
    peaks[:10] = np.arange(10, 20)
    assert outliers(peaks).tolist() == [6, 7, 8, 9]
