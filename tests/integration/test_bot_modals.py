"""Modals, menus and odd clicks, with a bot that runs and cards in the channel. Anna may label many
at once, Ben may label, Carla may look.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from bot_office import PRIVATE
from slack_stage import Ephemeral

from bot.cards import mail_blocks
from bot.records import card_of
from filterd.store.labels import add_label, standing
from filterd.store.messages import get
from filterd.store.retention import purge

pytest_plugins = ("slack_fixtures", "daemon_fixtures", "bot_fixtures")

LETTER = (
    f"{PRIVATE} prizes\nfrom: prizes prizes.example\n\n"
    "dear friend your number was drawn in the grand spring lottery of our town send us your name "
    "and bank account today and the whole sum is yours within three days best wishes {name}"
)
NAMES = ("ada", "bert", "cleo", "dirk", "edda", "fritz", "greta", "hugo")


@pytest.fixture(scope="module")
def bot_settings(slack_stage):
    staff = {"trusted": "anna", "labellers": "ben", "viewers": "carla"}
    return {name: slack_stage.user_id(who) for name, who in staff.items()} | {"cards": "all"}


@pytest.fixture(scope="module")
def quiet():
    """Old enough that no card of it is posted, new enough to be similar."""
    return datetime.now(UTC) - timedelta(days=2)


@pytest.fixture
def mail(office, quiet):
    """A mail without a card in the channel."""
    return office.mail(received_at=quiet)


def card(office, mail, person):
    """A mail's card, as a person has it who asked for it."""
    database = office.database
    found = card_of(get(database, mail), standing(database, mail), excerpt=False)
    blocks = [block.to_dict() for block in mail_blocks(found, in_queue=True)]
    return Ephemeral(person.id, office.desk, "1.2", "a card", blocks)


def said(shown):
    return json.dumps(shown.blocks if isinstance(shown, Ephemeral) else shown, ensure_ascii=False)


def undos(shown):
    blocks = shown.blocks if isinstance(shown, Ephemeral) else shown["blocks"]
    names = [block.get("accessory", {}).get("action_id", "") for block in blocks]
    return [name for name in names if name.startswith("undo:")]


def rows(office, mails):
    return [office.rows(mail) for mail in mails]


# Cards in the channel


def test_a_card_in_the_channel_is_labelled_disputed_and_taken_back(office, anna, ben):
    mail = office.mail()
    posted = office.card(mail)
    office.send(ben.click(posted, "label:spam"))
    first = office.slack.wait_until(lambda: labelled(office, mail, 1), "the label on the card")
    office.send(anna.click(first, "label:ham"))
    both = office.slack.wait_until(lambda: labelled(office, mail, 2), "both labels")
    assert "Opinions differ. Would a third person decide?" in said(both)
    mine, hers = undos(both)
    assert "needs the role trusted" in said(office.click(ben, both, hers))
    office.send(anna.click(both, hers))
    one = office.slack.wait_until(
        lambda: found if undos(found := office.card(mail)) == [mine] else None, "one label"
    )
    assert "Opinions differ" not in said(one)
    again = office.click(anna, both, hers)  # of the card as it was
    assert f"<@{anna.id}> has taken it back already" in said(again)
    assert len(office.rows(mail)) == 3


def labelled(office, mail, count):
    found = office.card(mail)
    return found if len(undos(found)) == count else None


def test_why_and_details_of_a_card_are_for_who_asked_alone(office, carla, desk):
    mail = office.mail(helo="<!channel>", message_id="<m@example.org>")
    posted = office.card(mail)
    why = office.click(carla, posted, "why")
    assert "spam from 90.0% on" in said(why)
    details = office.click(carla, posted, "more", chosen=f"details:{mail}")
    assert mail in said(details)
    assert "Recipients: 2" in said(details)
    assert "<!channel>" in said(details)  # in plain text, where it means nothing
    assert {block["text"]["type"] for block in details.blocks} == {"plain_text"}
    assert office.rows(mail) == []


# One mail, in private


def test_a_sentiment_is_chosen_from_the_menu(office, ben, mail):
    shown = office.click(ben, card(office, mail, ben), "label:sentiment", chosen="negative")
    assert "said *negative*" in said(shown)
    shown = office.click(ben, shown, "label:sentiment", chosen="positive")
    assert "said *positive*" in said(shown)
    assert "said *negative*" not in said(shown)
    assert [row[0] for row in office.rows(mail)] == ["negative", "positive"]


