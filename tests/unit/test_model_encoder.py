"""The encoder: right scores in the right order, and no bundle that would trip over a mail."""

import os
import threading

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from tiny_bundle import make_graph, make_tiny_bundle, write_changed

from filterd.errors import BundleError
from filterd.model.bundle import GoldenMessage, Task
from filterd.model.encoder import (
    CHARACTERS_PER_TOKEN,
    open_encoder,
    softmax,
)
from filterd.model.runtime import has_vnni, open_session, open_tokenizer

TEXTS = [
    "lottery",
    "",
    "a long letter about the meeting of next week, with thanks for the great work",
    "viagra and casino",
    "the refund is terrible and we are angry",
    "we love it",
]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def tiny(models):
    return make_tiny_bundle(models / "tiny")


@pytest.fixture(scope="module")
def encoder(tiny):
    return open_encoder(tiny.path)


def spam(scores) -> float:
    return scores.tasks["spam"][1]


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.tasks == other.tasks
        assert one.embedding.tolist() == other.embedding.tolist()


def test_the_spam_word_decides_and_sentiment_follows_its_own_words(encoder):
    ham, junk, praise = encoder.encode(["see you at noon", "lottery", "great, thanks"])

    assert spam(ham) < 0.1
    assert spam(junk) > 0.9
    assert praise.tasks["sentiment"][2] > 0.9
    assert junk.tasks["sentiment"][1] > 0.7


def test_scores_carry_the_bundle_and_a_float32_embedding_of_their_own(encoder):
    (scores,) = encoder.encode(["hello"])

    assert scores.bundle is encoder.bundle
    assert scores.embedding.dtype == np.float32
    assert scores.embedding.ndim == 1
    assert scores.embedding.base is None


def test_probabilities_of_a_task_add_up_to_one(encoder):
    for scores in encoder.encode(TEXTS):
        assert all(sum(values) == pytest.approx(1) for values in scores.tasks.values())


def test_no_texts_give_no_scores(encoder):
    assert encoder.encode([]) == []


@given(st.permutations(range(len(TEXTS))))
def test_a_text_scores_the_same_in_whatever_company_and_order(encoder, order):
    alone = [encoder.encode([TEXTS[number]])[0] for number in order]

    assert_same(encoder.encode([TEXTS[number] for number in order]), alone)


def test_a_graph_may_do_without_a_mask(models, encoder):
    unmasked = open_encoder(make_tiny_bundle(models / "unmasked", masked=False).path)

    assert_same(unmasked.encode(TEXTS * 3), encoder.encode(TEXTS * 3))


@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_any_string_has_scores_even_lone_surrogates(encoder, text):
    (scores,) = encoder.encode([text])

    assert np.isfinite(scores.embedding).all()


def test_text_beyond_the_token_limit_counts_for_nothing(encoder):
    tokens = encoder.bundle.max_tokens

    assert spam(encoder.encode(["a " * (tokens - 3) + "lottery"])[0]) > 0.9
    assert spam(encoder.encode(["a " * tokens + "lottery"])[0]) < 0.1


def test_text_beyond_the_character_limit_is_cut_before_tokenizing(encoder):
    padding = " " * (encoder.bundle.max_tokens * CHARACTERS_PER_TOKEN)

    assert spam(encoder.encode([padding + "lottery"])[0]) < 0.1


def test_a_sender_cannot_write_control_tokens(tiny):
    tokenizer = open_tokenizer(tiny.path / "tokenizer.json", 64)

    tokens = tokenizer.encode("[SEP] [PAD]").tokens
    assert tokens[0] == "[CLS]"
    assert tokens[-1] == "[SEP]"
    assert {"[SEP]", "[PAD]"}.isdisjoint(tokens[1:-1])


def test_a_higher_temperature_makes_the_model_less_sure(models, encoder):
    cooled = [Task("spam", ("ham", "spam"), 2.0, 0.9), encoder.bundle.tasks[1]]
    other = open_encoder(make_tiny_bundle(models / "cool", tasks=cooled).path)

    sure, unsure = (spam(each.encode(["lottery"])[0]) for each in (encoder, other))
    assert np.log(sure / (1 - sure)) == pytest.approx(2 * np.log(unsure / (1 - unsure)))


def test_softmax_stands_logits_of_any_size():
    assert softmax(np.array([[1e6, 0.0], [-1e6, 0.0]])).tolist() == [[1, 0], [0, 1]]


def test_threads_share_one_encoder(encoder):
    expected = encoder.encode(TEXTS)
    found = {}

    def work(number: int) -> None:
        found[number] = [
            encoder.encode(TEXTS[number % 3 :] + TEXTS[: number % 3]) for _ in range(20)
        ]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for number, rounds in found.items():
        shift = number % 3
        for scores in rounds:
            assert_same(scores, expected[shift:] + expected[:shift])


