"""What every simulated story has: nodes, phones, the air between them, time, and a verdict at the end."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from actors.messages.client_manager import AddUser, CommandDone
from actors.model import UserName
from actors.state.digest import ha1
from apps.simulated.air import Place
from apps.simulated.phone import Phone, PhoneSettings
from apps.simulated.site import REALM, Site, Surroundings

QUIET = 1_000.0
"""Seconds a healed world has to come to rest: more than the longest back-off and a binding's refresh."""
LOOK = 2.0
"""Seconds between two looks whether it has."""
AFTER = 5.0
"""Seconds that it runs on then: what comes late or twice comes within these."""


class Stage(Surroundings):
    """Nodes and phones of a seed. Nothing in it depends on anything but the seed and what is called, in order."""

    def __init__(self, seed: int, *, slowness: float = 0.02, record: bool = False) -> None:
        """`slowness`: chance at each step that time moves on although mail waits; `record`: keep a trace."""
        super().__init__(seed, slowness=slowness, record=record)
        self.sites: dict[str, Site] = {}
        self.phones: list[Phone] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run_for(self, seconds: float) -> None:
        """Let so much time pass."""
        self.simulation.run_for(seconds)

    def run_until(self, goal: Callable[[], bool], seconds: float = 600.0) -> None:
        """Let time pass until this holds; an AssertionError if it takes longer than that."""
        clock = self.simulation.clock
        late = clock.monotonic() + seconds
        self.simulation.run_until(lambda: goal() or clock.monotonic() > late)
        assert goal(), f"not within {seconds:g} virtual seconds, seed {self.seed}"

    def put_phone(
        self,
        user: str,
        at: str,
        *,
        password: str = "",
        instance: bool = True,
        refuses: Callable[[bytes], bool] = lambda body: False,
    ) -> Phone:
        """Put a phone into the world, at this node; it is off."""
        number = len(self.phones) + 1
        settings = PhoneSettings(
            user=user,
            device=f"{user}-phone-{number}",
            place=_phone_place(number),
            password=password,
            instance=instance,
            refuses=refuses,
        )
        phone = Phone(
            settings,
            at,
            self.sites[at].place,
            air=self.air,
            clock=self.simulation.clock,
            scheduler=self.simulation.scheduler,
            oracle=self.oracle,
            seed=f"phone {self.seed}",
        )
        self.phones.append(phone)
        return phone

    def make_user(self, name: str, at: str, password: str) -> CommandDone:
        """Make an account with a password on a running node; gives what the node said."""
        hashes = ha1("MD5", name, REALM, password), ha1("SHA-256", name, REALM, password)
        answer = self.sites[at].ask(
            lambda node, reply: node.client_manager.tell(
                AddUser(reply_to=reply, request=1, name=UserName(name), ha1_md5=hashes[0], ha1_sha256=hashes[1])
            )
        )
        assert isinstance(answer, CommandDone)
        return answer

    # The end.

    @property
    def crashes(self) -> int:
        """How often any node was killed."""
        return sum(site.crashes for site in self.sites.values())

    def waiting(self) -> list[str]:
        """Ids of all messages on all disks."""
        return sorted({message for site in self.sites.values() for _, message, _ in site.rows()})

    def come_to_rest(self, quiet: float = QUIET) -> None:
        """Let the world run, with everything on and the air as it is, until nothing waits any more."""
        until = self.simulation.clock.monotonic() + quiet
        while self.simulation.clock.monotonic() < until:
            self.simulation.run_for(LOOK)
            if not any(phone.busy for phone in self.phones) and not self.waiting():
                break
        self.simulation.run_for(AFTER)

    def judge(self, *, rest: bool = True) -> list[str]:
        """The oracle's verdict; `rest`: on a world in which nothing has a reason to wait any more."""
        refusing = {phone.device_key: phone.settings.refuses for phone in self.phones}

        def refuses(device: str, body: bytes) -> bool:
            return device in refusing and refusing[device](body)

        return self.oracle.judge(self.waiting(), refuses, rest=rest)

    def close(self) -> None:
        """End all."""
        self.simulation.close()
        for site in self.sites.values():
            site.close()


def _phone_place(number: int) -> Place:
    return f"10.0.{1 + number // 250}.{number % 250}", 5060
