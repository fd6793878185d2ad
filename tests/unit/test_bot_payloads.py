"""Slack's payloads as plain data: what has another shape than ours is refused, and never a bug."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import RefusedError
from bot.modals import Bulk, bulk_of
from bot.payloads import click_of, mail_id_in, numbers_in, submission_of

MAIL = "01JDX000000000000000000001"
CLICK = {
    "user": {"id": "U0ANNA"},
    "trigger_id": "1.2.3",
    "response_url": "https://example.com",
    "container": {
        "type": "message",
        "channel_id": "C0DESK",
        "message_ts": "1.2",
        "is_ephemeral": False,
    },
    "actions": [{"action_id": "label:spam", "value": MAIL, "block_id": f"mail:{MAIL}"}],
}
SUBMISSION = {
    "user": {"id": "U0ANNA"},
    "trigger_id": "1.2.3",
    "view": {
        "id": "V1",
        "hash": "1",
        "private_metadata": "{}",
        "state": {"values": {"b": {"query": {"value": "x"}}}},
    },
}
MESSAGE = {"text": "x", "blocks": [{"block_id": f"mail:{MAIL}"}], "attachments": [{"text": "x"}]}

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.just(MAIL),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "type", "value", "selected_option"]), inner)
    ),
    max_leaves=6,
)


def paths(value, path=()):
    """The way to each part of a payload."""
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else []
    parts = enumerate(value) if isinstance(value, list) else parts
    for key, inside in parts:
        yield from paths(inside, (*path, key))


def changed(value, path, other):
    """The same payload with something else in one place."""
    if not path:
        return other
    key, *rest = path
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[key] = changed(value[key], rest, other)
    return copy


def oddities(payload):
    return st.builds(
        lambda path, other: changed(payload, path, other),
        st.sampled_from(list(paths(payload))),
        ANYTHING,
    )


@given(oddities(CLICK))
def test_a_click_of_another_shape_is_refused_or_read_as_text(body):
    with contextlib.suppress(RefusedError):
        click = click_of(body)
        texts = (click.key, click.user, click.action, click.about, click.value, click.mail_id)
        assert all(isinstance(text, str) for text in texts)


@given(oddities(SUBMISSION))
def test_a_submission_of_another_shape_is_refused_or_read_as_text(body):
    with contextlib.suppress(RefusedError):
        sent = submission_of(body)
        assert all(isinstance(text, str) for text in (sent.key, sent.user, sent.memory))
        assert all(isinstance(chosen, str) for chosen in sent.choices.values())
        with contextlib.suppress(ValueError):
            bulk_of(sent.memory)


@given(oddities(MESSAGE))
def test_a_message_of_another_shape_has_an_id_or_none(message):
    assert mail_id_in(message) in (MAIL, None)


@pytest.mark.parametrize("actions", [[], None, [{}], [None], [{"action_id": 7}], "x"])
def test_a_click_on_nothing_is_refused(actions):
    with pytest.raises(RefusedError):
        click_of(CLICK | {"actions": actions})


def test_an_action_id_longer_than_slack_allows_is_refused():
    with pytest.raises(RefusedError):
        click_of(changed(CLICK, ("actions", 0, "action_id"), "x" * 256))


@given(st.lists(st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=26, max_size=26)))
def test_a_modal_remembers_its_mails(mails):
    assert bulk_of(Bulk(tuple(mails)).memory()).mails == tuple(mails)


@given(st.text(st.characters()))
def test_numbers_are_those_a_row_may_have(text):
    assert all(0 <= number < 10**18 for number in numbers_in(text))


def test_numbers_are_read_from_a_list():
    assert numbers_in("1,22,²,-3,x,,4 ") == [1, 22]
