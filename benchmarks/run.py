"""All measurements from outside, one after the other: `make bench`, or `python -m benchmarks.run --quick`.

Each prints a table and one JSON line. `--only NAME` runs one of them (several may be given).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from benchmarks import machine
from benchmarks.end_to_end import figures, find_peak, fresh_probe
from benchmarks.ledger import with_ledger
from benchmarks.mailbox import drain, find_store_only
from benchmarks.memory import memory, registered_memory
from benchmarks.overload import overload
from benchmarks.registrations import registrations
from benchmarks.report import show


class Bench:
    """The measurements; later ones refer to the peak that an earlier one found."""

    def __init__(self, *, quick: bool, peak: int) -> None:
        self._quick = quick
        self._seconds = 2.0 if quick else 4.0
        self._peak = peak

    @property
    def peak(self) -> int:
        """The highest rate that holds, searched for once."""
        if not self._peak:
            rounds, step = (1, 0.15) if self._quick else (3, 0.04)
            self._peak = find_peak(self._seconds, rounds=rounds, step=step)
        return max(self._peak, 100)

    def machine(self) -> None:
        """The bare machine."""
        seconds = 1.0 if self._quick else 3.0
        show(
            "machine",
            {
                "udp_echoes_per_second": machine.udp_echoes(seconds),
                "commits_per_second": machine.commits(seconds),
                "commits_of_100_rows_per_second": machine.commits(seconds, rows=100),
            },
        )

    def end_to_end(self) -> None:
        """The peak, and the delay at half of it."""
        show("end-to-end", {"messages_per_second": self.peak})
        show("end-to-end-half", figures(fresh_probe(self.peak // 2, self._seconds)))

    def store_only(self) -> None:
        """Recipients away."""
        show("store-only", find_store_only(self._seconds, step=0.3 if self._quick else 0.08))

    def drain(self) -> None:
        """Recipients away, then registered: many users, and one."""
        show("drain", drain(2_000 if self._quick else 20_000))
        show("drain-one-user", drain(1_000 if self._quick else 10_000, users=1))

    def registrations(self) -> None:
        """REGISTER rate."""
        show("register", registrations(500, 2 if self._quick else 10))

    def overload(self) -> None:
        """Twice and five times the peak."""
        for times in (2, 5):
            show("overload", overload(self.peak, times, self._seconds))

    def ledger(self) -> None:
        """A long ledger, at nine tenths of the peak."""
        rows = 200_000 if self._quick else 5_000_000
        show("ledger", with_ledger(rows, self.peak * 9 // 10, self._seconds))

    def memory(self) -> None:
        """An idle node, and many accounts."""
        for users in (0, 1_000) if self._quick else (0, 10_000, 100_000):
            show("memory", memory(users))
        show("memory-registered", registered_memory(1_000 if self._quick else 100_000))


NAMES = ("machine", "end_to_end", "store_only", "drain", "registrations", "overload", "ledger", "memory")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter and coarser")
    parser.add_argument("--only", choices=NAMES, action="append", help="only this one")
    parser.add_argument("--peak", type=int, default=0, help="messages a second, instead of searching for it")
    given = parser.parse_args()
    bench = Bench(quick=given.quick, peak=given.peak)
    for name in given.only or NAMES:
        run: Callable[[], None] = getattr(bench, name)
        run()


if __name__ == "__main__":
    main()
