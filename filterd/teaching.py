"""The site's learner, kept up to date with the label rows: built at start, taught as they come.

A learner belongs to a bundle, by whose scores it was taught; another bundle has one of its own. It
works on a thread of its own and never stops the mail: until it is built, and while the database
cannot be reached, the mail is judged with what is known.
"""

from __future__ import annotations

import contextvars
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from filterd.errors import FilterdError
from filterd.learner.features import Evidence, unpack
from filterd.learner.site import Lesson, SiteLearner, build, clues_of
from filterd.model.manifest import SPAM_TASK
from filterd.store.changes import LabelWait, change_mark
from filterd.store.lessons import decided_labels, labelled_mails, new_lessons

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from filterd.store.database import Database
    from filterd.store.lessons import Decided, LabelledMail

# A start shall take no more than seconds, and what was labelled last counts for most.
MOST_LESSONS = 30_000
LESSONS_AT_ONCE = 10_000
PAUSE_AFTER_ERROR = 1.0  # seconds
CLOSE_SECONDS = 5.0
# A mail that the bundle before judges yet is judged with that bundle's learner.
SECONDS_IN_FLIGHT = 10.0

log = structlog.get_logger(__name__)


def recent(decided: list[Decided]) -> list[Decided]:
    """The lessons that count: 20,001 to 30,000 of the newest, if there are so many.

    Old ones go ten thousand at a time, so that what is learnt one by one is what a start would
    learn, but for those moments.
    """
    steps = -(-max(len(decided) - MOST_LESSONS, 0) // LESSONS_AT_ONCE)
    return decided[steps * LESSONS_AT_ONCE :]


def lessons_of(
    database: Database, decided: Iterable[Decided], version: str = ""
) -> Iterator[Lesson]:
    """The lessons of these labels for the learner of bundle `version`. Raises StoreError.

    What the bundle gives a mail is taken where that is known, else what the mail got when it came.
    A mail of which too little is kept is no lesson.
    """
    for mail in labelled_mails(database, decided, version):
        lesson = _lesson(mail)
        if lesson is not None:
            yield lesson


def learn_all(database: Database, upto: int, version: str = "") -> SiteLearner:
    """The learner of all label rows up to `upto`, for bundle `version`. Raises StoreError."""
    decided = recent(decided_labels(database, SPAM_TASK, upto))
    return build(lambda: lessons_of(database, decided, version))


def open_learner(database: Database, version: str = "") -> SiteLearner:
    """The learner for bundle `version` as the labels are now, for commands. Raises StoreError."""
    return learn_all(database, change_mark(database).labels, version)


@dataclass(frozen=True, slots=True)
class _Learnt:
    """A learner, and the label row up to which it was taught."""

    learner: SiteLearner
    upto: int = 0


@dataclass(frozen=True, slots=True)
class _State:
    """The version that served at the last look, and the learners by version; its own is there."""

    version: str
    learnt: Mapping[str, _Learnt]


class SiteWatch:
    """Keeps the learner of the serving bundle up to date. `start`, then `close` when all is over.

    `serving` tells the version of that bundle; it is called from the thread of the watch and may
    raise. Before another one serves, `prepare` has its learner made beside the one in use.
    `changed` is called, on the thread of the watch, after each change.
    """

    def __init__(
        self,
        database: Database,
        *,
        serving: Callable[[], str] = str,
        changed: Callable[[SiteLearner], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._serving = serving
        self._changed = changed
        # Written by the thread of the watch alone, always as a whole: others may read it any time.
        self._state = _State("", {"": _Learnt(SiteLearner())})
        self._before = ("", 0.0)  # version that served before, and until when its learner is kept
        self._wanted = self._ready = ""  # versions, of `prepare`
        self._readied = threading.Condition()
        self._blind = False
        self._ended = threading.Event()
        self._woken = threading.Event()
        # Its log lines name the worker, which is in the context of whoever makes it.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=[self._run], name="learner", daemon=True)

    @property
    def learner(self) -> SiteLearner:
        """That of the bundle which served at the last look."""
        return self._state.learnt[self._state.version].learner

    def learner_for(self, version: str) -> SiteLearner:
        """The learner for what bundle `version` gives to mail.

        While there is none, that of the bundle before it: what staff taught counts all the same.
        """
        state = self._state
        return state.learnt.get(version, state.learnt[state.version]).learner

    def start(self) -> None:
        """Begin to learn, beside everything else."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; blocks for a moment. A long rebuild is left behind with the process."""
        self._ended.set()
        self._woken.set()
        with self._readied:
            self._readied.notify_all()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def prepare(self, version: str, seconds: float) -> bool:
        """Have the learner for a bundle that will serve made and kept up to date.

        Blocks until it knows all labels, for `seconds` at most, while the watch runs. If it takes
        longer (False), it will be there later.
        """
        with self._readied:
            self._wanted, self._ready = version, ""
            self._woken.set()
            self._readied.wait_for(lambda: self._ended.is_set() or self._ready == version, seconds)
            return self._ready == version

    def look(self) -> bool:
        """Learn what is new; whether there was anything. Raises StoreError."""
        version, wanted = self._serving(), self._wanted
        mark = change_mark(self._database).labels
        learnt = self._catch_up(version, mark)
        if version != self._state.version:
            self._before = self._state.version, time.monotonic() + SECONDS_IN_FLIGHT
            self._state = _State(version, self._state.learnt)
            self._changed(self.learner)
        elif learnt:
            self._changed(self.learner)
        # The mail goes first.
        if wanted:
            learnt |= self._catch_up(wanted, mark)
            with self._readied:
                self._ready = wanted
                if version == wanted == self._wanted:
                    self._wanted = ""
                self._readied.notify_all()
        self._forget({version, wanted or version})
        return learnt

    def _catch_up(self, version: str, mark: int) -> bool:
        """Teach a bundle's learner all label rows up to `mark`; whether there was anything new."""
        before = self._state.learnt.get(version) or _Learnt(SiteLearner())
        learner = before.learner
        if before.upto != mark:
            added = None
            if before.upto:
                added = new_lessons(self._database, SPAM_TASK, before.upto, mark)
            if added is None or not self._learn_more(learner, added, version):
                learner = self._learn_anew(mark, version)
        # Its place is taken when it is complete: the mail is judged by the old one meanwhile.
        learnt = {**self._state.learnt, version: _Learnt(learner, mark)}
        self._state = _State(self._state.version, learnt)
        return before.upto != mark

    def _learn_more(self, learner: SiteLearner, added: list[Decided], version: str) -> bool:
        """Teach what was added; False if the learner must be built anew all the same."""
        # All read before any is taught: what fails halfway is tried again, and none twice.
        for lesson in list(lessons_of(self._database, added, version)):
            learner.teach(lesson)
        log.info("labels learnt", labels=learner.labels, new=len(added), model=version)
        return learner.suspect is None and learner.labels <= MOST_LESSONS

    def _learn_anew(self, mark: int, version: str) -> SiteLearner:
        started = time.perf_counter()
        learner = learn_all(self._database, mark, version)
        seconds = round(time.perf_counter() - started, 3)
        log.info("labels learnt anew", labels=learner.labels, seconds=seconds, model=version)
        for by in sorted(learner.distrusted - self.learner.distrusted):
            log.warning("labels left out, they contradict what all others taught", by=by)
        return learner

    def _forget(self, needed: set[str]) -> None:
        """Let go of the learners of bundles that judge no mail any more."""
        before, until = self._before
        if time.monotonic() < until:
            needed = needed | {before}
        state = self._state
        learnt = {each: one for each, one in state.learnt.items() if each in needed}
        if len(learnt) < len(state.learnt):
            self._state = _State(state.version, learnt)

    def _run(self) -> None:
        wait = LabelWait(self._database)
        while not self._ended.is_set():
            self._woken.clear()
            try:
                self.look()
                self._blind = False
            except Exception as error:  # noqa: BLE001
                # The watch must outlive whatever a database driver raises.
                if not self._blind:
                    self._tell(error)
                self._blind = True
                self._ended.wait(PAUSE_AFTER_ERROR)
            wait.wait(self._woken)
        wait.close()

    def _tell(self, error: Exception) -> None:
        if isinstance(error, FilterdError):
            log.error("labels cannot be read", error=str(error))
        else:
            log.error("labels cannot be read", exc_info=error)


def _lesson(mail: LabelledMail) -> Lesson | None:
    decided = mail.decided
    try:
        head = unpack(mail.head)
        bert = mail.spam
        if bert is None:
            # Of a mail that the BERT was spared it has no opinion.
            bert = 0.5 if mail.scores is None else float(mail.scores[SPAM_TASK]["spam"])
    except (ValueError, KeyError):
        log.warning("a labelled mail teaches nothing, its record is damaged", id=decided.message_id)
        return None
    clues = clues_of(Evidence(head, mail.text, mail.helo, mail.client_address))
    return Lesson(decided.label_id, decided.label, decided.by, decided.at.timestamp(), bert, clues)
