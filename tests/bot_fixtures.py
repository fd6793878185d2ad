"""A bot that runs for a module, and whether all it said was fit to be said.

Use by `pytest_plugins = ("slack_fixtures", "daemon_fixtures", "bot_fixtures")`. A module may say by
a fixture `bot_settings` who has which role. After each test all that the bot said is held against
Slack's limits, and its log against what may not be in it.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from bot_office import Office

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from slack_stage import Slack

STAFF = {"admins": "anna", "labellers": "ben", "viewers": "carla"}


@pytest.fixture(scope="module")
def bot_settings(slack_stage: Slack) -> dict[str, str]:
    """Anna is admin, Ben may label, Carla may look, Dora has no role."""
    return {name: slack_stage.user_id(who) for name, who in STAFF.items()}


@pytest.fixture(scope="module")
def module_folder(site_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("office") / "site"
    shutil.copytree(site_template, folder)
    return folder


@pytest.fixture(scope="module")
def module_office(
    module_folder: Path, slack_stage: Slack, bot_settings: dict[str, str]
) -> Iterator[Office]:
    office = Office(module_folder, slack_stage, **bot_settings)
    yield office
    office.end()


@pytest.fixture
def office(module_office: Office, slack: Slack) -> Iterator[Office]:
    """The bot of this module."""
    yield from _held(module_office)


@pytest.fixture(scope="module")
def socket_office(
    module_office: Office, module_folder: Path, slack_stage: Slack, bot_settings: dict[str, str]
) -> Iterator[Office]:
    """Another bot for the same database, by Socket Mode."""
    office = Office(module_folder, slack_stage, by="socket", **bot_settings)
    yield office
    office.end()


@pytest.fixture(params=["http", "socket"])
def either(request: pytest.FixtureRequest, office: Office) -> Iterator[Office]:
    """The bot that takes requests, then one that has a socket."""
    if request.param == "http":
        yield office
    else:
        yield from _held(request.getfixturevalue("socket_office"))


@pytest.fixture
def new_office(site: Path, slack: Slack, bot_settings: dict[str, str]) -> Iterator[Office]:
    """A bot of this test's own, with an empty database."""
    office = Office(site, slack, **bot_settings)
    yield from _held(office)
    office.end()


def _held(office: Office) -> Iterator[Office]:
    office.begin()
    yield office
    assert office.problems() == []
