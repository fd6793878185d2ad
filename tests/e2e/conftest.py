"""Whole mails through whole programs: real Postfix, real Dovecot, the real daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from servers.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

STAGE = pytest.StashKey[Stage]()


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Where the servers of one module run; one at a time, since two ports are fixed."""
    with Stage() as one:
        request.config.stash[STAGE] = one
        yield one


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    """Show what the servers said when a test failed."""
    report = yield
    stage = item.config.stash.get(STAGE, None)
    if report.failed and stage is not None and "stage" in getattr(item, "fixturenames", ()):
        report.sections.extend(stage.logs())
    return report
