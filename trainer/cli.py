"""`filterd-trainer`: its commands and their options."""

from __future__ import annotations

import os
import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

import typer

from filterd.errors import FilterdError
from trainer.pretrained import DEFAULT_BASE

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="filterd-trainer",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _commands() -> None:
    """Make and judge the models that filterd serves."""


@app.command()
def bootstrap(
    corpora: Annotated[Path, typer.Option(help="Folder of <name>/{spam,ham}/*.eml and *.jsonl.")],
    out: Annotated[Path, typer.Option(help="Folder of the new bundle; must not exist.")],
    work: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints; OUT.work if not given.")
    ] = None,
    base: Annotated[
        str, typer.Option(help="Pinned package, checkpoint folder or hub name.")
    ] = DEFAULT_BASE,
    epochs: Annotated[int, typer.Option(min=1)] = 2,
    max_tokens: Annotated[int, typer.Option(min=8, max=512)] = 128,
    batch: Annotated[int, typer.Option(min=1)] = 32,
    seed: int = 0,
    rate: Annotated[
        float, typer.Option(help="Peak learning rate; 2e-5 suits a BERT of 12 layers or more.")
    ] = 1e-4,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most examples per corpus and label.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Leave this corpus out.")] = None,
    letters: Annotated[
        bool, typer.Option(help="Train on our own letters (trainer/letters) as well.")
    ] = True,
    version: Annotated[str, typer.Option(help="Today's date and .1 if not given.")] = "",
    threads: Annotated[int, typer.Option(min=0, help="0: all cores.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
) -> None:
    """Train a model on corpora and write it as a bundle.

    The same command goes on where it was interrupted.
    """
    # Read when torch is loaded: threads that wait by spinning halve the pace of a shared machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from trainer.commands import (  # noqa: PLC0415 - torch takes seconds to load
        BootstrapOptions,
        run_bootstrap,
    )

    options = BootstrapOptions(
        corpora=corpora,
        out=out,
        work=work,
        base=base,
        epochs=epochs,
        max_tokens=max_tokens,
        batch=batch,
        seed=seed,
        rate=rate,
        limit=limit,
        exclude=tuple(exclude or ()),
        letters=letters,
        version=version,
        threads=threads,
    )
    run_bootstrap(options, as_json=as_json)


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    path: Annotated[Path, typer.Argument(help="Folder of corpora.")],
    corpus: Annotated[list[str] | None, typer.Option(help="Only this corpus.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most examples per corpus and label.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Judge a bundle on labelled corpora, as mail it has not seen."""
    from trainer.commands import run_evaluate  # noqa: PLC0415 - torch takes seconds to load

    run_evaluate(bundle, path, tuple(corpus or ()), limit, as_json=as_json)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; an error that a person can put right is one line and an exit code."""
    try:
        app(args=arguments)
    except FilterdError as error:
        sys.stderr.write(f"filterd-trainer: {error}\n")
        sys.exit(error.exit_code)
