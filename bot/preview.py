"""Pictures of what people see in Slack, made without Slack: one HTML page, and a PNG per surface.

Blocks are drawn by npm's `slack-blocks-to-jsx`; that is near to Slack, not Slack. What it does not
know, modals and Home tabs, gets a plain frame of ours. The page loads nothing.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bot.drawing import bundle, find_browser, picture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = Literal["message", "ephemeral", "modal", "home"]

HERE = Path(__file__).resolve().parent
PAGE = "index.html"
LOGO = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 36 36'>"
    "<rect width='36' height='36' rx='4' fill='#1f3a5f'/>"
    "<path d='M7 9h22l-8.500 10v9l-5-2.500v-6.500z' fill='#fff'/></svg>"
)
TEMPLATE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<title>filterd in Slack</title>
<style>{css}</style>
<main id="page"></main>
<script type="application/json" id="surfaces">{surfaces}</script>
<script>{js}</script>
</html>
"""


@dataclass(frozen=True, slots=True)
class Surface:
    """Something that people see. `name` is also its file's name; a modal has a title and buttons.

    `images` are PNGs by the id that stands in a block's `slack_file`; `people` names by user id.
    """

    name: str
    title: str
    kind: Kind
    blocks: Sequence[Mapping[str, Any]]
    modal_title: str | None = None
    submit: str | None = None
    close: str | None = None
    images: Mapping[str, bytes] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict)
    posted: datetime = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)


def view_surface(
    name: str,
    title: str,
    view: Mapping[str, Any],
    *,
    images: Mapping[str, bytes] | None = None,
    people: Mapping[str, str] | None = None,
) -> Surface:
    """A modal or a Home tab, as it goes to Slack, as a surface."""
    words = {each: view[each]["text"] for each in ("title", "submit", "close") if each in view}
    return Surface(
        name,
        title,
        view["type"],
        view["blocks"],
        words.get("title"),
        words.get("submit"),
        words.get("close"),
        images or {},
        people or {},
    )


def render(surfaces: Sequence[Surface], out: Path, cache: Path, *, png: bool) -> list[Path]:
    """Write `index.html` with all surfaces and, if told to, NAME.png of each; the files written.

    `cache` keeps the npm packages. Raises PreviewError, which says what to install.
    """
    browser = find_browser() if png else ""
    js, css = bundle(HERE / "preview.jsx", cache.absolute())
    page = out.absolute() / PAGE
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(_html(surfaces, js, css), encoding="utf-8")
    if not png:
        return [page]
    return [page, *(picture(browser, page, surface.name) for surface in surfaces)]


def _html(surfaces: Sequence[Surface], js: str, css: str) -> str:
    logo = _data_url("image/svg+xml", LOGO.encode())
    data = json.dumps({"logo": logo, "surfaces": [_as_data(surface) for surface in surfaces]})
    return TEMPLATE.format(
        css=css + (HERE / "preview.css").read_text(encoding="utf-8"),
        surfaces=data.replace("<", "\\u003c"),  # no mail text can end the script
        js=js,
    )


def _as_data(surface: Surface) -> dict[str, Any]:
    return {
        "name": surface.name,
        "title": surface.title,
        "kind": surface.kind,
        "blocks": _with_images(surface.blocks, surface.images),
        "modal_title": surface.modal_title,
        "submit": surface.submit,
        "close": surface.close,
        "people": dict(surface.people),
        "posted": surface.posted.isoformat(),
    }


def _with_images(value: Any, images: Mapping[str, bytes]) -> Any:
    """The blocks, with Slack's files replaced by the pictures themselves."""
    if isinstance(value, (list, tuple)):
        return [_with_images(each, images) for each in value]
    if not isinstance(value, dict):
        return value
    found = {name: _with_images(each, images) for name, each in value.items()}
    # In Slack it only keeps addresses from becoming links; the renderer takes it for plain text.
    found.pop("verbatim", None)
    file = found.pop("slack_file", None)
    if file is not None:
        found["image_url"] = _data_url("image/png", images.get(file.get("id", ""), b""))
    return found


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
