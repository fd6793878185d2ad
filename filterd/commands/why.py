"""`filterd why`: what spoke for a verdict."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from filterd.commands.judge import read_message
from filterd.commands.parts import open_model, open_store
from filterd.commands.terminal import AsJson, Config, out, print_json, say
from filterd.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from filterd.store.messages import MessageRecord
    from filterd.why import Resembled, Why

SHOWN_PARTS = 6
SHOWN_ODDS = 0.05  # less is shown as 0.0
SHOWN_CHARACTERS = 70
BAR = 8  # characters
FEWEST_ODDS = 1.0  # that a whole bar stands for


def why(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FILE|ID", help="A message file, - for standard input, or an X-Filterd-Id."
        ),
    ],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """What spoke for a message's verdict, and what against it.

    The parts of its text by leaving out one at a time, asked of the model that judges; what the
    site's labels taught, in words; and the labelled mail that it resembles. Figures are log odds:
    +1 makes spam 2.7 times as likely.
    """
    from filterd.why import Judges, why_raw, why_recorded

    settings = load_settings(config)
    encoder, policy, learner = open_model(settings)
    with open_store(settings) as database:
        judges = Judges(encoder, policy, learner, database)
        if target == "-" or Path(target).is_file():
            raw = read_message(target, settings.max_message_size)
            found = why_raw(raw, judges, time.time())
        else:
            found = why_recorded(target, judges, time.time())
    if as_json:
        print_json(found.fields())
    else:
        _show(found)


def _show(found: Why) -> None:
    judged, voices = found.judged, found.voices
    colour = "red" if judged.verdict == "spam" else "green"
    out.print(
        f"[bold {colour}]{judged.verdict.upper()}[/]  {judged.spam:.4f}, threshold "
        f"{judged.threshold:.4f}   [bold]{escape(judged.sentiment or '')}[/]   "
        f"[dim]model {escape(judged.model)}, {found.labels} labels[/]"
    )
    if found.recorded is not None and found.recorded.spam is not None:
        then = found.recorded
        say(f"when it came: {then.verdict}, {then.spam:.4f}, by {then.model}")
    rows = [("the model", voices.bert)]
    if found.labels:
        rows += [("what staff taught", voices.site), ("a labelled mail like it", voices.near)]
    out.print(_table("who said what", rows))
    parts = [
        (f"[dim]{part.kind}:[/] {escape(_shortened(part.bare))}", part.odds)
        for part in found.parts[:SHOWN_PARTS]
    ]
    out.print(_table("the model, by the parts of the text", parts))
    reasons = [each for each in found.reasons if abs(each.odds) >= SHOWN_ODDS]
    if reasons:
        rows = [(escape(_shortened(each.what)), each.odds) for each in reasons]
        out.print(_table("what staff taught", rows))
    if found.near is not None:
        say(_resembled(found.near, found.recorded))


def _resembled(near: Resembled, recorded: MessageRecord | None) -> str:
    said = f"{near.label}, said {near.by} on {near.at[:10]}"
    if recorded is not None and near.id == recorded.id:
        return f"it is labelled: {said}"
    alike = f"{100 * near.similarity:.0f}% alike"
    return f"like {near.id} “{_shortened(near.subject)}” ({alike}): {said}"


def _table(title: str, rows: Iterable[tuple[str, float]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")
    table.add_column("odds", justify="right", no_wrap=True)
    table.add_column("ham", justify="right", no_wrap=True, min_width=BAR)
    table.add_column("spam", no_wrap=True, min_width=BAR)
    table.add_column(title, overflow="fold")
    rows = list(rows)
    longest = max([FEWEST_ODDS, *(abs(odds) for _, odds in rows)])
    for what, odds in rows:
        length = round(BAR * abs(odds) / longest)
        ham, spam = ("", "█" * length) if odds > 0 else ("█" * length, "")
        table.add_row(f"{odds:+.1f}", f"[green]{ham}[/]", f"[red]{spam}[/]", what)
    return table


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 1]}…"
