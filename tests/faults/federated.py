"""A day of three servers in a line: mail, guests, cut links, restarts, and a user who moves. For planted faults."""

from __future__ import annotations

from typing import Any

from actors.client_manager.core import ClientSettings
from actors.messages.client_manager import AddUser, CommandDone, MoveUser, RemoveUser
from actors.messages.lifecycle import CommandFailed
from actors.messages.links import AskJourney
from actors.messages.router import ReadRoutes
from actors.messages.server_manager import AddNeighbour, AskFar, ListNeighbours, NeighboursListed, RemoveNeighbour
from actors.messages.storage import ForgetNeighbour, StoreItem, StoreMessages
from actors.model import Envelope, MessageId, NodeName, Proof, Seconds, UserName, mailbox_queue
from actors.server_manager.core import LinkSettings
from actors.state.digest import ha1
from apps.node.wiring import Actors, Node
from apps.simulated.network import Network
from apps.simulated.shapes import line
from apps.simulated.site import REALM
from tests.faults.exceptions import Fault, Faults

PASSWORD = "secret"
TRIES = 6
"""Times that an operator asks."""
CLIENTS = ClientSettings(expiry_interval=5.0)
TIMING = LinkSettings(expiry_interval=5.0)


class FederatedStory:
    """Nodes a-b-c: alice lives at a, carol at b, bob and others at c."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = Faults(*faults)
        self.net = Network(
            7,
            links=line("abc"),
            open_mode=False,
            clients=CLIENTS,
            timing=TIMING,
            slowness=0.0,
            actors=Actors(**self.faults.parts),
        )

    def tell(self) -> None:
        """Let it happen."""
        self.begin()
        self.faults.arm()
        self.visit()
        self.fall_apart()
        self.remove()
        self.move()
        self.change_neighbours()
        self.end()

    def begin(self) -> None:
        """Links stand, phones are registered; nothing fails yet."""
        net = self.net
        net.start()
        for name, at in (("alice", "a"), ("carol", "b"), ("bob", "c"), ("dave", "c")):
            net.user(name, at, PASSWORD)
        self.alice, self.carol, self.bob = (
            net.phone(name, at, password=PASSWORD) for name, at in (("alice", "a"), ("carol", "b"), ("bob", "c"))
        )

    def chat(self) -> None:
        """Mail in all directions."""
        for _ in range(2):
            self.alice.send("bob")
            self.carol.send("bob")
            if self.bob.on:
                self.bob.send("alice")
            self.net.run_for(1)

    def visit(self) -> None:
        """bob has a second phone, which is at a: what it wants goes the long way."""
        self.chat()
        self.guest = self.net.phone("bob", "a", password=PASSWORD)
        for recipient in ("alice", "carol", "dave"):
            self.guest.send(recipient)
        self.chat()
        self.net.run_for(20)

    def fall_apart(self) -> None:
        """The link to c is cut; there is mail for it, for nobody, and no room; servers are started anew."""
        net = self.net
        net.cut("b", "c")
        self.chat()
        net.run_for(20)
        self.ask("c", AddUser, name=UserName("erin"), ha1_md5=hash_of("erin"), ha1_sha256="")
        for recipient in ("erin", "nobody", "bob", "erin"):
            self.alice.send(recipient)
        self.carol.send("erin", life=15)
        net.run_for(5)
        net.fill_disk("a")
        self.alice.send("anybody")
        net.run_for(3)
        net.empty_disk("a")
        net.run_for(20)
        for name in ("a", "b"):
            net.crash(name)
            net.restart(name)
            net.run_for(2)
        self.chat()
        net.mend("b", "c")
        self.link_up()
        net.run_for(20)

    def remove(self) -> None:
        """dave is removed, while he is a guest at a and there is mail for him."""
        dave = self.net.phone("dave", "a", password=PASSWORD)
        dave.send("alice")
        self.net.run_for(1)
        self.ask("c", RemoveUser, name=UserName("dave"))
        self.to_nobody = self.alice.send("dave")
        dave.send("alice")
        self.net.run_for(5)
        dave.switch_off()
        self.ask("a", ReadRoutes, actor="router")
        for name in self.net.sites:
            asked = AskJourney(MessageId("x"))
            self.ask(name, AskFar, actor="server_manager", content=asked, to=NodeName(name))

    def move(self) -> None:
        """bob moves to a with his mail, and mail comes to c for him when he has gone."""
        net = self.net
        self.bob.switch_off()
        for _ in range(3):
            self.alice.send("bob")
            self.carol.send("bob")
        net.run_for(35)
        self.ask("c", MoveUser, name=UserName("bob"), to=NodeName("a"))
        self.chat()
        self.ask("c", StoreMessages, actor="storage", items=(stray(net.simulation.clock.wall()),))
        net.crash("c")
        net.restart("c")
        self.link_up()
        net.run_for(10)

    def change_neighbours(self) -> None:
        """An operator removes the link of b and c, and adds it again, while mail waits for it."""
        net = self.net
        self.chat()
        for here, there in (("b", "c"), ("c", "b")):
            self.ask(here, RemoveNeighbour, actor="server_manager", node=NodeName(there))
        self.alice.send("erin")
        self.chat()
        for here, there in (("b", "c"), ("c", "b")):
            address = "udp://{}:{}".format(*net.sites[there].place)
            self.ask(here, AddNeighbour, actor="server_manager", node=NodeName(there), address=address)
        self.ask("b", ForgetNeighbour, actor="storage", node=NodeName("one of very many that were removed"))
        self.link_up()

    def end(self) -> None:
        """All is well again, and the next message is served as if nothing had been."""
        net = self.net
        self.bob.switch_on()
        net.phone("erin", "c", password=PASSWORD).send("bob")
        self.chat()
        net.run_for(60)
        self.link_up()
        bodies = [self.alice.send("bob"), self.carol.send("alice"), self.bob.send("carol")]
        net.run_for(5)
        assert [net.oracle.sent[body].status for body in bodies] == [202, 202, 202]
        net.come_to_rest()
        assert net.is_linked()

    # The operator.

    def ask(self, at: str, kind: type[Any], actor: str = "client_manager", **fields: Any) -> Any:
        """Ask an actor of a node; ask again if it fails."""
        said: list[Any] = []

        def tell(node: Node, reply: Any) -> None:
            getattr(node, actor).tell(kind(reply_to=reply, request=len(said) + 1, **fields))

        for _ in range(TRIES):
            answer = self.net.sites[at].ask(tell)
            said.append(answer)
            if not isinstance(answer, CommandFailed) and (not isinstance(answer, CommandDone) or not answer.error):
                return answer
            self.net.run_for(1)
        raise AssertionError(f"{kind.__name__} at {at}: {said}")

    def link_up(self) -> None:
        """Wait until all links stand; an operator looks."""
        for name in self.net.sites:
            assert isinstance(self.ask(name, ListNeighbours, actor="server_manager"), NeighboursListed)
        self.net.link_up()

    def verdict(self) -> list[str]:
        """Broken promises, without the planted faults, and without what the oracle says of a user who was removed."""
        left_out = ("Planted", repr(self.to_nobody))
        return [violation for violation in self.net.judge() if not any(text in violation for text in left_out)]


def hash_of(name: str) -> str:
    return ha1("MD5", name, REALM, PASSWORD)


def stray(wall: float) -> StoreItem:
    """A message that came into bob's old mailbox when he had moved."""
    envelope = Envelope(
        id=MessageId("stray"),
        sender=UserName("erin"),
        recipient=UserName("bob"),
        call_id=b"stray",
        headers=(),
        body=b"stray",
        accepted=wall,
        proof=Proof.DIGEST,
    )
    return StoreItem(key=b"", queue=mailbox_queue(UserName("bob")), envelope=envelope, life=Seconds(1000.0))
