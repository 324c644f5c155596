"""Overload: two and five times the peak is offered; what is accepted must arrive, the rest gets an early 503."""

from __future__ import annotations

from benchmarks.end_to_end import probe
from benchmarks.report import Figure
from benchmarks.stage import stage

EMPTY_WITHIN = 30.0


def overload(peak: int, times: int, seconds: float) -> dict[str, Figure]:
    """Offer `times` the peak for a while; goodput is what arrives each second of the run."""
    with stage() as on:
        result = probe(on, peak * times, seconds, empty_within=EMPTY_WITHIN)
    return {
        "times": times,
        "offered": result.offered,
        "accepted": result.accepted,
        "received": result.received,
        "refused_503": result.refused,
        "failed": result.failed,
        "retransmissions": result.retransmissions,
        "repeats": result.repeats,
        "left": result.left,
        "goodput": result.goodput,
        "goodput_of_peak": result.goodput / max(peak, 1),
        "all_accepted_arrived": result.received >= result.accepted and result.left == 0,
    }
