"""Where Slack's requests come in by HTTP. Whoever did not sign as Slack does is not even read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.signature import SignatureVerifier

from bot.manifest import PATH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slack_bolt.app.async_app import AsyncApp

# A card's click is some kilobytes; the largest dialogue is a few hundred.
LARGEST_BODY: Final = 1_048_576

log = structlog.get_logger(__name__)


def door(app: AsyncApp, signing_secret: str) -> web.Application:
    """The web application that takes requests for a Bolt app; /healthz says that it serves."""
    verifier = SignatureVerifier(signing_secret)

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        if not _is_signed(verifier, body, request):
            log.warning("refused, not signed by Slack", of=request.remote, size=len(body))
            return web.Response(status=401)
        try:
            text = body.decode()
            _require_object(text)
            headers: dict[str, str | Sequence[str]] = {**request.headers}
            found = await app.async_dispatch(AsyncBoltRequest(body=text, headers=headers))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            # Bolt's own, of a payload that lacks what Slack promises.
            log.error("refused, not understood", size=len(body), error=type(error).__name__)  # noqa: TRY400  # the kind says it
            return web.Response(status=400)
        return await to_aiohttp_response(found)

    async def healthy(_request: web.Request) -> web.Response:
        return web.Response(text="serving\n")

    application = web.Application(client_max_size=LARGEST_BODY)
    application.router.add_post(PATH, take)
    application.router.add_get("/healthz", healthy)
    return application


def _is_signed(verifier: SignatureVerifier, body: bytes, request: web.Request) -> bool:
    try:
        return verifier.is_valid_request(body, {**request.headers})
    except ValueError:  # neither text nor a time
        return False


def _require_object(text: str) -> None:
    """Raise ValueError unless it is a JSON object, a form with one, or a command's form."""
    if text.startswith("{"):
        json.loads(text)
        return
    form = dict(parse_qsl(text, strict_parsing=True))
    if "payload" in form:
        if not isinstance(json.loads(form["payload"]), dict):
            raise ValueError("the payload is no object")
    elif "command" not in form and "ssl_check" not in form:
        raise ValueError("neither a click nor a command")
