"""Who has which role now: asks Slack who is in the groups and channels of the rules.

Answers are kept for some minutes. While Slack does not say, the last answer holds for an hour;
after that nobody has a role by group or channel any more.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from bot.access import Role, may, refusal
from bot.errors import RefusedError
from bot.faults import FAULTS, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from slack_sdk.web.async_client import AsyncWebClient

    from bot.access import Rules

FRESH_SECONDS = 300.0
STALE_SECONDS = 3600.0
MEMBERS_AT_ONCE = 1000  # what conversations.members gives at most
# Slack did not answer: not asked again for each click meanwhile.
RETRY_SECONDS = 15.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Members:
    """Who is in a group or channel, as of `asked`; `heard` is when Slack last said so."""

    users: frozenset[str]
    heard: float
    asked: float


class Gate:
    """Tells roles. `clock` gives seconds that only grow."""

    def __init__(self, client: AsyncWebClient, rules: Rules, clock: Callable[[], float]) -> None:
        self._client = client
        self._rules = rules
        self._clock = clock
        self._known: dict[str, Members] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def role(self, user: str) -> Role:
        """The role of a person now."""
        if user in self._rules.users:
            return self._rules.users[user]
        groups = [one for one in self._rules.groups if user in await self._members(one)]
        channels = [one for one in self._rules.channels if user in await self._members(one)]
        return self._rules.role(user, groups, channels)

    async def require(self, user: str, action: str) -> Role:
        """The role, if it may do this; else RefusedError, whose text is for that person."""
        role = await self.role(user)
        if not may(role, action):
            log.warning("refused", by=user, action=action, role=role.name.lower())
            raise RefusedError(refusal(role, action))
        return role

    async def _members(self, of: str) -> frozenset[str]:
        async with self._asking.setdefault(of, asyncio.Lock()):
            now = self._clock()
            known = self._known.get(of)
            if known is None or now - known.asked >= FRESH_SECONDS:
                known = self._known[of] = await self._ask(of, known, now)
            return known.users

    async def _ask(self, of: str, known: Members | None, now: float) -> Members:
        try:
            users = await (self._group(of) if of.startswith("S") else self._channel(of))
        except FAULTS as error:
            log.warning("members unknown", of=of, error=reason_of(error))
            again = now - FRESH_SECONDS + RETRY_SECONDS
            if known is None or now - known.heard > STALE_SECONDS:
                return Members(frozenset(), now - STALE_SECONDS, again)
            return Members(known.users, known.heard, again)
        return Members(users, now, now)

    async def _group(self, group: str) -> frozenset[str]:
        answer = await self._client.usergroups_users_list(usergroup=group)
        return frozenset(answer["users"])

    async def _channel(self, channel: str) -> frozenset[str]:
        users: set[str] = set()
        cursor = ""
        while True:
            answer = await self._client.conversations_members(
                channel=channel, limit=MEMBERS_AT_ONCE, cursor=cursor
            )
            users.update(answer["members"])
            cursor = (answer.get("response_metadata") or {}).get("next_cursor", "")
            if not cursor:
                return frozenset(users)
