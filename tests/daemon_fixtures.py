"""Folders to run filterd in, with a tiny bundle as champion, and daemons that run there.

Use by `pytest_plugins = ("daemon_fixtures",)`.
"""

import os
import shutil
from datetime import UTC, datetime

import pytest
from daemon_process import BASE, ROOT, Daemon, toml
from tiny_bundle import make_tiny_bundle

from filterd.store.database import open_database
from filterd.store.models import register_bundle, set_champion
from filterd.store.schema import upgrade

POWERS = "-dac_override,-dac_read_search"
POWERLESS = ("setpriv", f"--bounding-set={POWERS}", f"--inh-caps={POWERS}")


@pytest.fixture(scope="session")
def site_template(tmp_path_factory):
    """A folder to run in, where a tiny bundle is champion."""
    folder = tmp_path_factory.mktemp("site")
    bundle = make_tiny_bundle(folder / "var/models/tiny.1")
    database = open_database(f"sqlite:///{folder / 'var/filterd.db'}")
    upgrade(database)
    register_bundle(
        database,
        bundle.version,
        str(bundle.path),
        created_at=datetime.fromisoformat(bundle.created),
        data_digest=bundle.data_digest,
        metrics=bundle.metrics,
        now=lambda: datetime(2026, 11, 24, tzinfo=UTC),
    )
    set_champion(database, bundle.version, by="test", why="test")
    database.close()
    (folder / "filterd.toml").write_text(toml(BASE))
    return folder


@pytest.fixture
def site(site_template, tmp_path):
    folder = tmp_path / "site"
    shutil.copytree(site_template, folder)
    return folder


@pytest.fixture
def start(site):
    """Start a daemon in the site's folder with these settings; several, if asked again."""
    running = []

    def start(*arguments, env=None, without_root=False, **settings):
        (site / "filterd.toml").write_text(toml(BASE | settings))
        # Who is root may write to any file; without that power tests need not be somebody else.
        prefix = POWERLESS if without_root and os.geteuid() == 0 else ()
        running.append(Daemon(site, *arguments, env=env, prefix=prefix))
        return running[-1]

    yield start
    for daemon in running:
        daemon.end()


@pytest.fixture
def serve(start):
    """As `start`, and wait until it serves."""

    def serve(*arguments, env=None, **settings):
        return start(*arguments, env=env, **settings).started()

    return serve


@pytest.fixture(scope="session")
def other_package(tmp_path_factory):
    """A copy of our code without its shipped bundle; use it by PYTHONPATH."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(
        ROOT / "filterd", folder / "filterd", ignore=shutil.ignore_patterns("shipped", "samples")
    )
    return folder
