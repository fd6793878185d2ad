"""Whatever the mail: all that the bot shows, Slack takes. To add a surface, add a line to SURFACES."""

import json
from dataclasses import fields
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_limits import message_problems, problems, view_problems
from store_records import make_record

from bot.access import Role
from bot.alerts import alert_blocks
from bot.answers import (
    Serving,
    details_blocks,
    done_in_bulk,
    lines_of,
    models_blocks,
    said,
    stats_blocks,
)
from bot.cards import GivenLabel, MailCard, gone_blocks, mail_blocks, mail_text, queue_blocks
from bot.commands import help_text
from bot.home import HomeData, MyLabel, home_view, stranger_view
from bot.modals import MOST_IN_BULK, bulk_modal, find_modal, modal
from bot.reasons import why_blocks
from bot.samples import sample_surfaces
from bot.text import escaped, in_one_line
from filterd.learner.explain import Reason
from filterd.model.explain import Part
from filterd.pipeline import Judgement
from filterd.policy import Verdict
from filterd.store.figures import Day, Figures
from filterd.store.labels import Label
from filterd.store.models import ChampionRow
from filterd.store.pauses import Pause
from filterd.store.runs import TrainingRun
from filterd.why import Resembled, Voices, Why

# Letters of all kinds, with much of what has a meaning to Slack, to a terminal or to a reader's eye.
HOSTILE = st.one_of(
    st.text(st.characters(), max_size=400),
    st.text(
        st.sampled_from("<>!@#&*_~`|:\"'\\\n\r\t\0\u202e\u200b\ud800\U0001f4a9. a"), max_size=400
    ),
    st.builds(
        lambda text, times: text * times,
        st.sampled_from(["x", " ", "\n", "\u200b", "\U0001f600", "<!channel> ", "&amp;", "a.b "]),
        st.sampled_from([0, 1, 149, 150, 151, 2999, 3001, 50_000]),
    ),
)
TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  Hypothesis wants them bare
SHARES = st.floats(0, 1)
IDS = st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=26, max_size=26)
ROWS = st.integers(1, 10**9)
PEOPLE = st.from_regex(r"U[0-9A-Z]{8,11}", fullmatch=True)
NAMES = st.text(min_size=1, max_size=64)

TASKS = st.sampled_from(["spam", "sentiment", "topic"])

LABELS = st.one_of(
    st.builds(GivenLabel, ROWS, TASKS, NAMES, PEOPLE, TIMES),
    st.builds(GivenLabel, ROWS, TASKS, st.just("ham"), NAMES, TIMES, from_slack=st.just(False)),
)
MAILS = st.builds(
    MailCard,
    id=IDS,
    sender=HOSTILE,
    subject=HOSTILE,
    received=TIMES,
    excerpt=st.none() | HOSTILE,
    verdict=st.sampled_from(["spam", "ham"]),
    spam=SHARES,
    threshold=SHARES,
    sentiment=st.none() | st.sampled_from(["negative", "neutral", "positive"]),
    asked=HOSTILE,
    why=st.lists(HOSTILE, max_size=8).map(tuple),
    labels=st.lists(LABELS, max_size=8, unique_by=lambda label: label.id).map(tuple),
    judged=st.booleans(),
)
QUEUES = st.lists(MAILS, max_size=12, unique_by=lambda mail: mail.id)
RECORDS = st.builds(
    make_record,
    st.integers(0, 10**6),
    subject=HOSTILE,
    sender=HOSTILE,
    helo=HOSTILE,
    client_address=HOSTILE,
    message_id=HOSTILE,
    outcome=HOSTILE,
    failure=st.none() | HOSTILE,
    model=st.none() | HOSTILE,
)
ODDS = st.floats(-40, 40)
WHYS = st.builds(
    Why,
    judged=st.builds(
        Judgement,
        verdict=st.sampled_from(Verdict),
        spam=SHARES,
        opinion=st.none(),
        threshold=SHARES,
        sentiment=st.none(),
        sentiment_score=SHARES,
        scores=st.just({}),
        model=NAMES,
        reading=st.none(),
        embedding=st.none(),
        ms=SHARES,
    ),
    voices=st.builds(Voices, ODDS, ODDS, ODDS, ODDS),
    parts=st.lists(st.builds(Part, st.just("text"), HOSTILE, ODDS), max_size=12),
    reasons=st.lists(st.builds(Reason, HOSTILE, ODDS), max_size=12),
    near=st.none()
    | st.builds(Resembled, IDS, HOSTILE, NAMES, HOSTILE, st.just("2026-11-26"), SHARES),
    labels=ROWS,
)
DAYS = st.builds(
    Day,
    date=st.dates(),
    mails=ROWS,
    spam=ROWS,
    unjudged=ROWS,
    corrected=ROWS,
    seconds_to_correct=st.none() | st.floats(0, 1e9),
)
FIGURES = st.builds(
    Figures, st.lists(DAYS, min_size=1, max_size=90).map(tuple), st.none() | st.floats(0, 1e9)
)
CHARTS = st.none() | st.just("F0CHART000")
CHAMPIONS = st.builds(ChampionRow, ROWS, NAMES, TIMES, HOSTILE, HOSTILE, st.none() | ROWS)
SERVING = st.builds(
    Serving,
    NAMES,
    st.none() | CHAMPIONS,
    st.dictionaries(st.sampled_from(["spam found", "sentiment right"]), st.just("97.1%")),
    st.just("") | HOSTILE,
)
NIGHTS = st.lists(
    st.builds(
        TrainingRun,
        **dict.fromkeys((each.name for each in fields(TrainingRun)), st.none())
        | {
            "state": st.sampled_from(["promoted", "refused", "skipped", "failed", "waiting"]),
            "reason": st.none() | HOSTILE,
            "created_at": TIMES,
        },
    ),
    max_size=20,
)
PAUSED = st.dictionaries(
    st.sampled_from(["cards", "nights"]),
    st.builds(Pause, ROWS, st.just("cards"), st.just(True), HOSTILE, TIMES),
)
HOMES = st.builds(
    HomeData,
    role=st.sampled_from([role for role in Role if role is not Role.NOBODY]),
    queue=QUEUES,
    waiting=ROWS,
    mine=st.lists(
        st.builds(
            MyLabel,
            st.builds(Label, ROWS, IDS, TASKS, NAMES, PEOPLE, NAMES, TIMES, st.none(), st.none()),
            HOSTILE,
        ),
        max_size=20,
        unique_by=lambda mine: mine.label.id,
    ),
    figures=FIGURES,
    chart=CHARTS,
    serving=SERVING,
    runs=NIGHTS,
    paused=PAUSED,
)
ALERTS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["next_hop", "bundle", "unjudged", "drift", "disk", "new"]),
        "text": HOSTILE,
        "since": TIMES.map(datetime.isoformat),
        "until": st.none() | TIMES.map(datetime.isoformat),
    }
)

