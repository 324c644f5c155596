"""The form of a path of the admin interface: what serves it, what it takes and what it answers.

One table is served, described (`/v1/openapi.json`) and tested: a path that is not described does not exist.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Parameter(NamedTuple):
    """A parameter in the query."""

    name: str
    about: str
    kind: type = str
    """`str`, `int`, `float` or `bool` (written 1)."""
    default: str | int | None = None


class Route(NamedTuple):
    """One method of one path."""

    method: str
    """`GET`, `POST`, `PUT` or `DELETE`."""
    path: str
    """With `{names}` for its parts, as aiohttp and OpenAPI both write them."""
    handler: Handler
    about: str
    """One sentence."""
    answer: type | None
    """The msgspec type of a successful answer's JSON; None: it is not JSON."""
    status: int = 200
    """Of success."""
    takes: type | None = None
    """The msgspec type of the request's JSON body."""
    parameters: tuple[Parameter, ...] = ()
    errors: tuple[tuple[int, str], ...] = ()
    """Statuses other than success, each with what it means here."""
    also: tuple[int, ...] = ()
    """Other statuses with the same answer."""


def serve(app: web.Application, routes: Iterable[Route]) -> None:
    """Add paths to an application."""
    for route in routes:
        app.router.add_route(route.method, route.path, route.handler)
