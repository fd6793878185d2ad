"""How much spam a model still catches after each thing that spammers do: the adversarial table.

Pure: messages and an encoder in, shares out. The messages must not have been trained on.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from rich import box
from rich.table import Table

from filterd.mail.render import render
from filterd.pipeline import RENDERED_CHARACTERS
from trainer.augment import CHANGES, SPAM_ONLY
from trainer.corpora import SPAM, find_corpora, list_sources, read_message
from trainer.dataset import fingerprint
from trainer.errors import CorporaError
from trainer.evaluate import highest_ham

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from filterd.mail.message import Message
    from filterd.model.bundle import Bundle
    from filterd.model.encoder import Scores
    from trainer.observer import Observer

    Progress = Callable[[str, int, int], None]

PLAIN = "plain"  # the messages as they came
SEED = 0  # of the order in which mails are taken
BATCH = 64  # messages between two words of progress


class ScoresTexts(Protocol):
    """What is needed of `filterd.model.encoder.Encoder`."""

    @property
    def bundle(self) -> Bundle:
        """The model's tasks and limits."""

    def encode(self, texts: Sequence[str]) -> list[Scores]:
        """Scores of rendered texts, in their order."""


@dataclass(frozen=True, slots=True)
class Caught:
    """Share of the spam at or above the threshold, and the mean spam probability; both 0..1."""

    recall: float
    mean: float


def attack(
    encoder: ScoresTexts,
    messages: Sequence[Message],
    threshold: float,
    seed: int,
    progress: Progress,
) -> dict[str, Caught]:
    """What is caught of these spam messages as they are, and after each change of `CHANGES`.

    Every change is applied to every message, the same way for the same seed, so that two models
    are asked the same. `progress` is told the change, messages done and messages in all. Raises
    ValueError without messages, BundleError from the encoder.
    """
    if not messages:
        raise ValueError("no spam to attack with")
    found = {}
    for name in (PLAIN, *CHANGES):
        scores = _spam_scores(encoder, messages, name, seed, progress)
        caught = sum(score >= threshold for score in scores)
        found[name] = Caught(caught / len(scores), sum(scores) / len(scores))
    return found


def read_mails(
    folder: Path, corpora: Sequence[str], most: int, observer: Observer
) -> dict[str, list[Message]]:
    """At most `most` mails per corpus and label, by label; each only once. Raises CorporaError."""
    seen: set[str] = set()
    found: dict[str, list[Message]] = {"ham": [], "spam": []}
    for corpus in corpora:
        if corpus not in find_corpora(folder):
            raise CorporaError(f"{folder}: no corpus '{corpus}' in it")
        left = dict.fromkeys(found, most)
        for number, source in enumerate(sources := list_sources(folder, corpus, SEED)):
            observer.progress(corpus, number + 1, len(sources))
            if source.task != SPAM or not left[source.label]:
                continue
            message = read_message(source)
            if (group := fingerprint(message)) not in seen:
                seen.add(group)
                found[source.label].append(message)
                left[source.label] -= 1
    if empty := [label for label, mails in found.items() if not mails]:
        raise CorporaError(f"{folder}: no {empty[0]} in {', '.join(corpora)}")
    return found


def threshold_at(encoder: ScoresTexts, ham: Sequence[Message], false_positives: float) -> float:
    """The threshold at which this share of the ham is flagged: it puts models on a level."""
    texts = [render(message, max_characters=RENDERED_CHARACTERS) for message in ham]
    column = encoder.bundle.task(SPAM).labels.index(SPAM)
    scores = np.array([each.tasks[SPAM][column] for each in encoder.encode(texts)])
    return float(np.nextafter(highest_ham(scores, false_positives), 1))


def attack_table(results: Mapping[str, Mapping[str, Caught]]) -> Table:
    """Results side by side under the names of their models, say "without" and "with".

    A row per change; those that only spammers make are marked by a star.
    """
    table = Table(title="recall on spam after each change", box=box.SIMPLE_HEAD)
    table.add_column("change", overflow="fold")
    for model in results:
        table.add_column(f"recall {model}", justify="right")
        table.add_column("mean", justify="right")
    for name in (PLAIN, *CHANGES):
        cells = [f"{name}*" if name in SPAM_ONLY else name]
        for result in results.values():
            caught = result.get(name)
            cells += (
                ["–", "–"] if caught is None else [f"{caught.recall:.4f}", f"{caught.mean:.4f}"]
            )
        table.add_row(*cells)
    return table


def _spam_scores(
    encoder: ScoresTexts, messages: Sequence[Message], name: str, seed: int, progress: Progress
) -> list[float]:
    """The spam probability of each message after the change of that name."""
    column = encoder.bundle.task(SPAM).labels.index(SPAM)
    scores: list[float] = []
    for start in range(0, len(messages), BATCH):
        progress(name, start, len(messages))
        batch = enumerate(messages[start : start + BATCH], start)
        changed = (_changed(message, name, f"{seed}/{name}/{number}") for number, message in batch)
        texts = [render(message, max_characters=RENDERED_CHARACTERS) for message in changed]
        scores += [each.tasks[SPAM][column] for each in encoder.encode(texts)]
    progress(name, len(messages), len(messages))
    return scores


def _changed(message: Message, name: str, seed: str) -> Message:
    if name == PLAIN:
        return message
    return CHANGES[name](message, random.Random(seed))  # noqa: S311 - no secret
