"""Many mails labelled together: which ones, and what comes of it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bot.answers import done_in_bulk
from bot.errors import RefusedError
from bot.modals import MOST_IN_BULK, VERDICT, bulk_of, modal
from filterd.similar import of_sender, similar

if TYPE_CHECKING:
    from slack_sdk.models.views import View

    from bot.labelling import Labelling
    from bot.modals import Kinship
    from bot.parts import Parts
    from bot.payloads import Submission
    from filterd.store.messages import MessageRecord

# Of how many days mails are looked for.
DAYS = 14
OLD = "That dialogue is from an older version of me."


async def kin_of(parts: Parts, mail_id: str, kin: Kinship) -> list[MessageRecord]:
    """Unlabelled mails like this one, or with its From address. Raises StoreError."""
    since = parts.now() - timedelta(days=DAYS)
    if kin == "sender":
        return await parts.desk.read(of_sender, mail_id, since=since, limit=MOST_IN_BULK)
    found = await parts.desk.read(similar, mail_id, since=since, limit=MOST_IN_BULK)
    return [one.record for one in found]


async def label_in_bulk(labelling: Labelling, sent: Submission) -> View:
    """Label the mails that the modal showed; what the modal becomes. RefusedError, StoreError."""
    label = sent.choices.get(VERDICT, "")
    try:
        mails = bulk_of(sent.memory).mails
    except ValueError:
        raise RefusedError(OLD) from None
    if label not in ("spam", "ham"):
        raise RefusedError(OLD)
    done = await labelling.label_all(sent.user, mails, label)
    return modal("Labelled", done_in_bulk(label, done.given, done.refused))
