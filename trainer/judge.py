"""A bundle against labelled corpora: read as serving reads, scored by the serving encoder.

What is kept of each text is enough to name it to a person: the text itself is let go.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from filterd.mail.render import render
from filterd.pipeline import RENDERED_CHARACTERS
from trainer.corpora import SENTIMENT, SPAM, find_corpora, list_sources, read_message
from trainer.dataset import Example, fingerprint
from trainer.errors import CorporaError
from trainer.evaluate import score_groups, score_tasks
from trainer.language import UNKNOWN, language_of
from trainer.sentences import plain
from trainer.stream import in_order

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from filterd.mail.message import Message
    from filterd.model.bundle import Bundle
    from filterd.model.encoder import Encoder
    from trainer.observer import Observer

SEED = 0  # of the order in which a limit takes messages
# A language with fewer texts says more about who guessed it than about the bundle.
FEWEST = 5
OTHERS = "others"
EXCERPT = 200


@dataclass(frozen=True, slots=True)
class Judged:
    """One text of a corpus, and what the bundle makes of it.

    `place` is its file, "" for a line of a `.jsonl`; `excerpt` is the beginning of its text on one
    line. `scores` gives each task's calibrated probabilities in the order of its labels.
    """

    example: Example
    place: str
    subject: str
    excerpt: str
    language: str
    scores: dict[str, tuple[float, ...]]


def judge_corpora(
    encoder: Encoder,
    folder: Path,
    only: Collection[str],
    limit: int | None,
    observer: Observer,
    threads: int = 1,
) -> list[Judged]:
    """Every text of a corpora folder, judged; `limit` of each corpus and label at most.

    `observer` is told corpus, sources read and sources in all. Raises CorporaError.
    """
    names = find_corpora(folder)
    if unknown := set(only) - set(names):
        raise CorporaError(f"{folder}: no corpus '{min(unknown)}' in it")
    chosen = [name for name in names if not only or name in only]

    def judge_one(found: tuple[Example, str, Message]) -> Judged:
        example, place, message = found
        (scores,) = encoder.encode(example.texts)
        return Judged(
            example,
            place,
            shorten(message.subject),
            shorten(message.text),
            language_of(f"{message.subject}\n{message.text}"),
            scores.tasks,
        )

    judged = list(in_order(judge_one, _read(folder, chosen, limit, observer), threads))
    if not judged:
        raise CorporaError(f"{folder}: no message in it; nothing to judge")
    return judged


def figures(judged: Sequence[Judged], bundle: Bundle) -> dict[str, Any]:
    """`score_tasks` of them at the bundle's threshold, and by language."""
    tasks = {task.name: task.labels for task in bundle.tasks}
    examples = [each.example for each in judged]
    # Logarithms of calibrated probabilities are logits at temperature 1.
    logits = {task: np.log(np.maximum(probabilities(judged, task), 1e-12)) for task in tasks}
    spam = (1.0, bundle.threshold(SPAM))
    found = score_tasks(tasks, logits, examples, spam)
    for task, languages in score_groups(tasks, logits, examples, _languages(judged), spam).items():
        found[task]["languages"] = languages
    return found


def probabilities(judged: Sequence[Judged], task: str) -> NDArray[np.float64]:
    """One task's probabilities [texts, labels]."""
    return np.array([each.scores[task] for each in judged], dtype=np.float64)


def shorten(text: str) -> str:
    """The beginning of a text on one line, without what does not print; 200 characters at most."""
    line = " ".join(text[: 4 * EXCERPT].split())
    line = "".join(letter if letter.isprintable() else "�" for letter in line)
    return line if len(line) <= EXCERPT else f"{line[: EXCERPT - 1].rstrip()}…"


def _languages(judged: Sequence[Judged]) -> list[str]:
    """Each text's language for the tables; OTHERS where there are few of it."""
    counts = Counter(each.language for each in judged)
    return [
        each.language if counts[each.language] >= FEWEST or each.language == UNKNOWN else OTHERS
        for each in judged
    ]


def _read(
    folder: Path,
    names: Sequence[str],
    limit: int | None,
    observer: Observer,
) -> Iterator[tuple[Example, str, Message]]:
    """Each text once, with its file and message, up to the limit."""
    seen: set[str] = set()
    for name in names:
        sources = list_sources(folder, name, SEED)
        taken: Counter[str] = Counter()
        for number, source in enumerate(sources, start=1):
            observer.progress(name, number, len(sources))
            if limit is not None and taken[source.label] >= limit:
                continue
            is_sentence = source.task == SENTIMENT
            message = plain(source.fields["text"]) if is_sentence else read_message(source)
            group = fingerprint(message)
            if group in seen:
                continue
            seen.add(group)
            taken[source.label] += 1
            text = render(message, max_characters=RENDERED_CHARACTERS)
            place = "" if source.path is None else str(source.path)
            yield Example((text,), source.labels, name, "test", group), place, message
