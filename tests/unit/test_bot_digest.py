"""The morning digest: when it comes, and that Slack takes what it says, whatever the mail."""

import json
from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_limits import message_problems
from store_records import make_record

from bot.digest import (
    LATEST,
    NIGHTS,
    digest_blocks,
    digest_content,
    digest_day,
    digest_figures,
    digest_text,
    is_due,
)
from filterd.asking import Asked
from filterd.learner.queue import Question
from filterd.store.figures import Day, Figures

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
THURSDAY = date(2026, 11, 26)
EIGHT = time(8)
HALF_PAST_TWO = time(2, 30)
YESTERDAY = Day(
    THURSDAY,
    mails=1386,
    spam=556,
    unjudged=2,
    corrected=6,
    labelled=14,
    seconds_to_correct=720.0,
    false_spam=1,
    sentiments={"negative": 300, "neutral": 1084},
)
WEEK = Figures((Day(THURSDAY - timedelta(days=1), mails=614, spam=44), YESTERDAY), 900.0)


def run(state="promoted", reason=None, candidate="2026-11-27.1", requested_by=None):
    return SimpleNamespace(
        state=state, reason=reason, candidate=candidate, requested_by=requested_by
    )


def asked(number, reason="doubtful", **changes):
    record = make_record(number, **changes)
    return Asked(record, Question(record.id, reason), 0.971)


def content(runs=(), questions=(), week=WEEK):
    return digest_content(YESTERDAY, week, runs, questions)


def sent(said, chart=None):
    """Its blocks as they go over the wire."""
    return json.loads(json.dumps([block.to_dict() for block in digest_blocks(said, chart)]))


def objects(value, kind):
    """All text objects of a kind in blocks, at any depth."""
    if isinstance(value, dict):
        if value.get("type") == kind:
            yield value["text"]
        for each in value.values():
            yield from objects(each, kind)
    elif isinstance(value, list):
        for each in value:
            yield from objects(each, kind)


def formatted(said):
    return "\n".join(objects(sent(said), "mrkdwn"))


def due(moment, at=EIGHT, zone=BERLIN, done=frozenset()):
    return is_due(moment, at, zone, done)


def first_due(day, at, zone):
    """The first quarter of an hour from noon before that day on at which it is due."""
    moment = datetime.combine(day, time(), UTC) - timedelta(hours=12)
    while due(moment, at, zone) != day:
        moment += timedelta(minutes=15)
    return moment.astimezone(zone)


def test_it_is_due_from_its_time_on_for_six_hours():
    eight = datetime(2026, 11, 27, 8, tzinfo=BERLIN)
    assert due(eight - timedelta(seconds=1)) is None
    assert due(eight) == eight.date()
    assert due(eight + LATEST) == eight.date()
    assert due(eight + LATEST + timedelta(seconds=1)) is None


def test_the_time_is_that_of_the_site():
    assert due(datetime(2026, 11, 27, 7, tzinfo=UTC)) == date(2026, 11, 27)
    assert due(datetime(2026, 11, 27, 7, tzinfo=UTC), zone=NEW_YORK) is None


def test_what_came_does_not_come_again():
    nine = datetime(2026, 11, 27, 9, tzinfo=BERLIN)
    assert due(nine, done={nine.date()}) is None
    assert due(nine, done={nine.date() - timedelta(days=1)}) == nine.date()
    assert due(nine, done=lambda day: day == nine.date()) is None


def test_late_at_night_it_may_still_come_after_midnight():
    late = datetime(2026, 11, 28, 1, tzinfo=BERLIN)
    assert due(late, at=time(23)) == date(2026, 11, 27)


@pytest.mark.parametrize(
    ("zone", "day"), [(BERLIN, date(2026, 3, 29)), (NEW_YORK, date(2026, 3, 8))]
)
def test_a_time_that_the_clocks_skip_is_the_first_moment_after(zone, day):
    found = first_due(day, HALF_PAST_TWO, zone)
    assert found.replace(tzinfo=None) == datetime.combine(day, time(3))


@pytest.mark.parametrize(
    ("zone", "day"), [(BERLIN, date(2026, 10, 25)), (NEW_YORK, date(2026, 11, 1))]
)
@pytest.mark.parametrize("at", [time(1, 30), HALF_PAST_TWO])
def test_a_time_that_comes_twice_counts_the_first_time(zone, day, at):
    found = first_due(day, at, zone)
    assert (found.replace(tzinfo=None), found.fold) == (datetime.combine(day, at), 0)
    # An hour on the clock shows an earlier time again: it stays due.
    assert due(found.astimezone(UTC) + timedelta(minutes=45), at, zone) == day


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  Hypothesis wants them bare
    st.times(),
    st.sampled_from([BERLIN, NEW_YORK, ZoneInfo("Africa/Cairo"), ZoneInfo("Asia/Kolkata")]),
)
def test_every_morning_has_its_digest_once(start, at, zone):
    done = []
    for quarter in range(3 * 96):
        day = is_due(start + timedelta(minutes=15 * quarter), at, zone, done)
        done += [] if day is None else [day]
    assert len(done) in {3, 4}
    assert [later - earlier for earlier, later in zip(done, done[1:])] == [
        timedelta(days=1) for _ in done[1:]
    ]


def test_it_can_be_said_again_from_what_was_kept():
    said = content([run()], [asked(1)])
    kept = json.loads(json.dumps(said))
    assert kept == said
    assert digest_day(kept) == YESTERDAY
    assert digest_figures(kept) == WEEK
    assert sent(kept) == sent(said)


