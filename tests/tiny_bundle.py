"""A real bundle of 30 kB that judges by a handful of words: for tests that need no BERT.

Same format, inputs and outputs as a trained one, the same on every machine: `spam` is near 1 when
a spam word occurs and near 0 otherwise, `sentiment` follows a few kind and angry words.
"""

from __future__ import annotations

import dataclasses
import string
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

from filterd.mail.render import RENDERER_VERSION
from filterd.model import bundle as bundles
from filterd.model.bundle import Bundle, Task
from filterd.model.encoder import Encoder, record_golden

if TYPE_CHECKING:
    from collections.abc import Sequence

SPAM_WORDS = ("viagra", "lottery", "casino")
POSITIVE_WORDS = ("thanks", "great", "love")
NEGATIVE_WORDS = ("terrible", "angry", "refund")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
TASKS = (
    Task("spam", ("ham", "spam"), 1.0, 0.9),
    Task("sentiment", ("negative", "neutral", "positive"), 1.0, None),
)
GOLDEN_TEXTS = (
    "the minutes of the meeting",
    "you won the lottery",
    "thanks, great work",
    "terrible service, i am angry",
)
HIDDEN = 8


def make_tiny_bundle(
    folder: Path,
    *,
    version: str = "tiny.1",
    spam_words: Sequence[str] = SPAM_WORDS,
    tasks: Sequence[Task] = TASKS,
    max_tokens: int = 64,
    masked: bool = True,
    golden_texts: Sequence[str] = GOLDEN_TEXTS,
) -> Bundle:
    """Write a bundle at `folder` (must not exist). `masked` False: a graph without mask input."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        vocabulary = make_tokenizer(work / "tokenizer.json", spam_words)
        table = make_table(vocabulary, spam_words)
        onnx.save(make_graph(table, masked=masked), work / "model.onnx")
        save_file({"embeddings.weight": table}, work / "weights.safetensors")
        fields = {
            "version": version,
            "tasks": tuple(tasks),
            "renderer_version": RENDERER_VERSION,
            "max_tokens": max_tokens,
            "base_model": "tiny",
            "base_licence": "Apache-2.0",
            "data_digest": "none",
            "metrics": {},
            "created": "2026-11-24T00:00:00+00:00",
        }
        draft = Bundle(path=work, golden=(), files={}, **fields)
        return bundles.write(
            folder,
            model=work / "model.onnx",
            tokenizer=work / "tokenizer.json",
            weights=work / "weights.safetensors",
            golden=record_golden(Encoder(draft), golden_texts),
            **fields,
        )


def write_changed(bundle: Bundle, folder: Path, **changes: object) -> Bundle:
    """Write the bundle anew at `folder`; `changes` are arguments of `bundle.write`."""
    fields = {
        field.name: getattr(bundle, field.name)
        for field in dataclasses.fields(bundle)
        if field.name not in {"path", "files"}
    }
    sources = {
        "model": bundle.path / "model.onnx",
        "tokenizer": bundle.path / "tokenizer.json",
        "weights": bundle.path / "weights.safetensors",
    }
    return bundles.write(folder, **{**sources, **fields, **changes})


def make_tokenizer(path: Path, spam_words: Sequence[str]) -> dict[str, int]:
    """A WordPiece tokenizer that spells what it does not know; returns its vocabulary."""
    characters = string.ascii_lowercase + string.digits
    words = [*spam_words, *POSITIVE_WORDS, *NEGATIVE_WORDS]
    pieces = [*characters, *(f"##{character}" for character in characters), *string.punctuation]
    vocabulary = {
        token: number for number, token in enumerate(dict.fromkeys([*SPECIAL, *words, *pieces]))
    }
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(path))
    return vocabulary


def make_table(vocabulary: dict[str, int], spam_words: Sequence[str]) -> np.ndarray:
    """Token embeddings [vocabulary, hidden]: three dimensions mean something, the rest is noise."""
    table = np.random.default_rng(1).normal(0, 1, (len(vocabulary), HIDDEN)).astype(np.float32)
    table[:, :3] = 0
    for dimension, words in enumerate((spam_words, NEGATIVE_WORDS, POSITIVE_WORDS)):
        table[[vocabulary[word] for word in words], dimension] = 1
    return table


def make_graph(table: np.ndarray, *, masked: bool = True) -> onnx.ModelProto:
    """Embeddings summed over the tokens that are not padding, and a linear head per task."""
    spam = np.zeros((HIDDEN, 2), np.float32)
    spam[0, 1] = 10
    sentiment = np.zeros((HIDDEN, 3), np.float32)
    sentiment[1, 0] = sentiment[2, 2] = 4
    constants = {
        "table": table,
        "axis": np.array([1]),
        "last": np.array([2]),
        "spam_weight": spam,
        "spam_bias": np.array([0, -5], np.float32),
        "sentiment_weight": sentiment,
        "sentiment_bias": np.array([0, 2, 0], np.float32),
    }
    masking = [
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["mask3"]),
        helper.make_node("Mul", ["tokens", "mask3"], ["kept"]),
    ]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
        *(masking if masked else [helper.make_node("Identity", ["tokens"], ["kept"])]),
        helper.make_node("ReduceSum", ["kept", "axis"], ["embedding"], keepdims=0),
        helper.make_node("Gemm", ["embedding", "spam_weight", "spam_bias"], ["spam"]),
        helper.make_node(
            "Gemm", ["embedding", "sentiment_weight", "sentiment_bias"], ["sentiment"]
        ),
    ]
    inputs = ["input_ids", "attention_mask"] if masked else ["input_ids"]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in inputs
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
            for name, size in (("spam", 2), ("sentiment", 3), ("embedding", HIDDEN))
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, producer_name="tiny"
    )
