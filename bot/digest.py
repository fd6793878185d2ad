"""The morning digest: when it is due, what it says, and how. Pure.

What it says is kept as JSON, and can be said again from that alone. Mail text stands in plain-text
objects only.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from slack_sdk.models.blocks import (
    ButtonElement,
    DividerBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)

from bot.answers import SIGNS, chart_block, person
from bot.cards import NO_SUBJECT
from bot.text import escaped, in_one_line
from bot.words import count, duration, named, share
from filterd.commands.queue import REASONS
from filterd.store.figures import Day, Figures

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import time
    from zoneinfo import ZoneInfo

    from slack_sdk.models.blocks import Block

    from filterd.asking import Asked
    from filterd.store.runs import TrainingRun

# A bot that was down in the morning makes up for it until then; later it would be no morning.
LATEST = timedelta(hours=6)
MOST_MAILS = 10
MOST_RUNS = 5
MOST_SENDER, MOST_SUBJECT, MOST_REASON = 60, 80, 200
# State of a training run -> what it means this morning.
NIGHTS = {
    "promoted": "A new model is in service",
    "refused": "A new model was trained and not put into service",
    "shadow": "A new model runs in shadow",
    "skipped": "No training was needed",
    "failed": "The training failed",
    "running": "A training is still at work",
    "waiting": "A training waits to be started",
}


def is_due(
    now: datetime, at: time, zone: ZoneInfo, done: Collection[date] | Callable[[date], bool]
) -> date | None:
    """The day whose digest should come now, or None. `done` knows those that came.

    From the local time `at` on, for six hours. Where the clocks skip it, from the first moment
    after; where it comes twice, from the first.
    """
    is_done = done if callable(done) else done.__contains__
    local = now.astimezone(zone)
    for day in (local.date(), local.date() - timedelta(days=1)):
        begins = datetime.combine(day, at, zone).astimezone(UTC)
        # The second holds before the first only where the clocks have skipped `at`.
        begun = now >= begins or local.replace(tzinfo=None) >= datetime.combine(day, at)
        if begun and now - begins <= LATEST:
            return None if is_done(day) else day
    return None


def digest_content(
    yesterday: Day, week: Figures, runs: Sequence[TrainingRun], questions: Sequence[Asked]
) -> dict[str, Any]:
    """What the digest says, as JSON: `runs` of the night, newest first, and mails worth a label."""
    return {
        "yesterday": _to_json(yesterday),
        "week": [_to_json(day) for day in week.days],
        "time_to_correct": week.time_to_correct,
        "runs": [
            {
                "state": run.state,
                "reason": run.reason,
                "candidate": run.candidate,
                "requested_by": run.requested_by,
            }
            for run in runs[:MOST_RUNS]
        ],
        "mails": [
            {
                "id": asked.record.id,
                "reason": asked.question.reason,
                "spam": asked.spam,
                "sender": in_one_line(asked.record.from_address, MOST_SENDER),
                "subject": in_one_line(asked.record.subject, MOST_SUBJECT),
            }
            for asked in questions[:MOST_MAILS]
        ],
    }


def digest_day(content: Mapping[str, Any]) -> Day:
    """The day that a digest is about: the one to highlight in its chart."""
    return _from_json(content["yesterday"])


def digest_figures(content: Mapping[str, Any]) -> Figures:
    """The week that a digest shows, to draw its chart from."""
    days = tuple(_from_json(day) for day in content["week"])
    return Figures(days, content["time_to_correct"])


def digest_blocks(content: Mapping[str, Any], chart: str | None) -> list[Block]:
    """The digest as it is posted; `chart` is the id of a picture that Slack has."""
    day, week = digest_day(content), digest_figures(content)
    return [
        HeaderBlock(text=f"Yesterday, {named(day.date)}"),
        SectionBlock(fields=_fields(day, week)),
        chart_block(week, chart),
        *_nights(content["runs"]),
        DividerBlock(),
        *_worth_a_label(content["mails"]),
    ]


def digest_text(content: Mapping[str, Any]) -> str:
    """The digest in a line, for notifications; may be used as mrkdwn."""
    day = digest_day(content)
    mails = len(content["mails"])
    wait = f" {count(mails, 'mail')} {'waits' if mails == 1 else 'wait'} for a label."
    return (
        f"Yesterday, {named(day.date)}: {count(day.mails, 'mail')}, {share(day.spam_share)} spam, "
        f"{day.corrected:,} put right by people.{wait if mails else ''}"
    )


def _fields(day: Day, week: Figures) -> list[MarkdownTextObject]:
    """Yesterday's figures, each beside those of the week."""
    a_day = round(week.mails / max(len(week.days), 1))
    fields = {
        "Mail": (count(day.mails, "mail"), f"{a_day:,} a day"),
        "Spam": (share(day.spam_share), share(week.spam_share)),
        "Put right by people": (_put_right(day), share(week.corrected_share)),
        "Time until it was": (duration(day.seconds_to_correct), duration(week.time_to_correct)),
    }
    if day.unjudged:
        fields["Not judged"] = (count(day.unjudged, "mail"), f"{week.unjudged:,}")
    return [
        MarkdownTextObject(text=f"*{name}*\n{value}\n_week: {of_week}_")
        for name, (value, of_week) in fields.items()
    ]


