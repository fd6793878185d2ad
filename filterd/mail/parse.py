"""Bytes to `Message`: whatever came over the wire, in linear time, without ever raising.

Stages, each with its bound: header block (headers), parts (mime), HTML (html), text (unicode).
"""

from __future__ import annotations

import re

from filterd.mail import headers
from filterd.mail.hosts import to_unicode
from filterd.mail.message import Attachment, Link, Message, Signals
from filterd.mail.mime import MAX_TEXT, Walk
from filterd.mail.unicode import normalise

__all__ = ["MAX_TEXT", "Attachment", "Link", "Message", "Signals", "parse", "split_address"]

_MAX_LINKS = 100
_MAX_SUBJECT = 998  # one line of RFC 5322
_ADDRESS = re.compile(r"<([^<>\s]{1,320})>\s*$|<([^<>\s]{1,320})>")
_BARE_ADDRESS = re.compile(r"[^\s<>\"(),;:]{1,64}@[^\s<>\"(),;:]{1,255}")


def parse(raw: bytes) -> Message:
    """Read one message (RFC 5322 and MIME, or whatever came instead). Never raises; linear."""
    if b"\n" not in raw and b"\r" in raw:
        raw = raw.replace(b"\r", b"\n")
    fields, body, defects = headers.split(raw, 0, len(raw))
    walk = Walk(raw, defects=defects)
    found = walk.read(fields, body, len(raw))
    text = normalise(found.text[: 2 * MAX_TEXT])
    decoded = tuple((name.decode("ascii"), headers.text_of(value)) for name, value in fields)
    first: dict[str, str] = {}
    for name, value in decoded:
        first.setdefault(name.lower(), value)
    subject = normalise(first.get("subject", "")[:_MAX_SUBJECT])
    from_name, from_address = split_address(first.get("from", ""))
    sender = normalise(from_name)
    links = tuple(dict.fromkeys(found.links))[:_MAX_LINKS]
    return Message(
        subject=subject.text.replace("\n", " "),
        from_name=sender.text.replace("\n", " "),
        from_address=from_address,
        from_domain=domain_of(from_address),
        reply_to_domain=domain_of(split_address(first.get("reply-to", ""))[1]),
        message_id=first.get("message-id", "")[:_MAX_SUBJECT],
        date=first.get("date", "")[:100],
        headers=decoded,
        text=text.text[:MAX_TEXT],
        links=links,
        attachments=tuple(walk.attachments),
        signals=Signals(
            hidden_characters=found.hidden_characters,
            lookalikes=text.lookalikes + subject.lookalikes + sender.lookalikes,
            zero_width=text.zero_width + subject.zero_width + sender.zero_width,
            mismatched_links=sum(link.is_mismatched for link in links),
            bidi_controls=text.bidi_controls + subject.bidi_controls + sender.bidi_controls,
            defects=walk.defects,
        ),
    )


def split_address(value: str) -> tuple[str, str]:
    """The display name and the address of the first mailbox in a From or Reply-To field.

    The address is lower-case and "" if there is none. A name that is an address stays a name:
    that trick is for the model to see.
    """
    value = value[:2048]
    found = _ADDRESS.search(value)
    if found:
        address = found[1] or found[2]
        name = value[: found.start()].strip()
    else:
        bare = _BARE_ADDRESS.search(value)
        address = bare[0] if bare else ""
        name = value.replace(address, "", 1).strip() if address else value.strip()
        name = name.removeprefix("(").removesuffix(")")
    name = re.sub(r"\\(.)", r"\1", name.strip("\"' \t"))
    return name[:256], address.lower().strip("\"'")


def domain_of(address: str) -> str:
    """The domain of an address, IDNA as Unicode, "" if it has none."""
    domain = address.rpartition("@")[2] if "@" in address else ""
    return to_unicode(domain.strip("[]>. ")[:255])
