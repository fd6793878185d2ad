"""One training run, from its row to its end.

Each stage leaves its result in the run's work folder and is noted in the run's row, so that the
same run, started again after a kill, goes on after the last one that is whole. Nothing outside that
folder changes before the gate is passed; then a bundle appears by one rename, and serves by one
transaction, in which the lease is looked at once more.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
import torch

from filterd.asking import opinion_on
from filterd.errors import BundleError
from filterd.model.bundle import Bundle, verify
from filterd.model.champion import champion_path
from filterd.model.encoder import Encoder, open_encoder
from filterd.model.manifest import SPAM_TASK
from filterd.store import models, runs
from filterd.store.changes import change_mark
from filterd.store.scores import scores_of, write_scores
from filterd.store.training import labelled_records
from filterd.teaching import MOST_LESSONS, learn_all
from trainer.candidate import CANDIDATE, Order, make_bundle, train
from trainer.dataset import digest
from trainer.errors import DamagedError
from trainer.finetune import Recipe
from trainer.golden_set import load_golden
from trainer.night_content import summary_line
from trainer.night_gate import verdict
from trainer.night_judge import NightVerdict, judge_candidate
from trainer.night_telling import content_of, tell
from trainer.shadow import watch_shadow
from trainer.sharpness import Aim
from trainer.site_data import (
    REPLAYED,
    DataRule,
    SiteData,
    gather,
    held_recent,
    load_data,
    new_tasks,
    only_known,
    save_data,
    spam_among,
    too_little,
)
from trainer.stages import (
    DATA,
    EXPORT,
    GATE,
    LEASE,
    PROMOTE,
    PUBLISH,
    SCORES,
    SHADOW,
    TEXTS,
    TRAINING,
)
from trainer.telling import Lines
from trainer.together import how_many, train_together
from trainer.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from filterd.settings import Settings
    from filterd.store.database import Database
    from filterd.store.runs import TrainingRun
    from trainer.checkpoint import Position
    from trainer.night_content import NightContent
    from trainer.night_rules import Rule
    from trainer.observer import Observer
    from trainer.settings import TrainerSettings

Checked = TypeVar("Checked", Bundle, Encoder)

BY = "trainer"
COMPARED = 500  # recent mails on which int8 is compared with full precision
# A date begins and ends within these, wherever one is.
DAYS_OF_A_DATE = timedelta(days=3)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """What a run had come to when it ended; without a candidate there is nothing judged."""

    champion: Bundle
    data: SiteData
    candidate: Bundle | None = None
    judged: NightVerdict | None = None


class Night:
    """A run under way. `go` brings it to its end; raises FilterdError, ImpossibleError if the
    lease is another's by now, OSError.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        own: TrainerSettings,
        run: TrainingRun,
        token: int,
        batch: int | None = None,
        *,
        observer: Observer | None = None,
        decide: Callable[[Sequence[Rule]], tuple[bool, str]] = verdict,
    ) -> None:
        self._database = database
        self._settings = settings
        self._own = own if batch is None else own.model_copy(update={"batch": batch})
        self._run = run
        self._token = token
        self._work = settings.models / ".work" / f"run-{run.id}"
        self._observer = Lines() if observer is None else observer
        self._decide = decide
        self._seconds: dict[str, float] = {}

    def go(self) -> str:
        """All stages that are left; the state in which the run ended."""
        self._work.mkdir(mode=0o700, parents=True, exist_ok=True)
        champion = self._champion()
        data = self._stage(DATA, lambda: self._gather(champion))
        reason = too_little(data)
        if reason is not None:
            return self._finish("skipped", reason, Ending(champion, data))
        order = self._order(champion, data)
        tasks = {task.name: task.labels for task in champion.tasks}
        data = only_known(data, {**tasks, **order.new_tasks})
        position = self._stage(TRAINING, lambda: self._train(order, data))
        candidate = None
        try:
            candidate = self._stage(EXPORT, lambda: self._export(order, data, position.best))
            return self._into_service(champion, candidate, data)
        except DamagedError as error:
            ended = self._finish("failed", str(error), Ending(champion, data, candidate))
            # Published, perhaps, but never in service.
            shutil.rmtree(self._settings.models / order.version, ignore_errors=True)
            return ended

    def _into_service(self, champion: Bundle, candidate: Bundle, data: SiteData) -> str:
        """From the gate on; DamagedError if the bundle changes on its way."""
        judged = self._stage(GATE, lambda: self._judge(champion, candidate, data))
        passed, reason = self._decide(judged.rules)
        end = Ending(champion, data, candidate, judged)
        if not passed:
            return self._finish("refused", reason, end)
        self._stage(SCORES, lambda: self._score_labelled(candidate, data))
        bundle = self._stage(PUBLISH, lambda: self._publish(candidate))
        if self._own.shadow_hours or self._own.shadow_messages:
            why_not = self._stage(SHADOW, lambda: self._shadow(bundle))
            if why_not is not None:
                return self._finish("refused", why_not, end)
            self._score_labelled(bundle, data)  # what was labelled meanwhile
        return self._promote(bundle, end)

    def _stage(self, name: str, work: Callable[[], Any]) -> Any:
        self._observer.stage(name)
        log.info("stage", run=self._run.id, stage=name)
        started = time.monotonic()
        result = work()
        self._seconds[name] = round(time.monotonic() - started, 2)
        runs.note_stage(self._database, self._run.id, self._token, name, now=_now())
        return result

    def _champion(self) -> Bundle:
        """The bundle that serves, whole; the one that this run began with, if it goes on."""
        file = self._work / "run.json"
        if file.exists():
            known = json.loads(file.read_text(encoding="utf-8"))
            return verify(Path(known["champion"]))
        bundle = verify(champion_path(models.champion(self._database), self._settings.models))
        known = {"champion": str(bundle.path), "version": self._new_version()}
        _write_whole(file, json.dumps(known))
        return bundle

    def _new_version(self) -> str:
        """Today's date and the next number that no bundle has or was ever to have."""
        day = _now().date().isoformat()
        known = {path.name for path in self._settings.models.glob(f"{day}.*")}
        known |= {row.version for row in models.bundles(self._database)}
        known |= {run.candidate or "" for run in runs.runs(self._database, _now() - DAYS_OF_A_DATE)}
        number = 1
        while f"{day}.{number}" in known:
            number += 1
        return f"{day}.{number}"

    def _version(self) -> str:
        known = json.loads((self._work / "run.json").read_text(encoding="utf-8"))
        return str(known["version"])

    def _gather(self, champion: Bundle) -> SiteData:
        """The data of this run, the same when it goes on."""
        mark = change_mark(self._database).labels
        learner = learn_all(self._database, mark, champion.version)
        own = self._own
        trust = Trust(frozenset(own.trusted), own.quorum, frozenset(learner.distrusted))
        threshold = self._threshold(champion)
        rule = DataRule(
            trust, own.replay, own.labeller_cap, own.sender_cap, threshold, seed=self._run.id
        )
        file = self._work / TEXTS
        # Labels given since do not belong to a run that goes on.
        if file.exists():
            data = load_data(file, self._database.sealing)
        else:
            now = _now()
            data = gather(
                self._database, rule, now, lambda mail: opinion_on(mail, learner, now, threshold)
            )
            save_data(file, data, self._database.sealing)
        counts: Counter[tuple[str, str, str]] = Counter(
            (each.corpus, label, each.split)
            for each in data.examples
            for label in each.labels.values() or ["unlabelled"]
        )
        self._observer.data(counts)
        runs.note_stage(
            self._database,
            self._run.id,
            self._token,
            DATA,
            now=_now(),
            trained_from=champion.version,
            data_digest=f"sha256:{digest(data.examples)}",
        )
        return data

    def _order(self, champion: Bundle, data: SiteData) -> Order:
        own = self._own
        recipe = Recipe(
            epochs=own.epochs,
            batch=own.batch,
            max_tokens=champion.max_tokens,
            encoder_rate=own.rate,
            head_rate=5 * own.rate,
            patience=own.epochs,
            checkpoint_every=50,
            seed=self._run.id,
            distil_alpha=0.5,
            distil_unknown=True,
        )
        tasks = new_tasks(data, [task.name for task in champion.tasks])
        recent = held_recent(data)
        aim = Aim(recent, spam_among(data, recent), self._threshold(champion), load_golden())
        return Order(champion, self._work, recipe, self._version(), tasks, aim)

    def _train(self, order: Order, data: SiteData) -> Position:
        processes = how_many(self._own.processes)
        if processes == 1:
            return train(order, data.examples, self._observer)
        return train_together(order, data.examples, processes, self._own.cores)

    def _threshold(self, champion: Bundle) -> float:
        return self._settings.spam_threshold or champion.threshold(SPAM_TASK)

    def _export(self, order: Order, data: SiteData, best: Mapping[str, Any]) -> Bundle:
        for folder in (self._work / CANDIDATE, self._settings.models / order.version):
            if folder.exists():  # made, or even published, before a kill
                return _require_sound(folder, verify)
        # int8 is compared with full precision on hundreds of texts, labelled or not: of a few, a
        # single one that lies at the threshold would decide.
        held = [each for each in data.examples if each.split == "validation"]
        replayed = [each for each in data.examples if each.corpus == REPLAYED][:COMPARED]
        judged = [*load_golden(), *held, *replayed]
        judged += [mail.example for mail in data.corrected + data.newest]
        provenance = {"training": dict(best), "counts": data.counts, "run": self._run.id}
        return make_bundle(order, data.examples, judged, provenance, self._observer)

    def _judge(self, champion: Bundle, candidate: Bundle, data: SiteData) -> NightVerdict:
        _require_sound(candidate.path, verify)  # whether it is good is for the rules to say
        return judge_candidate(
            champion,
            candidate,
            data,
            self._observer,
            site_threshold=self._settings.spam_threshold,
        )

    def _score_labelled(self, candidate: Bundle, data: SiteData) -> None:
        """What the candidate gives to labelled mail that it has not scored yet: for the learner,
        before it may serve.

        Not to mail that it was trained on: it knows the labels of that by heart, and from what it
        gives it a learner would take it for surer of new mail than it is. There the score stands
        that the mail got when it came.
        """
        records = labelled_records(self._database)[-MOST_LESSONS:]
        known = set(scores_of(self._database, candidate.version, [record.id for record in records]))
        known |= {mail.id for mail in data.mails if mail.example.split == "train"}
        records = [record for record in records if record.id not in known]
        if not records:
            return
        opened = partial(open_encoder, threads=torch.get_num_threads())
        encoder = _require_sound(candidate.path, opened)
        found: dict[str, float] = {}
        for number, record in enumerate(records, start=1):
            (scores,) = encoder.encode([record.text])
            found[record.id] = float(scores.tasks[SPAM_TASK][-1])
            self._observer.progress("labelled mail", number, len(records))
        write_scores(self._database, candidate.version, found)

    def _publish(self, candidate: Bundle) -> Bundle:
        """The folder by one rename, then the row that says that it is whole."""
        place = self._settings.models / candidate.version
        runs.require_token(self._database, self._run.id, self._token)
        if not place.exists():
            _require_sound(candidate.path, open_encoder)
            candidate.path.rename(place)
            _sync(place.parent)
        bundle = _require_sound(place, verify)
        models.register_bundle(
            self._database,
            bundle.version,
            str(place.resolve()),
            created_at=datetime.fromisoformat(bundle.created),
            data_digest=bundle.data_digest,
            metrics=bundle.metrics,
        )
        return bundle

    def _shadow(self, bundle: Bundle) -> str | None:
        own = self._own
        _require_sound(bundle.path, open_encoder)
        return watch_shadow(
            self._database,
            bundle,
            hours=own.shadow_hours,
            messages=own.shadow_messages,
            most=own.shadow_disagree,
            threshold=self._settings.spam_threshold,
            still_ours=lambda: runs.require_token(self._database, self._run.id, self._token),
        )

    def _promote(self, bundle: Bundle, end: Ending) -> str:
        self._observer.stage(PROMOTE)
        _require_sound(bundle.path, open_encoder)  # it may have been in shadow for days
        content = self._content("promoted", "", end)
        runs.promote_run(
            self._database,
            self._run.id,
            self._token,
            LEASE,
            bundle.version,
            BY,
            summary_line(content),
            _now(),
            figures=self._figures(end),
        )
        self._tell(content, end)
        return "promoted"

    def _finish(self, state: str, reason: str, end: Ending) -> str:
        runs.finish_run(
            self._database,
            self._run.id,
            self._token,
            state,
            reason,
            now=_now(),
            figures=self._figures(end),
            candidate=None if end.candidate is None else end.candidate.version,
        )
        content = self._content(state, reason, end)
        self._tell(content, end)
        return state

    def _tell(self, content: NightContent, end: Ending) -> None:
        """The run has ended: what is told of it stays, what the mails said does not."""
        tell(content, end.data, self._settings.models, self._own.mlflow_url)
        (self._work / TEXTS).unlink(missing_ok=True)

    def _content(self, state: str, reason: str, end: Ending) -> NightContent:
        return content_of(
            self._run,
            state,
            reason,
            end.champion,
            end.data,
            self._seconds,
            _now(),
            end.candidate,
            end.judged,
        )

    def _figures(self, end: Ending) -> dict[str, Any]:
        return {
            "gate": [] if end.judged is None else [asdict(rule) for rule in end.judged.rules],
            "seconds": self._seconds,
            "counts": end.data.counts,
        }


def _require_sound(folder: Path, check: Callable[[Path], Checked]) -> Checked:
    """What the check gives; DamagedError unless the bundle is still what was made."""
    try:
        return check(folder)
    except BundleError as error:
        raise DamagedError(f"The candidate's bundle was damaged: {error.what}") from None


def _write_whole(file: Path, text: str) -> None:
    temporary = file.with_suffix(".writing")
    temporary.write_text(text, encoding="utf-8")
    temporary.rename(file)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _now() -> datetime:
    return datetime.now(UTC)
