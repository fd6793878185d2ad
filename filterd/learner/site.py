"""All that a site's labels taught, and what it makes of the BERT's word.

Built from the label rows in their order, so that the same rows always give the same learner: a
label that is taken back leaves nothing behind. Design section 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from filterd.learner.features import Features, features
from filterd.learner.fingerprint import LabelledTexts, fingerprint
from filterd.learner.labellers import DISTRUSTED_SHARE, Labellers, contradicts
from filterd.learner.local import LocalModel, log_odds, probability

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from filterd.learner.features import Evidence
    from filterd.learner.fingerprint import Fingerprint, Near

# For how long a labelled mail decides mails like it. The linear model forgets nothing.
NEAR_SECONDS = 90 * 86_400.0
# Log odds that a labelled mail of the same text adds; one that is less like it adds less.
NEAR_ODDS = 6.0
# The BERT may be spared from so many labels on.
SURE_AFTER, SURE_AFTER_OF_EACH = 500, 100
# So near, it decides: at least these odds, 0.9975, and clear of the threshold.
DECIDES_WITHIN, DECIDED_ODDS = 64, 6.0


@dataclass(frozen=True, slots=True, eq=False)
class Clues:
    """What the learner sees of a mail."""

    features: Features
    fingerprint: Fingerprint | None


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A labelled mail: the row that decides its label, who gave it and when (seconds since the
    epoch), and what the BERT alone gave the mail (a probability 0..1).
    """

    label_id: int
    label: str
    by: str
    at: float
    bert: float
    clues: Clues


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the site holds of a mail: `spam` 0..1 is joined from all that follows.

    `bert` is the BERT's own probability, None if it was not asked; `margin` the local model's log
    odds, less what it says of all mail; `voices` what either counts for; `anchor` the log odds
    that keep the threshold's meaning (`anchor_odds`); `near` the labelled mail that it resembles.
    """

    spam: float
    bert: float | None
    margin: float = 0.0
    voices: tuple[float, float] = (1.0, 0.0)
    near: Near | None = None
    anchor: float = 0.0

    @property
    def belief(self) -> float:
        """How likely it is spam, 0..1, as far as labels tell: before it was set against the
        threshold. What `spam` says decides; this says what is in doubt.
        """
        return probability(log_odds(self.spam) - self.anchor) if self.anchor else self.spam


def clues_of(evidence: Evidence) -> Clues:
    """Features and fingerprint of a mail. Never raises; linear; some 0.15 ms."""
    return Clues(features(evidence), fingerprint(evidence.text))


class SiteLearner:
    """Judges by what it was taught. Taught by one thread; others may ask it meanwhile.

    `distrusted` are people whose labels are not taken. `suspect` names one whose labels should
    be looked into: `build` does, from all rows.
    """

    def __init__(self, distrusted: frozenset[str] = frozenset()) -> None:
        self.distrusted = distrusted
        self.suspect: str | None = None
        self.labels = 0
        self._model = LocalModel()
        self._texts = LabelledTexts()
        self._labellers = Labellers()
        self._highest_ham = 0.0  # margin of a ham before its label was taught

    @property
    def model(self) -> LocalModel:
        """The linear model; not to be changed."""
        return self._model

    def judge(self, bert: float, clues: Clues, now: float, threshold: float = 0.99) -> Opinion:
        """The opinion on a mail that the BERT gives `bert` (0..1); `now` as in `Lesson.at`.

        What a labelled mail decides is clear of `threshold`, the site's for spam. Without labels
        `spam` is `bert` to the last bit.
        """
        near = self._near(clues, now)
        if near is None and not self._model.trust:
            return Opinion(bert, bert)
        margin = self._model.margin(clues.features)
        voices = self._model.voices
        odds = self._model.odds(log_odds(bert), margin)
        anchor = anchor_odds(odds, voices[0], threshold)
        odds += anchor
        if near is not None:
            odds += near_odds(odds, near, threshold)
        return Opinion(probability(odds), bert, margin - self._model.level, voices, near, anchor)

    def without_bert(self, clues: Clues, now: float) -> Opinion | None:
        """The opinion on a mail that is spam beyond doubt by the labels alone; else None.

        Beyond doubt: its margin is higher than that of any ham which was labelled before it was
        learnt, of hundreds.
        """
        labels = self._model.labels
        if self.labels < SURE_AFTER or min(labels.values()) < SURE_AFTER_OF_EACH:
            return None
        margin = self._model.margin(clues.features)
        if margin <= self._highest_ham:
            return None
        near = self._near(clues, now)
        if near is not None and near.label == "ham":
            return None
        odds = max(self._model.odds(0.0, margin), DECIDED_ODDS)
        voices = self._model.voices
        return Opinion(probability(odds), None, margin - self._model.level, voices, near)

    def teach(self, lesson: Lesson) -> None:
        """Take a label. The next mail is judged by it."""
        self.labels += 1
        if lesson.by in self.distrusted:
            return
        margin = self._model.teach(log_odds(lesson.bert), lesson.clues.features, lesson.label)
        if self._labellers.note(lesson.by, margin, lesson.label):
            self.suspect = lesson.by
        if lesson.label == "ham":
            self._highest_ham = max(self._highest_ham, margin)
        found = lesson.clues.fingerprint
        if found is not None:
            self._texts.add(found, lesson.label, lesson.label_id, lesson.at)

    def _near(self, clues: Clues, now: float) -> Near | None:
        if clues.fingerprint is None:
            return None
        return self._texts.nearest(clues.fingerprint, now - NEAR_SECONDS)


def build(lessons: Callable[[], Iterable[Lesson]]) -> SiteLearner:
    """The learner that these labels make, in the order in which `lessons` gives them each time.

    Whoever contradicts what all others taught is left out, and the rest is taught anew.
    """
    distrusted: frozenset[str] = frozenset()
    while True:
        learner = SiteLearner(distrusted)
        for count, lesson in enumerate(lessons(), start=1):
            learner.teach(lesson)
            suspect, learner.suspect = learner.suspect, None
            if suspect is not None and _stands_alone(lessons, count, suspect, distrusted):
                distrusted |= {suspect}
                break
        else:
            return learner


def _stands_alone(
    lessons: Callable[[], Iterable[Lesson]], count: int, suspect: str, distrusted: frozenset[str]
) -> bool:
    """Whether the suspect's labels among the first `count` contradict what the others taught."""
    others = LocalModel()
    for lesson in islice(lessons(), count):
        if lesson.by != suspect and lesson.by not in distrusted:
            others.teach(log_odds(lesson.bert), lesson.clues.features, lesson.label)
    # Read again rather than kept: ten thousand lessons are a quarter of a gigabyte.
    theirs = against = 0
    for lesson in islice(lessons(), count):
        if lesson.by == suspect:
            theirs += 1
            against += contradicts(others.margin(lesson.clues.features), lesson.label)
    return against > DISTRUSTED_SHARE * theirs


def anchor_odds(odds: float, for_bert: float, threshold: float) -> float:
    """What to add to joined odds so that the threshold goes on meaning what it meant for the BERT.

    A site whose labels show that the BERT is too sure of itself gives its word less weight, and
    everything comes nearer to 0; a threshold of 0.99 would then catch next to nothing. So a mail on
    which the site has nothing to say of its own is spam, as before, if the BERT alone would say so.
    """
    wanted = log_odds(threshold)
    if wanted <= 0.0 or for_bert <= 0.0:
        return 0.0
    reached = for_bert * wanted
    if odds >= reached:
        return wanted - reached
    return odds * (wanted / reached) - odds if odds > 0.0 else 0.0


def near_odds(odds: float, near: Near, threshold: float) -> float:
    """What a labelled mail so near adds to these log odds."""
    towards = 1.0 if near.label == "spam" else -1.0
    joined = odds + towards * NEAR_ODDS * near.similarity
    if near.distance <= DECIDES_WITHIN:
        least = max(DECIDED_ODDS, towards * log_odds(threshold) + 1.0)
        joined = towards * max(towards * joined, least)
    return joined - odds
