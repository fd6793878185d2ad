"""Mails as Slack cards: data in, Block Kit out. Pure; knows neither Slack's API nor the database.

Mail text stands in plain-text objects only, so no part of it can be a mention, a link or a format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from slack_sdk.models.blocks import (
    ActionsBlock,
    ButtonElement,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    Option,
    OverflowMenuElement,
    PlainTextObject,
    SectionBlock,
    StaticSelectElement,
)

from bot.text import escaped, harmless, in_one_line, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from slack_sdk.models.blocks import Block

Spam = Literal["spam", "ham"]

# Slack's bounds: header 150 characters, option text 75, action id 255, plain text 3,000.
MOST_SUBJECT = 140
MOST_SENDER = 120
MOST_EXCERPT = 600
MOST_WHY = 140
WHY_LINES = 3
BAR = 10
SENTIMENTS = ("negative", "neutral", "positive")
WORDS = {"spam": "Spam", "ham": "Not spam"}
NO_SUBJECT = "(no subject)"


@dataclass(frozen=True, slots=True)
class GivenLabel:
    """A label that stands: its row, task and what it says, the Slack user id (or name) and when."""

    id: int
    task: str
    label: str
    by: str
    at: datetime
    from_slack: bool = True


@dataclass(frozen=True, slots=True)
class MailCard:
    """What a card shows of a mail. Probabilities 0..1; `excerpt` is None where the site shows none.

    `asked` says in a line why the mail is asked about; `why` are reasons for the verdict. What is
    not `judged` has neither verdict nor score.
    """

    id: str
    sender: str
    subject: str
    received: datetime
    excerpt: str | None
    verdict: Spam
    spam: float
    threshold: float
    sentiment: str | None
    asked: str = ""
    why: tuple[str, ...] = ()
    labels: tuple[GivenLabel, ...] = ()
    judged: bool = True

    @property
    def is_disputed(self) -> bool:
        """Whether people who labelled it differ."""
        said = {(each.task, each.label) for each in self.labels}
        return len(said) > len({task for task, _ in said})


def mail_blocks(mail: MailCard, *, in_queue: bool = False) -> list[Block]:
    """The card, as it is posted and, after each click, put in place of what was there.

    `in_queue`: for someone who works through the queue; it leads to the next mail.
    """
    sender = in_one_line(mail.sender, MOST_SENDER)
    blocks: list[Block] = [
        HeaderBlock(text=in_one_line(mail.subject, MOST_SUBJECT) or NO_SUBJECT),
        ContextBlock(elements=[_plain(f"from {sender}"), _when(mail)]),
        SectionBlock(text=MarkdownTextObject(text=_verdict(mail))),
    ]
    excerpt = harmless(mail.excerpt or "", MOST_EXCERPT)
    if excerpt:
        blocks.append(SectionBlock(text=_plain(excerpt)))
    reasons = [in_one_line(reason, MOST_WHY) for reason in mail.why[:WHY_LINES]]
    notes = [note for note in (in_one_line(mail.asked, MOST_WHY), *reasons) if note]
    if notes:
        blocks.append(ContextBlock(elements=[_plain(note) for note in notes]))
    blocks += _said(mail)
    blocks.append(_actions(mail))
    if in_queue:
        following = ButtonElement(text="Next mail", action_id="next", value=mail.id)
        blocks.append(ActionsBlock(block_id=f"next:{mail.id}", elements=[following]))
    return blocks


def gone_blocks() -> list[Block]:
    """In the place of a card whose mail retention has removed."""
    text = ":wastebasket: This mail is no longer kept (see `retention_days`)."
    return [SectionBlock(text=MarkdownTextObject(text=text))]


def mail_text(mail: MailCard) -> str:
    """The card in a line, for notifications and screen readers; may be used as mrkdwn."""
    subject = escaped(in_one_line(mail.subject, MOST_SUBJECT) or NO_SUBJECT)
    return f"{WORDS[mail.verdict]}? {subject}" if mail.judged else subject


def bar(share: float) -> str:
    """A share 0..1 as ten squares."""
    full = round(BAR * min(max(share, 0.0), 1.0))
    return "█" * full + "░" * (BAR - full)


def _verdict(mail: MailCard) -> str:
    if not mail.judged:
        return ":grey_question: *Not judged*, delivered as it came"
    sign = ":no_entry:" if mail.verdict == "spam" else ":white_check_mark:"
    line = (
        f"{sign} *{WORDS[mail.verdict]}*  `{bar(mail.spam)}`  {100 * mail.spam:.1f}% "
        f"(spam from {100 * mail.threshold:.1f}% on)"
    )
    return line if mail.sentiment is None else f"{line}  ·  sentiment: {mail.sentiment}"


def _when(mail: MailCard) -> MarkdownTextObject:
    """In the reader's own time zone; Slack fills it in."""
    stamp = int(mail.received.timestamp())
    plain = mail.received.isoformat(" ", "minutes")
    return MarkdownTextObject(text=f"<!date^{stamp}^{{date_short_pretty}} {{time}}|{plain}>")


