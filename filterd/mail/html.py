"""HTML to the text a reader sees, with its links, and a count of what was hidden from the reader.

Works on a stream of tokens with a stack of our own, so no nesting and no mis-nesting costs more
than linear time. Scripts, styles and comments never come out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from turbohtml import TokenType, tokenize

from filterd.mail.hosts import host_of, shown_host_of
from filterd.mail.message import Link
from filterd.mail.style import VISIBLE, Look, Styles

MAX_HTML = 512 * 1024  # characters that are looked at
MAX_LINKS = 200
MAX_TEXT = 2 * 65_536  # characters of visible text, before white space is collapsed
_MAX_ANCHOR = 512  # characters of a link's text
_LOOK_BACK = 8  # open elements searched for one that ends without saying so

# Python's own ints: comparing with an IntEnum's members costs as much as all the rest.
_START, _END, _TEXT = (
    int(kind) for kind in (TokenType.START_TAG, TokenType.END_TAG, TokenType.TEXT)
)
_VOID = frozenset({
    "area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input",
    "keygen", "link", "meta", "param", "source", "track", "wbr"
})  # fmt: skip
_NEVER_SHOWN = frozenset({
    "applet", "audio", "canvas", "datalist", "iframe", "math", "noembed", "noframes", "noscript",
    "object", "script", "select", "style", "svg", "template", "textarea", "title", "video", "xml"
})  # fmt: skip
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd",
    "details", "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer",
    "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "html", "li", "main", "menu",
    "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul"
})  # fmt: skip
# What ends where another begins (WHATWG HTML, optional tags), and what that does not reach over.
_CELLS = frozenset({"td", "th"})
_TERMS = frozenset({"dt", "dd"})
_NO_END_OF_PARAGRAPH = {"body", "br", "caption", "html", "tbody", "tfoot", "thead"}
_ENDS: dict[str, frozenset[str]] = {tag: frozenset({"p"}) for tag in _BLOCKS - _NO_END_OF_PARAGRAPH}
_ENDS |= {"li": frozenset({"li"}), "tr": frozenset({"tr"})}
_ENDS |= {"td": _CELLS, "th": _CELLS, "dt": _TERMS, "dd": _TERMS}
_BARRIERS = frozenset({"dl", "ol", "table", "ul"})


@dataclass(frozen=True, slots=True)
class HtmlText:
    """What a reader of the HTML sees: text with line breaks, links in order; and what is hidden."""

    text: str
    links: tuple[Link, ...] = ()
    hidden_characters: int = 0


def visible_text(html: str) -> HtmlText:
    """Take the visible text out of HTML (WHATWG tokens); hidden text is counted, not returned.

    Looks at the first `MAX_HTML` characters. Lines of quoted mail begin with "> ".
    Never raises; linear.
    """
    reader = _Reader()
    for token in tokenize(html[:MAX_HTML]):
        kind = token.type
        if kind == _TEXT:
            reader.add_text(token.data or "")
            if reader.length > MAX_TEXT:
                break
        elif kind == _START:
            reader.start(token.tag or "", dict(token.attrs or ()), closed=token.self_closing)
        elif kind == _END:
            reader.end(token.tag or "")
    reader.end_anchor()
    reader.end_quotation()
    return HtmlText("".join(reader.out), tuple(reader.links), reader.hidden)


@dataclass(slots=True)
class _Reader:
    """Where the reading of one document stands."""

    out: list[str] = field(default_factory=list)
    length: int = 0
    hidden: int = 0
    links: list[Link] = field(default_factory=list)
    look: Look = VISIBLE
    styles: Styles = field(default_factory=Styles)
    stack: list[tuple[str, Look]] = field(default_factory=list)  # open tags, the look around each
    open_tags: dict[str, int] = field(default_factory=dict)
    never_shown: int = 0
    anchor: str | None = None  # the host of the link that is open
    anchor_text: list[str] = field(default_factory=list)
    quotation: tuple[int, int] | None = None  # tags open and pieces out where one began

    def add_text(self, data: str) -> None:
        if self.never_shown:
            if self.stack[-1][0] == "style":
                self.styles.add_sheet(data)
        elif not self.look.is_visible:
            self.hidden += len("".join(data.split()))
        else:
            if not self.open_tags.get("pre"):
                data = data.replace("\n", " ")
            self.out.append(data)
            self.length += len(data)
            if self.anchor is not None and len(self.anchor_text) < _MAX_ANCHOR:
                self.anchor_text.append(data[:_MAX_ANCHOR])

    def start(self, tag: str, attributes: dict[str, str], *, closed: bool) -> None:
        if tag in _BLOCKS:
            self.out.append("\n")
        elif tag in _CELLS:
            self.out.append(" ")
        if tag in _ENDS:
            self._end_implied(_ENDS[tag])
        if tag in _VOID:
            self._add_void(tag, attributes)
            return
        if tag in _NEVER_SHOWN:
            if not closed:  # <svg/> and <math/> have no end
                self.never_shown += 1
                self._push(tag)
            return
        if tag == "a" and "href" in attributes:
            self.end_anchor()
            self.anchor = host_of(attributes["href"])
        if self.quotation is None and _is_quotation(tag, attributes):
            self.quotation = (len(self.stack), len(self.out))
        self._push(tag)
        if attributes:
            self.look = self.styles.look(self.look, tag, attributes)

    def end(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.out.append("\n")
        elif tag == "a":
            self.end_anchor()
        if not self.open_tags.get(tag):
            return
        name = ""
        while name != tag:
            name, self.look = self.stack.pop()
            self.open_tags[name] -= 1
            self.never_shown -= name in _NEVER_SHOWN
        if self.quotation is not None and len(self.stack) <= self.quotation[0]:
            self.end_quotation()

    def end_anchor(self) -> None:
        if self.anchor is not None:
            self._add_link(self.anchor, shown_host_of("".join(self.anchor_text)[:_MAX_ANCHOR]))
            self.anchor = None
            self.anchor_text = []

    def end_quotation(self) -> None:
        """Mark a quotation's lines as plain text does, so that both are treated alike."""
        if self.quotation is not None:
            lines = "".join(self.out[self.quotation[1] :]).split("\n")
            del self.out[self.quotation[1] :]
            quoted = "\n".join(f"> {line}" for line in lines if line.strip())
            self.out.append(f"\n{quoted}\n")
            self.quotation = None

    def _push(self, tag: str) -> None:
        self.stack.append((tag, self.look))
        self.open_tags[tag] = self.open_tags.get(tag, 0) + 1

    def _add_void(self, tag: str, attributes: dict[str, str]) -> None:
        shown = ""
        if tag == "img":
            shown = attributes.get("alt", "")
        elif tag == "input" and attributes.get("type", "").lower() in ("submit", "button"):
            shown = attributes.get("value", "")
        elif tag == "area":
            self._add_link(host_of(attributes.get("href", "")), "")
        if shown and len(shown) < _MAX_ANCHOR:
            look = self.look
            self.look = self.styles.look(look, tag, attributes)
            self.add_text(f" {shown} ")
            self.look = look

    def _end_implied(self, tags: frozenset[str]) -> None:
        for tag, _ in self.stack[: -_LOOK_BACK - 1 : -1]:
            if tag in tags:
                self.end(tag)
                return
            if tag in _BARRIERS:
                return

    def _add_link(self, host: str, shown: str) -> None:
        if host and len(self.links) < MAX_LINKS:
            self.links.append(Link(host, shown))


def _is_quotation(tag: str, attributes: dict[str, str]) -> bool:
    """Whether mail programs mark the earlier mail in a reply this way."""
    if tag == "blockquote" and attributes.get("type", "").lower() == "cite":
        return True
    classes = attributes.get("class", "")
    return any(name in classes for name in ("gmail_quote", "yahoo_quoted", "moz-cite"))