def test_undo_of_what_was_replaced_says_what_came_since(office, ben, mail):
    first = office.click(ben, card(office, mail, ben), "label:spam")
    office.click(ben, first, "label:ham")
    (undo,) = undos(first)
    assert f"<@{ben.id}> has said something else since" in said(office.click(ben, first, undo))
    assert len(office.rows(mail)) == 2


def test_a_click_twice_on_the_same_button_is_one_label(office, ben, mail):
    where = card(office, mail, ben)
    office.click(ben, where, "label:spam")
    office.click(ben, where, "label:spam")
    assert office.rows(mail) == [("spam", ben.id, "given")]


def removed(office):
    """A mail that retention takes right away, and the card that is left of it."""
    mail = office.mail(received_at=datetime.now(UTC) - timedelta(days=400))

    def remove():
        purge(office.database, now=datetime.now(UTC), retention_days=100, store_text="all")

    return mail, remove


@pytest.mark.parametrize(
    ("action", "chosen"),
    [
        ("label:spam", None),
        ("label:sentiment", "neutral"),
        ("why", None),
        ("more", "details"),
        ("next", None),
    ],
)
def test_a_click_on_a_mail_that_is_gone_is_explained(office, anna, action, chosen):
    mail, remove = removed(office)
    left = card(office, mail, anna)
    remove()
    value = f"{chosen}:{mail}" if action == "more" else chosen
    before = len(office.slack.ephemerals(anna))
    office.send(anna.click(left, action, chosen=value))
    if action == "next":  # leads on to what there is
        expected = "label:spam", "That was the last one"
    elif action == "why":
        expected = ("cannot say why",)
    else:
        expected = ("no longer kept",)
    office.slack.wait_until(
        lambda: any(
            part in said(shown)
            for part in expected
            for shown in office.slack.ephemerals(anna)[before:]
        ),
        "an explanation",
    )
    assert office.rows(mail) == []


def test_the_card_of_a_mail_that_is_gone_is_replaced_by_that(office, ben):
    mail, remove = removed(office)
    left = card(office, mail, ben)
    remove()
    office.click(ben, left, "label:spam")
    told = office.slack.wait_until(lambda: office.slack.ephemerals(ben)[1:], "both")
    first = office.slack.ephemerals(ben)[0]
    assert first.replaces == left.ts
    assert "label:spam" not in said(first)
    assert "no longer kept" in said(told[0])


def test_a_bulk_modal_of_a_mail_that_is_gone_says_so(office, anna):
    mail, remove = removed(office)
    left = card(office, mail, anna)
    remove()
    view = office.opened(anna, anna.click(left, "more", chosen=f"similar:{mail}"))
    assert "no longer kept" in said(view)


# The shortcut


def test_the_shortcut_on_a_card_opens_its_mail(office, ben):
    mail = office.mail()
    view = office.opened(ben, ben.shortcut("label_mail", office.card(mail)))
    assert view["title"]["text"] == "Mail"
    shown = office.opened(ben, ben.click(view, "label:spam"))
    assert f"<@{ben.id}> said *Spam*" in said(shown)
    assert shown["id"] == view["id"]
    assert office.rows(mail) == [("spam", ben.id, "given")]
    (undo,) = undos(shown)
    back = office.opened(ben, ben.click(shown, undo))
    assert undos(back) == []
    assert office.rows(mail)[1:] == [("spam", ben.id, "undone")]


def test_the_shortcut_on_a_message_that_quotes_an_id_opens_that_mail(office, ben, carla, mail):
    message = carla.say(office.desk, f"X-Filterd-Id: {mail} went wrong, didn't it?")
    view = office.opened(ben, ben.shortcut("label_mail", message))
    assert mail in said(view)


def test_the_shortcut_on_an_id_of_no_mail_says_that_it_is_not_kept(office, ben, carla):
    message = carla.say(office.desk, "X-Filterd-Id: 7ZZZZZZZZZZZZZZZZZZZZZZZZZ")
    view = office.opened(ben, ben.shortcut("label_mail", message))
    assert "no longer kept" in said(view)


