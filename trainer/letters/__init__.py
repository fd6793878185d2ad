"""Letters of our own: templates of the mail that public corpora lack, each unfolding into many.

Receipts, codes, newsletters, complaints, and today's fraud, in several languages. A template is a
JSON line of a `.jsonl` file beside this one: kind, language, spam, sentiment, from, subject, body,
links. In from, subject and body `{one|another}` stands for any one of its options, and `<amount>`
and the like for what `trainer.letters.words` makes up.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from filterd.mail.message import Link
from filterd.mail.render import message_from_fields
from trainer.errors import CorporaError
from trainer.letters.words import SLOT, Words

if TYPE_CHECKING:
    import random

    from filterd.mail.message import Message

FOLDER = Path(__file__).parent
_INNERMOST = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """One template as it is written; `links` are URLs of buttons, with slots."""

    kind: str
    language: str
    labels: dict[str, str]
    sender: str
    subject: str
    body: str
    links: tuple[str, ...]


def load_templates(folder: Path = FOLDER) -> list[Template]:
    """All templates, in the order of files and lines. CorporaError names a line that is none."""
    templates = []
    for file in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                templates.append(_template(json.loads(line)))
            except (ValueError, KeyError) as error:
                raise CorporaError(f"{file}:{number}: not a template: {error!r}") from None
    return templates


def _template(fields: dict[str, str]) -> Template:
    for name in ("from", "subject", "body"):
        if fields[name].count("{") != fields[name].count("}"):
            raise ValueError(f"braces of {name} do not pair")
        if unknown := set(SLOT.findall(fields[name])) - set(Words.SLOTS):
            raise ValueError(f"no word for <{min(unknown)}>")
    return Template(
        kind=fields["kind"],
        language=fields["language"],
        labels={"spam": fields["spam"], "sentiment": fields["sentiment"]},
        sender=fields["from"],
        subject=fields["subject"],
        body=fields["body"],
        links=tuple(fields["links"]),
    )


def unfold(template: Template, chance: random.Random) -> Message:
    """One mail of a template, read as serving reads mail of which only text is left."""
    words = Words(template.language, chance)
    subject, sender, body = (
        words.fill(choose(text, chance))
        for text in (template.subject, template.sender, template.body)
    )
    message = message_from_fields(subject, sender, body)
    hosts = (words.fill(url).partition("://")[2].partition("/")[0] for url in template.links)
    links = (*message.links, *(Link(host, "") for host in hosts if host))
    return replace(message, links=links)


def choose(text: str, chance: random.Random) -> str:
    """Text with one option for each `{one|another}`, from the inside out."""
    while found := _INNERMOST.search(text):
        option = chance.choice(found[1].split("|"))
        text = f"{text[: found.start()]}{option}{text[found.end() :]}"
    return text
