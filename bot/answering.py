"""`/filterd …`: each command carried out. The answer is for that person only.

Mail is shown in the bot's channels and in direct messages; elsewhere a command that would show
some, or change what is said of one, is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.answers import lines_of, models_blocks, paused_by, reason, said, stats_blocks
from bot.cards import queue_blocks
from bot.commands import days_of, help_text
from bot.errors import RefusedError
from bot.front import NIGHTS, waiting, week
from bot.onemail import card_blocks
from bot.serving import serving
from bot.text import escaped, in_one_line
from bot.words import count
from filterd.errors import ImpossibleError
from filterd.model.manifest import SPAM_TASK
from filterd.store import messages, models, pauses, runs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from slack_sdk.models.blocks import Block

    from bot.actions import Actions
    from bot.commands import Command
    from bot.labelling import Labelling
    from bot.parts import Parts
    from filterd.store.messages import MessageRecord

FOUND = 10
QUEUED = 10
SHOWS_MAIL = frozenset({"queue", "find", "why", "spam", "ham", "sentiment", "undo"})
# With what ids of conversations of two begin.
DIRECT = "D"
# Slack takes longer ones; nobody looks for one.
LONGEST_QUERY = 500


class Answering:
    """Answers commands. Raises RefusedError, whose text is for the person, and FilterdError."""

    def __init__(self, parts: Parts, labelling: Labelling, actions: Actions) -> None:
        self._parts = parts
        self._labelling = labelling
        self._actions = actions
        self._by_name: Mapping[str, Callable[[str, Command], Awaitable[list[Block]]]] = {
            "queue": self._queue,
            "find": self._find,
            "why": self._why,
            "spam": self._label,
            "ham": self._label,
            "sentiment": self._label,
            "undo": self._undo,
            "stats": self._stats,
            "models": self._models,
            "retrain": self._retrain,
            "rollback": self._rollback,
            "pause": self._pause,
            "resume": self._pause,
            "help": self._help,
        }

    async def answer(self, user: str, channel: str, command: Command) -> list[Block]:
        """What a person is answered who typed this in a channel."""
        await self._parts.gate.require(user, command.action)
        if command.name in SHOWS_MAIL:
            self._require_place(channel)
        return await self._by_name[command.name](user, command)

    def _require_place(self, channel: str) -> None:
        settings = self._parts.settings
        own = {settings.channel, settings.alerts}
        named = {*settings.viewers, *settings.labellers, *settings.trusted, *settings.admins}
        if channel not in own | named and not channel.startswith(DIRECT):
            raise RefusedError(f"I show mail in <#{settings.channel}> and in direct messages only.")

    async def _help(self, user: str, _command: Command) -> list[Block]:
        return said(help_text(await self._parts.gate.role(user)))

    async def _queue(self, _user: str, _command: Command) -> list[Block]:
        cards = [self._parts.rendering.card_of(one) for one in await waiting(self._parts)]
        return queue_blocks(cards[:QUEUED], len(cards) - QUEUED)

    async def _find(self, _user: str, command: Command) -> list[Block]:
        if len(command.text) > LONGEST_QUERY:
            raise RefusedError(f"That is long; {LONGEST_QUERY} characters of it are enough.")
        found = await self._parts.desk.read(messages.find, command.text, FOUND)
        shown = escaped(in_one_line(command.text, 60))
        if not found:
            return said(f"No mail with “{shown}” in subject, sender, text or id.")
        cards = [self._parts.rendering.card_of(record) for record in found]
        more = " at least" if len(found) == FOUND else ""
        return lines_of(cards, f"*{count(len(found), 'mail')}*{more} with “{shown}”, newest first")

    async def _why(self, _user: str, command: Command) -> list[Block]:
        return await self._actions.why((await self._one(command.words[0])).id)

    async def _label(self, user: str, command: Command) -> list[Block]:
        mail_id = (await self._one(command.words[0])).id
        task, label = SPAM_TASK, command.name
        if command.name == "sentiment":
            task, label = "sentiment", command.words[1].lower()
        await self._labelling.label(user, mail_id, task, label)
        return await card_blocks(self._parts, mail_id)

    async def _undo(self, user: str, command: Command) -> list[Block]:
        mail_id = (await self._one(command.words[0])).id
        await self._labelling.undo_mine(user, mail_id)
        return await card_blocks(self._parts, mail_id)

    async def _stats(self, _user: str, command: Command) -> list[Block]:
        return stats_blocks(*await week(self._parts, days_of(command.words)))

    async def _models(self, _user: str, _command: Command) -> list[Block]:
        desk, since = self._parts.desk, self._parts.now() - NIGHTS
        return models_blocks(
            await desk.read(serving, self._parts.models),
            await desk.read(models.champions),
            await desk.read(runs.runs, since),
            await desk.read(pauses.pauses),
        )

    async def _retrain(self, user: str, _command: Command) -> list[Block]:
        try:
            await self._parts.desk.write(runs.request_run, user, "slack", self._parts.now())
        except ImpossibleError as error:
            raise RefusedError(f"No: {reason(error)}.") from None
        return said(":mortar_board: A training is asked for; the trainer takes it up.")

    async def _rollback(self, user: str, command: Command) -> list[Block]:
        desk = self._parts.desk
        try:
            if command.words:
                row = await desk.write(
                    models.set_champion, command.words[0], user, "by hand, in Slack"
                )
            else:
                row = await desk.write(models.rollback, user, "by hand, in Slack")
        except ImpossibleError as error:
            raise RefusedError(f"Not rolled back: {reason(error)}.") from None
        text = f":rewind: `{escaped(row.version)}` serves again, within seconds."
        # Whether it can is for the mail path to find out, too; here somebody is looking.
        broken = (await desk.read(serving, self._parts.models)).broken
        return said(f"{text}\n:x: It cannot: {reason(broken)}" if broken else text)

    async def _pause(self, user: str, command: Command) -> list[Block]:
        paused = command.name == "pause"
        for what in _pausable(command):
            await self._parts.desk.write(
                pauses.set_pause, what, paused=paused, by=user, now=self._parts.now()
            )
        now = await self._parts.desk.read(pauses.pauses)
        lines = [f":pause_button: {what}: {paused_by(pause)}" for what, pause in now.items()]
        return said("\n".join(lines) or ":arrow_forward: Nothing is on hold.")

    async def _one(self, query: str) -> MessageRecord:
        """The mail that an id, the beginning of one or a Message-ID means."""
        shown = escaped(in_one_line(query, 60))
        short = query[: LONGEST_QUERY + 1]
        found = await self._parts.desk.read(messages.find, short, 2)
        # It also looks for words: a mail that only quotes an id is not the one that is meant.
        meant = [
            record
            for record in found
            if record.id.startswith(short.upper())
            or record.message_id.strip("<>") == short.strip("<>")
        ]
        if not meant:
            raise RefusedError(
                f"I know no mail with the id “{shown}”. It may no longer be kept; "
                "`/filterd find` looks for words, too."
            )
        if len(meant) > 1:
            raise RefusedError(f"“{shown}” means several mails; type more of the id.")
        return meant[0]


def _pausable(command: Command) -> tuple[pauses.What, ...]:
    if not command.words:
        return pauses.PAUSABLE
    word = command.words[0].lower()
    for what in pauses.PAUSABLE:
        if word == what:
            return (what,)
    known = ", ".join(f"`/filterd {command.name} {what}`" for what in pauses.PAUSABLE)
    raise RefusedError(
        f"{command.name.capitalize()} what? {known}, or `/filterd {command.name}` for both."
    )
