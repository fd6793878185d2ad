"""What is known of a mail once it has been read: plain data, nothing that can fail."""

from __future__ import annotations

from dataclasses import dataclass

# A country's second level under which anybody may register ("co.uk", "com.br").
_SECOND_LEVELS = frozenset({"ac", "co", "com", "edu", "gov", "net", "or", "org"})


def registrable(host: str) -> str:
    """The part of a host name somebody had to buy, by a simple rule and no list of suffixes.

    The last two labels, or three where the country's second level is a common one.
    """
    labels = host.rsplit(".", 3)
    if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVELS:
        return ".".join(labels[-3:])
    return ".".join(labels[-2:])


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is not shown as text. `size` is in bytes, worked out from the encoded length."""

    name: str
    content_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Link:
    """Where a link goes, and the host that its visible text names ("" if it names none).

    Hosts are lower-case, IDNA as Unicode, without port.
    """

    host: str
    shown_host: str

    @property
    def is_mismatched(self) -> bool:
        """Whether the reader is shown a host of somebody else."""
        return bool(self.shown_host) and registrable(self.host) != registrable(self.shown_host)


@dataclass(frozen=True, slots=True)
class Signals:
    """Counts of tricks found: characters hidden, words with look-alikes, and so on."""

    hidden_characters: int = 0
    lookalikes: int = 0
    zero_width: int = 0
    mismatched_links: int = 0
    bidi_controls: int = 0
    defects: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """A mail as a person sees it, plus its headers. Every field is bounded and free of controls.

    `headers` are decoded, in order, names as they were written. `text` is the visible text.
    """

    subject: str = ""
    from_name: str = ""
    from_address: str = ""
    from_domain: str = ""
    reply_to_domain: str = ""
    message_id: str = ""
    date: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    text: str = ""
    links: tuple[Link, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    signals: Signals = Signals()
