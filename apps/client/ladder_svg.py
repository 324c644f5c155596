"""A journey as one SVG picture that needs nothing from elsewhere and takes the colour of the text around it."""

from __future__ import annotations

from html import escape

from apps.common.journey import Journey, Party, Rung, parties, rungs
from apps.common.output import printable

LEFT = 110
"""Pixels for the times."""
COLUMN = 190
ROW = 34
TOP = 84
LONGEST = 34
"""Characters of a text that is shown; the whole stands in its tooltip."""


def svg(journey: Journey) -> str:
    """Draw a journey; all that came from the network is text in it."""
    drawn = rungs(journey)
    columns = {party: LEFT + COLUMN // 2 + COLUMN * number for number, party in enumerate(parties(drawn))}
    width = LEFT + COLUMN * max(1, len(columns))
    height = TOP + ROW * (len(drawn) + len(journey.silent)) + 20
    title = f"{journey.id}: {journey.state}" + (f" ({journey.reason})" if journey.reason else "")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="12" fill="currentColor" stroke="none">',
        f"<title>{_text(title)}</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 8 4 0 8z"/></marker></defs>',
        f'<text x="8" y="20" font-size="14">{_text(title)}</text>',
    ]
    for party, x in columns.items():
        parts.append(_line(party, x, height))
    start = drawn[0].at if drawn else 0.0
    for number, rung in enumerate(drawn):
        parts.append(_rung(rung, columns, TOP + ROW * number + ROW // 2, start))
    for number, item in enumerate(journey.silent, len(drawn)):
        told = _text(f"server {item.node} is silent: {item.reason}")
        parts.append(f'<text x="8" y="{TOP + ROW * number + ROW // 2}" font-style="italic">{told}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _line(party: Party, x: int, height: int) -> str:
    weight = ' font-weight="bold"' if party.kind == "node" else ""
    return (
        f"<g><title>{_text(f'{party.kind} {party.name}')}</title>"
        f'<text x="{x}" y="{TOP - 28}" text-anchor="middle"{weight}>{_text(_short(party.name, 26))}</text>'
        f'<path d="M{x} {TOP - 20}V{height - 10}" stroke="currentColor" stroke-opacity="0.4"/></g>'
    )


def _rung(rung: Rung, columns: dict[Party, int], y: int, start: float) -> str:
    source, target = columns[rung.source], columns[rung.target]
    told, short = _text(rung.text), _text(_short(rung.text, LONGEST))
    parts = [f"<g><title>{told}</title>", f'<text x="8" y="{y + 4}" opacity="0.7">+{rung.at - start:.3f} s</text>']
    if rung.kind == "note":
        parts.append(
            f'<circle cx="{source}" cy="{y}" r="3"/>'
            f'<text x="{source + 8}" y="{y + 4}" font-style="italic">{short}</text>'
        )
    else:
        dashed = ' stroke-dasharray="5 4"' if rung.kind == "answer" else ""
        parts.append(
            f'<text x="{(source + target) // 2}" y="{y - 5}" text-anchor="middle">{short}</text>'
            f'<path d="M{source} {y}H{target}" stroke="currentColor"{dashed} marker-end="url(#head)"/>'
        )
    return "".join([*parts, "</g>"])


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _text(text: str) -> str:
    return escape(printable(text))
