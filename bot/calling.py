"""The clients for Slack's Web API: one that tries again, and one that leaves that to its caller."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from slack_sdk.http_retry.async_handler import AsyncRetryHandler
from slack_sdk.http_retry.builtin_async_handlers import AsyncConnectionErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.faults import seconds_of

if TYPE_CHECKING:
    from slack_sdk.http_retry.request import HttpRequest
    from slack_sdk.http_retry.response import HttpResponse
    from slack_sdk.http_retry.state import RetryState

    from bot.settings import BotSettings, Tokens

CALL_SECONDS: Final = 15
# Nobody who has clicked waits for longer.
LONGEST_WAIT: Final = 10.0


def eager_client(own: BotSettings, tokens: Tokens) -> AsyncWebClient:
    """For what people wait for: tried once more if the connection breaks or Slack is busy."""
    return _client(own, tokens, [AsyncConnectionErrorRetryHandler(), WaitAsTold()])


def plain_client(own: BotSettings, tokens: Tokens) -> AsyncWebClient:
    """For the poster, which must know of each call: one that broke may have been taken."""
    return _client(own, tokens, [])


def _client(own: BotSettings, tokens: Tokens, handlers: list[AsyncRetryHandler]) -> AsyncWebClient:
    return AsyncWebClient(
        token=tokens.bot.get_secret_value(),
        base_url=own.api_url,
        timeout=CALL_SECONDS,
        retry_handlers=handlers,
    )


class WaitAsTold(AsyncRetryHandler):
    """After a 429, once more when Slack said, if that is soon.

    slack_sdk's own takes the first digit of `Retry-After` for all of it.
    """

    async def _can_retry_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        return (
            response is not None
            and response.status_code == 429
            and seconds_of(response.headers) <= LONGEST_WAIT
        )

    async def prepare_for_next_attempt_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> None:
        """Wait."""
        state.next_attempt_requested = True
        await asyncio.sleep(seconds_of({} if response is None else response.headers))
        state.increment_current_attempt()
