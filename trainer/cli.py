"""`filterd-trainer`: its commands and their options."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filterd.commands.terminal import Config  # noqa: TC001 - typer reads it
from filterd.errors import FilterdError
from filterd.model.bundle import SHIPPED
from filterd.privileges import prepare
from filterd.settings import load_settings
from trainer.feedback import SYNTAX, Feedback, parse_feedback
from trainer.pretrained import DEFAULT_BASE
from trainer.readings import READINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="filterd-trainer",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


Corpora = Annotated[Path, typer.Option(help="Folder of <name>/{spam,ham}/*.eml and *.jsonl.")]
Base = Annotated[str, typer.Option(help="Pinned package, checkpoint folder or hub name.")]
Epochs = Annotated[int, typer.Option(min=1)]
MaxTokens = Annotated[int, typer.Option(min=8, max=512)]
BatchSize = Annotated[int, typer.Option(min=1)]
Rate = Annotated[
    float, typer.Option(help="Peak learning rate; 2e-5 suits a BERT of 12 layers or more.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Most examples per corpus and label.")]
Exclude = Annotated[list[str] | None, typer.Option(help="Leave this corpus out.")]
Letters = Annotated[bool, typer.Option(help="Train on our own letters (trainer/letters) as well.")]
Without = Annotated[
    list[str] | None, typer.Option(help="A change not to make variants by (trainer/augment).")
]
Layers = Annotated[int | None, typer.Option(min=1, help="Keep so many of the base's layers.")]
Teacher = Annotated[
    Path | None, typer.Option(help="Learn from this checkpoint, too: the `best` of another work.")
]
Start = Annotated[
    Path | None, typer.Option(help="Go on from this bundle's weights rather than the base's.")
]
GradientCheckpoint = Annotated[
    bool, typer.Option(help="Compute layers twice rather than keep them: less memory.")
]
Threads = Annotated[int, typer.Option(min=0, help="0: all cores.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]


def _wait_without_spinning() -> None:
    # Read when torch is loaded: threads that wait by spinning halve the pace of a shared machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _in_a_folder(path: Path | None) -> Path | None:
    """Refuse now what could not be written after an hour of judging."""
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"no folder {path.parent}")
    return path


def _layout(name: str) -> str:
    if name not in READINGS:
        raise typer.BadParameter(f"no layout '{name}'; there are {', '.join(READINGS)}")
    return name


def _feedback(text: str) -> Feedback:
    try:
        return parse_feedback(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@app.callback()
def _commands() -> None:
    """Make and judge the models that filterd serves."""


@app.command()
def serve(config: Config = None) -> None:
    """Keep the nights: train when the schedule says so, or when somebody asks in Slack.

    Its settings are the table `[trainer]` of filterd's settings file. SIGTERM ends; a run that is
    at work then goes on with the next start.
    """
    prepare(load_settings(config))
    from trainer.nights import run_serve  # noqa: PLC0415 - the database and APScheduler

    run_serve(config)


@app.command()
def run(
    force: Annotated[
        bool, typer.Option("--force", help="Also if there are fewer new labels than a night needs.")
    ] = False,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Mails in one step, in place of the setting `batch`.")
    ] = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the run as JSON.")] = False,
) -> None:
    """Train now, as a night does: from the labels to a bundle that serves, if it is good enough.

    The exit code is 0 if the bundle was promoted or refused, or there was too little to learn
    from; 70 if the run failed; 75 if another trainer is at work, or this one was stopped.
    """
    prepare(load_settings(config))
    from trainer.nights import run_once  # noqa: PLC0415 - as above

    raise typer.Exit(run_once(config, batch, force=force, as_json=as_json))


@app.command()
def status(config: Config = None, as_json: AsJson = False) -> None:
    """Show the next night, who is at work, what is new to learn from, and the last ten runs."""
    from trainer.nights import run_status  # noqa: PLC0415 - as above

    run_status(config, as_json=as_json)


@app.command()
def bootstrap(
    corpora: Corpora,
    out: Annotated[Path, typer.Option(help="Folder of the new bundle; must not exist.")],
    work: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints; OUT.work if not given.")
    ] = None,
    version: Annotated[str, typer.Option(help="Today's date and .1 if not given.")] = "",
    base: Base = DEFAULT_BASE,
    epochs: Epochs = 1,
    max_tokens: MaxTokens = 128,
    batch: BatchSize = 32,
    seed: int = 0,
    rate: Rate = 1.5e-4,
    limit: Limit = None,
    exclude: Exclude = None,
    letters: Letters = True,
    without: Without = None,
    layers: Layers = None,
    teacher: Teacher = None,
    start: Start = None,
    gradient_checkpoint: GradientCheckpoint = False,
    threads: Threads = 0,
    as_json: AsJson = False,
) -> None:
    """Train a model on corpora and write it as a bundle.

    The same command goes on where it was interrupted. On several GPUs: accelerate launch
    --num_processes N -m trainer.cli bootstrap …
    """
    _wait_without_spinning()
    from trainer.commands import Training, run_bootstrap  # noqa: PLC0415 - torch takes seconds

    training = Training(
        corpora=corpora,
        base=base,
        epochs=epochs,
        max_tokens=max_tokens,
        batch=batch,
        seed=seed,
        rate=rate,
        limit=limit,
        exclude=tuple(exclude or ()),
        letters=letters,
        without=tuple(without or ()),
        layers=layers,
        teacher=teacher,
        start=start,
        gradient_checkpoint=gradient_checkpoint,
        threads=threads,
    )
    run_bootstrap(training, out, work, version, as_json=as_json)


@app.command()
def crossval(
    corpora: Corpora,
    work: Annotated[Path, typer.Option(help="Folder for checkpoints and scores, one a fold.")],
    fold: Annotated[
        list[str],
        typer.Option(
            help="Corpus to leave out, or several at once: one+another; NAME@YYYY-MM-DD leaves out "
            "its mails from that day on. Once per fold."
        ),
    ],
    most: Annotated[
        int, typer.Option(min=1, help="Mails judged per corpus and label that was left out.")
    ] = 1500,
    base: Base = DEFAULT_BASE,
    epochs: Epochs = 1,
    max_tokens: MaxTokens = 128,
    batch: BatchSize = 32,
    seed: int = 0,
    rate: Rate = 1.5e-4,
    limit: Limit = None,
    exclude: Exclude = None,
    letters: Letters = True,
    without: Without = None,
    layers: Layers = None,
    reading: Annotated[
        str, typer.Option(callback=_layout, help=f"How texts are laid out: {', '.join(READINGS)}.")
    ] = "whole",
    bundles: Annotated[
        bool,
        typer.Option(help="Leave each fold's model as a bundle, for `attack`: WORK/FOLD/bundle."),
    ] = False,
    threads: Threads = 0,
    as_json: AsJson = False,
) -> None:
    """Train without a corpus and judge it: what to expect on mail of a kind never seen.

    Beside the BERT stands TF-IDF with logistic regression, trained on the same mail, and what
    both add up to, as a bundle does. A fold that is finished is not computed again.
    """
    _wait_without_spinning()
    from trainer.commands import Training, run_crossval  # noqa: PLC0415 - torch takes seconds

    training = Training(
        corpora=corpora,
        base=base,
        epochs=epochs,
        max_tokens=max_tokens,
        batch=batch,
        seed=seed,
        rate=rate,
        limit=limit,
        exclude=tuple(exclude or ()),
        letters=letters,
        without=tuple(without or ()),
        layers=layers,
        threads=threads,
    )
    run_crossval(training, fold, work, most, reading, bundles=bundles, as_json=as_json)


@app.command()
def search(
    corpora: Corpora,
    work: Annotated[Path, typer.Option(help="Folder for trials; a search goes on in it.")],
    fold: Annotated[
        str, typer.Option(help="Corpus to leave out and judge by, or several: one+another.")
    ],
    trials: Annotated[int, typer.Option(min=1, help="Recipes to try in all.")] = 20,
    most: Annotated[
        int, typer.Option(min=1, help="Mails judged per corpus and label that was left out.")
    ] = 1500,
    base: Base = DEFAULT_BASE,
    seed: int = 0,
    limit: Limit = None,
    exclude: Exclude = None,
    letters: Letters = True,
    without: Without = None,
    threads: Threads = 0,
    as_json: AsJson = False,
) -> None:
    """Search for a recipe: rate, batch, epochs, tokens, layers, smoothing and averaging.

    Each trial trains once. Killed on the way, the same command goes on with the trials left.
    """
    _wait_without_spinning()
    from trainer.commands import Training, run_search  # noqa: PLC0415 - torch takes seconds

    training = Training(
        corpora=corpora,
        base=base,
        seed=seed,
        limit=limit,
        exclude=tuple(exclude or ()),
        letters=letters,
        without=tuple(without or ()),
        threads=threads,
    )
    run_search(training, fold, work, trials, most, as_json=as_json)


@app.command()
def ratings(
    out: Annotated[Path, typer.Option(help="Folder of corpora to put them into.")],
) -> None:
    """Fetch sentences that people rated (VADER's, MIT licence) from the package index."""
    from trainer.ratings import fetch_ratings  # noqa: PLC0415 - as the others

    if not out.is_dir():
        raise typer.BadParameter(f"no folder {out}", param_hint="--out")
    for file in fetch_ratings(out):
        typer.echo(file)


@app.command()
def probe(
    corpora: Corpora,
    most: Annotated[int, typer.Option(min=40, help="Mails per corpus and label.")] = 400,
    exclude: Exclude = None,
    as_json: AsJson = False,
) -> None:
    """Try to tell the corpus from what the model reads, and show by which words."""
    from trainer.measure import run_probe  # noqa: PLC0415 - scikit-learn takes seconds

    run_probe(corpora, most, tuple(exclude or ()), as_json=as_json)


@app.command()
def attack(
    bundle: Annotated[list[Path], typer.Argument(help="Folders of bundles, side by side.")],
    corpora: Corpora,
    corpus: Annotated[list[str], typer.Option(help="A corpus that no bundle was trained on.")],
    most: Annotated[int, typer.Option(min=1, help="Mails per corpus and label.")] = 500,
    as_json: AsJson = False,
) -> None:
    """Disguise spam as spammers do, and see how much of it is still caught.

    Each bundle's threshold is where it flags 0.5% of the ham of these corpora.
    """
    from trainer.measure import run_attack  # noqa: PLC0415 - scikit-learn takes seconds

    run_attack(bundle, corpora, corpus, most, as_json=as_json)


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    path: Annotated[Path, typer.Argument(help="Folder of corpora.")],
    corpus: Annotated[list[str] | None, typer.Option(help="Only this corpus.")] = None,
    limit: Limit = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            dir_okay=False,
            callback=_in_a_folder,
            help="Write a page with curves and the worst mistakes; it quotes mail.",
        ),
    ] = None,
    threads: Threads = 0,
    as_json: AsJson = False,
) -> None:
    """Judge a bundle on labelled corpora, as mail it has not seen."""
    from trainer.measure import run_evaluate  # noqa: PLC0415 - scikit-learn takes seconds to load

    run_evaluate(bundle, path, tuple(corpus or ()), limit, report, threads, as_json=as_json)


