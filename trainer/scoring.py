"""Texts to probabilities by the encoder that serves, and how long it takes over one; to logits by a
network that is not yet a bundle.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from filterd.model.encoder import CHARACTERS_PER_TOKEN
from trainer.batches import collate, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from filterd.model.encoder import Encoder
    from trainer.dataset import Example
    from trainer.network import MultiTaskBert
    from trainer.observer import Observer

WARM_UP = 2
RUNS = 31  # of each encoder, taken in turns
TOGETHER = 64  # texts


def score_with(
    encoder: Encoder, examples: Sequence[Example], observer: Observer, what: str
) -> dict[str, NDArray[np.float64]]:
    """Calibrated probabilities [examples, labels] of each task, of the plain readings.

    `observer` is told `what`, texts done and texts in all. Raises BundleError as `encode` does.
    """
    tasks = encoder.bundle.tasks
    found: dict[str, list[tuple[float, ...]]] = {task.name: [] for task in tasks}
    for number, example in enumerate(examples, start=1):
        (scores,) = encoder.encode(example.texts[:1])
        for task, probabilities in scores.tasks.items():
            found[task].append(probabilities)
        observer.progress(what, number, len(examples))
    return {
        task.name: np.array(found[task.name], dtype=np.float64).reshape(-1, len(task.labels))
        for task in tasks
    }


@torch.no_grad()
def predict(
    network: MultiTaskBert, tokenizer: Tokenizer, examples: Sequence[Example]
) -> dict[str, NDArray[np.float64]]:
    """Logits [examples, labels] of each task, of the plain readings; on a GPU if there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.to(device).eval()
    ids = encode(tokenizer, [each.texts[0] for each in examples])
    found = {
        task: np.zeros((len(ids), len(labels))) for task, labels in network.config.tasks.items()
    }
    ranked = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    pad = int(network.config.pad_token_id or 0)
    for start in range(0, len(ranked), TOGETHER):
        rows = ranked[start : start + TOGETHER]
        batch = collate([ids[row] for row in rows], [examples[row] for row in rows], {}, pad)
        outputs = network(batch.input_ids.to(device), batch.attention_mask.to(device))
        for task, logits in found.items():
            logits[rows] = outputs[task].double().cpu().numpy()
    network.cpu()
    return found


def measure_latency(
    champion: Encoder, candidate: Encoder, texts: Sequence[str]
) -> tuple[float, float]:
    """Median milliseconds that each takes over a text as long as it reads at most, 128 tokens.

    They take turns, so that whatever else the machine does meanwhile slows both. Open them with
    one thread. `texts` are joined until they are long enough; ValueError if there is nothing in
    them.
    """
    encoders = (champion, candidate)
    long_texts = [_filled(texts, encoder.bundle.max_tokens) for encoder in encoders]
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(WARM_UP + RUNS):
        for encoder, text, taken in zip(encoders, long_texts, times, strict=True):
            started = time.perf_counter()
            encoder.encode([text])
            taken.append(1000 * (time.perf_counter() - started))
    before, after = (round(float(np.median(taken[WARM_UP:])), 3) for taken in times)
    return before, after


def _filled(texts: Sequence[str], tokens: int) -> str:
    """The texts, over and over, for as many characters as the encoder looks at."""
    once = "\n".join(text for text in texts if text.strip())
    if not once:
        raise ValueError("no text to measure the latency with")
    wanted = tokens * CHARACTERS_PER_TOKEN
    return "\n".join([once] * -(-wanted // len(once)))[:wanted]
