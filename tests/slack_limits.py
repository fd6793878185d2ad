"""Whether Slack would take it: blocks, views and texts against its schema and its documented limits.

The figures are those of the pages "Block Kit" in Slack's reference: blocks, block elements and
composition objects. The schema is `tests/slack_schema/blocks.schema.json`.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft7Validator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema import ValidationError

SCHEMA = Path(__file__).parent / "slack_schema" / "blocks.schema.json"
MOST_BLOCKS = {"message": 50, "ephemeral": 50, "modal": 100, "home": 100}
# Slack cuts at 40,000, but advises 4,000; what only stands in for blocks has no need of more.
MOST_TEXT = 4000

# The type of an object -> its field -> the most characters. A field may hold a string, a text
# object or a list of them. Options, their groups and confirmations have no type; we name them.
CHARACTERS = {
    "plain_text": {"text": 3000},
    "mrkdwn": {"text": 3000},
    "header": {"text": 150},
    "section": {"fields": 2000},
    "image": {"alt_text": 2000, "title": 2000, "image_url": 3000},
    "input": {"label": 2000, "hint": 2000},
    "button": {"text": 75, "value": 2000, "url": 3000, "accessibility_label": 75},
    "option": {"text": 75, "value": 150, "description": 75, "url": 3000},
    "option group": {"label": 75},
    "confirm": {"title": 100, "text": 300, "confirm": 30, "deny": 30},
    "modal": {"title": 24, "submit": 24, "close": 24, "private_metadata": 3000, "callback_id": 255},
    "home": {"private_metadata": 3000, "callback_id": 255},
}
# Fields that mean the same wherever they stand.
CHARACTERS_ANYWHERE = {"action_id": 255, "block_id": 255, "external_id": 255, "placeholder": 150}
# The type of an object -> its list -> the most items. None of these may be empty.
ITEMS = {
    "section": {"fields": 10},
    "context": {"elements": 10},
    "actions": {"elements": 25},
    "overflow": {"options": 5},
    "radio_buttons": {"options": 10},
    "checkboxes": {"options": 10},
    "static_select": {"options": 100, "option_groups": 100},
    "multi_static_select": {"options": 100, "option_groups": 100},
    "option group": {"options": 100},
}
# The type of an object -> its numbers -> the most.
NUMBERS = {"plain_text_input": {"min_length": 3000, "max_length": 3000}}
# A field -> what an object without a type is that stands there.
UNTYPED = {
    "options": "option",
    "initial_option": "option",
    "initial_options": "option",
    "option_groups": "option group",
    "confirm": "confirm",
}


def problems(blocks: list[dict[str, Any]], surface: str = "message") -> list[str]:
    """What Slack would refuse in the blocks of a message, a modal or a Home tab; a line for each."""
    found = _schema_problems("Blocks", blocks)
    if found:
        return found  # what has the wrong shape cannot be measured
    if not 0 < len(blocks) <= MOST_BLOCKS[surface]:
        found.append(f"{len(blocks)} blocks; a {surface} has 1 to {MOST_BLOCKS[surface]}")
    for number, block in enumerate(blocks):
        found += _object_problems(block, block["type"], f"blocks[{number}]")
        ids = [each["action_id"] for each in _objects(block) if "action_id" in each]
        found += [f"blocks[{number}]: action_id {each} twice" for each in _repeated(ids)]
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    found += [f"block_id {each} twice" for each in _repeated(ids)]
    if sum(each.get("focus_on_load") is True for each in _objects(blocks)) > 1:
        found.append("more than one element has the focus")
    return found


def view_problems(view: dict[str, Any]) -> list[str]:
    """What Slack would refuse in a modal or a Home tab, its blocks included; a line for each."""
    surface = view.get("type")
    if surface not in {"modal", "home"}:
        return [f"a view of type {surface}"]
    found = _schema_problems(surface.capitalize(), view)
    if found:
        return found
    frame = {name: value for name, value in view.items() if name != "blocks"}
    found = [*problems(view["blocks"], surface), *_object_problems(frame, surface, "view")]
    if surface == "modal" and "submit" not in view and "input" in _types(view["blocks"]):
        found.append("view: inputs, but nothing to submit them with")
    return found


def message_problems(text: str, blocks: list[dict[str, Any]]) -> list[str]:
    """What Slack would refuse in a message, or cut; its text stands in for blocks in notifications."""
    if not text.strip():
        found = ["text: empty"]
    elif len(text) > MOST_TEXT:
        found = [f"text: {len(text)} characters, over {MOST_TEXT}"]
    else:
        found = []
    return found + problems(blocks)


def _object_problems(value: dict[str, Any], kind: str, path: str) -> Iterator[str]:
    """An object's own trouble, then that of those inside it."""
    yield from _field_problems(value, kind, path)
    yield from _choice_problems(value, kind, path)
    for name, inside in value.items():
        for number, each in enumerate(inside if isinstance(inside, list) else [inside]):
            if isinstance(each, dict):
                place = f"{path}.{name}[{number}]" if isinstance(inside, list) else f"{path}.{name}"
                yield from _object_problems(each, each.get("type") or UNTYPED.get(name, ""), place)


