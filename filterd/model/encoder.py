"""Text in, calibrated probabilities and an embedding out: the one place where a model runs.

ONNX Runtime and tokenizers on the CPU. No network, no settings, no database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from filterd.model.bundle import (
    LINEAR,
    MODEL,
    TOKENIZER,
    Bundle,
    GoldenMessage,
    Task,
    broken,
    verify,
)
from filterd.model.linear import LinearModel, load_linear
from filterd.model.manifest import SPAM_TASK
from filterd.model.runtime import one_line, open_session, open_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer  # ships none

__all__ = [
    "CHARACTERS_PER_TOKEN",
    "Encoder",
    "Scores",
    "open_encoder",
    "record_golden",
    "softmax",
]

# Text beyond this many characters a token is cut off before tokenizing: tokenizers works through
# all of it before it truncates, and English mail has 4 to 5 characters a token.
CHARACTERS_PER_TOKEN = 8
GOLDEN_TOLERANCE = 0.02
EMBEDDING = "embedding"


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What one bundle says of one text.

    `tasks` gives each task's calibrated probabilities in the order of `Task.labels`;
    `embedding` is float32 [hidden], the pooled state the heads read.
    """

    bundle: Bundle
    tasks: dict[str, tuple[float, ...]]
    embedding: NDArray[np.float32]


