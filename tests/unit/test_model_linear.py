import dataclasses
import re

import numpy as np
import pytest
from tiny_bundle import make_tiny_bundle, write_changed

from filterd.errors import BundleError
from filterd.model.bundle import LINEAR, Linear, load, verify
from filterd.model.encoder import Encoder
from filterd.model.linear import BUCKETS, LinearModel, features, load_linear, save_linear

WORDS = "pills"


def model(share=1.0, bias=0.0, weight=3.0):
    weights = np.zeros(BUCKETS, np.float32)
    weights[features(WORDS)[0]] = weight
    return LinearModel(np.ones(BUCKETS, np.float32), weights, bias, share)


def test_a_word_counts_once_with_the_logarithm_of_how_often_and_so_does_each_pair():
    buckets, values = features("Buy pills, buy PILLS now!!")
    assert len(buckets) == len(set(buckets.tolist())) == 8  # buy pills now !! and four pairs
    assert sorted(np.round(values, 4))[-3:] == [1.6931] * 3


def test_the_margin_is_that_of_a_text_of_unit_length_and_the_bias():
    assert model().margin(WORDS) == pytest.approx(3.0)
    assert model(bias=0.5).margin(f"{WORDS} and") == pytest.approx(0.5 + 3 / np.sqrt(3))
    assert model(bias=-2).margin("— …") == -2


def test_it_is_read_back_as_it_was_written(tmp_path):
    save_linear(model(), tmp_path / LINEAR)
    assert load_linear(tmp_path / LINEAR, bias=0.25, share=2).margin(WORDS) == 3.25


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, 8), np.float16), r"holds float16 \[2, 8\]"),
        (np.zeros((2, BUCKETS)), "holds float64"),
        (np.full((2, BUCKETS), np.nan, np.float16), "not numbers"),
        (np.array([{}]), "allow_pickle"),
    ],
)
def test_what_is_no_linear_model_is_refused(tmp_path, array, reason):
    np.save(tmp_path / LINEAR, array, allow_pickle=True)
    with pytest.raises(ValueError, match=reason):
        load_linear(tmp_path / LINEAR, bias=0, share=1)


@pytest.fixture
def tiny(tmp_path):
    return make_tiny_bundle(tmp_path / "tiny")


def with_linear(tiny, folder, share, **changes):
    save_linear(model(share), tiny.path.parent / LINEAR)
    terms = Linear(bias=0.0, share=share)
    bundle = write_changed(tiny, folder, linear=(tiny.path.parent / LINEAR, terms), **changes)
    assert bundle.linear == terms
    return bundle


def test_a_bundle_adds_its_share_of_the_margin_to_the_spam_score_alone(tiny, tmp_path):
    plain = Encoder(tiny).encode([WORDS])[0].tasks
    both = Encoder(with_linear(tiny, tmp_path / "both", 0.5)).encode([WORDS])[0].tasks

    def odds(scores):
        return np.log(scores["spam"][1] / scores["spam"][0])

    assert odds(both) - odds(plain) == pytest.approx(0.5 * 3, abs=1e-4)
    assert both["sentiment"] == plain["sentiment"]


def test_it_reads_the_text_beyond_what_the_bert_reads(tiny, tmp_path):
    encoder = Encoder(with_linear(tiny, tmp_path / "both", 5.0))
    long = "and " * 400
    assert (
        encoder.encode([long + WORDS])[0].tasks["spam"][1]
        > 1.1 * (encoder.encode([long])[0].tasks["spam"][1])
    )


def test_a_linear_model_is_held_to_its_hash_like_any_file_of_a_bundle(tiny, tmp_path):
    bundle = with_linear(tiny, tmp_path / "both", 0.5)
    assert verify(bundle.path).linear == Linear(bias=0.0, share=0.5)
    content = bytearray((bundle.path / LINEAR).read_bytes())
    content[-1] ^= 1
    (bundle.path / LINEAR).write_bytes(content)
    with pytest.raises(BundleError, match=r"linear\.npy is not the file that was published"):
        verify(bundle.path)


def test_a_linear_model_of_another_shape_is_said_when_the_bundle_is_opened(tiny, tmp_path):
    np.save(tmp_path / LINEAR, np.zeros(3))
    terms = (tmp_path / LINEAR, Linear(bias=0.0, share=1.0))
    bundle = write_changed(tiny, tmp_path / "both", linear=terms)
    with pytest.raises(BundleError, match=r"linear\.npy cannot be used: holds float64 \[3\]"):
        Encoder(bundle)


def test_a_file_without_its_terms_or_terms_without_the_file_are_refused(tiny, tmp_path):
    bundle = with_linear(tiny, tmp_path / "both", 0.5)
    manifest = bundle.path / "bundle.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"share": 0.5', '"share": -1'))
    with pytest.raises(BundleError, match=r"linear\.share"):
        load(bundle.path)
    (bundle.path / LINEAR).unlink()
    manifest.write_text(text)
    with pytest.raises(BundleError, match=r"linear\.npy is missing"):
        verify(bundle.path)


def test_a_bundle_of_the_first_format_is_one_without_a_linear_model(tiny):
    manifest = tiny.path / "bundle.json"
    text = manifest.read_text().replace('"format_version": 3', '"format_version": 1')
    own = {'  "linear": null,\n', *re.findall(r'  "own_digest": .*\n', text)}
    for line in own:
        text = text.replace(line, "")
    manifest.write_text(text)
    assert load(tiny.path) == dataclasses.replace(tiny, linear=None)
