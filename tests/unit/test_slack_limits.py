"""The checker that the bot's tests trust: at each limit it is content, one over it complains."""

from copy import deepcopy

import pytest
from slack_limits import MOST_TEXT, message_problems, problems, view_problems

DIVIDER = {"type": "divider"}


def plain(size=5):
    return {"type": "plain_text", "text": "x" * size}


def button(**changes):
    return {"type": "button", "text": plain(), "action_id": "go"} | changes


def option(number=0, **changes):
    return {"text": plain(), "value": f"v{number}"} | changes


def options(count):
    return [option(number) for number in range(count)]


def section(**changes):
    return {"type": "section", "text": plain()} | changes


def actions(*elements):
    return {"type": "actions", "elements": list(elements)}


def menu(kind="static_select", **changes):
    return {"type": kind, "action_id": "choose", "options": options(2)} | changes


def confirm(**changes):
    return {"title": plain(), "text": plain(), "confirm": plain(), "deny": plain()} | changes


def image(**changes):
    return {"type": "image", "alt_text": "a chart", "slack_file": {"id": "F1"}} | changes


def entry(**changes):
    element = {"type": "plain_text_input", "action_id": "note"}
    return {"type": "input", "label": plain(), "element": element} | changes


def written(**changes):
    return entry(element=entry()["element"] | changes)


def modal(*blocks, **changes):
    return {"type": "modal", "title": plain(), "blocks": list(blocks) or [DIVIDER]} | changes


GOOD = [
    {"type": "header", "text": plain()},
    section(text={"type": "mrkdwn", "text": "*a*", "verbatim": True}, accessory=button()),
    {"type": "section", "fields": [plain(), {"type": "mrkdwn", "text": "_b_"}]},
    {"type": "context", "elements": [plain(), image()]},
    actions(
        button(style="danger", confirm=confirm(style="danger")),
        menu(placeholder=plain(), initial_option=option(1)),
        menu("overflow", action_id="more"),
    ),
    image(title=plain()),
    image(slack_file={"url": "https://files.example/1"}),
    DIVIDER,
]


@pytest.mark.parametrize("surface", ["message", "modal", "home"])
def test_good_blocks_pass(surface):
    assert problems(GOOD, surface) == []


def test_good_views_and_messages_pass():
    inputs = [
        entry(block_id="a"),
        entry(element=menu("radio_buttons"), hint=plain(), optional=True),
    ]
    assert view_problems(modal(*inputs, submit=plain(), close=plain(), callback_id="c")) == []
    assert view_problems({"type": "home", "blocks": GOOD}) == []
    assert message_problems("Spam? A parcel", GOOD) == []


# What is measured -> the most, and a block that has so many.
MEASURED = {
    "header": (150, lambda size: {"type": "header", "text": plain(size)}),
    "section text": (3000, lambda size: section(text=plain(size))),
    "field": (2000, lambda size: section(fields=[plain(size)])),
    "fields": (10, lambda size: section(fields=[plain()] * size)),
    "context elements": (10, lambda size: {"type": "context", "elements": [plain()] * size}),
    "actions elements": (
        25,
        lambda size: actions(*[button(action_id=f"{n}") for n in range(size)]),
    ),
    "button text": (75, lambda size: actions(button(text=plain(size)))),
    "button value": (2000, lambda size: actions(button(value="x" * size))),
    "button url": (3000, lambda size: actions(button(url="x" * size))),
    "button label": (75, lambda size: actions(button(accessibility_label="x" * size))),
    "action_id": (255, lambda size: actions(button(action_id="x" * size))),
    "block_id": (255, lambda size: section(block_id="x" * size)),
    "option text": (75, lambda size: actions(menu(options=[option(text=plain(size))]))),
    "option value": (150, lambda size: actions(menu(options=[option(value="x" * size)]))),
    "option description": (
        75,
        lambda size: actions(menu(options=[option(description=plain(size))])),
    ),
    "overflow options": (5, lambda size: actions(menu("overflow", options=options(size)))),
    "select options": (100, lambda size: actions(menu(options=options(size)))),
    "radio options": (10, lambda size: actions(menu("radio_buttons", options=options(size)))),
    "checkboxes": (10, lambda size: actions(menu("checkboxes", options=options(size)))),
    "placeholder": (150, lambda size: actions(menu(placeholder=plain(size)))),
    "confirm title": (100, lambda size: actions(button(confirm=confirm(title=plain(size))))),
    "confirm text": (300, lambda size: actions(button(confirm=confirm(text=plain(size))))),
    "confirm confirm": (30, lambda size: actions(button(confirm=confirm(confirm=plain(size))))),
    "confirm deny": (30, lambda size: actions(button(confirm=confirm(deny=plain(size))))),
    "image alt_text": (2000, lambda size: image(alt_text="x" * size)),
    "image title": (2000, lambda size: image(title=plain(size))),
    "input label": (2000, lambda size: entry(label=plain(size))),
    "input hint": (2000, lambda size: entry(hint=plain(size))),
    "input placeholder": (150, lambda size: written(placeholder=plain(size))),
    "input max_length": (3000, lambda size: written(max_length=size)),
}


