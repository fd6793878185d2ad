"""Whatever the mail: all that the bot shows, Slack takes. To add a surface, add a line to SURFACES."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_limits import message_problems, problems, view_problems

from bot.cards import GivenLabel, MailCard, gone_blocks, mail_blocks, mail_text, queue_blocks
from bot.samples import sample_surfaces

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

# What people see -> where it stands, and how it comes about. A view's strategy gives the view.
SURFACES = {
    "mail": ("message", st.builds(mail_blocks, MAILS, in_queue=st.booleans())),
    "mail that is gone": ("message", st.builds(gone_blocks)),
    "queue": ("message", st.builds(queue_blocks, QUEUES, st.integers(0, 10**9))),
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
