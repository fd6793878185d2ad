"""Sentences that people rated from -4 to 4, as corpora: what VADER was made from.

Hutto and Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
Text" (ICWSM 2014): twenty raters a sentence, MIT licence. Its sentences of films and products are
left out: SST-5 and the customer reviews, by which we judge, are made of the same ones.
"""

from __future__ import annotations

import html
import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.errors import PackageError
from trainer.packages import Pinned, download

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Pinned(
    package="vaderSentiment",
    version="3.3.2",
    sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    is_wheel=False,
)
ARCHIVE = "hutto_ICWSM_2014.tar.gz"
# Corpus: its file, and the mean rating that a sentence needs to be positive (or, below nought,
# negative). Of tweets it is where a model that was trained on the SemEval ones changes its mind
# (0.8 above nought, 0.6 below); newspapers use milder words, and their bound is a guess.
CORPORA = {
    "sentiment_vader_tweets": ("tweets_GroundTruth.txt", 0.7),
    "sentiment_vader_editorials": ("nytEditorialSnippets_GroundTruth.txt", 0.4),
}
LINK = "http://url_removed"


def fetch_ratings(folder: Path) -> list[Path]:
    """Write `<corpus>.jsonl` of each into a folder of corpora; those that are there stay.

    Raises PackageError when the package cannot be had or does not hold them.
    """
    files = [folder / f"{corpus}.jsonl" for corpus in CORPORA]
    if all(file.exists() for file in files):
        return files
    with tempfile.TemporaryDirectory() as temporary:
        package = download(PACKAGE, Path(temporary) / "package")
        contents = read_package(package.read_bytes())
    for file, (name, least) in zip(files, CORPORA.values(), strict=True):
        lines = [json.dumps(each) + "\n" for each in read_ratings(contents[name], least)]
        writing = file.with_suffix(".writing")
        writing.write_text("".join(lines), encoding="utf-8")
        writing.rename(file)
    return files


def read_package(package: bytes) -> dict[str, str]:
    """The rated sentences of the source distribution, by file name."""
    with tarfile.open(fileobj=io.BytesIO(package)) as outer:
        archive = io.BytesIO(_member(outer, ARCHIVE))
    with tarfile.open(fileobj=archive) as inner:
        return {name: _member(inner, name).decode("latin-1") for name, _ in CORPORA.values()}


def read_ratings(text: str, least: float) -> Iterator[dict[str, str]]:
    """`{"text": …, "label": …}` of each line `ID TAB RATING TAB SENTENCE`."""
    for line in text.splitlines():
        _, rating, sentence = line.split("\t", 2)
        yield {
            "text": html.unescape(sentence).replace(LINK, "http"),
            "label": label_of(float(rating), least),
        }


def label_of(rating: float, least: float) -> str:
    """The label for a mean rating; neutral below `least` either way."""
    if abs(rating) < least:
        return "neutral"
    return "positive" if rating > 0 else "negative"


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    found = next((each for each in archive if each.isfile() and Path(each.name).name == name), None)
    file = None if found is None else archive.extractfile(found)
    if file is None:
        raise PackageError(f"{PACKAGE.package} {PACKAGE.version} holds no {name}")
    return file.read()
