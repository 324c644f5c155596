"""Figures over the last ten minutes: rates, latency, what waits, memory and processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui

from apps.common.output import printable
from apps.monitor.console import Console
from apps.monitor.view import NodeView, Point
from apps.monitor.web import page_frame

EVERY = 4.0
ANEW = 300.0
"""Seconds after which the window loads the page anew: what its charts have gathered in the browser goes then."""
MOST_POINTS = 120
MOST_NODES = 8
COLOURS = ("#0f9d8c", "#d97706", "#6366f1", "#db2777", "#0ea5e9", "#84cc16", "#a855f7", "#64748b")
SOFT = "#8391a2"
"""Of axes: readable on light and on dark ground."""
PLOTS: tuple[tuple[str, str, Callable[[Point], float | None]], ...] = (
    ("Accepted", "messages a second", lambda point: point.accepted),
    ("Delivered", "messages a second", lambda point: point.acknowledged),
    ("Passed on", "messages a second", lambda point: point.forwarded),
    ("Latency", "milliseconds from acceptance to acknowledgement, median", lambda point: _milliseconds(point.latency)),
    ("Waiting", "messages kept", lambda point: float(point.messages)),
    ("Link queues", "messages that wait for neighbours", lambda point: float(point.links)),
    ("Memory", "MB resident", lambda point: round(point.rss_bytes / 1e6, 1)),
    ("Processor", "% of one core", lambda point: round(point.cpu * 100, 1)),
)


def add(console: Console) -> None:
    """Register the page."""

    @ui.page("/plots")
    def plots() -> None:
        with page_frame(console, "Plots", wants=("steps",)) as frame:
            charts = []
            with ui.element("div").classes("plots"):
                for title, unit, _ in PLOTS:
                    with ui.element("section").classes("card").props(f'aria-label="{title}, {unit}"'):
                        ui.label(title).classes("card-title").style("margin:0")
                        ui.label(unit).classes("hint")
                        charts.append(ui.echart(options(()), renderer="canvas").classes("plot"))
            ui.label(
                "Latency is of messages that this console saw accepted and acknowledged, by the clocks of the nodes, "
                "while this page or the picture of the network was open."
            ).classes("hint")

            def draw() -> None:
                for chart, (_, _, value) in zip(charts, PLOTS, strict=True):
                    lines = [(view.title, series(view, value)) for view in console.views[:MOST_NODES]]
                    # Not merged into what was, so that lines of nodes that went away go.
                    chart.run_chart_method("setOption", options(lines), True)

            frame.every(EVERY, draw)
            ui.timer(ANEW, ui.navigate.reload, once=True, immediate=False)


def series(view: NodeView, value: Callable[[Point], float | None]) -> list[tuple[int, float | None]]:
    """Return (milliseconds, value) of a node; of many points each n-th, counted so that old ones stay the same."""
    points = list(view.points)
    step = -(-len(points) // MOST_POINTS)
    return [(int(point.at * 1000), value(point)) for point in (points[::-1][::step])[::-1]] if points else []


def options(lines: Any) -> dict[str, Any]:
    """Describe a chart to ECharts; names are text there, too."""
    return {
        "animation": False,
        "color": list(COLOURS),
        "grid": {"left": 8, "right": 12, "top": 34, "bottom": 4, "containLabel": True},
        "legend": {"type": "scroll", "top": 0, "textStyle": {"color": SOFT}, "icon": "roundRect", "itemHeight": 4},
        "tooltip": {"trigger": "axis", "renderMode": "richText"},
        "xAxis": {"type": "time", "axisLabel": {"color": SOFT, "hideOverlap": True}, "splitNumber": 4},
        "yAxis": {
            "type": "value",
            "min": 0,
            "splitNumber": 4,
            "axisLabel": {"color": SOFT},
            "splitLine": {"lineStyle": {"color": SOFT, "opacity": 0.25}},
        },
        "series": [
            {
                "type": "line",
                "name": printable(name),
                "data": data,
                "showSymbol": False,
                "connectNulls": True,
                "lineStyle": {"width": 2},
            }
            for name, data in lines
        ],
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
