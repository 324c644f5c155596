"""The way of one message through the network: asked for by its id, drawn as a ladder, told step by step."""

from __future__ import annotations

import base64
from urllib.parse import quote

import msgspec
from nicegui import ui

from apps.client.ladder import svg
from apps.common.journey import Journey, TracedStep
from apps.common.output import printable
from apps.monitor.console import Console
from apps.monitor.pages.parts import NodeChoice, clock, field, hint
from apps.monitor.source import NodeError
from apps.monitor.web import page_frame

LONGEST_ID = 200
MOST_STEPS = 200
ANSWERS = ("answered", "acknowledged")
TIMEOUT = 15.0
"""Seconds; the asked node itself gives the others 5."""


def add(console: Console) -> None:
    """Register the page, with and without an id."""

    @ui.page("/message")
    def ask() -> None:
        _page(console, "")

    @ui.page("/message/{id_}")
    def show(id_: str) -> None:
        _page(console, id_[:LONGEST_ID])


def _page(console: Console, wanted: str) -> None:
    with page_frame(console, "Message"):
        with ui.element("section").classes("card").props('role=form aria-label="Find a message"'):
            ui.label("Where is a message?").classes("card-title")
            with ui.element("div").classes("bar"):
                choice = NodeChoice(console, "", lambda: None)
                box = field("Id of the message")
                box.set_value(wanted)
                box.on("keydown.enter", lambda: _go(box))
                ui.button("Find", on_click=lambda: _go(box)).props("unelevated color=primary")
            hint("Any node will do: it asks the others. The sender was told the id, and lines of the log have it.")
        answer = ui.element("div").classes("rows").style("gap: 18px")
        if wanted:

            async def find() -> None:
                await _find(console, choice.label, wanted, answer)

            ui.timer(0.1, find, once=True)


def _go(box: ui.input) -> None:
    wanted = str(box.value or "").strip()[:LONGEST_ID]
    if wanted:
        ui.navigate.to(f"/message/{quote(wanted, safe='')}")


async def _find(console: Console, label: str, wanted: str, box: ui.element) -> None:
    try:
        answer = await console.source(label).get("journeys", wanted, nodes=1, timeout=TIMEOUT)
        told = msgspec.convert(answer, Journey)
    except (NodeError, msgspec.ValidationError) as error:
        with box, ui.element("section").classes("card"):
            ui.label(printable(str(error)))
        return
    with box:
        _summary(told)
        _ladder(told)
        _steps(told)


def _summary(told: Journey) -> None:
    good = {"delivered": "good", "waiting": "warn", "forwarded": "warn", "relayed": "warn"}
    with ui.element("section").classes("card").props('aria-label="State"'):
        ui.label(printable(told.state)).classes(f"badge {good.get(told.state, 'bad')}")
        ui.label(f"From {printable(told.sender) or '?'} to {printable(told.recipient) or '?'}").classes("row-name")
        ui.label(printable(told.id)).classes("mono wrap hint")
        if told.reason:
            ui.label(printable(told.reason)).classes("wrap")
        for item in told.silent:
            ui.label(f"No answer from {printable(item.node)}: {printable(item.reason)}").classes("badge warn")


def _ladder(told: Journey) -> None:
    # As an image, so that whatever stands in it can neither run nor ask for anything.
    image = base64.b64encode(svg(told).encode()).decode()
    with ui.element("section").classes("card ladder").props('tabindex=0 aria-label="Ladder"'):
        ui.element("img").props(f'src="data:image/svg+xml;base64,{image}" alt="The steps below, as a ladder"')


def _steps(told: Journey) -> None:
    with ui.element("section").classes("card").props('aria-label="Steps"'):
        ui.label("Steps").classes("card-title")
        if not told.steps:
            hint("No node remembers steps of it.")
        for step in told.steps[:MOST_STEPS]:
            with ui.element("div").classes("step"):
                ui.label(f"{clock(step.at)}.{int(step.at * 1000) % 1000:03d}").classes("event-at")
                ui.label(printable(step.node)).classes("event-node")
                ui.label(printable(step.step)).classes("event-kind")
                ui.label(printable(_words(step))).classes("wrap")


def _words(step: TracedStep) -> str:
    way = f"{'by' if step.step in ANSWERS else 'to'} {step.to}" if step.to else ""
    return " ".join(part for part in (way, "" if step.detail == step.to else step.detail) if part)
