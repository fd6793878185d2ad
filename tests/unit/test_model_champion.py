"""Which bundle serves: the champion when it can, another one when it cannot, and mail always."""

import asyncio
import shutil
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs
from tiny_bundle import make_tiny_bundle

from filterd.errors import BundleError, StoreError
from filterd.model.batcher import Batcher
from filterd.model.champion import ChampionWatch, champion_path, champion_version


@dataclass(frozen=True)
class Row:
    id: int
    version: str


class Site:
    """A models folder, a shipped bundle, and a champions table of which the last row counts."""

    def __init__(self, folder):
        self.models = folder / "models"
        self.shipped = make_tiny_bundle(folder / "shipped", version="shipped.1").path
        self.rows = []
        self.fault = None

    def publish(self, version):
        return make_tiny_bundle(self.models / version, version=version).path

    def promote(self, version):
        self.rows.append(Row(len(self.rows) + 1, version))

    def read(self):
        if self.fault:
            raise self.fault
        return self.rows[-1] if self.rows else None

    def watch(self, **changes):
        return ChampionWatch(self.read, self.models, shipped=self.shipped, **changes)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


@pytest.fixture
async def serving(site):
    """A watch, its batcher, and a function that tells which version judges."""
    watch = site.watch()
    batcher = Batcher(watch.open())

    async def version():
        return (await batcher.encode("hello")).bundle.version

    yield watch, batcher, version
    await batcher.close()


def events(logs):
    return [entry["event"] for entry in logs]


def test_before_the_first_promotion_the_shipped_bundle_serves(site):
    assert champion_path(None, site.models, shipped=site.shipped) == site.shipped
    assert site.watch().open().bundle.version == "shipped.1"


def test_the_champion_serves_from_its_folder(site):
    site.publish("new.1")
    site.promote("new.1")

    assert champion_path(site.rows[-1], site.models, shipped=site.shipped).name == "new.1"
    assert site.watch().open().bundle.version == "new.1"


def test_the_shipped_bundle_can_be_made_champion_again_by_its_version(site):
    site.promote("shipped.1")

    assert champion_path(site.rows[-1], site.models, shipped=site.shipped) == site.shipped


def test_the_version_that_should_serve_is_the_champions_or_the_shipped_bundles(site):
    assert champion_version(None, shipped=site.shipped) == "shipped.1"
    assert champion_version(Row(1, "new.1"), shipped=site.shipped) == "new.1"
    assert champion_version(None, shipped=site.models) == ""


def test_a_champion_whose_folder_is_missing_gives_way_to_the_shipped_bundle_loudly(site):
    site.promote("gone.1")

    with capture_logs() as logs:
        assert site.watch().open().bundle.version == "shipped.1"
    assert logs[0]["event"] == "champion_unusable"
    assert logs[0]["log_level"] == "error"
    assert "gone.1" in logs[0]["error"]


def test_a_tampered_champion_gives_way_to_the_shipped_bundle_loudly(site):
    (site.publish("new.1") / "model.onnx").write_bytes(b"")
    site.promote("new.1")

    with capture_logs() as logs:
        assert site.watch().open().bundle.version == "shipped.1"
    assert "model.onnx" in logs[0]["error"]


def test_a_folder_that_holds_another_version_is_not_the_champion(site):
    site.publish("new.1").rename(site.models / "new.2")
    site.promote("new.2")

    with capture_logs() as logs:
        assert site.watch().open().bundle.version == "shipped.1"
    assert "holds version new.1" in logs[0]["error"]


def test_an_unreachable_database_at_start_does_not_stop_the_mail(site):
    site.fault = StoreError("the database is locked")

    with capture_logs() as logs:
        assert site.watch().open().bundle.version == "shipped.1"
    assert events(logs) == ["champion_unknown"]


def test_without_any_sound_bundle_the_error_names_the_shipped_one(site):
    shutil.rmtree(site.shipped)

    with pytest.raises(BundleError, match=str(site.shipped)):
        site.watch().open()


async def test_a_promotion_is_followed(site, serving):
    watch, batcher, version = serving
    site.publish("new.1")
    site.promote("new.1")

    encoder = await watch.look(batcher)

    assert encoder is not None
    assert encoder.bundle.version == "new.1"
    assert await version() == "new.1"