def _put_right(day: Day) -> str:
    """How many, and how many of them were good mail that had been taken for spam."""
    if not day.corrected:
        return "none"
    text = f"{count(day.corrected, 'mail')} ({share(day.corrected_share)})"
    return f"{text}, {day.false_spam:,} of them not spam" if day.false_spam else text


def _nights(runs: Sequence[Mapping[str, Any]]) -> list[Block]:
    """A block for each run: a reason may be long, and each `&` in it is five characters."""
    first, *others = [_night(run) for run in runs] or [":zzz: No training last night."]
    texts = [f"*The night*\n{first}", *others]
    return [SectionBlock(text=MarkdownTextObject(text=text)) for text in texts]


def _night(run: Mapping[str, Any]) -> str:
    state = run["state"]
    line = f"{SIGNS.get(state, ':white_small_square:')} {NIGHTS.get(state, escaped(state))}"
    if run["candidate"] is not None:
        line += f" (`{escaped(in_one_line(run['candidate'], MOST_SENDER))}`)"
    if run["requested_by"] is not None:
        line += f", asked for by {person(run['requested_by'])}"
    reason = escaped(in_one_line(run["reason"] or "", MOST_REASON)).rstrip(".")
    return f"{line}: {reason}." if reason else f"{line}."


def _worth_a_label(mails: Sequence[Mapping[str, Any]]) -> list[Block]:
    if not mails:
        text = ":tada: No mail needs a label this morning."
        return [SectionBlock(text=MarkdownTextObject(text=text))]
    title = "*Most worth a label* – each one teaches the filter at once"
    return [SectionBlock(text=MarkdownTextObject(text=title)), *(_line(mail) for mail in mails)]


def _line(mail: Mapping[str, Any]) -> Block:
    what = f"{mail['sender'] or '<>'}: {mail['subject'] or NO_SUBJECT}"
    why = f"{share(mail['spam'])} spam, {REASONS.get(mail['reason'], mail['reason'])}"
    return SectionBlock(
        block_id=f"digest:{mail['id']}",
        text=PlainTextObject(text=f"{what}\n{why}", emoji=False),
        accessory=ButtonElement(text="Open", action_id=f"open:{mail['id']}", value=mail["id"]),
    )


def _to_json(day: Day) -> dict[str, Any]:
    return {**asdict(day), "date": day.date.isoformat(), "sentiments": dict(day.sentiments)}


def _from_json(values: Mapping[str, Any]) -> Day:
    return Day(**{**values, "date": date.fromisoformat(values["date"])})