def test_it_sets_yesterday_beside_the_week():
    blocks = sent(content())
    assert blocks[0]["text"]["text"] == "Yesterday, Thursday 26 November"
    assert [field["text"] for field in blocks[1]["fields"]] == [
        "*Mail*\n1,386 mails\n_week: 1,000 a day_",
        "*Spam*\n40.2%\n_week: 30.0%_",
        "*Put right by people*\n6 mails (0.4%), 1 of them not spam\n_week: 0.3%_",
        "*Time until it was*\n12 minutes\n_week: 15 minutes_",
        "*Not judged*\n2 mails\n_week: 2_",
    ]


def test_its_chart_says_what_it_shows_and_without_one_there_is_a_line():
    image = sent(content(), chart="F0123")[2]
    assert (image["type"], image["slack_file"]) == ("image", {"id": "F0123"})
    assert "2,000 mails" in image["alt_text"]
    assert "`▄█`" in formatted(content())


def test_it_says_what_the_night_brought():
    said = formatted(
        content(
            [
                run(),
                run("refused", "recall fell by 2%.", requested_by="U0ANN00000"),
                run("failed", "no <GPU>", candidate=None),
            ]
        )
    )
    assert "A new model is in service (`2026-11-27.1`)." in said
    assert "not put into service (`2026-11-27.1`), asked for by <@U0ANN00000>: recall" in said
    assert ":x: The training failed: no &lt;GPU&gt;." in said
    assert "No training last night" in formatted(content())


@pytest.mark.parametrize("state", [*NIGHTS, "unheard of"])
def test_every_state_of_a_run_has_words(state):
    assert NIGHTS.get(state, "unheard of") in formatted(content([run(state)]))


def test_each_mail_is_a_line_with_a_button_that_opens_it():
    mail = asked(1, "random", subject="Minutes", from_address="ann@example.org")
    block = sent(content(questions=[mail]))[-1]
    assert block["block_id"] == f"digest:{mail.record.id}"
    assert block["text"] == {
        "type": "plain_text",
        "text": "ann@example[.]org: Minutes\n97.1% spam, by chance, to measure errors",
        "emoji": False,
    }
    assert block["accessory"]["value"] == mail.record.id
    assert block["accessory"]["action_id"] == f"open:{mail.record.id}"


def test_no_more_than_ten_mails_are_asked_about():
    blocks = sent(content(questions=[asked(number) for number in range(30)]))
    assert sum(block.get("block_id", "").startswith("digest:") for block in blocks) == 10
    assert "No mail needs a label" in formatted(content())


def test_a_site_without_any_mail_has_a_digest_too():
    day = Day(THURSDAY)
    said = digest_content(day, Figures((day,)), [], [])
    assert message_problems(digest_text(said), sent(said)) == []
    assert "*Spam*\n–" in formatted(said)


def test_its_line_for_notifications():
    line = "Yesterday, Thursday 26 November: 1,386 mails, 40.2% spam, 6 put right by people."
    assert digest_text(content()) == line
    assert digest_text(content(questions=[asked(1)])) == f"{line} 1 mail waits for a label."
    assert digest_text(content(questions=[asked(1), asked(2)])).endswith(
        "2 mails wait for a label."
    )


HOSTILE = st.one_of(
    st.text(st.characters(), max_size=300),
    st.text(st.sampled_from("<>!@&*_~`|\n\r\0\u202e\u200b\ud800\U0001f4a9. a"), max_size=300),
    st.builds(
        lambda text, times: text * times,
        st.sampled_from(["x", " ", "\u200b", "\U0001f600", "<!channel> ", "&"]),
        st.sampled_from([0, 1, 151, 3001, 50_000]),
    ),
).map(lambda text: f"{text}<!channel> <https://evil.example|click> https://evil.example/x")
COUNTS = st.integers(0, 10**12)
DAYS = st.builds(
    Day,
    st.just(THURSDAY),
    *(COUNTS for _ in range(5)),
    st.none() | st.floats(0, 1e9),
    COUNTS,
)


@given(
    DAYS,
    st.lists(DAYS, max_size=90),
    st.lists(st.builds(run, st.sampled_from(list(NIGHTS)), HOSTILE, HOSTILE, HOSTILE), max_size=12),
    st.lists(st.tuples(HOSTILE, HOSTILE), max_size=12),
    st.none() | st.just("F0123"),
)
def test_slack_takes_it_and_no_mail_can_call_format_or_link(day, days, runs, mails, chart):
    questions = [
        asked(number, subject=subject, from_address=sender)
        for number, (subject, sender) in enumerate(mails)
    ]
    said = digest_content(day, Figures(tuple(days)), runs, questions)
    blocks = sent(said, chart)
    assert message_problems(digest_text(said), blocks) == []
    for text in objects(blocks, "mrkdwn"):
        assert "<!channel>" not in text
        assert "<http" not in text
    for text in objects(blocks, "plain_text"):
        assert "https://" not in text
        assert "evil.example" not in text
        assert "\u202e" not in text


@given(HOSTILE, HOSTILE)
def test_nothing_of_a_mail_stands_where_slack_gives_it_meaning(subject, sender):
    said = content(questions=[asked(1, subject=subject, from_address=sender)])
    assert "evil" not in formatted(said)
    assert "channel" not in formatted(said)
    assert "evil" not in digest_text(said)
