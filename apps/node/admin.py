"""The admin interface of a node: HTTP and JSON on DIR/control.sock, and on a TCP address if wanted.

It runs in a thread with an event loop of its own and asks the actors; what it answers has no secret in it.
Errors are `{"error": word, "detail": sentence}` with the HTTP status that fits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from apps.common.exits import Exit, Failure
from apps.common.unix_socket import short_path
from apps.common.values import Address, is_loopback

if TYPE_CHECKING:
    from aiohttp import web

SOCKET_NAME = "control.sock"
START_TIMEOUT = 10.0
STOP_TIMEOUT = 5.0


class AdminServer:
    """Serves an application on the control socket (0600) and, if asked, on one TCP address."""

    def __init__(
        self,
        make_app: Callable[[], web.Application],
        *,
        data: Path,
        tcp: Address | None = None,
        has_token: bool = False,
    ) -> None:
        """Take what to serve; `make_app` runs in the server's own thread. Nothing is opened yet.

        `has_token`: it asks for one over TCP, so the address may be one that other machines reach; else a Failure.
        """
        if tcp is not None and not has_token and not is_loopback(tcp.host):
            raise Failure(
                f"cannot serve the admin interface at {tcp}",
                why="it has no token, so only this machine may reach it",
                do=f"write --admin 127.0.0.1:{tcp.port}, or name a token with --admin-token-file",
                code=Exit.CONFIG,
            )
        self._make_app = make_app
        self._path = data / SOCKET_NAME
        self._tcp = tcp
        self._started: Future[Address | None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="angarium-admin")
        self.address: Address | None = None
        """The TCP address in use, after `start`."""

    def start(self) -> None:
        """Open the sockets and serve; a Failure (78) when an address cannot be used."""
        self._thread.start()
        try:
            self.address = self._started.result(START_TIMEOUT)
        except OSError as error:
            self._thread.join(STOP_TIMEOUT)
            where = f"{self._path} or {self._tcp}" if self._tcp else str(self._path)
            raise Failure(f"cannot serve the admin interface at {where}", why=str(error), code=Exit.CONFIG) from error

    @property
    def running(self) -> bool:
        """Whether its thread has not ended."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Answer what is being answered, close the sockets, end the thread."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            # The loop may close between the question and the call.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.ident is not None:
            self._thread.join(STOP_TIMEOUT)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        from aiohttp import web

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner = web.AppRunner(
            self._make_app(), access_log=None, handle_signals=False, shutdown_timeout=STOP_TIMEOUT / 2
        )
        await runner.setup()
        try:
            try:
                control, tcp = self._open()
                await web.SockSite(runner, control).start()
                if tcp is not None:
                    await web.SockSite(runner, tcp).start()
            except OSError as error:
                self._started.set_exception(error)
                return
            self._started.set_result(None if tcp is None else Address(*tcp.getsockname()[:2]))
            await self._stop.wait()
        finally:
            await runner.cleanup()
            self._path.unlink(missing_ok=True)

    def _open(self) -> tuple[socket.socket, socket.socket | None]:
        tcp = None if self._tcp is None else _tcp_socket(self._tcp)
        try:
            return _control_socket(self._path), tcp
        except OSError:
            if tcp is not None:
                tcp.close()
            raise


def _control_socket(path: Path) -> socket.socket:
    """Bind the control socket; one left behind by a killed node goes (the data folder's lock is ours)."""
    path.unlink(missing_ok=True)
    control = socket.socket(socket.AF_UNIX)
    try:
        # Before bind, so that there is no moment at which others may connect.
        os.fchmod(control.fileno(), 0o600)
        with short_path(path) as name:
            control.bind(name)
        path.chmod(0o600)
    except OSError:
        control.close()
        raise
    return control


def _tcp_socket(address: Address) -> socket.socket:
    """Bind a TCP address; `localhost` is taken as 127.0.0.1."""
    host = "127.0.0.1" if address.host.lower() == "localhost" else address.host
    tcp = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((host, address.port))
    except OSError:
        tcp.close()
        raise
    return tcp