def test_a_message_about_no_mail_is_asked_about_until_one_is_found(either, ben, carla, quiet):
    same = f"{PRIVATE} offer of otters"
    several = {either.mail(subject=same, received_at=quiet) for _ in range(3)}
    message = carla.say(either.desk, "is this one all right?")
    asking = either.opened(ben, ben.shortcut("label_mail", message))
    assert "I cannot see which mail" in said(asking)
    again = either.submitted(ben, asking, {"query": "<!channel> *nothing*"})
    assert "No mail with" in said(again)
    assert "<!channel>" not in said(again)
    which = either.submitted(ben, again, {"query": "offer of OTTERS"})
    assert which["title"]["text"] == "Which one?"
    assert all(mail in said(which) for mail in several)
    mail = several.pop()
    opened = either.opened(ben, ben.click(which, f"open:{mail}"))
    labelled = either.opened(ben, ben.click(opened, "label:ham"))
    assert f"<@{ben.id}> said *Not spam*" in said(labelled)
    assert either.rows(mail) == [("ham", ben.id, "given")]


def test_a_message_about_no_mail_leads_to_the_one_that_is_named(office, ben, carla, mail):
    message = carla.say(office.desk, "and this?")
    asking = office.opened(ben, ben.shortcut("label_mail", message))
    opened = office.submitted(ben, asking, {"query": mail})
    assert opened["title"]["text"] == "Mail"
    assert "label:spam" in said(opened)


def test_a_shortcut_that_slack_gives_no_window_for_says_so(office, slack, ben, mail):
    office.fail("views.open", "expired_trigger_id", 2)
    for words in (f"about {mail}", "about nothing"):
        message = ben.say(office.desk, words)
        told = office.told(
            ben, lambda message=message: office.send(ben.shortcut("label_mail", message))
        )
        assert "click again" in said(told)


def test_why_in_a_modal_is_pushed_on_top(either, ben, carla, mail):
    message = carla.say(either.desk, mail)
    below = either.opened(ben, ben.shortcut("label_mail", message))
    why = either.opened(ben, ben.click(below, "why"))
    assert why["previous_view_id"] == below["id"]
    assert "spam from 90.0% on" in said(why)
    details = either.opened(ben, ben.click(below, "more", chosen=f"details:{mail}"))
    assert details["previous_view_id"] == below["id"]


# Many at once


def letters(office, quiet, count, **changes):
    """So many letters of one campaign."""
    return [
        office.mail(
            text=LETTER.format(name=NAMES[number]),
            received_at=quiet + timedelta(seconds=number),
            **changes,
        )
        for number in range(count)
    ]


def bulk(office, person, mail, kind):
    where = card(office, mail, person)
    return office.opened(person, person.click(where, "more", chosen=f"{kind}:{mail}"))


def test_similar_mails_are_counted_shown_labelled_and_taken_back(either, anna, quiet):
    first, *others = letters(either, quiet, 8)
    different = either.mail("minute", received_at=quiet)
    view = bulk(either, anna, first, "similar")
    assert view["title"]["text"] == "Similar mails"
    assert "*7 mails*" in said(view)
    assert said(view).count(PRIVATE) == 10  # subject and sender of five examples
    assert "and 2 more" in said(view)
    assert rows(either, others) == [[]] * 7  # nothing is done before it is sent
    done = either.submitted(anna, view, {"verdict": "spam"})
    assert "7 mails labelled *spam*" in said(done)
    assert rows(either, others) == [[("spam", anna.id, "given")]] * 7
    assert rows(either, [first, different]) == [[], []]
    back = either.opened(anna, anna.click(done, "undo_all"))
    assert "7 labels taken back" in said(back)
    assert {row[-1][2] for row in rows(either, others)} == {"undone"}
    either.send(anna.click(done, "undo_all"))
    either.slack.wait_until(
        lambda: "0 labels taken back" in said(either.slack.views(anna)[-1]), "none the second time"
    )
    for mail in (first, *others):
        add_label(either.database, mail, "spam", "spam", "test", "cli")


