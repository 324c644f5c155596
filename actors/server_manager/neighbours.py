"""The neighbours of this node: registered by setting, by command or by their greeting; listed, and worried about."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from actors.messages.lifecycle import CommandFailed
from actors.messages.monitor import ClearAlarm, Level, RaiseAlarm, SetGauges
from actors.messages.server_manager import (
    AddNeighbour,
    ListNeighbours,
    NeighbourDone,
    NeighbourInfo,
    NeighboursListed,
    RemoveNeighbour,
)
from actors.messages.storage import ForgetNeighbour, NeighbourSaved, NeighboursRead, SavedNeighbour, SaveNeighbour
from actors.model import NodeName
from actors.server_manager.core import Core, Timer
from actors.server_manager.greetings import NAME
from actors.server_manager.links import Links
from actors.server_manager.mail import Mail
from actors.state.link_session import LinkState

SETTING, COMMAND, GREETING = "setting", "command", "greeting"
MAX_REMOVED = 1000
"""Removed neighbours that are remembered; of more the first ones may come back by calling."""
SAVE_AGAIN = 5.0
"""Seconds until a neighbour that could not be saved is saved once more."""
GAUGES_EVERY = 1.0
"""Seconds between two reports of gauges, at least."""


class Neighbour:
    """A registered neighbour."""

    def __init__(self, node: NodeName, origin: str) -> None:
        self.node = node
        self.origin = origin
        self.address = ""
        self.worry: Timer | None = None
        """Runs while it is down: then it becomes an alarm."""
        self.alarmed = False


class Neighbours:
    """Registers and deregisters neighbours, and tells operators how they are.

    The hook `on_new` is set by the actor: there is one more, and no link to it yet.
    """

    def __init__(self, core: Core, links: Links, mail: Mail) -> None:
        self._core = core
        self._links = links
        self._mail = mail
        self.on_new: Callable[[NodeName], None] = _nothing
        self._all: dict[NodeName, Neighbour] = {}
        self._gauges_due = 0.0
        self._gauges: tuple[tuple[str, float], ...] = ()

    def start(self, read: NeighboursRead) -> None:
        """Take up the remembered ones, those of the settings, and whoever mail still waits for; call them."""
        kept = [one for one in read.neighbours if not one.removed]
        addresses = {one.node: (one.address, GREETING if one.greeting else COMMAND) for one in kept}
        addresses |= {one.node: (one.address, SETTING) for one in self._core.settings.neighbours}
        removed = self._links.greetings.removed
        removed.update((one.node, None) for one in read.neighbours if one.removed and one.node not in addresses)
        for node in self._mail.queued_nodes():
            if node not in removed:
                addresses.setdefault(node, ("", GREETING))
        for node, (address, origin) in addresses.items():
            self._register(node, address, origin)

    def network_open(self) -> None:
        """The Router knows all users and neighbours: what waits for those that were removed may go elsewhere."""
        for node in self._mail.queued_nodes():
            if node in self._links.greetings.removed:
                self._mail.remove(node)

    def caller(self, node: NodeName, address: str) -> None:
        """Somebody who knows the secret has called: a new neighbour, or one that has moved. It is remembered, so that
        after a restart nobody whose home is there is taken for unknown before it calls again."""
        neighbour = self._all.get(node)
        if neighbour is None:
            self._core.event(Level.INFO, "neighbour-added", f"neighbour {node} introduced itself, from {address}")
        elif neighbour.origin != GREETING or not address or address == neighbour.address:
            return
        self._register(node, address, GREETING)
        self._remember(SavedNeighbour(node=node, address=address, greeting=True))

    def _remember(self, saved: SavedNeighbour) -> None:
        core = self._core

        def again(_: str) -> None:
            core.after(SAVE_AGAIN, partial(self._remember, saved))

        if saved.node in self._all:
            number = core.expect(lambda _: None, again)
            core.refs.storage.tell(SaveNeighbour(reply_to=core.refs.me, request=number, neighbour=saved))

    # Commands.

    def add(self, command: AddNeighbour) -> None:
        """Register a neighbour, and remember it."""
        core, node = self._core, command.node
        problem = self._links.greetings.cannot_call(command.address)
        if not NAME.fullmatch(node):
            problem = f"'{node}' is no name of a server: up to 32 letters, digits, '.', '_' and '-'"
        elif node == core.node:
            problem = f"{node} is this server itself"
        elif problem:
            problem = f"{node}: {problem}"
        if problem:
            command.reply_to.tell(NeighbourDone(request=command.request, error=problem))
            return
        number = core.expect(partial(self._added, command), partial(_failed, command))
        saved = SavedNeighbour(node=node, address=command.address)
        core.refs.storage.tell(SaveNeighbour(reply_to=core.refs.me, request=number, neighbour=saved))

    def _added(self, command: AddNeighbour, saved: NeighbourSaved) -> None:
        self._links.greetings.removed.pop(command.node, None)
        self._register(command.node, command.address, COMMAND)
        self._core.event(Level.INFO, "neighbour-added", f"{command.node} was added, at {command.address}")
        command.reply_to.tell(NeighbourDone(request=command.request))

    def remove(self, command: RemoveNeighbour) -> None:
        """Deregister a neighbour; its mail goes elsewhere, and it cannot come back by calling."""
        core, node = self._core, command.node
        if node not in self._all:
            error = f"{node} is no neighbour of {core.node}"
            command.reply_to.tell(NeighbourDone(request=command.request, error=error))
            return
        number = core.expect(partial(self._removed, command), partial(_failed, command))
        removed = SavedNeighbour(node=node, address="", removed=True)
        core.refs.storage.tell(SaveNeighbour(reply_to=core.refs.me, request=number, neighbour=removed))

    def _removed(self, command: RemoveNeighbour, saved: NeighbourSaved) -> None:
        node = command.node
        neighbour = self._all.pop(node, None)
        if neighbour is not None:
            self._calm(neighbour)
            self._links.greetings.removed[node] = None
            self._links.remove(node)
            self._core.event(Level.INFO, "neighbour-removed", f"{node} was removed")
            self._forget_oldest()
        command.reply_to.tell(NeighbourDone(request=command.request))

    def _forget_oldest(self) -> None:
        core, removed = self._core, self._links.greetings.removed
        while len(removed) > MAX_REMOVED:
            node = next(iter(removed))
            del removed[node]
            number = core.expect(lambda _: None, lambda _: None)  # if that fails it is remembered, and forgotten later
            core.refs.storage.tell(ForgetNeighbour(reply_to=core.refs.me, request=number, node=node))

    def list(self, question: ListNeighbours) -> None:
        """Tell an operator of all neighbours."""
        infos = tuple(self._info(neighbour) for _, neighbour in sorted(self._all.items()))
        unrouted = self._mail.unrouted_size()
        question.reply_to.tell(
            NeighboursListed(request=question.request, neighbours=infos, unrouted=unrouted, node=self._core.node)
        )

    def _info(self, neighbour: Neighbour) -> NeighbourInfo:
        node, sizes = neighbour.node, self._mail.sizes(neighbour.node)
        line = self._links.line(node)
        assert line is not None, "each neighbour has one"
        up = line.link.state is LinkState.UP
        return NeighbourInfo(
            node=node,
            address=neighbour.address,
            origin=neighbour.origin,
            up=up,
            hears_us=self._links.hears(node),
            since=line.since,
            reason="" if up else line.link.reason,
            waiting=sizes.waiting,
            in_flight=sizes.in_flight,
            in_doubt=sizes.in_doubt,
            oldest=sizes.oldest,
            sent=sizes.sent,
            received=sizes.received,
        )

    # How they are.

    def up(self, node: NodeName) -> None:
        """Its link stands."""
        neighbour = self._all.get(node)
        if neighbour is None:
            return
        self._calm(neighbour)
        self._core.event(Level.INFO, "neighbour-up", f"neighbour {node} is up")

    def down(self, node: NodeName, reason: str) -> None:
        """Its link has fallen."""
        neighbour = self._all.get(node)
        if neighbour is None:
            return
        self._core.event(Level.WARNING, "neighbour-down", f"neighbour {node} is down: {reason}")
        self._worry(neighbour)

    def report(self) -> None:
        """Tell Monitor how many there are, if that has changed."""
        now = self._core.now()
        if now < self._gauges_due:
            return
        self._gauges_due = now + GAUGES_EVERY
        up = sum(self._links.up(node) for node in self._all)
        gauges = (
            ("neighbours", float(len(self._all))),
            ("neighbours_up", float(up)),
            ("unrouted", float(self._mail.unrouted_size())),
        )
        if gauges != self._gauges:
            self._gauges = gauges
            self._core.refs.monitor.tell(SetGauges(gauges=gauges))

    def _register(self, node: NodeName, address: str, origin: str) -> None:
        neighbour = self._all.get(node)
        if neighbour is None:
            neighbour = self._all[node] = Neighbour(node, origin)
            self._worry(neighbour)
            self.on_new(node)
        neighbour.origin, neighbour.address = origin, address
        self._links.add(node, address)

    def _worry(self, neighbour: Neighbour) -> None:
        if neighbour.worry is None:
            neighbour.worry = self._core.after(self._core.settings.alarm_after, partial(self._alarm, neighbour))

    def _calm(self, neighbour: Neighbour) -> None:
        if neighbour.worry is not None:
            neighbour.worry.cancel()
            neighbour.worry = None
        if neighbour.alarmed:
            neighbour.alarmed = False
            self._core.refs.monitor.tell(ClearAlarm(name=_alarm_name(neighbour.node)))

    def _alarm(self, neighbour: Neighbour) -> None:
        neighbour.alarmed = True
        node, line = neighbour.node, self._links.line(neighbour.node)
        reason = line.link.reason if line is not None else ""
        waiting = self._mail.sizes(node).waiting
        text = (
            f"{node} has been down for over {self._core.settings.alarm_after:.0f} s: {reason}; {waiting} messages wait"
        )
        advice = (
            f"Start {node}, or mend the way to {neighbour.address or 'it'}; mail for it waits and goes by itself then. "
            f"If it is gone for good: 'angarium neighbour remove {node}' sends its mail other ways."
        )
        self._core.refs.monitor.tell(RaiseAlarm(name=_alarm_name(node), text=text, advice=advice))


def _nothing(node: NodeName) -> None:
    """Nobody has set this hook."""


def _alarm_name(node: NodeName) -> str:
    return f"neighbour-down:{node}"


def _failed(command: AddNeighbour | RemoveNeighbour, reason: str) -> None:
    name = type(command).__name__
    command.reply_to.tell(CommandFailed(request=command.request, command=name, reason=reason))
