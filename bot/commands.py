"""`/filterd …`: what was typed, as a command. Pure; what is not understood says what would be."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.access import Role, may
from bot.errors import RefusedError
from bot.text import escaped, in_one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_DAYS = 90
DAYS = re.compile(r"([0-9]{1,3}) ?(?:d|days?)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Usage:
    """How a command is typed, what it does, and the action that a role must be allowed."""

    pattern: str
    does: str
    action: str
    fewest: int = 0
    most: int = 0


COMMANDS: Mapping[str, Usage] = {
    "queue": Usage("queue", "the next mails to judge", "queue"),
    "find": Usage("find TEXT", "mails by subject, sender, text or id", "find", 1, 99),
    "why": Usage("why ID", "what spoke for a verdict", "why", 1, 1),
    "spam": Usage("spam ID", "this mail is spam", "label", 1, 1),
    "ham": Usage("ham ID", "this mail is wanted", "label", 1, 1),
    "sentiment": Usage(
        "sentiment ID LABEL", "negative, neutral or positive is how it sounds", "label", 2, 2
    ),
    "undo": Usage("undo ID", "take my last label of this mail back", "undo own", 1, 1),
    "stats": Usage("stats [7d]", "mail, spam, corrections of some days", "stats", 0, 2),
    "models": Usage("models", "which model serves, and what the nights brought", "models"),
    "retrain": Usage("retrain", "train now instead of tonight", "retrain"),
    "rollback": Usage(
        "rollback [VERSION]", "go back to the model before, or to this one", "rollback", 0, 1
    ),
    "pause": Usage("pause [cards|nights]", "no cards, no training, until resume", "pause", 0, 1),
    "resume": Usage("resume [cards|nights]", "go on", "resume", 0, 1),
    "help": Usage("help", "this list", "help"),
}
# What people type who know other tools.
SYNONYMS = {"notspam": "ham", "not-spam": "ham", "search": "find", "explain": "why", "?": "help"}


@dataclass(frozen=True, slots=True)
class Command:
    """What was typed: a name of `COMMANDS` and its words."""

    name: str
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The words as one."""
        return " ".join(self.words)

    @property
    def action(self) -> str:
        """What the person must be allowed to do."""
        return COMMANDS[self.name].action


def parse(typed: str) -> Command:
    """The command; nothing typed is `help`. Raises RefusedError, whose text says what was meant."""
    words = typed.split()
    if not words:
        return Command("help", ())
    first, rest = words[0].lower(), tuple(words[1:])
    if first == "not" and rest[:1] == ("spam",):
        first, rest = "ham", rest[1:]
    name = SYNONYMS.get(first, first)
    usage = COMMANDS.get(name)
    if usage is None:
        raise RefusedError(_unknown(first))
    if not usage.fewest <= len(rest) <= usage.most:
        raise RefusedError(f"I need it like this: `/filterd {usage.pattern}` ({usage.does}).")
    return Command(name, rest)


def days_of(words: tuple[str, ...]) -> int:
    """How many days `stats` is asked for: 7 if not said. Raises RefusedError."""
    if not words:
        return 7
    found = DAYS.fullmatch(" ".join(words))
    number = int(found[1]) if found else 0
    if not 1 <= number <= MOST_DAYS:
        raise RefusedError(f"How many days? `/filterd stats 7d`, from 1 to {MOST_DAYS}.")
    return number


def help_text(role: Role) -> str:
    """All commands that this role may use, as mrkdwn."""
    lines = [
        f"`/filterd {usage.pattern}`  {usage.does}"
        for usage in COMMANDS.values()
        if may(role, usage.action)
    ]
    hint = "ID is the mail's X-Filterd-Id; its first characters are enough."
    if role is Role.NOBODY:
        hint = "You have no role here yet; an admin can change that."
    return "\n".join([*lines, hint])


def _unknown(word: str) -> str:
    shown = escaped(in_one_line(word, 40)).replace("`", "'")
    close = difflib.get_close_matches(word, [*COMMANDS, *SYNONYMS], n=1)
    meant = SYNONYMS.get(close[0], close[0]) if close else None
    if meant is None:
        return f"I do not know `{shown}`. `/filterd help` lists what I do."
    usage = COMMANDS[meant]
    return f"I do not know `{shown}`. Did you mean `/filterd {usage.pattern}` ({usage.does})?"
