"""Two servers: phones at one send to phones at the other, each message on both servers' disks on its way.

`python -m benchmarks.federated` looks for the highest rate that holds, beside that of one server in the same run;
`--rate N` is one probe.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.end_to_end import EMPTY_WITHIN, Probe, figures, find_peak, fresh_probe
from benchmarks.load import send_messages
from benchmarks.receiver import Receiver
from benchmarks.report import show
from tests.faults.node import NodeProcess
from tests.federation.network import custody, line

USERS = 100
WARM = 200
"""Messages before the probe: each name has been found by then, as between people who write to each other."""

_runs = itertools.count(1)


class TwoNodes(msgspec.Struct):
    """Two neighbours, and the phones registered at the second."""

    near: NodeProcess
    far: NodeProcess
    receiver: Receiver


@contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    """Start two nodes in open mode, linked by TCP, in a folder that goes away."""
    folder = Path(tempfile.mkdtemp(prefix="angarium-federated-"))
    try:
        with line(folder, "ab") as nodes:
            receiver = Receiver(nodes["b"].udp)
            try:
                receiver.register(USERS)
                on = TwoNodes(nodes["a"], nodes["b"], receiver)
                send_messages(on.near.udp, rate=WARM, count=WARM, run="warm", users=USERS)
                _empty(on, 10.0)
                yield on
            finally:
                receiver.close()
    finally:
        shutil.rmtree(folder)


def _empty(on: TwoNodes, within: float) -> int:
    deadline = time.monotonic() + within
    while True:
        left = custody({"a": on.near, "b": on.far})
        if left == 0 or time.monotonic() >= deadline:
            return left
        time.sleep(0.1)


def federated_probe(rate: int, seconds: float) -> Probe:
    """Offer `rate` messages a second at one node to phones at the other. Costs and commits are of both together."""
    with two_nodes() as on:
        run = f"f{next(_runs)}"
        cpu, commits, load = _cpu(on), _commits(on), on.receiver.cpu_seconds()
        sent = send_messages(on.near.udp, rate=rate, count=int(rate * seconds), run=run, users=USERS)
        left = _empty(on, EMPTY_WITHIN)
        got = on.receiver.report(run)
        took = max(got["last"] - got["first"], seconds)
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
            commits_per_second=(_commits(on) - commits) / took,
            cpu_per_message=(_cpu(on) - cpu) / max(got["unique"], 1),
            load_cpu=(sent.cpu + on.receiver.cpu_seconds() - load) / max(sent.offered, 1),
        )


def _cpu(on: TwoNodes) -> float:
    return on.near.cpu_seconds() + on.far.cpu_seconds()


def _commits(on: TwoNodes) -> int:
    return on.near.commits() + on.far.commits()


def main() -> int:
    """Run one probe, or both searches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=0, help="messages a second of one probe")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3, help="probes that must hold")
    given = parser.parse_args()
    if given.rate:
        result = federated_probe(given.rate, given.seconds)
        show("federated-probe", figures(result))
        return 0 if result.holds else 1
    peaks = {
        name: find_peak(given.seconds, low=500, rounds=given.rounds, step=0.1, once=once)
        for name, once in (("one_node", fresh_probe), ("two_nodes", federated_probe))
    }
    show("federated", {**peaks, "ratio": peaks["two_nodes"] / max(peaks["one_node"], 1)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
