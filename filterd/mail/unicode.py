"""Text as a reader sees it: look-alike letters put back, invisible characters taken out, counted.

Linear in the text, with a short way for ASCII. Nothing here may raise on any string.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

# Canonical ordering is an insertion sort, quadratic in a run of combining marks; pieces bound it.
_PIECE = 256

_CONTROLS = dict.fromkeys((*range(9), *range(14, 28), 127))
_ODD_CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufff9-\ufffb\ufffe\uffff]"
)
_LINE_ENDS = re.compile("[\x85\u2028\u2029]")

# Default-ignorable code points (Unicode, DerivedCoreProperties), bidi controls and tags included.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_INVISIBLES = re.compile(f"[{_INVISIBLE}]+")
# Latin, Greek, Cyrillic and digits: scripts that need no joiner inside a word.
_UNJOINED = "0-9A-Za-z\u00aa-\u024f\u0370-\u052f\u1e00-\u1fff"
_INSIDE_WORD = re.compile(f"(?<=[{_UNJOINED}])[{_INVISIBLE}]+(?=[{_UNJOINED}])")
# A hyphenation point leaves two letters on both sides; spam puts one between all letters.
_HYPHENATION = re.compile("(?<=[^\\W\\d_]{2})\u00ad(?=[^\\W\\d_]{2})")
_TAGS = re.compile("(?<!\U0001f3f4)[\U000e0001-\U000e007f]+")
_OVERRIDDEN = re.compile("\u202e([^\u202a-\u202e\n]*)\u202c?")
_OVERRIDES = re.compile("[\u202d\u202e]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_EAST_ASIAN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

# Letters drawn like a Latin one that compatibility normalisation maps to it. One alone may be a
# symbol of mathematics; two make a word.
_STYLED = re.compile("[\u24b6-\u24e9\U0001d400-\U0001d7ff\U0001f110-\U0001f149]{2,}")
_FULLWIDTH = re.compile("[\uff21-\uff3a\uff41-\uff5a]{2,}")
# Those it leaves alone: small capitals and negative circled or squared letters.
_CAPITALS = re.compile(
    "[\u1d00-\u1d22\u0262\u026a\u0274\u0280\u028f\u0299\u029c\u029f\ua730\ua731]{3,}"
)
_NEGATIVE = re.compile("[\U0001f150-\U0001f169\U0001f170-\U0001f189]{2,}")
_DRAWN_LETTER = re.compile(
    "[\u24b6-\u24e9\uff21-\uff5a\u1d00-\u1d22\u0262-\u029f\ua730\ua731\U0001d400-\U0001d7ff"
    "\U0001f110-\U0001f189]"
)
_DRAWN = str.maketrans(
    dict(
        zip(
            "\u1d00\u0299\u1d04\u1d05\u1d07\ua730\u0262\u029c\u026a\u1d0a\u1d0b\u029f\u1d0d\u0274"
            "\u1d0f\u1d18\u0280\ua731\u1d1b\u1d1c\u1d20\u1d21\u028f\u1d22",
            "abcdefghijklmnoprstuvwyz",
            strict=True,
        )
    )
    | {chr(0x1F150 + i): chr(0x41 + i) for i in range(26)}
    | {chr(0x1F170 + i): chr(0x41 + i) for i in range(26)}
)

# Cyrillic and Greek letters that look like Latin ones (facts of Unicode UTS #39, confusables.txt).
_TWINS = str.maketrans(
    "АВЕЅІЈКМНОРСТУХҮԌԚԜаеорсухѕіјһӏԁԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧαγικνορυχϲϳ",
    "ABESIJKMHOPCTYXYGQWaeopcyxsijhldqwABEZHIKMNOPTYXayikvopuxcj",
)
_GREEK_OR_CYRILLIC = re.compile("[\u0370-\u052f]")
# The class looked behind for is the one that is matched: a run has one start, so this is linear.
_MIXED = re.compile(
    "(?<![A-Za-z\u00c0-\u024f\u0370-\u052f])"
    "(?:[A-Za-z\u00c0-\u024f]+[\u0370-\u052f]|[\u0370-\u052f]+[A-Za-z\u00c0-\u024f])[^\\W_]*"
)


@dataclass(frozen=True, slots=True)
class NormalText:
    """Normalised text, and how many words had look-alikes, how many invisible runs were tricks."""

    text: str
    lookalikes: int = 0
    zero_width: int = 0
    bidi_controls: int = 0


def normalise(text: str) -> NormalText:
    """Bring text to one form: NFKC, Latin look-alikes in mixed words to Latin, nothing invisible.

    White space is collapsed, line breaks are kept (at most one empty line in a row).
    Words wholly in Cyrillic or Greek stay as they are. Never raises; linear.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return NormalText(collapse(text.translate(_CONTROLS)))
    text = _ODD_CONTROLS.sub("", _LINE_ENDS.sub("\n", text))
    zero_width = bidi_controls = 0
    if _INVISIBLES.search(text):
        text, zero_width, bidi_controls = _take_out_invisible(text)
    text, styled = _undraw(text)
    text = "".join(
        unicodedata.normalize("NFKC", text[start : start + _PIECE])
        for start in range(0, len(text), _PIECE)
    )
    text, mixed = _replace_twins(text)
    return NormalText(collapse(text), styled + mixed, zero_width, bidi_controls)


def collapse(text: str) -> str:
    """One blank between words, no blanks at line ends, at most one empty line in a row."""
    lines: list[str] = []
    for line in text.split("\n"):
        kept = " ".join(line.split())
        if kept or (lines and lines[-1]):
            lines.append(kept)
    if lines and not lines[-1]:
        lines.pop()
    return "\n".join(lines)


def _take_out_invisible(text: str) -> tuple[str, int, int]:
    bidi_controls = 0
    if not _RIGHT_TO_LEFT.search(text):
        bidi_controls = len(_OVERRIDES.findall(text))
        # The reader sees what follows an override backwards: so must we.
        text = _OVERRIDDEN.sub(lambda found: found[1][::-1], text)
    if "\u00ad" in text:
        text = _HYPHENATION.sub("", text)
    zero_width = len(_INSIDE_WORD.findall(text)) + len(_TAGS.findall(text))
    return _INVISIBLES.sub("", text), zero_width, bidi_controls


def _undraw(text: str) -> tuple[str, int]:
    if not _DRAWN_LETTER.search(text):
        return text, 0
    count = len(_STYLED.findall(text))
    if not _EAST_ASIAN.search(text):
        count += len(_FULLWIDTH.findall(text))
    drawn = len(_CAPITALS.findall(text)) + len(_NEGATIVE.findall(text))
    if drawn:
        text = text.translate(_DRAWN)
    return text, count + drawn


def _replace_twins(text: str) -> tuple[str, int]:
    if not _GREEK_OR_CYRILLIC.search(text):
        return text, 0
    count = 0

    def latin(found: re.Match[str]) -> str:
        nonlocal count
        word = found[0].translate(_TWINS)
        # A foreign letter that is no twin shows an honest mixture ("emailов", "kΩ").
        if _GREEK_OR_CYRILLIC.search(word):
            return found[0]
        count += 1
        return word

    return _MIXED.sub(latin, text), count
