"""Sending one message so that repeats count once, and waiting until a device acknowledged it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

import msgspec

from apps.client.session import Call, ClientSession
from apps.client.wire import Unreachable
from apps.common.exits import Exit, Failure
from sip_adapter.codec import Response

TRIES = 3
"""Connections to try in a row when nobody listens: a node that restarts is back in a moment."""
PAUSE = 0.4
FIRST_ASK, LONGEST_ASK = 0.05, 1.0
"""Seconds between two questions for a message's state."""
_ENDS = {
    "refused": Exit.REFUSED,
    "undeliverable": Exit.REFUSED,
    "expired": Exit.REFUSED,
}
_HANDED_ON = ("forwarded", "relayed", "unknown")
"""Of a message that this server accepted: another one has it now, and has not been heard of."""

Ask = Callable[[str], Awaitable[str | None]]
"""Tells the state of a message; None where that is not known."""


class Sent(msgspec.Struct, frozen=True):
    """What the server answered at last, and the id of the message."""

    answer: Response
    id: str


async def deliver(session: ClientSession, recipient: str, body: bytes, timeout: float) -> Sent:
    """Send until the server says yes or no, for `timeout` seconds; each try is the same message.

    Raises Unreachable and TooLarge. A 503 asks to come again later (PROTOCOL 5).
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    own_id, call, failures = secrets.token_hex(16), Call.new(), 0
    while True:
        try:
            answer = await session.send(recipient, body, message_id=own_id, call=call)
        except Unreachable:
            failures += 1
            if failures == TRIES or loop.time() + PAUSE >= deadline:
                raise
            await asyncio.sleep(PAUSE)
            continue
        pause = retry_after(answer)
        if answer.status != 503 or loop.time() + pause >= deadline:
            given = answer.get(b"angarium-id")
            return Sent(answer, own_id if given is None else given.decode("ascii", "replace"))
        await asyncio.sleep(pause)


def retry_after(answer: Response) -> float:
    """Return the seconds that a server wants to be left alone (RFC 3261 20.33), 1 if it does not say."""
    digits = (answer.get(b"retry-after") or b"").partition(b";")[0].partition(b"(")[0].strip()
    return float(min(int(digits), 3600)) if digits.isdigit() and len(digits) < 10 else 1.0


def judge(sent: Sent, recipient: str) -> None:
    """Raise the Failure that an answer other than 2xx means."""
    status, reason = sent.answer.status, sent.answer.reason
    if 200 <= status < 300:
        return
    said = f"{status} {reason}".strip()
    if status in (401, 407):
        raise not_proved(said)
    if status in (404, 604):
        raise Failure(f"no such user {recipient!r}", why=said, code=Exit.NO_SUCH)
    if status in (400, 413, 414, 415, 416, 420, 513):
        raise Failure("the node cannot take this message", why=said, code=Exit.BAD_DATA)
    if status in (408, 480) or 500 <= status < 600:
        raise Failure("the node does not take messages now", why=said, do="try again later", code=Exit.UNREACHABLE)
    raise Failure("the node refused", why=said, code=Exit.REFUSED)


def not_proved(said: str) -> Failure:
    """Return the Failure for a wrong or missing password."""
    return Failure(
        "the node wants a password, or this one is wrong", why=said, do="use --password-stdin", code=Exit.REFUSED
    )


async def wait_delivered(ask: Ask, message_id: str, seconds: float) -> None:
    """Return once a device acknowledged; a Failure with 75 when the time is over, 77 when it ended otherwise."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    pause, state = FIRST_ASK, None
    while True:
        try:
            state = await ask(message_id)
        except Unreachable:
            state = None  # it is stored: a node that is away for a moment changes nothing
        if state == "delivered":
            return
        if state in _ENDS:
            raise Failure(f"the message ended: {state}", do=f"angarium where {message_id}", code=_ENDS[state])
        if loop.time() + pause > deadline:
            break
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_ASK)
    why = "" if state else "the node does not tell more"
    raise Failure(
        f"stored, but no device acknowledged within {seconds:g} s",
        why="it went on to another server, which does not tell more" if state in _HANDED_ON else why,
        do=f"angarium where {message_id}",
        code=Exit.NOT_DELIVERED,
    )
