"""From what the database holds of a mail to the card that shows it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.cards import GivenLabel, MailCard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from filterd.store.labels import Label
    from filterd.store.messages import MessageRecord

SLACK = "slack"
# What the question's reason means, for those who are asked (filterd.learner.queue).
ASKED = {
    "disputed": "Asked since the model and your colleagues' labels are at odds.",
    "doubtful": "Asked since its score is near the threshold.",
    "new": "Asked since it is unlike all labelled mail.",
    "random": "Asked by chance: such answers show how often I am wrong.",
}


def card_of(
    record: MessageRecord,
    labels: Iterable[Label],
    *,
    excerpt: bool,
    asked: str = "",
    why: Iterable[str] = (),
) -> MailCard:
    """The card of a mail with the labels that stand; without its text unless `excerpt`."""
    return MailCard(
        id=record.id,
        sender=record.from_address or record.sender or "<>",
        subject=record.subject,
        received=record.received_at,
        excerpt=body_of(record.text) if excerpt else None,
        verdict="spam" if record.verdict == "spam" else "ham",
        spam=record.spam if record.spam is not None else 0.0,
        threshold=record.threshold if record.threshold is not None else 1.0,
        sentiment=record.sentiment,
        asked=asked,
        why=tuple(why),
        labels=tuple(
            GivenLabel(one.id, one.task, one.label, one.by, one.at, one.source == SLACK)
            for one in labels
        ),
        judged=record.verdict is not None,
    )


def body_of(text: str | None) -> str | None:
    """What the sender wrote, of a text as the model reads it: without subject and sender."""
    if text is None:
        return None
    head, blank, body = text.partition("\n\n")
    return body if blank else head
