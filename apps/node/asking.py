"""Questions of the apps to actors: a command with a reply reference, and the wait for its answer.

Actors never wait for each other; programs do, here, and always with a timeout.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Any, TypeVar

from actors.messages.lifecycle import CommandFailed
from actors.ref import Ref

R = TypeVar("R")
TIMEOUT = 5.0
"""Seconds to wait for an actor: they answer in milliseconds, or something is badly wrong."""

_requests = itertools.count(1)


class AskError(Exception):
    """The actor did not answer in time, or its handler failed; `what` names the command."""

    def __init__(self, what: str, reason: str) -> None:
        """Say which command it was and what went wrong."""
        super().__init__(f"{what}: {reason}")
        self.what = what
        self.reason = reason


class ReplyRef:
    """A `Ref` that keeps the first message told to it; later ones are ignored."""

    def __init__(self) -> None:
        self.future: Future[Any] = Future()

    def tell(self, message: Any) -> None:
        """Take the answer, unless one is there or nobody waits any more."""
        with contextlib.suppress(InvalidStateError):
            self.future.set_result(message)


def ask(ref: Ref[Any], make: Callable[[Ref[Any], int], object], reply: type[R], timeout: float = TIMEOUT) -> R:
    """Tell `ref` the command that `make(reply_to, request)` builds, wait, and return its answer.

    Raises AskError when no answer came in time or the answer is another than `reply`.
    """
    box = ReplyRef()
    command = make(box, next(_requests))
    ref.tell(command)
    try:
        answer = box.future.result(timeout)
    except TimeoutError:
        raise AskError(type(command).__name__, f"no answer within {timeout:g} s") from None
    return _checked(command, answer, reply)


async def ask_async(
    ref: Ref[Any], make: Callable[[Ref[Any], int], object], reply: type[R], timeout: float = TIMEOUT
) -> R:
    """Do as `ask` does, without blocking the event loop."""
    box = ReplyRef()
    command = make(box, next(_requests))
    ref.tell(command)
    try:
        answer = await asyncio.wait_for(asyncio.wrap_future(box.future), timeout)
    except TimeoutError:
        raise AskError(type(command).__name__, f"no answer within {timeout:g} s") from None
    return _checked(command, answer, reply)


def _checked(command: object, answer: object, reply: type[R]) -> R:
    if isinstance(answer, CommandFailed):
        raise AskError(type(command).__name__, answer.reason)
    if not isinstance(answer, reply):
        raise AskError(type(command).__name__, f"unexpected answer {type(answer).__name__}")
    return answer
