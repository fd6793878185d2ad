"""The App Home: my queue, my labels, the site's figures, the model and its nights. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slack_sdk.models.blocks import (
    ActionsBlock,
    ButtonElement,
    ContextBlock,
    DividerBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)
from slack_sdk.models.views import View

from bot.access import Role, may
from bot.answers import chart_block, figure_fields, night_lines, paused_by, serving_line
from bot.cards import NO_SUBJECT, WORDS, queue_blocks
from bot.text import in_one_line
from bot.words import when

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slack_sdk.models.blocks import Block

    from bot.answers import Serving
    from bot.cards import MailCard
    from filterd.store.figures import Figures
    from filterd.store.labels import Label
    from filterd.store.pauses import Pause
    from filterd.store.runs import TrainingRun

SHOWN_QUEUE, SHOWN_LABELS = 5, 8


@dataclass(frozen=True, slots=True)
class MyLabel:
    """A label that I gave and that stands, and its mail's subject."""

    label: Label
    subject: str


@dataclass(frozen=True, slots=True)
class HomeData:
    """What a person's Home shows. `chart` is the id of a picture that Slack has."""

    role: Role
    queue: Sequence[MailCard]
    waiting: int
    mine: Sequence[MyLabel]
    figures: Figures
    chart: str | None
    serving: Serving
    runs: Sequence[TrainingRun]
    paused: Mapping[str, Pause]


def home_view(data: HomeData) -> View:
    """The Home tab of someone with a role."""
    blocks: list[Block] = [
        HeaderBlock(text="Mails to judge"),
        *queue_blocks(data.queue[:SHOWN_QUEUE], data.waiting - len(data.queue[:SHOWN_QUEUE])),
        DividerBlock(),
        HeaderBlock(text="My labels"),
        *_mine(data.mine[:SHOWN_LABELS], data.role),
        DividerBlock(),
        HeaderBlock(text=f"The last {len(data.figures.days)} days"),
        SectionBlock(fields=figure_fields(data.figures)),
        chart_block(data.figures, data.chart),
        DividerBlock(),
        HeaderBlock(text="The model"),
        SectionBlock(text=MarkdownTextObject(text=serving_line(data.serving))),
    ]
    nights = "\n".join(night_lines(data.runs)) or "No training yet."
    blocks.append(SectionBlock(text=MarkdownTextObject(text=f"*Nights*\n{nights}")))
    blocks += [
        ContextBlock(
            elements=[MarkdownTextObject(text=f":pause_button: {what}: {paused_by(pause)}")]
        )
        for what, pause in data.paused.items()
    ]
    refresh = ButtonElement(text="Refresh", action_id="refresh", value="home")
    blocks.append(ActionsBlock(block_id="home", elements=[refresh]))
    note = f"You have the role {data.role.name.lower()}."
    blocks.append(ContextBlock(elements=[PlainTextObject(text=note)]))
    return View(type="home", blocks=blocks)


def stranger_view(reason: str) -> View:
    """The Home tab of someone without a role, or while something is amiss."""
    blocks: list[Block] = [
        HeaderBlock(text="filterd"),
        SectionBlock(text=MarkdownTextObject(text=reason)),
    ]
    return View(type="home", blocks=blocks)


def _mine(mine: Sequence[MyLabel], role: Role) -> list[Block]:
    if not mine:
        text = "None yet. Each teaches the filter at once: the next mail like it is judged by it."
        return [SectionBlock(text=MarkdownTextObject(text=text))]
    return [_my_label(each, undo=may(role, "undo own")) for each in mine]


def _my_label(mine: MyLabel, *, undo: bool) -> Block:
    label = mine.label
    word = WORDS.get(label.label, label.label)
    button = ButtonElement(
        text="Undo", action_id=f"undo:{label.id}", value=f"{label.message_id}:{label.id}"
    )
    subject = in_one_line(mine.subject, 80) or NO_SUBJECT
    # A section's text is of one kind, so what came by mail makes all of it plain.
    return SectionBlock(
        block_id=f"mine:{label.id}",
        text=PlainTextObject(text=f"{word}: {subject}", emoji=False),
        fields=[MarkdownTextObject(text=when(label.at))],
        accessory=button if undo else None,
    )