class Encoder:
    """A loaded bundle. Safe to call from several threads; nothing of it changes after loading.

    The bundle's files are taken as they are (`open_encoder` verifies them first), but a graph
    or tokenizer that does not do what `bundle.json` says is a BundleError here, not at the first
    mail that trips over it.
    """

    def __init__(
        self, bundle: Bundle, *, threads: int = 1, previous: Encoder | None = None
    ) -> None:
        self.bundle = bundle
        self._tokenizer = (
            previous.tokenizer
            # Reading a tokenizer holds the interpreter's lock for 0.1 s: no swap need pay that.
            if previous is not None and _same_tokenizer(bundle, previous.bundle)
            else open_tokenizer(bundle.path / TOKENIZER, bundle.max_tokens)
        )
        self._session = open_session(bundle.path / MODEL, threads=threads)
        self._linear = _open_linear(bundle)
        self._outputs = [*(task.name for task in bundle.tasks), EMBEDDING]
        self._inputs = {found.name for found in self._session.get_inputs()}
        self._check_graph()

    def encode(self, texts: Sequence[str]) -> list[Scores]:
        """Score texts as `render` made them; any number, results in the order of `texts`.

        For the BERT each is cut to the bundle's `max_tokens`. Each is run alone, so its scores are
        its own: int8 takes its scales from all that is in a run, and more texts in a run are no
        faster (tests/bench/bench_encoder.py). Raises BundleError if the graph fails or gives
        something that is not a number.
        """
        return [self._score(text) for text in texts]

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer as `open_tokenizer` made it; not to be changed."""
        return self._tokenizer

    def check_golden(self) -> None:
        """Score the bundle's golden messages anew; BundleError if one moved by more than 0.02.

        Catches what hashes cannot: another ONNX Runtime or CPU that computes something else.
        """
        golden = self.bundle.golden
        worst, place = 0.0, ""
        for number, (message, score) in enumerate(
            zip(golden, self.encode([message.text for message in golden]), strict=True)
        ):
            for task, expected in message.scores.items():
                drift = float(np.abs(np.subtract(score.tasks[task], expected)).max())
                if drift > worst:
                    worst, place = drift, f"task '{task}' of golden message {number}"
        if worst > GOLDEN_TOLERANCE:
            raise broken(
                self.bundle.path,
                f"{place} is off by {worst:.3f} here, {GOLDEN_TOLERANCE} is allowed",
                remedy="use the ONNX Runtime it was made with, or train a bundle on this machine",
            )

    def _tokenize(self, text: str) -> list[int]:
        cut = text[: self.bundle.max_tokens * CHARACTERS_PER_TOKEN]
        if not cut.isascii():
            # tokenizers takes no lone surrogates, and nobody else here promises to make none.
            cut = cut.encode(errors="replace").decode()
        ids: list[int] = self._tokenizer.encode(cut).ids
        return ids

    def _score(self, text: str) -> Scores:
        logits, embedding = self._compute(self._tokenize(text))
        probabilities = {}
        for task, values in zip(self.bundle.tasks, logits, strict=True):
            if self._linear is not None and task.name == SPAM_TASK:
                # Its labels are ham and spam, in this order (filterd.model.manifest).
                values[-1] += self._linear.share * self._linear.margin(text)
            probabilities[task.name] = tuple(softmax(values / task.temperature).tolist())
        return Scores(self.bundle, probabilities, embedding)

    def _compute(self, ids: Sequence[int]) -> tuple[list[NDArray[np.float64]], NDArray[np.float32]]:
        """Logits [labels] per task, and the embedding [hidden], of one text."""
        tokens = np.array([ids], dtype=np.int64)
        feed = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        }
        try:
            found = self._session.run(self._outputs, {name: feed[name] for name in self._inputs})
        except Exception as error:  # ONNX Runtime's errors share no base class
            raise broken(self.bundle.path, f"{MODEL} does not run: {one_line(error)}") from error
        if not all(np.isfinite(values).all() for values in found):
            raise broken(self.bundle.path, f"{MODEL} gives values that are not numbers")
        *logits, embedding = (values[0] for values in found)
        return [values.astype(np.float64) for values in logits], embedding.astype(np.float32)

    def _check_graph(self) -> None:
        """Run the graph once on the longest text of the last token: every bound is touched."""
        path = self.bundle.path
        unknown = self._inputs - {"input_ids", "attention_mask", "token_type_ids"}
        if unknown or "input_ids" not in self._inputs:
            raise broken(path, f"{MODEL} takes inputs {sorted(self._inputs)}, not token ids")
        missing = set(self._outputs) - {found.name for found in self._session.get_outputs()}
        if missing:
            raise broken(path, f"{MODEL} has no output '{min(missing)}'")
        last = self._tokenizer.get_vocab_size() - 1
        logits, embedding = self._compute([last] * self.bundle.max_tokens)
        for task, values in zip(self.bundle.tasks, logits, strict=True):
            _check_shape(path, task, values)
        if embedding.ndim != 1:
            raise broken(path, f"{MODEL} gives no embedding for each text")


def open_encoder(path: Path, *, threads: int = 1, previous: Encoder | None = None) -> Encoder:
    """Verify, load and try a bundle: one that comes out of here may serve. Raises BundleError.

    `previous` is the encoder that it will replace, if any; what both have alike is shared.
    """
    encoder = Encoder(verify(path), threads=threads, previous=previous)
    encoder.check_golden()
    return encoder


def record_golden(encoder: Encoder, texts: Sequence[str]) -> tuple[GoldenMessage, ...]:
    """Golden messages for a bundle about to be written, scored by its own model."""
    return tuple(
        GoldenMessage(text, scores.tasks)
        for text, scores in zip(texts, encoder.encode(texts), strict=True)
    )


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities along the last axis; stable for logits of any size."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float64] = exponents / exponents.sum(axis=-1, keepdims=True)
    return probabilities


def _check_shape(path: Path, task: Task, logits: NDArray[np.float64]) -> None:
    if logits.shape != (len(task.labels),):
        raise broken(
            path,
            f"{MODEL} gives {list(logits.shape)} for a text as '{task.name}', which has "
            f"{len(task.labels)} labels",
        )


def _open_linear(bundle: Bundle) -> LinearModel | None:
    if bundle.linear is None:
        return None
    try:
        return load_linear(bundle.path / LINEAR, bias=bundle.linear.bias, share=bundle.linear.share)
    except (OSError, ValueError) as error:
        raise broken(bundle.path, f"{LINEAR} cannot be used: {one_line(error)}") from None


def _same_tokenizer(bundle: Bundle, other: Bundle) -> bool:
    return (
        TOKENIZER in bundle.files
        and bundle.files[TOKENIZER] == other.files.get(TOKENIZER)
        and bundle.max_tokens == other.max_tokens
    )
