"""Says what stands in `slack_posts`, in order: one message a second in a channel, and none twice.

Only the replica on duty runs it. What Slack does not take now is tried later; what it never will
is given up with a reason. Each attempt is noted before it is made, so that after a crash it looks
in the channel first.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from slack_sdk.errors import SlackObjectFormationError

from bot.faults import (
    FAULTS,
    FOR_PEOPLE,
    HOPELESS,
    VANISHED,
    is_away,
    reason_of,
    retry_after,
    was_not_sent,
)
from filterd.errors import StoreError
from filterd.store import posts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from slack_sdk.models.blocks import Block
    from slack_sdk.web.async_client import AsyncWebClient

    from bot.desk import Desk
    from filterd.store.posts import Post

LOOK_SECONDS = 0.2
# Of a refusal that we do not know.
MOST_REFUSALS = 10
# The event name in a message's metadata, by which it is found again after a crash.
EVENT = "filterd_post"
MESSAGES_AT_ONCE, MOST_PAGES = 200, 25
# Of an attempt's time, how much may go by between noting and making it.
LATEST_START = 0.2
LAST_SECONDS = 5.0  # for what is being said when the bot stops

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between messages in a channel (Slack's limit), until another attempt (doubled each
    time), and until one where somebody must put something right in Slack.

    `attempt`: until one is over, whatever became of it. Longer than a call may last, so that
    nobody else begins meanwhile.
    """

    between: float = 1.05
    first_pause: float = 2.0
    longest_pause: float = 60.0
    for_people: float = 60.0
    attempt: float = 20.0


@dataclass(frozen=True, slots=True)
class Said:
    """What a post shows: blocks, the same in a line, and which of its changes that is."""

    blocks: Sequence[Block]
    text: str
    change: int


class Poster:
    """`run` until cancelled. `render` makes of a post what it should show now.

    `client` must not try calls again by itself.
    """

    def __init__(
        self,
        client: AsyncWebClient,
        desk: Desk,
        render: Callable[[Post], Awaitable[Said]],
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        pace: Pace,
    ) -> None:
        self._client = client
        self._desk = desk
        self._render = render
        self._now = now
        self._clock = clock
        self._pace = pace
        # By channel: when it may be spoken in again, and calls in a row that came to nothing.
        self._free_at: dict[str, float] = {}
        self._failures: Counter[str] = Counter()
        self._refusals: Counter[int] = Counter()  # by post

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
        for post in await self._desk.read(posts.first_pending, self._now()):
            if (
                self._clock() >= self._free_at.get(post.channel, 0.0)
                and post.next_at <= self._now()
            ):
                await _to_its_end(self._say(post))

    async def _say(self, post: Post) -> None:
        thread = await self._thread_of(post)
        if post.answers is not None and thread is None:
            await self._give_up(post, "what it answers was never said")
            return
        try:
            said = await self._render(post)
        except StoreError:
            raise
        except Exception as error:
            # Whatever it is, it must not keep all that comes after from being said.
            log.exception("a post cannot be shown", post=post.key)
            await self._give_up(post, f"cannot be shown: {type(error).__name__}")
            return
        noted_at, attempt = self._now(), timedelta(seconds=self._pace.attempt)
        if not await self._desk.write(posts.begin_post, post, noted_at + attempt):
            return
        if self._now() - noted_at > LATEST_START * attempt:
            return  # the process stood still, or the database did: somebody else may be at it
        await self._attempt(post, said, thread)

    async def _attempt(self, post: Post, said: Said, thread: str | None) -> None:
        finding = post.ts is None and post.attempts > 0
        pause = 0.0
        try:
            ts = post.ts or (await self._find(post, thread) if finding else None)
            finding = False
            if ts is None:
                ts = await self._post(post, said, thread)
            else:
                await self._update(post, said, ts)
        except FAULTS as error:
            pause = await self._failed(post, error, finding=finding)
        else:
            del self._failures[post.channel], self._refusals[post.id]
            await self._desk.write(posts.said_post, post, ts, said.change)
            log.info("said", post=post.key, change=said.change)
        finally:
            # From when the call is over, since it may take longer to Slack than the next one.
            self._free_at[post.channel] = self._clock() + max(self._pace.between, pause)

    async def _post(self, post: Post, said: Said, thread: str | None) -> str:
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

    async def _update(self, post: Post, said: Said, ts: str) -> None:
        await self._client.chat_update(
            channel=post.channel, ts=ts, text=said.text, blocks=said.blocks
        )

    async def _find(self, post: Post, thread: str | None) -> str | None:
        """A post that Slack may have taken without our hearing of it."""
        oldest = str((post.created_at - timedelta(minutes=1)).timestamp())
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            which: dict[str, Any] = {
                "channel": post.channel,
                "oldest": oldest,
                "cursor": cursor,
                "limit": MESSAGES_AT_ONCE,
                "include_all_metadata": True,
            }
            if thread is None:
                answer = await self._client.conversations_history(**which)
            else:
                answer = await self._client.conversations_replies(ts=thread, **which)
            for message in answer["messages"]:
                payload = (message.get("metadata") or {}).get("event_payload") or {}
                if payload.get("key") == post.key:
                    return str(message["ts"])
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
        return None

    async def _thread_of(self, post: Post) -> str | None:
        if post.answers is None:
            return None
        first = await self._desk.read(posts.get_post, post.answers)
        return None if first is None else first.ts

    async def _failed(self, post: Post, error: Exception, *, finding: bool) -> float:
        """Note what became of an attempt; seconds until the channel may be spoken in again."""
        reason = reason_of(error)
        unsure = post.attempts if finding or was_not_sent(error) else 0
        seconds = retry_after(error)
        if seconds is not None:
            log.warning("slack is busy", post=post.key, seconds=seconds)
        elif is_away(error):
            unsure = post.attempts if finding or was_not_sent(error) else post.attempts + 1
            seconds = self._longer_pause(post)
            log.warning("slack away, trying again", post=post.key, error=reason, seconds=seconds)
        elif isinstance(error, SlackObjectFormationError):
            await self._give_up(post, f"cannot be shown: {reason}")
        elif reason in VANISHED or (reason in HOPELESS and not finding):
            await self._give_up(post, reason)
        elif reason in FOR_PEOPLE:
            seconds = self._pace.for_people
            log.error("slack refuses", post=post.key, channel=post.channel, error=reason)
        elif self._refusals[post.id] + 1 >= MOST_REFUSALS:
            await self._give_up(post, reason)
        else:
            self._refusals[post.id] += 1
            seconds = self._longer_pause(post)
            log.warning("slack refuses, trying again", post=post.key, error=reason)
        if seconds is None:
            return 0.0
        next_at = self._now() + timedelta(seconds=seconds)
        await self._desk.write(posts.delay_post, post, next_at, unsure)
        return seconds

    def _longer_pause(self, post: Post) -> float:
        times = self._failures[post.channel]
        self._failures[post.channel] += 1
        return min(self._pace.first_pause * 2.0 ** min(times, 10), self._pace.longest_pause)

    async def _give_up(self, post: Post, reason: str) -> None:
        log.error("a post is given up", post=post.key, error=reason)
        del self._refusals[post.id]
        await self._desk.write(posts.give_up_post, post, reason)


async def _to_its_end(work: Awaitable[None]) -> None:
    """Await it; who is cancelled meanwhile lets it end, so that what Slack takes is noted."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=LAST_SECONDS)
        task.cancel()
        raise
