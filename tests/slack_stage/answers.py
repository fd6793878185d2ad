"""What Slack does with an app's answer to a click, a command or a form."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from slack_stage.records import Ephemeral

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from slack_stage.records import Records
    from slack_stage.response_urls import Origin

SHOWN = ("text", "blocks", "attachments", "metadata", "unfurl_links", "unfurl_media")
DONE: dict[str, Any] = {"ok": True}


class Answers:
    """`ask` is a call of the emulator as the bot. Nothing here is recorded as a call of the bot."""

    def __init__(self, ask: Callable[..., Awaitable[dict[str, Any]]], records: Records) -> None:
        self._ask = ask
        self._records = records

    async def apply(self, origin: Origin, body: dict[str, Any]) -> dict[str, Any]:
        """Show a message where the person was, or change the one that was clicked."""
        shown = {name: body[name] for name in SHOWN if body.get(name) is not None}
        clicked = {"channel": origin.channel, "ts": origin.message_ts}
        replaces, deletes = _is_true(body, "replace_original"), _is_true(body, "delete_original")
        if origin.message_ts is not None and not origin.ephemeral:
            if deletes:
                return await self._ask("chat.delete", **clicked)
            if replaces:
                return await self._ask("chat.update", **clicked, **shown)
        if deletes:
            return DONE
        if body.get("response_type") == "in_channel" and not replaces:
            thread = {"thread_ts": origin.thread_ts} if origin.thread_ts else {}
            return await self._ask("chat.postMessage", channel=origin.channel, **thread, **shown)
        ephemeral = Ephemeral(
            user=origin.user,
            channel=origin.channel,
            ts=f"{time.time():.6f}",
            text=body.get("text") or "",
            blocks=body.get("blocks") or [],
            thread_ts=origin.thread_ts,
            replaces=origin.message_ts if replaces else None,
        )
        self._records.add("ephemerals", ephemeral)
        return DONE

    async def apply_view(self, user: str, view_id: str, body: dict[str, Any]) -> None:
        """The `response_action` to a form: a modal changed, or another put on top of it.

        AssertionError if Slack would not take the view.
        """
        action = body.get("response_action")
        if action == "update":
            answer = await self._ask("views.update", view_id=view_id, view=body["view"])
        elif action == "push":
            trigger = await self.trigger(user, view_id)
            answer = await self._ask("views.push", trigger_id=trigger, view=body["view"])
        else:
            return
        assert answer["ok"], f"response_action {action}: {answer}"
        self._records.owners[answer["view"]["id"]] = user
        self._records.add("views", answer["view"])

    async def trigger(self, user: str, view_id: str | None) -> str:
        """A trigger id of the emulator's own."""
        view = {} if view_id is None else {"view_id": view_id}
        answer = await self._ask("views.generateTriggerId", user_id=user, **view)
        assert answer["ok"], f"views.generateTriggerId: {answer}"
        return answer["trigger_id"]


def _is_true(body: dict[str, Any], name: str) -> bool:
    return str(body.get(name, "")).lower() in {"true", "1"}
