"""Who a mail was sent to: taken out of what the model reads.

Mail to many writes each recipient's address into its text. A model that reads it learns whose
mail it was trained on, not what unwanted mail is like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filterd.mail.hosts import FREE_MAIL

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST = 5  # recipients looked at
_HEADERS = frozenset({"to", "cc", "delivered-to", "x-original-to"})
_ADDRESS = re.compile(r"([^\s<>\"(),;:@]{1,64})@([^\s<>\"(),;:@]{1,255})")
_SHORTEST_LOCAL = 6  # characters before the @ that may stand for the whole address


@dataclass(frozen=True, slots=True)
class Recipients:
    """A mail's recipients: their own domains, and a pattern for what names them."""

    domains: frozenset[str] = frozenset()
    addresses: re.Pattern[str] | None = None
    hosts: re.Pattern[str] | None = None

    def masked(self, text: str) -> str:
        """Text with "you" for a recipient's address and "your domain" for its domain."""
        if self.addresses:
            text = self.addresses.sub("you", text)
        return self.hosts.sub("your domain", text) if self.hosts else text


def recipients_of(headers: Iterable[tuple[str, str]]) -> Recipients:
    """The first few recipients named by a mail's headers."""
    found: dict[tuple[str, str], None] = {}
    for name, value in headers:
        if name.lower() in _HEADERS:
            for address in _ADDRESS.finditer(value):
                found[address[1], address[2].lower().rstrip(".>]")] = None
                if len(found) == _MOST:
                    break
        if len(found) >= _MOST:
            break
    if not found:
        return Recipients()
    names = [f"{local}@{domain}" for local, domain in found]
    # Alone it counts only where it cannot be a person's name.
    names += [
        local
        for local, _ in found
        if len(local) >= _SHORTEST_LOCAL and not local.isalpha() and "." not in local
    ]
    # A "domain" without a dot is none, and a sender could choose one that stands in every word.
    domains = frozenset(domain for _, domain in found if "." in domain and domain not in FREE_MAIL)
    return Recipients(domains, _any_of(names), _any_of(domains))


def _any_of(words: Iterable[str]) -> re.Pattern[str] | None:
    escaped = [re.escape(word) for word in sorted(words, key=len, reverse=True)]
    if not escaped:
        return None
    # Whole words only; a host below a recipient's domain counts as one.
    return re.compile(rf"(?<![\w\-])(?:{'|'.join(escaped)})(?![\w\-])", re.IGNORECASE)
