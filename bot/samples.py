"""Sample surfaces for `filterd-bot preview`: everything that people see, with made-up mail."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bot.cards import GivenLabel, MailCard, gone_blocks, mail_blocks, queue_blocks
from bot.preview import Surface
from bot.records import ASKED
from bot.sample_answers import answer_surfaces
from bot.sample_pages import page_surfaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slack_sdk.models.blocks import Block

    from bot.preview import Kind

NOON = datetime(2026, 11, 26, 9, 12, tzinfo=UTC)
PEOPLE = {"U0ANN00000": "Ann", "U0BOB00000": "Bob", "U0CLEO0000": "Cleo"}
ANN, BOB, _ = PEOPLE

SPAM = MailCard(
    id="01JDMQ3K5V8Z2T0X7R4N6P9W1A",
    sender='"Parcel Service" <delivery@parcel-track.example>',
    subject="Your parcel could not be delivered",
    received=NOON,
    excerpt="Dear customer,\nyour parcel waits at our depot. A fee of 1.99 EUR is still open. Pay "
    "it within 24 hours at https://parcel-track.example/pay or it goes back to the sender.",
    verdict="spam",
    spam=0.9971,
    threshold=0.99,
    sentiment="negative",
    why=(
        "🔴 spam: “Pay it within 24 hours or it goes back to the sender.”",
        "🔴 spam: your labels on “fee”",
    ),
)
HAM = MailCard(
    id="01JDMQ7H2C4Y9S6E1B3G5J8M0D",
    sender="Mara Lindt <mara.lindt@lindt-bakery.example>",
    subject="Complaint: 40 rolls short, again",
    received=NOON - timedelta(minutes=31),
    excerpt="Hello,\nthis is the third time this month that the delivery was short. I would like "
    "to speak with someone who can put this right.\nMara Lindt",
    verdict="spam",
    spam=0.991,
    threshold=0.99,
    sentiment="negative",
    asked=ASKED["doubtful"],
)
HOSTILE = MailCard(
    id="01JDMQ9Z0A1B2C3D4E5F6G7H8J",
    sender="<!channel> <@U0ANN00000> *Boss* <boss@evil.example>",
    subject="<https://evil.example|Click here> \u202egpj.exe :tada: `now`" + " !" * 80,
    received=NOON,
    excerpt="<!here> *Bold* claims, ~struck~ prices, </script><script>alert(1)</script> and\n\n\n\n"
    "https://evil.example/login?next=%2F &lt;b&gt; \u200b\u200b" + "endless " * 200,
    verdict="ham",
    spam=0.62,
    threshold=0.99,
    sentiment="positive",
    why=("<!everyone> *reason*",),
)


def sample_surfaces() -> list[Surface]:
    """All of them, in the order of a day."""
    ham = GivenLabel(7, "spam", "ham", ANN, NOON + timedelta(minutes=4))
    spam = GivenLabel(8, "spam", "spam", BOB, NOON + timedelta(minutes=9))
    return [
        _message("card-spam", "A mail that filterd takes for spam", mail_blocks(SPAM)),
        _message(
            "card-labelled",
            "After a click: who said so, and a way back",
            mail_blocks(replace(HAM, labels=(ham,))),
        ),
        _message(
            "card-disputed",
            "Two people differ",
            mail_blocks(replace(HAM, asked="", labels=(ham, spam))),
        ),
        _message(
            "card-no-text",
            "A site that shows no text of mails",
            mail_blocks(replace(SPAM, excerpt=None, why=())),
        ),
        _message("card-hostile", "A mail that tries tricks", mail_blocks(HOSTILE)),
        _message(
            "card-not-judged",
            "A mail that could not be judged",
            mail_blocks(replace(HAM, judged=False, sentiment=None, asked="")),
        ),
        _message("card-gone", "A mail that is no longer kept", gone_blocks()),
        _message("queue", "The queue", queue_blocks([HAM, SPAM, HOSTILE], left=12), own=True),
        _message(
            "queue-mail", "A mail out of the queue", mail_blocks(HAM, in_queue=True), own=True
        ),
        _message("queue-empty", "Nothing to judge", queue_blocks([], left=0), own=True),
        *answer_surfaces(SPAM, HAM, NOON, PEOPLE),
        *page_surfaces([HAM, SPAM, HOSTILE], NOON, PEOPLE),
    ]


def _message(name: str, title: str, blocks: Sequence[Block], *, own: bool = False) -> Surface:
    """A message in the channel; `own`: only for the one who asked."""
    kind: Kind = "ephemeral" if own else "message"
    return Surface(name, title, kind, [block.to_dict() for block in blocks], people=PEOPLE)
