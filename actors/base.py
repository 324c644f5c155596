"""The frame of every actor: containment of failures, batches, and independence of the runtime it lives in."""

from __future__ import annotations

import traceback
from abc import abstractmethod
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, ClassVar, Generic, TypeVar, final

import msgspec
import pykka
from pykka._actor import ActorInbox

from actors.messages.lifecycle import ActorFailed, CommandFailed, Ping, Pong
from actors.ports import Clock, Runtime, Scheduler
from actors.ref import ActorRef, DeadLetters, Ref
from actors.state.debug_lines import DebugLog, lines_of

Command = TypeVar("Command")
Item = TypeVar("Item")

BATCH = 64
"""Messages an actor handles at most before it flushes, even if more are waiting."""

_starting: ContextVar[Runtime] = ContextVar("angarium_runtime")


class Context(msgspec.Struct, frozen=True):
    """What every actor is given: time, timers, who hears of its failures, and where debug lines go."""

    clock: Clock
    scheduler: Scheduler
    supervisor: Ref[ActorFailed]
    dead_letters: DeadLetters
    debug: DebugLog = msgspec.field(default_factory=DebugLog)


class ActorBase(pykka.Actor, Generic[Command]):
    """An actor that serves on after an exception, and hands its results on in batches.

    A subclass implements `handle` (one `match` over its command union), and where it gathers results, `flush`,
    which runs when the inbox is empty or after `BATCH` messages. Its constructor runs in the caller's thread and
    only stores what it is given; resources are taken in `on_start` and freed in `release`.
    """

    name: ClassVar[str] = "actor"

    def __init__(self, *, context: Context) -> None:
        super().__init__()
        self.context = context
        self.clock = context.clock
        self.debug = context.debug
        self.ref: ActorRef[Command] = ActorRef(self.actor_ref, self.name, context.dead_letters)
        self._unflushed = 0

    # Pykka's documented points for actor types: which inbox, future and loop is the runtime's affair.

    @staticmethod
    def _create_actor_inbox() -> ActorInbox:
        return _starting.get().create_inbox()

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return pykka.ThreadingFuture()

    def _start_actor_loop(self) -> None:
        _starting.get().start_loop(self)

    # What a subclass implements.

    @abstractmethod
    def handle(self, message: Command) -> None:
        """Serve one message. State is assigned last: an exception leaves it as it was."""

    def flush(self) -> None:
        """Hand on what was gathered since the last flush."""

    def release(self) -> None:
        """Free what `on_start` took."""

    def recover(self, message: Command, error: Exception) -> None:
        """Make good what a failed message meant. The default tells its sender, if it has a request number."""
        reply_to: Ref[CommandFailed] | None = getattr(message, "reply_to", None)
        request: int | None = getattr(message, "request", None)
        if reply_to is not None and request is not None:
            name = type(message).__name__
            reply_to.tell(CommandFailed(request=request, command=name, reason=type(error).__name__))

    # The frame.

    @final
    def on_receive(self, message: Any) -> None:
        """Serve one message inside the containment, then flush if no other waits."""
        if self.debug.on:
            self._tell_debug(message)
        try:
            if type(message) is Ping:
                message.reply_to.tell(Pong(actor=self.name, id=message.id))
            else:
                self.handle(message)
        except Exception as error:  # the containment: an actor never dies of a message
            self._contain(message, error)
        self._unflushed += 1
        if self._unflushed >= BATCH or self.actor_inbox.empty():
            self._unflushed = 0
            self._flush_contained()

    def each(
        self, items: Iterable[Item], serve: Callable[[Item], None], failed: Callable[[Item, Exception], None]
    ) -> None:
        """Serve items one by one; an exception costs only its own item, which `failed` makes good."""
        for item in items:
            try:
                serve(item)
            except Exception as error:  # the containment again, item by item
                self.report(type(item).__name__, error)
                failed(item, error)

    def report(self, what: str, error: Exception, *, fatal: bool = False) -> None:
        """Tell the supervisor of a contained exception."""
        self.context.supervisor.tell(
            ActorFailed(
                actor=self.name,
                command=what,
                error=f"{type(error).__name__}: {error}",
                trace="".join(traceback.format_exception(error)),
                fatal=fatal,
            )
        )

    def _contain(self, message: Any, error: Exception) -> None:
        self.report(type(message).__name__, error)
        try:
            self.recover(message, error)
        except Exception as second:  # recovery itself is broken: reported, the actor serves on
            self.report(f"recovery from {type(message).__name__}", second)

    def _tell_debug(self, message: Any) -> None:
        try:
            for text, message_id in lines_of(message):
                self.debug.write(self.name, text, message_id)
        except Exception as error:  # as in on_receive: a line that cannot be written costs no message
            self.report("debug line", error)

    def _flush_contained(self) -> None:
        try:
            self.flush()
        except Exception as error:  # as in on_receive
            self.report("flush", error)

    def on_stop(self) -> None:
        """Hand on what was gathered, then free resources."""
        self._flush_contained()
        self.release()


def start_actor(
    actor: type[ActorBase[Command]], runtime: Runtime, context: Context, **arguments: Any
) -> ActorRef[Command]:
    """Start an actor class in a runtime and return the reference to it; `arguments` go to its constructor."""
    token = _starting.set(runtime)
    try:
        started = actor.start(context=context, **arguments)
    finally:
        _starting.reset(token)
    return ActorRef(started, actor.name, context.dead_letters)