# What people see -> where it stands, and how it comes about. A view's strategy gives the view.
SURFACES = {
    "mail": ("message", st.builds(mail_blocks, MAILS, in_queue=st.booleans())),
    "mail that is gone": ("message", st.builds(gone_blocks)),
    "queue": ("message", st.builds(queue_blocks, QUEUES, st.integers(0, 10**9))),
    "found": ("message", st.builds(lines_of, QUEUES, st.just("*Found*"))),
    "details": ("message", st.builds(details_blocks, RECORDS)),
    "why": ("message", st.builds(why_blocks, WHYS, HOSTILE)),
    "stats": ("message", st.builds(stats_blocks, FIGURES, CHARTS)),
    "models": (
        "message",
        st.builds(models_blocks, SERVING, st.lists(CHAMPIONS, max_size=9), NIGHTS, PAUSED),
    ),
    "help": ("message", st.builds(lambda role: said(help_text(role)), st.sampled_from(Role))),
    "labelled in bulk": (
        "modal",
        st.builds(
            lambda given, refused: modal("Labelled", done_in_bulk("spam", given, refused)),
            st.lists(ROWS, max_size=MOST_IN_BULK),
            st.integers(0, MOST_IN_BULK),
        ),
    ),
    "bulk": (
        "modal",
        st.builds(
            bulk_modal,
            st.sampled_from(["similar", "sender"]),
            st.lists(MAILS, max_size=3).map(lambda mails: mails * 33 + mails[:1]),
        ),
    ),
    "which mail": (
        "modal",
        st.builds(
            find_modal,
            HOSTILE.map(lambda text: f"No mail with “{escaped(in_one_line(text, 60))}”."),
        ),
    ),
    "mail in a modal": ("modal", st.builds(lambda mail: modal("Mail", mail_blocks(mail)), MAILS)),
    "home": ("home", st.builds(home_view, HOMES)),
    "home of a stranger": ("home", st.builds(stranger_view, st.just("No role."))),
    "alert": ("message", st.builds(alert_blocks, ALERTS)),
}


@pytest.mark.parametrize("name", SURFACES)
@given(data=st.data())
def test_slack_takes_it(name, data):
    surface, strategy = SURFACES[name]
    payload = as_sent(data.draw(strategy))
    found = problems(payload) if surface == "message" else view_problems(payload)
    assert found == []


@given(MAILS)
def test_slack_takes_the_text_that_stands_in_for_a_card(mail):
    assert message_problems(mail_text(mail), as_sent(mail_blocks(mail))) == []


@pytest.mark.parametrize("surface", sample_surfaces(), ids=lambda surface: surface.name)
def test_slack_takes_every_sample(surface):
    assert problems(as_sent(list(surface.blocks)), surface.kind) == []


def as_sent(value):
    """As it goes over the wire: blocks and views as dicts, in JSON, in UTF-8."""
    if isinstance(value, list):
        value = [block if isinstance(block, dict) else block.to_dict() for block in value]
    elif not isinstance(value, dict):
        value = value.to_dict()
    return json.loads(json.dumps(value, ensure_ascii=False).encode())
