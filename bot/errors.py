"""What the bot's people can put right: one line each, that says how."""

from __future__ import annotations

from filterd.errors import FilterdError


class RefusedError(Exception):
    """Someone may not, or cannot, do what was clicked; the text is what that person is told."""


class GoneError(RefusedError):
    """It is about a mail that is no longer kept."""

    def __init__(self) -> None:
        super().__init__("That mail is no longer kept: retention has removed it.")


class SlackError(FilterdError):
    """Slack does not take our tokens, or cannot be reached when the bot starts."""

    exit_code = 69  # EX_UNAVAILABLE


class PreviewError(FilterdError):
    """The preview needs npm, Node.js or Chromium, and one is missing or failed."""

    exit_code = 69  # EX_UNAVAILABLE
