"""Host names: of a URL, and as a reader sees them in text."""

from __future__ import annotations

import re
from urllib.parse import unquote

_MAX_URL = 2048
_HOST = re.compile(r"[\w\-]+(?:\.[\w\-]+)*\.?$")
# Spelled out: a tenth of the time that IGNORECASE takes.
URL = re.compile(r"(?:[Hh][Tt][Tt][Pp][Ss]?|[Ff][Tt][Pp])://[^\s<>\"']+")
_AUTHORITY = re.compile(r"\s*(?:[a-z][a-z0-9+.\-]{0,20}:)?[/\\]{2,}([^/\\?#\s]*)", re.IGNORECASE)
_SHOWN = re.compile(
    r"(?:(?:https?|ftp)://(?:[^\s/@]{1,64}@)?|(?=www\.))((?:[\w\-]{1,63}\.)+[^\W\d_]{2,24})(?=[\s:/?#.,;)\]>]|$)",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"((?:[\w\-]{1,63}\.)+(?:com|org|net|info|biz|edu|gov|[a-z]{2}))(?:/\S*)?$", re.IGNORECASE
)
# Two letters that end a file's name more often than a host's.
_FILE_ENDINGS = frozenset(
    [
        "ai",
        "db",
        "do",
        "gz",
        "js",
        "md",
        "mk",
        "ml",
        "pl",
        "ps",
        "py",
        "rb",
        "rs",
        "sh",
        "so",
        "ts",
        "vb",
    ]
)


# Gateways that rewrite every link of a mail, and what the true one looks like inside theirs.
_GATEWAYS = (
    "safelinks.protection.outlook.com",
    "urldefense.com",
    "urldefense.proofpoint.com",
    "linkprotect.cudasvc.com",
    "protect.checkpoint.com",
)
_WRAPPED = re.compile(r"[=/_]https?(?:://|-3A__|:/)([\w.\-]{1,253})", re.IGNORECASE)
# Anybody may have an address there: the domain does not say who wrote.
FREE_MAIL = frozenset({
    "gmail.com", "googlemail.com", "yahoo.com", "hotmail.com", "outlook.com", "live.com",
    "aol.com", "gmx.com", "gmx.de", "mail.ru", "yandex.ru", "yandex.com", "qq.com", "163.com",
    "126.com", "proton.me", "protonmail.com", "mail.com", "zoho.com", "icloud.com", "web.de",
    "yahoo.co.uk", "yahoo.co.jp", "yahoo.fr", "rediffmail.com", "inbox.ru", "bk.ru", "list.ru",
    "rambler.ru"
})  # fmt: skip


def host_of(url: str) -> str:
    """The host a URL leads to, lower-case, IDNA as Unicode, without port; "" if it has none."""
    url = url[:_MAX_URL].strip().replace("\n", "").replace("\t", "")
    found = _AUTHORITY.match(url)
    if not found:
        return ""
    authority = found[1].rpartition("@")[2]
    host = authority.partition(":")[0].lower().rstrip(".")
    if len(host) > 253 or not _HOST.match(host):
        return ""
    if host.endswith(_GATEWAYS) and (wrapped := _WRAPPED.search(unquote(url[found.end() :]))):
        return to_unicode(wrapped[1].lower().strip("."))
    return to_unicode(host)


def short_host(host: str) -> str:
    """A host without "www." and without what varies in front of its last three labels."""
    if host.rpartition(".")[2].isdigit():
        return host  # an IPv4 address
    return ".".join(host.removeprefix("www.").rsplit(".", 3)[-3:])


def to_unicode(host: str) -> str:
    """`xn--…` labels as the letters a reader would see; left as they are if they decode to none."""
    if "xn--" not in host:
        return host
    return ".".join(_label_to_unicode(label) for label in host.split("."))


def _label_to_unicode(label: str) -> str:
    if not label.startswith("xn--") or len(label) > 63 or not label.isascii():
        return label
    try:
        text = label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, OverflowError):
        return label
    return text if text.isprintable() else label


def shown_host_of(text: str) -> str:
    """The host that a link's visible text names, or "". File names and addresses are no hosts."""
    text = text.strip()
    if "." not in text:
        return ""
    found = _SHOWN.search(text)
    if found:
        return to_unicode(found[1].lower())
    if "@" in text or " " in text:
        return ""
    found = _BARE.match(text)
    if not found:
        return ""
    host = found[1].lower()
    return "" if host.rpartition(".")[2] in _FILE_ENDINGS else to_unicode(host)


def hosts_in(text: str, most: int) -> list[str]:
    """Hosts of the URLs written out in plain text, in order, each once, `most` at most."""
    hosts: dict[str, None] = {}
    for found in URL.finditer(text):
        host = host_of(found[0])
        if host:
            hosts[host] = None
            if len(hosts) >= most:
                break
    return list(hosts)
