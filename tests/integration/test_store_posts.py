"""What the bot is to say, as rows: once each, in order, by one process, until Slack shows it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from store_records import MORNING, make_record

from filterd.store import posts
from filterd.store.labels import add_label, undo_label
from filterd.store.messages import write_batch

pytest_plugins = ("store_fixtures",)

SECOND = timedelta(seconds=1)
NOON = MORNING + timedelta(hours=4)


def add(database, key, channel="C1", **changes):
    values = {"kind": "alert", "content": {"text": key}, "now": MORNING}
    return posts.add_post(database, key=key, channel=channel, **values | changes)


def add_card(database, number, now=MORNING):
    write_batch(database, [make_record(number)])
    id_ = make_record(number).id
    add(database, posts.card_key(id_), kind=posts.CARD, message_id=id_, now=now)
    return id_


def get(database, key):
    return posts.get_post(database, key)


def first(database, now=NOON):
    return [post.key for post in posts.first_pending(database, now)]


def say(database, key, ts="1.0", shown=None):
    post = get(database, key)
    posts.said_post(database, post, ts, post.wanted if shown is None else shown)


def begin(database, key, next_at=NOON):
    return posts.begin_post(database, get(database, key), next_at)


# Made once


def test_a_post_is_made_once(database):
    assert add(database, "a", content={"text": "one"})
    assert not add(database, "a", content={"text": "two"})
    assert get(database, "a").content == {"text": "one"}


def test_of_many_who_make_a_post_at_once_one_does(database):
    with ThreadPoolExecutor(8) as threads:
        made = list(
            threads.map(lambda number: add(database, "a", content={"by": number}), range(8))
        )
    assert made.count(True) == 1
    assert get(database, "a").content == {"by": made.index(True)}


def test_there_is_no_post_that_was_not_made(database):
    assert get(database, "a") is None
    assert posts.change_post(database, "a", now=MORNING) is None


def test_a_post_is_found_by_where_slack_shows_it(database):
    add(database, "a")
    say(database, "a", ts="17.000100")
    assert posts.post_at(database, "C1", "17.000100").key == "a"
    assert posts.post_at(database, "C2", "17.000100") is None


def test_mails_that_have_a_card_are_told_however_many_are_asked_about(database):
    id_ = add_card(database, 7)
    asked = [make_record(number).id for number in range(2500)]
    assert posts.carded(database, asked) == {id_}
    assert posts.carded(database, []) == set()


# In order


def test_of_each_channel_the_oldest_that_slack_does_not_show_is_first(database):
    for key, channel in (("a", "C1"), ("b", "C2"), ("c", "C1"), ("d", "C2")):
        add(database, key, channel)
    assert first(database) == ["a", "b"]
    say(database, "a")
    assert first(database) == ["b", "c"]


def test_a_channel_that_takes_nothing_does_not_hide_another(database):
    for number in range(300):
        add(database, f"stuck {number}")
    add(database, "alert", "C2")
    assert first(database) == ["stuck 0", "alert"]


def test_one_that_may_not_be_tried_yet_is_waited_for(database):
    add(database, "a")
    add(database, "b")
    begin(database, "a", NOON + SECOND)
    assert first(database) == ["a"]
    posts.delay_post(database, get(database, "a"), NOON + SECOND, 0)
    assert first(database) == ["a"]


def test_a_change_that_is_not_due_yet_is_passed_over(database):
    id_ = add_card(database, 1)
    add(database, "b")
    say(database, posts.card_key(id_))
    add_label(database, id_, "spam", "ham", "ann", "slack")
    posts.refresh_cards(database, [id_], due=NOON + SECOND)
    assert first(database) == ["b"]
    assert first(database, NOON + SECOND) == [posts.card_key(id_)]


def test_what_was_given_up_is_not_tried_until_it_is_changed(database):
    add(database, "a")
    posts.give_up_post(database, get(database, "a"), "invalid_blocks")
    assert first(database) == []
    assert get(database, "a").given_up == "invalid_blocks"
    assert posts.change_post(database, "a", {"text": "b"}, now=NOON) == 2
    assert first(database) == ["a"]


def test_what_was_changed_meanwhile_is_not_given_up(database):
    add(database, "a")
    before = get(database, "a")
    posts.change_post(database, "a", {"text": "b"}, now=NOON)
    posts.give_up_post(database, before, "invalid_blocks")
    assert first(database) == ["a"]


# Begun by one


def test_an_attempt_is_begun_by_one_alone(database):
    add(database, "a")
    post = get(database, "a")
    with ThreadPoolExecutor(8) as threads:
        begun = list(
            threads.map(lambda _: posts.begin_post(database, post, NOON + SECOND), range(8))
        )
    assert begun.count(True) == 1
    assert get(database, "a").attempts == 1
    assert get(database, "a").next_at == NOON + SECOND


@pytest.mark.parametrize("change", ["content", "shown", "delay"])
def test_an_attempt_is_not_begun_on_what_has_changed(database, change):
    add(database, "a")
    post = get(database, "a")
    if change == "content":
        posts.change_post(database, "a", {"text": "b"}, now=MORNING)
    elif change == "shown":
        posts.said_post(database, post, "1.0", 1)
    else:
        posts.delay_post(database, post, NOON, 0)
    assert not posts.begin_post(database, post, NOON)


def test_attempts_that_may_have_reached_slack_are_remembered_until_it_is_said(database):
    add(database, "a")
    begin(database, "a")
    posts.delay_post(database, get(database, "a"), NOON, 1)
    assert get(database, "a").attempts == 1
    say(database, "a")
    assert get(database, "a").attempts == 0


# Shown


def test_a_change_that_came_while_another_was_said_is_still_pending(database):
    add(database, "a")
    post = get(database, "a")
    posts.change_post(database, "a", {"text": "b"}, now=MORNING)
    posts.said_post(database, post, "1.0", post.wanted)
    assert first(database) == ["a"]
    assert get(database, "a").ts == "1.0"


def test_where_two_ways_led_to_slack_at_once_it_is_shown_once_more(database):
    add(database, "a")
    say(database, "a")
    posts.change_post(database, "a", now=MORNING)
    one = other = get(database, "a")
    posts.said_post(database, one, "1.0", 2)
    assert first(database) == []
    posts.said_post(database, other, "1.0", 2)
    assert first(database) == ["a"]
    say(database, "a")
    assert first(database) == []


def test_where_the_later_of_two_ways_had_the_older_words_it_is_shown_once_more(database):
    add(database, "a")
    say(database, "a")
    older = get(database, "a")
    posts.change_post(database, "a", now=MORNING)
    newer = get(database, "a")
    posts.said_post(database, newer, "1.0", 2)
    posts.said_post(database, older, "1.0", 1)
    assert first(database) == ["a"]


# Cards and labels


def test_a_label_and_its_undo_each_have_the_card_shown_anew(database):
    id_ = add_card(database, 1)
    key = posts.card_key(id_)
    say(database, key)
    label = add_label(database, id_, "spam", "ham", "ann", "cli")
    posts.refresh_cards(database, [id_], due=NOON)
    assert get(database, key).wanted == 2
    undo_label(database, label.id, "ann", "cli")
    posts.refresh_cards(database, None, due=NOON)
    posts.refresh_cards(database, None, due=NOON)
    assert get(database, key).wanted == 3


def test_cards_without_a_new_label_stay_as_they_are(database):
    one, other = add_card(database, 1), add_card(database, 2)
    add_label(database, one, "spam", "ham", "ann", "cli")
    posts.refresh_cards(database, [other], due=NOON)
    assert get(database, posts.card_key(one)).wanted == 1
    posts.refresh_cards(database, [make_record(number).id for number in range(3000)], due=NOON)
    assert get(database, posts.card_key(one)).wanted == 2
    assert get(database, posts.card_key(other)).wanted == 1


def test_cards_of_the_last_hour_are_counted(database):
    add_card(database, 1, MORNING)
    add_card(database, 2, NOON)
    add(database, "alert", now=NOON)
    assert posts.cards_since(database, NOON) == 1


def test_posts_of_a_kind_are_read_newest_first(database):
    for key, now in (("a", MORNING), ("b", NOON), ("c", NOON)):
        add(database, key, now=now)
    assert [post.key for post in posts.posts_of(database, "alert", NOON)] == ["c", "b"]