async def test_the_old_one_serves_until_what_changes_with_the_new_one_is_ready(site, serving):
    watch, batcher, version = serving
    site.publish("new.1")
    site.promote("new.1")
    seen = []

    async def prepare(encoder):
        seen.append((encoder.bundle.version, await version()))

    await watch.look(batcher, prepare=prepare)
    assert seen == [("new.1", "shipped.1")]
    assert await version() == "new.1"


async def test_nothing_is_made_ready_for_a_champion_that_cannot_serve(site, serving):
    watch, batcher, _ = serving
    site.promote("gone.1")
    seen = []

    async def prepare(encoder):
        seen.append(encoder)

    await watch.look(batcher, prepare=prepare)
    assert seen == []


async def test_nothing_is_loaded_while_the_champion_stays(site, serving):
    watch, batcher, _ = serving
    site.publish("new.1")
    site.promote("new.1")

    await watch.look(batcher)
    assert await watch.look(batcher) is None


async def test_a_champion_that_cannot_serve_leaves_the_old_one_and_is_tried_once(site, serving):
    watch, batcher, version = serving
    site.promote("gone.1")

    with capture_logs() as logs:
        for _ in range(3):
            assert await watch.look(batcher) is None
    assert events(logs) == ["champion_unusable"]
    assert logs[0]["serving"] == "shipped.1"
    assert await version() == "shipped.1"


async def test_promoting_a_repaired_bundle_again_tries_it_again(site, serving):
    watch, batcher, version = serving
    site.promote("new.1")
    await watch.look(batcher)
    site.publish("new.1")
    site.promote("new.1")

    await watch.look(batcher)
    assert await version() == "new.1"


async def test_a_rollback_is_followed_like_a_promotion(site, serving):
    watch, batcher, version = serving
    for name in ("new.1", "new.2"):
        site.publish(name)
        site.promote(name)
        await watch.look(batcher)
    assert await version() == "new.2"
    site.promote("new.1")

    await watch.look(batcher)
    assert await version() == "new.1"


@pytest.mark.parametrize("fault", [StoreError("no route"), RuntimeError("a driver's bug")])
async def test_an_outage_of_the_database_is_logged_once_and_survived(site, serving, fault):
    watch, batcher, version = serving
    site.publish("new.1")
    site.promote("new.1")
    site.fault = fault

    with capture_logs() as logs:
        for _ in range(3):
            assert await watch.look(batcher) is None
    assert events(logs) == ["champion_unknown"]

    site.fault = None
    await watch.look(batcher)
    assert await version() == "new.1"


async def test_a_surprise_while_loading_is_logged_with_its_trace_and_survived(site, serving):
    watch, batcher, version = serving
    site.rows.append(Row(1, "a\0b"))  # no such path can be: a ValueError, not a BundleError

    with capture_logs() as logs:
        assert await watch.look(batcher) is None
    assert logs[0]["event"] == "champion_unusable"
    assert await version() == "shipped.1"


async def test_whoever_asked_for_it_is_told_what_cannot_serve_and_what_can(site):
    told = []
    watch = site.watch(tried=told.append)
    site.promote("gone.1")
    batcher = Batcher(watch.open())
    site.rows.append(Row(2, 7))  # no version is a number: a surprise
    await watch.look(batcher)
    site.publish("new.1")
    site.promote("new.1")
    for _ in range(2):
        await watch.look(batcher)
    await batcher.close()
    missing, surprise, well = told
    assert "gone.1" in missing
    assert surprise == "7 could not be loaded: TypeError"
    assert well is None


async def test_following_goes_on_until_cancelled(site, serving):
    watch, batcher, version = serving
    swapped = asyncio.Queue()
    following = asyncio.create_task(watch.follow(batcher, interval=0, swapped=swapped.put_nowait))
    for name in ("new.1", "new.2"):
        site.publish(name)
        site.promote(name)
        assert (await asyncio.wait_for(swapped.get(), 30)).bundle.version == name
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    assert await version() == "new.2"
