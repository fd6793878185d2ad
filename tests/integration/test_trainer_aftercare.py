"""When a promoted bundle is taken back by itself, and what is removed when nobody needs it."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert
from store_records import MORNING, make_record

from filterd.errors import ImpossibleError
from filterd.model.champion import champion_version
from filterd.store.labels import add_label, undo_label
from filterd.store.messages import write_batch
from filterd.store.models import champion, champions, register_bundle, rollback, set_champion
from filterd.store.scores import scores_of, write_scores
from filterd.store.tables import TrainingRuns
from trainer.aftercare import needs_rollback, remove_unused, roll_back

pytest_plugins = ("store_fixtures",)

OLD, NEW = "2026-11-22.1", "2026-11-23.1"
PROMOTED = MORNING
NOON = MORNING + timedelta(hours=4)
MAILS = 60
REASON = (
    "6 of the 60 mails that 2026-11-23.1 judged were corrected, by 2 people: 10.0%, more than 5.0%"
)


def register(database, version, path="/models"):
    register_bundle(
        database,
        version,
        f"{path}/{version}",
        created_at=MORNING,
        data_digest=version,
        metrics={},
        now=lambda: MORNING,
    )


def promote(database, version, by="trainer", at=PROMOTED):
    register(database, version)
    return set_champion(database, version, by, "passed the gate", now=lambda: at)


def correct(database, numbers, by, label="spam"):
    return [
        add_label(database, make_record(number).id, "spam", label, by, "cli") for number in numbers
    ]


@pytest.fixture
def site(database):
    """A bundle promoted by the trainer, and sixty hams that it judged since."""
    promote(database, OLD, at=PROMOTED - timedelta(days=1))
    promote(database, NEW)
    write_batch(database, [make_record(number, model=NEW) for number in range(1, MAILS + 1)])
    return database


def reason(database, now=NOON, **changes):
    settings = {"above": 0.05, "hours": 24.0, "trusted": ()}
    return needs_rollback(database, champion(database), now, **settings | changes)


def test_a_bundle_that_is_corrected_too_often_is_to_be_taken_back(site):
    correct(site, range(1, 4), "ann")
    correct(site, range(4, 7), "bob")
    assert reason(site) == REASON


def test_a_share_that_is_allowed_is_no_reason(site):
    correct(site, range(1, 4), "ann")
    correct(site, range(4, 7), "bob")
    assert reason(site, above=0.1) is None


def test_labels_that_confirm_the_verdict_are_no_corrections(site):
    correct(site, range(1, 4), "ann", "ham")
    correct(site, range(4, 10), "bob", "ham")
    assert reason(site) is None


def test_corrections_that_were_taken_back_or_outvoted_do_not_count(site):
    (first, *_) = correct(site, range(1, 4), "ann")
    correct(site, range(4, 6), "bob")
    assert reason(site) is not None
    undo_label(site, first.id, "ann", "cli")
    assert reason(site) is None
    correct(site, [1], "ann")
    assert reason(site) is not None
    correct(site, [1], "bob", "ham")
    assert reason(site) is None


def test_four_corrections_are_too_few(site):
    correct(site, range(1, 3), "ann")
    correct(site, range(3, 5), "bob")
    assert reason(site) is None


def test_one_person_is_believed_only_if_trusted(site):
    correct(site, range(1, 10), "ann")
    assert reason(site) is None
    assert reason(site, trusted=("bob",)) is None
    assert "by 1 person" in reason(site, trusted=("ann",))


def test_of_few_mails_nothing_is_concluded(database):
    promote(database, OLD)
    promote(database, NEW)
    write_batch(database, [make_record(number, model=NEW) for number in range(1, 50)])
    correct(database, range(1, 10), "ann")
    correct(database, range(10, 20), "bob")
    assert reason(database) is None


def test_mail_that_another_bundle_judged_or_that_came_before_does_not_count(database):
    promote(database, OLD)
    promote(database, NEW)
    before = PROMOTED - timedelta(hours=1)
    write_batch(
        database,
        [make_record(number, model=NEW) for number in range(1, MAILS + 1)]
        + [make_record(number, model=OLD) for number in range(101, 111)]
        + [make_record(number, model=NEW, received_at=before) for number in range(201, 211)],
    )
    for first in (101, 201):
        correct(database, range(first, first + 5), "ann")
        correct(database, range(first + 5, first + 10), "bob")
    assert reason(database) is None


def test_after_its_hours_it_stays(site):
    correct(site, range(1, 4), "ann")
    correct(site, range(4, 7), "bob")
    assert reason(site, now=PROMOTED + timedelta(hours=24)) == REASON
    assert reason(site, now=PROMOTED + timedelta(hours=24, seconds=1)) is None
    assert reason(site, hours=0.0) is None


def test_what_a_person_promoted_is_the_persons(site):
    correct(site, range(1, 4), "ann")
    correct(site, range(4, 7), "bob")
    set_champion(site, NEW, "ann", "by hand", now=lambda: PROMOTED)
    assert reason(site) is None


def test_it_is_taken_back_once_and_the_trainer_says_why(site):
    correct(site, range(1, 4), "ann")
    correct(site, range(4, 7), "bob")
    bad = champion(site)
    row = roll_back(site, bad, REASON, NOON)
    assert (row.version, row.by, row.why, row.at) == (OLD, "trainer", REASON, NOON)
    assert row.takes_back == bad.id
    assert reason(site) is None
    with pytest.raises(ImpossibleError, match="another bundle was put into service"):
        roll_back(site, bad, REASON, NOON)
    assert len(champions(site)) == 3


def test_what_another_put_into_service_meanwhile_stays(site):
    bad = champion(site)
    promote(site, "2026-11-23.2", by="ann")
    with pytest.raises(ImpossibleError, match="another bundle was put into service"):
        roll_back(site, bad, REASON, NOON)
    assert champion(site).version == "2026-11-23.2"


def test_from_the_first_bundle_that_was_ever_promoted_it_goes_back_to_the_shipped_one(database):
    bad = promote(database, NEW)
    row = roll_back(database, bad, REASON, NOON)
    assert (row.version, row.by, row.why) == (champion_version(None), "trainer", REASON)
    # Which nobody trained, so it is not taken back in its turn.
    write_batch(
        database, [make_record(number, model=row.version) for number in range(20_000, 20_060)]
    )
    correct(database, range(20_000, 20_010), "ann")
    correct(database, range(20_010, 20_020), "bob")
    assert reason(database, now=NOON) is None
    with pytest.raises(ImpossibleError, match="another bundle was put into service"):
        roll_back(database, bad, REASON, NOON)


# What is removed


class Store:
    """The folder of bundles, and the runs that made them."""

    def __init__(self, database, models):
        self.database = database
        self.models = models

    def run(self, number, state="promoted", candidate=None, finished_at=MORNING):
        values = {
            "id": number,
            "trigger": "cli",
            "state": state,
            "candidate": candidate,
            "created_at": MORNING,
            "finished_at": finished_at,
            "attempts": 1,
        }
        with self.database.write() as connection:
            connection.execute(insert(TrainingRuns).values(values))

    def folder(self, name):
        (self.models / name).mkdir(parents=True)
        (self.models / name / "bundle.json").write_text("{}")

    def night(self, number, *, promoted=True):
        """A run that made and published a bundle, and put it into service."""
        version = f"2026-11-{number:02}.1"
        self.folder(version)
        register(self.database, version, self.models)
        if promoted:
            set_champion(self.database, version, "trainer", "better", now=lambda: MORNING)
        self.run(number, "promoted" if promoted else "refused", version)
        return version

    def left(self):
        return {path.name for path in self.models.iterdir()}

    def clean(self, keep=3, now=NOON):
        return remove_unused(self.models, self.database, keep, now)


@pytest.fixture
def store(database, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    return Store(database, models)


def test_the_newest_that_served_stay_and_older_ones_go(store):
    versions = [store.night(number) for number in range(1, 7)]
    assert store.clean() == versions[:3]
    assert store.left() == set(versions[3:])
    assert store.clean() == []


def test_the_champion_and_the_one_before_it_stay_however_old(store):
    versions = [store.night(number) for number in range(1, 6)]
    for _ in range(3):
        rollback(store.database, "ann", "complaints", now=lambda: MORNING)
    # The second serves, the first is the one before it.
    assert store.clean(keep=2) == [versions[3], versions[4]]
    assert store.left() == set(versions[:3])


def test_what_was_published_and_refused_goes(store):
    serving, refused = store.night(1), store.night(2, promoted=False)
    assert store.clean() == [refused]
    assert store.left() == {serving}


def test_folders_that_no_run_made_stay(store):
    for number in range(1, 6):
        store.night(number)
    for name in ("by-hand.1", "notes", "2025-01-01.1"):
        store.folder(name)
    register(store.database, "by-hand.1", store.models)
    set_champion(store.database, "by-hand.1", "ann", "by hand", now=lambda: MORNING)
    store.run(99, "refused", "2025-01-01.1")  # never published, so it is no bundle of ours
    store.clean(keep=2)
    assert store.left() >= {"by-hand.1", "notes", "2025-01-01.1"}


def test_a_link_is_not_followed(store, tmp_path):
    versions = [store.night(number) for number in range(1, 5)]
    (store.models / versions[0]).rename(tmp_path / "elsewhere")
    (store.models / versions[0]).symlink_to(tmp_path / "elsewhere")
    assert store.clean() == []
    assert (tmp_path / "elsewhere/bundle.json").exists()


def test_a_candidate_of_a_run_that_is_not_over_stays(store):
    store.night(1)
    version = "2026-11-30.1"
    store.folder(version)
    register(store.database, version, store.models)
    store.run(30, "shadow", version)
    assert store.clean() == []
    assert version in store.left()


def test_work_is_removed_a_day_after_its_run_and_that_of_others_is_not(store):
    store.run(1, "failed", finished_at=NOON - timedelta(days=1, seconds=1))
    store.run(2, "refused", finished_at=NOON - timedelta(hours=23))
    store.run(3, "running", finished_at=None)
    for name in ("run-1", "run-2", "run-3", "run-4", "mine"):
        store.folder(f".work/{name}")
    assert store.clean() == [".work/run-1"]
    assert {path.name for path in (store.models / ".work").iterdir()} == {
        "run-2",
        "run-3",
        "run-4",
        "mine",
    }


def test_scores_go_with_their_bundle_unless_a_run_is_at_work(store):
    versions = [store.night(number) for number in range(1, 6)]
    for version in [*versions, "never published"]:
        write_scores(store.database, version, {make_record(1).id: 0.5})
    store.run(50, "running", finished_at=None)
    store.clean()
    assert scores_of(store.database, "never published", [make_record(1).id])
    with store.database.write() as connection:
        connection.execute(TrainingRuns.__table__.delete().where(TrainingRuns.id == 50))
    store.clean()
    left = [
        each
        for each in [*versions, "never published"]
        if scores_of(store.database, each, [make_record(1).id])
    ]
    assert left == versions[2:]


def test_before_the_first_promotion_there_is_nothing_to_remove(store):
    store.folder("somebody's")
    assert store.clean(now=datetime.max.replace(tzinfo=MORNING.tzinfo)) == []
