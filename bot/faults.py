"""What may go wrong between us and Slack, and what follows from it. Pure."""

from __future__ import annotations

from typing import Final

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError, SlackObjectFormationError

# Not all of aiohttp's errors are OSErrors: a connection that ends without an answer is none.
FAULTS: Final = (SlackClientError, aiohttp.ClientError, OSError, TimeoutError)

# Slack's words for trouble of its own: the same call may succeed in a minute.
TROUBLED: Final = frozenset(
    {
        "fatal_error",
        "internal_error",
        "ratelimited",
        "rate_limited",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
    }
)
# What Slack will never take, however often it is told.
HOPELESS: Final = frozenset(
    {"invalid_blocks", "invalid_blocks_format", "msg_too_long", "no_text", "invalid_arguments"}
)
# The message was deleted in Slack, or belongs to another app: a card there is no more.
VANISHED: Final = frozenset({"message_not_found", "cant_update_message", "thread_not_found"})
# Somebody must put something right in Slack first.
FOR_PEOPLE: Final = frozenset(
    {
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "not_authed",
        "invalid_auth",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "missing_scope",
        "restricted_action",
    }
)
RETRY_AFTER: Final = 30.0  # seconds, where Slack forgets to say


def reason_of(error: BaseException) -> str:
    """Slack's own word for what is wrong, or the error's kind: never what was sent."""
    if not isinstance(error, SlackApiError):
        return type(error).__name__
    # What stands before Slack answers in words of its own, not always in JSON.
    data = getattr(error.response, "data", None)
    word = data.get("error") if isinstance(data, dict) else None
    return str(word) if word else f"HTTP {_status(error) or 'without a reason'}"


def is_away(error: BaseException) -> bool:
    """Whether Slack has not decided: it gave no answer, or is itself in trouble."""
    if not isinstance(error, SlackApiError):
        return not isinstance(error, SlackObjectFormationError)
    data = getattr(error.response, "data", None)
    decided = isinstance(data, dict) and "error" in data
    return not decided or _status(error) >= 500 or data["error"] in TROUBLED  # type: ignore[index]  # a dict, if decided


def was_not_sent(error: BaseException) -> bool:
    """Whether Slack cannot have got the call."""
    return isinstance(error, aiohttp.ClientConnectorError)


def retry_after(error: BaseException) -> float | None:
    """Seconds until Slack hears us again, if it said that we speak too much."""
    if not isinstance(error, SlackApiError) or _status(error) != 429:
        return None
    headers = getattr(error.response, "headers", None) or {}
    try:
        return max(float(headers.get("Retry-After", RETRY_AFTER)), 0.0)
    except ValueError:
        return RETRY_AFTER


def _status(error: SlackApiError) -> int:
    response = error.response
    return int(getattr(response, "status_code", getattr(response, "status", 0)))
