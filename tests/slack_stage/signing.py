"""Slack's signature on what it posts, version v0 of Slack's "verifying requests"."""

from __future__ import annotations

import hashlib
import hmac


def signature_headers(secret: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The two headers by which an app knows that Slack sent `body` at `timestamp` (Unix time)."""
    signed = b"v0:%d:%s" % (timestamp, body)
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": str(timestamp), "X-Slack-Signature": f"v0={digest}"}
