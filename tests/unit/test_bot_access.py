"""Roles: every action by every role."""

import pytest

from bot.access import NEEDED, Role, Rules, may, refusal

RULES = Rules(
    users={"UADMIN": Role.ADMIN, "ULESS": Role.VIEWER},
    groups={"SSUPPORT": Role.LABELLER, "SMAIL": Role.TRUSTED},
    channels={"CSPAM": Role.VIEWER},
)


@pytest.mark.parametrize("action", NEEDED)
@pytest.mark.parametrize("role", Role)
def test_each_role_may_what_lesser_ones_may_and_its_own(role, action):
    assert may(role, action) == (role >= NEEDED[action])
    if not may(role, action):
        assert NEEDED[action].name.lower() in refusal(role, action)


def test_nobody_changes_anything_without_a_role():
    assert {action for action in NEEDED if may(Role.NOBODY, action)} == {"help"}
    assert {action for action in NEEDED if may(Role.VIEWER, action)} == {
        "help", "queue", "find", "why", "stats", "models",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("user", "groups", "channels", "role"),
    [
        ("UADMIN", [], [], Role.ADMIN),
        ("U1", ["SSUPPORT"], [], Role.LABELLER),
        ("U1", ["SSUPPORT", "SMAIL"], [], Role.TRUSTED),
        ("U1", [], ["CSPAM", "COTHER"], Role.VIEWER),
        ("U1", ["SSUPPORT"], ["CSPAM"], Role.LABELLER),
        ("U1", ["SOTHER"], ["COTHER"], Role.NOBODY),
        ("ULESS", ["SMAIL"], ["CSPAM"], Role.VIEWER),
    ],
)
def test_the_highest_role_counts_but_who_is_named_has_that_one(user, groups, channels, role):
    assert RULES.role(user, groups, channels) is role


def test_an_action_that_does_not_exist_is_no_permission():
    with pytest.raises(KeyError):
        may(Role.ADMIN, "destroy")
