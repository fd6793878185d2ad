"""Message records for the store's tests and benchmark."""

from datetime import UTC, datetime, timedelta

from filterd.store.messages import MessageRecord

MORNING = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def make_record(number, **changes):
    """The record of an unremarkable ham, `number` seconds after eight in the morning."""
    values = {
        "id": f"{number:026d}",
        "received_at": MORNING + timedelta(seconds=number),
        "client_address": "192.0.2.1",
        "helo": "mx.example.org",
        "sender": "ann@example.org",
        "recipients": ("bob@example.com", "carol@example.com"),
        "size": 3600,
        "ms": 20.5,
        "digest": "ab" * 32,
        "subject": f"Minutes {number}",
        "from_address": "ann@example.org",
        "from_domain": "example.org",
        "message_id": f"<{number}@example.org>",
        "verdict": "ham",
        "spam": 0.02,
        "threshold": 0.9,
        "sentiment": "neutral",
        "scores": {"spam": {"ham": 0.98, "spam": 0.02}},
        "model": "2026-11-23.1",
        "outcome": "250 2.0.0 OK",
        "text": "The minutes of today's meeting.",
    }
    return MessageRecord(**{**values, **changes})
