"""A small Bolt app with which the stage itself is tested; not filterd's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from aiohttp import web
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from slack_stage.loop import LoopThread

if TYPE_CHECKING:
    from slack_stage.slack import Slack

PING_SECONDS = 0.5


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def button(action_id: str, value: str = "7") -> dict[str, Any]:
    return {"type": "button", "text": plain(action_id), "action_id": action_id, "value": value}


MENU = {
    "type": "static_select",
    "action_id": "mood",
    "placeholder": plain("Mood"),
    "options": [{"text": plain(word), "value": word} for word in ("bad", "good")],
}
BUTTONS = ("take", "why", "look", "post", "remove")
CARD = [
    {
        "type": "actions",
        "block_id": "mail:7",
        "elements": [*(button(name) for name in BUTTONS), MENU],
    }
]
LIST = [
    {
        "type": "section",
        "block_id": f"row:{number}",
        "text": plain(f"mail {number}"),
        "accessory": button("open", str(number)),
    }
    for number in range(3)
]


def form(title: str = "Form") -> dict[str, Any]:
    """A modal with an input, a menu that begins somewhere, and a button."""
    word = {"type": "plain_text_input", "action_id": "word"}
    mood = {**MENU, "initial_option": MENU["options"][0]}
    return {
        "type": "modal",
        "callback_id": "form",
        "private_metadata": "mail 7",
        "title": plain(title),
        "submit": plain("Send"),
        "blocks": [
            {"type": "input", "block_id": "input", "label": plain("Word"), "element": word},
            {"type": "input", "label": plain("Mood"), "element": mood},
            {"type": "actions", "elements": [button("deeper")]},
        ],
    }


def sample_app(slack: Slack, retries: list[tuple[str, str]]) -> AsyncApp:
    """Does something of every kind that filterd's bot does; notes what was delivered again."""
    client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
    app = AsyncApp(client=client, signing_secret=slack.signing_secret)

    @app.use
    async def note(req, next_):
        number = req.headers.get("x-slack-retry-num")
        if number:
            retries.append((number[0], req.headers["x-slack-retry-reason"][0]))
        await next_()

    @app.action("take")
    async def take(ack, respond, body):
        await ack()
        await respond(replace_original=True, text=f"taken by <@{body['user']['id']}>", blocks=CARD)

    @app.action("why")
    async def why(ack, respond):
        await ack()
        await respond(text="because", response_type="ephemeral", blocks=CARD)

    @app.action("post")
    async def post(ack, respond):
        await ack()
        await respond(text="for all", response_type="in_channel")

    @app.action("remove")
    async def remove(ack, respond):
        await ack()
        await respond(delete_original=True)

    @app.action("look")
    async def look(ack, body, client):
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=form())

    @app.action("deeper")
    async def deeper(ack, body, client):
        await ack()
        await client.views_push(trigger_id=body["trigger_id"], view=form("Deeper"))

    @app.command("/filterd")
    async def command(ack, command):
        await ack(f"you said {command['text']}")

    @app.view("form")
    async def submitted(ack, view):
        word = view["state"]["values"]["input"]["word"]["value"]
        if word == "wrong":
            await ack(response_action="errors", errors={"input": "no"})
        else:
            await ack(response_action="update", view=form(f"Got {word}"))

    @app.shortcut("explain")
    async def explain(ack, respond, shortcut):
        await ack()
        await respond(text=f"you chose {shortcut['message']['text']}")

    @app.event("app_home_opened")
    async def home(event, client):
        view = {"type": "home", "blocks": LIST}
        await client.views_publish(user_id=event["user"], view=view)

    return app


class SampleBot:
    """The app in a thread of its own, reached by HTTP and, once `connect`ed, by sockets."""

    def __init__(self, slack: Slack) -> None:
        self.retries: list[tuple[str, str]] = []
        self._slack = slack
        self._loop = LoopThread("sample bot")
        self._handlers: list[AsyncSocketModeHandler] = []
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> Self:
        self._loop.start()
        self._loop.run(self._serve())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._end())
        self._loop.stop()

    def connect(self) -> None:
        """One more socket."""
        self._loop.run(self._connect())
        self._slack.wait_for_sockets(len(self._handlers))

    async def _serve(self) -> None:
        self._app = sample_app(self._slack, self.retries)
        self._runner = web.AppRunner(self._app.web_app("/slack/events"), access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self._slack.bot_url = f"http://{host}:{port}/slack/events"

    async def _connect(self) -> None:
        handler = AsyncSocketModeHandler(
            self._app, self._slack.app_token, ping_interval=PING_SECONDS
        )
        self._handlers.append(handler)
        await handler.connect_async()

    async def _end(self) -> None:
        for handler in self._handlers:
            await handler.close_async()
        await self._runner.cleanup()
