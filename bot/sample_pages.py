"""Sample Home tabs, digest and alerts for `filterd-bot preview`."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bot.access import Role
from bot.alerts import alert_blocks
from bot.answers import Serving, models_blocks, stats_blocks
from bot.charts import figures_chart
from bot.digest import digest_blocks, digest_content
from bot.front import STRANGER
from bot.home import HomeData, MyLabel, home_view, stranger_view
from bot.preview import Surface, view_surface
from bot.sample_answers import MODEL, record_of
from filterd.asking import Asked
from filterd.learner.queue import Question
from filterd.store.figures import Day, Figures
from filterd.store.labels import Label
from filterd.store.models import ChampionRow
from filterd.store.pauses import Pause
from filterd.store.runs import TrainingRun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slack_sdk.models.blocks import Block

    from bot.cards import MailCard

CHART = "F0CHART000"
# Of each day: mails, spam, corrected, labelled, minutes until it was put right.
WEEK = (
    (1_204, 402, 9, 31, 41),
    (1_377, 431, 7, 28, 33),
    (1_310, 388, 8, 30, 52),
    (402, 240, 1, 4, 180),
    (388, 251, 0, 2, None),
    (1_422, 466, 5, 27, 24),
    (1_391, 447, 3, 22, 18),
)


def page_surfaces(
    mails: Sequence[MailCard], now: datetime, people: Mapping[str, str]
) -> list[Surface]:
    """Home, digest, alerts, and the answers with charts."""
    ann, bob, *_ = people
    week = _week(now.date())
    charts = {CHART: figures_chart(week)}
    nights = [
        _run(2, now - timedelta(hours=7), "promoted", None, "2026-11-26.1"),
        _run(1, now - timedelta(hours=31), "refused", "one more good mail would be lost", None),
    ]
    since = ChampionRow(3, MODEL, now - timedelta(hours=6), "trainer", "better in all", None)
    serving = Serving(MODEL, since, {"spam found": "97.1%", "right when it says spam": "99.8%"})
    paused = {"nights": Pause(1, "nights", paused=True, by=bob, at=now)}
    label = Label(9, mails[0].id, "spam", "ham", ann, "slack", now, None, None)
    home = HomeData(
        role=Role.TRUSTED,
        queue=mails,
        waiting=15,
        mine=[MyLabel(label, mails[0].subject)],
        figures=week,
        chart=CHART,
        serving=serving,
        runs=nights,
        paused=paused,
    )
    asked = [Asked(record_of(mail), Question(mail.id, "doubtful"), mail.spam) for mail in mails]
    digest = digest_content(week.days[-1], week, nights, asked)
    morning = digest_blocks(digest, CHART)
    highlighted = {CHART: figures_chart(week, week.days[-1].date)}
    failing = _alert(now, None)
    return [
        view_surface("home", "Home", home_view(home).to_dict(), images=charts, people=people),
        view_surface(
            "home-stranger", "Home of someone without a role", stranger_view(STRANGER).to_dict()
        ),
        _message("digest", "The morning's digest", morning, people, highlighted),
        _message("alert", "An alert", alert_blocks(failing), people),
        _message("alert-over", "… and when it is over", alert_blocks(_alert(now, now)), people),
        _message("stats", "/filterd stats", stats_blocks(week, CHART), people, charts, own=True),
        _message(
            "models",
            "/filterd models",
            models_blocks(serving, [since], nights, paused),
            people,
            own=True,
        ),
    ]


def _week(today: date) -> Figures:
    days = tuple(
        Day(
            date=today - timedelta(days=len(WEEK) - number),
            mails=mails,
            spam=spam,
            corrected=corrected,
            labelled=labelled,
            seconds_to_correct=None if minutes is None else 60.0 * minutes,
        )
        for number, (mails, spam, corrected, labelled, minutes) in enumerate(WEEK)
    )
    return Figures(days, 60.0 * 35)


def _run(
    number: int, at: datetime, state: str, reason: str | None, candidate: str | None
) -> TrainingRun:
    return TrainingRun(
        id=number,
        due_for=at,
        trigger="schedule",
        requested_by=None,
        state=state,
        reason=reason,
        created_at=at,
        started_at=at,
        finished_at=at,
        trainer=None,
        token=None,
        stage=None,
        attempts=1,
        trained_from=None,
        candidate=candidate,
        data_digest=None,
        figures=None,
    )


def _alert(now: datetime, until: datetime | None) -> dict[str, Any]:
    return {
        "kind": "next_hop",
        "text": "smtp://127.0.0.1:10026: connection refused (2 workers)",
        "since": (now - timedelta(minutes=12)).isoformat(),
        "until": None if until is None else until.isoformat(),
    }


def _message(
    name: str,
    title: str,
    blocks: Sequence[Block],
    people: Mapping[str, str],
    images: Mapping[str, bytes] | None = None,
    *,
    own: bool = False,
) -> Surface:
    return Surface(
        name,
        title,
        "ephemeral" if own else "message",
        [block.to_dict() for block in blocks],
        images=images or {},
        people=people,
    )
