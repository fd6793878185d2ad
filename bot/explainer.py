"""Why a mail got its verdict, and which mails to ask about: what needs the model or the learner.

The learner follows the labels on a thread of its own; the model is loaded when first asked for.
Everything here blocks and is called from threads.
"""

from __future__ import annotations

import random
import threading
from collections import OrderedDict
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from bot.reasons import why_lines
from filterd.asking import questions
from filterd.errors import FilterdError
from filterd.model.champion import champion_path, champion_version
from filterd.model.encoder import open_encoder
from filterd.policy import Policy
from filterd.store.models import champion
from filterd.teaching import SiteWatch
from filterd.why import Judges, why_recorded

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from filterd.asking import Asked
    from filterd.model.encoder import Encoder
    from filterd.settings import Settings
    from filterd.store.database import Database
    from filterd.why import Why

REMEMBERED = 500  # mails whose reasons are not looked for again when their card is shown again
QUESTION_SECONDS = 60.0
QUESTIONS = 50

log = structlog.get_logger(__name__)


class Explainer:
    """Tells why, and what to ask. `start`, then `close` when all is over."""

    def __init__(
        self, database: Database, settings: Settings, *, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._settings = settings
        self._now = now
        self._shipped = champion_version(None)
        self._site = SiteWatch(database, serving=self._version)
        self._loading = threading.Lock()
        self._encoder: Encoder | None = None
        self._serving: int | None = None
        self._lines: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._asking = threading.Lock()
        self._asked: tuple[datetime, list[Asked]] | None = None

    def start(self) -> None:
        """Begin to learn, beside everything else."""
        self._site.start()

    def close(self) -> None:
        """End the thread that learns."""
        self._site.close()

    def why(self, mail_id: str) -> Why:
        """Why, by the model that serves and all labels of now. Raises FilterdError."""
        encoder = self._open()
        judges = Judges(
            encoder,
            Policy("tag", self._settings.spam_threshold),
            self._site.learner_for(encoder.bundle.version),
            self._database,
        )
        return why_recorded(mail_id, judges, self._now().timestamp())

    def lines(self, mail_id: str) -> tuple[str, ...]:
        """The reasons in three lines; none if they cannot be told. Raises nothing."""
        known = self._lines.get(mail_id)
        if known is not None:
            return known
        try:
            lines = why_lines(self.why(mail_id))
        except FilterdError as error:
            log.info("no reasons", id=mail_id, error=str(error))
            return ()
        except Exception:
            # A card without reasons is better than none.
            log.exception("no reasons", id=mail_id)
            return ()
        self._lines[mail_id] = lines
        while len(self._lines) > REMEMBERED:
            self._lines.popitem(last=False)
        return lines

    def questions(self) -> list[Asked]:
        """The mails most worth a label of the last day, the same for a minute. StoreError."""
        with self._asking:
            return self._questions()

    def _questions(self) -> list[Asked]:
        now = self._now()
        if self._asked is not None and (now - self._asked[0]).total_seconds() < QUESTION_SECONDS:
            return self._asked[1]
        found = questions(
            self._database,
            self._site.learner,
            budget=QUESTIONS,
            since=now - timedelta(days=1),
            now=now,
            # The same mails all day long, so that a list can be worked through.
            chance=random.Random(now.date().isoformat()),  # noqa: S311  # no secret
        )
        self._asked = now, found
        return found

    def _open(self) -> Encoder:
        """The encoder of the bundle that serves, loaded anew after a promotion. BundleError."""
        row = champion(self._database)
        mark = 0 if row is None else row.id
        with self._loading:
            if self._encoder is None or self._serving != mark:
                path = champion_path(row, self._settings.models)
                self._encoder = open_encoder(path, threads=1, previous=self._encoder)
                self._serving = mark
            return self._encoder

    def _version(self) -> str:
        """The version of the bundle that should serve. StoreError."""
        row = champion(self._database)
        return self._shipped if row is None else row.version
