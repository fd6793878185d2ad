"""Figures in words, as a person would say them. Pure."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date, datetime

NONE = "–"
MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
# A unit is used up to twice the next one: 90 minutes says more than two hours.
UNITS = ((MINUTE, 1, "second"), (2 * HOUR, MINUTE, "minute"), (2 * DAY, HOUR, "hour"))


def count(number: int, noun: str, plural: str | None = None) -> str:
    """So many: "1 mail", "2,345 mails"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def duration(seconds: float | None) -> str:
    """About how long: "45 seconds", "12 minutes", "3 days"; a dash for None."""
    if seconds is None:
        return NONE
    for most, unit, noun in UNITS:
        if round(seconds / unit) * unit < most:
            return count(round(max(seconds, 0.0) / unit), noun)
    return count(round(seconds / DAY), "day")


def share(part: float | None) -> str:
    """A share 0..1 in percent; it says neither none nor all unless it is. A dash for None."""
    if part is None:
        return NONE
    percent = 100 * part
    if percent <= 0 or percent >= 100:
        return f"{min(max(percent, 0), 100):.0f}%"
    if percent < 0.01:
        return "under 0.01%"
    if percent < 0.095:
        return f"{percent:.2f}%"
    return f"{min(percent, 99.9):.1f}%"


def when(moment: datetime) -> str:
    """For mrkdwn objects: date and time in the reader's own zone, which Slack fills in."""
    plain = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return f"<!date^{int(moment.timestamp())}^{{date_short_pretty}} {{time}}|{plain}>"


def named(day: date) -> str:
    """A day as it is said: "Thursday 26 November"."""
    return f"{day:%A} {day.day} {day:%B}"


def between(first: date, last: date) -> str:
    """Days from `first` to `last`: "26 November", "20–26 November", "28 October – 26 November"."""
    end = f"{last.day} {last:%B}"
    if first == last:
        return end
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{end}"
    start = f"{first.day} {first:%B}"
    if first.year == last.year:
        return f"{start} – {end}"
    return f"{start} {first.year} – {end} {last.year}"
