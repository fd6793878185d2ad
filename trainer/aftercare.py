"""After a promotion: is the new bundle corrected more than it may be, and what may be removed?

Never removes what serves or could serve again by a rollback, nor a folder that no run of ours made.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import func, select

from filterd.errors import ImpossibleError
from filterd.model.bundle import SHIPPED, load
from filterd.model.champion import champion_version
from filterd.model.manifest import SPAM_TASK
from filterd.store import models as store
from filterd.store.labels import EffectiveLabel, Label, decide, select_labels, still_standing
from filterd.store.scores import remove_scores
from filterd.store.tables import Bundles, Labels, Messages, TrainingRuns
from trainer.stages import TEXTS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from filterd.store.database import Database
    from filterd.store.models import ChampionRow
    from trainer.settings import TrainerSettings

BY: Final = "trainer"
# With fewer, or by one person who is not trusted, a share says nothing.
FEWEST_MAILS: Final = 50
FEWEST_CORRECTIONS: Final = 5
FEWEST_PEOPLE: Final = 2
MAILS_AT_ONCE: Final = 500
WORK: Final = ".work"
# For so long a finished run's work may still be looked at.
WORK_IS_KEPT: Final = timedelta(days=1)
UNFINISHED: Final = ("waiting", "running", "shadow")
SHIPPED_PLACE: Final = "shipped"

log = structlog.get_logger(__name__)


def needs_rollback(
    database: Database,
    champion: ChampionRow,
    now: datetime,
    *,
    above: float,
    hours: float,
    trusted: Collection[str] = (),
) -> str | None:
    """Why the champion should be taken back, in words; None if it should not. Raises StoreError.

    It should if more than the share `above` of the mails that it judged since its promotion was
    corrected, while that is no more than `hours` ago: of 50 mails or more, with 5 corrections or
    more, by two people or one who is trusted. Only what the trainer promoted is looked at, and
    what came by a rollback is not, so that none follows from another.
    """
    ours = champion.by == BY and champion.takes_back is None
    late = now > champion.at + timedelta(hours=hours)
    if not ours or late or champion.version == champion_version(None):
        return None
    with database.read() as connection:
        corrections = list(_corrections(connection, champion))
        if len(corrections) < FEWEST_CORRECTIONS:
            return None
        mails = connection.execute(
            select(func.count()).where(
                Messages.received_at >= champion.at,
                Messages.model == champion.version,
                Messages.verdict.is_not(None),
            )
        ).scalar_one()
    people = {name for one in corrections for name in (one.by, *one.agreed_by)}
    believed = len(people) >= FEWEST_PEOPLE or not people.isdisjoint(trusted)
    share = len(corrections) / max(mails, 1)
    if not believed or mails < FEWEST_MAILS or share <= above:
        return None
    return (
        f"{len(corrections)} of the {mails} mails that {champion.version} judged were corrected, "
        f"by {len(people)} {'person' if len(people) == 1 else 'people'}: {share:.1%}, more than "
        f"{above:.1%}"
    )


def look_after(database: Database, models: Path, own: TrainerSettings, now: datetime) -> None:
    """Take back a champion that is corrected too much, and remove what nobody needs.

    Raises StoreError, BundleError.
    """
    champion = store.champion(database)
    if champion is not None:
        why = needs_rollback(
            database,
            champion,
            now,
            above=own.rollback_above,
            hours=own.rollback_hours,
            trusted=own.trusted,
        )
        if why is not None:
            with suppress(ImpossibleError):  # somebody was quicker
                roll_back(database, champion, why, now)
    for name in remove_unused(models, database, own.keep, now):
        log.info("removed", folder=name)


def roll_back(database: Database, champion: ChampionRow, why: str, now: datetime) -> ChampionRow:
    """Take the champion back; the row that says so.

    Where none came before it, the shipped bundle serves again. Raises ImpossibleError if it is not
    the champion any more, else StoreError or BundleError.
    """
    if len(store.line(store.champions(database))) > 1:
        row = store.rollback(database, BY, why, of=champion.id, now=lambda: now)
    else:
        row = _back_to_shipped(database, champion, why, now)
    log.warning("rolled back", version=champion.version, to=row.version, why=why)
    return row


def remove_unused(models: Path, database: Database, keep: int, now: datetime) -> list[str]:
    """Remove bundles and work folders of runs that nobody needs; what was removed, in `models`.

    The newest `keep` bundles that ever served stay, and so do the champion and the one before it.
    Of others those go that a run made and published, when it is finished; work folders a day after
    their run, and what mails said in them at once. Raises StoreError; what the disk does not let
    go is logged and tried another time.
    """
    rows = store.champions(database)
    line = store.line(rows)
    newest = list(dict.fromkeys(row.version for row in reversed(rows)))[:keep]
    needed = {*newest, *line[-2:]}
    with database.read() as connection:
        published = dict(connection.execute(select(Bundles.version, Bundles.path)).all())
        runs = connection.execute(
            select(
                TrainingRuns.id,
                TrainingRuns.state,
                TrainingRuns.candidate,
                TrainingRuns.finished_at,
            )
        ).all()
    finished = [run for run in runs if run.state not in UNFINISHED]
    open_candidates = {run.candidate for run in runs if run.state in UNFINISHED}
    unused = {run.candidate for run in finished if run.candidate in published}
    places = [models / version for version in sorted(unused - needed - open_candidates)]
    places += [
        models / WORK / f"run-{run.id}"
        for run in finished
        if run.finished_at is not None and run.finished_at < now - WORK_IS_KEPT
    ]
    # Where a run could not do so itself: what mails said is not to be looked at any more.
    for run in finished:
        _remove_file(models / WORK / f"run-{run.id}" / TEXTS)
    removed = [str(place.relative_to(models)) for place in places if _remove(place)]
    if len(finished) == len(runs):
        # A run at work may have written scores of a bundle that is not yet published.
        left = {version for version in published if (models / version).exists()}
        remove_scores(database, keep=needed | left)
    return removed


def _corrections(connection: Connection, champion: ChampionRow) -> Iterator[EffectiveLabel]:
    """The labels that count and differ from the verdict, of mails judged since the promotion."""
    # A label comes after its mail; hosts' clocks may differ by an hour's misconfiguration.
    since = champion.at - timedelta(hours=1)
    labelled = select(Labels.message_id).where(Labels.task == SPAM_TASK, Labels.at >= since)
    ids = sorted(set(connection.scalars(labelled)))
    for start in range(0, len(ids), MAILS_AT_ONCE):
        some = ids[start : start + MAILS_AT_ONCE]
        judged = select(Messages.id, Messages.verdict).where(
            Messages.id.in_(some),
            Messages.model == champion.version,
            Messages.received_at >= champion.at,
            Messages.verdict.is_not(None),
        )
        verdicts = {row.id: row.verdict for row in connection.execute(judged)}
        said = (
            select_labels()
            .where(Labels.message_id.in_(list(verdicts)), Labels.task == SPAM_TASK)
            .order_by(Labels.message_id, Labels.id)
        )
        rows = [Label(*row) for row in connection.execute(said)]
        for message_id, group in groupby(rows, key=lambda row: row.message_id):
            counts = decide(still_standing(group)).get(SPAM_TASK)
            if counts is not None and counts.label != verdicts[message_id]:
                yield counts


def _back_to_shipped(
    database: Database, champion: ChampionRow, why: str, now: datetime
) -> ChampionRow:
    present = store.champion(database)
    if present is None or present.id != champion.id:
        raise ImpossibleError("another bundle was put into service meanwhile")
    bundle = load(SHIPPED)
    if bundle.version not in {row.version for row in store.bundles(database)}:
        store.register_bundle(
            database,
            bundle.version,
            SHIPPED_PLACE,
            created_at=datetime.fromisoformat(bundle.created),
            data_digest=bundle.data_digest,
            metrics=bundle.metrics,
            now=lambda: now,
        )
    return store.set_champion(database, bundle.version, BY, why, now=lambda: now)


def _remove_file(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        log.warning("cannot be removed", file=str(file), error=str(error))


def _remove(folder: Path) -> bool:
    """Whether the folder was there and is gone now; a link is left alone."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    try:
        shutil.rmtree(folder)
    except OSError as error:
        log.warning("cannot be removed", folder=str(folder), error=str(error))
        return False
    log.info("removed", folder=str(folder))
    return True
