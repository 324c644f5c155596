"""The air between simulated phones and nodes: datagrams that get lost, repeated, delayed and reordered, by a seed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from random import Random

import msgspec

from actors.model import Flow
from actors.ports import Scheduler
from sip_adapter.large import Dial
from sip_adapter.limits import Limits
from sip_adapter.transport.base import Address, LinkDial, NetworkEvents, sent_by

Place = tuple[str, int]
"""Host and port."""
Receiver = Callable[[bytes, Place], None]
"""Takes a datagram and where it came from."""


class Weather(msgspec.Struct, frozen=True):
    """How the air treats datagrams: probabilities from 0 to 1, delays in seconds."""

    loss: float = 0.0
    repeats: float = 0.0
    delay: float = 0.001
    jitter: float = 0.0
    """Each datagram takes `delay` and up to so much more: later ones overtake."""


CLEAR = Weather()


class Call:
    """A reference that calls what it is told: timers of those who are no actors."""

    def tell(self, message: Callable[[], None]) -> None:
        """Call it."""
        message()


CALL = Call()


class Datagram(msgspec.Struct, frozen=True):
    """One datagram on its way."""

    data: bytes
    source: Place
    target: Place


class Air:
    """Who is reachable where, and the weather between them. As a `Ref` it hears datagrams that arrive."""

    def __init__(self, scheduler: Scheduler, random: Random) -> None:
        self.weather = CLEAR
        """Where `between` names no other."""
        self.between: dict[tuple[str, str], Weather] = {}
        """Weather from one host to another; the way back has its own."""
        self.cuts: set[tuple[str, str]] = set()
        """From which host nothing gets to which other one."""
        self.sent = 0
        self.lost = 0
        self._scheduler = scheduler
        self._random = random
        self._receivers: dict[Place, Receiver] = {}

    def attach(self, place: Place, receiver: Receiver) -> None:
        """Let somebody hear what is sent to this place; whoever was there before hears nothing more."""
        self._receivers[place] = receiver

    def detach(self, place: Place) -> None:
        """Nobody is at this place any more."""
        self._receivers.pop(place, None)

    def is_taken(self, place: Place) -> bool:
        """Tell whether somebody is at this place."""
        return place in self._receivers

    def send(self, source: Place, target: Place, data: bytes) -> None:
        """Send a datagram into the weather."""
        random = self._random
        weather = self.between.get((source[0], target[0]), self.weather) if self.between else self.weather
        self.sent += 1
        if (source[0], target[0]) in self.cuts or random.random() < weather.loss:
            self.lost += 1
            return
        copies = 2 if random.random() < weather.repeats else 1
        for _ in range(copies):
            delay = weather.delay + random.random() * weather.jitter
            self._scheduler.after(delay, self, Datagram(data, source, target))

    def tell(self, message: Datagram) -> None:
        """A datagram arrives, if somebody is there."""
        receiver = self._receivers.get(message.target)
        if receiver is not None:
            receiver(message.data, message.source)


class NodeNetwork:
    """The sockets of one node in the air (a `sip_adapter.transport.base.Network`): UDP only, dialling fails."""

    def __init__(self, air: Air, scheduler: Scheduler) -> None:
        self._air = air
        self._scheduler = scheduler
        self._places: list[Place] = []
        self._events: NetworkEvents | None = None
        self._flows: dict[tuple[int, Place], Flow] = {}

    def open(self, addresses: Sequence[Address], events: NetworkEvents, limits: Limits) -> Sequence[Address]:
        """Attach to all of the addresses; raises OSError when one is taken."""
        bound = [self._bind(address) for address in addresses]
        self._events = events
        for index, address in enumerate(bound):
            place = (address.host, address.port)
            self._places.append(place)
            self._air.attach(place, self._receiver(index))
        return bound

    def via(self, flow: Flow) -> bytes:
        """Return transport and sent-by of the listener."""
        return b"UDP " + sent_by(*self._places[flow.listener])

    def send(self, packets: Sequence[tuple[Flow, bytes]]) -> Sequence[Flow]:
        """Send all; the air tells nobody what it lost. Over streams, which are not simulated, nothing goes."""
        for flow, data in packets:
            if flow.transport == "udp":
                self._air.send(self._places[flow.listener], (flow.host, flow.port), data)
        return [flow for flow, _ in packets if flow.transport != "udp"]

    def dial(self, dial: Dial) -> None:
        """Nobody takes connections here: say so, a moment later."""
        events = self._events

        def refuse() -> None:
            if events is not None and self._events is events:
                events.dialled(dial.number, None)

        self._scheduler.after(0.0, CALL, refuse)

    def dial_link(self, dial: LinkDial) -> None:
        """Name the flow of datagrams to another server, a moment later; nobody takes connections here."""
        events, address = self._events, dial.address
        flow = Flow("udp", 0, address.host, address.port) if address.transport == "udp" and self._places else None

        def found() -> None:
            if events is not None and self._events is events:
                events.link_dialled(dial.number, flow, "" if flow is not None else "Only UDP is simulated")

        self._scheduler.after(0.0, CALL, found)

    def close_flow(self, flow: Flow) -> None:
        """Datagram flows have nothing to close."""

    def counts(self) -> dict[str, int]:
        """Nothing happens below the adapter's sight."""
        return {}

    def close(self) -> None:
        """Leave all places; also what a crash does."""
        for place in self._places:
            self._air.detach(place)
        self._places.clear()
        self._events = None

    def _bind(self, address: Address) -> Address:
        if address.transport != "udp":
            raise OSError(f"{address}: only UDP is simulated")
        ports = itertools.count(5060) if address.port == 0 else iter((address.port,))
        for port in ports:
            if not self._air.is_taken((address.host, port)):
                return Address("udp", address.host, port)
        raise OSError(f"{address}: is in use")

    def _receiver(self, index: int) -> Receiver:
        def receive(data: bytes, source: Place) -> None:
            if self._events is not None:
                flow = self._flows.get((index, source))
                if flow is None:
                    flow = self._flows[index, source] = Flow("udp", index, *source)
                self._events.datagrams(((data, flow),))

        return receive