def _field_problems(value: dict[str, Any], kind: str, path: str) -> Iterator[str]:
    for name, most in (CHARACTERS_ANYWHERE | CHARACTERS.get(kind, {})).items():
        for text in _texts(value.get(name)):
            if len(text) > most:
                yield f"{path}.{name}: {len(text)} characters, over {most}"
    for name, most in ITEMS.get(kind, {}).items():
        if name in value and not 0 < len(value[name]) <= most:
            yield f"{path}.{name}: {len(value[name])} items, not 1 to {most}"
    for name, most in NUMBERS.get(kind, {}).items():
        if name in value and not 0 <= value[name] <= most:
            yield f"{path}.{name}: {value[name]}, not 0 to {most}"
    if kind in {"plain_text", "mrkdwn"} and not value["text"].strip():
        yield f"{path}: empty text"
    if any(value.get(name) == "" for name in ("action_id", "block_id")):
        yield f"{path}: empty id"
    if kind == "section" and not value.keys() & {"text", "fields"}:
        yield f"{path}: neither text nor fields"


def _choice_problems(value: dict[str, Any], kind: str, path: str) -> Iterator[str]:
    """What must hold among the options of a menu."""
    if kind == "option" and not value.get("value"):
        yield f"{path}: an option without a value"
    if kind in {"static_select", "multi_static_select"} and (
        len(value.keys() & {"options", "option_groups"}) != 1
    ):
        yield f"{path}: needs either options or option_groups"
    options = [
        *value.get("options", []),
        *(option for group in value.get("option_groups", []) for option in group["options"]),
    ]
    for each in _repeated([option["value"] for option in options if "value" in option]):
        yield f"{path}: value {each} twice"
    chosen = [value["initial_option"]] if "initial_option" in value else []
    if kind != "external_select" and any(
        option not in options for option in [*chosen, *value.get("initial_options", [])]
    ):
        yield f"{path}: what is chosen at first is no option"


def _texts(value: Any) -> list[str]:
    """The strings of a string, a text object or a list of text objects."""
    if isinstance(value, dict):
        return [value["text"]]
    if isinstance(value, list):
        return [each["text"] for each in value]
    return [value] if isinstance(value, str) else []


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """All objects at any depth."""
    if isinstance(value, dict):
        yield value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inside:
        yield from _objects(each)


def _types(blocks: list[dict[str, Any]]) -> set[str]:
    return {block["type"] for block in blocks}


def _repeated(ids: list[str]) -> list[str]:
    return [each for each, times in Counter(ids).items() if times > 1]


@cache
def _validator(name: str) -> Draft7Validator:
    schema = json.loads(SCHEMA.read_text())
    return Draft7Validator(schema | {"$ref": f"#/definitions/{name}"})


def _schema_problems(name: str, value: Any) -> list[str]:
    return [
        f"{leaf.json_path.replace('$', name, 1)}: {leaf.message[:200]}"
        for error in _validator(name).iter_errors(value)
        for leaf in _causes(error)
    ]


def _causes(error: ValidationError) -> list[ValidationError]:
    """Of "none of these types": what is wrong by the type that the object says it has."""
    fitting = [
        [leaf for each in branch for leaf in _causes(each)]
        for branch in _branches(error)
        if not any(_is_another_type(each) for each in branch)
    ]
    return min(fitting, key=len) if fitting else [error]


def _branches(error: ValidationError) -> list[list[ValidationError]]:
    found: dict[Any, list[ValidationError]] = {}
    for each in error.context or []:
        found.setdefault(each.schema_path[0], []).append(each)
    return list(found.values())


def _is_another_type(error: ValidationError) -> bool:
    if error.validator == "anyOf" and not error.relative_path:
        return all(any(map(_is_another_type, branch)) for branch in _branches(error))
    return error.validator == "const" and list(error.relative_path) == ["type"]
