"""Our server before the emulator: records every call, adds Socket Mode and response_url, and plays
faults. What it does not know itself it passes on.
"""

from __future__ import annotations

import asyncio
import io
import time
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from slack_stage.answers import Answers
from slack_stage.arguments import decoded, read_arguments, token_of_request
from slack_stage.faults import Fault, Faults
from slack_stage.records import Call, Ephemeral, Records, Response
from slack_stage.response_urls import ResponseUrls
from slack_stage.sockets import Sockets
from slack_stage.triggers import Trigger, Triggers
from slack_stage.workspace import APP_TOKEN, BOT_TOKEN

if TYPE_CHECKING:
    import socket

    from slack_stage.emulator import Emulator

LARGEST_BODY = 64 * 1024 * 1024
END_SECONDS = 1.0


class Shim:
    """All handlers run in one event loop; `records`, `faults` and `triggers` are safe anywhere."""

    def __init__(self, emulator: Emulator, url: str, scopes: tuple[str, ...]) -> None:
        self.records = Records()
        self.faults = Faults()
        self.triggers = Triggers()
        self.response_urls = ResponseUrls()
        self.sockets = Sockets(self.records)
        self.groups: dict[str, list[str]] = {}
        self.answers = Answers(self.ask_emulator, self.records)
        self._emulator = emulator
        self._url = url
        self._scopes = scopes
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    async def start(self, listening: socket.socket) -> None:
        """Serve on a bound socket until `stop`."""
        # No kept connections to the emulator: it may close one in the moment we use it.
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_route("*", "/api/{method}", self._api)
        app.router.add_post("/response/{token}", self._response)
        app.router.add_get("/link/", self._link)
        app.router.add_route("*", "/{path:(upload|files-pri)/.*}", self._file)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=END_SECONDS)
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def stop(self) -> None:
        self.sockets.hang_up()
        await self._runner.cleanup()
        await self._session.close()

    async def go_down(self) -> None:
        self.faults.down = True
        self.sockets.hang_up()

    # The Web API

    async def _api(self, request: web.Request) -> web.Response:
        at = time.monotonic()
        method = request.match_info["method"]
        arguments = await read_arguments(request)
        token = token_of_request(request, arguments)
        shown = decoded(arguments)
        await asyncio.sleep(self.faults.delay_of(method))
        if self.faults.down:
            self.records.add("unanswered", Call(method, shown, at, {}))
            return _hang_up(request)
        fault = self.faults.take(method)
        answer = _refusal(fault) if fault else await self._answer(method, token, arguments)
        if answer["ok"]:
            self._note(method, shown, answer)
        # Before the answer goes out: who has the answer must find the call.
        self.records.add("calls", Call(method, shown, at, answer))
        status, headers = (fault.status, fault.headers) if fault else (200, {})
        return web.json_response(answer, status=status, headers=headers)

    async def _answer(self, method: str, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        error = _token_error(method, token)
        if error:
            return {"ok": False, "error": error}
        if method == "apps.connections.open":
            ticket = self.sockets.new_ticket()
            here = self._url.replace("http", "ws", 1)
            return {"ok": True, "url": f"{here}/link/?ticket={ticket}"}
        if method == "usergroups.users.list":
            return self._group(arguments.get("usergroup", ""))
        if method in {"views.open", "views.push"}:
            return await self._view(method, arguments)
        return await self._pass_on(method, arguments)

    def _group(self, group: str) -> dict[str, Any]:
        if "usergroups:read" not in self._scopes:
            provided = ",".join(self._scopes)
            missing = {"error": "missing_scope", "needed": "usergroups:read", "provided": provided}
            return {"ok": False, **missing}
        if group not in self.groups:
            return {"ok": False, "error": "no_such_subteam"}
        return {"ok": True, "users": list(self.groups[group])}

    async def _view(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Our trigger ids stand for the emulator's, whose time would run from when it made them."""
        trigger = self.triggers.take(arguments.get("trigger_id", ""))
        if not isinstance(trigger, Trigger):
            return {"ok": False, "error": trigger}
        theirs = await self.answers.trigger(trigger.user, trigger.view)
        answer = await self._pass_on(method, arguments | {"trigger_id": theirs})
        if answer["ok"]:
            self.records.owners[answer["view"]["id"]] = trigger.user
        return answer

    async def ask_emulator(self, method: str, **arguments: Any) -> dict[str, Any]:
        """A call of the stage's own."""
        return await self._call(method, next(self._emulator.own_tokens), arguments)

    async def _pass_on(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return await self._call(method, next(self._emulator.bot_tokens), arguments)

    async def _call(self, method: str, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        async with self._session.post(
            f"{self._emulator.url}/api/{method}",
            json=arguments,
            headers={"Authorization": f"Bearer {token}"},
        ) as answer:
            if answer.status == 404:
                return {"ok": False, "error": "unknown_method", "req_method": method}
            return await answer.json()

    def _note(self, method: str, arguments: dict[str, Any], answer: dict[str, Any]) -> None:
        """Remember what people now see and the emulator does not tell."""
        if method == "views.publish":
            self.records.homes[arguments["user_id"]] = answer["view"]
        elif method in {"views.open", "views.push", "views.update"}:
            self.records.add("views", answer["view"])
            owner = self.records.owners.get(answer["view"]["id"], "")
            if answer["view"]["type"] == "home" and owner:
                self.records.homes[owner] = answer["view"]
        elif method == "chat.postEphemeral":
            shown = Ephemeral(
                user=arguments["user"],
                channel=arguments["channel"],
                ts=answer["message_ts"],
                text=arguments.get("text", ""),
                blocks=arguments.get("blocks") or [],
                thread_ts=arguments.get("thread_ts"),
            )
            self.records.add("ephemerals", shown)

    # The rest

    async def _response(self, request: web.Request) -> web.Response:
        at = time.monotonic()
        token = request.match_info["token"]
        body = await request.json()
        await asyncio.sleep(self.faults.delay_of("response_url"))
        if self.faults.down:
            return _hang_up(request)
        fault = self.faults.take("response_url")
        if fault:
            status = fault.status if fault.retry_after else 500
            return web.json_response(_refusal(fault), status=status, headers=fault.headers)
        origin = self.response_urls.use(token)
        if origin is None:
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        answer = await self.answers.apply(origin, body)
        self.records.add("responses", Response(token, body, at))
        return web.json_response(answer, status=200 if answer["ok"] else 500)

    async def _link(self, request: web.Request) -> web.StreamResponse:
        return _hang_up(request) if self.faults.down else await self.sockets.connection(request)

    async def _file(self, request: web.Request) -> web.Response:
        """Uploads and downloads: the emulator's links lead here."""
        if self.faults.down:
            return _hang_up(request)
        headers = {"Content-Type": request.headers.get("Content-Type", "application/octet-stream")}
        if "Authorization" in request.headers:
            headers["Authorization"] = request.headers["Authorization"]
        async with self._session.request(
            request.method,
            f"{self._emulator.url}{request.path_qs}",
            data=io.BytesIO(await request.read()),
            headers=headers,
        ) as answer:
            return web.Response(
                status=answer.status, body=await answer.read(), content_type=answer.content_type
            )


def _token_error(method: str, token: str) -> str | None:
    """The emulator takes any token for its administrator's; Slack does not."""
    if not token:
        return "not_authed"
    wanted, kind = (APP_TOKEN, "xapp-") if method == "apps.connections.open" else (BOT_TOKEN, "xox")
    if not token.startswith(kind):
        return "not_allowed_token_type"
    return None if token == wanted else "invalid_auth"


def _refusal(fault: Fault) -> dict[str, Any]:
    return {"ok": False, "error": fault.error}


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response()
