"""What Slack sends when someone clicks, as plain data. Pure; odd payloads are refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bot.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

# A mail's id wherever it may stand: in a card's block, or pasted.
MAIL_ID = re.compile(r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b")
# Rows are numbered; more digits than a row's number has are none of ours.
NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
# Slack's bound for action ids.
MOST_ID = 255
NO_MAIL = "That button belongs to no mail that I know. It may be from an older version of me."
UNREADABLE = "Slack sent something that I cannot read. Please try again."

Surface = Literal["message", "ephemeral", "modal", "home"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was clicked, and what Slack needs to show something there."""

    surface: Surface
    channel: str = ""
    ts: str = ""
    response_url: str = ""
    view_id: str = ""


@dataclass(frozen=True, slots=True)
class Click:
    """A click on a button or a choice in a menu.

    `key` is the same if Slack delivers it again. `action` and `about` are the action id before
    and after its colon; `value` that of the button or the chosen option; `mail_id` is empty where
    the block belongs to no mail.
    """

    key: str
    user: str
    action: str
    about: str
    value: str
    mail_id: str
    place: Place
    trigger: str


@dataclass(frozen=True, slots=True)
class Submission:
    """A modal that was sent: `choices` by action id, `memory` as the modal was opened with."""

    key: str
    user: str
    view_id: str
    memory: str
    choices: Mapping[str, str]


def click_of(body: Mapping[str, Any]) -> Click:
    """Of a `block_actions` payload. Raises RefusedError."""
    try:
        action = body["actions"][0]
        user, trigger = body["user"]["id"], body["trigger_id"]
        action_id = action["action_id"]
        if not _are_texts(user, trigger, action_id) or len(action_id) > MOST_ID:
            raise RefusedError(NO_MAIL)
        name, _, about = action_id.partition(":")
        option = action.get("selected_option") or {}
        value = str(action.get("value") or option.get("value") or "")
        mail_id = _mail_id(action.get("block_id", ""), value)
        place = _place(body)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise RefusedError(NO_MAIL) from None
    key = f"click:{trigger}:{action_id}"
    return Click(key, user, name, about, value, mail_id, place, trigger)


def submission_of(body: Mapping[str, Any]) -> Submission:
    """Of a `view_submission` payload. Raises RefusedError."""
    try:
        view = body["view"]
        choices = {
            action_id: _chosen(state)
            for block in view["state"]["values"].values()
            for action_id, state in block.items()
        }
        user = body["user"]["id"]
        memory = view["private_metadata"]
        trigger = body.get("trigger_id") or view["id"] + view["hash"]
        if not _are_texts(user, view["id"], memory, trigger):
            raise RefusedError(UNREADABLE)
        return Submission(f"submit:{trigger}", user, view["id"], memory, choices)
    except (KeyError, TypeError, AttributeError):
        raise RefusedError(UNREADABLE) from None


def numbers_in(text: str) -> list[int]:
    """Numbers of label rows, separated by commas; what is none is left out."""
    return [int(each) for each in text.split(",") if NUMBER.fullmatch(each)]


def mail_id_in(message: Mapping[str, Any]) -> str | None:
    """The mail that a Slack message is about: of a card, or of a notice that quotes its id."""
    blocks = message.get("blocks")
    cards = [one for one in blocks if isinstance(one, dict)] if isinstance(blocks, list) else []
    ids = [str(block.get("block_id", "")) for block in cards]
    rest = (message.get("text"), blocks, message.get("attachments"))
    for text in (*ids, *map(str, rest)):
        found = MAIL_ID.search(text)
        if found:
            return found[0]
    return None


def _mail_id(block_id: str, value: str) -> str:
    for text in (value, block_id):
        found = MAIL_ID.search(text)
        if found:
            return found[0]
    return ""


def _are_texts(*values: object) -> bool:
    return all(isinstance(value, str) for value in values)


def _place(body: Mapping[str, Any]) -> Place:
    container = body.get("container") or {}
    if container.get("type") == "view":
        view = body.get("view") or {}
        surface: Surface = "home" if view.get("type") == "home" else "modal"
        return Place(surface, view_id=str(view.get("id", "")))
    return Place(
        "ephemeral" if container.get("is_ephemeral") else "message",
        channel=str(container.get("channel_id", "")),
        ts=str(container.get("message_ts", "")),
        response_url=str(body.get("response_url", "")),
    )


def _chosen(state: Mapping[str, Any]) -> str:
    option = state.get("selected_option") or {}
    return str(state.get("value") or option.get("value") or "")
