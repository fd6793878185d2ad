"""What several commands open: the store, the serving bundle, its encoder."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filterd.learner.site import SiteLearner
    from filterd.model.encoder import Encoder
    from filterd.policy import Policy
    from filterd.settings import Settings
    from filterd.store.database import Database

SECONDS_TO_RECORD = 3.0

# Imports stand inside the functions so that `filterd --help` does not wait for them.


@contextmanager
def open_store(settings: Settings) -> Iterator[Database]:
    """The database, its schema up to date, closed at the end. StoreError, SettingsError."""
    from filterd.store.database import open_database
    from filterd.store.schema import upgrade
    from filterd.store.sealing import open_sealing, read_keys

    sealing = open_sealing(read_keys(settings.text_key_file))
    database = open_database(settings.database, sealing)
    try:
        upgrade(database)
        yield database
    finally:
        database.close()


def wait_for_record(database: Database, message_id: str) -> None:
    """Wait a moment for the record of a mail that has only just come, if its id says so.

    Records are written within a second after the mail was answered.
    """
    from ulid import ULID

    from filterd.store.messages import get

    try:
        came = ULID.from_str(message_id).timestamp
    except ValueError:
        return
    while time.time() - came < SECONDS_TO_RECORD and get(database, message_id) is None:
        time.sleep(0.1)


def bundle_path(settings: Settings, version: str | None) -> Path:
    """The folder of a version (or the folder itself), or of the bundle that serves."""
    from filterd.model.bundle import SHIPPED, load
    from filterd.model.champion import champion_path
    from filterd.store import models

    if version is None:
        with open_store(settings) as database:
            return champion_path(models.champion(database), settings.models)
    if "/" in version or Path(version).is_dir():
        return Path(version)
    folder = settings.models / version
    return SHIPPED if not folder.exists() and load(SHIPPED).version == version else folder


def open_model(
    settings: Settings, *, every_core: bool = False
) -> tuple[Encoder, Policy, SiteLearner]:
    """What judges outside the daemon: the serving bundle, the site's policy, what staff taught."""
    import os

    from filterd.commands.terminal import working
    from filterd.model.encoder import open_encoder
    from filterd.policy import Policy
    from filterd.teaching import open_learner

    threads = len(os.sched_getaffinity(0)) if every_core else 1
    encoder = open_encoder(bundle_path(settings, None), threads=threads)
    with open_store(settings) as database, working("learning from the labels"):
        learner = open_learner(database, encoder.bundle.version)
    return encoder, Policy("tag", settings.spam_threshold), learner