@pytest.mark.parametrize("name", MEASURED)
def test_the_most_passes_and_one_over_is_found(name):
    most, block = MEASURED[name]
    assert problems([block(most)]) == []
    (found,) = problems([block(most + 1)])
    assert str(most + 1) in found


@pytest.mark.parametrize(("surface", "most"), [("message", 50), ("modal", 100), ("home", 100)])
def test_blocks_are_counted(surface, most):
    assert problems([DIVIDER] * most, surface) == []
    assert problems([DIVIDER] * (most + 1), surface) != []
    assert problems([], surface) != []


@pytest.mark.parametrize("name", ["title", "submit", "close"])
def test_the_words_of_a_modals_frame_are_measured(name):
    assert view_problems(modal(**{name: plain(24)})) == []
    assert view_problems(modal(**{name: plain(25)})) != []


@pytest.mark.parametrize(("name", "most"), [("private_metadata", 3000), ("callback_id", 255)])
@pytest.mark.parametrize("view", [modal(), {"type": "home", "blocks": [DIVIDER]}])
def test_what_a_view_carries_is_measured(view, name, most):
    assert view_problems(view | {name: "x" * most}) == []
    assert view_problems(view | {name: "x" * (most + 1)}) != []


def test_a_message_needs_a_text_of_moderate_length():
    assert message_problems("x" * MOST_TEXT, GOOD) == []
    assert message_problems("x" * (MOST_TEXT + 1), GOOD) != []
    assert message_problems(" ", GOOD) != []


REFUSED = {
    "a field that Slack does not know": section(colour="red"),
    "a type that Slack does not know": {"type": "sectoin", "text": plain()},
    "an element of no known type": actions(button(type="knob")),
    "format in a header": {"type": "header", "text": {"type": "mrkdwn", "text": "*a*"}},
    "format on a button": actions(button(text={"type": "mrkdwn", "text": "*a*"})),
    "a style that does not exist": actions(button(style="warning")),
    "an empty text": section(text=plain(0)),
    "a text of spaces": section(text={"type": "mrkdwn", "text": "  "}),
    "an empty id": section(block_id=""),
    "a section that says nothing": {"type": "section"},
    "no elements": actions(),
    "no options": actions(menu(options=[])),
    "a menu without options": actions({"type": "static_select", "action_id": "choose"}),
    "options and groups": actions(
        menu(option_groups=[{"label": plain(), "options": [option(7)]}]),
    ),
    "an option without a value": actions(menu(options=[{"text": plain()}])),
    "two options of one value": actions(menu(options=[option(), option()])),
    "a choice that is no option": actions(menu(initial_option=option(9))),
    "two buttons of one id": actions(button(), button()),
    "an image from two places": image(image_url="https://example.org/a.png"),
    "an image from nowhere": {"type": "image", "alt_text": "a chart"},
    "an image nobody can hear": {"type": "image", "slack_file": {"id": "F1"}},
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_refuses(name):
    assert problems([REFUSED[name]]) != []


def test_block_ids_are_unique_and_action_ids_within_a_block():
    two = [section(block_id="a"), section(block_id="a")]
    assert problems(two) == ["block_id a twice"]
    assert problems([section(accessory=button()), section(accessory=button())]) == []


def test_inputs_need_a_button_to_submit_and_only_one_element_the_focus():
    assert view_problems(modal(entry())) != []
    focused = [written(focus_on_load=True), written(focus_on_load=True)]
    assert view_problems(modal(*focused[:1], submit=plain())) == []
    assert view_problems(modal(*focused, submit=plain())) != []


def test_a_view_is_a_modal_or_a_home_tab_with_no_field_unknown():
    assert view_problems({"type": "window", "blocks": [DIVIDER]}) != []
    assert view_problems(modal(colour="red")) != []
    assert view_problems({"type": "home", "title": plain(), "blocks": [DIVIDER]}) != []


def test_a_problem_says_where_it_is_and_what():
    broken = deepcopy(GOOD)
    broken[4]["elements"][0]["text"]["colour"] = "red"
    (found,) = problems(broken)
    assert found.startswith("Blocks[4].elements[0].text:")
    assert "colour" in found
