"""The App Home of a bot that runs. Anna is admin, Ben may label, Carla may look, Dora has no role."""

from __future__ import annotations

import json

import pytest

from filterd.store.labels import add_label, undo_label
from filterd.store.pauses import set_pause

pytest_plugins = ("slack_fixtures", "daemon_fixtures", "bot_fixtures")

UPLOAD = "files.getUploadURLExternal"


def said(view):
    return json.dumps(view["blocks"], ensure_ascii=False)


def buttons(view, begin):
    names = [block.get("accessory", {}).get("action_id", "") for block in view["blocks"]]
    return [name for name in names if name.startswith(begin)]


def of_type(view, kind):
    return [block for block in view["blocks"] if block["type"] == kind]


def queued(view):
    return [name.partition(":")[2] for name in buttons(view, "open:")]


@pytest.mark.parametrize(
    ("who", "role", "may_undo"),
    [("anna", "admin", True), ("ben", "labeller", True), ("carla", "viewer", False)],
)
def test_home_shows_queue_labels_figures_and_model_of_each_role(office, slack, who, role, may_undo):
    person = slack.person(who)
    mail = office.mail()
    label = add_label(office.database, mail, "spam", "ham", person.id, "slack")
    home = office.home(person)
    titles = [block["text"]["text"] for block in of_type(home, "header")]
    assert titles == ["Mails to judge", "My labels", "The last 7 days", "The model"]
    assert "`tiny.1` serves" in said(home)
    assert f"You have the role {role}." in said(home)
    assert buttons(home, f"undo:{label.id}") == ([f"undo:{label.id}"] if may_undo else [])


def test_someone_without_a_role_is_told_how_to_get_one(office, dora):
    office.mail()
    home = office.home(dora)
    assert "an admin can give you one" in said(home)
    assert len(home["blocks"]) == 2


def test_another_tab_publishes_nothing(office, slack, anna):
    office.send(anna.home_opened("messages"))
    office.home(anna)  # this is answered, so that was too
    assert len(slack.calls("views.publish")) == 1


def test_an_event_that_slack_delivers_again_publishes_once(office, slack, anna):
    opened = anna.home_opened()
    office.home(anna, lambda: office.send(opened))
    office.send(opened, retry=1)
    office.bot.wait_for_log("delivered again")
    assert len(slack.calls("views.publish")) == 1


def test_from_home_a_mail_is_opened_labelled_and_the_next_one_follows(new_office, ben):
    mails = {new_office.mail(spam=0.85) for _ in range(3)}
    home = new_office.home(ben)
    first, second, third = queued(home)
    assert {first, second, third} == mails
    opened = new_office.opened(ben, ben.click(home, f"open:{first}"))
    assert first in said(opened)
    again = new_office.home(ben, lambda: new_office.send(ben.click(opened, "label:spam")))
    assert new_office.rows(first) == [("spam", ben.id, "given")]
    assert queued(again) == [second, third]  # behind the modal, too
    assert len(buttons(again, "undo:")) == 1
    labelled = new_office.slack.views(ben)[-1]
    assert f"<@{ben.id}> said *Spam*" in said(labelled)
    following = new_office.opened(ben, ben.click(labelled, "next"))
    assert following["id"] == opened["id"]
    assert second in said(following)
    following = new_office.opened(ben, ben.click(following, "next"))
    assert third in said(following)
    last = new_office.opened(ben, ben.click(following, "next"))
    assert "That was the last one" in said(last)


def test_undo_in_home_takes_the_label_back_and_shows_home_without_it(either, ben):
    mail = either.mail()
    label = add_label(either.database, mail, "spam", "spam", ben.id, "slack")
    home = either.home(ben)
    click = ben.click(home, f"undo:{label.id}")
    again = either.home(ben, lambda: either.send(click))
    assert either.rows(mail)[1:] == [("spam", ben.id, "undone")]
    assert f"undo:{label.id}" not in said(again)


