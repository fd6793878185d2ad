"""`filterd db`: schema, damage, backup, keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from filterd.commands.parts import open_store
from filterd.commands.terminal import Config, complain, say, working
from filterd.errors import SettingsError
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
    """Look for damage; exit code 1 and a line each, with what to do, if there is any.

    Nothing is changed, the schema neither.
    """
    from filterd.store.damage import check as check_database
    from filterd.store.database import open_to_check

    database = open_to_check(load_settings(config).database)
    try:
        problems = check_database(database)
    finally:
        database.close()
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


@app.command("key")
def db_key(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write; see text_key_file.")
    ],
) -> None:
    """Make a key that seals what is kept of mail; in a file that has keys, the new one is first.

    Only the owner can read the file. Whoever loses it loses all that was sealed.
    """
    from filterd.store.sealing import add_key

    known = add_key(path)
    say(
        f"{path}: a new key"
        + (f", before {known} that stay to read what they sealed" if known else "")
    )


@app.command("reseal")
def db_reseal(
    plain: Annotated[bool, typer.Option("--plain", help="Write it all unsealed.")] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Remove what no key of text_key_file opens.")
    ] = False,
    config: Config = None,
) -> None:
    """Seal what is kept of mail with the first key of text_key_file, while others work on.

    After it the keys behind the first one are needed no more, but for old backups.
    """
    from filterd.store.resealing import reseal

    settings = load_settings(config)
    if settings.text_key_file is None:
        raise SettingsError("text_key_file is not set: it holds the keys to read and to seal with")
    with open_store(settings) as database, working("sealing"):
        done = reseal(database, plain=plain, forget=forget)
    say(f"{done.mails} mails written anew, {done.forgotten} forgotten")
    if not done.wiped:
        complain(
            f"{database.name}: somebody was reading all the time, so its log may still "
            "hold what was there before; run this once more"
        )
