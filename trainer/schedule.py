"""When a night is due, and whether it is worth it. Pure: the time and the figures are given.

A night is a wall-clock time of the site: where clocks are put forward over it, it is due as much
later; where they are put back over it, it is due the first time only.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from apscheduler.triggers.cron import CronTrigger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from trainer.settings import TrainerSettings

# A night that was missed is caught up within this; so daily ones are, on the longest of days too.
WINDOW = timedelta(hours=26)
# Looked at first: what is due every few minutes need not be counted through a whole day.
NEAR = timedelta(hours=1)
# No clock is put forward or back by more.
SHIFT = timedelta(hours=2)
# Longer ahead than any schedule's next night: a leap day may be eight years away.
FUTURE = timedelta(days=9 * 366)
MINUTE = timedelta(minutes=1)
WEEKDAY = re.compile(r"[0-9]")


def parse_cron(text: str) -> CronTrigger:
    """A schedule of five fields, on a clock without a time zone. ValueError says what is wrong.

    Weekdays go by name: by number, 0 is Sunday to cron and Monday to the library that reads it.
    """
    fields = text.split()
    if len(fields) == 5 and WEEKDAY.search(fields[4]):
        raise ValueError("weekdays go by name, e.g. `30 2 * * mon-fri`")
    try:
        trigger = CronTrigger.from_crontab(text, timezone=UTC)
    except ValueError as error:
        raise ValueError(f"is no schedule such as `30 2 * * *`: {error}") from None
    if trigger.get_next_fire_time(None, datetime(2000, 1, 1, tzinfo=UTC)) is None:
        raise ValueError("names a day that never comes")
    return trigger


def last_due(cron: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The newest scheduled moment up to now and within the last 26 hours, in UTC."""
    if not cron:
        return None
    trigger = parse_cron(cron)
    for window in (NEAR, WINDOW):
        newest = max(_moments(trigger, zone, now - window, now), default=None)
        if newest is not None:
            return newest
    return None


def next_due(cron: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The scheduled moment that comes next, in UTC."""
    if not cron:
        return None
    return next(_moments(parse_cron(cron), zone, now, now + FUTURE), None)


def is_worth_it(
    new_labels: int, last_trained_at: datetime | None, now: datetime, settings: TrainerSettings
) -> str | None:
    """Why to skip a night, in words; None if it shall be.

    Enough new labels are a reason to train; so is one, if the last training is `max_days` ago.
    """
    if new_labels >= settings.min_labels:
        return None
    labels = "1 new label" if new_labels == 1 else f"{new_labels or 'no'} new labels"
    if last_trained_at is None:
        return f"{labels}, {settings.min_labels} are needed to begin with"
    patience = last_trained_at + timedelta(days=settings.max_days)
    if new_labels and now >= patience:
        return None
    needed = f"{settings.min_labels} are needed, or any from {patience:%Y-%m-%d} on"
    return f"{labels} since the last training, {needed}"


def _moments(
    trigger: CronTrigger, zone: ZoneInfo, after: datetime, until: datetime
) -> Iterator[datetime]:
    """What the clock on the wall is to show, as moments after the one and up to the other."""
    wall = after.astimezone(zone).replace(tzinfo=UTC) - SHIFT
    end = until.astimezone(zone).replace(tzinfo=UTC) + SHIFT
    while (found := trigger.get_next_fire_time(None, wall)) is not None and found <= end:
        moment = found.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if after < moment <= until:
            yield moment
        wall = found + MINUTE
