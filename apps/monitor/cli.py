"""`angarium monitor`: serve the web console.

Exit codes: 0 stopped as asked; 2 wrong usage; 78 the extra `gui` is missing, the token cannot be read, or the address
cannot be had.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import socket
from ipaddress import ip_address
from pathlib import Path

import rich_click as click

from apps.client.admin_client import DEFAULT_DATA
from apps.common.exits import Exit, Failure
from apps.common.output import data
from apps.common.token import read_token
from apps.common.values import host_port, is_loopback
from apps.monitor.targets import Target, target

PORT = 8080


@click.command()
@click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="URL",
    help=f"A node to look at, http://HOST:PORT or unix:DIR; may be given again. [default: unix:{DEFAULT_DATA}]",
)
@click.option(
    "--listen", default=f"127.0.0.1:{PORT}", show_default=True, metavar="HOST:PORT", help="Where to serve the console."
)
@click.option(
    "--admin-token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="ANGARIUM_ADMIN_TOKEN_FILE",
    metavar="FILE",
    help="File with the token of the nodes' admin interfaces.",
)
@click.option(
    "--data",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for the histories of who chats in the console. [default: where angarium chat keeps them]",
)
def monitor(nodes: tuple[str, ...], listen: str, admin_token_file: Path | None, folder: Path | None) -> None:
    """Show nodes in the browser: who is where, what flows, what waits, and why.

    Prints `ready URL` once it serves; SIGTERM stops it. Needs the extra `gui`.
    """
    try:
        host, port = host_port(listen, default=PORT)
        targets = [target(text) for text in nodes] or [
            target(f"unix:{os.environ.get('ANGARIUM_DATA') or DEFAULT_DATA}")
        ]
        if not is_loopback(host):
            ip_address(host)
    except ValueError as error:
        text = str(error)
        if "does not appear" in text:
            text = f"--listen {listen!r} is no address of this machine; write 127.0.0.1:{PORT}, or [::1]:{PORT}"
        raise click.UsageError(text) from None
    token = read_token(admin_token_file) if admin_token_file else ""
    if not is_loopback(host) and not token:
        raise Failure(
            f"refusing to serve the console on {listen}",
            why="anyone who reaches it could change the nodes",
            do="give --admin-token-file, which browsers are then asked for, or listen on 127.0.0.1",
            code=Exit.CONFIG,
        )
    if importlib.util.find_spec("nicegui") is None:
        raise Failure(
            "the console needs NiceGUI", do="install it: python3 -m pip install 'angarium[gui]'", code=Exit.CONFIG
        )
    run(targets, host, choose_port(host, port), token, folder)


def run(targets: list[Target], host: str, port: int, token: str, folder: Path | None = None) -> None:
    """Serve until told to stop."""
    from apps.monitor.console import Console
    from apps.monitor.web import serve

    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def ready() -> None:
        await until_served(host, port)
        data(f"ready http://{shown}")

    # The server puts these back at its end and sends itself the signal that stopped it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    console = Console(targets, token, chat_folder=folder)
    serve(console, host, port, token="" if is_loopback(host) else token, ready=ready)


def choose_port(host: str, port: int) -> int:
    """Return the port, or a free one for 0; 78 where it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            return int(sock.getsockname()[1])
    except OSError as error:
        raise Failure(
            f"cannot listen on {host}:{port}",
            why=error.strerror or str(error),
            do="choose another address with --listen",
            code=Exit.CONFIG,
        ) from error


async def until_served(host: str, port: int) -> None:
    """Wait until somebody listens there; the server's start ends the wait, or the process."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return
        await asyncio.sleep(0.05)
