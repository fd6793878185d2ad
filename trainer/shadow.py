"""A candidate in shadow: it judges what comes in, beside the mail path, and nobody sees it.

It reads the records that the daemon writes, so neither its speed nor a crash of it can touch mail.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from filterd.model.encoder import open_encoder
from filterd.model.manifest import SPAM_TASK
from filterd.store.messages import unlabelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from filterd.model.bundle import Bundle
    from filterd.store.database import Database

LOOK_SECONDS = 5.0
MAILS_AT_ONCE = 500
# Of fewer mails a share says nothing.
FEWEST = 20

log = structlog.get_logger(__name__)


def watch_shadow(
    database: Database,
    bundle: Bundle,
    *,
    hours: float,
    messages: int,
    most: float,
    threshold: float | None,
    still_ours: Callable[[], None],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> str | None:
    """Judge mail as it comes, for so many hours and messages; why it may not serve, or None.

    `most` is the share of verdicts in which it may differ from the champion's own; `still_ours` is
    called at each look and raises if the run is another's. Raises StoreError, BundleError.
    """
    encoder = open_encoder(bundle.path, threads=1)
    limit = bundle.threshold(SPAM_TASK) if threshold is None else threshold
    begun = now()
    seen: set[str] = set()
    differ = 0
    since = begun
    while True:
        still_ours()
        for record in unlabelled(database, SPAM_TASK, since, MAILS_AT_ONCE):
            bert = (record.scores or {}).get(SPAM_TASK, {}).get("spam")
            if record.id in seen or not record.text or bert is None:
                continue
            seen.add(record.id)
            (scores,) = encoder.encode([record.text])
            # The model against the model: what staff taught is the same for both.
            differ += (scores.tasks[SPAM_TASK][-1] >= limit) != (bert >= limit)
        if len(seen) >= max(messages, FEWEST) and now() >= begun + timedelta(hours=hours):
            break
        since = max(since, now() - timedelta(minutes=10))
        sleep(LOOK_SECONDS)
    share = differ / len(seen)
    log.info("shadow", version=bundle.version, messages=len(seen), differ=differ)
    if share > most:
        return (
            f"in shadow it judged {100 * share:.1f}% of {len(seen)} mails otherwise than the "
            f"champion, {100 * most:.1f}% are allowed"
        )
    return None
