"""How Slack posts to an app's request URL."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

from slack_stage.records import Delivery

FORM = "application/x-www-form-urlencoded"


def body_and_type(kind: str, payload: dict[str, Any]) -> tuple[bytes, str]:
    """The bytes of a payload and their content type: clicks and commands are forms."""
    if kind == "interactive":
        return urlencode({"payload": json.dumps(payload)}).encode(), FORM
    if kind == "slash_commands":
        return urlencode(payload).encode(), FORM
    assert kind == "events_api", f"unknown kind of payload: {kind}"
    return json.dumps(payload).encode(), "application/json"


def post(url: str, body: bytes, headers: dict[str, str], seconds: float) -> Delivery:
    """Post and wait for the answer, at most `seconds` between any two parts of it."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=seconds)
    start = time.monotonic()
    try:
        connection.request("POST", where.path or "/", body, {**headers, "Connection": "close"})
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return Delivery(0, {}, time.monotonic() - start, str(error) or type(error).__name__)
    finally:
        connection.close()
    seconds_taken = time.monotonic() - start
    return Delivery(answer.status, _as_dict(text), seconds_taken)


def _as_dict(text: str) -> dict[str, Any]:
    """As Slack reads an answer: JSON, or text to be shown."""
    if text.startswith("{"):
        return json.loads(text)
    return {"text": text} if text else {}
