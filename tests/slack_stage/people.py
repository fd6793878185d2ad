"""What people do, as the payloads Slack makes of it. Building one sends nothing."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slack_stage.elements import action, find, state, with_block_ids
from slack_stage.records import Ephemeral
from slack_stage.response_urls import Origin
from slack_stage.workspace import APP_ID, BOT_ID, BOT_USER, VERIFICATION_TOKEN, token_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slack_stage.elements import Json
    from slack_stage.slack import Slack


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the workspace. Messages are given as `Slack.messages` or `.thread` return them,
    private ones as `Slack.ephemerals` does, modals and Home tabs as `.views` and `.home` do.
    """

    id: str
    name: str
    slack: Slack = field(repr=False, compare=False)

    def click(
        self,
        where: Json | Ephemeral,
        action_id: str,
        *,
        chosen: Any = None,
        value: str | None = None,
        block_id: str | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> Json:
        """A `block_actions` payload: the element `action_id` of a message, modal or Home tab.

        `chosen`: the value of the option picked in a menu (a list for checkboxes), or the text,
        date or id put into another input. `value` and `block_id` tell apart elements that share an
        action id. `values`: what is in the other inputs, by action id.
        """
        ephemeral = isinstance(where, Ephemeral)
        blocks = with_block_ids(where.blocks if ephemeral else where.get("blocks", []))
        block, element = find(blocks, action_id, value=value, block_id=block_id)
        clicked = action(block, element, chosen, _now())
        filled = dict(values or {})
        if chosen is not None and element["type"] != "overflow":
            filled[action_id] = chosen
        held = state(blocks, filled)
        if ephemeral:
            place = self._at_ephemeral(where) | {"state": held}
        elif "root_view_id" in where:
            place = self._in_view(where, blocks, held)
        else:
            place = self._at_message(where, blocks) | {"state": held}
        return self._payload("block_actions") | place | {"actions": [clicked]}

    def _at_message(self, message: Json, blocks: list[Json]) -> Json:
        thread = {"thread_ts": message["thread_ts"]} if "thread_ts" in message else {}
        origin = Origin(
            self.id, message["channel"], message["ts"], thread_ts=thread.get("thread_ts")
        )
        return {
            "container": {
                "type": "message",
                "message_ts": message["ts"],
                "channel_id": message["channel"],
                "is_ephemeral": False,
                **thread,
            },
            "channel": self._channel(message["channel"]),
            "message": _as_sent(message, self.slack.team_id) | {"blocks": blocks},
            "trigger_id": self.slack.new_trigger(self.id),
            "response_url": self.slack.new_response_url(origin),
        }

    def _at_ephemeral(self, shown: Ephemeral) -> Json:
        """Slack keeps no ephemeral message, so the payload has none."""
        thread = {"thread_ts": shown.thread_ts} if shown.thread_ts else {}
        origin = Origin(self.id, shown.channel, shown.ts, ephemeral=True, thread_ts=shown.thread_ts)
        return {
            "container": {
                "type": "message",
                "message_ts": shown.ts,
                "channel_id": shown.channel,
                "is_ephemeral": True,
                **thread,
            },
            "channel": self._channel(shown.channel),
            "trigger_id": self.slack.new_trigger(self.id),
            "response_url": self.slack.new_response_url(origin),
        }

    def _in_view(self, view: Json, blocks: list[Json], held: Json) -> Json:
        return {
            "container": {"type": "view", "view_id": view["id"]},
            "view": self._view(view, blocks, held),
            "trigger_id": self.slack.new_trigger(self.id, self._modal(view)),
        }

    def slash(self, channel: str, text: str = "", command: str = "/filterd") -> Json:
        """A slash command typed in a channel (its id or name)."""
        channel = self.slack.channel_id(channel)
        return {
            "token": VERIFICATION_TOKEN,
            "team_id": self.slack.team_id,
            "team_domain": self.slack.team_domain,
            "channel_id": channel,
            "channel_name": self._channel(channel)["name"],
            "user_id": self.id,
            "user_name": self.name,
            "command": command,
            "text": text,
            "api_app_id": APP_ID,
            "is_enterprise_install": "false",
            "response_url": self.slack.new_response_url(Origin(self.id, channel)),
            "trigger_id": self.slack.new_trigger(self.id),
        }

    def shortcut(self, callback_id: str, message: Json | None = None) -> Json:
        """A shortcut of a message's menu; without a message, a global one."""
        chosen = {
            "callback_id": callback_id,
            "trigger_id": self.slack.new_trigger(self.id),
            "action_ts": _now(),
        }
        if message is None:
            return self._payload("shortcut") | chosen
        origin = Origin(self.id, message["channel"], message["ts"])
        sent = _as_sent(message, self.slack.team_id)
        if "blocks" in sent:
            sent["blocks"] = with_block_ids(sent["blocks"])
        return (
            self._payload("message_action")
            | chosen
            | {
                "message_ts": message["ts"],
                "message": sent,
                "channel": self._channel(message["channel"]),
                "response_url": self.slack.new_response_url(origin),
            }
        )

    def submit(self, view: Json, values: Mapping[str, Any] | None = None) -> Json:
        """A modal sent with these values, by action id; other inputs as they began."""
        blocks = with_block_ids(view["blocks"])
        return self._payload("view_submission") | {
            "trigger_id": self.slack.new_trigger(self.id, self._modal(view)),
            "view": self._view(view, blocks, state(blocks, values or {})),
            "response_urls": [],
        }

    def close(self, view: Json) -> Json:
        """A modal closed unsent (Slack tells only if it was opened with `notify_on_close`)."""
        blocks = with_block_ids(view["blocks"])
        return self._payload("view_closed") | {
            "view": self._view(view, blocks, state(blocks, {})),
            "is_cleared": False,
        }

    def home_opened(self, tab: str = "home") -> Json:
        """The event that the app's Home tab (or `messages`) was opened."""
        view = self.slack.home(self.id)
        return self._event(
            {
                "type": "app_home_opened",
                "user": self.id,
                "channel": self.slack.direct_channel(self.id),
                "tab": tab,
                "event_ts": _now(),
                **({"view": view} if view and tab == "home" else {}),
            }
        )

    def say(self, channel: str, text: str, thread_ts: str | None = None) -> Json:
        """Post a message as this person; the message. The bot is not told of it."""
        channel = self.slack.channel_id(channel)
        thread = {"thread_ts": thread_ts} if thread_ts else {}
        token = token_of(self.name)
        answer = self.slack.ask("chat.postMessage", token, channel=channel, text=text, **thread)
        return answer["message"] | {"channel": channel}

    def _payload(self, kind: str) -> Json:
        """What all interactive payloads have."""
        return {
            "type": kind,
            "user": {
                "id": self.id,
                "username": self.name,
                "name": self.name,
                "team_id": self.slack.team_id,
            },
            "api_app_id": APP_ID,
            "token": VERIFICATION_TOKEN,
            "team": {"id": self.slack.team_id, "domain": self.slack.team_domain},
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _event(self, event: Json) -> Json:
        install = {"enterprise_id": None, "is_enterprise_install": False}
        bot = {"team_id": self.slack.team_id, "user_id": BOT_USER, "is_bot": True}
        return {
            "token": VERIFICATION_TOKEN,
            "team_id": self.slack.team_id,
            "api_app_id": APP_ID,
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{secrets.token_hex(5).upper()}",
            "event_time": int(time.time()),
            "authorizations": [install | bot],
            "is_ext_shared_channel": False,
        }

    def _channel(self, channel: str) -> Json:
        return {"id": channel, "name": self.slack.channel_name(channel)}

    def _view(self, view: Json, blocks: list[Json], held: Json) -> Json:
        return view | {
            "blocks": blocks,
            "state": held,
            "app_installed_team_id": self.slack.team_id,
        }

    def _modal(self, view: Json) -> str | None:
        """On top of a modal another may be pushed; a Home tab can only open one."""
        return view["id"] if view["type"] == "modal" else None


def _as_sent(message: Json, team: str) -> Json:
    """A message as payloads hold it: no channel in it, and the app named if the bot posted it."""
    bare = {name: value for name, value in message.items() if name != "channel"}
    if message.get("user") == BOT_USER:
        bare = {"bot_id": BOT_ID, "app_id": APP_ID, **bare}
    return {**bare, "team": team}


def _now() -> str:
    return f"{time.time():.6f}"
