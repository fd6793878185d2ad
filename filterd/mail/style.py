"""Whether text set in a given CSS style can be seen: the tricks that hide text from a reader.

Judged are attributes, and the simplest rules of style sheets (`.name { display: none }`). Where a
colour is not known for sure, text counts as seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

_MAX_STYLE = 2048
_MAX_SHEET = 128 * 1024
_NEAR = 24  # of 255, per channel: nobody reads text this close to its background
_OFF_SCREEN = 500  # pixels

Colour = tuple[int, int, int]

_NAMED: dict[str, Colour] = {
    "white": (255, 255, 255),
    "snow": (255, 250, 250),
    "ivory": (255, 255, 240),
    "whitesmoke": (245, 245, 245),
    "black": (0, 0, 0),
    "gray": (128, 128, 128),
    "grey": (128, 128, 128),
    "silver": (192, 192, 192),
    "lightgrey": (211, 211, 211),
    "lightgray": (211, 211, 211),
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "lime": (0, 255, 0),
    "blue": (0, 0, 255),
    "navy": (0, 0, 128),
    "yellow": (255, 255, 0),
    "orange": (255, 165, 0),
    "purple": (128, 0, 128),
    "maroon": (128, 0, 0),
    "teal": (0, 128, 128),
    "aqua": (0, 255, 255),
    "cyan": (0, 255, 255),
    "fuchsia": (255, 0, 255),
    "magenta": (255, 0, 255),
}
_HEX = re.compile(r"#?([0-9a-f]{6}|[0-9a-f]{3})$")
_RGB = re.compile(
    r"rgba?\(\s*(\d{1,3})\s*[, ]\s*(\d{1,3})\s*[, ]\s*(\d{1,3})\s*(?:[,/]\s*([\d.]{1,8})\s*)?\)$"
)
_NUMBER = re.compile(r"(-?\d{0,8}(?:\.\d{1,8})?)\s*(px|pt|em|rem|ex|%|vw|in|cm|mm)?")
# A size is the figure before the family.
_FONT_SIZE = re.compile(r"(?:^|\s)(\d[\w.%]*|\.\d[\w.%]*)(?:/\S+)?\s+[^\s\d]")
_COMMENT = re.compile(r"/\*.*?\*/|<!--|-->", re.DOTALL)
_HTML_COMMENT = re.compile(r"<!--|-->")
_BRACE = re.compile(r"([{}])")
_HIDES = re.compile(r"(?:^|;|\s)display\s*:\s*none")
# A class alone, with its element before it or not; in a list of selectors or not.
_CLASS = re.compile(r"(?:^|,)\s*[a-z]{0,10}\.([\w\-]{1,64})\s*(?=,|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Look:
    """How text at one place is drawn. `background` None: not known (an image, a class)."""

    gone: bool = False  # nothing inside can undo it
    invisible: bool = False  # visibility, which a child may set back
    tiny: bool = False  # font size, likewise
    colour: Colour = (0, 0, 0)
    background: Colour | None = (255, 255, 255)

    @property
    def is_visible(self) -> bool:
        """Whether a reader can see the text."""
        if self.gone or self.invisible or self.tiny:
            return False
        return self.background is None or any(
            abs(a - b) > _NEAR for a, b in zip(self.colour, self.background, strict=True)
        )


VISIBLE = Look()


def colour_of(value: str) -> Colour | None:
    """A CSS or HTML colour as red, green, blue; None if it is not one we know."""
    value = value.strip().lower()
    if value in _NAMED:
        return _NAMED[value]
    found = _HEX.match(value)
    if found:
        digits = found[1] if len(found[1]) == 6 else "".join(c * 2 for c in found[1])
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
    found = _RGB.match(value)
    if found and (found[4] is None or found[4].startswith("1")):
        return min(int(found[1]), 255), min(int(found[2]), 255), min(int(found[3]), 255)
    return None


@dataclass(slots=True)
class Styles:
    """The style attributes and style sheets of one document, as far as they hide text."""

    hiding: set[str] = field(default_factory=set)  # classes that are not displayed
    sets_background: bool = False
    known: dict[str, dict[str, str]] = field(default_factory=dict)  # style attributes parsed

    def add_sheet(self, css: str) -> None:
        """Take in a <style>: which classes it hides, outside of @media and the like."""
        css = _without_comments(css[:_MAX_SHEET])
        self.sets_background = self.sets_background or "background" in css
        depth = 0
        selector = ""
        pieces = _BRACE.split(css)
        for piece, brace in zip(pieces[:-1:2], pieces[1::2], strict=True):
            if brace == "{":
                depth += 1
                selector = piece
                continue
            if depth == 1 and "none" in piece and _HIDES.search(piece):
                self.hiding.update(name[1] for name in _CLASS.finditer(selector))
            depth = max(depth - 1, 0)

    def look(self, look: Look, tag: str, attributes: dict[str, str]) -> Look:
        """The look inside an element, from its parent's look and its attributes."""
        changes: dict[str, Any] = {}
        if "hidden" in attributes:
            changes["gone"] = True
        classes = attributes.get("class")
        if classes and self.hiding and not self.hiding.isdisjoint(classes.split()):
            changes["gone"] = True
        if "background" in attributes or (self.sets_background and (classes or "id" in attributes)):
            changes["background"] = None
        if "bgcolor" in attributes:
            changes["background"] = colour_of(attributes["bgcolor"])
        colour = attributes.get("color" if tag == "font" else "text" if tag == "body" else "")
        if colour and (parsed := colour_of(colour)):
            changes["colour"] = parsed
        style = attributes.get("style", "")[:_MAX_STYLE]
        if style:
            css = self.known.get(style)
            if css is None:
                css = self.known[style] = _declarations(style)
            if css:
                _judge(css, changes)
        return replace(look, **changes) if changes else look


