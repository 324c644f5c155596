"""Whole nodes in a simulation, and users who move between them."""

from __future__ import annotations

from collections.abc import Callable

from actors.messages.client_manager import CommandDone, ListUsers, MoveUser, UserInfo, UsersListed
from actors.messages.storage import ReadUser, UserRead
from actors.model import Account, NodeName, User, UserName
from actors.testing import Probe
from apps.simulated.network import Network

PASSWORD = "secret"


def start_move(net: Network, user: str, here: str, to: str) -> Probe:
    """Ask a node to move a user; the answer comes to the probe."""
    reply: Probe = Probe("mover")
    net.node(here).client_manager.tell(MoveUser(reply, 1, UserName(user), NodeName(to)))
    return reply


def move(net: Network, user: str, here: str, to: str, seconds: float = 60.0) -> CommandDone:
    """Move a user, and wait until his last mail is there."""
    reply = start_move(net, user, here, to)
    net.run_until(lambda: bool(reply.messages), seconds)
    done = reply.messages[0]
    assert isinstance(done, CommandDone)
    return done


def account(net: Network, user: str, node: str) -> Account | None:
    """A user's account on the disk of a running node."""
    found = stored(net, user, node)
    return None if found is None else found.account


def stored(net: Network, user: str, node: str) -> User | None:
    """What the disk of a running node has of a user."""
    read = net.sites[node].ask(lambda made, reply: made.storage.tell(ReadUser(reply, 1, UserName(user))))
    assert isinstance(read, UserRead)
    return read.user


def seen(net: Network, user: str, node: str) -> UserInfo | None:
    """A user as an operator sees him."""
    listed = net.sites[node].ask(lambda made, reply: made.client_manager.tell(ListUsers(reply, 1, name=user)))
    assert isinstance(listed, UsersListed)
    return listed.users[0] if listed.users else None


def homes(net: Network, user: str) -> list[str]:
    """The running nodes that take themselves for the user's home, as their disks have it."""
    accounts = {name: account(net, user, name) for name, site in net.sites.items() if site.node is not None}
    return [name for name, found in accounts.items() if found is not None and found.is_here]


def is_over(net: Network, user: str, home: str) -> bool:
    """Tell whether a move to `home` has come to its end: nobody leaves, nobody comes."""
    accounts = [account(net, user, name) for name, site in net.sites.items() if site.node is not None]
    known = [found for found in accounts if found is not None]
    settled = not any(found.leaving or found.coming_from or not found.serving for found in known)
    return settled and homes(net, user) == [home]


def until(net: Network, goal: Callable[[], bool], seconds: float = 300.0, pace: float = 0.5) -> None:
    """Let time pass until a goal holds whose look takes time itself."""
    late = net.simulation.clock.monotonic() + seconds
    while not goal():
        assert net.simulation.clock.monotonic() < late, f"not within {seconds:g} seconds"
        net.run_for(pace)
