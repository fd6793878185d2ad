"""Alerts: said once, green when over, quiet about what flickers, and no restart forgets any."""

from datetime import timedelta

import pytest
from slack_limits import message_problems
from store_records import MORNING

from bot.alerts import ADVICE, TITLES, alert_blocks, alert_text, look
from bot.health import Ailment
from filterd.store.posts import get_post, posts_of

pytest_plugins = ("store_fixtures",)

LONG_AGO = MORNING - timedelta(days=365)
REFUSED = "smtp://hop.example:25: Connection refused"


def at(minutes):
    return MORNING + timedelta(minutes=minutes)


class Site:
    """Looks at minutes after eight; what ails then is given by the kinds of it."""

    def __init__(self, database):
        self.database = database

    def look(self, minute, *kinds, text=REFUSED, channel="C1"):
        found = [Ailment(kind, text, at(minute)) for kind in kinds]
        look(self.database, channel, found, at(minute))

    def flicker(self, minutes, *, every):
        """Bad and well by turns, for some minutes from eight on."""
        for minute in range(0, minutes, every):
            self.look(minute, *(["next_hop"] if minute // every % 2 == 0 else []))

    @property
    def alerts(self):
        """Oldest first."""
        return posts_of(self.database, "alert", LONG_AGO)[::-1]

    @property
    def alert(self):
        (alert,) = self.alerts
        return alert

    @property
    def said(self):
        """The lines of all threads, oldest first."""
        replies = posts_of(self.database, "reply", LONG_AGO)[::-1]
        assert {reply.answers for reply in replies} <= {alert.key for alert in self.alerts}
        return [reply.content["text"] for reply in replies]


@pytest.fixture
def site(database):
    return Site(database)


def test_what_begins_is_said_once_in_the_channel(site):
    for minute in range(30):
        site.look(minute, "next_hop")
    assert site.alert.channel == "C1"
    assert site.alert.content == {
        "kind": "next_hop",
        "text": REFUSED,
        "since": at(0).isoformat(),
        "until": None,
    }
    assert site.said == []


def test_a_healthy_site_says_nothing(site):
    site.look(0)
    assert site.alerts == []


def test_another_error_of_the_same_kind_is_no_news_until_it_is_over(site):
    site.look(0, "next_hop")
    site.look(1, "next_hop", text="smtp://hop.example:25: no greeting within 10 s")
    assert site.alert.content["text"] == REFUSED
    assert site.alert.wanted == 1


def test_what_is_over_turns_green_and_the_thread_says_how_long_it_took(site):
    site.look(0, "next_hop")
    site.look(12)
    assert site.alert.content["until"] == at(12).isoformat()
    assert site.alert.content["text"] == REFUSED
    assert site.alert.wanted == 2
    assert site.said == ["Over after 12 minutes."]
    site.look(13)
    assert site.alert.wanted == 2


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(0.5, "less than a minute"), (1, "1 minute"), (119, "119 minutes"), (150, "2 hours"), (4400, "3 days")],
)  # fmt: skip
def test_how_long_it_took_is_said_as_people_say_it(site, minutes, said):
    site.look(0, "disk")
    site.look(minutes)
    assert site.said == [f"Over after {said}."]


def test_each_kind_has_its_own_alert(site):
    site.look(0, "next_hop", "drift")
    site.look(5, "drift")
    assert {alert.content["kind"]: alert.content["until"] is None for alert in site.alerts} == {
        "next_hop": False,
        "drift": True,
    }


def test_what_is_back_within_the_hour_goes_on_in_its_thread(site):
    site.look(0, "next_hop")
    site.look(5)
    site.look(64, "next_hop", text="smtp://hop.example:25: timed out")
    assert site.alert.content["until"] is None
    assert site.alert.content["since"] == at(64).isoformat()
    over, again = site.said
    assert over == "Over after 5 minutes."
    assert again.startswith(f"Again since <!date^{int(at(64).timestamp())}^{{time}}|")
    assert again.endswith(">: smtp://hop.example:25: timed out")


def test_what_is_back_after_the_hour_is_an_alert_of_its_own(site):
    site.look(0, "next_hop")
    site.look(5)
    site.look(66, "next_hop")
    old, new = site.alerts
    assert old.content["until"] is not None
    assert new.content["until"] is None
    site.look(70)
    assert site.said == ["Over after 5 minutes.", "Over after 4 minutes."]


