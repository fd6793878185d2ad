"""The mails that staff should be asked about today: what the Slack bot and `filterd queue` show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from filterd.learner.features import Evidence, unpack
from filterd.learner.queue import Candidate, Question, choose
from filterd.learner.site import clues_of
from filterd.model.manifest import SPAM_TASK
from filterd.store.messages import unlabelled

if TYPE_CHECKING:
    import random
    from datetime import datetime

    from filterd.learner.site import Opinion, SiteLearner
    from filterd.store.database import Database
    from filterd.store.messages import MessageRecord

# Of the newest mails so many are looked at: a second's work.
LOOKED_AT = 5000
NO_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Asked:
    """A mail, why it is asked about, and its spam probability 0..1 by all that is known now."""

    record: MessageRecord
    question: Question
    spam: float


def questions(
    database: Database,
    learner: SiteLearner,
    *,
    budget: int,
    since: datetime,
    now: datetime,
    chance: random.Random,
) -> list[Asked]:
    """At most `budget` mails that came since then and nobody has labelled spam or ham.

    Raises StoreError.
    """
    records, candidates = {}, []
    for record in unlabelled(database, SPAM_TASK, since, LOOKED_AT):
        candidate = _candidate(record, learner, now)
        if candidate is not None:
            records[record.id] = record
            candidates.append(candidate)
    spam = {candidate.id: candidate.spam for candidate in candidates}
    return [
        Asked(records[question.id], question, spam[question.id])
        for question in choose(candidates, budget, chance)
    ]


def opinion_on(
    record: MessageRecord, learner: SiteLearner, now: datetime, threshold: float
) -> Opinion | None:
    """What is known of a mail now, at a threshold; None if too little of it is kept."""
    if record.text is None or record.head is None or record.scores is None:
        return None
    try:
        head = unpack(record.head)
    except ValueError:
        return None
    bert = record.scores[SPAM_TASK]["spam"]
    clues = clues_of(Evidence(head, record.text, record.helo, record.client_address))
    return learner.judge(bert, clues, now.timestamp(), threshold)


def _candidate(record: MessageRecord, learner: SiteLearner, now: datetime) -> Candidate | None:
    threshold = record.threshold or NO_THRESHOLD
    opinion = opinion_on(record, learner, now, threshold)
    if opinion is None or opinion.bert is None:
        return None
    similarity = 0.0 if opinion.near is None else opinion.near.similarity
    return Candidate(record.id, opinion.spam, opinion.bert, threshold, similarity)
