"""End to end with durability: accepted on disk, delivered, acknowledged, removed.

`python -m benchmarks.end_to_end --rate 8000 --seconds 4` is one probe, `--find` looks for the highest rate
that three probes of three hold. A probe holds if all that was accepted arrived once, nothing is left a second
later, and failures and retransmissions are under 0.1 %.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Sequence

import msgspec

from benchmarks.load import send_messages
from benchmarks.report import Figure, show
from benchmarks.stage import Stage, stage, wait_until_empty

TOLERATED = 0.001
"""Share of failures and retransmissions that a probe may show."""
EMPTY_WITHIN = 1.0
"""Seconds after the last answer within which the store must be empty."""

_runs = itertools.count(1)


class Probe(msgspec.Struct, frozen=True):
    """What one probe at one rate showed."""

    rate: int
    offered: int
    accepted: int
    received: int
    """Different bodies."""
    repeats: int
    refused: int
    failed: int
    retransmissions: int
    left: int
    """Still in custody a second after the last answer."""
    goodput: float
    """Different bodies received, a second of the run."""
    p50: float
    """Seconds from before SIPp sent it to its receipt."""
    p99: float
    commits_per_second: float
    cpu_per_message: float
    """Processor seconds of the node for each message received."""
    load_cpu: float
    """Processor seconds of SIPp and the phones together, for each message offered."""

    @property
    def exact(self) -> bool:
        """Tell whether all that was accepted arrived, and nothing is left."""
        return self.received == self.accepted and self.left == 0

    @property
    def holds(self) -> bool:
        """Tell whether the node holds this rate."""
        trouble = max(self.failed + self.refused, self.retransmissions, self.repeats)
        return self.exact and trouble < max(self.offered * TOLERATED, 1)


def probe(on: Stage, rate: int, seconds: float, *, users: int = 100, empty_within: float = EMPTY_WITHIN) -> Probe:
    """Offer `rate` messages a second for `seconds` to the registered users."""
    run = f"p{next(_runs)}"
    cpu, commits, load = on.node.cpu_seconds(), on.node.commits(), on.receiver.cpu_seconds()
    sent = send_messages(on.node.udp, rate=rate, count=int(rate * seconds), run=run, users=users)
    left = wait_until_empty(on.node, empty_within)
    got = on.receiver.report(run)
    took = max(got["last"] - got["first"], seconds)
    received = max(got["unique"], 1)
    return Probe(
        rate=rate,
        offered=sent.offered,
        accepted=sent.accepted,
        received=got["unique"],
        repeats=got["repeats"],
        refused=sent.refused,
        failed=sent.failed,
        retransmissions=sent.retransmissions,
        left=left,
        goodput=got["unique"] / took,
        p50=got["p50"],
        p99=got["p99"],
        commits_per_second=(on.node.commits() - commits) / took,
        cpu_per_message=(on.node.cpu_seconds() - cpu) / received,
        load_cpu=(sent.cpu + on.receiver.cpu_seconds() - load) / max(sent.offered, 1),
    )


def fresh_probe(rate: int, seconds: float, args: Sequence[str] = ()) -> Probe:
    """Probe a node that has just started on an empty folder, as the one before may have a backlog."""
    with stage(args=args) as on:
        return probe(on, rate, seconds)


def find_peak(
    seconds: float = 4.0,
    *,
    low: int = 2000,
    rounds: int = 3,
    step: float = 0.04,
    once: Callable[[int, float], Probe] = fresh_probe,
) -> int:
    """Find by bisection the highest rate that `rounds` probes of `rounds` hold, to within `step` of it."""

    def holds(rate: int, times: int) -> bool:
        for _ in range(times):
            result = once(rate, seconds)
            verdict = "holds" if result.holds else "fails"
            cost = f"p99 {result.p99 * 1e3:.1f} ms  {result.cpu_per_message * 1e6:.0f} us"
            print(f"  {rate:>6}/s {verdict}  {cost}", file=sys.stderr, flush=True)
            if not result.holds:
                return False
        return True

    if not holds(low, 1):
        return 0
    high = low
    while holds(high * 2, 1):
        high *= 2
    low, high = high, high * 2
    while high - low > low * step:
        middle = (low + high) // 200 * 100
        if holds(middle, 1):
            low = middle
        else:
            high = middle
    while low > 0 and not holds(low, rounds):
        low = int(low * (1 - step)) // 100 * 100
    return low


def figures(result: Probe) -> dict[str, Figure]:
    """The probe as figures to show."""
    return {**msgspec.structs.asdict(result), "holds": result.holds}


def main() -> int:
    """Run one probe, or the search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=8000, help="messages a second of the one probe")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--find", action="store_true", help="search for the highest rate that holds")
    parser.add_argument("node_args", nargs="*", help="more arguments for the node, after --")
    given = parser.parse_args()
    if not given.find:
        result = fresh_probe(given.rate, given.seconds, given.node_args)
        show("end-to-end-probe", figures(result))
        return 0 if result.holds else 1
    peak = find_peak(given.seconds)
    half = fresh_probe(max(peak // 2, 100), given.seconds)
    show("end-to-end", {"peak": peak, **{f"half_{key}": value for key, value in figures(half).items()}})
    return 0


if __name__ == "__main__":
    sys.exit(main())