def test_what_is_back_on_the_next_day_is_an_alert_of_its_own_however_soon(site):
    site.look(0, "next_hop")
    site.look(13 * 60)
    site.look(13 * 60 + 5, "next_hop")
    assert len(site.alerts) == 2


def test_what_flickers_is_one_alert_and_a_line_every_ten_minutes(site):
    site.flicker(60, every=1)
    assert len(site.said) <= 6
    assert site.alert.content["until"] is not None


def test_what_flickers_all_day_is_told_anew_twice_a_day(site):
    site.flicker(24 * 60, every=3)
    assert len(site.alerts) == 2


def test_what_was_left_unsaid_is_said_once_there_is_room_if_it_is_still_so(site):
    site.look(0, "next_hop")
    site.look(5)
    site.look(7, "next_hop")  # two minutes after the last line
    assert len(site.said) == 1
    for minute in range(8, 20):
        site.look(minute, "next_hop")
    assert len(site.said) == 2
    assert site.said[1].startswith(f"Again since <!date^{int(at(7).timestamp())}^")


def test_what_was_left_unsaid_and_is_past_stays_unsaid(site):
    site.look(0, "next_hop")
    site.look(5)
    site.look(7, "next_hop")
    for minute in range(9, 30):
        site.look(minute)
    assert site.said == ["Over after 5 minutes."]


def test_two_bots_that_look_at_once_say_it_once(site):
    site.look(0, "next_hop")
    before = site.alert
    site.look(0, "next_hop")
    assert site.alert == before


def test_replies_go_where_the_alert_went_whatever_the_channel_is_now(site):
    site.look(0, "next_hop", channel="C1")
    site.look(5, channel="C2")
    (reply,) = posts_of(site.database, "reply", LONG_AGO)
    assert (reply.channel, reply.answers) == ("C1", site.alert.key)
    assert get_post(site.database, reply.answers) == site.alert


# What it looks like


def content(**changes):
    return {
        "kind": "next_hop",
        "text": REFUSED,
        "since": at(0).isoformat(),
        "until": None,
    } | changes


def shown(content):
    """All text of the blocks, which Slack would take."""
    blocks = [block.to_dict() for block in alert_blocks(content)]
    assert message_problems(alert_text(content), blocks) == []
    texts = [block.get("text", {}).get("text", "") for block in blocks]
    texts += [each["text"] for block in blocks for each in block.get("elements", ())]
    return "\n".join(texts)


def test_while_it_goes_on_it_is_red_and_says_what_to_do():
    text = shown(content())
    assert ":red_circle: *The next hop cannot be reached*" in text
    assert REFUSED in text
    assert f"since <!date^{int(at(0).timestamp())}^" in text
    assert "`filterd settings`" in text
    assert "docs/operations.md" in text


def test_when_it_is_over_it_is_green_and_asks_for_nothing():
    text = shown(content(until=at(12).isoformat()))
    assert ":large_green_circle:" in text
    assert f"<!date^{int(at(12).timestamp())}^" in text
    assert "docs/operations.md" not in text


@pytest.mark.parametrize("kind", TITLES)
def test_for_each_kind_there_is_advice(kind):
    assert ADVICE[kind] in shown(content(kind=kind))


def test_a_kind_that_this_bot_does_not_know_is_shown_all_the_same():
    assert "*lost cause*" in shown(content(kind="lost_cause"))


def test_what_a_next_hop_says_cannot_call_anyone_or_be_endless():
    hostile = "refused us: 554 <!channel> <https://evil.example|click>\n" + "x&" * 5000
    for text in (shown(content(text=hostile)), alert_text(content(text=hostile))):
        assert "<!channel>" not in text
        assert "<https" not in text
        assert len(text) < 4000


def test_the_thread_escapes_it_too(site):
    for minute, kinds in ((0, ["next_hop"]), (5, []), (20, ["next_hop"])):
        site.look(minute, *kinds, text="554 <!channel>")
    assert site.said[1].endswith(": 554 &lt;!channel&gt;")


def test_in_a_line_it_says_whether_it_is_over():
    assert alert_text(content()) == f"The next hop cannot be reached: {REFUSED}"
    assert alert_text(content(until=at(1).isoformat())) == "Over: The next hop cannot be reached"
