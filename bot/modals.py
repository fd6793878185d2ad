"""Modals: one mail, many mails to label at once, a question for an id. Pure: data in, views out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from slack_sdk.models.blocks import (
    ContextBlock,
    InputBlock,
    MarkdownTextObject,
    Option,
    PlainTextInputElement,
    PlainTextObject,
    RadioButtonsElement,
    SectionBlock,
)
from slack_sdk.models.views import View

from bot.cards import NO_SUBJECT
from bot.text import in_one_line
from bot.words import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slack_sdk.models.blocks import Block

    from bot.cards import MailCard

BULK = "bulk"
FIND = "find_mail"
VERDICT = "verdict"
QUERY = "query"
EXAMPLES = 5
# As many ids as a view's memory of 3,000 characters holds, of 26 each.
MOST_IN_BULK = 100

Kinship = Literal["similar", "sender"]


@dataclass(frozen=True, slots=True)
class Bulk:
    """Mails to be labelled together, by id."""

    mails: tuple[str, ...]

    def memory(self) -> str:
        """As the view keeps it."""
        return json.dumps({"mails": "".join(self.mails)})


def bulk_of(memory: str) -> Bulk:
    """What `Bulk.memory` wrote. ValueError if it is something else."""
    try:
        joined = json.loads(memory)["mails"]
    except (KeyError, TypeError) as error:
        raise ValueError("no mails in it") from error
    if not isinstance(joined, str):
        raise ValueError("no mails in it")  # noqa: TRY004  # memory of an older version, not a bug
    return Bulk(tuple(joined[start : start + 26] for start in range(0, len(joined), 26)))


def modal(title: str, blocks: Sequence[Block]) -> View:
    """A modal that only shows, or whose buttons act by themselves."""
    return View(type="modal", title=title, close="Close", blocks=list(blocks))


def waiting_modal(title: str) -> View:
    """Opened at once, since a trigger is good for three seconds; filled in when there is more."""
    text = MarkdownTextObject(text=":hourglass_flowing_sand: One moment…")
    return modal(title, [SectionBlock(text=text)])


def bulk_modal(kin: Kinship, cards: Sequence[MailCard]) -> View:
    """How many there are, examples, and what they are; nothing is done before it is sent."""
    title = "Similar mails" if kin == "similar" else "Mails of this sender"
    if not cards:
        what = "like it" if kin == "similar" else "of this sender"
        text = f"There is no other mail {what} of the last days that nobody has labelled."
        return modal(title, [SectionBlock(text=MarkdownTextObject(text=text))])
    found = count(len(cards), "mail")
    text = f"*{found}* of the last days that nobody has labelled:"
    blocks: list[Block] = [SectionBlock(text=MarkdownTextObject(text=text))]
    blocks += [SectionBlock(text=PlainTextObject(text=_line(card))) for card in cards[:EXAMPLES]]
    if len(cards) > EXAMPLES:
        more = PlainTextObject(text=f"and {len(cards) - EXAMPLES} more")
        blocks.append(ContextBlock(elements=[more]))
    blocks.append(
        InputBlock(
            block_id=VERDICT,
            label="All of them are",
            element=RadioButtonsElement(
                action_id=VERDICT,
                options=[Option(text="Spam", value="spam"), Option(text="Not spam", value="ham")],
            ),
        )
    )
    if kin == "sender":
        note = "A sender's address can be forged; others may write in this name, too."
        blocks.append(ContextBlock(elements=[PlainTextObject(text=note)]))
    return View(
        type="modal",
        callback_id=BULK,
        title=title,
        submit=f"Label {len(cards)}",
        close="Cancel",
        private_metadata=Bulk(tuple(card.id for card in cards)).memory(),
        blocks=blocks,
    )


def find_modal(note: str) -> View:
    """Asks which mail is meant, where a message does not say."""
    return View(
        type="modal",
        callback_id=FIND,
        title="Label a mail",
        submit="Find",
        close="Cancel",
        blocks=[
            SectionBlock(text=MarkdownTextObject(text=note)),
            InputBlock(
                block_id=QUERY,
                label="Which mail?",
                hint="Its X-Filterd-Id, its Message-ID, or a part of subject or sender.",
                element=PlainTextInputElement(action_id=QUERY, max_length=500),
            ),
        ],
    )


def _line(card: MailCard) -> str:
    subject = in_one_line(card.subject, 80) or NO_SUBJECT
    return f"{100 * card.spam:.1f}%  {in_one_line(card.sender, 60)}: {subject}"
