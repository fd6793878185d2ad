"""When nights are due, over nights in which clocks change, too; and whether they are worth it."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filterd.errors import SettingsError
from filterd.settings import load_table
from trainer.schedule import is_worth_it, last_due, next_due, parse_cron
from trainer.settings import TABLE, TrainerSettings

NIGHTLY = "30 2 * * *"
BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
# Nights in which 02:30 is left out, and in which it comes twice.
SKIPPED = {BERLIN: date(2026, 3, 29), NEW_YORK: date(2026, 3, 8)}
REPEATED = {BERLIN: date(2026, 10, 25), NEW_YORK: date(2026, 11, 1)}
ZONES = st.sampled_from([BERLIN, NEW_YORK])
MOMENTS = st.integers(0, 2 * 365 * 24 * 3600).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_settings_around(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def nights(zone, day, hours=30):
    """What is found due, once a minute over that night of the site."""
    start = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    return [last_due(NIGHTLY, zone, start + timedelta(minutes=each)) for each in range(hours * 60)]


def test_before_its_time_a_night_is_not_due_and_from_then_on_it_is():
    assert last_due(NIGHTLY, UTC, utc(2026, 11, 26, 2, 29, 59)) == utc(2026, 11, 25, 2, 30)
    assert last_due(NIGHTLY, UTC, utc(2026, 11, 26, 2, 30)) == utc(2026, 11, 26, 2, 30)
    assert last_due(NIGHTLY, UTC, utc(2026, 11, 26, 23, 0)) == utc(2026, 11, 26, 2, 30)


def test_the_clock_is_that_of_the_site():
    assert last_due(NIGHTLY, BERLIN, NOW) == utc(2026, 11, 26, 1, 30)
    assert last_due(NIGHTLY, NEW_YORK, NOW) == utc(2026, 11, 26, 7, 30)


def test_a_night_of_more_than_26_hours_ago_is_not_caught_up():
    sundays = "30 2 * * sun"
    assert last_due(sundays, UTC, utc(2026, 11, 23, 4, 29)) == utc(2026, 11, 22, 2, 30)
    assert last_due(sundays, UTC, utc(2026, 11, 23, 4, 30)) is None


def test_without_a_schedule_nothing_is_due():
    assert last_due("", UTC, NOW) is None
    assert next_due("", UTC, NOW) is None


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK], ids=str)
@pytest.mark.parametrize("changes", [SKIPPED, REPEATED], ids=["skipped", "repeated"])
def test_a_night_in_which_clocks_change_is_due_once(zone, changes):
    day = changes[zone]
    found = nights(zone, day - timedelta(days=1), hours=72)
    assert found == sorted(found)
    local = [moment.astimezone(zone).date() for moment in dict.fromkeys(found)]
    assert local.count(day) == 1
    assert local == sorted(set(local))


def test_a_time_that_is_skipped_is_due_as_much_later():
    assert next_due(NIGHTLY, BERLIN, utc(2026, 3, 29)) == utc(2026, 3, 29, 1, 30)  # 03:30 there
    assert last_due(NIGHTLY, BERLIN, utc(2026, 3, 29, 1, 29)) == utc(2026, 3, 28, 1, 30)


def test_a_time_that_comes_twice_is_due_the_first_time():
    assert last_due(NIGHTLY, NEW_YORK, utc(2026, 11, 1, 12)) == utc(2026, 11, 1, 7, 30)
    once = "30 1 * * *"  # 01:30 EDT, then 01:30 EST
    assert last_due(once, NEW_YORK, utc(2026, 11, 1, 5, 30)) == utc(2026, 11, 1, 5, 30)
    assert last_due(once, NEW_YORK, utc(2026, 11, 1, 6, 45)) == utc(2026, 11, 1, 5, 30)


@given(MOMENTS, ZONES, st.sampled_from([NIGHTLY, "30 1 * * *", "0 3 * * *", "59 2 * * *"]))
def test_every_day_has_a_night_within_26_hours_that_does_not_change(now, zone, cron):
    due = last_due(cron, zone, now)
    assert due <= now < due + timedelta(hours=26)
    assert last_due(cron, zone, due) == due
    after = next_due(cron, zone, now)
    assert last_due(cron, zone, after) == after > now
    days = after.astimezone(zone).date() - due.astimezone(zone).date()
    assert days == timedelta(days=1)


@given(MOMENTS, ZONES)
def test_schedules_that_are_due_all_the_time_are_found_near(now, zone):
    due = last_due("*/5 * * * *", zone, now)
    # In an hour that comes twice, the second one has none.
    assert due <= now < due + timedelta(hours=1, minutes=5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("at night", "is no schedule such as `30 2 * * *`"),
        ("30 25 * * *", "is no schedule such as"),
        ("30 2 * *", "is no schedule such as"),
        ("30 2 * * 0", "weekdays go by name"),
        ("30 2 * * 1-5", "weekdays go by name"),
        ("30 2 31 2 *", "names a day that never comes"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_with_the_reason(text, said):
    with pytest.raises(ValueError, match=said.replace("*", r"\*")):
        parse_cron(text)


# Whether it is worth it

SETTINGS = TrainerSettings(min_labels=20, max_days=7)


@pytest.mark.parametrize(
    ("labels", "days", "said"),
    [
        (20, None, None),
        (20, 1, None),
        (1, 7, None),
        (19, None, "19 new labels, 20 are needed to begin with"),
        (
            1,
            6.5,
            "1 new label since the last training, 20 are needed, or any from 2026-11-27 on",
        ),
        (
            0,
            7,
            "no new labels since the last training, 20 are needed, or any from 2026-11-26 on",
        ),
    ],
)
def test_a_night_is_worth_it_by_its_labels(labels, days, said):
    last = None if days is None else NOW - timedelta(days=days)
    assert is_worth_it(labels, last, NOW, SETTINGS) == said


# Settings


def test_the_defaults_are_those_of_the_docs():
    own = load_table(TrainerSettings, TABLE)
    assert (own.schedule, own.timezone, own.min_labels, own.time_budget) == (
        NIGHTLY,
        "UTC",
        20,
        7200.0,
    )
    assert own.cores >= 1


def test_names_come_as_a_list_or_by_commas(monkeypatch, tmp_path):
    (tmp_path / "filterd.toml").write_text('[trainer]\ntrusted = ["Ann Lee", "U0BOB"]\n')
    assert load_table(TrainerSettings, TABLE).trusted == ("Ann Lee", "U0BOB")
    monkeypatch.setenv("FILTERD_TRAINER_TRUSTED", "Ann Lee, U0CLEO")
    assert load_table(TrainerSettings, TABLE).trusted == ("Ann Lee", "U0CLEO")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('schedule = "30 2 * * 7"', "'schedule': weekdays go by name"),
        ('timezone = "Berlin"', "'timezone': is no time zone"),
        ("keep = 1", "'keep': Input should be greater than or equal to 2"),
        ("min_label = 3", "unknown setting 'min_label' (did you mean 'min_labels'?)"),
        ("nice = 20", "'nice': Input should be less than or equal to 19"),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_its_file(tmp_path, text, said):
    (tmp_path / "filterd.toml").write_text(f"[trainer]\n{text}\n")
    with pytest.raises(SettingsError) as error:
        load_table(TrainerSettings, TABLE)
    assert str(error.value).startswith("filterd.toml: ")
    assert said in str(error.value)


@given(st.text(max_size=30))
def test_any_text_is_a_schedule_or_is_refused(text):
    try:
        own = TrainerSettings(schedule=text)
    except ValidationError:
        return
    due = next_due(own.schedule, own.zone, NOW)
    assert (due is None) == (not own.schedule)
