"""Asks a running node: HTTP to DIR/control.sock, or to its admin address (`--admin URL`)."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import rich_click as click

from apps.common.exits import Exit, Failure
from apps.common.token import read_token
from apps.common.unix_socket import short_path

SOCKET_NAME = "control.sock"
TIMEOUT = 10.0
"""Seconds for an ordinary question."""
DEFAULT_DATA = "angarium-data"
F = TypeVar("F", bound=Callable[..., Any])
TOKEN_KEY = "angarium.admin_token_file"
_CODES = {
    400: Exit.BAD_DATA,
    403: Exit.REFUSED,
    404: Exit.NO_SUCH,
    409: Exit.REFUSED,
    413: Exit.BAD_DATA,
}


class NodeDown(Failure):
    """No node answers there (69)."""

    def __init__(self, where: str, why: str, do: str) -> None:
        """Say where it was looked for, why it failed, and what to do."""
        super().__init__(f"no node answers at {where}", why=why, do=do, code=Exit.UNREACHABLE)


class AdminClient:
    """Questions to one node, one connection each."""

    def __init__(
        self, connect: Callable[[float], http.client.HTTPConnection], where: str, do: str, token: str = ""
    ) -> None:
        """Take how to connect, what to say when that fails, and the token to show."""
        self._token = token
        self._connect = connect
        self._where = where
        self._do = do

    def get(self, *path: str, **query: object) -> Any:
        """Ask; `path` are the parts behind /v1."""
        return self._ask("GET", path, query, None, TIMEOUT)

    def post(self, *path: str, body: object, timeout: float = TIMEOUT) -> Any:
        """Ask for a change."""
        return self._ask("POST", path, {}, body, timeout)

    def put(self, *path: str, body: object, timeout: float = TIMEOUT) -> Any:
        """Ask for a setting."""
        return self._ask("PUT", path, {}, body, timeout)

    def delete(self, *path: str, timeout: float = TIMEOUT, query: dict[str, object] | None = None) -> Any:
        """Ask for a removal."""
        return self._ask("DELETE", path, query or {}, None, timeout)

    def _ask(self, method: str, path: tuple[str, ...], query: dict[str, object], body: object, timeout: float) -> Any:
        target = "/v1/" + "/".join(quote(part, safe="") for part in path)
        if query:
            target += "?" + urlencode(query)
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = self._connect(timeout)
        try:
            connection.request(method, target, data, headers)
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
        except PermissionError as error:
            raise Failure(
                f"may not ask the node at {self._where}",
                why=error.strerror or "",
                do="run as its user",
                code=Exit.REFUSED,
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise NodeDown(self._where, _words(error), self._do) from error
        finally:
            connection.close()
        return self._read(status, content)

    def _read(self, status: int, content: bytes) -> Any:
        try:
            value = json.loads(content)
        except ValueError:
            raise Failure(f"no node's admin interface at {self._where}", code=Exit.UNREACHABLE) from None
        if status < 300:
            return value
        if status == 401:
            raise Failure(
                f"the node at {self._where} refuses",
                why="it wants its token, or another one",
                do="name the file with --admin-token-file",
                code=Exit.REFUSED,
            )
        detail = value.get("detail") if isinstance(value, dict) else None
        message = str(detail or f"the node answered {status}")
        raise Failure(message, code=_CODES.get(status, Exit.UNREACHABLE))


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of to a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        with short_path(self._path) as name:
            self.sock.connect(name)


def of_data(data: Path) -> AdminClient:
    """Return a client of the node whose data folder this is."""
    path = data / SOCKET_NAME
    return AdminClient(
        lambda timeout: _UnixConnection(path, timeout), str(path), f"start it with angarium node --data {data}"
    )


def of_url(text: str, token: str = "") -> AdminClient:
    """Return a client of the node with this admin address: `http://127.0.0.1:8060`, or without `http://`."""
    url = urlsplit(text if "://" in text else f"http://{text}")
    try:
        host, port = url.hostname, url.port or 80
    except ValueError:
        host, port = None, 0
    if url.scheme != "http" or not host or url.path not in ("", "/") or url.query:
        raise click.UsageError(f"--admin {text!r} is no address of a node; write http://127.0.0.1:8060")
    return AdminClient(
        lambda timeout: http.client.HTTPConnection(host, port, timeout=timeout),
        f"{host}:{port}",
        "start it with angarium node --admin, or ask with --data DIR on its machine",
        token,
    )


def chosen(data: Path | None, admin: str | None) -> AdminClient:
    """Return the client that the flags ask for."""
    if data is not None and admin is not None:
        raise click.UsageError("give --data or --admin, not both")
    return of_url(admin, chosen_token()) if admin is not None else of_data(data_folder(data))


def chosen_token() -> str:
    """Return the token in the file that the flag of the running command names; empty without one."""
    context = click.get_current_context(silent=True)
    file = context.meta.get(TOKEN_KEY) if context is not None else None
    return read_token(file) if file is not None else ""


def _keep_token_file(context: click.Context, _parameter: click.Parameter, file: Path | None) -> None:
    if file is not None:
        context.meta[TOKEN_KEY] = file


def data_folder(data: Path | None) -> Path:
    """Return the data folder: the flag's, else ANGARIUM_DATA, else the one a node takes by itself."""
    return data if data is not None else Path(os.environ.get("ANGARIUM_DATA") or DEFAULT_DATA)


def node_options(function: F) -> F:
    """Add `--data` and `--admin`, which say whom to ask, and `--admin-token-file`, which `chosen` looks up."""
    function = click.option(
        "--admin-token-file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        envvar="ANGARIUM_ADMIN_TOKEN_FILE",
        expose_value=False,
        callback=_keep_token_file,
        help="File with the token that the node asks for at its admin address.",
    )(function)
    function = click.option("--admin", metavar="URL", help="Admin address of a running node.")(function)
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help=f"Data folder of the node on this machine. [default: {DEFAULT_DATA}]",
    )(function)


def _words(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such socket"
    if isinstance(error, (ConnectionRefusedError, socket.gaierror)):
        return "nobody listens there"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
