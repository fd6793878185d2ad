"""Who has which role, as Slack says: kept for some minutes, and no longer than an hour without it."""

from __future__ import annotations

import asyncio

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from slack_stage.workspace import ADMIN_TOKEN, ELSEWHERE

from bot.access import Role, Rules
from bot.errors import RefusedError
from bot.gate import FRESH_SECONDS, RETRY_SECONDS, STALE_SECONDS, Gate

pytest_plugins = ("slack_fixtures",)

GROUP, OTHER = "S0STAFF01", "S0ADMIN01"
MEMBERS = "conversations.members"
USERS = "usergroups.users.list"
BIT = 1.0


class Clock:
    """Stands still unless it is told to go on."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def go_on(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def gate_of(slack, clock):
    """A gate with these rules, by kind."""

    def gate_of(**rules):
        client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, timeout=5)
        return Gate(client, Rules(**rules), clock)

    return gate_of


@pytest.fixture
def gate(gate_of):
    """Members of a group may label."""
    return gate_of(groups={GROUP: Role.LABELLER})


async def test_members_of_a_group_have_its_role(slack, gate, anna, ben):
    slack.groups[GROUP] = [anna.id]
    assert await gate.role(anna.id) is Role.LABELLER
    assert await gate.role(ben.id) is Role.NOBODY


async def test_members_of_a_channel_have_its_role(slack, gate_of, anna):
    gate = gate_of(channels={slack.channel_id(ELSEWHERE): Role.TRUSTED})
    assert await gate.role(anna.id) is Role.TRUSTED
    assert await gate.role("U0STRANGER") is Role.NOBODY


async def test_of_several_groups_and_channels_the_highest_role_counts(slack, gate_of, anna):
    channel = slack.channel_id(ELSEWHERE)
    rules = {GROUP: Role.VIEWER, OTHER: Role.ADMIN}
    gate = gate_of(groups=rules, channels={channel: Role.LABELLER})
    slack.groups.update({GROUP: [anna.id], OTHER: [anna.id]})
    assert await gate.role(anna.id) is Role.ADMIN


async def test_who_is_named_has_that_role_and_slack_is_not_asked(slack, gate_of, anna):
    gate = gate_of(users={anna.id: Role.VIEWER}, groups={GROUP: Role.ADMIN})
    slack.groups[GROUP] = [anna.id]
    assert await gate.role(anna.id) is Role.VIEWER
    assert slack.calls() == []


async def test_slack_is_asked_again_only_after_some_minutes(slack, gate, clock, anna):
    slack.groups[GROUP] = [anna.id]
    await gate.role(anna.id)
    clock.go_on(FRESH_SECONDS - BIT)
    await gate.role(anna.id)
    assert len(slack.calls(USERS)) == 1
    clock.go_on(BIT)
    await gate.role(anna.id)
    assert len(slack.calls(USERS)) == 2


async def test_a_role_taken_away_counts_at_the_next_asking(slack, gate, clock, anna, ben):
    slack.groups[GROUP] = [anna.id]
    await gate.require(anna.id, "label")
    slack.groups[GROUP] = [ben.id]
    assert await gate.role(anna.id) is Role.LABELLER
    clock.go_on(FRESH_SECONDS)
    with pytest.raises(RefusedError, match="needs the role labeller; you have no role here"):
        await gate.require(anna.id, "label")
    assert await gate.role(ben.id) is Role.LABELLER


async def test_while_slack_is_away_the_last_answer_holds_for_an_hour(slack, gate, clock, anna):
    slack.groups[GROUP] = [anna.id]
    await gate.role(anna.id)
    await asyncio.to_thread(slack.go_down)
    clock.go_on(STALE_SECONDS - BIT)
    assert await gate.role(anna.id) is Role.LABELLER
    clock.go_on(RETRY_SECONDS + BIT)
    assert await gate.role(anna.id) is Role.NOBODY


async def test_a_slack_that_does_not_say_is_not_asked_for_each_click(slack, gate, clock, anna):
    slack.groups[GROUP] = [anna.id]
    await gate.role(anna.id)
    slack.fail(USERS, "internal_error", times=2)
    clock.go_on(FRESH_SECONDS)
    for _ in range(5):
        assert await gate.role(anna.id) is Role.LABELLER
    assert len(slack.calls(USERS)) == 2
    clock.go_on(RETRY_SECONDS)
    await gate.role(anna.id)
    assert len(slack.calls(USERS)) == 3


async def test_a_slack_that_was_never_heard_gives_nobody_a_role_until_it_is(
    slack, gate, clock, anna
):
    slack.groups[GROUP] = [anna.id]
    slack.fail(USERS, "internal_error")
    assert await gate.role(anna.id) is Role.NOBODY
    clock.go_on(RETRY_SECONDS)
    assert await gate.role(anna.id) is Role.LABELLER


async def test_an_hour_counts_from_when_slack_was_heard_not_asked(slack, gate, clock, anna):
    slack.groups[GROUP] = [anna.id]
    await gate.role(anna.id)
    slack.fail(USERS, "internal_error", times=1000)
    held = 0.0
    while await gate.role(anna.id) is Role.LABELLER:
        clock.go_on(RETRY_SECONDS)
        held += RETRY_SECONDS
        assert held < 2 * STALE_SECONDS
    assert STALE_SECONDS <= held <= STALE_SECONDS + 2 * RETRY_SECONDS


async def test_a_group_that_there_is_not_gives_no_role_and_hurts_no_other(slack, gate_of, anna):
    gate = gate_of(groups={GROUP: Role.LABELLER, "S0NONE": Role.ADMIN})
    slack.groups[GROUP] = [anna.id]
    assert await gate.role(anna.id) is Role.LABELLER


class InPages:
    """A channel whose members Slack gives five at a time; the emulator gives all."""

    def __init__(self, members):
        self.members = members
        self.asked = []

    async def conversations_members(self, *, channel, limit, cursor):
        self.asked.append(cursor)
        start = int(cursor or 0)
        following = str(start + 5) if start + 5 < len(self.members) else ""
        return {
            "members": self.members[start : start + 5],
            "response_metadata": {"next_cursor": following},
        }


async def test_members_come_in_pages(clock):
    members = [f"U0MEMBER{number:02}" for number in range(12)]
    channel = InPages(members)
    gate = Gate(channel, Rules(channels={"C0STAFF01": Role.VIEWER}), clock)
    assert [await gate.role(member) for member in members] == [Role.VIEWER] * len(members)
    assert channel.asked == ["", "5", "10"]


async def test_who_leaves_the_channel_has_no_role_any_more(slack, gate_of, clock, dora):
    name = "for-a-while"
    made = slack.ask("conversations.create", ADMIN_TOKEN, name=name)["channel"]["id"]
    slack.ask("conversations.join", channel=made)
    slack.ask("conversations.invite", ADMIN_TOKEN, channel=made, users=dora.id)
    gate = gate_of(channels={made: Role.LABELLER})
    assert await gate.role(dora.id) is Role.LABELLER
    slack.ask("conversations.kick", ADMIN_TOKEN, channel=made, user=dora.id)
    clock.go_on(FRESH_SECONDS)
    assert await gate.role(dora.id) is Role.NOBODY


async def test_many_at_once_make_one_call(slack, gate, anna, crowd):
    slack.groups[GROUP] = [person.id for person in crowd]
    slack.delay(USERS, 0.1)
    roles = await asyncio.gather(*(gate.role(person.id) for person in [anna, *crowd]))
    assert roles == [Role.NOBODY, *[Role.LABELLER] * len(crowd)]
    assert len(slack.calls(USERS)) == 1
