"""Whose labels train: one who is trusted, or as many as the site wants, who agree. Pure.

Design section 7. What staff disagree on is for review; whoever contradicts all others is left out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Hashable, Iterable, Sequence
    from typing import TypeVar

    from filterd.store.labels import Label

    T = TypeVar("T")

LeftOut = Literal["disputed", "quorum", "distrusted", "labeller cap", "sender cap"]


@dataclass(frozen=True, slots=True)
class Trust:
    """The site's rule: `trusted` people's labels count alone; others need `quorum` who agree."""

    trusted: frozenset[str] = frozenset()
    quorum: int = 1
    distrusted: frozenset[str] = frozenset()

    @property
    def others(self) -> int:
        """How many of those who are not trusted must agree: two at least where some are."""
        return max(self.quorum, 2) if self.trusted else self.quorum


def accept(labels: Iterable[Label], trust: Trust) -> dict[str, Label | LeftOut]:
    """Of the labels that stand on one mail: per task the first that counts, or why none does."""
    by_task: dict[str, list[Label]] = {}
    for label in labels:
        by_task.setdefault(label.task, []).append(label)
    return {task: _accept(given, trust) for task, given in by_task.items()}


def _accept(given: Sequence[Label], trust: Trust) -> Label | LeftOut:
    believed = [label for label in given if label.by not in trust.distrusted]
    if not believed:
        return "distrusted"
    if len({label.label for label in believed}) > 1:
        return "disputed"
    alone = any(label.by in trust.trusted for label in believed)
    if not alone and len(believed) < trust.others:
        return "quorum"
    return believed[0]


def capped(
    items: Sequence[T], key: Callable[[T], Hashable], most: int, chance: random.Random
) -> tuple[list[T], list[T]]:
    """At most `most` items of each key, chosen by chance, in their order; and those left out."""
    counts = Counter(key(item) for item in items)
    over = {one for one, count in counts.items() if count > most}
    kept: set[int] = set()
    for one in sorted(over, key=str):
        places = [place for place, item in enumerate(items) if key(item) == one]
        kept.update(chance.sample(places, most))
    inside = [i for i, item in enumerate(items) if key(item) not in over or i in kept]
    chosen = set(inside)
    return [items[i] for i in inside], [item for i, item in enumerate(items) if i not in chosen]


def share_of(share: float, total: int) -> int:
    """How many of `total` a share is; one at least."""
    return max(1, int(share * total))
