"""Why a mail got its verdict: from the models that judged it and the labels that taught them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from filterd.errors import MessageError
from filterd.learner.explain import Reason, reasons
from filterd.learner.features import Evidence, unpack
from filterd.learner.local import log_odds
from filterd.learner.site import near_odds
from filterd.mail.message import Message
from filterd.model.explain import Part, explain
from filterd.pipeline import SPAM_TASK, Judgement, Origin, Reading, conclude, read
from filterd.store.labels import get_label
from filterd.store.messages import find, get

if TYPE_CHECKING:
    from filterd.learner.site import SiteLearner
    from filterd.model.encoder import Encoder
    from filterd.policy import Policy
    from filterd.store.database import Database
    from filterd.store.messages import MessageRecord

MOST_REASONS = 12


@dataclass(frozen=True, slots=True)
class Resembled:
    """The labelled mail that a mail resembles: `similarity` is 1 for the same words."""

    id: str
    subject: str
    label: str
    by: str
    at: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Voices:
    """How the odds come about: log odds of spam that each brings; together they are `total`."""

    bert: float
    site: float
    near: float
    total: float


@dataclass(frozen=True, slots=True)
class Why:
    """A judgement made now, and what led to it; parts and reasons strongest first.

    `recorded` is what the mail got when it came, for one that is told by its id.
    """

    judged: Judgement
    voices: Voices
    parts: list[Part]
    reasons: list[Reason]
    near: Resembled | None
    labels: int
    recorded: MessageRecord | None = None

    def fields(self) -> dict[str, Any]:
        """As the command prints it."""
        judged, recorded = self.judged, self.recorded
        return {
            "id": None if recorded is None else recorded.id,
            "verdict": judged.verdict.value,
            "spam": round(judged.spam, 6),
            "threshold": judged.threshold,
            "bert": round(judged.scores[SPAM_TASK]["spam"], 6),
            "sentiment": judged.sentiment,
            "model": judged.model,
            "labels": self.labels,
            "voices": {name: round(odds, 3) for name, odds in asdict(self.voices).items()},
            "parts": [{**asdict(part), "odds": round(part.odds, 3)} for part in self.parts],
            "reasons": [{**asdict(each), "odds": round(each.odds, 3)} for each in self.reasons],
            "near": None if self.near is None else asdict(self.near),
            "recorded": None
            if recorded is None
            else {
                "verdict": recorded.verdict,
                "spam": recorded.spam,
                "model": recorded.model,
                "failure": recorded.failure,
            },
        }


@dataclass(frozen=True, slots=True)
class Judges:
    """All that has a say: the bundle, the site's labels, its thresholds."""

    encoder: Encoder
    policy: Policy
    learner: SiteLearner
    database: Database


def why_raw(raw: bytes, judges: Judges, now: float) -> Why:
    """Of a message as it came. Raises BundleError, StoreError."""
    return _why(read(raw), Origin(at=now), judges)


def why_recorded(query: str, judges: Judges, now: float) -> Why:
    """Of a message by its id, or the beginning of it: from what its record keeps.

    Raises MessageError if there is none or too little of it is kept; BundleError, StoreError.
    """
    record = _record(query, judges.database)
    if record.text is None or record.head is None:
        raise MessageError(
            f"{record.id}: its text is not kept (any more), so why cannot be told; store_text and "
            "retention_days say what is kept"
        )
    try:
        head = unpack(record.head)
    except ValueError as error:
        raise MessageError(f"{record.id}: its record is damaged: {error}") from None
    message = Message(
        subject=record.subject,
        from_address=record.from_address,
        from_domain=record.from_domain,
        text=record.text,
    )
    reading = Reading(message, record.text, head, 0.0)
    origin = Origin(record.helo, record.client_address, now)
    return replace(_why(reading, origin, judges), recorded=record)


def _record(query: str, database: Database) -> MessageRecord:
    exact = get(database, query.strip().upper())
    found = [exact] if exact is not None else find(database, query, limit=2)
    if not found:
        raise MessageError(f"{query}: no such file, and no message with that id")
    if len(found) > 1:
        raise MessageError(f"{query}: several messages are meant, {found[0].id} among them")
    return found[0]


def _why(reading: Reading, origin: Origin, judges: Judges) -> Why:
    (scores,) = judges.encoder.encode([reading.text])
    judged = conclude(
        reading, scores, judges.policy, reading.seconds, learner=judges.learner, origin=origin
    )
    opinion = judged.opinion
    for_bert, for_site = opinion.voices
    by_bert = judged.scores[SPAM_TASK]["spam"]
    bert = for_bert * log_odds(by_bert) + opinion.anchor
    site = for_site * opinion.margin
    near = 0.0 if opinion.near is None else near_odds(bert + site, opinion.near, judged.threshold)
    evidence = Evidence(reading.head, reading.text, origin.helo, origin.client_address)
    return Why(
        judged=judged,
        voices=Voices(bert, site, near, bert + site + near),
        parts=explain(judges.encoder, reading.text),
        reasons=[
            Reason(each.what, for_site * each.odds)
            for each in reasons(judges.learner.model, evidence, MOST_REASONS)
        ]
        if for_site
        else [],
        near=_labelled(judged, judges.database),
        labels=judges.learner.labels,
    )


def _labelled(judged: Judgement, database: Database) -> Resembled | None:
    near = judged.opinion.near
    label = None if near is None else get_label(database, near.label_id)
    if near is None or label is None:
        return None
    record = get(database, label.message_id)
    return Resembled(
        label.message_id,
        "" if record is None else record.subject,
        label.label,
        label.by,
        label.at.isoformat(timespec="seconds"),
        round(near.similarity, 3),
    )
