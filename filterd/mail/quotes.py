"""What a reply repeats of the mail it answers: not the sender's words, so not for the model.

Only replies lose their quotations. A first mail that puts its message behind ">" is read whole.
"""

from __future__ import annotations

import re

_QUOTED = re.compile(r" ?(?:>|\| ?>)")
_WROTE = re.compile(
    r"\b(?:wrote|writes|said|schrieb|a écrit|escribió|ha scritto|escreveu|schreef|skrev|napisał"
    r"|kirjoitti|пишет|писал|написал|写道|寫道)[^:]{0,60}: ?$|^on .{6,200},? wrote:?$",
    re.IGNORECASE,
)
# Where a program put the whole earlier mail below the answer.
_ORIGINAL = re.compile(
    r"^-{2,} ?(?:original message|original appointment|ursprüngliche nachricht|originalnachricht"
    r"|message d'origine|mensaje original|messaggio originale|mensagem original"
    r"|oorspronkelijk bericht|исходное сообщение|原始邮件) ?-{2,}"
    r"|^\*?(?:from|von|de|da|от): ?\*? ?[^\n]{1,200}\n"
    r"\*?(?:sent|date|gesendet|datum|envoyé|enviado|inviato|отправлено|дата)"
    r" ?: ?\*? ?[^\n]{1,80}\n",
    re.IGNORECASE | re.MULTILINE,
)
_MAX_LINE = 300


def without_quotes(text: str) -> str:
    """A reply's text without what it quotes; all of it if it has no words of its own. Linear."""
    original = _ORIGINAL.search(text)
    own = text[: original.start()] if original else text
    if "\n>" in own or own.startswith(">"):
        own = _without_marked(own)
    else:
        own = _without_introduction(own)
    if any(character.isalnum() for character in own):
        return own
    return unmarked(text)


def unmarked(text: str) -> str:
    """Text with the marks of quotation taken off its lines."""
    if "\n>" not in text and not text.startswith(">"):
        return text
    return "\n".join(line.lstrip("> ") if line[:1] == ">" else line for line in text.split("\n"))


def _without_marked(text: str) -> str:
    kept: list[str] = []
    # Whether the end of what is kept was not looked at yet: without this, empty lines between
    # quoted ones would be gone over again at each of them.
    is_new = True
    for line in text.split("\n"):
        if not _QUOTED.match(line):
            kept.append(line)
            is_new = is_new or bool(line)
        elif is_new:
            is_new = _drop_introduction(kept)
    return "\n".join(kept)


def _without_introduction(text: str) -> str:
    lines = text.rstrip().split("\n")
    _drop_introduction(lines)
    return "\n".join(lines)


def _drop_introduction(lines: list[str]) -> bool:
    """Take off the end who wrote what follows, if it says so: one line, or two if it was broken."""
    end = len(lines)
    while end and not lines[end - 1]:
        end -= 1
    if not end or not lines[end - 1].endswith((":", "：")):
        return False
    last = lines[end - 1][-_MAX_LINE:]
    found = bool(_WROTE.search(last))
    if found:
        # "On Tuesday, 3 March 2020 at 10:12, Some Body" may stand on the line before.
        before = lines[end - 2][:_MAX_LINE] if end > 1 else ""
        broken = before.lower().startswith(("on ", "am ", "le ", "el ")) and any(
            c.isdigit() for c in before
        )
        del lines[end - (2 if broken else 1) :]
    return found
