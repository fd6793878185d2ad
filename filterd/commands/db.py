"""`filterd db`: schema, damage, backup."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from filterd.commands.parts import open_store
from filterd.commands.terminal import Config, complain, say
from filterd.settings import load_settings

app = typer.Typer(help="The database of records and labels.")


@app.command("upgrade")
def db_upgrade(config: Config = None) -> None:
    """Bring the schema to this version's; `serve` does it at start too."""
    from filterd.store.database import open_database, revision
    from filterd.store.schema import upgrade

    database = open_database(load_settings(config).database)
    try:
        upgrade(database)
        say(f"schema at {revision(database)}")
    finally:
        database.close()


@app.command("check")
def db_check(config: Config = None) -> None:
    """Look for damage; exit code 1 and a line each if there is any."""
    from filterd.store.schema import check as check_database

    with open_store(load_settings(config)) as database:
        problems = check_database(database)
    for problem in problems:
        complain(problem)
    if problems:
        raise typer.Exit(1)
    say("the database is sound")


@app.command("backup")
def db_backup(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    config: Config = None,
) -> None:
    """Copy the database to a file while it is in use (SQLite)."""
    from filterd.store.backup import backup

    with open_store(load_settings(config)) as database:
        backup(database, path)
    say(f"{path}: {path.stat().st_size} bytes")
