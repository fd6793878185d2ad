"""Cards: what staff see of a mail, and that no mail can make them see or click anything else."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cards import GivenLabel, MailCard, bar, mail_blocks, mail_text, queue_blocks
from bot.text import escaped, harmless, in_one_line

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
ID = "01JD0000000000000000000001"


def card(**changes):
    values = {
        "id": ID,
        "sender": "Ann <ann@shop.example>",
        "subject": "Your parcel",
        "received": NOON,
        "excerpt": "Dear Bob, your parcel waits at https://parcel.example/7.",
        "verdict": "spam",
        "spam": 0.9971,
        "threshold": 0.99,
        "sentiment": "negative",
    }
    return MailCard(**values | changes)


def label(number, word, by="U1"):
    task = "spam" if word in ("spam", "ham") else "sentiment"
    return GivenLabel(number, task, word, by, NOON)


def dicts(blocks):
    for block in blocks:
        block.validate_json()
    return [block.to_dict() for block in blocks]


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


def actions(value):
    if isinstance(value, dict):
        if "action_id" in value:
            yield value["action_id"]
        for each in value.values():
            yield from actions(each)
    elif isinstance(value, list):
        for each in value:
            yield from actions(each)


def test_a_card_says_who_what_when_and_what_filterd_holds_of_it():
    blocks = dicts(mail_blocks(card(why=("link shows another host",))))
    plain = list(objects(blocks, "plain_text"))
    assert {"Your parcel", "from Ann <ann@shop[.]example>", "link shows another host"} <= set(plain)
    (when, verdict) = objects(blocks, "mrkdwn")
    assert when.startswith("<!date^")
    assert "*Spam*" in verdict
    assert "99.7% (spam from 99.0% on)" in verdict
    assert "sentiment: negative" in verdict


def test_every_action_is_one_click():
    found = list(actions(dicts(mail_blocks(card()))))
    assert found == ["label:spam", "label:ham", "label:sentiment", "why", "more"]


def test_after_a_click_the_card_says_who_and_offers_undo():
    blocks = dicts(mail_blocks(card(labels=(label(7, "ham"),))))
    assert any("<@U1> said *Not spam*" in text for text in objects(blocks, "mrkdwn"))
    assert "undo:7" in actions(blocks)


def test_where_two_differ_a_third_is_asked_for():
    blocks = dicts(mail_blocks(card(labels=(label(7, "ham"), label(8, "spam", "U2")))))
    assert any("third person" in text for text in objects(blocks, "mrkdwn"))
    agreed = dicts(mail_blocks(card(labels=(label(7, "ham"), label(8, "ham", "U2")))))
    assert not any("third person" in text for text in objects(agreed, "mrkdwn"))


def test_a_verdict_and_a_sentiment_do_not_differ():
    assert not card(labels=(label(7, "ham"), label(8, "negative", "U2"))).is_disputed
    assert card(labels=(label(7, "positive"), label(8, "negative", "U2"))).is_disputed


def test_a_site_that_shows_no_text_shows_none():
    assert "parcel waits" not in str(dicts(mail_blocks(card(excerpt=None))))


def test_a_mail_that_was_not_asked_for_its_sentiment_has_none():
    assert "sentiment:" not in "".join(objects(dicts(mail_blocks(card(sentiment=None))), "mrkdwn"))


HOSTILE = st.text(
    alphabet=st.one_of(
        st.characters(), st.sampled_from("<>!@&*_~`\n\r\u202e\u200b"), st.just("\U0001f4a9")
    ),
    max_size=300,
).map(lambda text: f"{text}<!channel> <@U999> <https://evil.example|click> https://evil.example/x")


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_no_mail_can_call_format_or_link(sender, subject, excerpt, reason):
    mail = card(sender=sender, subject=subject, excerpt=excerpt, why=(reason,) * 5, asked=reason)
    blocks = dicts(mail_blocks(mail))
    assert len(blocks) <= 50
    found = list(actions(blocks))
    assert len(found) == len(set(found))
    # Nothing of the mail stands in an object that Slack gives meaning to.
    assert not any("evil" in text or "channel" in text for text in objects(blocks, "mrkdwn"))
    for text in objects(blocks, "plain_text"):
        assert 0 < len(text) <= 3000
        assert "https://" not in text
        assert "evil.example" not in text
        assert "\u202e" not in text
    assert "<!channel>" not in mail_text(mail)


@pytest.mark.parametrize("size", [0, 50_000])
def test_endless_or_empty_fields_fit(size):
    text = "\U0001f600" * size
    blocks = dicts(mail_blocks(card(sender=text, subject=text, excerpt=text, asked=text)))
    assert len(blocks[0]["text"]["text"]) <= 150


def test_a_queue_is_a_line_for_each_mail_and_says_how_many_more():
    mails = [card(id=f"ID{number}") for number in range(10)]
    blocks = dicts(queue_blocks(mails, left=5))
    assert len(blocks) == 11
    assert blocks[-1]["elements"][0]["text"] == "and 5 more"
    assert "Nothing to judge" in str(dicts(queue_blocks([], left=0)))


def test_bars():
    assert (bar(0), bar(0.5), bar(1), bar(7)) == ("░" * 10, "█████░░░░░", "█" * 10, "█" * 10)


@given(st.text(max_size=200), st.integers(1, 100))
def test_texts_keep_within_their_bounds(text, most):
    assert len(harmless(text, most)) <= most
    assert len(in_one_line(text, most)) <= most
    assert "\n" not in in_one_line(text, most)


def test_links_are_dead_and_text_is_kept():
    assert harmless("see HTTPS://a.example/x, e.g. 3.5 of it. Bye", 99) == (
        "see hxxps://a[.]example/x, e.g. 3.5 of it. Bye"
    )
    assert escaped("a < b & c") == "a &lt; b &amp; c"
