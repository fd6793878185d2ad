"""The arguments of a Web API call: from the query, a form or JSON, as the client pleases."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import web


async def read_arguments(request: web.Request) -> dict[str, Any]:
    """All arguments as they were sent; later sources win over the query."""
    arguments: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        text = await request.text()
        arguments |= json.loads(text) if text else {}
    else:
        arguments |= await request.post()
    return arguments


def decoded(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same with lists and objects in place of their JSON text."""
    return {name: _decoded(value) for name, value in arguments.items()}


def _decoded(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value  # text that begins like JSON


def token_of_request(request: web.Request, arguments: dict[str, Any]) -> str:
    """The token of the header, or the old way of an argument, which is removed."""
    argument = arguments.pop("token", "")
    return request.headers.get("Authorization", "").removeprefix("Bearer ").strip() or argument
