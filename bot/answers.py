"""What `/filterd …` and buttons answer, as Block Kit. Pure; mail text stands in plain text only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slack_sdk.models.blocks import (
    ButtonElement,
    ContextBlock,
    HeaderBlock,
    ImageBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)
from slack_sdk.models.blocks.basic_components import SlackFile

from bot.cards import NO_SUBJECT
from bot.charts import figures_alt, sparkline
from bot.text import escaped, in_one_line
from bot.words import count, duration, share, when

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from slack_sdk.models.blocks import Block

    from bot.cards import MailCard
    from filterd.store.figures import Figures
    from filterd.store.messages import MessageRecord
    from filterd.store.models import ChampionRow
    from filterd.store.pauses import Pause
    from filterd.store.runs import TrainingRun

SHOWN_MODELS, SHOWN_RUNS = 5, 5
SIGNS = {
    "promoted": ":white_check_mark:",
    "refused": ":no_entry_sign:",
    "failed": ":x:",
    "running": ":hourglass_flowing_sand:",
    "waiting": ":hourglass:",
    "shadow": ":ghost:",
}


@dataclass(frozen=True, slots=True)
class Serving:
    """The bundle that serves: its version, since when (None: it came with filterd), its figures,
    and what is wrong with it if it cannot serve.
    """

    version: str
    since: ChampionRow | None
    figures: Mapping[str, str]
    broken: str = ""


def said(text: str) -> list[Block]:
    """A sentence; `text` is mrkdwn of ours, what came by mail in it escaped."""
    return [SectionBlock(text=MarkdownTextObject(text=text))]


def reason(error: Exception | str) -> str:
    """Why something could not be done, for mrkdwn: it may quote what a person typed."""
    return escaped(in_one_line(str(error), 200))


def lines_of(cards: Iterable[MailCard], title: str) -> list[Block]:
    """Mails, a line each with a button that opens its card."""
    blocks: list[Block] = [SectionBlock(text=MarkdownTextObject(text=title))]
    for card in cards:
        score = f"{100 * card.spam:.1f}%" if card.judged else "unjudged"
        sender = in_one_line(card.sender, 60)
        subject = in_one_line(card.subject, 80) or NO_SUBJECT
        blocks.append(
            SectionBlock(
                block_id=f"found:{card.id}",
                text=PlainTextObject(text=f"{score}  {sender}: {subject}", emoji=False),
                accessory=ButtonElement(text="Open", action_id=f"open:{card.id}", value=card.id),
            )
        )
    return blocks


def stats_blocks(figures: Figures, chart: str | None) -> list[Block]:
    """The site's figures of some days; `chart` is the id of a picture that Slack has."""
    number = len(figures.days)
    blocks: list[Block] = [
        HeaderBlock(text="Today" if number == 1 else f"The last {number} days"),
        SectionBlock(fields=figure_fields(figures)),
    ]
    blocks.append(chart_block(figures, chart))
    return blocks


def figure_fields(figures: Figures) -> list[MarkdownTextObject]:
    """Mail, spam, what staff put right and how soon."""
    fields = {
        "Mail": count(figures.mails, "mail"),
        "Spam": share(figures.spam_share),
        "Put right by staff": _put_right(figures),
        "Time until it was": duration(figures.time_to_correct),
    }
    if figures.unjudged:
        fields["Not judged"] = count(figures.unjudged, "mail")
    return [MarkdownTextObject(text=f"*{name}*\n{value}") for name, value in fields.items()]


def chart_block(figures: Figures, chart: str | None) -> Block:
    """The picture, or a line of blocks where there is none."""
    alt = figures_alt(figures)
    if chart is not None:
        return ImageBlock(slack_file=SlackFile(id=chart), alt_text=alt)
    line = sparkline([day.mails for day in figures.days])
    return ContextBlock(elements=[MarkdownTextObject(text=f"`{line}` mails a day. {alt}")])


