"""A workspace of Slack on this machine. Use by `pytest_plugins = ("slack_fixtures",)`.

Fixtures: `slack`, the stage; `desk` and `alerts`, ids of channels the bot is in; `anna`, `ben`,
`carla` and `dora`, people; `crowd`, twenty more.
"""

import pytest
from slack_stage import Slack
from slack_stage.workspace import ALERTS, CROWD, DESK

LOG_TAIL = 4000
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
STAGE = pytest.StashKey[Slack]()


@pytest.fixture(scope="module")
def slack_stage(request):
    """One workspace for the module: its messages stay from test to test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in PROXIES:  # slack_sdk would ask a proxy even for this machine
            patch.delenv(name, raising=False)
        with Slack() as stage:
            request.config.stash[STAGE] = stage
            yield stage
            del request.config.stash[STAGE]


@pytest.fixture
def slack(slack_stage):
    """The stage with no calls, answers, groups or faults of the test before."""
    slack_stage.reset()
    yield slack_stage
    slack_stage.reset()


@pytest.fixture
def desk(slack):
    return slack.channel_id(DESK)


@pytest.fixture
def alerts(slack):
    return slack.channel_id(ALERTS)


@pytest.fixture
def anna(slack):
    return slack.person("anna")


@pytest.fixture
def ben(slack):
    return slack.person("ben")


@pytest.fixture
def carla(slack):
    return slack.person("carla")


@pytest.fixture
def dora(slack):
    return slack.person("dora")


@pytest.fixture
def crowd(slack):
    """Twenty people."""
    return [slack.person(name) for name in CROWD]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show what the emulator printed and what was called when a test failed."""
    report = yield
    stage = item.config.stash.get(STAGE, None)
    if report.failed and stage is not None and "slack" in getattr(item, "fixturenames", ()):
        calls = "\n".join(
            f"{call.method} {call.arguments} -> {call.answer}" for call in stage.calls()
        )
        report.sections.append(("calls of the bot to Slack", calls[-LOG_TAIL:]))
        report.sections.append(("log of the Slack emulator", stage.log[-LOG_TAIL:]))
    return report
