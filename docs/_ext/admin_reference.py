"""The admin interface, from the OpenAPI description that a node serves of itself, and its types."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Any, get_args

import msgspec

from actors.testing import Probe
from apps.common.logs import Logs
from apps.node import admin_answers, admin_frames
from apps.node.admin_api import AdminApi
from apps.node.admin_facts import NodeActors, NodeFacts
from apps.node.admin_routes import Route
from apps.node.openapi import COMMON, UNAVAILABLE, WRITING, OpenApi, openapi

Schema = dict[str, Any]
ANYWHERE = {(status, about.lower()) for status, about in (*COMMON, UNAVAILABLE, *WRITING)}
MISTAKE = "[Problem](#problem)"


def table() -> tuple[Route, ...]:
    """Return the table that a node serves, of a node that is not there: nothing is asked."""
    nobody = Probe("nobody")
    actors = NodeActors(nobody, nobody, nobody, nobody, nobody)
    logs = Logs.__new__(Logs)  # without its __init__, which would take over this process's logging
    routes = AdminApi(NodeFacts("a", "angarium", "", ()), actors, logs).table()
    return (*routes, *OpenApi("").routes(routes))


@cache
def described() -> Schema:
    """Return the OpenAPI description."""
    return openapi(table(), "")


def paths() -> Iterator[str]:
    """Write a section a path and method."""
    for path, methods in described()["paths"].items():
        for method, operation in methods.items():
            yield from ("", f"### {method.upper()} {path}", "", operation["summary"], "")
            yield from told(operation)


def told(operation: Schema) -> Iterator[str]:
    """Write what a path takes and answers, as a list; what any path may answer is left out."""
    for item in operation["parameters"]:
        if item["in"] == "query":
            default = item["schema"].get("default", "")
            standard = f", default `{default}`" if default != "" else ""
            yield f"- `{item['name']}` ({kind(item['schema'])}{standard}): {item['description']}"
    if "requestBody" in operation:
        yield f"- takes {content(operation['requestBody'])}"
    for status, answer in sorted(operation["responses"].items()):
        if (int(status), answer["description"].lower()) not in ANYWHERE:
            mistake = content(answer) == MISTAKE
            yield f"- {status}: {answer['description'] if mistake else content(answer)}"


def content(part: Schema) -> str:
    """Name the type of a body."""
    bodies = part.get("content", {})
    if "application/json" in bodies:
        return kind(bodies["application/json"]["schema"])
    return "text" if bodies else "a WebSocket"


def kind(schema: Schema) -> str:
    """Write a type in words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind(item) for item in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{item}`" for item in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    if "additionalProperties" in schema and schema["additionalProperties"] is not False:
        inner = schema["additionalProperties"]
        return f"object of {kind(inner) if isinstance(inner, dict) and inner else 'anything'}"
    return str(schema.get("type", "anything"))


def types() -> Iterator[str]:
    """Write a section a type, but for the frames of `/v1/live`."""
    frames_named = {frame.__name__ for frame in get_args(admin_frames.Frame)}
    for name, schema in sorted(described()["components"]["schemas"].items()):
        if name not in frames_named:
            yield from of_type(name, schema)


def frames() -> Iterator[str]:
    """Write a section a frame of `/v1/live`."""
    for frame in get_args(admin_frames.Frame):
        yield from of_type(frame.__name__, described()["components"]["schemas"][frame.__name__])


def of_type(name: str, schema: Schema) -> Iterator[str]:
    """Write one type: a sentence and a row a key."""
    yield from ("", f"### {name}", "", schema.get("description", ""), "")
    if "enum" in schema:
        yield f"One of {kind(schema)}."
    rows = schema.get("properties", {})
    if rows:
        yield from ("| key | type | meaning |", "|---|---|---|")
    optional = set(rows) - set(schema.get("required", ()))
    for key, value in rows.items():
        also = ", may be missing" if key in optional else ""
        yield f"| `{key}` | {kind(value)}{also} | {remarks().get((name, key), '').replace('|', '/')} |"


@cache
def remarks() -> dict[tuple[str, str], str]:
    """Return the line of text that stands under a field in the code, by type and key."""
    found: dict[tuple[str, str], str] = {}
    for module in {inspect.getmodule(item) for route in table() for item in (route.answer, route.takes) if item}:
        if module is not None and module.__name__ != "builtins":
            found |= dict(in_module(module))
    return found | dict(in_module(admin_answers)) | dict(in_module(admin_frames))


def in_module(module: ModuleType) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield those of one module, a renamed field under the name it has in JSON."""
    for item in ast.parse(inspect.getsource(module)).body:
        if isinstance(item, ast.ClassDef):
            yield from in_class(vars(sys.modules[module.__name__])[item.name], item.body)


def in_class(owner: type, body: Iterable[ast.stmt]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield those of one class."""
    names = {field.name: field.encode_name for field in msgspec.structs.fields(owner)} if is_struct(owner) else {}
    statements = list(body)
    for field, after in pairwise(statements):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield (owner.__name__, names.get(name, name)), " ".join(text.split())


def is_struct(owner: type) -> bool:
    """Tell whether it is one of msgspec's."""
    return issubclass(owner, msgspec.Struct)
