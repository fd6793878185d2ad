"""Who may do what: roles by user, user group and channel. Pure: ids in, a decision out.

Asked on every action, and again at the moment of effect; whoever has no role gets a polite no.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Role(IntEnum):
    """Each may do all that the ones before it may."""

    NOBODY = 0
    VIEWER = 1
    LABELLER = 2
    TRUSTED = 3
    ADMIN = 4


# Action -> the least role that may do it.
NEEDED: Mapping[str, Role] = {
    "help": Role.NOBODY,
    "queue": Role.VIEWER,
    "find": Role.VIEWER,
    "why": Role.VIEWER,
    "stats": Role.VIEWER,
    "models": Role.VIEWER,
    "label": Role.LABELLER,
    "undo own": Role.LABELLER,
    "bulk label": Role.TRUSTED,
    "undo": Role.TRUSTED,
    "retrain": Role.ADMIN,
    "rollback": Role.ADMIN,
    "pause": Role.ADMIN,
    "resume": Role.ADMIN,
}


@dataclass(frozen=True, slots=True)
class Rules:
    """Slack ids -> the role that each gives: to a user (U…), to the members of a user group (S…)
    or of a channel (C…).
    """

    users: Mapping[str, Role] = field(default_factory=dict)
    groups: Mapping[str, Role] = field(default_factory=dict)
    channels: Mapping[str, Role] = field(default_factory=dict)

    def role(self, user: str, groups: Iterable[str], channels: Iterable[str]) -> Role:
        """The highest role of a person in these groups and channels. One that is named himself
        has that role alone, so that a person can be given less than his groups.
        """
        if user in self.users:
            return self.users[user]
        by_group = (self.groups.get(group, Role.NOBODY) for group in groups)
        by_channel = (self.channels.get(channel, Role.NOBODY) for channel in channels)
        return max((Role.NOBODY, *by_group, *by_channel))


def may(role: Role, action: str) -> bool:
    """Whether a role may do this. KeyError for an action that does not exist."""
    return role >= NEEDED[action]


def refusal(role: Role, action: str) -> str:
    """What someone is told who may not."""
    needed = NEEDED[action].name.lower()
    have = "no role here" if role is Role.NOBODY else f"the role {role.name.lower()}"
    return f"Sorry, `{action}` needs the role {needed}; you have {have}. An admin can change that."