def test_undo_in_home_of_what_was_undone_meanwhile_says_so(office, ben):
    label = add_label(office.database, office.mail(), "spam", "spam", ben.id, "slack")
    home = office.home(ben)
    undo_label(office.database, label.id, ben.id, "cli")
    office.send(ben.click(home, f"undo:{label.id}"))
    told = office.slack.wait_for_call("chat.postMessage")  # Home has no place for an answer
    assert told.arguments["channel"] == ben.id
    assert "has taken it back already" in told.arguments["text"]


def test_refresh_shows_what_is_new(office, anna, ben):
    home = office.home(anna)
    assert "on hold" not in said(home)
    now = office.now()
    set_pause(office.database, "nights", paused=True, by=ben.id, now=now)
    again = office.home(anna, lambda: office.send(anna.click(home, "refresh")))
    assert f"nights: on hold by <@{ben.id}>" in said(again)
    set_pause(office.database, "nights", paused=False, by=ben.id, now=now)


def test_of_many_mails_and_labels_home_shows_the_first(new_office, ben):
    for _ in range(12):
        new_office.mail(spam=0.85)
        add_label(new_office.database, new_office.mail(), "spam", "ham", ben.id, "slack")
    home = new_office.home(ben)
    assert len(queued(home)) == 5
    assert "and 7 more" in said(home)
    assert len(buttons(home, "undo:")) == 8


def test_hostile_subjects_are_harmless_in_home(new_office, ben):
    for subject in ("<!channel> *x*", "<@U0FILTERD1>", "a" * 5000, "\u202e\x00", "&lt;!here&gt;"):
        mail = new_office.mail(subject=subject, spam=0.85)
        add_label(new_office.database, mail, "spam", "ham", ben.id, "slack")
        new_office.mail(subject=subject, spam=0.85)
    home = new_office.home(ben)
    assert len(queued(home)) == 5
    assert len(buttons(home, "undo:")) == 5
    marked = [
        text["text"]
        for block in home["blocks"]
        for text in [block.get("text", {}), *block.get("fields", []), *block.get("elements", [])]
        if isinstance(text, dict) and text.get("type") == "mrkdwn"
    ]
    assert "channel" not in str(marked)
    assert "FILTERD1" not in str(marked)


def test_the_chart_is_a_file_of_slacks_that_was_uploaded_once(new_office, slack, anna, ben):
    home = new_office.home(anna)
    (image,) = of_type(home, "image")
    (call,) = slack.calls("files.completeUploadExternal")
    assert image["slack_file"]["id"] == call.answer["files"][0]["id"]
    assert image["alt_text"]
    (other,) = of_type(new_office.home(ben), "image")
    assert other["slack_file"] == image["slack_file"]
    assert len(slack.calls(UPLOAD)) == 1


@pytest.mark.parametrize(
    ("method", "error"),
    [
        (UPLOAD, "missing_scope"),
        ("files.completeUploadExternal", "internal_error"),
        ("files.info", "file_not_found"),
    ],
)
def test_without_a_file_a_line_of_blocks_stands_for_the_chart(new_office, anna, method, error):
    new_office.fail(method, error)
    home = new_office.home(anna)
    assert of_type(home, "image") == []
    assert "mails a day" in said(home)
    later = new_office.home(anna, lambda: new_office.send(anna.click(home, "refresh")))
    assert of_type(later, "image")


def test_a_home_that_slack_does_not_take_hurts_nothing(office, slack, ben):
    home = office.home(ben)
    mail = office.mail()
    label = add_label(office.database, mail, "spam", "spam", ben.id, "slack")
    office.home(ben)
    office.fail("views.publish", "internal_error")
    office.send(ben.click(slack.home(ben), f"undo:{label.id}"))
    slack.wait_until(lambda: len(office.rows(mail)) == 2, "the label is taken back")
    again = office.home(ben, lambda: office.send(ben.click(home, "refresh")))
    assert f"undo:{label.id}" not in said(again)
