"""`filterd label`: a correction by hand, and taking it back."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from filterd.commands.parts import open_store, wait_for_record
from filterd.commands.terminal import AsJson, Config, print_json, say, who
from filterd.settings import load_settings

# Label numbers count up from 1; 18 digits are what a database's integer holds.
NUMBER = re.compile(r"[0-9]{1,18}")
OWN_TASK = re.compile(r"[a-z][a-z0-9_]{0,31}")
OWN_LABEL = re.compile(r"\w[\w .&/+-]*")
LONGEST_LABEL = 64


def label(
    target: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="The message's X-Filterd-Id; with --undo, the label's number."
        ),
    ],
    value: Annotated[
        str | None,
        typer.Argument(
            metavar="LABEL",
            help="spam, ham, negative, neutral, positive, or another task's label.",
        ),
    ] = None,
    by: Annotated[
        str, typer.Option(metavar="NAME", help="Who says so; your account's name if left out.")
    ] = "",
    task: Annotated[
        str | None,
        typer.Option(
            metavar="TASK",
            help="A task of your own, e.g. topic; from 50 examples of each label on, the nights "
            "give the model a head for it.",
        ),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take a label back.")] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Correct a message's verdict or sentiment, or take a label back.

    `filterd label 01JD… ham --by anna` prints the label's number; `filterd label --undo NUMBER`
    takes it back. Both stay in the database with their names.
    """
    from filterd.model.bundle import load
    from filterd.model.champion import champion_path
    from filterd.store.labels import add_label, undo_label
    from filterd.store.models import champion

    settings = load_settings(config)
    name = who(by)
    with open_store(settings) as database:
        if undo:
            if value is not None:
                raise typer.BadParameter("--undo takes the label's number alone")
            if not NUMBER.fullmatch(target):
                raise typer.BadParameter(f"--undo takes a label's number, not {target!r}")
            row = undo_label(database, int(target), by=name, source="cli")
        else:
            if value is None:
                raise typer.BadParameter("which label? e.g. filterd label ID spam")
            bundle = load(champion_path(champion(database), settings.models))
            tasks = {each.name: each.labels for each in bundle.tasks}
            if task is None:
                task = next((each for each, known in tasks.items() if value in known), None)
            elif task not in tasks:
                _check_own_task(task, value)
            if task is None or value not in tasks.get(task, (value,)):
                known = ", ".join(one for several in tasks.values() for one in several)
                raise typer.BadParameter(f"no label {value!r}; there are: {known}")
            wait_for_record(database, target)
            row = add_label(database, target, task, value, by=name, source="cli")
    if as_json:
        print_json({"id": row.id, "message": row.message_id, "task": row.task, "label": row.label})
    elif undo:
        say(f"label {target} taken back by {name}")
    else:
        say(f"label {row.id}: {row.message_id} is {row.label}, says {name}")
        say(f"to take it back: filterd label --undo {row.id}")


def _check_own_task(task: str, label: str) -> None:
    """Names that a bundle may have (filterd.model.manifest); typer.BadParameter if not."""
    if not OWN_TASK.fullmatch(task):
        raise typer.BadParameter(f"--task {task!r}: small letters, digits and _, a letter first")
    if not OWN_LABEL.fullmatch(label) or len(label) > LONGEST_LABEL:
        raise typer.BadParameter(f"{label!r}: letters, digits and spaces, {LONGEST_LABEL} at most")
