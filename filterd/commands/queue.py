"""`filterd queue`: which mails are most worth a label."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from filterd.commands.parts import open_store
from filterd.commands.terminal import AsJson, Config, out, print_json, say, working
from filterd.settings import load_settings

REASONS = {
    "disputed": "model and labels at odds",
    "doubtful": "near the threshold",
    "new": "unlike all labelled mail",
    "random": "by chance, to measure errors",
}


def queue(
    count: Annotated[int, typer.Option(min=1, max=500, help="So many mails at most.")] = 10,
    days: Annotated[float, typer.Option(min=0, help="Of the last so many days.")] = 1.0,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """The mails whose label would teach most, and why each is asked about.

    Near the threshold, model and labels at odds, unlike all labelled mail, and a fifth by chance:
    nobody chose those, so the share of either verdict's that turns out wrong is its true error.
    Label them with `filterd label ID LABEL`.
    """
    from filterd.asking import questions
    from filterd.model.champion import champion_version
    from filterd.store.models import champion
    from filterd.teaching import open_learner

    settings = load_settings(config)
    now = datetime.now(UTC)
    with open_store(settings) as database, working("looking for questions"):
        found = questions(
            database,
            open_learner(database, champion_version(champion(database))),
            budget=count,
            since=now - timedelta(days=days),
            now=now,
            # The same mails all day long, so that a list can be worked through.
            chance=random.Random(now.date().isoformat()),  # noqa: S311
        )
    if as_json:
        for asked in found:
            print_json(
                {
                    "id": asked.record.id,
                    "reason": asked.question.reason,
                    "spam": round(asked.spam, 6),
                    "verdict": asked.record.verdict,
                    "from": asked.record.from_address,
                    "subject": asked.record.subject,
                }
            )
        return
    if not found:
        say(f"nothing to ask about: no unlabelled mail of the last {days:g} days has its text kept")
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("id", no_wrap=True)
    table.add_column("spam", justify="right", no_wrap=True)
    for column in ("why", "from", "subject"):
        table.add_column(column, overflow="fold")
    for asked in found:
        table.add_row(
            asked.record.id,
            f"{asked.spam:.4f}",
            REASONS[asked.question.reason],
            escape(asked.record.from_address),
            escape(asked.record.subject),
        )
    out.print(table)
