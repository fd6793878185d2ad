"""What a client's command means: paths, ESMTP parameters and XFORWARD attributes.

Pure functions over text. Anything that is not plainly right is refused with the reply to give;
all are linear in the length of the command, which the session bounds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from filterd.smtp.replies import TOO_LARGE, Reply

if TYPE_CHECKING:
    from collections.abc import Collection

BAD_SENDER: Final = Reply(501, "5.1.7 Bad sender address syntax")
BAD_RECIPIENT: Final = Reply(501, "5.1.3 Bad recipient address syntax")

# RFC 5321 4.5.3.1: 64 for the local part, 255 for the domain. Signed local parts (SRS, BATV, VERP)
# outgrow 64, so only the sum counts.
MAX_ADDRESS: Final = 64 + 1 + 255

# A path in angle brackets: an obsolete source route (dropped, RFC 5321 appendix C), then characters
# or quoted strings. Each alternative starts with another character, so there is no backtracking.
_PATH: Final = re.compile(
    r"""<(?:@[^\s<>:"\x00-\x1f\x7f]*:)?
    ((?:[^\s<>"\\\x00-\x1f\x7f-\x9f]|"(?:[^"\\\x00-\x1f\x7f-\x9f]|\\[^\x00-\x1f\x7f-\x9f])*")*)
    >(?:[ ]+(.*))?""",
    re.VERBOSE,
)
# Scanners and scripts leave the brackets out; Postfix takes that, so do we.
_BARE_PATH: Final = re.compile(r'([^\s<>"\\\x00-\x1f\x7f-\x9f]+)(?: +(.*))?')
_PARAMETER: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\s\x00-\x1f\x7f-\x9f]+))?")
_ATTRIBUTE: Final = re.compile(r"([A-Za-z0-9]+)=([!-~]+)")
_XTEXT: Final = re.compile(r"\+([0-9A-F]{2})")


class CommandError(Exception):
    """A command that is refused; `reply` says how. Never leaves this package."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Parameter:
    """One ESMTP parameter: upper-case keyword, value if any, and `raw` as the client wrote it."""

    keyword: str
    value: str | None
    raw: str


def parse_mail(argument: str) -> tuple[str, tuple[Parameter, ...]]:
    """`FROM:<address> parameters` to the sender ("" for the null sender) and its parameters.

    Raises CommandError: 501 5.5.4 without FROM, 501 5.1.7 for a bad address.
    """
    return _parse_path(argument, "FROM:", BAD_SENDER)


def parse_rcpt(argument: str) -> tuple[str, tuple[Parameter, ...]]:
    """`TO:<address> parameters` to the recipient, never empty, and its parameters.

    Raises CommandError: 501 5.5.4 without TO, 501 5.1.3 for a bad address.
    """
    address, parameters = _parse_path(argument, "TO:", BAD_RECIPIENT)
    if not address:
        raise CommandError(BAD_RECIPIENT)
    return address, parameters


def _parse_path(argument: str, keyword: str, bad: Reply) -> tuple[str, tuple[Parameter, ...]]:
    if argument[: len(keyword)].upper() != keyword:
        verb = "MAIL" if keyword == "FROM:" else "RCPT"
        raise CommandError(Reply(501, f"5.5.4 Syntax: {verb} {keyword}<address>"))
    path = argument[len(keyword) :].strip(" ")
    match = (_PATH if path.startswith("<") else _BARE_PATH).fullmatch(path)
    # A second source route behind the first is not ours to follow, nor the next hop's.
    if (
        match is None
        or match[1].startswith("@")
        or len(match[1].encode("utf-8", "surrogateescape")) > MAX_ADDRESS
    ):
        raise CommandError(bad)
    return match[1], parse_parameters(match[2] or "")


def parse_parameters(text: str) -> tuple[Parameter, ...]:
    """ESMTP parameters (RFC 5321 4.1.2) in order.

    Raises CommandError 501 5.5.4 on a malformed or repeated one.
    """
    parameters: dict[str, Parameter] = {}
    for word in text.split(" "):
        if not word:
            continue
        match = _PARAMETER.fullmatch(word)
        keyword = match[1].upper() if match else ""
        if match is None or keyword in parameters:
            raise CommandError(Reply(501, "5.5.4 Malformed or repeated parameter"))
        parameters[keyword] = Parameter(keyword, match[2], word)
    return tuple(parameters.values())


def check_parameters(
    parameters: tuple[Parameter, ...], accepted: Collection[str], *, max_size: int
) -> None:
    """Refuse parameters that were not offered or whose value we can tell is wrong.

    Raises CommandError: 555 5.5.4 not offered, 501 5.5.4 bad value, 552 5.3.4 declared size
    over `max_size` bytes (RFC 1870).
    """
    for parameter in parameters:
        keyword, value = parameter.keyword, parameter.value
        if keyword not in accepted:
            raise CommandError(Reply(555, "5.5.4 Parameter not recognized or not implemented"))
        well_formed = (
            value is None
            if keyword == "SMTPUTF8"
            else value is not None
            and (keyword != "BODY" or value.upper() in {"7BIT", "8BITMIME"})
            and (keyword != "SIZE" or is_size(value))
        )
        if not well_formed:
            raise CommandError(Reply(501, "5.5.4 Bad parameter value"))
        if keyword == "SIZE" and value is not None and int(value) > max_size:
            raise CommandError(TOO_LARGE)


def is_size(value: str) -> bool:
    """Whether the value of SIZE is one: 1 to 20 digits (RFC 1870)."""
    return value.isascii() and value.isdigit() and len(value) <= 20


def parse_xforward(argument: str, offered: Collection[str]) -> dict[str, str]:
    """XFORWARD attributes by upper-case name, xtext decoded (Postfix XFORWARD_README).

    Raises CommandError 501 5.5.4 on bad syntax or a name that is not in `offered`.
    """
    attributes: dict[str, str] = {}
    for word in argument.split(" "):
        if not word:
            continue
        match = _ATTRIBUTE.fullmatch(word)
        name = match[1].upper() if match else ""
        if match is None or name not in offered:
            raise CommandError(Reply(501, "5.5.4 Bad XFORWARD attribute"))
        attributes[name] = _XTEXT.sub(lambda code: chr(int(code[1], 16)), match[2])
    if not attributes:
        raise CommandError(Reply(501, "5.5.4 Syntax: XFORWARD attribute=value ..."))
    return attributes
