"""Mails to label together: those of the same campaign, or of the same sender."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from filterd.learner.fingerprint import BITS, MOST_DISTANCE, Near, distance, fingerprint
from filterd.model.manifest import SPAM_TASK
from filterd.store.messages import from_sender, get, unlabelled

if TYPE_CHECKING:
    from datetime import datetime

    from filterd.store.database import Database
    from filterd.store.messages import MessageRecord

# Of the newest mails so many are looked at: half a second's work.
LOOKED_AT = 5000


@dataclass(frozen=True, slots=True)
class Similar:
    """A mail that nobody has labelled, and how like the other it is: 1 for the same words."""

    record: MessageRecord
    similarity: float


def similar(database: Database, message_id: str, *, since: datetime, limit: int) -> list[Similar]:
    """Unlabelled near-duplicates of a mail that came since then, nearest first. StoreError.

    None of a mail of few words, or whose text is not kept. The mail itself is not among them.
    """
    record = get(database, message_id)
    own = fingerprint(record.text) if record is not None and record.text else None
    if own is None:
        return []
    found = []
    for other in unlabelled(database, SPAM_TASK, since, LOOKED_AT):
        if other.id == message_id or not other.text:
            continue
        its = fingerprint(other.text)
        apart = BITS if its is None else distance(own, its)
        if apart <= MOST_DISTANCE:
            found.append(Similar(other, Near(0, "", apart).similarity))
    return sorted(found, key=lambda one: -one.similarity)[:limit]


def of_sender(
    database: Database, message_id: str, *, since: datetime, limit: int
) -> list[MessageRecord]:
    """Unlabelled mails with the same From address that came since then, newest first. StoreError.

    The From address is what the mail says of itself; whoever writes in another's name has it too.
    """
    record = get(database, message_id)
    if record is None or not record.from_address:
        return []
    found = from_sender(database, SPAM_TASK, record.from_address, since, limit + 1)
    return [other for other in found if other.id != message_id][:limit]
