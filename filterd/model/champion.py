"""Which bundle serves, from start to the next promotion: open it, watch for another, swap.

A champion that cannot serve never stops the mail: at start the shipped bundle takes its place,
while running the old encoder stays. Either way the log says so, once for each promotion.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from filterd.errors import BundleError, FilterdError
from filterd.model.bundle import SHIPPED, broken, load
from filterd.model.encoder import Encoder, open_encoder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from filterd.model.batcher import Batcher

SECONDS_BETWEEN_LOOKS = 1.0

log = structlog.get_logger(__name__)


class Champion(Protocol):
    """The newest row of the champions table; `id` differs for every promotion and rollback."""

    @property
    def id(self) -> int:
        """The row's number: the change mark."""

    @property
    def version(self) -> str:
        """The bundle's version, which is also the name of its folder."""


def champion_path(champion: Champion | None, models: Path, *, shipped: Path = SHIPPED) -> Path:
    """The folder of the bundle that should serve: the shipped one before the first promotion.

    A site may also go back to the shipped bundle by its version. Whether the folder holds a
    sound bundle is for `open_encoder` to say.
    """
    if champion is None:
        return shipped
    path = models / champion.version
    if not path.exists() and _version_of(shipped) == champion.version:
        return shipped
    return path


def champion_version(champion: Champion | None, *, shipped: Path = SHIPPED) -> str:
    """The version that should serve; empty if it is the shipped bundle's and that is missing."""
    return (_version_of(shipped) or "") if champion is None else champion.version


class ChampionWatch:
    """Keeps the champion in service: `open` at start, then `follow` beside the mail.

    `read` returns the champion's row or None; it is called off the event loop and may raise a
    FilterdError when the database cannot be reached. A promotion that failed is not tried again
    until another row is written (promoting the same version again is one). `tried` is told of each
    champion that was tried, from any thread: why it cannot serve, or None.
    """

    def __init__(
        self,
        read: Callable[[], Champion | None],
        models: Path,
        *,
        threads: int = 1,
        shipped: Path = SHIPPED,
        tried: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self._read = read
        self._told = tried
        self._models = models
        self._threads = threads
        self._shipped = shipped
        self._tried: int | None = None
        self._blind = False
        self._encoder: Encoder | None = None

    def open(self) -> Encoder:
        """The encoder to start with: the champion, else the shipped bundle.

        Blocks for some tenths of a second. Raises BundleError if the shipped one cannot serve.
        """
        known, champion = self._look_up()
        if known and champion is not None:
            self._tried = champion.id
            self._encoder = self._try(champion, serving="shipped")
        if self._encoder is None:
            self._encoder = open_encoder(self._shipped, threads=self._threads)
        return self._encoder

    async def follow(
        self,
        batcher: Batcher,
        *,
        interval: float = SECONDS_BETWEEN_LOOKS,
        prepare: Callable[[Encoder], Awaitable[None]] | None = None,
        swapped: Callable[[Encoder], None] | None = None,
    ) -> None:
        """Look for a new champion every `interval` seconds until cancelled.

        `swapped` is called in the same turn of the event loop in which the encoder changes.
        """
        while True:
            await asyncio.sleep(interval)
            encoder = await self.look(batcher, prepare=prepare)
            if encoder is not None and swapped is not None:
                swapped(encoder)

    async def look(
        self, batcher: Batcher, *, prepare: Callable[[Encoder], Awaitable[None]] | None = None
    ) -> Encoder | None:
        """Swap if another champion was named since the last look; the new encoder if so.

        The new bundle is verified, loaded and tried beside the old one, and what else must change
        with it is made ready by `prepare`, which must not raise; mail goes on meanwhile.
        """
        encoder = await asyncio.to_thread(self._renew)
        if encoder is None:
            return None
        if prepare is not None:
            await prepare(encoder)
        before = batcher.bundle.version
        batcher.replace(encoder)
        log.info("champion_changed", version=encoder.bundle.version, before=before)
        return encoder

    def _renew(self) -> Encoder | None:
        known, champion = self._look_up()
        mark = None if champion is None else champion.id
        if not known or mark == self._tried:
            return None
        self._tried = mark
        before = "" if self._encoder is None else self._encoder.bundle.version
        encoder = self._try(champion, serving=before)
        if encoder is not None:
            self._encoder = encoder
        return encoder

    def _try(self, champion: Champion | None, *, serving: str) -> Encoder | None:
        """The champion's encoder; None, and a loud line, if it cannot serve and `serving` does."""
        try:
            encoder = self._load(champion)
        except FilterdError as error:
            log.error("champion_unusable", error=str(error), serving=serving)  # noqa: TRY400  # its one line says it all
            self._told(str(error))
        except Exception as error:
            # Out of memory, or a bug in a library: the mail goes on with the other bundle.
            log.exception("champion_unusable", serving=serving)
            version = "the shipped bundle" if champion is None else champion.version
            self._told(f"{version} could not be loaded: {type(error).__name__}")
        else:
            self._told(None)
            return encoder
        return None

    def _load(self, champion: Champion | None) -> Encoder:
        path = champion_path(champion, self._models, shipped=self._shipped)
        encoder = open_encoder(path, threads=self._threads, previous=self._encoder)
        found = encoder.bundle.version
        if champion is not None and found != champion.version:
            raise broken(path, f"it holds version {found}, the champion is {champion.version}")
        return encoder

    def _look_up(self) -> tuple[bool, Champion | None]:
        """Whether the champion could be read, and its row; an outage is logged once."""
        try:
            champion = self._read()
        except FilterdError as error:
            if not self._blind:
                log.error("champion_unknown", error=str(error))  # noqa: TRY400  # its one line says it all
            self._blind = True
            return False, None
        except Exception:
            # The watch must outlive whatever a database driver raises.
            if not self._blind:
                log.exception("champion_unknown")
            self._blind = True
            return False, None
        self._blind = False
        return True, champion


def _version_of(path: Path) -> str | None:
    try:
        return load(path).version
    except BundleError:
        return None