def models_blocks(
    serving: Serving,
    champions: Sequence[ChampionRow],
    runs: Sequence[TrainingRun],
    paused: Mapping[str, Pause],
) -> list[Block]:
    """Which model serves, which did before, what the last nights brought, what is on hold."""
    blocks: list[Block] = [
        HeaderBlock(text="Models"),
        SectionBlock(text=MarkdownTextObject(text=serving_line(serving))),
    ]
    if champions:
        lines = [
            f"`{escaped(row.version)}` {when(row.at)}, {person(row.by)}: {_short(row.why)}"
            for row in reversed(champions[-SHOWN_MODELS:])
        ]
        blocks.append(_titled("Promotions and rollbacks", lines))
    blocks.append(_titled("The last nights", night_lines(runs) or ["no training yet"]))
    blocks += [
        ContextBlock(
            elements=[MarkdownTextObject(text=f":pause_button: {what}: {paused_by(pause)}")]
        )
        for what, pause in paused.items()
    ]
    return blocks


def serving_line(serving: Serving) -> str:
    """The model that serves, in a sentence or two."""
    since = "came with filterd" if serving.since is None else f"since {when(serving.since.at)}"
    if serving.broken:
        return f":x: `{escaped(serving.version)}` cannot serve: {_short(serving.broken)}"
    figures = ", ".join(f"{name} {value}" for name, value in serving.figures.items())
    return f":brain: `{escaped(serving.version)}` serves, {since}.\n{figures}".rstrip()


def night_lines(runs: Sequence[TrainingRun]) -> list[str]:
    """The last trainings, a line each."""
    return [
        f"{SIGNS.get(run.state, ':white_small_square:')} {when(run.created_at)}: {run.state}"
        + (f", {_short(run.reason)}" if run.reason else "")
        for run in runs[:SHOWN_RUNS]
    ]


def paused_by(pause: Pause) -> str:
    """Who has put something on hold, and since when."""
    return f"on hold by {person(pause.by)} since {when(pause.at)}"


def person(by: str) -> str:
    """Who did it, as a mention if it is a Slack user."""
    is_slack = by[:1] in "UW" and by.isalnum() and by.isupper() and len(by) > 6
    return f"<@{by}>" if is_slack else escaped(in_one_line(by, 60))


def details_blocks(record: MessageRecord) -> list[Block]:
    """What is known of a mail beside its text; addresses and server names came by mail."""
    fields = {
        "Id": record.id,
        "Message-ID": record.message_id,
        "Envelope sender": record.sender or "<>",
        "Recipients": f"{len(record.recipients)}",
        "From host": f"{record.helo} [{record.client_address}]",
        "Size": f"{record.size:,} bytes",
        "Judged by": f"{record.model or record.failure or 'nobody'} in {record.ms:.0f} ms",
        "Answered": record.outcome,
    }
    lines = [f"{name}: {in_one_line(value, 200)}" for name, value in fields.items() if value]
    return [
        HeaderBlock(text=in_one_line(record.subject, 140) or NO_SUBJECT),
        SectionBlock(text=PlainTextObject(text="\n".join(lines), emoji=False)),
    ]


def done_in_bulk(label: str, given: Sequence[int], refused: int) -> list[Block]:
    """After many mails were labelled at once: how many, and the way back."""
    word = "spam" if label == "spam" else "not spam"
    text = f":white_check_mark: {count(len(given), 'mail')} labelled *{word}*."
    if refused:
        text += f" {count(refused, 'mail')} could not be: no longer kept."
    if not given:
        return said(text)
    undo = ButtonElement(
        text="Undo all", action_id="undo_all", value=",".join(str(each) for each in given)
    )
    return [SectionBlock(text=MarkdownTextObject(text=text), accessory=undo)]


def _put_right(figures: Figures) -> str:
    corrected = count(figures.corrected, "mail")
    whole = figures.corrected_share
    return corrected if whole is None else f"{corrected} ({share(whole)})"


def _titled(title: str, lines: Sequence[str]) -> Block:
    text = "\n".join(lines)
    return SectionBlock(text=MarkdownTextObject(text=f"*{title}*\n{text}"))


def _short(text: str) -> str:
    return escaped(in_one_line(text, 120))
