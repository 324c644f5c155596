"""What stands before each answer of the admin interface: who may ask, and how errors look."""

from __future__ import annotations

import hmac
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from actors.messages.client_manager import CommandDone
from apps.common.values import host_port, is_loopback
from apps.node.asking import AskError

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ApiError(Exception):
    """An answer other than success: status, one word for programs, one sentence for people."""

    def __init__(self, status: int, error: str, detail: str) -> None:
        """Keep the three parts."""
        super().__init__(detail)
        self.status = status
        self.error = error
        self.detail = detail


def json_reply(value: object, status: int = 200) -> web.Response:
    """Answer with one JSON document; what a browser might show is told to show nothing."""
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


def error_reply(status: int, error: str, detail: str) -> web.Response:
    """Answer with an error."""
    return json_reply({"error": error, "detail": detail}, status)


def guard(token: str = "") -> Middleware:
    """Make what lets in who may ask, and turns errors into JSON; with a token it is asked for over TCP."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = _refusal(request, token)
        return await _answer(request, handler) if refused is None else refused

    return guarded


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return error_reply(error.status, error.error, error.detail)
    except AskError as error:
        return error_reply(503, "unavailable", str(error))
    except web.HTTPException as error:
        return error_reply(error.status, "not-found" if error.status == 404 else "bad-request", error.reason)


def _refusal(request: web.Request, token: str) -> web.Response | None:
    """Tell who may not ask. The control socket's mode says who may use it; `/livez` tells nothing."""
    if _is_local_socket(request) or (token and request.path == "/livez"):
        return None
    if token:
        if _shows(request, token):
            return None
        refused = error_reply(401, "unauthorized", "show the token: Authorization: Bearer TOKEN")
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused
    if not _is_loopback_name(request.headers.get("Host", "")):
        # A web page whose name was made to point here carries its own.
        return error_reply(403, "refused", "ask by the name localhost, 127.0.0.1 or [::1]")
    origin = request.headers.get("Origin")
    if origin is not None and not _is_loopback_name(urlsplit(origin).netloc):
        return error_reply(403, "refused", "web pages of other hosts may not ask")
    return None


def _is_local_socket(request: web.Request) -> bool:
    transport = request.transport
    sock = None if transport is None else transport.get_extra_info("socket")
    return sock is not None and sock.family == socket.AF_UNIX


def _shows(request: web.Request, token: str) -> bool:
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    right = hmac.compare_digest(shown.strip().encode("utf-8", "surrogateescape"), token.encode())
    return right and scheme.lower() == "bearer"


def _is_loopback_name(name: str) -> bool:
    try:
        return is_loopback(host_port(name, default=80)[0])
    except ValueError:
        return False


def number(request: web.Request, key: str, default: int, most: int) -> int:
    """Read a whole number of the query, `most` at most."""
    text = request.query.get(key)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ApiError(400, "bad-data", f"{key} is a whole number")
    return min(int(text), most)


def decimal(request: web.Request, key: str, default: float, least: float, most: float) -> float:
    """Read a number of the query; 400 outside its bounds."""
    try:
        value = float(request.query.get(key, default))
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise ApiError(400, "bad-data", f"{key} is a number from {least:g} to {most:g}")
    return value


def flag(request: web.Request, key: str) -> bool:
    """Tell whether `key=1` stands in the query."""
    return request.query.get(key) == "1"


def check_done(done: CommandDone, name: str) -> None:
    """Raise the answer that a failed command about a user deserves."""
    if done.error == "exists":
        raise ApiError(409, "exists", done.detail or f"there is a user {name!r} already")
    if done.error == "unknown":
        raise ApiError(404, "unknown", done.detail or f"there is no user {name!r} here")
    if done.error == "refused":
        raise ApiError(403, "refused", done.detail or "the node refused")
    if done.error:
        raise ApiError(503, "failed", done.detail or done.error)


async def read_body(request: web.Request, kind: type[T]) -> T:
    """Read a JSON body; the demand for its type keeps away forms that a foreign web page may send."""
    if request.content_type != "application/json":
        raise ApiError(415, "bad-data", "send Content-Type: application/json")
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # The reason may quote the input, and a password stands in it.
        raise ApiError(400, "bad-data", f"the body is no valid JSON of {kind.__name__}") from None