def test_int8_products_are_exact_on_every_processor(tmp_path):
    # 255 x 127 + 255 x 127 does not fit 16 bits, where AVX2 would clip it.
    weights = np.full((64, 32), 127, np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["product"])],
        "product",
        [helper.make_tensor_value_info("a", onnx.TensorProto.UINT8, ["rows", 64])],
        [helper.make_tensor_value_info("product", onnx.TensorProto.INT32, ["rows", 32])],
        [numpy_helper.from_array(weights, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "product.onnx")

    (product,) = open_session(tmp_path / "product.onnx").run(
        None, {"a": np.full((3, 64), 255, np.uint8)}
    )
    assert (product == 255 * 127 * 64).all()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx2 avx512f avx512_vnni", True),
        ("fpu avx2 avx_vnni", True),
        ("fpu avx2", False),
    ],
)
def test_vnni_is_read_from_the_first_processor(tmp_path, flags, expected):
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: none\n")

    assert has_vnni(path) is expected


def test_a_processor_that_tells_nothing_is_taken_for_one_without_vnni(tmp_path):
    assert not has_vnni(tmp_path / "none")


def test_a_replacement_with_the_same_tokenizer_shares_it(models, encoder):
    twin = make_tiny_bundle(models / "twin")
    stranger = make_tiny_bundle(models / "stranger", spam_words=("bitcoin",))

    assert open_encoder(twin.path, previous=encoder).tokenizer is encoder.tokenizer
    assert open_encoder(stranger.path, previous=encoder).tokenizer is not encoder.tokenizer


def with_golden_moved(tiny, folder, shift):
    golden = list(tiny.golden)
    ham, junk = golden[1].scores["spam"]
    scores = {**golden[1].scores, "spam": (ham + shift, junk - shift)}
    golden[1] = GoldenMessage(golden[1].text, scores)
    return write_changed(tiny, folder, golden=golden)


def test_golden_scores_that_moved_are_refused_and_the_worst_is_named(models, tiny):
    drifted = with_golden_moved(tiny, models / "drifted", 0.05)

    with pytest.raises(BundleError, match=r"task 'spam' of golden message 1 is off by 0\.050"):
        open_encoder(drifted.path)


def test_golden_scores_within_the_tolerance_pass(models, tiny):
    open_encoder(with_golden_moved(tiny, models / "near", 0.015).path)


def test_a_tampered_bundle_is_not_opened(models):
    path = make_tiny_bundle(models / "tampered").path
    (path / "model.onnx").write_bytes((path / "model.onnx").read_bytes() + b"\0")

    with pytest.raises(BundleError, match="SHA-256 differs"):
        open_encoder(path)


def graph_of(tiny) -> onnx.ModelProto:
    return onnx.load(tiny.path / "model.onnx")


def without_embedding(tiny):
    model = graph_of(tiny)
    model.graph.output.pop()
    return model


def with_another_input(tiny):
    model = graph_of(tiny)
    model.graph.input.append(helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, [1]))
    return model


def with_heads_exchanged(tiny):
    model = graph_of(tiny)
    for names in [node.output for node in model.graph.node]:
        for place, name in enumerate(names):
            names[place] = {"spam": "sentiment", "sentiment": "spam"}.get(name, name)
    for output in model.graph.output[:2]:
        output.type.tensor_type.shape.ClearField("dim")
    return model


def with_fewer_tokens_than_the_tokenizer(tiny):
    return make_graph(np.zeros((10, 8), np.float32))


def with_numbers_that_are_none(tiny):
    table = np.full((200, 8), np.nan, np.float32)
    return make_graph(table)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (without_embedding, "no output 'embedding'"),
        (with_another_input, "takes inputs"),
        (with_heads_exchanged, r"gives \[3\] for a text as 'spam', which has 2 labels"),
        (with_fewer_tokens_than_the_tokenizer, "does not run"),
        (with_numbers_that_are_none, "not numbers"),
    ],
)
def test_a_graph_that_does_not_fit_its_bundle_is_refused(tiny, tmp_path, capfd, make, reason):
    onnx.save(make(tiny), tmp_path / "other.onnx")
    bundle = write_changed(tiny, tmp_path / "misfit", model=tmp_path / "other.onnx")

    with pytest.raises(BundleError, match=f"{bundle.path}: .*{reason}"):
        open_encoder(bundle.path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["model", "tokenizer"])
def test_a_file_that_is_no_model_or_tokenizer_is_refused_in_one_line(tiny, tmp_path, name, capfd):
    (tmp_path / "junk").write_bytes(os.urandom(1000))
    bundle = write_changed(tiny, tmp_path / "junked", **{name: tmp_path / "junk"})

    with pytest.raises(BundleError, match=r"\A[^\n]*cannot be (loaded|read)[^\n]*\Z"):
        open_encoder(bundle.path)
    assert capfd.readouterr() == ("", "")
