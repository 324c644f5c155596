"""One node and its phones in a simulation: started, crashed, restarted, shaken by weather, and judged."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from actors.stores.memory import Disk
from actors.supervisor import WATCHDOG
from apps.node.wiring import Actors, Node
from apps.simulated.air import Place
from apps.simulated.phone import Phone
from apps.simulated.site import Kit, Site, StoreFactory, WatchedStore
from apps.simulated.stage import Stage

SERVER: Place = ("10.0.0.1", 5060)
NAME = "node"


class World(Stage):
    """A seed's world of one node. Nothing in it depends on anything but the seed and what is called, in order."""

    def __init__(
        self,
        seed: int,
        *,
        slowness: float = 0.02,
        actors: Actors | None = None,
        store: StoreFactory = WatchedStore,
        record: bool = False,
    ) -> None:
        """`actors` and `store` may hold replacements: also broken ones, to see the oracle find them."""
        super().__init__(seed, slowness=slowness, record=record)
        self.random = Random(f"world {seed}")
        kit = Kit(actors=actors or Actors(), store=store, watchdog=WATCHDOG)
        self._site = self.sites[NAME] = Site(self, NAME, SERVER, kit)

    @property
    def disk(self) -> Disk:
        """The node's disk."""
        return self._site.disk

    @property
    def node(self) -> Node | None:
        """The node, if it runs."""
        return self._site.node

    def start_node(self, doom_steps: int | None = None) -> bool:
        """Start the node; it may be killed after so many steps if it is not up by then (False)."""
        return self._site.start(doom_steps)

    def crash_node(self) -> None:
        """Kill the node: what is not on its disk is gone."""
        self._site.crash()

    def add_user(self, name: str, password: str) -> None:
        """Make an account with a password on the running node."""
        assert self.make_user(name, NAME, password).error == ""

    def add_phone(
        self,
        user: str,
        *,
        password: str = "",
        instance: bool = True,
        refuses: Callable[[bytes], bool] = lambda body: False,
    ) -> Phone:
        """Put a phone into the world; it is off."""
        return self.put_phone(user, NAME, password=password, instance=instance, refuses=refuses)
