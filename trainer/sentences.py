"""Sentiment sentences as mail: film reviews and tweets carry the labels, mail is what is judged.

All words here are ours and say nothing about how the writer feels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from filterd.mail.render import message_from_fields
from trainer.corpora import join_tokens

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from filterd.mail.message import Message

NAMES = (
    "Alex Berger", "Sam Okafor", "Maria Lindqvist", "Jo Tanaka", "Priya Raman", "Tom Whitfield",
    "Elena Sorokina", "Luis Ferreira", "Nadia Haddad", "Chris Nowak", "Mei Chen", "Ruth Abrams",
)  # fmt: skip
DOMAINS = ("example.com", "mail.example.org", "post.example.net", "example.edu", "home.example")
SUBJECTS = (
    "", "Feedback", "My order", "About my visit", "Question about the account", "Your product",
    "Ticket update", "Comments", "A note from a customer", "Re: your message", "Delivery",
    "The new version", "Survey answer", "Following up", "Review", "Yesterday", "For the team",
)  # fmt: skip
GREETINGS = (
    "", "", "Hi,", "Hello,", "Hi team,", "Dear support,", "Good morning,",
    "To whom it may concern,",
)  # fmt: skip
CLOSINGS = (
    "",
    "",
    "Regards,\n{name}",
    "{name}",
    "Best,\n{name}",
    "Sincerely,\n{name}",
    "Sent from my phone",
)
BARE_SHARE = 0.25
JOINED_SHARE = 0.3
LONGEST = 600  # characters: what 128 tokens hold


def plain(text: str) -> Message:
    """The sentence as a mail with nothing else in it."""
    return message_from_fields("", "", tidy(text))


def wrapped(text: str, others: Sequence[str], chance: random.Random) -> Message:
    """The sentence as a person would mail it; at times with another of the same label beside it.

    `others` are sentences of the same corpus and label.
    """
    if chance.random() < BARE_SHARE:
        return plain(text)
    body = tidy(text)
    while others and chance.random() < JOINED_SHARE and len(body) < LONGEST:
        body += chance.choice((" ", "\n\n")) + tidy(chance.choice(others))
    name = chance.choice(NAMES)
    address = f"{name.split()[0].lower()}@{chance.choice(DOMAINS)}"
    parts = (chance.choice(GREETINGS), body, chance.choice(CLOSINGS).format(name=name))
    return message_from_fields(
        chance.choice(SUBJECTS),
        f"{name} <{address}>",
        "\n\n".join(part for part in parts if part),
    )


def tidy(text: str) -> str:
    """One sentence without the marks of its collection (spaced punctuation, `@user`, links)."""
    words = (word for word in join_tokens(text).split() if word not in {"@user", "http"})
    return " ".join(words).strip('" ')