def test_mails_of_a_sender_are_labelled_but_not_those_that_were(office, anna, ben, quiet):
    address = f"Boss@{PRIVATE}.example"
    mails = [
        office.mail("minute", from_address=address, received_at=quiet),
        office.mail("minute", from_address=address.lower(), received_at=quiet),
        office.mail("watch", from_address=address, received_at=quiet),
    ]
    judged = office.mail("minute", from_address=address, received_at=quiet)
    add_label(office.database, judged, "spam", "spam", ben.id, "slack")
    view = bulk(office, anna, mails[0], "sender")
    assert view["title"]["text"] == "Mails of this sender"
    assert "*2 mails*" in said(view)
    assert "address can be forged" in said(view)
    done = office.submitted(anna, view, {"verdict": "ham"})
    assert "2 mails labelled *not spam*" in said(done)
    assert rows(office, mails) == [[], [("ham", anna.id, "given")], [("ham", anna.id, "given")]]
    assert office.rows(judged) == [("spam", ben.id, "given")]


def test_one_that_went_meanwhile_is_told_of_and_the_others_are_labelled(office, anna, quiet):
    old = datetime.now(UTC) - timedelta(days=12)
    address = f"going@{PRIVATE}.example"
    here = [office.mail(from_address=address, received_at=quiet) for _ in range(2)]
    going = office.mail(from_address=address, received_at=old)
    view = bulk(office, anna, here[0], "sender")
    assert "*2 mails*" in said(view)
    purge(office.database, now=datetime.now(UTC), retention_days=10, store_text="all")
    done = office.submitted(anna, view, {"verdict": "spam"})
    assert "1 mail labelled *spam*. 1 mail could not be: no longer kept" in said(done)
    assert rows(office, [here[1], going]) == [[("spam", anna.id, "given")], []]


def test_a_second_delivery_of_the_same_submission_labels_nothing_twice(either, anna, quiet):
    address = f"twice@{PRIVATE}.example"
    mails = [either.mail(from_address=address, received_at=quiet) for _ in range(3)]
    view = bulk(either, anna, mails[0], "sender")
    payload = anna.submit(view, {"verdict": "spam"})
    either.send(payload)
    done = either.slack.views(anna)[-1]
    either.opened(anna, anna.click(done, "undo_all"))
    either.send(payload, retry=1)
    assert (
        rows(either, mails[1:]) == [[("spam", anna.id, "given"), ("spam", anna.id, "undone")]] * 2
    )


@pytest.mark.parametrize("kind", ["similar", "sender"])
def test_no_other_mail_is_said_to_be_none_and_there_is_nothing_to_send(office, anna, quiet, kind):
    mail = office.mail(text=f"{PRIVATE}\n\nno two words alike {kind}", received_at=quiet)
    view = bulk(office, anna, mail, kind)
    assert "There is no other mail" in said(view)
    assert view.get("submit") is None


def test_a_click_for_many_without_a_window_says_so(office, anna, mail):
    office.fail("views.open", "expired_trigger_id")
    where = card(office, mail, anna)
    told = office.click(anna, where, "more", chosen=f"similar:{mail}")
    assert "click again" in said(told)


def test_hostile_mail_is_harmless_in_a_bulk_modal(office, anna, quiet):
    address = f"evil@{PRIVATE}.example"
    for subject in ("<!channel> *x*", "a" * 5000, "\u202e\x00", ""):
        office.mail(subject=subject, from_address=address, received_at=quiet)
    mail = office.mail(subject="<!channel>", from_address=address, received_at=quiet)
    view = bulk(office, anna, mail, "sender")
    assert "*4 mails*" in said(view)
    marked = [
        block["text"]["text"]
        for block in view["blocks"]
        if block["type"] == "section" and block["text"]["type"] == "mrkdwn"
    ]
    assert "channel" not in str(marked)


# Odd payloads


def odd_click(person, office, mail, **changes):
    payload = person.click(card(office, mail, person), "label:spam")
    payload["actions"][0].update(changes)
    return payload


@pytest.mark.parametrize(
    "changes",
    [
        {"action_id": "label:bogus"},
        {"action_id": "label:"},
        {"action_id": "label:sentiment", "value": "x" * 1000},
        {"action_id": "undo:abc"},
        {"action_id": "undo:"},
        {"action_id": "undo:²"},
        {"action_id": "undo:-1"},
        {"action_id": "undo:999999999"},
        {"action_id": "undo:" + "9" * 40},
        {"action_id": "nothing"},
        {"action_id": ""},
        {"action_id": "x" * 3000},
        {"action_id": "more"},
        {"action_id": "more", "selected_option": {"value": "bogus:1"}},
        {"action_id": "more", "selected_option": "bogus"},
        {"action_id": "open:nothing", "value": "nothing", "block_id": "nothing"},
        {"action_id": "label:spam", "value": "nothing", "block_id": "nothing"},
        {"action_id": "label:spam", "value": "7" * 26},
        {"action_id": "label:spam", "value": None, "block_id": None},
        {"action_id": "label:spam", "value": "", "block_id": ["x"]},
    ],
    ids=str,
)
def test_a_button_of_nothing_we_know_is_answered_and_does_nothing(office, ben, mail, changes):
    told = office.told(ben, lambda: office.send(odd_click(ben, office, mail, **changes)))
    assert "Something went wrong" not in said(told)
    assert office.rows(mail) == []


