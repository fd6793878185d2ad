"""The stage itself: one workspace, for one test module, that the bot may take for Slack.

All methods are plain and safe from any thread. In a coroutine use `asyncio.to_thread`: they wait.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from slack_stage.faults import Fault
from slack_stage.posting import body_and_type, post
from slack_stage.records import PATIENCE, Ack, Call, Delivery, Ephemeral, Response
from slack_stage.running import Workspace, id_of
from slack_stage.signing import signature_headers
from slack_stage.triggers import SECONDS
from slack_stage.workspace import SCOPES, SIGNING_SECRET

if TYPE_CHECKING:
    from collections.abc import Callable

    from slack_stage.elements import Json
    from slack_stage.people import Person
    from slack_stage.response_urls import Origin

T = TypeVar("T")
Way = Literal["http", "socket"]


class Slack(Workspace):
    """What happened, what people see, faults, and payloads to the bot.

    Settable: `bot_url`, where payloads go by HTTP; `groups`, user group -> user ids;
    `trigger_seconds`; `patience`, how long a delivery waits for its answer.
    """

    def __init__(self, scopes: tuple[str, ...] = SCOPES) -> None:
        super().__init__(scopes)
        self.reset()

    def reset(self) -> None:
        """As for a new test: nothing recorded, nothing set, no faults. Messages and Homes stay."""
        self.clear()
        self._shim.faults.clear()
        self._shim.groups.clear()
        self._shim.triggers.seconds = SECONDS
        self.bot_url = ""
        self.patience = PATIENCE

    # What happened

    def calls(self, method: str | None = None) -> list[Call]:
        """The bot's calls in the order in which they came, refused ones too."""
        calls = [call for call in self._shim.records.copy("calls") if method in (None, call.method)]
        return sorted(calls, key=lambda call: call.at)

    @property
    def unanswered(self) -> list[Call]:
        """Calls that came while Slack was down."""
        return self._shim.records.copy("unanswered")

    @property
    def responses(self) -> list[Response]:
        """What was posted to response_urls."""
        return self._shim.records.copy("responses")

    @property
    def acks(self) -> list[Ack]:
        return self._shim.records.copy("acks")

    def clear(self) -> None:
        """Forget what happened: calls, answers, acks, views, ephemeral messages."""
        self._shim.records.clear()

    def wait_until(
        self, condition: Callable[[], T], what: str = "", seconds: float = PATIENCE
    ) -> T:
        """The first true value of `condition`, asked anew whenever the bot did something here.

        AssertionError with `what` if it stays false.
        """
        return self._shim.records.wait_until(condition, what or "what the test says", seconds)

    def wait_for_call(self, method: str, count: int = 1, seconds: float = PATIENCE) -> Call:
        """The `count`th call of a method since `clear`."""

        def called() -> list[Call]:
            calls = self.calls(method)
            return calls if len(calls) >= count else []

        return self.wait_until(called, f"call {count} of {method}", seconds)[count - 1]

    def wait_for_response(self, count: int = 1, seconds: float = PATIENCE) -> Response:
        """The `count`th POST to a response_url since `clear`."""
        return self.wait_until(lambda: self.responses[count - 1 :], f"response {count}", seconds)[0]

    def wait_for_sockets(self, count: int = 1, seconds: float = PATIENCE) -> None:
        """Until exactly so many sockets are connected."""
        self.wait_until(lambda: self.socket_count == count, f"{count} sockets", seconds)

    # What people see

    def messages(self, channel: str) -> list[Json]:
        """The messages of a channel without those in threads, oldest first; `channel` is in each."""
        number = self.channel_id(channel)
        found = self._emulator.pages("conversations.history", "messages", channel=number)
        return [message | {"channel": number} for message in reversed(found)]

    def thread(self, channel: str, ts: str) -> list[Json]:
        """A message and its replies, oldest first."""
        number = self.channel_id(channel)
        found = self.ask("conversations.replies", channel=number, ts=ts)["messages"]
        return [message | {"channel": number} for message in found]

    def home(self, user: str | Person) -> Json | None:
        """A person's Home tab as last published."""
        return self._shim.records.homes.get(id_of(user))

    def views(self, user: str | Person | None = None) -> list[Json]:
        """Modals as they were opened, pushed or changed, newest last; of one person or of all."""
        views, owners = self._shim.records.copy("views"), self._shim.records.owners
        wanted = None if user is None else id_of(user)
        return [view for view in views if wanted in (None, owners.get(view["id"]))]

    def ephemerals(self, user: str | Person) -> list[Ephemeral]:
        """What a person alone was shown, newest last: posts and answers to clicks and commands."""
        return [each for each in self._shim.records.copy("ephemerals") if each.user == id_of(user)]

    # Faults

    def go_down(self) -> None:
        """Until `come_back` every connection is closed without an answer, and no socket stays."""
        self._loop.run(self._shim.go_down())
        self.wait_for_sockets(0)

    def come_back(self) -> None:
        self._shim.faults.down = False

    def rate_limit(self, method: str, seconds: int, times: int = 1) -> None:
        """429 to the next calls of a method (or to `response_url`), with Retry-After."""
        self._shim.faults.plan(method, Fault("ratelimited", retry_after=seconds), times)

    def fail(self, method: str, error: str, times: int = 1) -> None:
        """An error to the next calls of a method (or to `response_url`)."""
        self._shim.faults.plan(method, Fault(error), times)

    def delay(self, method: str, seconds: float) -> None:
        """Slow answers to a method (or to `response_url`) from now on; 0 ends it."""
        self._shim.faults.delay(method, seconds)

    @property
    def socket_count(self) -> int:
        return self._shim.sockets.count

    def disconnect_sockets(self, reason: str = "refresh_requested") -> None:
        """Tell all sockets to connect anew, and close them."""
        self._loop.run(self._shim.sockets.disconnect(reason))

    # To the bot

    @property
    def groups(self) -> dict[str, list[str]]:
        return self._shim.groups

    @property
    def trigger_seconds(self) -> float:
        return self._shim.triggers.seconds

    @trigger_seconds.setter
    def trigger_seconds(self, seconds: float) -> None:
        self._shim.triggers.seconds = seconds

    def new_trigger(self, user: str, view_id: str | None = None) -> str:
        return self._shim.triggers.new(user, view_id)

    def new_response_url(self, origin: Origin) -> str:
        return f"{self.url}/response/{self._shim.response_urls.new(origin)}"

    def send(self, payload: Json, by: Way = "http", **options: Any) -> Delivery:
        """As `deliver`, with the type read from the payload."""
        return self.deliver(kind_of(payload), payload, by, **options)

    def deliver(
        self,
        payload_type: str,
        payload: Json,
        by: Way = "http",
        *,
        retry: int | None = None,
        retry_reason: str = "timeout",
        secret: str | None = SIGNING_SECRET,
        age: float = 0.0,
    ) -> Delivery:
        """Hand a payload to the bot, and wait for its answer or ack.

        `payload_type` is `interactive`, `slash_commands` or `events_api`. `retry`: it is the n-th
        repetition. By HTTP a `secret` of somebody else makes a bad signature and None no signature
        at all; `age` puts the timestamp so many seconds back.
        """
        if "trigger_id" in payload:
            self._shim.triggers.delivered(payload["trigger_id"])
        if by == "socket":
            envelope = _envelope(payload_type, payload, retry, retry_reason)
            waiting = self._shim.sockets.deliver(envelope, self.patience)
            delivery = self._loop.run(waiting, self.patience + 5)
        else:
            body, content_type = body_and_type(payload_type, payload)
            headers = {"Content-Type": content_type, "User-Agent": "Slackbot 1.0"}
            if secret is not None:
                headers |= signature_headers(secret, int(time.time() - age), body)
            if retry is not None:
                headers |= {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": retry_reason}
            delivery = post(self.bot_url, body, headers, self.patience)
        if delivery.ok:
            self._apply(payload, delivery.body)
        return delivery

    def _apply(self, payload: Json, body: Json) -> None:
        """What Slack does with the answer itself: a command's text is shown, a modal changes."""
        answers = self._shim.answers
        if "command" in payload and (body.get("text") or body.get("blocks")):
            token = payload["response_url"].rpartition("/")[2]
            origin = self._shim.response_urls.origin(token)
            self._loop.run(answers.apply(origin, body))
        elif payload.get("type") == "view_submission":
            user, view = payload["user"]["id"], payload["view"]["id"]
            self._loop.run(answers.apply_view(user, view, body))


def kind_of(payload: Json) -> str:
    """The type of an envelope for a payload."""
    if "command" in payload:
        return "slash_commands"
    return "events_api" if "event" in payload or "challenge" in payload else "interactive"


def _envelope(kind: str, payload: Json, retry: int | None, reason: str) -> Json:
    retried = {} if retry is None else {"retry_attempt": retry, "retry_reason": reason}
    return {
        "envelope_id": secrets.token_hex(16),
        "type": kind,
        "payload": payload,
        "accepts_response_payload": kind != "events_api",
        **retried,
    }
