"""Corpora on disk to messages: what a folder holds, read exactly as serving reads mail.

Three shapes: `<name>/{spam,ham}/*.eml`; `<name>/labels.tsv` with the columns path, spam and
sentiment; and `<name>.jsonl` with `{"text": …, "label": …}` a line.
What would name the corpus rather than the sender's intent is removed here (`scrub`).
"""

from __future__ import annotations

import csv
import dataclasses
import json
import random
import re
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from filterd.mail.headers import decode_words
from filterd.mail.parse import parse
from filterd.mail.render import message_from_fields
from trainer.errors import CorporaError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime
    from pathlib import Path

    from filterd.mail.message import Message

SPAM, SENTIMENT = "spam", "sentiment"
# Every word a corpus may use for a label: the task it belongs to and our name for it.
LABELS = {
    "ham": (SPAM, "ham"),
    "spam": (SPAM, "spam"),
    "very negative": (SENTIMENT, "negative"),
    "negative": (SENTIMENT, "negative"),
    "neutral": (SENTIMENT, "neutral"),
    "positive": (SENTIMENT, "positive"),
    "very positive": (SENTIMENT, "positive"),
}
LABELLED = "labels.tsv"
EXPECTED = f"it should hold <name>/{{spam,ham}}/*.eml, <name>/{LABELLED} or <name>.jsonl"


@dataclass(frozen=True, slots=True)
class Source:
    """One entry of a corpus, not yet parsed: a file's path, or a line's fields."""

    corpus: str
    labels: dict[str, str]  # by task; the first is the one that the corpus is balanced by
    split: str = ""  # as the corpus says; "" if it does not
    path: Path | None = None
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """The task of the first label."""
        return next(iter(self.labels))

    @property
    def label(self) -> str:
        """The first label."""
        return self.labels[self.task]


def find_corpora(folder: Path) -> list[str]:
    """Names of the corpora in a folder, sorted. Raises CorporaError if there are none."""
    if not folder.is_dir():
        raise CorporaError(f"{folder}: no such folder; {EXPECTED}")
    names = {path.stem for path in folder.glob("*.jsonl")}
    names |= {path.parent.name for path in folder.glob("*/spam")}
    names |= {path.parent.name for path in folder.glob("*/ham")}
    names |= {path.parent.name for path in folder.glob(f"*/{LABELLED}")}
    if not names:
        raise CorporaError(f"{folder}: no corpora in it; {EXPECTED}")
    return sorted(names)


def list_sources(folder: Path, corpus: str, seed: int) -> list[Source]:
    """All of one corpus, shuffled by `seed`. Raises CorporaError on a line it cannot read."""
    file = folder / f"{corpus}.jsonl"
    if file.is_file():
        sources = list(_lines(file, corpus))
    elif (folder / corpus / LABELLED).is_file():
        sources = list(_labelled(folder / corpus, corpus))
    else:
        sources = list(_files(folder, corpus))
    random.Random(f"{seed}/{corpus}").shuffle(sources)  # noqa: S311 - a sample, not a secret
    return sources


def _files(folder: Path, corpus: str) -> Iterator[Source]:
    for label in ("spam", "ham"):
        for path in sorted((folder / corpus / label).glob("*.eml")):
            yield Source(corpus, {SPAM: label}, path=path)


def _labelled(folder: Path, corpus: str) -> Iterator[Source]:
    file = folder / LABELLED
    with file.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines, delimiter="\t"), start=2):
            labels = {task: row.get(task) or "" for task in (SPAM, SENTIMENT)}
            wrong = [label for task, label in labels.items() if LABELS.get(label, ("",))[0] != task]
            if wrong or not row.get("path"):
                raise CorporaError(f"{file}:{number}: needs path, spam and sentiment, has {row}")
            yield Source(corpus, labels, path=folder / row["path"])


def _lines(file: Path, corpus: str) -> Iterator[Source]:
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                fields = json.loads(line)
                text, (task, label) = fields["text"], LABELS[fields["label"]]
            except (ValueError, KeyError, TypeError) as error:
                raise CorporaError(
                    f"{file}:{number}: needs a text and a label of "
                    f"{', '.join(LABELS)} ({type(error).__name__}: {error})"
                ) from None
            if str(text).strip():
                yield Source(corpus, {task: label}, str(fields.get("split", "")), fields=fields)


def read_message(source: Source) -> Message:
    """The message of one source, as serving would read it, less what names its corpus.

    Raises CorporaError when its file cannot be read.
    """
    if source.path is None:
        return scrub(source.corpus, message_from_fields(*_as_mail(source)))
    try:
        raw = source.path.read_bytes()
    except OSError as error:
        raise CorporaError(f"{source.path}: {error.strerror}") from None
    return scrub(source.corpus, parse(raw))