@pytest.mark.parametrize("value", ["", "x", "999999,²,x", "9" * 40, ",,,"])
def test_undo_all_of_no_numbers_takes_nothing_back(office, anna, mail, value):
    click = odd_click(anna, office, mail, action_id="undo_all", value=value)
    assert "0 labels taken back" in said(office.told(anna, lambda: office.send(click)))


@pytest.mark.parametrize("missing", ["user", "trigger_id"])
def test_a_click_without_a_person_or_a_key_does_nothing(office, ben, mail, missing):
    payload = ben.click(card(office, mail, ben), "label:spam")
    del payload[missing]
    told = office.told(ben, lambda: office.send(payload))
    assert "belongs to no mail" in said(told)
    assert office.rows(mail) == []


@pytest.mark.parametrize("missing", ["container", "channel", "response_url"])
def test_a_click_that_says_not_where_it_was_counts_all_the_same(office, ben, mail, missing):
    payload = ben.click(card(office, mail, ben), "label:spam")
    del payload[missing]
    office.send(payload)
    office.slack.wait_until(lambda: office.rows(mail), "a label")
    assert office.rows(mail) == [("spam", ben.id, "given")]


@pytest.mark.parametrize(
    "memory",
    ["", "x", "[]", "{}", "null", '{"mails": 5}', '{"mails": null}', '{"mails": ["1"]}', "\u0000"],
)
def test_a_bulk_modal_with_another_memory_is_told_to_be_old(office, anna, quiet, memory):
    mails = letters(office, quiet, 2, from_address=f"odd@{PRIVATE}.example")
    view = bulk(office, anna, mails[0], "sender") | {"private_metadata": memory}
    told = office.submitted(anna, view, {"verdict": "spam"})
    assert "older version" in said(told)
    assert rows(office, mails) == [[], []]
    for mail in mails:
        add_label(office.database, mail, "spam", "spam", "test", "cli")


def test_a_bulk_modal_without_a_choice_or_with_another_one_labels_nothing(office, anna, quiet):
    mails = [
        office.mail(from_address=f"none@{PRIVATE}.example", received_at=quiet) for _ in range(2)
    ]
    view = bulk(office, anna, mails[0], "sender")
    for values in ({}, {"verdict": {"verdict": {"selected_option": {"value": "bogus"}}}}):
        payload = anna.submit(view, {"verdict": None})
        payload["view"]["state"]["values"] = values
        office.send(payload)
        assert "older version" in said(office.slack.views(anna)[-1])
    assert rows(office, mails) == [[], []]


def test_a_submission_that_cannot_be_read_is_told_so(office, anna, quiet):
    mails = [
        office.mail(from_address=f"read@{PRIVATE}.example", received_at=quiet) for _ in range(2)
    ]
    view = bulk(office, anna, mails[0], "sender")
    payload = anna.submit(view, {"verdict": "spam"})
    payload["view"]["state"] = {"values": {"verdict": "x"}}
    office.send(payload)
    assert "cannot read" in said(office.slack.views(anna)[-1])
    assert rows(office, mails) == [[], []]


def test_a_message_of_odd_shape_is_asked_about(office, ben):
    payload = ben.shortcut("label_mail", ben.say(office.desk, "hm"))
    payload["message"] = {"blocks": None, "attachments": None}
    assert "I cannot see which mail" in said(office.opened(ben, payload))


@pytest.mark.parametrize("value", ["x" * 900_000, "7" * 900_000])
def test_a_value_of_a_megabyte_is_answered(either, ben, mail, value):
    click = odd_click(ben, either, mail, action_id="label:sentiment", value=value)
    told = either.told(ben, lambda: either.send(click))
    assert len(said(told)) < 1000
    assert len(either.log) < 10_000
    assert either.rows(mail) == []
