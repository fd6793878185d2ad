"""Labels given and taken back, by people who may: the role is asked right before each effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.answers import person, reason
from bot.errors import GoneError, RefusedError
from filterd.errors import ImpossibleError
from filterd.model.manifest import SPAM_TASK
from filterd.store import labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.desk import Desk
    from bot.gate import Gate
    from filterd.store.database import Database
    from filterd.store.labels import Label


@dataclass(frozen=True, slots=True)
class InBulk:
    """Numbers of the labels that were given, and how many mails could not be labelled."""

    given: tuple[int, ...]
    refused: int


class Labelling:
    """What staff say of mails. Raises RefusedError, whose text is for them, and StoreError."""

    def __init__(self, desk: Desk, gate: Gate) -> None:
        self._desk = desk
        self._gate = gate

    async def label(self, user: str, mail_id: str, task: str, label: str) -> Label:
        """What a person holds of a mail."""
        await self._gate.require(user, "label")
        try:
            return await self._desk.label(mail_id, task, label, user)
        except ImpossibleError as error:
            if await self._desk.record(mail_id) is None:
                raise GoneError from None
            raise RefusedError(f"Not labelled: {reason(error)}.") from None

    async def undo(self, user: str, label_id: int) -> Label:
        """Take back a label; another's only with the role for it."""
        target = await self._desk.read(labels.get_label, label_id)
        of_another = target is not None and target.by != user
        await self._gate.require(user, "undo" if of_another else "undo own")
        if target is None:
            raise RefusedError("That label is no longer there.")
        try:
            return await self._desk.undo(label_id, user)
        except ImpossibleError as error:
            why = await self._desk.read(_why_not_undone, target)
            raise RefusedError(f"Not taken back: {why or reason(error)}.") from None

    async def undo_mine(self, user: str, mail_id: str) -> Label:
        """Take back what this person said last of a mail."""
        await self._gate.require(user, "undo own")
        standing = await self._desk.read(labels.standing, mail_id)
        mine = [label for label in standing if label.by == user]
        if not mine:
            others = " Others' labels have an Undo button on the card." if standing else ""
            raise RefusedError(f"You have no label on that mail to take back.{others}")
        return await self.undo(user, mine[-1].id)

    async def label_all(self, user: str, mails: Sequence[str], label: str) -> InBulk:
        """The same of many mails; those that are gone are counted."""
        await self._gate.require(user, "bulk label")
        given, refused = [], 0
        for mail_id in mails:
            try:
                row = await self._desk.label(mail_id, SPAM_TASK, label, user)
            except ImpossibleError:
                refused += 1
            else:
                given.append(row.id)
        return InBulk(tuple(given), refused)

    async def undo_all(self, user: str, label_ids: Sequence[int]) -> int:
        """Take back what was labelled in bulk, as far as it stands; how many were."""
        await self._gate.require(user, "bulk label")
        undone = 0
        for label_id in label_ids:
            try:
                await self.undo(user, label_id)
            except RefusedError:
                continue
            undone += 1
        return undone


def _why_not_undone(database: Database, label: Label) -> str:
    """What came after a label that no longer stands; empty if nothing did."""
    later = [row for row in labels.history(database, label.message_id) if row.id > label.id]
    for row in later:
        if row.undoes == label.id:
            return f"{person(row.by)} has taken it back already"
        if row.replaces == label.id:
            return f"{person(row.by)} has said something else since, take that back"
    return ""
