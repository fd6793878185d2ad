"""The app manifest: what Slack is told of the bot when an admin creates its app."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

MANIFEST = Path(__file__).resolve().with_name("manifest.yaml")
# A line of the manifest that stands only where Slack sends requests over HTTP.
ONLY_HTTP = "# http: "
SOCKET = "socket_mode_enabled: true"
NO_SOCKET = "socket_mode_enabled: false"
# Where `bot.app` takes Slack's requests.
PATH = "/slack/events"


def manifest_text(mode: Literal["socket", "http"], url: str | None = None) -> str:
    """The manifest as YAML. Mode http needs the URL that Slack sends all its requests to; one
    without a path gets ours.

    Raises ValueError, which says what is wrong with the URL.
    """
    text = MANIFEST.read_text(encoding="utf-8")
    if mode == "socket":
        if url is not None:
            raise ValueError("in mode socket Slack sends no requests: leave the URL out")
        return "".join(line for line in text.splitlines(True) if ONLY_HTTP not in line)
    # A string of JSON is one of YAML, too.
    quoted = json.dumps(_checked(url))
    return text.replace(SOCKET, NO_SOCKET).replace(ONLY_HTTP, "").replace("{url}", quoted)


def _checked(url: str | None) -> str:
    if not url:
        raise ValueError("mode http needs the URL that Slack is to send its requests to")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"{url!r}: has characters that a URL cannot have")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{url!r}: {error}") from None
    if parts.scheme != "https":
        raise ValueError(f"{url!r}: must begin with https://, Slack sends to nothing else")
    if not host:
        raise ValueError(f"{url!r}: has no host")
    if parts.username is not None or parts.fragment:
        raise ValueError(f"{url!r}: must have neither a user nor a part after #")
    return url if parts.path.strip("/") or parts.query else url.rstrip("/") + PATH