def _said(mail: MailCard) -> list[Block]:
    """Who said what, each with a way back; and that a third is wanted where they differ."""
    blocks: list[Block] = [_said_by(mail, label) for label in mail.labels[-5:]]
    if mail.is_disputed:
        text = ":warning: Opinions differ. Would a third person decide?"
        blocks.append(ContextBlock(elements=[MarkdownTextObject(text=text)]))
    return blocks


def _said_by(mail: MailCard, label: GivenLabel) -> SectionBlock:
    person = f"<@{label.by}>" if label.from_slack else escaped(in_one_line(label.by, 60))
    word = WORDS.get(label.label, label.label)
    stamp = int(label.at.timestamp())
    when = f"<!date^{stamp}^{{time}}|{label.at.isoformat(' ', 'minutes')}>"
    return SectionBlock(
        text=MarkdownTextObject(text=f"{person} said *{escaped(word)}* at {when}"),
        accessory=ButtonElement(
            text="Undo", action_id=f"undo:{label.id}", value=f"{mail.id}:{label.id}"
        ),
    )


def _actions(mail: MailCard) -> ActionsBlock:
    return ActionsBlock(
        block_id=f"mail:{mail.id}",
        elements=[
            ButtonElement(text="Spam", action_id="label:spam", value=mail.id, style="danger"),
            ButtonElement(text="Not spam", action_id="label:ham", value=mail.id, style="primary"),
            StaticSelectElement(
                placeholder="Sentiment",
                action_id="label:sentiment",
                options=[Option(text=name, value=name) for name in SENTIMENTS],
            ),
            ButtonElement(text="Why?", action_id="why", value=mail.id),
            OverflowMenuElement(
                action_id="more",
                options=[
                    Option(text="Similar mails…", value=f"similar:{mail.id}"),
                    Option(text="Mails of this sender…", value=f"sender:{mail.id}"),
                    Option(text="Details…", value=f"details:{mail.id}"),
                ],
            ),
        ],
    )


def queue_blocks(mails: Sequence[MailCard], left: int) -> list[Block]:
    """A list of mails to judge, one line each; `left` more wait."""
    if not mails:
        text = ":tada: Nothing to judge. Come back tomorrow."
        return [SectionBlock(text=MarkdownTextObject(text=text))]
    blocks: list[Block] = [
        SectionBlock(
            block_id=f"queue:{mail.id}",
            text=_plain(
                f"{100 * mail.spam:.1f}%  {in_one_line(mail.sender, 60)}: "
                f"{in_one_line(mail.subject, 80) or NO_SUBJECT}"
            ),
            accessory=ButtonElement(text="Open", action_id=f"open:{mail.id}", value=mail.id),
        )
        for mail in mails
    ]
    if left > 0:
        blocks.append(ContextBlock(elements=[_plain(f"and {left} more")]))
    return blocks


def _plain(text: str) -> PlainTextObject:
    return PlainTextObject(text=shortened(text, 3000), emoji=False)
