"""Journeys of messages drawn: as text, for Mermaid, as SVG, and as packets for programs that read captures."""

from __future__ import annotations

import time

from apps.client.ladder_pcap import pcap
from apps.client.ladder_svg import svg
from apps.common.journey import Journey, Party, SilentNode, TracedStep, parties, rungs
from apps.common.output import printable

__all__ = ["Journey", "Party", "SilentNode", "TracedStep", "ladder", "mermaid", "pcap", "svg"]

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._-@/()+,=")


def ladder(journey: Journey) -> str:
    """Draw a journey as lines of text: its state, then one step a rung with the time since the first.

    Control characters of the network stand as escapes.
    """
    lines = [printable(_head(journey))]
    steps = journey.steps
    width = max((len(printable(step.node)) for step in steps), default=0)
    for number, step in enumerate(steps):
        mark = "`-" if number == len(steps) - 1 else "|-"
        passed = f"{_clock(step.at)}  +{step.at - steps[0].at:.3f} s"
        line = f"  {mark} {passed}  {printable(step.node):<{width}}  {printable(step.step)}"
        lines.append(f"{line}  {printable(step.detail)}" if step.detail else line)
    lines += [printable(f"  ?  server {item.node} is silent: {item.reason}") for item in journey.silent]
    return "\n".join(lines)


def mermaid(journey: Journey) -> str:
    """Draw a journey as a Mermaid sequence diagram; nothing in it is markup but what stands here."""
    drawn = rungs(journey)
    lines = ["sequenceDiagram"]
    names = {party: f"p{number}" for number, party in enumerate(parties(drawn))}
    for party, name in names.items():
        lines.append(f"    {'actor' if party.kind == 'user' else 'participant'} {name} as {_inert(party.name)}")
    for rung in drawn:
        source, target = names[rung.source], names[rung.target]
        if rung.kind == "note":
            lines.append(f"    Note over {source}: {_inert(rung.text)}")
        else:
            arrow = "->>" if rung.kind == "request" else "-->>"
            lines.append(f"    {source}{arrow}{target}: {_inert(rung.text)}")
    if journey.silent and names:
        first, last = names[next(iter(names))], names[next(reversed(names))]
        for item in journey.silent:
            lines.append(f"    Note over {first},{last}: {_inert(f'server {item.node} is silent - {item.reason}')}")
    return "\n".join(lines) + "\n"


def _head(journey: Journey) -> str:
    head = [journey.id]
    if journey.sender or journey.recipient:
        head.append(f"{journey.sender} -> {journey.recipient}")
    head.append(f"{journey.state} ({journey.reason})" if journey.reason else journey.state)
    return "  ".join(head)


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03d}"


def _inert(text: str) -> str:
    """Write what Mermaid might understand as numbers of characters, and its word `end` so too."""
    text = "".join(char if char in _PLAIN else f"#{ord(char)};" for char in printable(text))
    return " ".join("#101;nd" if word == "end" else word for word in text.split(" "))
