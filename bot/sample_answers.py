"""Sample answers and dialogues for `filterd-bot preview`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bot.access import Role, refusal
from bot.answers import details_blocks, done_in_bulk, lines_of, said
from bot.commands import help_text
from bot.modals import bulk_modal, find_modal, modal
from bot.preview import Surface, view_surface
from bot.reasons import why_blocks
from filterd.learner.explain import Reason
from filterd.learner.site import Opinion
from filterd.model.explain import Part
from filterd.pipeline import Judgement, read
from filterd.policy import Verdict
from filterd.store.messages import MessageRecord
from filterd.why import Resembled, Voices, Why

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from slack_sdk.models.blocks import Block

    from bot.cards import MailCard

MODEL = "2026-11-26.3"
FOUND = "*2 mails* with “parcel”, newest first"


def answer_surfaces(
    spam: MailCard, ham: MailCard, now: datetime, people: Mapping[str, str]
) -> list[Surface]:
    """What `/filterd …` and buttons answer, and the dialogues."""
    record = record_of(spam)
    ann = next(iter(people))
    why = _why(spam, record, ann, now)
    unknown = "I do not know `quue`. Did you mean `/filterd queue` (the next mails to judge)?"
    return [
        _own("why", "Why?", why_blocks(why, spam.subject), people),
        _own("details", "Details…", details_blocks(record), people),
        _own(
            "find", "/filterd find parcel", lines_of([spam, ham], "*2 mails* with “parcel”"), people
        ),
        _own("help", "/filterd help", said(help_text(Role.TRUSTED)), people),
        _own("unknown", "/filterd quue", said(unknown), people),
        _own("refused", "/filterd rollback", said(refusal(Role.LABELLER, "rollback")), people),
        view_surface(
            "bulk", "Similar mails…", bulk_modal("similar", [spam] * 14).to_dict(), people=people
        ),
        view_surface(
            "bulk-done",
            "… after it was sent",
            modal("Labelled", done_in_bulk("spam", range(14), 0)).to_dict(),
            people=people,
        ),
        view_surface(
            "which-mail",
            "“Label this mail” on a message that names none",
            find_modal("I cannot see which mail this message is about. Which one is it?").to_dict(),
            people=people,
        ),
    ]


def record_of(mail: MailCard) -> MessageRecord:
    """A record that such a mail may have."""
    return MessageRecord(
        id=mail.id,
        received_at=mail.received,
        client_address="192.0.2.17",
        helo="mail.parcel-track.example",
        sender="bounce@parcel-track.example",
        recipients=("office@shop.example",),
        size=18_204,
        ms=14.2,
        digest="",
        subject=mail.subject,
        from_address="delivery@parcel-track.example",
        message_id="<20261126.9@parcel-track.example>",
        verdict=mail.verdict,
        spam=mail.spam,
        threshold=mail.threshold,
        model=MODEL,
        outcome="250 2.0.0 Ok: queued as 7C1F2",
    )


def _why(mail: MailCard, record: MessageRecord, by: str, now: datetime) -> Why:
    judged = Judgement(
        verdict=Verdict.SPAM,
        spam=mail.spam,
        opinion=Opinion(mail.spam, 0.93),
        threshold=mail.threshold,
        sentiment=mail.sentiment,
        sentiment_score=0.7,
        scores={},
        model=MODEL,
        reading=read(b"Subject: a sample\r\n\r\n"),
        embedding=np.empty(0, np.float32),
        ms=record.ms,
    )
    return Why(
        judged=judged,
        voices=Voices(2.1, 1.2, 2.9, 6.2),
        parts=[
            Part("text", "Pay it within 24 hours or it goes back to the sender.", 1.9),
            Part("links", "links: parcel-track.example", 1.1),
            Part("text", "your parcel waits at our depot.", -0.6),
        ],
        reasons=[
            Reason("“fee”", 0.9),
            Reason("from parcel-track.example", 0.7),
            Reason("“depot”", -0.5),
        ],
        near=Resembled(
            "01JDKZ7M3N9P2Q4R6S8T0V1W2X",
            "Your delivery is on hold",
            "spam",
            by,
            now.isoformat(timespec="seconds"),
            0.91,
        ),
        labels=1_284,
        recorded=record,
    )


def _own(name: str, title: str, blocks: Sequence[Block], people: Mapping[str, str]) -> Surface:
    """An answer that only the one who asked can see."""
    return Surface(name, title, "ephemeral", [block.to_dict() for block in blocks], people=people)
