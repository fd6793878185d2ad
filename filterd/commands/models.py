"""`filterd models`: which bundles there are, which serves, and going back."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from filterd.commands.parts import bundle_path, open_store
from filterd.commands.terminal import AsJson, Config, out, print_json, say, who
from filterd.errors import BundleError
from filterd.settings import load_settings

if TYPE_CHECKING:
    from filterd.model.bundle import Bundle
    from filterd.settings import Settings
    from filterd.store.database import Database

app = typer.Typer(help="Bundles: which there are, which serves, and going back.")

By = Annotated[
    str, typer.Option(metavar="NAME", help="Who decides; your account's name if left out.")
]
Why = Annotated[str, typer.Option(metavar="TEXT", help="The reason, for the record.")]
SHIPPED_PLACE = "shipped"


@app.command("list")
def models_list(config: Config = None, as_json: AsJson = False) -> None:
    """The shipped bundle, those in the folder `models`, and those that ever served.

    Files are not compared with their SHA-256; `filterd models verify VERSION` does that.
    """
    settings = load_settings(config)
    with open_store(settings) as database:
        rows = _known_bundles(settings, database)
    if as_json:
        print_json(rows)
        return
    table = Table()
    table.add_column("version", no_wrap=True)
    table.add_column("where", overflow="fold")
    table.add_column("created", no_wrap=True)
    table.add_column("state")
    for row in rows:
        state = row["error"] or ("" if row["promoted"] else "not promoted")
        if row["serves"]:
            state = f"champion, but cannot serve: {state}" if row["error"] else "serves"
        created = (row["created"] or "")[: len("2026-11-24T06:50")].replace("T", " ")
        table.add_row(row["version"], escape(row["path"]), created, escape(state))
    out.print(table)


@app.command("show")
def models_show(
    version: Annotated[
        str | None,
        typer.Argument(
            metavar="[VERSION]", help="A version or a folder; the serving one if left out."
        ),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """What a bundle is: base, tasks, thresholds, figures."""
    from filterd.model.bundle import load

    bundle = load(bundle_path(load_settings(config), version))
    fields: dict[str, Any] = {
        "version": bundle.version,
        "path": str(bundle.path),
        "created": bundle.created,
        "base_model": bundle.base_model,
        "base_licence": bundle.base_licence,
        "renderer_version": bundle.renderer_version,
        "max_tokens": bundle.max_tokens,
        "data_digest": bundle.data_digest,
        "tasks": {
            task.name: {
                "labels": list(task.labels),
                "temperature": task.temperature,
                "threshold": task.threshold,
            }
            for task in bundle.tasks
        },
        "metrics": bundle.metrics,
        "files": bundle.files,
    }
    if as_json:
        print_json(fields)
        return
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in fields.items():
        text = json.dumps(value, indent=1) if isinstance(value, dict) else str(value)
        table.add_row(key, escape(text))
    out.print(table)


@app.command("verify")
def models_verify(
    version: Annotated[
        str | None,
        typer.Argument(
            metavar="[VERSION]", help="A version or a folder; the serving one if left out."
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Compare every file with its SHA-256 and run the golden messages."""
    from filterd.model.encoder import open_encoder

    bundle = open_encoder(bundle_path(load_settings(config), version)).bundle
    say(f"{bundle.path}: version {bundle.version} is whole and gives its golden scores")


@app.command("promote")
def models_promote(
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION", help="The version to serve: a folder in `models`, or the shipped."
        ),
    ],
    by: By = "",
    why: Why = "by hand",
    config: Config = None,
) -> None:
    """Put a bundle into service; every worker swaps within seconds, without a restart."""
    from filterd.model.bundle import SHIPPED
    from filterd.model.encoder import open_encoder
    from filterd.store import models

    settings = load_settings(config)
    name = who(by)
    bundle = open_encoder(bundle_path(settings, version)).bundle
    if bundle.path == SHIPPED:
        place = SHIPPED_PLACE
    else:
        _require_in_place(bundle, settings.models)
        place = str(bundle.path.resolve())
    with open_store(settings) as database:
        before = {row.version: row.path for row in models.bundles(database)}
        models.register_bundle(
            database,
            bundle.version,
            before.get(bundle.version, place),  # the folder `models` may have moved
            metrics=bundle.metrics,
            data_digest=bundle.data_digest,
            created_at=datetime.fromisoformat(bundle.created),
        )
        models.set_champion(database, bundle.version, by=name, why=why)
    say(f"{bundle.version} is champion now")


@app.command("rollback")
def models_rollback(by: By = "", why: Why = "by hand", config: Config = None) -> None:
    """Go back to the champion before this one."""
    from filterd.model.encoder import open_encoder
    from filterd.store import models

    settings = load_settings(config)
    with open_store(settings) as database:
        row = models.rollback(database, by=who(by), why=why)
    say(f"{row.version} is champion again")
    # Whether it can serve is for the workers to find out too; here somebody is looking.
    open_encoder(bundle_path(settings, None))


def _require_in_place(bundle: Bundle, models: Path) -> None:
    """Workers find a bundle by its version, in the folder `models`; typer.BadParameter else."""
    place = models / bundle.version
    if bundle.path.resolve() != place.resolve():
        raise typer.BadParameter(
            f"{bundle.path} holds version {bundle.version}, and workers look for that in {place}; "
            "copy the folder there first"
        )


def _known_bundles(settings: Settings, database: Database) -> list[dict[str, Any]]:
    """What `models list` shows of each bundle, the shipped one first."""
    from filterd.model.bundle import MANIFEST, SHIPPED, load
    from filterd.store import models

    shipped = load(SHIPPED).version
    champion = models.champion(database)
    serving = shipped if champion is None else champion.version
    promoted = [row.version for row in models.bundles(database)]
    found = sorted(path.parent.name for path in settings.models.glob(f"*/{MANIFEST}"))
    rows = []
    for version in dict.fromkeys([shipped, *promoted, *found]):
        path = settings.models / version
        if version == shipped and not path.exists():
            path = SHIPPED
        created, error = None, None
        try:
            bundle = load(path)
            created = bundle.created
            if bundle.version != version:
                error = f"holds version {bundle.version}"
        except BundleError as problem:
            error = str(problem).removeprefix(f"{path}: ")
        rows.append(
            {
                "version": version,
                "path": SHIPPED_PLACE if path == SHIPPED else str(path),
                "created": created,
                "serves": version == serving,
                "promoted": version in promoted or version == shipped,
                "error": error,
            }
        )
    return rows
