"""A bundle against labelled corpora: read as serving reads, scored by the serving encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from filterd.model.encoder import CHARACTERS_PER_TOKEN
from trainer.corpora import SPAM, find_corpora
from trainer.dataset import Plan, read_examples
from trainer.errors import CorporaError
from trainer.evaluate import score_tasks

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from filterd.model.encoder import Encoder
    from trainer.bootstrap import Observer

EVERYTHING = 10**9


def judge(
    encoder: Encoder,
    folder: Path,
    only: Collection[str],
    limit: int | None,
    observer: Observer,
) -> dict[str, Any]:
    """Figures of the encoder's bundle on a corpora folder, per task and corpus.

    Each text counts once; no split is kept apart. Raises CorporaError.
    """
    bundle = encoder.bundle
    names = find_corpora(folder)
    if unknown := set(only) - set(names):
        raise CorporaError(f"{folder}: no corpus '{min(unknown)}' in it")
    exclude = tuple(name for name in names if only and name not in only)
    plan = Plan(
        bundle.max_tokens * CHARACTERS_PER_TOKEN,
        limit=EVERYTHING if limit is None else limit,
        exclude=exclude,
        variants=0,
        by_share=False,
    )
    examples = read_examples(folder, plan, observer.progress)
    tasks = {task.name: task.labels for task in bundle.tasks}
    rows: dict[str, list[tuple[float, ...]]] = {task: [] for task in tasks}
    for number, example in enumerate(examples):
        scores = encoder.encode([example.texts[0]])[0]
        observer.progress("judging", number + 1, len(examples))
        for task, probabilities in scores.tasks.items():
            rows[task].append(probabilities)
    # Logarithms of calibrated probabilities are logits at temperature 1.
    logits = {task: np.log(np.maximum(np.array(found), 1e-12)) for task, found in rows.items()}
    return score_tasks(tasks, logits, examples, (1.0, bundle.threshold(SPAM)))