def arrived_on(message: Message) -> date | None:
    """The day on which a mail arrived, where it did; None if nothing says so."""
    moment = arrived_at(message)
    return None if moment is None else moment.date()


def arrived_at(message: Message) -> datetime | None:
    """When a mail arrived: by its topmost Received field, else by its Date.

    None if neither says. Who writes spam writes its Date, but not what receives it.
    """
    stamps = [
        value.rpartition(";")[2] for name, value in message.headers if name.lower() == "received"
    ]
    stamps += [value for name, value in message.headers if name.lower() == "date"]
    for stamp in stamps:
        try:
            return parsedate_to_datetime(stamp.strip())
        except (ValueError, IndexError, TypeError):  # the library's own for what is no date
            continue
    return None


def _as_mail(source: Source) -> tuple[str, str, str]:
    text, sender = str(source.fields["text"]), str(source.fields.get("sender", ""))
    subject, body = "", text
    if text.startswith("Subject:"):
        subject, _, body = text.removeprefix("Subject:").partition("\n")
    elif "sender" in source.fields:  # subject, empty line, body
        subject, _, body = text.partition("\n\n")
    # Some collections kept header fields as they came, in RFC 2047 words.
    subject, sender = decode_words(subject), decode_words(sender)
    return join_tokens(subject), sender, join_tokens(body)


_TOKENISED = re.compile(r"\w [.,!?]( |$)", re.MULTILINE)
_NATURAL = re.compile(r"\w[.,!?]( |$)", re.MULTILINE)
_SPACED = (
    (re.compile(r" (n['’]t)\b"), r"\1"),
    (re.compile(r"(?<=\w) ['’] ?(s|t|re|ve|ll|d|m)\b"), r"'\1"),
    (re.compile(r"-lrb- ?"), "("),
    (re.compile(r" ?-rrb-"), ")"),
    (re.compile(r"\b(https?|ftp) ?: ?/ ?/ ?"), r"\1://"),
    (re.compile(r"(?<=\w) ?([@/_-]) ?(?=\w)"), r"\1"),
    (re.compile(r"(?<=\d) ([.,:]) (?=\d)"), r"\1"),
    (
        re.compile(
            r"(?<=\w) \. (?=(?:com|net|org|edu|gov|biz|info|co|uk|de|htm|html|php|exe|doc|xls)\b)"
        ),
        ".",
    ),
    (re.compile(r"(\bwww|@\w{2,30}|://\w{2,30}) \. (?=\w)"), r"\1."),
    (re.compile(r" +([.,;:!?)\]%])"), r"\1"),
    (re.compile(r"([(\[$#]) +"), r"\1"),
    (re.compile(r"(?<=[.!?\-_=*]) (?=[.!?\-_=*])"), ""),
)


def join_tokens(text: str) -> str:
    """Put punctuation back to the words that a corpus' tokenizer cut it from, roughly.

    Text that was not tokenised stays as it is. Spacing then tells no corpus apart.
    """
    if len(_TOKENISED.findall(text)) <= len(_NATURAL.findall(text)):
        return text
    for pattern, replacement in _SPACED:
        text = pattern.sub(replacement, text)
    return text


_REMOVED = re.compile(r"\[removed\]", re.IGNORECASE)
# What names a collection: its company and people, its host, the owner of its mailbox.
_WORDS = {
    "enron": re.compile(
        r"\b(?:enron\w*|ect|hou|vince|kaminski|daren|farmer|ees|ena)\b", re.IGNORECASE
    ),
    "nazario": re.compile(r"\b(?:jose@monkey\.org|jose|monkey(?:\.org)?)\b", re.IGNORECASE),
    "spamassassin": re.compile(r"\b(?:[\w.-]*taint\.org|jmason\w*|zzzz\w*)\b", re.IGNORECASE),
}
_LIST_HOST = re.compile(r"\blists?\.", re.IGNORECASE)
_VIA_LIST = re.compile(r"\s+via\s.*\Z")


def scrub(corpus: str, message: Message) -> Message:
    """The message without redaction marks, list hosts and the names its collection turns on."""
    patterns = [_REMOVED]
    patterns += [words for name, words in _WORDS.items() if corpus.startswith(name)]
    subject, name, text = message.subject, _VIA_LIST.sub("", message.from_name), message.text
    for pattern in patterns:
        subject, name, text = (pattern.sub("", part) for part in (subject, name, text))
    changes: dict[str, Any] = {"subject": subject.strip(), "from_name": name.strip(), "text": text}
    traces = [*patterns, _LIST_HOST]
    if any(pattern.search(message.from_domain) for pattern in traces):
        changes |= {"from_domain": "", "from_address": ""}
    changes["links"] = tuple(
        link for link in message.links if not any(trace.search(link.host) for trace in traces)
    )
    return dataclasses.replace(message, **changes)
