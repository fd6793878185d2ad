"""Footers that mailing lists put under a mail: found by what they say, whatever the list."""

from __future__ import annotations

import re

_MAX_FOOTERS = 4
_MAX_LINES = 24  # of a footer below its rule
_MAX_LINE = 300  # characters of a line that are looked at
_TAIL = 8192  # characters at the end that are looked at

# A line drawn across, which may name something: "------ Yahoo! Groups Sponsor ------~-->".
# Runs are possessive: tried in every length, one line of dashes costs some 30 ms.
_RULE = re.compile(r"\s?(?:[_\-=*#~+]{5,}+(?:.{1,40}[_\-=*#~+]{4,}+|[~\->]*+)>?|-- ?|-~->)\s?$")
_SAYS_LIST = re.compile(
    r"mailing.?list|mailman/|listinfo|unsubscri|subscription|\(un\)?subscri"
    r"|\blists?\b.{0,20}(?:archive|maintainer|owner|info)"
    r"|groups\.(?:google|yahoo|io)|(?:yahoo!?|google|news) ?groups|sponsored by|majordomo|listserv"
    r"|\blists?[.@][\w\-]+\.\w|@lists?\.|@groups?\.|-(?:users|devel|dev|list|request|discuss|announce)@",
    re.IGNORECASE,
)
_LIST_LINE = re.compile(
    r"mailman/(?:listinfo|options)|/listinfo/|mailing list\b.{0,80}(?:@|https?:)"
    r"|-(?:unsubscribe|request|help)@|^to (?:unsubscribe|post).{0,60}(?:@|group|list)"
    r"|for \(un\)subscription information|because you are subscribed to the"
    r"|groups is subject to|^(?:list|archives?|unsubscribe): ?<?https?:"
    r"|(?:_{5}|-{5})\w* ?mailing list",
    re.IGNORECASE,
)


def without_footers(text: str) -> str:
    """Text without the list footers at its end, `_MAX_FOOTERS` of them at most; linear."""
    start = max(len(text) - _TAIL, 0)
    lines = text[start:].split("\n")
    for _ in range(_MAX_FOOTERS):
        end = _footer_start(lines)
        if end is None:
            break
        del lines[end:]
    return text[:start] + "\n".join(lines)


def _footer_start(lines: list[str]) -> int | None:
    """Where the last footer begins, or None. Takes empty lines and rules off the end."""
    while lines and (not lines[-1] or (len(lines[-1]) < _MAX_LINE and _RULE.match(lines[-1]))):
        lines.pop()
    for number in range(len(lines) - 1, max(len(lines) - _MAX_LINES, 0) - 1, -1):
        line = lines[number][:_MAX_LINE]
        if line[:1] in "_-=*#~+" and _RULE.match(line):
            if any(_SAYS_LIST.search(line[:_MAX_LINE]) for line in lines[number:]):
                return number
            break
    if lines and _LIST_LINE.search(lines[-1][:_MAX_LINE]):
        return len(lines) - 1
    return None
