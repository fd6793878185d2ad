"""`filterd labels`: who said what of which mail, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from filterd.commands.parts import open_store
from filterd.commands.terminal import AsJson, Config, out, print_json, say
from filterd.settings import load_settings

if TYPE_CHECKING:
    from filterd.store.labels import Label


def labels(
    log: Annotated[
        bool,
        typer.Option("--log", help="All that was ever said: what was replaced or undone, too."),
    ] = False,
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of this person (in Slack, a user id) only.")
    ] = None,
    days: Annotated[float, typer.Option(min=0, help="Of the last so many days.")] = 30.0,
    count: Annotated[int, typer.Option(min=1, help="So many at most, the newest.")] = 100,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """The labels that stand, newest first; with --log, the audit trail.

    Nothing is ever taken out of the trail but with its mail, by retention, which leaves labelled
    mail's rows alone.
    """
    from filterd.store.labels import label_log, newest_standing

    settings = load_settings(config)
    since = datetime.now(UTC) - timedelta(days=days)
    with open_store(settings) as database:
        read = label_log if log else newest_standing
        rows = read(database, count, by=by, since=since)
    if as_json:
        for row in rows:
            print_json(
                {
                    "id": row.id,
                    "at": row.at.isoformat(timespec="seconds"),
                    "by": row.by,
                    "source": row.source,
                    "message": row.message_id,
                    "task": row.task,
                    "label": row.label,
                    "replaces": row.replaces,
                    "undoes": row.undoes,
                }
            )
        return
    if not rows:
        say(f"no labels of the last {days:g} days")
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("number", justify="right", no_wrap=True)
    table.add_column("at (UTC)", no_wrap=True)
    table.add_column("by", overflow="fold")
    table.add_column("message", no_wrap=True)
    table.add_column("what was said", overflow="fold")
    for row in rows:
        at = row.at.isoformat(" ", "minutes").removesuffix("+00:00")
        by = f"{escape(row.by)} [dim]{escape(row.source)}[/]"
        table.add_row(str(row.id), at, by, row.message_id, _said(row))
    out.print(table)


def _said(row: Label) -> str:
    if row.undoes is not None:
        return f"[dim]takes back {row.undoes} ({escape(row.label)})[/]"
    colour = {"spam": "red", "ham": "green"}.get(row.label, "default")
    text = f"[{colour}]{escape(row.label)}[/]"
    return text if row.replaces is None else f"{text} [dim]instead of {row.replaces}[/]"
