"""Ailments as posts: one when it begins, green when it is over, a thread for what comes between.

All that is known of an alert is in its posts, so a restart forgets nothing. An alert's content is
`kind`, `text`, `since` and `until` (ISO times; `until` is None while it goes on); that of a reply
is `text`, which is mrkdwn and made safe here.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from slack_sdk.models.blocks import ContextBlock, MarkdownTextObject, SectionBlock

from bot.text import escaped, visible
from filterd.store.posts import add_post, change_post, posts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from slack_sdk.models.blocks import Block

    from bot.health import Ailment
    from filterd.store.database import Database
    from filterd.store.posts import Post

ALERT: Final = "alert"
REPLY: Final = "reply"
# What is back so soon is the same trouble, and staff have its thread before their eyes …
AGAIN_WITHIN: Final = timedelta(hours=1)
# … but not one that began yesterday.
LONGEST_THREAD: Final = timedelta(hours=12)
# What flickers all day says no more than six lines an hour.
REPLY_EVERY: Final = timedelta(minutes=10)
# One that has gone on for longer is told anew.
LOOK_BACK: Final = timedelta(days=90)
MOST_TEXT: Final = 600  # characters

TITLES: Final = {
    "next_hop": "The next hop cannot be reached",
    "bundle": "The champion cannot serve",
    "worker": "A worker died",
    "unjudged": "Mail goes unjudged",
    "drift": "Mail looks different",
    "disk": "The database's disk is almost full",
}
# Where to begin; docs/operations.md has the rest.
ADVICE: Final = {
    "next_hop": "Nothing is lost: senders keep their mail and try again. See whether the mail "
    "server runs, and with `filterd settings` where `next_hop` points.",
    "bundle": "The bundle before it judges mail meanwhile. `filterd models verify` says what is "
    "wrong with it; `filterd models rollback` goes back for good.",
    "worker": "It is replaced, ever later if that goes on; nothing is lost, senders try "
    "again. The log has its end, the system's log whether memory ran short.",
    "unjudged": "`filterd_unjudged_total` in /metrics counts the reasons. For deadline and "
    "overload: more `workers`, or a longer `deadline`; for error the log has the cause.",
    "drift": "`filterd queue` shows the mails most worth a label; `filterd models list` says "
    "which bundle serves. A label teaches the filter within a second.",
    "disk": 'Make room, or keep less: a shorter `retention_days`, or `store_text = "labelled"`. '
    "Without room mail still flows, but is neither recorded nor learnt from.",
}  # fmt: skip
DOCS: Final = "docs/operations.md, “What goes wrong is told”"


def look(database: Database, channel: str, ailments: Iterable[Ailment], now: datetime) -> None:
    """Have said in `channel` what began and what is over since the last look. Raises StoreError.

    What is over and back within an hour goes on in the same thread, in which at most one line is
    said every ten minutes; so what was left unsaid is said then, if it still is so.
    """
    ailing = {ailment.kind: ailment for ailment in ailments}
    alerts = posts_of(database, ALERT, now - LOOK_BACK)
    newest = {alert.content["kind"]: alert for alert in reversed(alerts)}
    for kind, ailment in ailing.items():
        if kind not in newest or _is_past(newest[kind], now):
            _begin(database, channel, ailment, now)
    fresh = [
        _updated(database, alert, ailing.get(alert.content["kind"]), now)
        for alert in alerts
        if not _is_past(alert, now)
    ]
    if fresh:
        replies = posts_of(database, REPLY, min(alert.created_at for alert in fresh))
        for alert in fresh:
            thread = [reply for reply in replies if reply.answers == alert.key]
            _say_in_thread(database, alert, thread, now)


def alert_blocks(content: Mapping[str, Any]) -> list[Block]:
    """An alert as it shows now: red with what to do while it goes on, then green."""
    kind, since, until = content["kind"], content["since"], content["until"]
    if until is None:
        head = f":red_circle: *{_title(kind)}*"
        times = f"since {_date(since)}"
    else:
        head = f":large_green_circle: *Over:* {_title(kind)}"
        times = f"from {_date(since)} to {_date(until)}"
    blocks: list[Block] = [
        SectionBlock(text=_mrkdwn(f"{head}\n{_what(content)}")),
        ContextBlock(elements=[_mrkdwn(times)]),
    ]
    if until is None:
        advice = f"{ADVICE.get(kind, '')} See {DOCS}.".strip()
        blocks.append(ContextBlock(elements=[_mrkdwn(advice)]))
    return blocks


def alert_text(content: Mapping[str, Any]) -> str:
    """The alert in a line, for notifications and screen readers; may be used as mrkdwn."""
    title = _title(content["kind"])
    return f"{title}: {_what(content)}" if content["until"] is None else f"Over: {title}"


def _begin(database: Database, channel: str, ailment: Ailment, now: datetime) -> None:
    # By the hour: what is over for less than that is no new alert, so no two have the same key,
    # but two processes that look at once do.
    key = f"{ALERT}:{ailment.kind}:{now:%Y-%m-%dT%H}"
    content = _content(ailment)
    add_post(database, key=key, kind=ALERT, channel=channel, content=content, now=now)


def _updated(database: Database, alert: Post, ailment: Ailment | None, now: datetime) -> Post:
    """The alert, over or taken up again if it is so."""
    if (ailment is None) == (alert.content["until"] is not None):
        return alert
    content = {**alert.content, "until": now.isoformat()} if ailment is None else _content(ailment)
    change_post(database, alert.key, content, now=now)
    return replace(alert, content=content)


def _is_past(alert: Post, now: datetime) -> bool:
    """Whether it is over for so long that the same again is news."""
    until = alert.content["until"]
    if until is None:
        return False
    over_for = now - datetime.fromisoformat(until)
    return over_for > AGAIN_WITHIN or now - alert.created_at > LONGEST_THREAD


def _say_in_thread(database: Database, alert: Post, thread: list[Post], now: datetime) -> None:
    """What the alert shows, if the thread's last line (the alert, at first) says otherwise.

    `thread` are its replies, newest first.
    """
    since, until = alert.content["since"], alert.content["until"]
    said_over = bool(thread) and thread[0].key.startswith(f"{alert.key}:over:")
    if said_over == (until is not None):
        return
    if thread and now - thread[0].created_at < REPLY_EVERY:
        return
    if until is None:
        key = f"{alert.key}:again:{since}"
        text = f"Again since {_date(since, '{time}')}: {_what(alert.content)}"
    else:
        key = f"{alert.key}:over:{until}"
        lasted = datetime.fromisoformat(until) - datetime.fromisoformat(since)
        text = f"Over after {_spell(lasted)}."
    add_post(
        database,
        key=key,
        kind=REPLY,
        channel=alert.channel,
        content={"text": text},
        answers=alert.key,
        now=now,
    )


def _content(ailment: Ailment) -> dict[str, Any]:
    return {
        "kind": ailment.kind,
        "text": ailment.text,
        "since": ailment.since.isoformat(),
        "until": None,
    }


def _title(kind: str) -> str:
    return TITLES.get(kind) or escaped(kind.replace("_", " "))


def _what(content: Mapping[str, Any]) -> str:
    return escaped(visible(" ".join(content["text"].split()), MOST_TEXT))


def _spell(lasted: timedelta) -> str:
    """A time as people say it, in its largest unit but for the first two hours."""
    minutes = max(lasted // timedelta(minutes=1), 0)
    if minutes < 1:
        return "less than a minute"
    for unit, size in (("day", 2880), ("hour", 120)):
        if minutes >= size:
            return f"{minutes // (size // 2)} {unit}s"
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


def _date(iso: str, form: str = "{date_short_pretty} {time}") -> str:
    """In the reader's own time zone; Slack fills it in."""
    moment = datetime.fromisoformat(iso)
    return f"<!date^{int(moment.timestamp())}^{form}|{moment.isoformat(' ', 'minutes')}>"


def _mrkdwn(text: str) -> MarkdownTextObject:
    # Verbatim: addresses of servers are to be read, not clicked.
    return MarkdownTextObject(text=text, verbatim=True)
