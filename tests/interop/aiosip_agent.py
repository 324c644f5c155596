"""aiosip 0.2.0 as a phone, in a process of its own: `python aiosip_agent.py receive|send HOST PORT USER CALL_ID ...`.

Two names that Python has since removed are restored before its import. It prints one JSON object a line: the
status of each answer, the body of each message. It finds a dialog by Call-ID, and for a new one it asks for a
Contact, which a MESSAGE must not have (RFC 3428 section 9); so the sender uses the Call-ID of the receiver's REGISTER.
"""

from __future__ import annotations

import asyncio
import collections
import collections.abc
import json
import socket
import sys
import types
import warnings
from typing import Any

warnings.simplefilter("ignore")
setattr(asyncio, "coroutine", types.coroutine)  # noqa: B010
setattr(collections, "MutableMapping", collections.abc.MutableMapping)  # noqa: B010

import aiosip  # noqa: E402

RECEIVE_WITHIN = 30.0


def say(**what: Any) -> None:
    """Tell the test."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def free_port() -> int:
    """Find a free UDP port: aiosip writes the port it is told into its Contact."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


async def start_dialog(host: str, port: int, user: str, to: str, call_id: str) -> Any:
    """Open a socket and a dialog from `user` to `to`."""
    local = free_port()
    return await aiosip.Application(loop=asyncio.get_running_loop()).start_dialog(
        from_uri=f"sip:{user}@{host}:{port}",
        to_uri=f"sip:{to}@{host}:{port}",
        contact_uri=f"sip:{user}@127.0.0.1:{local}",
        call_id=call_id,
        local_addr=("127.0.0.1", local),
        remote_addr=(host, port),
    )


async def receive(host: str, port: int, user: str, call_id: str, count: int) -> None:
    """Register, take `count` messages, unregister."""
    done = asyncio.Event()
    dialog = await start_dialog(host, port, user, user, call_id)
    left = [count]

    def took(_: Any, message: Any) -> None:
        say(body=message.payload)
        left[0] -= 1
        if left[0] <= 0:
            done.set()

    dialog.register_callback("MESSAGE", took)
    answer = await dialog.register(expires=300)
    say(status=answer.status_code)
    if count:
        await asyncio.wait_for(done.wait(), RECEIVE_WITHIN)
    answer = await dialog.register(expires=0)
    say(status=answer.status_code)


async def send(host: str, port: int, user: str, call_id: str, to: str, text: str) -> None:
    """Send one text."""
    dialog = await start_dialog(host, port, user, to, call_id)
    answer = await asyncio.wait_for(
        dialog.send_message("MESSAGE", content_type="text/plain", payload=text), RECEIVE_WITHIN
    )
    say(status=answer.status_code)


def main() -> None:
    """Do what the arguments say."""
    what, host, port, user, call_id, *more = sys.argv[1:]
    if what == "receive":
        asyncio.run(receive(host, int(port), user, call_id, int(more[0])))
    else:
        asyncio.run(send(host, int(port), user, call_id, more[0], more[1]))


if __name__ == "__main__":
    main()