_JUDGED = frozenset(
    [
        "display",
        "visibility",
        "opacity",
        "font-size",
        "font",
        "color",
        "background",
        "background-color",
        "background-image",
        "text-indent",
        "height",
        "width",
        "max-height",
        "max-width",
        "overflow",
        "overflow-x",
        "overflow-y",
        "position",
        "left",
        "top",
        "margin-left",
    ]
)


def _without_comments(css: str) -> str:
    # A comment that does not end hides all the rest, and no second start need be looked for.
    end = css.rfind("*/") + 2 if "*/" in css else 0
    rest = css[end:].partition("/*")[0]
    return _COMMENT.sub("", css[:end]) + _HTML_COMMENT.sub("", rest)


def _declarations(style: str) -> dict[str, str]:
    css = {}
    for declaration in style.lower().split(";"):
        name, colon, value = declaration.partition(":")
        name = name.strip()
        if colon and name in _JUDGED:
            css[name] = value.replace("!important", "").strip()
    return css


def _judge(css: dict[str, str], changes: dict[str, Any]) -> None:
    if css.get("display") == "none" or _is_gone(css):
        changes["gone"] = True
    if "visibility" in css:
        changes["invisible"] = css["visibility"] in ("hidden", "collapse")
    size = css.get("font-size") or _size_of(css.get("font", ""))
    if size:
        tiny = _is_tiny(size)
        if tiny is not None:
            changes["tiny"] = tiny
    if "color" in css:
        if css["color"] == "transparent":
            changes["tiny"] = True
        elif colour := colour_of(css["color"]):
            changes["colour"] = colour
    background = css.get("background-color") or css.get("background")
    if "background-image" in css or "url(" in css.get("background", ""):
        changes["background"] = None
    elif background and background not in ("transparent", "none", "inherit", "initial"):
        first = background if background.startswith("rgb") else background.split()[0]
        changes["background"] = colour_of(first)


def _size_of(font: str) -> str:
    """The size in the shorthand `font: italic 700 12px/1.5 serif`; "" if there is none."""
    found = _FONT_SIZE.search(font)
    return found[1] if found else ""


def _is_gone(css: dict[str, str]) -> bool:
    if "opacity" in css:
        opacity = _length(css["opacity"])
        if opacity is not None and opacity[0] < 0.05:
            return True
    if css.get("overflow") == "hidden" or css.get("overflow-y") == "hidden":
        for name in ("max-height", "height", "max-width", "width"):
            length = _length(css.get(name, ""))
            if length is not None and length[0] <= 1 and length[1] in ("", "px", "pt", "em", "%"):
                return True
    moved = ["text-indent", "margin-left"]
    if css.get("position") in ("absolute", "fixed"):
        moved += ["left", "top"]
    return any(
        (length := _length(css.get(name, ""))) is not None and length[0] <= -_OFF_SCREEN
        for name in moved
    )


def _is_tiny(value: str) -> bool | None:
    """Whether a font size cannot be read; None where it says nothing new."""
    length = _length(value)
    if length is None:
        return None if value in ("inherit", "smaller", "larger") else False
    number, unit = length
    if unit in ("em", "%", "ex"):
        # Only nought is surely unreadable, and nothing relative revives a parent's nought.
        return True if number <= (5 if unit == "%" else 0.05) else None
    return number <= 1


def _length(value: str) -> tuple[float, str] | None:
    found = _NUMBER.match(value)
    if not found or not found[1] or found[1] in ("-", "."):
        return None
    return float(found[1]), found[2] or ""
