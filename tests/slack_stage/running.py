"""The workspace from start to end: its two servers, and the ids of what is in it."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from slack_stage.emulator import LOOPBACK, Emulator
from slack_stage.loop import LoopThread
from slack_stage.people import Person
from slack_stage.shim import Shim
from slack_stage.workspace import (
    ADMIN_TOKEN,
    ALERTS,
    APP_ID,
    APP_TOKEN,
    BOT_ID,
    BOT_TOKEN,
    BOT_USER,
    DESK,
    ELSEWHERE,
    PEOPLE,
    SCOPES,
    SIGNING_SECRET,
)

if TYPE_CHECKING:
    from slack_stage.elements import Json

DIRECT = "directmessage"  # Slack's name for every channel of two people


class Workspace:
    """Use as a context manager. `scopes` are those of the bot's token."""

    app_id = APP_ID
    app_token = APP_TOKEN
    bot_id = BOT_ID
    bot_token = BOT_TOKEN
    bot_user = BOT_USER
    signing_secret = SIGNING_SECRET

    def __init__(self, scopes: tuple[str, ...] = SCOPES) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="filterd-slack-"))
        # Bound before the emulator starts, which must know our address for its own links.
        self._listening = socket.socket()
        self._listening.bind((LOOPBACK, 0))
        self.url = f"http://{LOOPBACK}:{self._listening.getsockname()[1]}"
        self._loop = LoopThread("slack stage")
        self._emulator = Emulator(self._folder, self.url, scopes)
        self._shim = Shim(self._emulator, self.url, scopes)
        self._channels: dict[str, str] = {}
        self.people: dict[str, Person] = {}
        self.team_id = self.team_domain = ""

    def start(self) -> Self:
        """Skips the test, or in CI fails it, where the emulator is not installed."""
        try:
            self._emulator.start()
            self._loop.start()
            self._loop.run(self._shim.start(self._listening))
            self._furnish()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        try:
            if self._loop.running:
                self._loop.run(self._shim.stop())
                self._loop.stop()
        finally:
            self._listening.close()
            self._emulator.stop()
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _furnish(self) -> None:
        """Read the ids the emulator made up; put people and the bot into their channels."""
        users = {user["name"]: user["id"] for user in self._emulator.pages("users.list", "members")}
        self.people = {name: Person(users[name], name, self) for name in PEOPLE}
        self._read_channels()
        everyone = ",".join(person.id for person in self.people.values())
        elsewhere = self.channel_id(ELSEWHERE)
        self.ask("conversations.invite", ADMIN_TOKEN, channel=elsewhere, users=everyone)
        for name in (DESK, ALERTS):
            self.ask("conversations.join", channel=self.channel_id(name))
        team = self.ask("team.info")["team"]
        self.team_id, self.team_domain = team["id"], team["domain"]

    @property
    def log(self) -> str:
        """What the emulator printed."""
        return self._emulator.log

    @property
    def api_url(self) -> str:
        """The base_url for the bot's Web API client."""
        return f"{self.url}/api/"

    def ask(self, method: str, token: str | None = None, **arguments: Any) -> Json:
        """Call the Web API as the bot past the shim: nothing is recorded, no fault applies."""
        return self._emulator.ask(method, token, **arguments)

    def person(self, name: str) -> Person:
        return self.people[name]

    def user_id(self, name: str) -> str:
        return self.bot_user if name == "filterd" else self.people[name].id

    def channel_id(self, name: str) -> str:
        """The id of a channel; an id stays as it is. AssertionError if there is no such channel."""
        if not self._is_channel(name):
            self._read_channels()
        assert self._is_channel(name), f"no channel {name!r}"
        return self._channels.get(name, name)

    def _is_channel(self, name: str) -> bool:
        return name.startswith("D") or name in self._channels or name in self._channels.values()

    def channel_name(self, channel: str) -> str:
        names = {number: name for name, number in self._channels.items()}
        return names.get(channel, DIRECT)

    def direct_channel(self, user: str | Person) -> str:
        """The id of the bot's direct messages with a person."""
        return self.ask("conversations.open", users=id_of(user))["channel"]["id"]

    def _read_channels(self) -> None:
        kinds = "public_channel,private_channel"
        channels = self._emulator.pages("conversations.list", "channels", types=kinds)
        self._channels = {channel["name"]: channel["id"] for channel in channels}


def id_of(user: str | Person) -> str:
    return user.id if isinstance(user, Person) else user
