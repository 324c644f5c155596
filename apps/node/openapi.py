"""The description of the admin interface in OpenAPI 3.1, made from the table that is served."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from apps.node.admin_answers import Problem
from apps.node.admin_frames import Frame
from apps.node.admin_routes import Parameter, Route

KINDS = {str: "string", int: "integer", float: "number"}
REFERENCE = "#/components/schemas/{name}"
COMMON = ((400, "the request is malformed"), (401, "the token is missing or wrong"), (403, "this page may not ask"))
UNAVAILABLE = (503, "a part of the node does not answer")
WRITING = ((413, "the body is too long"), (415, "the body is not declared as JSON"))
PLAIN = {"text/plain": {"schema": {"type": "string"}}}
PATH = "/v1/openapi.json"


def openapi(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """Describe paths; `version` is the program's."""
    table = tuple(routes)
    types = list(dict.fromkeys(kind for route in table for kind in (route.answer, route.takes) if kind is not None))
    _, components = msgspec.json.schema_components([*types, Problem, Frame], ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Angarium's admin interface",
            "version": version,
            "description": "Times are Unix seconds. Keys may be added, none is changed.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        # Over TCP where the node has a token; its control socket needs none.
        "security": [{}, {"token": []}],
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__qualname__.replace("Api.", "_").lower(),
        "summary": route.about,
        "parameters": [
            *(_in_path(part[1:-1]) for part in route.path.split("/") if part.startswith("{")),
            *map(_in_query, route.parameters),
        ],
        "responses": _responses(route),
    }
    if route.takes is not None:
        operation["requestBody"] = {"required": True, "content": _json(route.takes)}
    return operation


def _responses(route: Route) -> dict[str, Any]:
    content = {"content": _success(route)} if route.status != HTTPStatus.SWITCHING_PROTOCOLS else {}
    responses: dict[str, Any] = {f"{route.status}": {"description": HTTPStatus(route.status).phrase, **content}}
    for status, about in (*COMMON, *(WRITING if route.takes else ()), UNAVAILABLE, *route.errors):
        responses[f"{status}"] = {"description": about.capitalize(), "content": _json(Problem)}
    for status in route.also:
        responses[f"{status}"] = {"description": HTTPStatus(status).phrase, "content": _success(route)}
    return responses


def _success(route: Route) -> dict[str, Any]:
    return PLAIN if route.answer is None else _json(route.answer)


def _json(kind: type) -> dict[str, Any]:
    if kind is dict:
        return {"application/json": {"schema": {"type": "object"}}}
    return {"application/json": {"schema": {"$ref": REFERENCE.format(name=kind.__name__)}}}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": KINDS.get(parameter.kind, "string")}
    if parameter.kind is bool:
        schema = {"type": "string", "enum": ["0", "1"]}
    if parameter.default is not None:
        schema["default"] = str(parameter.default) if parameter.kind is bool else parameter.default
    return {"name": parameter.name, "in": "query", "description": parameter.about, "schema": schema}


class OpenApi:
    """Serves the description of a table, itself included."""

    def __init__(self, version: str) -> None:
        """Take the program's version."""
        self._version = version
        self._body = b""

    def routes(self, table: Iterable[Route]) -> tuple[Route, ...]:
        """Name the path that describes these others."""
        own = Route("GET", PATH, self.describe, "Describe this interface in OpenAPI.", dict)
        self._body = msgspec.json.encode(openapi((*table, own), self._version))
        return (own,)

    async def describe(self, _request: web.Request) -> web.Response:
        """Give the description."""
        return web.Response(body=self._body, content_type="application/json")
