"""Interactive elements in blocks: found by their action id, with what a person chose in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Json = dict[str, Any]

# The type of an element -> where payloads hold what was chosen, and what it begins with.
PLAIN = {
    "plain_text_input": ("value", "initial_value"),
    "email_text_input": ("value", "initial_value"),
    "url_text_input": ("value", "initial_value"),
    "number_input": ("value", "initial_value"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
    "datetimepicker": ("selected_date_time", "initial_date_time"),
    "users_select": ("selected_user", "initial_user"),
    "channels_select": ("selected_channel", "initial_channel"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "multi_users_select": ("selected_users", "initial_users"),
    "multi_channels_select": ("selected_channels", "initial_channels"),
    "multi_conversations_select": ("selected_conversations", "initial_conversations"),
}
ONE_OPTION = {"static_select", "external_select", "radio_buttons"}
SEVERAL_OPTIONS = {"multi_static_select", "multi_external_select", "checkboxes"}
WITH_STATE = PLAIN.keys() | ONE_OPTION | SEVERAL_OPTIONS


def with_block_ids(blocks: list[Json]) -> list[Json]:
    """The blocks as Slack keeps them: each has an id, given or made up."""
    return [{"block_id": f"b{number}", **block} for number, block in enumerate(blocks)]


def elements(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Each interactive element with the block it is in."""
    for block in blocks:
        inside = [block.get("accessory"), block.get("element"), *block.get("elements", ())]
        for element in inside:
            if isinstance(element, dict) and "action_id" in element:
                yield block, element


def find(
    blocks: list[Json], action_id: str, *, value: str | None, block_id: str | None
) -> tuple[Json, Json]:
    """The one element with this action id; `value` and `block_id` tell several apart.

    AssertionError if there is none, or more than one.
    """
    found = [
        (block, element)
        for block, element in elements(blocks)
        if element["action_id"] == action_id
        and value in (None, element.get("value"))
        and block_id in (None, block["block_id"])
    ]
    there = [
        (element["action_id"], element.get("value"), block["block_id"])
        for block, element in elements(blocks)
    ]
    assert len(found) == 1, f"{len(found)} elements {action_id!r} to click; there are {there}"
    return found[0]


def action(block: Json, element: Json, chosen: Any, at: str) -> Json:
    """What a payload says of a click on an element. `chosen`: for menus, the option's value."""
    kind = element["type"]
    said = {"action_id": element["action_id"], "block_id": block["block_id"], "type": kind}
    if kind == "button":
        label = {"text": {"emoji": True, **element["text"]}}
        value = {"value": element["value"]} if "value" in element else {}
        return said | label | value | {"action_ts": at}
    if kind == "overflow":
        return said | {"selected_option": _option(element, chosen), "action_ts": at}
    return said | _chosen(element, chosen) | {"action_ts": at}


def state(blocks: list[Json], values: Mapping[str, Any]) -> Json:
    """The state of all inputs: what `values` (by action id) says, else what they began with.

    AssertionError for a value no input of these blocks takes.
    """
    held: Json = {}
    open_values = dict(values)
    for block, element in elements(blocks):
        if element["type"] not in WITH_STATE:
            continue
        name = element["action_id"]
        given = _chosen(element, open_values.pop(name)) if name in open_values else _begun(element)
        held.setdefault(block["block_id"], {})[name] = {"type": element["type"], **given}
    assert not open_values, f"no input takes {sorted(open_values)}"
    return {"values": held}


def _chosen(element: Json, chosen: Any) -> Json:
    kind = element["type"]
    if kind in ONE_OPTION:
        return {"selected_option": None if chosen is None else _option(element, chosen)}
    if kind in SEVERAL_OPTIONS:
        return {"selected_options": [_option(element, each) for each in chosen]}
    assert kind in PLAIN, f"cannot choose in a {kind}"
    return {PLAIN[kind][0]: chosen}


def _begun(element: Json) -> Json:
    kind = element["type"]
    if kind in ONE_OPTION:
        return {"selected_option": element.get("initial_option")}
    if kind in SEVERAL_OPTIONS:
        return {"selected_options": element.get("initial_options", [])}
    name, initial = PLAIN[kind]
    return {name: element.get(initial, [] if name.endswith("s") else None)}


def _option(element: Json, value: Any) -> Json:
    if "external" in element["type"]:
        return {"text": {"type": "plain_text", "text": value, "emoji": True}, "value": value}
    groups = [group["options"] for group in element.get("option_groups", ())]
    options = [*element.get("options", ()), *(option for group in groups for option in group)]
    found = [option for option in options if option["value"] == value]
    there = [option["value"] for option in options]
    assert found, f"{element['action_id']!r} offers {there}, not {value!r}"
    return found[0]
