"""The command line `filterd` (design section 10): commands put together, errors made lines.

Commands import what they need when they run, so that `filterd --help` is quick.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated

import typer

from filterd import __version__
from filterd.commands import db, judge, label, labels, models, queue, why
from filterd.commands.terminal import AsJson, Config, out, print_json, say
from filterd.errors import FilterdError
from filterd.settings import find_settings_file, load_settings, split_address

app = typer.Typer(
    name="filterd",
    help="A mail filter that learns from its own people: tags spam and sentiment on the way in.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; what a person can put right becomes one line and an exit code."""
    # ONNX Runtime reads it when it is imported, here or in a worker. Without it, it keeps a device
    # id in the home folder and reports to its maker; what filterd does is nobody else's business.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        app()
    except FilterdError as error:
        sys.stderr.write(f"filterd: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:  # while the workers of `serve` start
        sys.exit(130)
    except OSError as error:
        # A full disk, a missing TMPDIR: the machine's trouble, not a bug of ours.
        name = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"filterd: {name}{error.strerror or error}\n")
        sys.exit(74)  # EX_IOERR


def _version(value: bool) -> None:
    if value:
        say(f"filterd {__version__}")
        raise typer.Exit


def _address(value: str | None) -> str | None:
    if value is not None:
        try:
            split_address(value)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return value


@app.callback()
def _root(
    version: Annotated[  # typer hands it to the callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    config: Config = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            callback=_address,
            help="Where mail comes in, whatever the settings say.",
        ),
    ] = None,
    next_hop: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where mail goes, whatever the settings say: smtp://HOST:PORT, lmtp://HOST:PORT, "
            "lmtp:///SOCKET or maildir:PATH.",
        ),
    ] = None,
) -> None:
    """Run the SMTP daemon.

    SIGTERM finishes open transactions and ends, SIGHUP reads the settings anew.
    """
    from filterd.logs import configure_logs
    from filterd.privileges import prepare

    # Through the environment, so that the workers and a reload see them too.
    for name, value in (("FILTERD_LISTEN", listen), ("FILTERD_NEXT_HOP", next_hop)):
        if value is not None:
            os.environ[name] = value
    settings = load_settings(config)
    prepare(settings)
    configure_logs(settings)

    from filterd.daemon import Supervisor

    asyncio.run(Supervisor(settings, config).run())


@app.command("settings")
def show_settings(config: Config = None, as_json: AsJson = False) -> None:
    """Every setting, what it does and its value now, as a settings file.

    Defaults are commented out, so that this is also a file to begin with.
    """
    from filterd.documentation import setting_rows, settings_file

    settings = load_settings(config)
    if as_json:
        print_json({row.name: row.value for row in setting_rows(settings)})
        return
    path = find_settings_file(config)
    say(f"# From {path or 'no file'} and the environment. Commented out: what is not set, so")
    say("# that filterd's default holds.")
    for line in settings_file(settings):
        say(line)


@app.command()
def demo(
    stay: Annotated[bool, typer.Option("--stay", help="Stay up for your own mail.")] = False,
) -> None:
    """Start the daemon with defaults, send it sample mails, show the verdicts."""
    from filterd.demo import run_demo

    run_demo(out, stay=stay)


app.command()(judge.check)
app.command()(judge.scan)
app.command()(why.why)
app.command()(label.label)
app.command()(labels.labels)
app.command()(queue.queue)
app.add_typer(models.app, name="models", no_args_is_help=True)
app.add_typer(db.app, name="db", no_args_is_help=True)
