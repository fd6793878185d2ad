"""Says what stands in `slack_posts`, in order: one message a second in a channel, and none twice.

Only the replica on duty runs it. What Slack does not take now is tried later; what it never will
is given up with a reason. Each attempt is noted before it is made, so that after a crash it looks
in the channel first.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from slack_sdk.errors import SlackApiError

from bot.showing import FAULTS
from filterd.errors import StoreError
from filterd.store import posts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from slack_sdk.models.blocks import Block
    from slack_sdk.web.async_client import AsyncWebClient

    from bot.desk import Desk
    from filterd.store.posts import Post

# Slack's limit for messages in one channel.
SECONDS_BETWEEN = 1.05
LOOK_SECONDS = 0.2
AT_ONCE = 200
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0  # seconds until another attempt, doubled each time
PAUSE_FOR_PEOPLE = 60.0  # where somebody must put something right in Slack
# Of a refusal that we do not know; an outage of Slack is none.
MOST_REFUSALS = 10
# The event name in a message's metadata, by which it is found again after a crash.
EVENT = "filterd_post"
# What Slack will never take, however often it is told.
HOPELESS = frozenset(
    {"invalid_blocks", "invalid_blocks_format", "msg_too_long", "no_text", "invalid_arguments"}
)
# The message was deleted in Slack, or belongs to another app: a card there is no more.
VANISHED = frozenset({"message_not_found", "cant_update_message", "thread_not_found"})
FOR_PEOPLE = frozenset(
    {
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "invalid_auth",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "missing_scope",
        "restricted_action",
    }
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Said:
    """What a post shows: blocks, the same in a line, and which of its changes that is."""

    blocks: Sequence[Block]
    text: str
    change: int


class Poster:
    """`run` until cancelled. `render` makes of a post what it should show now."""

    def __init__(
        self,
        client: AsyncWebClient,
        desk: Desk,
        render: Callable[[Post], Awaitable[Said]],
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._desk = desk
        self._render = render
        self._now = now
        self._clock = clock
        self._free_at: dict[str, float] = {}

    async def run(self) -> None:
        """Say what there is to say, for ever."""
        while True:
            try:
                await self.say_all()
            except StoreError as error:
                log.warning("cannot look for posts", error=str(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def say_all(self) -> None:
        """One round: of each channel that is free, the first post that is due."""
        busy: set[str] = set()
        for post in await self._desk.read(posts.pending_posts, AT_ONCE):
            if post.channel in busy:
                continue
            if self._clock() < self._free_at.get(post.channel, 0.0):
                busy.add(post.channel)
                continue
            # Later ones wait for one that Slack could not take: they may be about it.
            busy.add(post.channel)
            if post.next_at <= self._now():
                await self._say(post)

    async def _say(self, post: Post) -> None:
        said = await self._render(post)
        unsure = post.ts is None and post.attempts > 0
        pause = min(FIRST_PAUSE * 2 ** min(post.attempts, 10), LONGEST_PAUSE)
        again = self._now() + timedelta(seconds=pause)
        await self._desk.write(posts.begin_post, post, again)
        self._free_at[post.channel] = self._clock() + SECONDS_BETWEEN
        try:
            ts = post.ts or (await self._find(post) if unsure else None)
            ts = await (self._post(post, said) if ts is None else self._update(post, said, ts))
        except SlackApiError as error:
            await self._refused(post, error)
        except FAULTS as error:
            log.warning("slack away, trying again", post=post.key, error=type(error).__name__)
        else:
            await self._desk.write(posts.said_post, post, ts, said.change)
            log.info("said", post=post.key, change=said.change)

    async def _post(self, post: Post, said: Said) -> str:
        thread = await self._thread_of(post)
        answer = await self._client.chat_postMessage(
            channel=post.channel,
            text=said.text,
            blocks=said.blocks,
            thread_ts=thread,
            unfurl_links=False,
            unfurl_media=False,
            metadata={"event_type": EVENT, "event_payload": {"key": post.key}},
        )
        return str(answer["ts"])

    async def _update(self, post: Post, said: Said, ts: str) -> str:
        await self._client.chat_update(
            channel=post.channel, ts=ts, text=said.text, blocks=said.blocks
        )
        return ts

    async def _find(self, post: Post) -> str | None:
        """A post that Slack may have taken without our hearing of it."""
        oldest = str((post.created_at - timedelta(minutes=1)).timestamp())
        answer = await self._client.conversations_history(
            channel=post.channel, oldest=oldest, limit=200, include_all_metadata=True
        )
        for message in answer["messages"]:
            payload = (message.get("metadata") or {}).get("event_payload") or {}
            if payload.get("key") == post.key:
                return str(message["ts"])
        return None

    async def _thread_of(self, post: Post) -> str | None:
        if post.answers is None:
            return None
        first = await self._desk.read(posts.get_post, post.answers)
        return None if first is None else first.ts

    async def _refused(self, post: Post, error: SlackApiError) -> None:
        reason = str(error.response.get("error", "unknown"))
        seconds = _retry_after(error)
        if seconds is not None:
            self._free_at[post.channel] = self._clock() + seconds
            await self._desk.write(posts.delay_post, post, self._later(seconds))
        elif reason in HOPELESS or reason in VANISHED:
            log.error("slack will not take a post", post=post.key, error=reason)
            await self._desk.write(posts.give_up_post, post, reason)
        elif reason in FOR_PEOPLE:
            log.error("slack refuses", post=post.key, channel=post.channel, error=reason)
            await self._desk.write(posts.delay_post, post, self._later(PAUSE_FOR_PEOPLE))
        elif post.attempts >= MOST_REFUSALS:
            log.error("slack refuses, given up", post=post.key, error=reason)
            await self._desk.write(posts.give_up_post, post, reason)
        else:
            log.warning("slack refuses, trying again", post=post.key, error=reason)

    def _later(self, seconds: float) -> datetime:
        return self._now() + timedelta(seconds=seconds)


def _retry_after(error: SlackApiError) -> float | None:
    """Seconds until Slack hears us again, if it said that we speak too much."""
    response: Any = error.response
    if response.status_code != 429:
        return None
    return float(response.headers.get("Retry-After", 30))