@app.command()
def replay(
    index: Annotated[Path, typer.Argument(help="Lines of `spam|ham PATH`, in arrival order.")],
    bundle: Annotated[
        Path, typer.Option(help="Folder of the bundle.", show_default="the shipped one")
    ] = SHIPPED,
    feedback: Annotated[
        Feedback,
        typer.Option(
            parser=_feedback,
            metavar=SYNTAX,
            help="What the site's learner is told of the labels, and when.",
        ),
    ] = "none",  # type: ignore[assignment] # typer parses a default like what is typed
    scores: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep there what the bundle said, and do not ask it again: for other feedback, "
            "or after a run that was stopped.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the learning curve: .svg, .png or .pdf."),
    ] = None,
    threads: Threads = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON line per message, then a summary line.")
    ] = False,
) -> None:
    """Judge a labelled stream of mail in arrival order, as TREC's spam track does."""
    from trainer.measure import run_replay  # noqa: PLC0415 - scikit-learn takes seconds to load

    run_replay(index, bundle, feedback, threads, scores, plot, as_json=as_json)


@app.command("index")
def make_index(
    folder: Annotated[Path, typer.Argument(help="Folder that holds spam/* and ham/*.")],
) -> None:
    """Print an INDEX of a folder of mail in the order of arrival, for `replay`."""
    from trainer.measure import run_index  # noqa: PLC0415 - as above

    run_index(folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; an error that a person can put right is one line and an exit code."""
    try:
        app(args=arguments)
    except FilterdError as error:
        sys.stderr.write(f"filterd-trainer: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":  # as `torchrun` and `accelerate launch` start it
    main()
