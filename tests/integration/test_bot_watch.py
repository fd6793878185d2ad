"""Which mails get a card, and when: each that wants one gets one, however they come."""

from datetime import timedelta
from pathlib import Path

import pytest
from store_records import MORNING, make_record

from bot import watch as watching
from bot.desk import Desk
from bot.settings import BotSettings
from bot.watch import Watch
from filterd.store import posts
from filterd.store.labels import add_label
from filterd.store.messages import write_batch
from filterd.store.pauses import set_pause

pytest_plugins = ("store_fixtures",)

SECOND = timedelta(seconds=1)


class Reasons:
    def lines(self, mail_id):
        return ("A reason.",)


class Looking:
    """A watch whose time a test sets."""

    def __init__(self, database, **settings):
        self.database = database
        self.now = MORNING
        self.desk = Desk(database, Path(), now=lambda: self.now)
        own = BotSettings(channel="C0FILTERD1", **settings)
        self.watch = Watch(self.desk, Reasons(), own, now=lambda: self.now)

    async def look(self, after=0.3):
        self.now += timedelta(seconds=after)
        await self.watch.look()

    def mail(self, number, ago=0.0, spam=0.95):
        verdict = "spam" if spam >= 0.9 else "ham"
        at = self.now - timedelta(seconds=ago)
        write_batch(
            self.database,
            [make_record(number, received_at=at, spam=spam, verdict=verdict, scores=None)],
        )

    def cards(self):
        found = posts.posts_of(self.database, posts.CARD, MORNING - timedelta(days=1))
        return sorted(int(post.message_id) for post in found)


@pytest.fixture
async def looking(sqlite_database):
    looking = Looking(sqlite_database, cards="spam")
    yield looking
    await looking.desk.close()


async def test_a_new_mail_gets_a_card_at_the_next_look_and_only_one(looking):
    looking.mail(1)
    for _ in range(3):
        await looking.look()
    assert looking.cards() == [1]
    (post,) = posts.first_pending(looking.database, looking.now)
    assert (post.channel, post.content["why"]) == ("C0FILTERD1", ["A reason."])


async def test_mail_of_the_last_minutes_gets_its_card_after_a_stop_and_older_does_not(looking):
    looking.mail(1, ago=9 * 60)
    looking.mail(2, ago=11 * 60)
    await looking.look()
    assert looking.cards() == [1]


async def test_a_record_that_comes_late_is_found(looking):
    await looking.look()
    looking.mail(1, ago=40)
    await looking.look()
    assert looking.cards() == []
    await looking.look(after=10)
    assert looking.cards() == [1]


async def test_of_more_mails_than_are_read_at_once_none_is_forgotten(looking, monkeypatch):
    monkeypatch.setattr(watching, "MAILS_AT_ONCE", 10)
    for number in range(35):
        looking.mail(number, ago=60 - number, spam=0.95 if number in (0, 9, 10, 34) else 0.02)
    await looking.look()
    assert looking.cards() == [0, 9, 10, 34]


async def test_more_than_the_hour_has_room_for_waits_in_the_queue(sqlite_database):
    looking = Looking(sqlite_database, cards="spam", cards_per_hour=3)
    for number in range(5):
        looking.mail(number, ago=5 - number)
    await looking.look()
    looking.now += timedelta(hours=1)
    looking.mail(7)
    await looking.look()
    assert looking.cards() == [0, 1, 2, 7]
    await looking.desk.close()


async def test_mails_that_have_a_card_take_no_room_from_others_after_a_restart(sqlite_database):
    before = Looking(sqlite_database, cards="spam", cards_per_hour=4)
    for number in range(3):
        before.mail(number)
    await before.look()
    after = Looking(sqlite_database, cards="spam", cards_per_hour=4)
    after.mail(3, ago=-1)
    await after.look(after=2)
    assert after.cards() == [0, 1, 2, 3]
    for each in (before, after):
        await each.desk.close()


async def test_while_cards_are_on_hold_none_is_made(looking):
    set_pause(looking.database, "cards", paused=True, by="U1", now=MORNING)
    looking.mail(1)
    await looking.look()
    set_pause(looking.database, "cards", paused=False, by="U1", now=MORNING)
    await looking.look()
    assert looking.cards() == []


@pytest.mark.parametrize(
    ("which", "carded"), [("all", [1, 2, 3]), ("spam", [3]), ("doubtful", [2]), ("none", [])]
)
async def test_the_setting_says_which_mail_wants_a_card(sqlite_database, which, carded):
    looking = Looking(sqlite_database, cards=which)
    for number, spam in ((1, 0.02), (2, 0.85), (3, 0.999)):
        looking.mail(number, spam=spam)
    await looking.look()
    assert looking.cards() == carded
    await looking.desk.close()


async def test_labels_have_cards_shown_anew_those_from_before_the_start_too(looking):
    for number in (1, 2):
        looking.mail(number)
    await looking.look()
    add_label(looking.database, make_record(1).id, "spam", "ham", "ann", "cli")
    await looking.look()
    wanted = {
        key: posts.get_post(looking.database, posts.card_key(make_record(key).id)).wanted
        for key in (1, 2)
    }
    assert wanted == {1: 2, 2: 1}
    add_label(looking.database, make_record(2).id, "spam", "ham", "ann", "cli")
    again = Looking(looking.database, cards="spam")
    await again.look()
    assert posts.get_post(looking.database, posts.card_key(make_record(2).id)).wanted == 2
    await again.desk.close()
