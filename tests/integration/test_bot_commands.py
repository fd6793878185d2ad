"""`/filterd …` as people type it, answered by a bot that runs. Anna is admin, Ben may label, Carla
may look, Dora has no role.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from bot_office import PRIVATE
from slack_stage.workspace import ALERTS, ELSEWHERE
from tiny_bundle import make_tiny_bundle

from filterd.store.labels import add_label, standing
from filterd.store.models import champion, register_bundle, set_champion
from filterd.store.pauses import pauses
from filterd.store.retention import purge
from filterd.store.runs import runs

pytest_plugins = ("slack_fixtures", "daemon_fixtures", "bot_fixtures")

LONG_AGO = timedelta(days=400)
ABUSE = (
    "<!channel>",
    "<@U0FILTERD1>",
    "`*_~",
    "```",
    "<https://evil.example|click>",
    "\u202egnp.exe",
    "\x00",
    "&lt;!here&gt;",
    "%' OR 1=1 --",
    "x" * 10_000,
    "<!channel> " * 1000,
)


def words(answer):
    """All that an answer shows, and its line for notifications."""
    return f"{answer.text}\n{json.dumps(answer.blocks, ensure_ascii=False)}"


def buttons(answer, begin):
    return [
        block["accessory"]["action_id"]
        for block in answer.blocks
        if block.get("accessory", {}).get("action_id", "").startswith(begin)
    ]


# Which mails wait


def test_queue_lists_mails_to_judge_with_a_way_to_open_each(new_office, desk, anna):
    mails = {new_office.mail(spam=0.85) for _ in range(3)}
    answer = new_office.type(anna, "queue")
    assert set(buttons(answer, "open:")) == {f"open:{mail}" for mail in mails}


def test_open_shows_the_card_in_its_place_and_next_leads_through_the_queue(new_office, anna):
    for _ in range(4):
        new_office.mail(spam=0.85)
    queue = new_office.type(anna, "queue")
    first, second, third, fourth = (name.partition(":")[2] for name in buttons(queue, "open:"))
    opened = new_office.click(anna, queue, f"open:{first}")
    assert opened.replaces == queue.ts
    assert first in words(opened)
    add_label(new_office.database, second, "spam", "ham", "ben", "cli")
    after = new_office.click(anna, opened, "next")
    assert third in words(after)  # the second has been judged meanwhile
    labelled = new_office.click(anna, after, "label:spam")
    assert third in words(labelled)
    assert new_office.rows(third) == [("spam", anna.id, "given")]
    last = new_office.click(anna, labelled, "next")
    assert fourth in words(last)
    assert "That was the last one" in words(new_office.click(anna, last, "next"))


def test_the_queue_leaves_out_what_was_judged_a_moment_ago(new_office, anna):
    mails = [new_office.mail(spam=0.85) for _ in range(3)]
    assert len(buttons(new_office.type(anna, "queue"), "open:")) == 3
    new_office.type(anna, f"spam {mails[0]}")
    purged = new_office.mail(spam=0.85)
    assert purged not in words(new_office.type(anna, "queue"))
    assert set(buttons(new_office.type(anna, "queue"), "open:")) == {
        f"open:{mail}" for mail in mails[1:]
    }


def test_a_long_queue_says_how_many_more_wait(new_office, anna):
    for _ in range(14):
        new_office.mail(spam=0.85)
    answer = new_office.type(anna, "queue")
    assert len(buttons(answer, "open:")) == 10
    assert "and 4 more" in words(answer)


def test_an_empty_queue_says_so(new_office, anna):
    assert "Nothing to judge" in words(new_office.type(anna, "queue"))


# Finding mail


def test_find_takes_words_of_subject_and_text_the_sender_and_both_ids(either, anna):
    mail = either.mail(
        subject=f"{PRIVATE} Invoice of Märkisch GmbH",
        text=f"{PRIVATE}\n\nplease transfer the marmoset fee",
        from_address=f"accounts-{either.by}@{PRIVATE}.example",
        message_id=f"<q-{either.by}@{PRIVATE}.example>",
    )
    for query in (
        "rkisch gmbh",
        "MARMOSET FEE",
        f"accounts-{either.by}@",
        mail,
        mail[:10].lower(),
        f"<q-{either.by}@{PRIVATE}.example>",
        f"q-{either.by}@{PRIVATE}.example",
    ):
        answer = either.type(anna, f"find {query}")
        assert f"open:{mail}" in buttons(answer, "open:"), query
        opened = either.click(anna, answer, f"open:{mail}")
        assert "label:spam" in words(opened)


def test_find_says_when_there_is_nothing(office, anna):
    answer = office.type(anna, "find <!channel> *nowhere*")
    assert "No mail with" in words(answer)
    assert "&lt;!channel&gt;" in words(answer)


def test_find_of_many_shows_ten_and_says_that_there_may_be_more(office, anna):
    for _ in range(12):
        office.mail(kind="walrus")
    answer = office.type(anna, "find walrus")
    assert "10 mails* at least" in words(answer)
    assert len(buttons(answer, "open:")) == 10


# About one mail


def test_why_names_what_spoke_for_the_verdict(either, anna):
    mail = either.mail(text=f"Subject: {PRIVATE}\n\nyou won the lottery, says the casino")
    answer = either.type(anna, f"why {mail}")
    assert "spam from 90.0% on" in words(answer)
    assert "The model" in words(answer)
    assert "What the model reads in it" in words(answer)
    assert "you won the lottery" in words(answer)


def test_why_of_a_mail_whose_text_is_not_kept_says_what_can_be_said(office, anna):
    mail = office.mail(text=None, head=None)
    assert "cannot say why" in words(office.type(anna, f"why {mail}"))


@pytest.mark.parametrize(
    ("typed", "task", "label"),
    [
        ("spam {}", "spam", "spam"),
        ("ham {}", "spam", "ham"),
        ("HAM {}", "spam", "ham"),
        ("not spam {}", "spam", "ham"),
        ("notspam {}", "spam", "ham"),
        ("sentiment {} negative", "sentiment", "negative"),
        ("sentiment {} Positive", "sentiment", "positive"),
    ],
)
def test_a_label_is_typed_and_the_card_shown_with_it(office, ben, typed, task, label):
    mail = office.mail()
    answer = office.type(ben, typed.format(mail[:10].lower()))
    (given,) = standing(office.database, mail)
    assert (given.task, given.label, given.by, given.source) == (task, label, ben.id, "slack")
    assert f"undo:{given.id}" in words(answer)
    assert f"<@{ben.id}> said" in words(answer)


def test_the_same_label_twice_is_one_row(either, ben):
    mail = either.mail()
    either.type(ben, f"spam {mail}")
    either.type(ben, f"spam {mail}")
    assert either.rows(mail) == [("spam", ben.id, "given")]


def test_a_command_that_slack_delivers_again_counts_once(either, ben):
    mail = either.mail()
    command = ben.slash(either.desk, f"spam {mail}")
    either.told(ben, lambda: either.send(command))
    either.type(ben, f"undo {mail}")
    either.send(command, retry=1)
    either.bot.wait_for_log("delivered again")
    assert either.rows(mail) == [("spam", ben.id, "given"), ("spam", ben.id, "undone")]


def test_a_sentiment_that_there_is_not_is_refused_with_those_there_are(office, ben):
    mail = office.mail()
    answer = office.type(ben, f"sentiment {mail} <!channel>")
    assert "sentiment has negative, neutral, positive" in words(answer)
    assert "<!channel>" not in words(answer)
    assert office.rows(mail) == []


def test_undo_takes_back_what_i_said_last(office, ben):
    mail = office.mail()
    office.type(ben, f"spam {mail}")
    office.type(ben, f"ham {mail}")
    answer = office.type(ben, f"undo {mail}")
    assert "said *Spam*" in words(answer)  # what he had said before stands again
    assert office.rows(mail)[2:] == [("ham", ben.id, "undone")]
    office.type(ben, f"undo {mail}")
    assert "no label on that mail to take back" in words(office.type(ben, f"undo {mail}"))


def test_undo_by_command_is_for_my_own_labels(office, anna, ben):
    mail = office.mail()
    office.type(ben, f"spam {mail}")
    answer = office.type(anna, f"undo {mail}")
    assert "no label on that mail to take back" in words(answer)
    assert "Undo button" in words(answer)
    assert office.rows(mail) == [("spam", ben.id, "given")]


@pytest.mark.parametrize("command", ["why", "spam", "ham", "undo"])
def test_an_id_of_no_mail_is_said_to_be_none(office, anna, command):
    answer = office.type(anna, f"{command} 7ZZZZZZZZZZZZZZZZZZZZZZZZZ")
    assert "I know no mail with the id" in words(answer)


def test_the_beginning_of_several_ids_asks_for_more_of_it(office, anna):
    mails = [office.mail(), office.mail()]
    answer = office.type(anna, f"spam {mails[0][:4]}")
    assert "several mails" in words(answer)
    assert [office.rows(mail) for mail in mails] == [[], []]


def test_a_message_id_names_a_mail_but_words_of_one_do_not(office, anna):
    mail = office.mail(message_id="<only@here.example>", subject=f"{PRIVATE} quotes pangolins")
    assert "I know no mail" in words(office.type(anna, "spam pangolins"))
    assert office.rows(mail) == []
    office.type(anna, "ham <only@here.example>")
    assert office.rows(mail) == [("ham", anna.id, "given")]


def test_a_mail_removed_by_retention_is_explained(office, anna):
    mail = office.mail(received_at=datetime.now(UTC) - LONG_AGO)
    found = office.type(anna, f"find {mail}")
    quoting = office.mail(text=f"{PRIVATE}: you asked about {mail}")
    purge(office.database, now=datetime.now(UTC), retention_days=100, store_text="all")
    for command in ("why", "spam", "undo"):
        assert "may no longer be kept" in words(office.type(anna, f"{command} {mail}"))
    assert "no longer kept" in words(office.click(anna, found, f"open:{mail}"))
    assert office.rows(quoting) == []


# The site


def test_stats_are_of_a_week_unless_said(office, anna):
    answer = office.type(anna, "stats")
    assert "The last 7 days" in words(answer)
    assert "*Mail*" in words(answer)
    assert "Not judged" not in words(answer)


@pytest.mark.parametrize(
    ("typed", "title"),
    [
        ("stats 30d", "The last 30 days"),
        ("stats 30", "The last 30 days"),
        ("stats 30 days", "The last 30 days"),
        ("stats 1d", "Today"),
        ("stats 90d", "The last 90 days"),
    ],
)
def test_stats_are_of_as_many_days_as_are_asked_for(office, anna, typed, title):
    assert title in words(office.type(anna, typed))


@pytest.mark.parametrize("typed", ["stats 0d", "stats 91d", "stats all", "stats -1", "stats ²"])
def test_stats_of_no_number_of_days_say_which_there_are(office, anna, typed):
    assert "from 1 to 90" in words(office.type(anna, typed))


def test_models_say_which_serves_and_who_put_it_there(office, anna):
    answer = office.type(anna, "models")
    assert "`tiny.1` serves" in words(answer)
    assert "Promotions and rollbacks" in words(answer)


def test_retrain_asks_once(new_office, anna):
    answer = new_office.type(anna, "retrain")
    assert "A training is asked for" in words(answer)
    (run,) = runs(new_office.database, datetime.now(UTC) - timedelta(hours=1))
    assert (run.requested_by, run.trigger, run.state) == (anna.id, "slack", "waiting")
    assert "waits to be started already" in words(new_office.type(anna, "retrain"))
    assert len(runs(new_office.database, datetime.now(UTC) - timedelta(hours=1))) == 1
    assert "waiting" in words(new_office.type(anna, "models"))


def publish(office, version, *, with_files=True):
    """Put another bundle into service."""
    folder = office.folder / "var/models" / version
    if with_files:
        make_tiny_bundle(folder, version=version)
    register_bundle(
        office.database,
        version,
        str(folder),
        created_at=datetime.now(UTC),
        data_digest="none",
        metrics={},
    )
    set_champion(office.database, version, by="trainer", why="better")


def test_rollback_goes_back_to_the_model_before(new_office, anna):
    assert "nothing to go back to" in words(new_office.type(anna, "rollback"))
    publish(new_office, "tiny.2")
    answer = new_office.type(anna, "rollback")
    assert "`tiny.1` serves again" in words(answer)
    row = champion(new_office.database)
    assert (row.version, row.by) == ("tiny.1", anna.id)
    assert "nothing to go back to" in words(new_office.type(anna, "rollback"))


def test_rollback_goes_to_the_version_that_is_named(new_office, anna):
    publish(new_office, "tiny.2")
    publish(new_office, "tiny.3")
    assert "`tiny.1` serves again" in words(new_office.type(anna, "rollback tiny.1"))
    assert champion(new_office.database).version == "tiny.1"
    answer = new_office.type(anna, "rollback <!channel>")
    assert "Not rolled back: no bundle &lt;!channel&gt; is registered" in words(answer)
    assert champion(new_office.database).version == "tiny.1"


def test_rollback_to_a_model_that_cannot_serve_says_so(new_office, anna):
    publish(new_office, "tiny.lost", with_files=False)
    publish(new_office, "tiny.2")
    answer = new_office.type(anna, "rollback")
    assert "`tiny.lost` serves again" in words(answer)
    assert "It cannot" in words(answer)
    assert "cannot serve" in words(new_office.type(anna, "models"))


def test_pause_holds_cards_until_resume(new_office, anna, ben):
    assert f"cards: on hold by <@{anna.id}>" in words(new_office.type(anna, "pause cards"))
    held = new_office.mail(spam=0.85)
    new_office.bot.wait_for_log("mails wait in the queue")
    assert "Nothing is on hold" in words(new_office.type(anna, "resume cards"))
    shown = new_office.mail(spam=0.85)
    new_office.card(shown)
    assert held not in json.dumps(new_office.slack.messages(new_office.desk))


@pytest.mark.parametrize(
    ("typed", "held"),
    [
        ("pause", {"cards", "nights"}),
        ("pause nights", {"nights"}),
        ("pause Cards", {"cards"}),
        ("pause mail", set()),
    ],
)
def test_pause_and_resume_take_one_thing_or_both(office, anna, typed, held):
    office.type(anna, "resume")
    answer = office.type(anna, typed)
    assert set(pauses(office.database)) == held
    assert all(f"{what}: on hold by <@{anna.id}>" in words(answer) for what in held)
    office.type(anna, "resume nights")
    assert set(pauses(office.database)) == held - {"nights"}
    assert "Nothing is on hold" in words(office.type(anna, "resume"))
    assert pauses(office.database) == {}


# What is typed amiss


@pytest.mark.parametrize(
    ("who", "has", "has_not"),
    [
        ("anna", {"queue", "spam", "retrain", "pause"}, set()),
        ("ben", {"queue", "spam", "undo"}, {"retrain", "rollback", "pause"}),
        ("carla", {"queue", "find", "why", "stats"}, {"spam", "undo", "retrain"}),
        ("dora", {"help"}, {"queue", "find", "spam", "retrain"}),
    ],
)
def test_help_lists_what_a_role_may(office, slack, who, has, has_not):
    for typed in ("", "help", "?"):
        answer = words(office.type(slack.person(who), typed))
        assert {name for name in has if f"`/filterd {name}" in answer} == has
        assert not {name for name in has_not if f"`/filterd {name}" in answer}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("spma 123", "spam ID"),
        ("qeue", "queue"),
        ("roll back", "rollback"),
        ("expalin 1", "why ID"),
        ("Statistics", "stats"),
    ],
)
def test_an_unknown_word_is_answered_with_the_likely_one(office, anna, typed, meant):
    answer = words(office.type(anna, typed))
    assert "I do not know" in answer
    assert f"Did you mean `/filterd {meant}" in answer


def test_a_word_like_no_command_is_answered_with_help(office, anna):
    assert "`/filterd help` lists what I do" in words(office.type(anna, "abracadabra"))


@pytest.mark.parametrize(
    "typed", ["spam", "spam a b", "why", "find", "sentiment 123", "undo", "queue now", "help me"]
)
def test_too_few_or_too_many_words_are_answered_with_how_to_type_it(office, anna, typed):
    answer = words(office.type(anna, typed))
    assert f"I need it like this: `/filterd {typed.split()[0]}" in answer


# Where, and what it may hold


def test_every_answer_is_for_the_person_who_typed_alone(office, slack, anna, ben, desk):
    mail = office.mail()
    before = len(slack.messages(desk))
    others = len(slack.ephemerals(ben))
    for typed in ("queue", f"find {mail}", f"why {mail}", f"spam {mail}", "stats", "nonsense"):
        office.type(anna, typed)
    assert all(one.body["response_type"] == "ephemeral" for one in slack.responses)
    assert len(slack.messages(desk)) == before
    assert len(slack.ephemerals(ben)) == others
    office.type(anna, f"undo {mail}")


@pytest.mark.parametrize(
    "typed", ["queue", "find x", "why {}", "spam {}", "ham {}", "sentiment {} neutral", "undo {}"]
)
def test_elsewhere_no_mail_is_shown(office, slack, anna, desk, typed):
    mail = office.mail()
    answer = words(office.type(anna, typed.format(mail), slack.channel_id(ELSEWHERE)))
    assert f"I show mail in <#{desk}> and in direct messages only" in answer
    assert PRIVATE not in answer
    assert office.rows(mail) == []


@pytest.mark.parametrize("typed", ["help", "stats", "models", "resume"])
def test_what_shows_no_mail_is_answered_anywhere(office, slack, anna, typed):
    answer = office.type(anna, typed, slack.channel_id(ELSEWHERE))
    assert "I show mail in" not in words(answer)


def test_mail_is_shown_in_the_alerts_channel_and_in_direct_messages(office, slack, anna):
    mail = office.mail()
    for channel in (slack.channel_id(ALERTS), slack.direct_channel(anna)):
        answer = office.type(anna, f"find {mail}", channel)
        assert answer.channel == channel
        assert f"open:{mail}" in words(answer)


@pytest.mark.parametrize("abuse", ABUSE, ids=range(len(ABUSE)))
def test_hostile_words_are_harmless_wherever_they_are_typed(either, anna, abuse):
    mail = either.mail()
    for typed in (
        "{}",
        "find {}",
        "why {}",
        "spam {}",
        f"sentiment {mail} {{}}",
        "rollback {}",
        "pause {}",
        "stats {}",
    ):
        answer = words(either.type(anna, typed.format(abuse)))
        assert "<!channel>" not in answer
        assert "<@U0FILTERD1>" not in answer
        assert "<https:" not in answer
        assert "Something went wrong" not in answer
        assert "could not be saved" not in answer
        assert len(answer) < 4000
    assert either.rows(mail) == []
    assert pauses(either.database) == {}


def test_a_code_fence_cannot_be_broken_out_of(office, anna):
    answer = office.type(anna, "`*x*`_y_`")
    assert "I do not know `'*x*'_y_'`" in words(answer)


def test_without_the_answer_url_the_answer_comes_as_an_ephemeral_message(office, slack, ben):
    mail = office.mail()
    slack.fail("response_url", "down")
    answer = office.type(ben, f"spam {mail}")
    assert f"<@{ben.id}> said" in words(answer)
    assert slack.calls("chat.postEphemeral")
