"""`Message` to the text that the model reads: what a sender wrote, in a fixed and short layout.

Nothing that the way of a mail or a list adds may get in: a model that reads it learns where its
corpora were collected. A change of what comes out is a new `RENDERER_VERSION`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from filterd.mail.footers import without_footers
from filterd.mail.headers import one_line
from filterd.mail.hosts import FREE_MAIL, URL, host_of, hosts_in, short_host
from filterd.mail.message import Link, Message, registrable
from filterd.mail.parse import MAX_TEXT, domain_of, split_address
from filterd.mail.quotes import unmarked, without_quotes
from filterd.mail.recipients import Recipients, recipients_of
from filterd.mail.unicode import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable

RENDERER_VERSION = 3

_MAX_SUBJECT = 120
_MAX_NAME = 40
_MAX_HOST = 40
_MAX_HOSTS = 3
_MAX_FILES = 2
_MAX_FILE = 24  # characters of a file's name before its ending
_MUCH_HIDDEN = 300  # characters; a newsletter's preview line has about 100

_REPLY = "re|aw|sv|vs|antw(?:ort)?|rif|res|odp|ynt|回复|答复|回覆|ответ|отв"
_FORWARD = "fwd?|wg|vl|tr|enc|i|转发|轉寄|пересл"
_COUNT = r"\s?(?:\[\d{1,3}\]|\(\d{1,3}\)|\*\d{1,3}|\^\d{1,3})?\s?[:：]"
_TAG = r"\[[^\[\]]{0,40}\]"
_PREFIX = re.compile(rf"\s*(?:{_TAG}|(?:{_REPLY}|{_FORWARD}|ref){_COUNT})\s*", re.IGNORECASE)
_IS_REPLY = re.compile(rf"\s*(?:{_TAG}\s*)*(?:{_REPLY}){_COUNT}", re.IGNORECASE)
_IS_FORWARD = re.compile(rf"\s*(?:{_TAG}\s*)*(?:{_FORWARD}){_COUNT}", re.IGNORECASE)
_REPLY_HEADERS = frozenset({"in-reply-to", "references"})

_RUN = re.compile(r"[A-Za-z0-9+/=_\-]{40,}")
_REPEATED = re.compile(r"([!-/:-@\[-`{-~])\1{2,}")
_SPACED = re.compile(r"([*=~#\-_.+|])(?: \1){2,}")
# Emoji and dingbats, each once for a run of them, with the skin tones that follow.
_EMOJI = re.compile(
    "([\u2600-\u27bf\u2b50\U0001f300-\U0001f3fa\U0001f400-\U0001faff])(?:\\1|[\U0001f3fb-\U0001f3ff])*"
)
_SAYS_SOMETHING = re.compile(r"[^\s!-/:-@\[-`{-~]|[$!?]")
_PGP_HEAD = re.compile(r"-{5}BEGIN PGP SIGNED MESSAGE-{5}\n(?:Hash: [^\n]*\n)?")
_PGP_SIGNATURE = "-----BEGIN PGP SIGNATURE-----"
_VIA_LIST = re.compile(r"['\"]?\s+via\s+\S.*$", re.IGNORECASE)
_SIGNATURES = frozenset(
    {
        "application/pgp-signature",
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
    }
)


def render(message: Message, *, max_characters: int) -> str:
    """The text the tokenizer gets, at most `max_characters` long. Never raises; linear.

    Lines: subject, sender, hosts of links, file names, tricks found; then the body.
    """
    recipients = recipients_of(message.headers)
    name, domain = _sender(message)
    if domain in recipients.domains:
        domain = ""  # a colleague or a forger: either way it names only who received the mail
    subject = recipients.masked(bare_subject(message.subject))[:_MAX_SUBJECT]
    files = [
        _file(a.name) or a.content_type
        for a in message.attachments
        if _is_file(a.name, a.content_type)
    ]
    fields = (
        ("from: ", " ".join(filter(None, (name[:_MAX_NAME], domain[-_MAX_HOST:])))),
        ("links: ", ", ".join(_hosts(message.links, message.text))),
        ("files: ", ", ".join(dict.fromkeys(files[:_MAX_FILES]))),
        ("notes: ", ", ".join(_notes(message, domain))),
    )
    head = "\n".join([subject, *(label + value for label, value in fields if value)])
    body = _body(message, recipients, max(max_characters - len(head), 0))
    return f"{head}\n\n{body}".strip()[:max_characters]


def render_text(subject: str, sender: str, body: str, *, max_characters: int) -> str:
    """Render a mail of which only text is left, by the very same code; `sender` as in From."""
    return render(message_from_fields(subject, sender, body), max_characters=max_characters)


def message_from_fields(subject: str, sender: str, body: str) -> Message:
    """A `Message` from plain fields; `sender` as in a From field, "" if unknown."""
    name, address = split_address(one_line(sender))
    text = normalise(body[: 2 * MAX_TEXT]).text[:MAX_TEXT]
    return Message(
        subject=normalise(subject[:998]).text.replace("\n", " "),
        from_name=normalise(name).text.replace("\n", " "),
        from_address=address,
        from_domain=domain_of(address),
        text=text,
        links=tuple(Link(host, "") for host in hosts_in(text, 100)),
    )


def bare_subject(subject: str) -> str:
    """The subject without leading Re:, Fwd: (in many languages) and list [tag]s."""
    rest = subject[:1000]
    while found := _PREFIX.match(rest):
        rest = rest[found.end() :]
    return _REPEATED.sub(_fewer, spelt(rest or subject)).strip()


def spelt(text: str) -> str:
    """Text with the names of its emoji for them: an English vocabulary has the words alone."""
    return text if text.isascii() else _EMOJI.sub(_named, text)


def _named(found: re.Match[str]) -> str:
    return f" {unicodedata.name(found[1], '').lower()} "


def is_reply(message: Message) -> bool:
    """Whether the mail answers another one, by its subject or else by its headers."""
    if _IS_REPLY.match(message.subject):
        return True
    if _IS_FORWARD.match(message.subject):
        return False
    return any(name.lower() in _REPLY_HEADERS for name, _ in message.headers)


def _sender(message: Message) -> tuple[str, str]:
    """The name and domain of who wrote it, not of a list that put itself into From."""
    name, domain = message.from_name, message.from_domain
    if name.lower() == message.from_address:
        name = ""
    if via := _VIA_LIST.search(name):
        return name[: via.start()].strip("'\" "), message.reply_to_domain
    if "@" in message.from_address:
        for header, value in message.headers:
            if (
                header.lower() in ("list-post", "x-beenthere")
                and message.from_address in value.lower()
            ):
                return "", ""
    return name, domain


def _body(message: Message, recipients: Recipients, most: int) -> str:
    text = message.text
    if "-----BEGIN PGP" in text:
        text = _PGP_HEAD.sub("", text).partition(_PGP_SIGNATURE)[0]
    text = without_footers(text)
    text = without_quotes(text) if is_reply(message) else unmarked(text)
    # Tidying only shortens: twice what is needed is mostly enough, and a small part of the text.
    body = _tidied(text[: 2 * most], recipients)
    if len(body) < most and len(text) > 2 * most:
        body = _tidied(text[: 16 * most], recipients)
    return body[:most]


def _tidied(text: str, recipients: Recipients) -> str:
    """Text with hosts for URLs, and without recipients, keys, ruled lines and empty lines."""
    text = URL.sub(lambda found: short_host(host_of(found[0])) or found[0][:_MAX_HOST], text)
    text = spelt(recipients.masked(text.replace("&nbsp;", " ")))
    text = _RUN.sub(_short_run, text)
    text = _REPEATED.sub(_fewer, _SPACED.sub(r"\1", text))
    lines = (line.strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if _SAYS_SOMETHING.search(line))


def _short_run(found: re.Match[str]) -> str:
    """A run of 40 and more: long words stay, keys, hashes and encoded files are cut."""
    run = found[0][:64]
    digits = sum(character.isdigit() for character in run)
    upper = sum(character.isupper() for character in run)
    return run[:12] if digits > 3 or 7 < upper < len(run) else run


def _fewer(found: re.Match[str]) -> str:
    mark = found[0][0]
    return mark * 2 if mark in "!?$" else mark


def _hosts(links: Iterable[Link], text: str) -> list[str]:
    """Hosts of links that the visible text does not name: three, without what varies in them."""
    hosts: dict[str, None] = {}
    for link in links:
        short = short_host(link.host)[-_MAX_HOST:]
        if short not in hosts and registrable(link.host) not in text:
            hosts[short] = None
            if len(hosts) == _MAX_HOSTS:
                break
    return list(hosts)


def _file(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return f"{stem[:_MAX_FILE]}{dot}{ending[:8]}" if dot else name[:_MAX_FILE]


def _is_file(name: str, content_type: str) -> bool:
    # Signatures, and pictures that HTML mail shows, say nothing about it.
    return content_type not in _SIGNATURES and (bool(name) or not content_type.startswith("image/"))


def _notes(message: Message, domain: str) -> list[str]:
    signals = message.signals
    notes = []
    if signals.hidden_characters >= max(_MUCH_HIDDEN, len(message.text) // 2):
        notes.append("hidden text")
    if signals.lookalikes:
        notes.append("look-alike letters")
    if signals.zero_width:
        notes.append("invisible letters")
    if signals.bidi_controls:
        notes.append("reversed text")
    if signals.mismatched_links:
        notes.append("link shows another host")
    reply_to = registrable(message.reply_to_domain)
    if domain and reply_to in FREE_MAIL and reply_to != registrable(domain):
        notes.append(f"replies go to {reply_to}")
    return notes
