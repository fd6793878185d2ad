"""The command line `filterd-bot` (design section 10)."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from filterd.commands.parts import open_store
from filterd.commands.terminal import Config, say
from filterd.errors import FilterdError

app = typer.Typer(
    name="filterd-bot",
    help="The Slack bot of filterd: staff see doubtful mail as cards and put labels right.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; what a person can put right becomes one line and an exit code."""
    # As in filterd.cli: the bot runs the model, too.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        app()
    except FilterdError as error:
        sys.stderr.write(f"filterd-bot: {error}\n")
        sys.exit(error.exit_code)


@app.command()
def serve(config: Config = None) -> None:
    """Run the bot; by Socket Mode, or by HTTP if the settings say so.

    Its settings are the table `[bot]` of filterd's settings file. SIGTERM finishes what was
    clicked and ends.
    """
    from bot.settings import TABLE, BotSettings, read_tokens
    from filterd.logs import configure_logs
    from filterd.privileges import drop, prepare, warn_of_root
    from filterd.settings import load_settings, load_table

    settings = load_settings(config)
    prepare(settings)
    own = load_table(BotSettings, TABLE, config)
    tokens = read_tokens(own, os.environ)
    configure_logs(settings, process="bot")
    drop(settings, config)

    from bot.app import Bot
    from filterd.store.resealing import require_keys

    with open_store(settings) as database:
        require_keys(database)
        warn_of_root()
        asyncio.run(Bot(settings, own, tokens, database).run())


@app.command()
def manifest(
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="For mode http: where Slack reaches the bot, e.g. https://bot.example.org.",
        ),
    ] = None,
) -> None:
    """Print the app manifest that creates the Slack app by paste: for Socket Mode, or for --url."""
    from bot.manifest import manifest_text

    mode: Literal["socket", "http"] = "socket" if url is None else "http"
    try:
        sys.stdout.write(manifest_text(mode, url))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@app.command()
def preview(
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the page goes.")] = Path(
        "build/preview"
    ),
    png: Annotated[
        bool, typer.Option("--png", help="Also a picture of each; needs chromium.")
    ] = False,
) -> None:
    """Draw all cards, dialogues and the Home tab with made-up mail; needs Node.js and npm."""
    from bot.preview import render
    from bot.samples import sample_surfaces
    from filterd.commands.terminal import working

    with working("drawing"):
        written = render(sample_surfaces(), out, out / ".npm", png=png)
    for path in written:
        say(str(path))
