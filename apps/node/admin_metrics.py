"""Counters and gauges in the text format that Prometheus reads; every name begins with `angarium_`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from apps.node.metric_names import about

CONTENT_TYPE = CONTENT_TYPE_LATEST
PREFIX = "angarium_"
_NAME = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)(?:\{([a-z_]+)=\"([A-Za-z0-9_. -]*)\"\})?")


class _Facts:
    """A collector of numbers that are there already."""

    def __init__(self, counters: Mapping[str, float], gauges: Mapping[str, float]) -> None:
        self._counters = counters
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        """Yield one family a name."""
        yield from _families(CounterMetricFamily, self._counters)
        yield from _families(GaugeMetricFamily, self._gauges)


def exposition(counters: Mapping[str, float], gauges: Mapping[str, float]) -> bytes:
    """Write the numbers; a name may bear one label as in `answers_total{status="200"}`, else it is left out."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Facts(counters, gauges))
    return generate_latest(registry)


def _families(
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily], values: Mapping[str, float]
) -> Iterator[Metric]:
    families: dict[tuple[str, str], CounterMetricFamily | GaugeMetricFamily] = {}
    for key in sorted(values):
        match = _NAME.fullmatch(key)
        if match is None:
            continue
        name, label, value = match[1], match[2], match[3]
        family = families.get((name, label))
        if family is None:
            family = kind(PREFIX + name, about(name), labels=[label] if label else None)
            families[name, label] = family
        family.add_metric([value] if label else [], values[key])
    yield from families.values()
