"""Who may open the console: ASGI in front of all its pages and its WebSocket.

On a loopback address everybody on the machine may, but no page of another site: its Host or Origin is not a local name.
Elsewhere the token of the nodes is asked for, as the password of HTTP's Basic scheme (RFC 7617; any user name).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from apps.common.values import host_port, is_loopback

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; form-action 'self'; "
    "base-uri 'self'; object-src 'none'"
)
"""Whatever a page might contain, the browser asks nobody but this console (Vue compiles templates: unsafe-eval)."""


class Guard:
    """ASGI middleware."""

    def __init__(self, app: App, token: str = "") -> None:
        """Take what is guarded; with a token it is asked for, without one the Host must be a loopback name."""
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        status = refusal(
            {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}, self._token
        )
        if status:
            await _refuse(scope["type"], status, send)
            return

        async def with_policy(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = [(b"content-security-policy", POLICY.encode()), (b"x-content-type-options", b"nosniff")]
                message = {**message, "headers": [*message.get("headers", ()), *headers]}
            await send(message)

        await self._app(scope, receive, with_policy)


def refusal(headers: Mapping[str, str], token: str) -> int:
    """Return the HTTP status that such a request deserves; 0: let it in. Names of headers are in lower case."""
    host = headers.get("host", "")
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        return 403
    if token:
        return 0 if hmac.compare_digest(_password(headers.get("authorization", "")).encode(), token.encode()) else 401
    try:
        return 0 if is_loopback(host_port(host, default=80)[0]) else 403
    except ValueError:
        return 403


def _password(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def _refuse(kind: str, status: int, send: Send) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    text = b"This console answers to the names localhost, 127.0.0.1 and [::1] only.\n"
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="Angarium console", charset="UTF-8"'))
        text = b"The password is the token of the nodes' admin interfaces.\n"
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
