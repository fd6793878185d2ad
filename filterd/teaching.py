"""The site's learner, kept up to date with the label rows: built at start, taught as they come.

It works on a thread of its own and never stops the mail: until it is built, and while the database
cannot be reached, the mail is judged with what is known.
"""

from __future__ import annotations

import contextvars
import threading
import time
from typing import TYPE_CHECKING

import structlog

from filterd.errors import FilterdError
from filterd.learner.features import Evidence, unpack
from filterd.learner.site import Lesson, SiteLearner, build, clues_of
from filterd.model.manifest import SPAM_TASK
from filterd.store.changes import LabelWait, change_mark
from filterd.store.lessons import decided_labels, labelled_mails, new_lessons

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from filterd.store.database import Database
    from filterd.store.lessons import Decided, LabelledMail

# A start shall take no more than seconds, and what was labelled last counts for most.
MOST_LESSONS = 30_000
LESSONS_AT_ONCE = 10_000
PAUSE_AFTER_ERROR = 1.0  # seconds
CLOSE_SECONDS = 5.0

log = structlog.get_logger(__name__)


def recent(decided: list[Decided]) -> list[Decided]:
    """The lessons that count: 20,001 to 30,000 of the newest, if there are so many.

    Old ones go ten thousand at a time, so that what is learnt one by one is what a start would
    learn, but for those moments.
    """
    steps = -(-max(len(decided) - MOST_LESSONS, 0) // LESSONS_AT_ONCE)
    return decided[steps * LESSONS_AT_ONCE :]


def lessons_of(database: Database, decided: Iterable[Decided]) -> Iterator[Lesson]:
    """The lessons of these labels; a mail of which too little is kept is none. StoreError."""
    for mail in labelled_mails(database, decided):
        lesson = _lesson(mail)
        if lesson is not None:
            yield lesson


def learn_all(database: Database, upto: int) -> SiteLearner:
    """The learner of all label rows up to `upto`. Raises StoreError."""
    decided = recent(decided_labels(database, SPAM_TASK, upto))
    return build(lambda: lessons_of(database, decided))


def open_learner(database: Database) -> SiteLearner:
    """The learner as the labels are now, for commands. Raises StoreError."""
    return learn_all(database, change_mark(database).labels)


class SiteWatch:
    """Keeps `learner` up to date. `start`, then `close` when all is over.

    `changed` is called, on the thread of the watch, after each change.
    """

    def __init__(
        self, database: Database, *, changed: Callable[[SiteLearner], None] = lambda _: None
    ) -> None:
        self.learner = SiteLearner()
        self._database = database
        self._changed = changed
        self._seen = 0
        self._blind = False
        self._ended = threading.Event()
        # Its log lines name the worker, which is in the context of whoever makes it.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=[self._run], name="learner", daemon=True)

    def start(self) -> None:
        """Begin to learn, beside everything else."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; blocks for a moment. A long rebuild is left behind with the process."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def look(self) -> bool:
        """Learn what is new; whether there was anything. Raises StoreError."""
        mark = change_mark(self._database).labels
        if mark == self._seen:
            return False
        added = new_lessons(self._database, SPAM_TASK, self._seen, mark) if self._seen else None
        if added is None:
            self._learn_anew(mark)
        else:
            self._learn_more(added, mark)
        self._seen = mark
        self._changed(self.learner)
        return True

    def _learn_more(self, added: list[Decided], mark: int) -> None:
        learner = self.learner
        # All read before any is taught: what fails halfway is tried again, and none twice.
        for lesson in list(lessons_of(self._database, added)):
            learner.teach(lesson)
        log.info("labels learnt", labels=learner.labels, new=len(added))
        if learner.suspect is not None or learner.labels > MOST_LESSONS:
            self._learn_anew(mark)

    def _learn_anew(self, mark: int) -> None:
        started = time.perf_counter()
        before = self.learner.distrusted
        # Its place is taken when it is complete: the mail is judged by the old one meanwhile.
        self.learner = learn_all(self._database, mark)
        seconds = round(time.perf_counter() - started, 3)
        log.info("labels learnt anew", labels=self.learner.labels, seconds=seconds)
        for by in sorted(self.learner.distrusted - before):
            log.warning("labels left out, they contradict what all others taught", by=by)

    def _run(self) -> None:
        wait = LabelWait(self._database)
        while not self._ended.is_set():
            try:
                self.look()
                self._blind = False
            except Exception as error:  # noqa: BLE001
                # The watch must outlive whatever a database driver raises.
                if not self._blind:
                    self._tell(error)
                self._blind = True
                self._ended.wait(PAUSE_AFTER_ERROR)
            wait.wait(self._ended)
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
        # Of a mail that the BERT was spared it has no opinion.
        bert = 0.5 if mail.scores is None else float(mail.scores[SPAM_TASK]["spam"])
    except (ValueError, KeyError):
        log.warning("a labelled mail teaches nothing, its record is damaged", id=decided.message_id)
        return None
    clues = clues_of(Evidence(head, mail.text, mail.helo, mail.client_address))
    return Lesson(decided.label_id, decided.label, decided.by, decided.at.timestamp(), bert, clues)
