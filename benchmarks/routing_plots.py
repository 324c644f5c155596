"""The comparison of routing as a picture: packets of a first message over the size of the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

if TYPE_CHECKING:
    from benchmarks.routing import Row

STYLES = {
    "shortest path": ("black", "--"),
    "ladder": ("tab:blue", "-"),
    "summaries alone": ("tab:cyan", ":"),
    "search alone": ("tab:orange", "-"),
    "original design": ("tab:red", "-"),
    "flood": ("tab:gray", "-"),
}
"""Colour and line of each method that finds first messages by itself."""


def plot(rows: Sequence[Row], folder: Path) -> None:
    """Draw one picture with a part for each shape of network, and write it as SVG and PNG."""
    pyplot.rcParams["svg.hashsalt"] = "routing"
    shapes = list(dict.fromkeys(row.shape for row in rows))
    figure, axes = pyplot.subplots(1, len(shapes), figsize=(5.5 * len(shapes), 4.5), sharey=True, squeeze=False)
    for shape, axis in zip(shapes, axes[0], strict=True):
        for method, (colour, line) in STYLES.items():
            points = [(row.nodes, row.first) for row in rows if row.shape == shape and row.method == method]
            if points:
                axis.plot(*zip(*points, strict=True), line, color=colour, marker="o", markersize=4, label=method)
        axis.set(xscale="log", yscale="log", xlabel="nodes", title=f"{shape}, mean degree 6")
        axis.grid(visible=True, which="major", alpha=0.3)
    axes[0][0].set_ylabel("packets between servers, first message")
    axes[0][0].legend(loc="upper left")
    figure.tight_layout()
    figure.savefig(folder / "routing-packets.svg", metadata={"Date": None})
    figure.savefig(folder / "routing-packets.png", dpi=110)
    pyplot.close(figure)
