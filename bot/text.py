"""Text that came by mail, made harmless for Slack.

Slack gives meaning to `<!channel>`, `<@U123>` and `&`, and makes links of what looks like one. Mail
text goes into plain-text objects, where none of it means anything; this is the second fence.
"""

from __future__ import annotations

import re

ELLIPSIS = "…"
# What changes the direction of the rest, joins or hides letters, or is no letter at all.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_SCHEME = re.compile(r"\b(https?|ftp|mailto)(:)", re.IGNORECASE)
_DOT = re.compile(r"(?<=[A-Za-z0-9])\.(?=[A-Za-z]{2,})")
_SCHEMES = {"http": "hxxp", "https": "hxxps", "ftp": "fxp", "mailto": "mailt0"}


def harmless(text: str, most: int) -> str:
    """At most `most` characters of mail text: no controls, no marks of direction, no live links."""
    seen = _UNSEEN.sub("", text[: 4 * most].replace("\r\n", "\n"))
    defused = _DOT.sub("[.]", _SCHEME.sub(_dead, seen))
    return shortened(_BLANK_LINES.sub("\n\n", defused).strip(), most)


def visible(text: str, most: int) -> str:
    """At most `most` characters of our own text that may quote others': no controls."""
    return shortened(_UNSEEN.sub("", text[: 4 * most]), most)


def in_one_line(text: str, most: int) -> str:
    """As `harmless`, with all white space made single spaces."""
    return shortened(" ".join(harmless(text, 2 * most).split()), most)


def shortened(text: str, most: int) -> str:
    """The text, or its beginning with an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + ELLIPSIS


def escaped(text: str) -> str:
    """For mrkdwn objects: the three characters that Slack's "Formatting message text" names."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _dead(found: re.Match[str]) -> str:
    return _SCHEMES[found[1].lower()] + found[2]
