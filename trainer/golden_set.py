"""The golden set as data that comes with the trainer: mails of our own, as the model reads them.

Made anew with `python -m trainer.golden_set tests/data/golden` whenever a mail of it or the
renderer changes; a test compares. No night may train on it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filterd.errors import FilterdError
from filterd.mail.render import render
from filterd.pipeline import RENDERED_CHARACTERS
from trainer.corpora import SENTIMENT, SPAM, list_sources, read_message
from trainer.dataset import Example, fingerprint
from trainer.errors import CorporaError

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = Path(__file__).with_name("golden_set.jsonl")
CORPUS = "golden"


@dataclass(frozen=True, slots=True)
class GoldenMail:
    """One mail: `name` is its file in the folder, `group` as in `trainer.dataset.Example`."""

    name: str
    spam: str
    sentiment: str
    group: str
    text: str


def read_golden(folder: Path) -> list[GoldenMail]:
    """The mails of a folder with `labels.tsv`, rendered, by name. Raises CorporaError."""
    mails = []
    for source in list_sources(folder.parent, folder.name, 0):
        if source.path is None or set(source.labels) != {SPAM, SENTIMENT}:
            raise CorporaError(f"{folder}: no folder of mails with labels.tsv")
        message = read_message(source)
        mails.append(
            GoldenMail(
                source.path.relative_to(folder).as_posix(),
                source.labels[SPAM],
                source.labels[SENTIMENT],
                fingerprint(message),
                render(message, max_characters=RENDERED_CHARACTERS),
            )
        )
    return sorted(mails, key=lambda mail: mail.name)


def write_golden(mails: Sequence[GoldenMail], file: Path = FILE) -> None:
    """One JSON line each."""
    lines = (json.dumps(asdict(mail), ensure_ascii=False) + "\n" for mail in mails)
    file.write_text("".join(lines), encoding="utf-8")


def golden_mails(file: Path = FILE) -> list[GoldenMail]:
    """What `write_golden` wrote; the set that comes with the trainer if no other is named."""
    # By line feeds alone: mail may hold other characters that some take for the end of a line.
    with file.open(encoding="utf-8", newline="\n") as lines:
        return [GoldenMail(**json.loads(line)) for line in lines]


def load_golden() -> list[Example]:
    """The golden set for judging, in the order of `golden_mails`."""
    return [_example(mail) for mail in golden_mails()]


def _example(mail: GoldenMail) -> Example:
    labels = {SPAM: mail.spam, SENTIMENT: mail.sentiment}
    return Example((mail.text,), labels, CORPUS, "test", mail.group)


def main(arguments: Sequence[str]) -> int:
    """Write the packaged set from the folder that is named."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m trainer.golden_set FOLDER\n")
        return 64  # EX_USAGE
    try:
        mails = read_golden(Path(arguments[0]))
    except FilterdError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    write_golden(mails)
    sys.stdout.write(f"{len(mails)} mails: {FILE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
