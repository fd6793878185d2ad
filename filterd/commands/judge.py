"""`filterd check` and `filterd scan`: judging messages that lie in files."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from filterd.commands.parts import open_model
from filterd.commands.terminal import (
    AsJson,
    Config,
    complain,
    out,
    print_json,
    printable,
    progress,
    say,
)
from filterd.errors import MessageError
from filterd.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from filterd.pipeline import Judgement

    Result = tuple[str, Judgement | None, str | None]


def check(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A message file, or - for standard input.")
    ],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Judge one message: verdict, scores, and why in a line."""
    from filterd.judging import why_in_a_line
    from filterd.pipeline import Origin, judge

    settings = load_settings(config)
    raw = read_message(file, settings.max_message_size)
    encoder, policy, learner = open_model(settings)
    judged = judge([raw], encoder, policy, learner=learner, origin=Origin(at=time.time()))[0]
    if as_json:
        print_json(_judgement_fields(file, judged) | {"why": why_in_a_line(judged)})
        return
    colour = "red" if judged.verdict == "spam" else "green"
    out.print(
        f"[bold {colour}]{judged.verdict.upper()}[/]  {judged.spam:.4f}   "
        f"[bold]{escape(judged.sentiment or '')}[/]  {judged.sentiment_score:.4f}   "
        f"[dim]{judged.ms:.0f} ms, model {judged.model}[/]"
    )
    say(why_in_a_line(judged))


def scan(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", help="Message files (.eml), mbox files, Maildirs, folders."
        ),
    ],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Judge many messages: a table of the spam among them, and how many there were.

    With --json a line for each, in input order, with `path`, `verdict`, `spam`, `sentiment`,
    `sentiment_scores`, `model`, `ms` and `error`. A message that cannot be read or is larger than
    `max_message_size` has an `error`; the others are judged all the same, and the exit code is 1.
    """
    from filterd.scanning import find_messages, scan_messages

    settings = load_settings(config)
    sources = find_messages(paths)
    encoder, policy, learner = open_model(settings, every_core=True)
    results = scan_messages(
        sources, encoder, policy, max_size=settings.max_message_size, learner=learner
    )
    with progress(len(sources), "judging") as advance:
        shown = _print_lines if as_json else _print_table
        failed = shown(_counting(results, advance))
    if failed:
        raise typer.Exit(1)


def _counting(results: Iterable[Result], advance: Any) -> Iterable[Result]:
    for result in results:
        advance()
        yield result


def _print_lines(results: Iterable[Result]) -> int:
    """A JSON line for each as it comes; how many could not be judged."""
    failed = 0
    for path, judged, error in results:
        failed += judged is None
        print_json(_judgement_fields(path, judged, error))
    return failed


def _print_table(results: Iterable[Result]) -> int:
    """What is spam, what could not be read, and the sums; how many could not be judged."""
    counts = {"ham": 0, "spam": 0, "unreadable": 0}
    table = Table()
    table.add_column("message", overflow="fold")
    for column in ("verdict", "spam", "sentiment"):
        table.add_column(column, no_wrap=True)
    problems = []
    for path, judged, error in results:
        counts["unreadable" if judged is None else judged.verdict.value] += 1
        if judged is None:
            problems.append(f"{printable(path)}: {error}")
        elif judged.verdict == "spam":
            table.add_row(
                escape(printable(path)),
                "spam",
                f"{judged.spam:.4f}",
                escape(judged.sentiment or ""),
            )
    if table.row_count:
        out.print(table)
    for problem in problems:
        complain(problem)
    total = sum(counts.values())
    named = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    say(f"{total} message{'' if total == 1 else 's'}{': ' if named else ''}{named}")
    return counts["unreadable"]


def read_message(file: str, max_size: int) -> bytes:
    """A message file, or standard input for "-". Raises MessageError."""
    try:
        if file == "-":
            raw = sys.stdin.buffer.read(max_size + 1)
        else:
            with Path(file).open("rb") as stream:
                raw = stream.read(max_size + 1)
    except OSError as error:
        raise MessageError(f"{file}: cannot read the message: {error.strerror}") from None
    if len(raw) > max_size:
        raise MessageError(f"{file}: larger than max_message_size, {max_size} bytes")
    return raw


def _judgement_fields(
    path: str, judged: Judgement | None, error: str | None = None
) -> dict[str, Any]:
    if judged is None:
        names = ("verdict", "spam", "sentiment", "sentiment_scores", "model", "ms")
        return {"path": path, **dict.fromkeys(names), "error": error}
    return {
        "path": path,
        "verdict": judged.verdict.value,
        "spam": round(judged.spam, 6),
        "sentiment": judged.sentiment,
        "sentiment_scores": {
            name: round(value, 6) for name, value in judged.scores["sentiment"].items()
        },
        "model": judged.model,
        "ms": round(judged.ms, 3),
        "error": error,
    }
